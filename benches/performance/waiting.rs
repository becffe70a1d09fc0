//! What requests cost that only wait for their jobs.

use std::{env, thread, time::Duration};

use crate::{
    figures::{Book, Row, scaled},
    stage::{Events, Request, Stage, side_by_side, wait_until},
    support::{now, processor},
    worlds::{file, world},
};

pub(crate) const NAME: &str = "waiting";

const ROOTS: usize = 4000;
/// Requests that are made at a time.
const AT_ONCE: usize = 4;
/// How long they are watched while they wait.
const WATCHED: Duration = Duration::from_secs(30);
/// From the last submission until that begins.
const REST: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_mins(8);
const GOAL_ROOTS: f64 = 50_000.0;
const GOAL_MIB: f64 = 200.0;

#[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
pub(crate) fn measure(book: &mut Book) {
    let asked = env::var("ROOTS").ok().map(|roots| roots.parse::<usize>().unwrap());
    let roots = asked.unwrap_or_else(|| scaled(ROOTS, 50));
    let files: Vec<_> = (0..roots).map(|n| file(format!("/run/f{n:05}/reads.fastq.gz"), 2)).collect();
    let limit = (roots + 10).to_string();
    let settings = [
        ("COPY_MANAGER__ICAV2__REQUESTS_PER_SECOND", "2000"),
        ("COPY_MANAGER__ICAV2__MAX_RUNNING_JOBS", &limit),
        // Nobody is told of heartbeats.
        ("COPY_MANAGER__EMBEDDED__OUTCOME_URL", ""),
    ];
    let stage = Stage::set(&world(&files, &[]), &["--job-duration", "10h"], &settings, Events::None);
    thread::sleep(Duration::from_secs(3));
    let idle = stage.daemon.resident();
    let began = now();
    let request = |n: usize| Request {
        token: format!("token-{n:05}"),
        sources: vec![format!("icav2://lab/run/f{n:05}/reads.fastq.gz")],
        destination: format!("icav2://archive/in/f{n:05}/"),
    };
    let lots: Vec<Vec<Request>> = (0..roots)
        .collect::<Vec<_>>()
        .chunks(100)
        .map(|lot| lot.iter().copied().map(request).collect())
        .collect();
    side_by_side(&lots, AT_ONCE, |lot| stage.ask(lot));
    let intake = began.elapsed().as_secs_f64();
    let mut course = Vec::new();
    let all = wait_until(PATIENCE, Duration::from_millis(500), || {
        course.push((began.elapsed().as_secs_f64(), stage.daemon.resident()));
        stage.jobs() >= roots as u64
    });
    let submitted = began.elapsed().as_secs_f64();
    let jobs = stage.jobs();
    let what = format!("{roots} requests");
    let note = if all { String::new() } else { format!("**only {jobs} were submitted**") };
    book.row(Row::one(format!("{what}: until all are taken"), "s", intake));
    book.row(Row::one(format!("{what}: until all are submitted"), "s", submitted).note(note));
    thread::sleep(REST);
    let pid = stage.daemon.id().to_string();
    let (calls, used, began_to_watch) = (stage.api_calls(), processor(&pid, false), now());
    let end = began_to_watch + WATCHED;
    while now() < end {
        course.push((began.elapsed().as_secs_f64(), stage.daemon.resident()));
        thread::sleep(Duration::from_secs(1));
    }
    let seconds = began_to_watch.elapsed().as_secs_f64();
    let calls = (stage.api_calls() - calls) as f64 / seconds;
    let used = (processor(&pid, false) - used) / seconds * 100.0;
    let (resident, peak) = (stage.daemon.resident(), stage.daemon.peak());
    let each = |mib: f64| (mib - idle) * 1024.0 / jobs.max(1) as f64;
    let aim = GOAL_MIB * 1024.0 / GOAL_ROOTS;
    book.row(
        Row::one(format!("{what}: resident memory over idle, each"), "KiB", each(resident))
            .at_most(aim)
            .note(format!("idle {idle:.0} MiB, now {resident:.0} MiB, at most {peak:.0} MiB")),
    );
    book.row(Row::one(format!("{what}: the most resident memory over idle, each"), "KiB", each(peak)));
    book.row(Row::one(format!("{what}: processor while they wait"), "% of a core", used));
    // One page of statuses every two seconds.
    let pages = (jobs as f64 / 1000.0).ceil() / 2.0;
    book.row(Row::one(format!("{what}: API calls while they wait"), "calls/s", calls).at_most(pages));
    book.curve("resident memory, MiB", course);
}
