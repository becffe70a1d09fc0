//! Peak memory of a daemon that copies one folder of very many files, against the same daemon idle.
//!
//! Starts `simulate` and an embedded `serve` as processes, reads `VmHWM` (peak resident memory) of
//! the daemon before and after the copy of one folder of 200,000 tiny multi-part files by jobs, and
//! prints both with the API calls and the time it took. The figure to stay under is 512 MiB; it is
//! kept in `docs/benchmarks.md`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a service")]

mod support;

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use support::{BINARY, serve, shown, simulate};

const FILES: usize = 200_000;
const LIMIT_MIB: f64 = 512.0;

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
    let (_simulator, controls, s3) = simulate(&world, &["--job-duration", "10s"]);
    let more = [("COPY_MANAGER__ICAV2__REQUESTS_PER_SECOND", "200")];
    let (daemon, address) = serve(&folder.path().join("bench.sqlite"), &controls, &s3, &more);
    std::thread::sleep(Duration::from_secs(3));
    let idle = daemon.peak();
    let began = Instant::now();
    let submitted = Command::new(BINARY)
        .args(["submit", "copy", "icav2://lab/big/", "icav2://archive/in/", "--wait", "--server"])
        .arg(format!("http://{address}"))
        .output()
        .unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    let peak = daemon.peak();
    let stats = shown(&controls, "stats");
    let jobs = stats.pointer("/calls/POST ~1api~1projects~1{projectId}~1dataCopyBatch").cloned();
    println!(
        "folder of {FILES} files: idle {idle:.1} MiB, peak {peak:.1} MiB (limit {LIMIT_MIB}), {} calls, {} jobs, {took:.0} s",
        stats.get("total").cloned().unwrap_or_default(),
        jobs.unwrap_or_default(),
    );
    assert!(peak < LIMIT_MIB, "{peak} MiB");
}
