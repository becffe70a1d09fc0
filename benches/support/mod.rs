//! What benches that run the built binary have in common: its processes, and what can be seen of them.
#![allow(dead_code, reason = "each bench uses some of it")]

mod desk;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

pub(crate) use self::desk::{Desk, now};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_copy-manager");

/// The largest resident memory that a process has had, as [`memory`] knows it.
pub(crate) const PEAK: &str = "VmHWM:";

/// The resident memory that a process has now.
pub(crate) const RESIDENT: &str = "VmRSS:";

/// A process that ends with this value.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// The largest resident memory that it has had, MiB.
    pub(crate) fn peak(&self) -> f64 {
        memory(self.id(), PEAK).unwrap()
    }

    /// The resident memory that it has now, MiB.
    pub(crate) fn resident(&self) -> f64 {
        memory(self.id(), RESIDENT).unwrap()
    }

    /// Lets [`Process::peak`] begin anew.
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.id()), "5").unwrap();
    }
}

/// Starts the binary and waits for the addresses that it says it is ready at, one for each of `words`.
fn start(command: &mut Command, on_stdout: bool, words: &[&str]) -> (Process, Vec<String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (ready, other): (Box<dyn Read + Send>, Box<dyn Read + Send>) =
        if on_stdout { (Box::new(stdout), Box::new(stderr)) } else { (Box::new(stderr), Box::new(stdout)) };
    // Keep reading, or the process would block on a full pipe.
    std::thread::spawn(move || BufReader::new(other).lines().for_each(drop));
    let mut log = env::var_os("BENCH_LOG").filter(|_| on_stdout).map(|path| fs::File::create(path).unwrap());
    let mut lines = BufReader::new(ready).lines().inspect(move |line| {
        if let (Some(log), Ok(line)) = (&mut log, line) {
            writeln!(log, "{line}").unwrap();
        }
    });
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

/// A simulator of a world: the process, its controls and its S3.
pub(crate) fn simulate(world: &Path, more: &[&str]) -> (Process, String, String) {
    let mut command = Command::new(BINARY);
    command.args(["simulate", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"]).args(more);
    let words = ["\"ready\"", "simulated S3 is ready"];
    let (process, addresses) = start(command.arg("--world").arg(world), false, &words);
    let [controls, s3] = <[String; 2]>::try_from(addresses).unwrap();
    (process, controls, s3)
}

/// An embedded daemon beside a simulator and its S3, and its address; `more` of its environment.
pub(crate) fn serve(database: &Path, controls: &str, s3: &str, more: &[(&str, &str)]) -> (Process, String) {
    let mut command = Command::new(BINARY);
    command
        .arg("serve")
        .env("COPY_MANAGER__EMBEDDED__DATABASE", database)
        .env("COPY_MANAGER__ADMIN__LISTEN", "127.0.0.1:0")
        .env("ICAV2_BASE_URL", format!("http://{controls}/ica/rest"))
        .env("ICAV2_ACCESS_TOKEN", "bench")
        .env("AWS_ENDPOINT_URL_S3", format!("http://{s3}"))
        .envs(more.iter().copied());
    with_keys(&mut command);
    let (process, mut addresses) = start(&mut command, true, &["\"ready\""]);
    (process, addresses.remove(0))
}

/// Keys that open the simulated buckets, as any do.
pub(crate) fn with_keys(command: &mut Command) -> &mut Command {
    let keys = [("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y"), ("AWS_REGION", "us-east-1")];
    command.env_remove("AWS_CA_BUNDLE").envs(keys)
}

/// A line of `/proc/PID/status`, MiB; `None` once the process has ended.
pub(crate) fn memory(id: u32, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}

/// Seconds of processor time that a process has used so far; with `ended`, those of its children that
/// have ended.
pub(crate) fn processor(pid: &str, ended: bool) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may hold spaces; what follows it begins with the third field.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let first = if ended { 13 } else { 11 };
    let ticks = fields.split(' ').skip(first).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

/// An address of this machine that nobody listens on at the moment.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// One exchange on a connection of its own; the status, and the body.
pub(crate) fn exchange(address: &str, head: &str, body: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(address).unwrap();
    let length = body.len();
    let request =
        format!("{head}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Posts JSON, and reads the JSON that is answered.
pub(crate) fn post(address: &str, path: &str, body: &Value) -> Value {
    let head = format!("POST {path} HTTP/1.0\r\nContent-Type: application/json");
    let (status, answer) = exchange(address, &head, &body.to_string());
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
    serde_json::from_str(&answer).unwrap_or_default()
}

/// What the simulator shows of itself.
pub(crate) fn shown(controls: &str, path: &str) -> Value {
    let (_, body) = exchange(controls, &format!("GET /sim/{path} HTTP/1.0"), "");
    serde_json::from_str(&body).unwrap()
}

/// All calls so far, by operation.
pub(crate) fn calls(controls: &str) -> BTreeMap<String, u64> {
    let stats = shown(controls, "stats");
    let calls = stats.get("calls").and_then(Value::as_object).unwrap();
    calls.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
}
