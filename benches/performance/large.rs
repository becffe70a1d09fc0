//! How much memory the largest things take.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    figures::{Book, Row, is_full, scaled},
    stage::{Events, Request, Stage},
    support::{BINARY, exchange, now},
    worlds::{file, world},
};

pub(crate) const NAME: &str = "large";

const MOST_MIB: f64 = 128.0;
const PATIENCE: Duration = Duration::from_mins(30);
/// Any key opens the simulated buckets.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request";
const PACE: (&str, &str) = ("COPY_MANAGER__ICAV2__REQUESTS_PER_SECOND", "200");

/// The size, and whether it is the one that the aim is about.
fn size(full: usize, usual: usize, least: usize) -> (usize, &'static str) {
    if is_full() {
        (full, "full size")
    } else {
        (scaled(usual, least), "reduced size; FULL=1 for the full one")
    }
}

pub(crate) fn measure(book: &mut Book) {
    let (files, said) = size(200_000, 20_000, 200);
    let name = |n: usize| format!("/run/LPRJ240012_S{:05}_L{:03}_R1_001.fastq.gz", n / 8, n % 8);
    let all: Vec<_> = (0..files).map(|n| file(name(n), 2)).collect();
    copy(book, &format!("a folder of {files} files"), said, &world(&all, &[]), "10s");

    let (folders, said) = size(5000, 500, 10);
    let all: Vec<_> = (0..folders).map(|n| file(format!("/run/S{n:05}/reads.fastq.gz"), 2)).collect();
    copy(book, &format!("a request of {folders} folders"), said, &world(&all, &[]), "2s");

    let (rows, said) = size(1_000_000, 100_000, 1000);
    list(book, rows, said);
}

fn copy(book: &mut Book, name: &str, said: &str, world: &Value, job: &str) {
    let stage = Stage::set(world, &["--job-duration", job], &[PACE], Events::Straight);
    watched(book, &stage, name, said, || {
        let copied = stage.copy(Request::of_the_run(), PATIENCE);
        println!("  … {name}: {copied:?}");
        (copied.went_wrong, copied.calls)
    });
}

/// Goes through a list, all of it there already. Each row costs two HEADs at most.
fn list(book: &mut Book, rows: usize, said: &str) {
    let series =
        |key: &str| json!({"key": key, "size": 10, "count": rows, "sameAs": "src/run/240012_S{n}.fastq.gz"});
    let buckets = json!([
        {"name": "src", "objects": [series("run/240012_S{n}.fastq.gz")]},
        {"name": "dest", "objects": [series("in/240012_S{n}.fastq.gz")]},
    ]);
    let stage = Stage::set(&json!({"projects": [], "buckets": buckets}), &[], &[], Events::None);
    let row = |n| format!("src,run/240012_S{n:06}.fastq.gz\n");
    let list: String = (0..rows).map(row).collect();
    let (status, told) = exchange(&stage.s3, &format!("PUT /src/list.csv HTTP/1.1\r\n{SIGNED}"), &list);
    assert_eq!(status, 200, "{told}");
    watched(book, &stage, &format!("a list of {rows} rows"), said, || {
        let mut submit = Command::new(BINARY);
        submit.args(["submit", "copy-out", "s3://src/list.csv", "dest", "--prefix", "in/", "--json"]);
        submit.args(["--max-items-per-batch", "1000", "--wait", "--server"]);
        let submitted = submit.arg(format!("http://{}", stage.address)).output().unwrap();
        let said = String::from_utf8_lossy(&submitted.stderr).into_owned();
        let calls = crate::support::calls(&stage.controls).values().sum();
        (Some(said).filter(|_| !submitted.status.success()), calls)
    });
}

/// Does something, and watches how much memory the daemon has meanwhile.
#[expect(clippy::cast_precision_loss, reason = "counts of millions")]
fn watched(
    book: &mut Book,
    stage: &Stage,
    name: &str,
    said: &str,
    act: impl FnOnce() -> (Option<String>, u64),
) {
    thread::sleep(Duration::from_secs(3));
    let idle = stage.daemon.resident();
    let (began, over) = (now(), AtomicBool::new(false));
    let ((wrong, calls), seconds, mut course) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut course = Vec::new();
            while !over.load(Ordering::Relaxed) {
                course.push((began.elapsed().as_secs_f64(), stage.daemon.resident() - idle));
                thread::sleep(Duration::from_millis(200));
            }
            course
        });
        let done = act();
        let seconds = began.elapsed().as_secs_f64();
        // The answer is told before the records are put away.
        thread::sleep(Duration::from_secs(3));
        over.store(true, Ordering::Relaxed);
        (done, seconds, watch.join().unwrap())
    });
    let peak = stage.daemon.peak() - idle;
    let wrong = wrong.map_or(String::new(), |wrong| format!("**did not succeed: {wrong}**; "));
    let note = format!("{wrong}{said}; idle {idle:.0} MiB");
    book.row(
        Row::one(format!("{name}: the most memory over idle"), "MiB", peak).at_most(MOST_MIB).note(note),
    );
    book.row(Row::one(format!("{name}: time"), "s", seconds).note(format!("{calls} calls")));
    book.row(Row::one(format!("{name}: calls a second"), "calls/s", calls as f64 / seconds));
    let every = course.len().div_ceil(200).max(1);
    course = course.into_iter().step_by(every).collect();
    book.curve(format!("{name}, MiB over idle"), course);
}
