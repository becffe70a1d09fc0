//! How many API calls a file costs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    bound,
    figures::{Book, Row, scale, scaled},
    stage::{Copied, Events, Request, Stage, complaints, side_by_side},
    support::post,
    worlds,
};

pub(crate) const NAME: &str = "calls";

const AT_ONCE: usize = 3;
const PATIENCE: Duration = Duration::from_mins(8);
const JOB: f64 = 10.0;
/// Whole folders, where ICAv2 can be trusted with single-part files.
const WHOLE: [(&str, &str); 2] =
    [("COPY_MANAGER__COPY__FOLDERS", "whole"), ("COPY_MANAGER__COPY__SINGLE_PART", "job")];
/// The job of either world fails once.
const BAD_SEED: u64 = 2;
const PEER: &str = "the reference";

/// A world, and what the reference needs for it.
struct World {
    name: String,
    content: Value,
    files: usize,
    /// Calls a file at most, without failures and with them.
    aims: [f64; 2],
    /// Calls a file of the newest reference: without failures; of November 2025: without, with.
    newest: f64,
    /// Its makespan, seconds.
    newest_takes: f64,
    of_2025: [&'static str; 2],
}

/// A run of one of the worlds.
struct Run {
    world: usize,
    failing: f64,
    seed: u64,
    whole: bool,
}

impl Run {
    fn make(&self, worlds: &[World]) -> Copied {
        let (seed, failing) = (self.seed.to_string(), self.failing.to_string());
        let options =
            ["--seed", &seed, "--job-duration", "10s", "--job-failure-rate", &failing, "--latency", "50ms"];
        let settings: &[(&str, &str)] = if self.whole { &WHOLE } else { &[] };
        let stage = Stage::set(&worlds[self.world].content, &options, settings, Events::None);
        if self.whole {
            post(&stage.controls, "/sim/faults", &json!({"tagDefect": false}));
        }
        let copied = stage.copy(Request::of_the_run(), PATIENCE);
        println!("  … {}, seed {}, whole {}: {copied:?}", worlds[self.world].name, self.seed, self.whole);
        copied
    }
}

fn worlds() -> [World; 2] {
    let files = scaled(1000, 20);
    [
        World {
            name: "(a) 200 files in 12 folders".to_owned(),
            content: worlds::run(),
            files: 200,
            aims: [0.45, 0.6],
            newest: 0.085,
            newest_takes: 16.5,
            of_2025: ["5.42 calls a file", "5.5 to 5.9 calls a file in 4 of 7 runs, and no answer in 3"],
        },
        World {
            name: format!("(b) {files} files in one folder"),
            content: worlds::folder(files),
            files,
            aims: [0.11, 0.3],
            newest: 0.017,
            newest_takes: 17.1,
            of_2025: ["4.515 calls a file", "4.515 calls a file, and 6.32 where the job fails"],
        },
    ]
}

fn runs() -> Vec<Run> {
    let seeds = if scale() < 1.0 { 1 } else { 5 };
    let mut runs = Vec::new();
    for world in [0, 1] {
        runs.extend((1..=seeds).map(|seed| Run { world, failing: 0.2, seed, whole: false }));
        runs.push(Run { world, failing: 0.2, seed: BAD_SEED, whole: true });
        runs.push(Run { world, failing: 0.0, seed: 1, whole: false });
        runs.push(Run { world, failing: 0.0, seed: 1, whole: true });
    }
    runs
}

pub(crate) fn measure(book: &mut Book) {
    let (worlds, runs) = (worlds(), runs());
    let done = side_by_side(&runs, AT_ONCE, |run| run.make(&worlds));
    for (number, world) in worlds.iter().enumerate() {
        let of = |failing: bool, whole: bool| {
            let mine = runs
                .iter()
                .zip(&done)
                .filter(|(run, _)| (run.world, run.whole, run.failing > 0.0) == (number, whole, failing));
            mine.map(|(_, copied)| copied.clone()).collect::<Vec<_>>()
        };
        defaults(book, world, &of(false, false), &of(true, false));
        whole(book, world, &of(false, true), &of(true, true));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
fn a_file(world: &World, runs: &[Copied]) -> Vec<f64> {
    runs.iter().map(|run| run.calls as f64 / world.files as f64).collect()
}

fn defaults(book: &mut Book, world: &World, well: &[Copied], failing: &[Copied]) {
    let name = &world.name;
    for (runs, what, which) in [(well, "no job failing", 0), (failing, "20 % of the jobs failing", 1)] {
        let said = complaints(runs);
        let before = format!("{PEER} of November 2025: {}", world.of_2025[which]);
        let note = [said, before].into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ");
        let row = Row::mean(format!("{name}, {what}"), "calls a file", &a_file(world, runs));
        let peer = (which == 0).then_some(world.newest);
        let how = if which == 0 { PEER } else { "the reference loses the request when its job fails" };
        book.row(row.at_most(world.aims[which]).peer(how, peer).note(note));
    }
}

fn whole(book: &mut Book, world: &World, well: &[Copied], failing: &[Copied]) {
    let name = format!("{}, `folders = \"whole\"`, `single_part = \"job\"`", world.name);
    let seconds = |runs: &[Copied]| runs.iter().map(|run| run.seconds).collect::<Vec<_>>();
    let calls = Row::mean(format!("{name}, job well"), "calls a file", &a_file(world, well));
    book.row(calls.peer(PEER, Some(world.newest)).note(complaints(well)));
    let row = Row::mean(format!("{name}, job well: makespan"), "s", &seconds(well));
    let peer = world.newest_takes;
    book.row(row.bound(JOB).at_most(peer + 2.0).peer(PEER, Some(peer)));
    let calls = Row::mean(format!("{name}, job fails once"), "calls a file", &a_file(world, failing));
    let lost = "the reference loses the request";
    book.row(calls.peer(lost, None).note(complaints(failing)));
    let bound = 2.0 * bound::makespan(1, 1, JOB, 0.0);
    let jobs = failing.iter().map(|run| run.jobs).max().unwrap_or(0);
    let row = Row::mean(format!("{name}, job fails once: makespan"), "s", &seconds(failing));
    book.row(row.bound(bound).at_most(bound * 1.2).peer(lost, None).note(format!("{jobs} jobs")));
}
