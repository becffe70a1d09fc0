//! `copy-manager`, `rclone copy` and `s5cmd cp` side by side, against the simulated S3.
//!
//! Copies 5,000 objects of 10 KiB, 20 of 64 MiB, and 10,000 of 10 KiB that are named in a list, from one
//! bucket to another, server-side, with 10 ms added to each call, five times each, in turns; prints medians
//! of the time, of the processor time of the tool and of the simulator beside it, and of the largest resident
//! memory, and how ours compares with the better of the others. After each run every object must be at its
//! destination. Before that, how many calls a second the simulator answers, which bounds all that follows.
//!
//! A tool that is not installed is left out: `rclone` on the PATH, and `s5cmd` there or where `S5CMD`
//! says. `BENCH_RUNS` (5), `BENCH_LOADS` (`small,large,many`) and `BENCH_TOOLS` narrow it down, and
//! `BENCH_LOG` keeps what the daemon says in a file. Figures are kept in `docs/benchmarks.md`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement, not a service"
)]

mod support;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use support::{BINARY, PEAK, calls, memory, serve, shown, simulate, with_keys};

const RUNS: usize = 5;
/// Calls that each tool may have under way.
const AT_ONCE: &str = "256";
/// Any key opens the simulated buckets.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request";

/// What is copied: its folder in the bucket, how many objects, and of how many bytes.
#[derive(Clone, Copy)]
struct Load {
    folder: &'static str,
    count: u64,
    size: u64,
}

const LOADS: [Load; 3] = [
    Load { folder: "small", count: 5000, size: 10 << 10 },
    Load { folder: "large", count: 20, size: 64 << 20 },
    Load { folder: "many", count: 10_000, size: 10 << 10 },
];

impl Load {
    fn keys(self) -> impl Iterator<Item = String> {
        (0..self.count).map(|n| format!("{n:06}"))
    }
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
    let (_simulator, _, s3) = simulate(world, &["--latency", "0s"]);
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

/// Size and `ETag` of the objects below a prefix, by the names they have there.
fn objects(controls: &str, bucket: &str, prefix: &str) -> BTreeMap<String, (Value, Value)> {
    let found = shown(controls, &format!("objects?bucket={bucket}&prefix={prefix}"));
    let object = |found: &Value| {
        let name = found["key"].as_str().unwrap().strip_prefix(prefix).unwrap().to_owned();
        (name, (found["size"].clone(), found["etag"].clone()))
    };
    found.as_array().unwrap().iter().map(object).collect()
}

/// Sees that each object has arrived. Who copies an object of parts with one call makes another tag.
fn check(controls: &str, tool: &Tool<'_>, load: Load, to: &str) {
    let (from, there) = (format!("{}/", load.folder), format!("{to}/"));
    let (source, made) = (objects(controls, "src", &from), objects(controls, "dest", &there));
    for key in load.keys() {
        let (size, tag) = &source[&key];
        let (made_size, made_tag) = made.get(&key).unwrap_or_else(|| panic!("{}: no {to}/{key}", tool.name));
        assert_eq!(size, made_size, "{}: {to}/{key}", tool.name);
        if load.size < PART || tool.name == OURS {
            assert_eq!(tag, made_tag, "{}: {to}/{key}", tool.name);
        }
    }
}

/// Seconds of processor time that a process has used so far; with `ended`, those of its children that
/// have ended.
fn processor(pid: &str, ended: bool) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may hold spaces; what follows it begins with the third field.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let first = if ended { 13 } else { 11 };
    let ticks = fields.split(' ').skip(first).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

/// What one run has cost.
#[derive(Debug, Default)]
struct Cost {
    seconds: f64,
    /// Processor seconds of the tool, and of the simulator meanwhile.
    own: f64,
    simulator: f64,
    /// MiB.
    memory: f64,
    calls: BTreeMap<String, u64>,
}

/// Runs a command to its end; how long that took, and how much memory it had.
#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
fn run(command: &mut Command, errors: &Path) -> (f64, f64) {
    let over = AtomicBool::new(false);
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(fs::File::create(errors).unwrap()).spawn().unwrap();
    let pid = child.id();
    let (status, seconds, most) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !over.load(Ordering::Relaxed) {
                most = most.max(memory(pid, PEAK).unwrap_or(0.0));
                std::thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let status = child.wait().unwrap();
        let seconds = began.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        (status, seconds, watch.join().unwrap())
    });
    assert!(status.success(), "{command:?}: {}", fs::read_to_string(errors).unwrap());
    (seconds, most)
}

