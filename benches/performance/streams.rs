//! How fast bytes pass through the daemon, beside a plain copy of the same bytes on the same platform.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    figures::{Book, Row, scaled},
    stage::{Events, Request, Stage},
    streams_plain::{by_curl, by_hand, has_curl},
    support::{now, processor, shown},
    worlds::world,
};

pub(crate) const NAME: &str = "streams";

const MIB: usize = 1 << 20;
/// Streams at a time, as delivered.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_mins(5);
/// Each file is one call that makes it: at the usual pace 16 files take a second, whatever their size.
const PACE: (&str, &str) = ("COPY_MANAGER__ICAV2__REQUESTS_PER_SECOND", "1000");
const MOST_MIB: f64 = 64.0;
const RUNS: usize = 3;

/// Files of one size.
#[derive(Clone, Copy)]
struct Load {
    folder: &'static str,
    count: usize,
    size: usize,
}

impl Load {
    fn paths(self) -> impl Iterator<Item = String> {
        (0..self.count).map(move |n| format!("/run/{}/{n:02}.bin", self.folder))
    }

    fn name(self) -> String {
        format!("{} files of {} MiB", self.count, self.size / MIB)
    }

    /// MiB a second.
    #[expect(clippy::cast_precision_loss, reason = "some GiB")]
    fn rate(self, took: Duration) -> f64 {
        (self.count * self.size) as f64 / MIB as f64 / took.as_secs_f64()
    }
}

pub(crate) fn measure(book: &mut Book) {
    let loads = [
        Load { folder: "small", count: 16, size: 8 * MIB },
        Load { folder: "large", count: 4, size: scaled(1024, 8) * MIB },
    ];
    let files = loads
        .iter()
        .flat_map(|load| load.paths().map(|path| json!({"path": path, "size": load.size, "parts": 1})));
    let stage = Stage::set(&world(&files.collect::<Vec<_>>(), &[]), &[], &[PACE], Events::None);
    thread::sleep(Duration::from_secs(2));
    for load in loads {
        let (mut ours, mut memory, mut used) = (Vec::new(), Vec::new(), Vec::new());
        let (mut plain, mut curl) = (Vec::new(), Vec::new());
        let runs = if load.count == AT_ONCE { RUNS } else { RUNS - 1 };
        let paths: Vec<_> = load.paths().collect();
        for run in 0..runs {
            let (took, over_idle, seconds) = by_daemon(&stage, load, run);
            ours.push(load.rate(took));
            memory.push(over_idle);
            used.push(seconds * 1024.0 / load.rate(Duration::from_secs(1)));
            plain.push(load.rate(by_hand(&stage.controls, &paths, load.size, AT_ONCE, &format!("h{run}"))));
            if has_curl() {
                curl.push(load.rate(by_curl(
                    &stage.controls,
                    &paths,
                    load.size,
                    AT_ONCE,
                    &format!("c{run}"),
                )));
            }
        }
        let best = |values: &[f64]| values.iter().copied().fold(f64::NAN, f64::max);
        let (name, rate) = (load.name(), best(&plain));
        book.row(Row::median(format!("{name}: streamed"), "MiB/s", &ours).peer("plain copy", Some(rate)));
        let share: Vec<_> = ours.iter().zip(&plain).map(|(ours, plain)| ours / plain).collect();
        book.row(Row::median(format!("{name}: of a plain copy"), "×", &share).at_least(0.9));
        let share: Vec<_> = ours.iter().zip(&curl).map(|(ours, curl)| ours / curl).collect();
        let row = if has_curl() {
            Row::median(format!("{name}: of `curl | curl`"), "×", &share)
        } else {
            Row::none(format!("{name}: of `curl | curl`"), "×", "**curl is not installed**")
        };
        book.row(row.at_least(1.5).peer("curl, MiB/s", Some(best(&curl)).filter(|rate| rate.is_finite())));
        book.row(Row::median(format!("{name}: processor of the daemon"), "s a GiB", &used));
        let row = Row::median(format!("{name}: the most memory over idle"), "MiB", &memory);
        book.row(row.at_most(MOST_MIB).note(format!("{} at a time", load.count.min(AT_ONCE))));
    }
}

/// Has the daemon copy the folder of a load; from the first byte to the last, MiB over idle, and seconds of
/// processor.
fn by_daemon(stage: &Stage, load: Load, run: usize) -> (Duration, f64, f64) {
    // What another run has left is given back by now.
    thread::sleep(Duration::from_secs(1));
    let idle = stage.daemon.resident();
    stage.daemon.forget_peak();
    let pid = stage.daemon.id().to_string();
    let used = processor(&pid, false);
    let over = AtomicBool::new(false);
    let folder = load.folder;
    let request = Request {
        token: format!("{folder}-{run}"),
        sources: vec![format!("icav2://lab/run/{folder}/")],
        destination: format!("icav2://archive/in/{run}/"),
    };
    let took = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (at_first, wanted) = (bytes(stage), load.count * load.size);
            let mut times: [Option<Instant>; 2] = [None, None];
            while times[1].is_none() && !over.load(Ordering::Relaxed) {
                let (out, put) = bytes(stage);
                if out > at_first.0 {
                    times[0].get_or_insert_with(now);
                }
                if put >= at_first.1 + wanted {
                    times[1] = Some(now());
                }
                // Each look costs the simulator some time.
                thread::sleep(Duration::from_millis(if wanted > 256 * MIB { 25 } else { 4 }));
            }
            times[1].zip(times[0]).map(|(last, first)| last - first)
        });
        let copied = stage.copy(request, PATIENCE);
        over.store(true, Ordering::Relaxed);
        assert!(copied.went_wrong.is_none(), "{copied:?}");
        watch.join().unwrap().unwrap_or(Duration::from_secs_f64(copied.seconds))
    });
    (took, stage.daemon.peak() - idle, processor(&pid, false) - used)
}

/// What has been got from the platform, and put there.
fn bytes(stage: &Stage) -> (usize, usize) {
    let stats = shown(&stage.controls, "stats");
    let of = |name: &str| usize::try_from(stats[name].as_u64().unwrap()).unwrap();
    (of("bytes_out"), of("bytes_in"))
}
