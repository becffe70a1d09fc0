//! Peak memory of a daemon that goes through a list of very many objects, all of them there already.
//!
//! Starts `simulate` with two buckets of as many equal objects, and an embedded `serve` as a process of
//! its own; asks for a copy-out of a list of 1,000 rows and, of another daemon, of one of `ROWS` (1,000,000
//! where nothing is said), and reads `VmHWM` (peak resident memory) of the daemons. Each row costs two HEADs
//! and ends as `ALREADYCOPIED`. Prints what a row costs in memory beyond what the short list needs, while the
//! list is read and gone through: what tells two objects with one key is to be all of it, and may be 32
//! bytes. A long summary is written in parts at the end, which take the same room however many there are. The
//! figure to stay under is 150 MiB; both are kept in `docs/benchmarks.md`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a service")]

mod support;

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;

use support::{BINARY, PEAK, calls, memory, serve, simulate};

const ROWS: u64 = 1_000_000;
const FEW: u64 = 1000;
const LIMIT_MIB: f64 = 150.0;
const LIMIT_ROW: f64 = 32.0;
/// Any key opens the simulated buckets.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request";

fn s3_calls(controls: &str) -> u64 {
    calls(controls).values().sum()
}

fn put_list(s3: &str, key: &str, rows: u64) {
    let row = |n| format!("src,run/240012_S{n:06}.fastq.gz\n");
    let list: String = (0..rows).map(row).collect();
    let head = format!("PUT /src/{key} HTTP/1.1\r\nHost: {s3}\r\n{SIGNED}\r\nConnection: close");
    let mut connection = TcpStream::connect(s3).unwrap();
    write!(connection, "{head}\r\nContent-Length: {}\r\n\r\n{list}", list.len()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// What one list took.
struct Took {
    idle: f64,
    peak: f64,
    seconds: f64,
    calls: u64,
    /// The peak so far when half of the time had gone by: the list had been read and planned long before.
    halfway: f64,
    /// Resident memory at times that are as far from each other.
    course: Vec<f64>,
}

/// Has a new daemon go through a list of so many rows.
#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
fn go_through(folder: &Path, controls: &str, s3: &str, rows: u64) -> Took {
    let key = format!("{rows}.csv");
    put_list(s3, &key, rows);
    let (daemon, address) = serve(&folder.join(format!("{rows}.sqlite")), controls, s3, &[]);
    let id = daemon.id();
    std::thread::sleep(Duration::from_secs(2));
    let (idle, before, began) = (daemon.peak(), s3_calls(controls), Instant::now());
    let ended = AtomicBool::new(false);
    let (submitted, course) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut course = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                course.extend(memory(id, "VmRSS:").zip(memory(id, PEAK)));
                std::thread::sleep(Duration::from_millis(500));
            }
            course
        });
        let mut submit = Command::new(BINARY);
        submit.args(["submit", "copy-out", &format!("s3://src/{key}"), "dest", "--prefix", "in/", "--json"]);
        submit.args(["--max-items-per-batch", "1000", "--wait", "--server"]);
        let submitted = submit.arg(format!("http://{address}")).output().unwrap();
        ended.store(true, Ordering::Relaxed);
        (submitted, watch.join().unwrap())
    });
    let seconds = began.elapsed().as_secs_f64();
    let told = String::from_utf8_lossy(&submitted.stdout);
    assert!(submitted.status.success(), "{told}{}", String::from_utf8_lossy(&submitted.stderr));
    // The answer is told before the records are put away.
    std::thread::sleep(Duration::from_secs(3));
    let (peak, calls) = (daemon.peak(), s3_calls(controls) - before);
    let every = course.len().div_ceil(16).max(1);
    let halfway = course.get(course.len() / 2).map_or(peak, |(_, peak)| *peak);
    let course = course.into_iter().step_by(every).map(|(now, _)| now).collect();
    Took { idle, peak, seconds, calls, halfway, course }
}

#[expect(clippy::disallowed_methods, reason = "a bench takes no settings else")]
fn main() {
    let rows = env::var("ROWS").ok().map_or(ROWS, |rows| rows.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.json");
    let series = |key: &str| json!({"key": key, "size": 10, "count": rows.max(FEW), "sameAs": "src/run/240012_S{n}.fastq.gz"});
    let buckets = json!([
        {"name": "src", "objects": [series("run/240012_S{n}.fastq.gz")]},
        {"name": "dest", "objects": [series("in/240012_S{n}.fastq.gz")]},
    ]);
    fs::write(&world, json!({"projects": [], "buckets": buckets}).to_string()).unwrap();
    let (_simulator, controls, s3) = simulate(&world, &[]);
    let mut peaks = Vec::new();
    for rows in [FEW, rows] {
        let Took { idle, peak, seconds, calls, halfway, course } =
            go_through(folder.path(), &controls, &s3, rows);
        println!("{rows} rows: idle {idle:.1} MiB, peak {peak:.1} MiB, {calls} calls of S3, {seconds:.1} s");
        let course: Vec<_> = course.iter().map(|mib| format!("{mib:.0}")).collect();
        println!("  on the way: {} MiB", course.join(" "));
        peaks.push((halfway, peak));
    }
    let [(few, _), (many, peak)] = <[(f64, f64); 2]>::try_from(peaks).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a count of millions")]
    let each = (many - few) * 1024.0 * 1024.0 / rows as f64;
    println!(
        "before the summary {many:.1} MiB: beyond {FEW} rows, {each:.1} bytes a row (limit {LIMIT_ROW})"
    );
    println!("peak {peak:.1} MiB (limit {LIMIT_MIB})");
    assert!(peak < LIMIT_MIB, "{peak} MiB");
    // Of a short list, what does not grow with it is the most.
    assert!(rows < ROWS || each <= LIMIT_ROW, "{each} bytes a row");
}