type Making<'a> = dyn Fn(Load, &str) -> Command + 'a;

const OURS: &str = "copy-manager";
/// The size of the parts of large objects.
const PART: u64 = 8 << 20;

/// One of those that are compared: makes the command that copies a load to a folder of `dest`.
struct Tool<'a> {
    name: &'static str,
    command: Box<Making<'a>>,
    costs: BTreeMap<&'static str, Vec<Cost>>,
}

/// As its documentation advises for S3: one listing, no HEAD for a time of modification, no check of
/// the bucket, and many at once, because each waits for S3 most of the time. Of many files it gets a list,
/// as ours does.
fn rclone<'a>(folder: &Path, s3: &'a str) -> Option<Tool<'a>> {
    Command::new("rclone").arg("version").output().ok()?;
    let configuration = folder.join("rclone.conf");
    fs::write(&configuration, "").unwrap();
    let list = folder.join("many.txt");
    fs::write(&list, LOADS[2].keys().map(|key| key + "\n").collect::<String>()).unwrap();
    let command = move |load: Load, to: &str| {
        let remote = format!(
            ":s3,provider=Other,env_auth,force_path_style,list_version=2,list_url_encode=true,no_check_bucket,endpoint='http://{s3}':"
        );
        let mut command = Command::new("rclone");
        command.arg("--config").arg(&configuration).arg("copy");
        command.arg(format!("{remote}src/{}", load.folder)).arg(format!("{remote}dest/{to}"));
        command.args(["--transfers", AT_ONCE, "--checkers", AT_ONCE, "--fast-list", "--checksum"]);
        command.args(["--s3-upload-concurrency", "16", "--s3-no-head", "--quiet"]);
        if load.folder == "many" {
            command.arg("--files-from").arg(&list);
        }
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
        command
            .args(["--log", "error", "--numworkers", AT_ONCE, "--endpoint-url"])
            .arg(format!("http://{s3}"));
        command.arg("cp").arg(format!("s3://src/{}/*", load.folder)).arg(format!("s3://dest/{to}/"));
        with_keys(&mut command);
        command
    };
    Some(tool("s5cmd", command))
}

/// Ours: a daemon that runs already, asked by `submit copy-out … --wait`.
fn ours(daemon: &str) -> Tool<'_> {
    let command = move |load: Load, to: &str| {
        let mut command = Command::new(BINARY);
        command.args(["submit", "copy-out"]).arg(format!("s3://src/{}.csv", load.folder)).arg("dest");
        command.args(["--prefix", &format!("{to}/"), "--copy-concurrency", AT_ONCE]);
        command.args(["--wait", "--server", &format!("http://{daemon}")]);
        command
    };
    tool(OURS, command)
}

fn tool<'a>(name: &'static str, command: impl Fn(Load, &str) -> Command + 'a) -> Tool<'a> {
    Tool { name, command: Box::new(command), costs: BTreeMap::new() }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The list of a load, where our daemon reads it.
fn put_list(s3: &str, load: Load) {
    let list: String =
        load.keys().flat_map(|key| ["src,", load.folder, "/", &key, "\n"].map(str::to_owned)).collect();
    let head = format!("PUT /src/{}.csv HTTP/1.1\r\nHost: {s3}\r\n{SIGNED}", load.folder);
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{list}", list.len());
    exchange(&mut TcpStream::connect(s3).unwrap(), &request);
}

/// Processes that have a part in each run.
struct Stage<'a> {
    controls: &'a str,
    simulator: u32,
    daemon: u32,
    folder: &'a Path,
}

