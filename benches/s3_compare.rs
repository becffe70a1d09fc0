//! `copy-manager`, `rclone copy` and `s5cmd cp` side by side, against the simulated S3.
//!
//! Copies 5,000 objects of 10 KiB and 20 of 64 MiB from one bucket to another, server-side, with 10 ms
//! added to each call, five times each, in turns; prints medians, and how ours compares with the better of
//! the others. Before that, how many calls a second the simulator answers, which bounds all that follows.
//! A tool that is not installed is left out: `rclone` on the PATH, and `s5cmd` there or where `S5CMD`
//! says. Figures are kept in `docs/benchmarks.md`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a service")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::{Value, json};

const RUNS: usize = 5;
const BINARY: &str = env!("CARGO_BIN_EXE_copy-manager");
/// Any key opens the simulated buckets.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request";

/// What is copied: its folder in the bucket, how many objects, and of how many bytes.
#[derive(Clone, Copy)]
struct Load {
    folder: &'static str,
    count: u64,
    size: u64,
}

const LOADS: [Load; 2] = [
    Load { folder: "small", count: 5000, size: 10 << 10 },
    Load { folder: "large", count: 20, size: 64 << 20 },
];

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts the binary and waits for the addresses that it says it is ready at, one for each of `words`.
fn start(command: &mut Command, on_stdout: bool, words: &[&str]) -> (Process, Vec<String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (ready, other): (Box<dyn std::io::Read + Send>, Box<dyn std::io::Read + Send>) =
        if on_stdout { (Box::new(stdout), Box::new(stderr)) } else { (Box::new(stderr), Box::new(stdout)) };
    // Keep reading, or the process would block on a full pipe.
    std::thread::spawn(move || BufReader::new(other).lines().for_each(drop));
    let mut lines = BufReader::new(ready).lines();
    let mut addresses = vec![None; words.len()];
    while addresses.iter().any(Option::is_none) {
        let line = lines.next().unwrap().unwrap();
        let Some(rest) = line.split("\"address\":\"").nth(1) else { continue };
        for (word, address) in words.iter().zip(&mut addresses) {
            if line.contains(word) {
                *address = Some(rest.split('"').next().unwrap().to_owned());
            }
        }
    }
    std::thread::spawn(move || lines.for_each(drop));
    (Process(child), addresses.into_iter().flatten().collect())
}

/// A simulator: the process, its controls and its S3.
fn simulate(world: &Path, latency: &str) -> (Process, String, String) {
    let listen = ["simulate", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--latency", latency];
    let mut command = Command::new(BINARY);
    command.args(listen).arg("--world").arg(world);
    let (process, addresses) = start(&mut command, false, &["\"ready\"", "simulated S3 is ready"]);
    let [controls, s3] = <[String; 2]>::try_from(addresses).unwrap();
    (process, controls, s3)
}

/// Sends a request and reads its answer to the end of its header; HEAD and copies have short bodies.
fn exchange(connection: &mut TcpStream, request: &str) {
    connection.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = connection.read(&mut chunk).unwrap();
        assert!(read > 0, "the simulator hung up");
        answer.extend_from_slice(chunk.get(..read).unwrap());
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 20"), "{text}");
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if request.starts_with("HEAD") || body.len() >= length.unwrap_or(0_usize) {
            return;
        }
    }
}

/// Calls a second on 8 connections.
#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
fn calls_a_second(s3: &str, request: impl Fn(u64) -> String + Sync) -> f64 {
    const EACH: u64 = 2500;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for connection in 0..8 {
            let request = &request;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(s3).unwrap();
                stream.set_nodelay(true).unwrap();
                for n in 0..EACH {
                    exchange(&mut stream, &request(connection * EACH + n));
                }
            });
        }
    });
    8.0 * 2500.0 / began.elapsed().as_secs_f64()
}

