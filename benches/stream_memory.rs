//! Peak memory of a daemon that streams one large single-part file, against the same daemon idle.
//!
//! Starts `simulate` and an embedded `serve` as processes, reads `VmHWM` (peak resident memory) of
//! the daemon before and after the copy of one file of 1 GiB, and prints both with the time it took.
//! The figure to beat is 64 MiB more than idle; it is kept in `docs/benchmarks.md`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a service")]

mod support;

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use support::{BINARY, serve, simulate};

const MIB: f64 = 1024.0;
const WORLD: &str = r#"{"projects": [
  {"id": "11111111-1111-4111-8111-111111111111", "name": "lab", "byob": null, "folders": [],
   "files": [{"path": "/big.bin", "size": 1073741824, "parts": 1}]},
  {"id": "22222222-2222-4222-8222-222222222222", "name": "archive", "byob": null, "folders": ["/in/"], "files": []}
]}"#;

#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
fn main() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.json");
    fs::write(&world, WORLD).unwrap();
    let (_simulator, controls, s3) = simulate(&world, &[]);
    let (daemon, address) = serve(&folder.path().join("bench.sqlite"), &controls, &s3, &[]);
    std::thread::sleep(Duration::from_secs(3));
    let idle = daemon.peak();
    let began = Instant::now();
    let submitted = Command::new(BINARY)
        .args(["submit", "copy", "icav2://lab/big.bin", "icav2://archive/in/", "--wait", "--server"])
        .arg(format!("http://{address}"))
        .output()
        .unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    let peak = daemon.peak();
    let rate = MIB / took;
    println!(
        "stream of 1 GiB: idle {idle:.1} MiB, peak {peak:.1} MiB (+{:.1} MiB), {took:.1} s, {rate:.0} MiB/s",
        peak - idle
    );
}