impl Stage<'_> {
    /// Copies a load with a tool, and sees that it has arrived.
    fn measure(&self, tool: &Tool<'_>, load: Load, run_number: usize) -> Cost {
        let to = format!("{}-{run_number}/{}", tool.name, load.folder);
        let is_ours = tool.name == OURS;
        let used = || {
            let daemon = if is_ours { processor(&self.daemon.to_string(), false) } else { 0.0 };
            [processor("self", true) + daemon, processor(&self.simulator.to_string(), false)]
        };
        // Its memory is that of this run.
        fs::write(format!("/proc/{}/clear_refs", self.daemon), "5").unwrap();
        let (before, [own, simulator]) = (calls(self.controls), used());
        let (seconds, mut most) = run(&mut (tool.command)(load, &to), &self.folder.join("errors"));
        let [own_after, simulator_after] = used();
        if is_ours {
            most = memory(self.daemon, PEAK).unwrap();
        }
        let mut calls = calls(self.controls);
        calls.retain(|name, count| {
            *count -= before.get(name).unwrap_or(&0);
            *count > 0
        });
        check(self.controls, tool, load, &to);
        let (own, simulator) = (own_after - own, simulator_after - simulator);
        Cost { seconds, own, simulator, memory: most, calls }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
fn report(tools: &[Tool<'_>], load: Load, runs: usize) {
    let Load { folder, count, size } = load;
    println!("{folder}: {count} objects of {} KiB, median of {runs}", size >> 10);
    let of = |tool: &Tool<'_>, value: fn(&Cost) -> f64| {
        median(tool.costs.get(folder).into_iter().flatten().map(value))
    };
    let seconds = |tool: &Tool<'_>| of(tool, |cost| cost.seconds);
    for tool in tools {
        let (seconds, memory) = (seconds(tool), of(tool, |cost| cost.memory));
        let (own, simulator) = (of(tool, |cost| cost.own), of(tool, |cost| cost.simulator));
        let calls = of(tool, |cost| cost.calls.values().sum::<u64>() as f64) / count as f64;
        println!(
            "  {:12} {seconds:6.2} s {:6.0} objects/s, {calls:5.2} calls each, {own:5.2} s of processor beside {simulator:5.2} s of the simulator, {memory:4.0} MiB",
            tool.name,
            count as f64 / seconds
        );
        if let Some(last) = tool.costs.get(folder).and_then(|costs| costs.last()) {
            let named = last.calls.iter().map(|(name, count)| format!("{count} {name}"));
            println!("  {:12} {}", "", named.collect::<Vec<_>>().join(", "));
        }
    }
    let others = tools.iter().filter(|tool| tool.name != OURS);
    let best = others.map(seconds).fold(f64::INFINITY, f64::min);
    if let Some(ours) = tools.iter().find(|tool| tool.name == OURS) {
        println!("  {:.2} times as fast as the better of the others", best / seconds(ours));
    }
}

/// Whether a name is among those that a variable narrows it down to.
fn is_wanted(variable: &str, name: &str) -> bool {
    let wanted = env::var_os(variable);
    wanted.is_none_or(|wanted| wanted.to_string_lossy().split(',').any(|wanted| wanted == name))
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.json");
    let series = |load: Load| {
        let key = format!("{}/{{n}}", load.folder);
        json!({"key": key, "size": load.size, "count": load.count, "parts": load.size.div_ceil(PART)})
    };
    let buckets = json!([{"name": "src", "objects": LOADS.map(series)}, {"name": "dest"}]);
    fs::write(&world, json!({"projects": [], "buckets": buckets}).to_string()).unwrap();
    bound(&world);
    let (simulator, controls, s3) = simulate(&world, &["--latency", "10ms"]);
    let (daemon, address) = serve(&folder.path().join("bench.sqlite"), &controls, &s3, &[]);
    let loads: Vec<_> = LOADS.into_iter().filter(|load| is_wanted("BENCH_LOADS", load.folder)).collect();
    for load in &loads {
        put_list(&s3, *load);
    }
    let tools = [Some(ours(&address)), rclone(folder.path(), &s3), s5cmd(&s3)];
    let mut tools: Vec<_> =
        tools.into_iter().flatten().filter(|tool| is_wanted("BENCH_TOOLS", tool.name)).collect();
    let runs = env::var_os("BENCH_RUNS").map_or(RUNS, |runs| runs.to_string_lossy().parse().unwrap());
    let stage =
        Stage { controls: &controls, simulator: simulator.id(), daemon: daemon.id(), folder: folder.path() };
    // The first time makes the simulator hash what it serves, and is not counted.
    for run in 0..=runs {
        for tool in &mut tools {
            for load in &loads {
                let cost = stage.measure(tool, *load, run);
                if run > 0 {
                    tool.costs.entry(load.folder).or_default().push(cost);
                }
            }
        }
    }
    for load in loads {
        report(&tools, load, runs);
    }
}