fn bound(world: &Path) {
    let (_simulator, _, s3) = simulate(world, "0s");
    let head = |n: u64| format!("HEAD /src/small/{:06} HTTP/1.1\r\nHost: {s3}\r\n{SIGNED}\r\n\r\n", n % 5000);
    let copy = |n: u64| {
        let from = format!("x-amz-copy-source: src/small/{:06}", n % 5000);
        format!(
            "PUT /dest/rate/{n} HTTP/1.1\r\nHost: {s3}\r\n{SIGNED}\r\n{from}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    calls_a_second(&s3, head);
    let (heads, copies) = (calls_a_second(&s3, head), calls_a_second(&s3, copy));
    println!("the simulator answers {heads:.0} HEAD/s and {copies:.0} CopyObject/s without latency");
}

fn stats(controls: &str) -> Value {
    let mut connection = TcpStream::connect(controls).unwrap();
    write!(connection, "GET /sim/stats HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (from, to) = (answer.find('{').unwrap(), answer.rfind('}').unwrap());
    serde_json::from_str(answer.get(from..=to).unwrap()).unwrap()
}

/// All calls of S3 so far.
fn s3_calls(controls: &str) -> u64 {
    let stats = stats(controls);
    let calls = stats.get("calls").and_then(Value::as_object).unwrap();
    calls.values().filter_map(Value::as_u64).sum()
}

type Making<'a> = dyn Fn(Load, &str) -> Command + 'a;

/// One of those that are compared: makes the command that copies a load to a folder of `dest`.
struct Tool<'a> {
    name: &'static str,
    command: Box<Making<'a>>,
    took: [Vec<f64>; 2],
    calls: [u64; 2],
}

fn with_keys(command: &mut Command) -> &mut Command {
    command.env_remove("AWS_CA_BUNDLE").env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "y")
}

/// As its documentation advises for S3: one listing, no HEAD for a time of modification, no check of
/// the bucket, and many at once, because each waits for S3 most of the time.
fn rclone<'a>(folder: &Path, s3: &'a str) -> Option<Tool<'a>> {
    Command::new("rclone").arg("version").output().ok()?;
    let configuration = folder.join("rclone.conf");
    fs::write(&configuration, "").unwrap();
    let command = move |load: Load, to: &str| {
        let remote = format!(
            ":s3,provider=Other,env_auth,force_path_style,list_version=2,list_url_encode=true,no_check_bucket,endpoint='http://{s3}':"
        );
        let mut command = Command::new("rclone");
        command.arg("--config").arg(&configuration).arg("copy");
        command.arg(format!("{remote}src/{}", load.folder)).arg(format!("{remote}dest/{to}"));
        command.args(["--transfers", "256", "--checkers", "256", "--fast-list", "--checksum"]);
        command.args(["--s3-upload-concurrency", "16", "--s3-no-head", "--quiet"]);
        with_keys(&mut command);
        command
    };
    Some(tool("rclone", command))
}

fn s5cmd(s3: &str) -> Option<Tool<'_>> {
    let binary = env::var_os("S5CMD").unwrap_or_else(|| "s5cmd".into());
    Command::new(&binary).arg("version").output().ok()?;
    let command = move |load: Load, to: &str| {
        let mut command = Command::new(&binary);
        command.args(["--log", "error", "--numworkers", "256", "--endpoint-url"]).arg(format!("http://{s3}"));
        command.arg("cp").arg(format!("s3://src/{}/*", load.folder)).arg(format!("s3://dest/{to}/"));
        with_keys(&mut command).env("AWS_REGION", "us-east-1");
        command
    };
    Some(tool("s5cmd", command))
}

/// Ours: a daemon that runs already, asked by `submit copy-out … --wait`. Nothing where this version has no
/// such command.
fn ours(daemon: &str) -> Option<Tool<'_>> {
    let help = Command::new(BINARY).args(["submit", "copy-out", "--help"]).output().unwrap();
    let command = move |load: Load, to: &str| {
        let mut command = Command::new(BINARY);
        command.args(["submit", "copy-out"]).arg(format!("s3://src/{}.csv", load.folder)).arg("dest");
        command.args(["--prefix", &format!("{to}/"), "--wait", "--server", &format!("http://{daemon}")]);
        command
    };
    help.status.success().then(|| tool("copy-manager", command))
}

