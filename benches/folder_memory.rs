//! Peak memory of a daemon that copies one folder of very many files, against the same daemon idle.
//!
//! Starts `simulate` and an embedded `serve` as processes, reads `VmHWM` (peak resident memory) of
//! the daemon before and after the copy of one folder of 200,000 tiny multi-part files by jobs, and
//! prints both with the API calls and the time it took. The figure to stay under is 512 MiB; it is
//! kept in `docs/benchmarks.md`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a service")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const FILES: usize = 200_000;
const LIMIT_MIB: f64 = 512.0;
const BINARY: &str = env!("CARGO_BIN_EXE_copy-manager");

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts the binary and waits for the address in its `ready` line.
fn start(command: &mut Command, ready_on_stdout: bool) -> (Process, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout: ChildStdout = child.stdout.take().unwrap();
    let stderr = child.stderr.take().unwrap();
    let (ready, other): (Box<dyn std::io::Read + Send>, Box<dyn std::io::Read + Send>) = if ready_on_stdout {
        (Box::new(stdout), Box::new(stderr))
    } else {
        (Box::new(stderr), Box::new(stdout))
    };
    // Keep reading, or the process would block on a full pipe.
    std::thread::spawn(move || BufReader::new(other).lines().for_each(drop));
    let mut lines = BufReader::new(ready).lines();
    let address = loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(rest) = line.split("\"address\":\"").nth(1)
            && line.contains("\"ready\"")
        {
            break rest.split('"').next().unwrap().to_owned();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    (Process(child), address)
}

fn peak_mib(process: &Process) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

fn stats(simulator: &str) -> Value {
    let mut connection = TcpStream::connect(simulator).unwrap();
    write!(connection, "GET /sim/stats HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (from, to) = (answer.find('{').unwrap(), answer.rfind('}').unwrap());
    serde_json::from_str(answer.get(from..=to).unwrap()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
fn main() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.json");
    let name = |n: usize| format!("/big/LPRJ240012_S{:05}_L{:03}_R1_001.fastq.gz", n / 8, n % 8);
    let files: Vec<_> = (0..FILES).map(|n| json!({"path": name(n), "size": 10, "parts": 2})).collect();
    let projects = json!({"projects": [
        {"id": "11111111-1111-4111-8111-111111111111", "name": "lab", "byob": null, "folders": [], "files": files},
        {"id": "22222222-2222-4222-8222-222222222222", "name": "archive", "byob": null, "folders": ["/in/"], "files": []},
    ]});
    fs::write(&world, projects.to_string()).unwrap();
    let (_simulator, simulator) = start(
        Command::new(BINARY)
            .args(["simulate", "--listen", "127.0.0.1:0", "--job-duration", "10s", "--world"])
            .arg(&world),
        false,
    );
    let (daemon, address) = start(
        Command::new(BINARY)
            .arg("serve")
            .env("COPY_MANAGER__EMBEDDED__DATABASE", folder.path().join("bench.sqlite"))
            .env("COPY_MANAGER__ADMIN__LISTEN", "127.0.0.1:0")
            .env("COPY_MANAGER__ICAV2__REQUESTS_PER_SECOND", "200")
            .env("ICAV2_BASE_URL", format!("http://{simulator}/ica/rest"))
            .env("ICAV2_ACCESS_TOKEN", "bench"),
        true,
    );
    std::thread::sleep(Duration::from_secs(3));
    let idle = peak_mib(&daemon);
    let began = Instant::now();
    let submitted = Command::new(BINARY)
        .args(["submit", "copy", "icav2://lab/big/", "icav2://archive/in/", "--wait", "--server"])
        .arg(format!("http://{address}"))
        .output()
        .unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    let peak = peak_mib(&daemon);
    let stats = stats(&simulator);
    let jobs = stats.pointer("/calls/POST ~1api~1projects~1{projectId}~1dataCopyBatch").cloned();
    println!(
        "folder of {FILES} files: idle {idle:.1} MiB, peak {peak:.1} MiB (limit {LIMIT_MIB}), {} calls, {} jobs, {took:.0} s",
        stats.get("total").cloned().unwrap_or_default(),
        jobs.unwrap_or_default(),
    );
    assert!(peak < LIMIT_MIB, "{peak} MiB");
}
