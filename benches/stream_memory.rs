//! Peak memory of a daemon that streams one large single-part file, against the same daemon idle.
//!
//! Starts `simulate` and an embedded `serve` as processes, reads `VmHWM` (peak resident memory) of
//! the daemon before and after the copy of one file of 1 GiB, and prints both with the time it took.
//! The figure to beat is 64 MiB more than idle; it is kept in `docs/benchmarks.md`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a service")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

const MIB: f64 = 1024.0;
const BINARY: &str = env!("CARGO_BIN_EXE_copy-manager");
const WORLD: &str = r#"{"projects": [
  {"id": "11111111-1111-4111-8111-111111111111", "name": "lab", "byob": null, "folders": [],
   "files": [{"path": "/big.bin", "size": 1073741824, "parts": 1}]},
  {"id": "22222222-2222-4222-8222-222222222222", "name": "archive", "byob": null, "folders": ["/in/"], "files": []}
]}"#;

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
    let lines: Box<dyn std::io::Read + Send> =
        if ready_on_stdout { Box::new(stdout) } else { Box::new(stderr) };
    let mut lines = BufReader::new(lines).lines();
    let address = loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(rest) = line.split("\"address\":\"").nth(1)
            && line.contains("\"ready\"")
        {
            break rest.split('"').next().unwrap().to_owned();
        }
    };
    // Keep reading, or the process would block on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (Process(child), address)
}

fn peak_mib(process: &Process) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
fn main() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.json");
    fs::write(&world, WORLD).unwrap();
    let (_simulator, simulator) = start(
        Command::new(BINARY).args(["simulate", "--listen", "127.0.0.1:0", "--world"]).arg(&world),
        false,
    );
    let (daemon, address) = start(
        Command::new(BINARY)
            .arg("serve")
            .env("COPY_MANAGER__EMBEDDED__DATABASE", folder.path().join("bench.sqlite"))
            .env("COPY_MANAGER__ADMIN__LISTEN", "127.0.0.1:0")
            .env("ICAV2_BASE_URL", format!("http://{simulator}/ica/rest"))
            .env("ICAV2_ACCESS_TOKEN", "bench"),
        true,
    );
    std::thread::sleep(Duration::from_secs(3));
    let idle = peak_mib(&daemon);
    let began = Instant::now();
    let submitted = Command::new(BINARY)
        .args(["submit", "copy", "icav2://lab/big.bin", "icav2://archive/in/", "--wait", "--server"])
        .arg(format!("http://{address}"))
        .output()
        .unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    let peak = peak_mib(&daemon);
    let rate = MIB / took;
    println!(
        "stream of 1 GiB: idle {idle:.1} MiB, peak {peak:.1} MiB (+{:.1} MiB), {took:.1} s, {rate:.0} MiB/s",
        peak - idle
    );
}