fn tool<'a>(name: &'static str, command: impl Fn(Load, &str) -> Command + 'a) -> Tool<'a> {
    Tool { name, command: Box::new(command), took: Default::default(), calls: [0; 2] }
}

fn median(took: &[f64]) -> f64 {
    let mut sorted = took.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The list of a load, where our daemon reads it.
fn put_list(s3: &str, load: Load) {
    let row = |n| format!("src,{}/{n:06}\n", load.folder);
    let list: String = (0..load.count).map(row).collect();
    let head = format!("PUT /src/{}.csv HTTP/1.1\r\nHost: {s3}\r\n{SIGNED}", load.folder);
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{list}", list.len());
    exchange(&mut TcpStream::connect(s3).unwrap(), &request);
}

#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
fn main() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.json");
    let series = |load: Load| {
        let key = format!("{}/{{n}}", load.folder);
        json!({"key": key, "size": load.size, "count": load.count, "parts": load.size.div_ceil(8 << 20)})
    };
    let buckets = json!([{"name": "src", "objects": LOADS.map(series)}, {"name": "dest"}]);
    fs::write(&world, json!({"projects": [], "buckets": buckets}).to_string()).unwrap();
    bound(&world);
    let (_simulator, controls, s3) = simulate(&world, "10ms");
    let mut serve = Command::new(BINARY);
    serve.arg("serve").env("COPY_MANAGER__EMBEDDED__DATABASE", folder.path().join("bench.sqlite"));
    serve
        .env("COPY_MANAGER__ADMIN__LISTEN", "127.0.0.1:0")
        .env("AWS_ENDPOINT_URL_S3", format!("http://{s3}"));
    serve.env("ICAV2_BASE_URL", format!("http://{controls}/ica/rest")).env("ICAV2_ACCESS_TOKEN", "bench");
    let (_daemon, addresses) =
        start(with_keys(&mut serve).env("AWS_REGION", "us-east-1"), true, &["\"ready\""]);
    for load in LOADS {
        put_list(&s3, load);
    }
    let tools = [ours(addresses.first().unwrap()), rclone(folder.path(), &s3), s5cmd(&s3)];
    let mut tools: Vec<_> = tools.into_iter().flatten().collect();
    // The first time makes the simulator hash what it serves, and is not counted.
    for run in 0..=RUNS {
        for tool in &mut tools {
            for ((load, took), calls) in LOADS.iter().zip(&mut tool.took).zip(&mut tool.calls) {
                let to = format!("{}-{run}/{}", tool.name, load.folder);
                let (before, began) = (s3_calls(&controls), Instant::now());
                let done = (tool.command)(*load, &to).output().unwrap();
                let seconds = began.elapsed().as_secs_f64();
                assert!(done.status.success(), "{}: {}", tool.name, String::from_utf8_lossy(&done.stderr));
                *calls = s3_calls(&controls) - before;
                took.extend((run > 0).then_some(seconds));
            }
        }
    }
    for (index, load) in LOADS.iter().enumerate() {
        let Load { folder, count, size } = load;
        println!("{folder}: {count} objects of {} KiB, median of {RUNS}", size >> 10);
        for tool in &tools {
            let (Some(took), Some(calls)) = (tool.took.get(index), tool.calls.get(index)) else { continue };
            let seconds = median(took);
            #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
            let rate = *count as f64 / seconds;
            println!("  {:12} {seconds:7.2} s  {rate:6.0} objects/s  {calls:6} calls", tool.name);
        }
        let of = |tool: &&Tool<'_>| tool.took.get(index).map_or(f64::NAN, |took| median(took));
        let others = tools.iter().filter(|tool| tool.name != "copy-manager");
        let best = others.map(|tool| of(&tool)).fold(f64::INFINITY, f64::min);
        match tools.iter().find(|tool| tool.name == "copy-manager") {
            Some(ours) => println!("  {:.2} times as fast as the better of the others", best / of(&ours)),
            None => println!("  copy-manager: this version has no `submit copy-out`"),
        }
    }
}
