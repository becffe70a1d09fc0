//! How long a tree takes, beside the least that it can take.

use std::time::Duration;

use crate::{
    bound,
    figures::{Aim, Book, Row, scale, scaled},
    stage::{Copied, Events, Request, Stage, complaints, side_by_side},
    worlds,
};

pub(crate) const NAME: &str = "makespan";

/// Copy jobs that run at a time in a project, as is usual.
const SLOTS: usize = 20;
const FILES_IN_A_FOLDER: usize = 50;
/// Runs that are made at a time.
const AT_ONCE: usize = 3;
const PATIENCE: Duration = Duration::from_mins(12);

/// One kind of run, of which there may be several.
struct Case {
    folders: usize,
    /// How long a job takes, seconds.
    job: u32,
    failing: f64,
    events: bool,
    seeds: u64,
    /// What it may take of its bound, where we hold ourselves to anything.
    aim: Option<f64>,
}

fn cases() -> Vec<Case> {
    let (few, many) = (scaled(20, 2), scaled(200, 4));
    // A few folders have much luck, or little: the mean of three runs was anywhere from 1.0 to 1.4 of the bound.
    let seeds = if scale() < 1.0 { 1 } else { 9 };
    let mut cases =
        vec![Case { folders: few, job: 60, failing: 0.0, events: true, seeds: 1, aim: Some(1.1) }];
    for (folders, seeds) in [(many, 1), (few, seeds)] {
        for (events, aim) in [(false, 1.2), (true, 1.15)] {
            cases.push(Case { folders, job: 10, failing: 0.2, events, seeds, aim: Some(aim) });
            // Without an aim: the batch window alone is a fifth of a job that takes 10 s.
            cases.push(Case { folders, job: 10, failing: 0.0, events, seeds: 1, aim: None });
        }
    }
    cases
}

fn run(case: &Case, seed: u64) -> Copied {
    let world = worlds::folders(case.folders, FILES_IN_A_FOLDER);
    let (seed, duration, failing) = (seed.to_string(), format!("{}s", case.job), case.failing.to_string());
    let options =
        ["--seed", &seed, "--job-duration", &duration, "--job-failure-rate", &failing, "--latency", "50ms"];
    let settings = [("COPY_MANAGER__ICAV2__REQUESTS_PER_SECOND", "200")];
    let events = if case.events { Events::Straight } else { Events::None };
    let stage = Stage::set(&world, &options, &settings, events);
    stage.copy(Request::of_the_run(), PATIENCE)
}

#[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
pub(crate) fn measure(book: &mut Book) {
    let cases = cases();
    let runs: Vec<_> = cases.iter().flat_map(|case| (1..=case.seeds).map(move |seed| (case, seed))).collect();
    let done = side_by_side(&runs, AT_ONCE, |(case, seed)| {
        let copied = run(case, *seed);
        println!("  … {} folders, {} failing, seed {seed}: {copied:?}", case.folders, case.failing);
        copied
    });
    // What takes longest is begun first, and told last.
    for case in cases.iter().rev() {
        let mine = runs.iter().zip(&done).filter(|((other, _), _)| std::ptr::eq(*other, case));
        let mine: Vec<_> = mine.map(|(_, copied)| copied.clone()).collect();
        let told = if case.events { "events" } else { "polls only" };
        let name = format!(
            "{} files, {} folders, {} s jobs, {:.0} % failing, {told}",
            case.folders * FILES_IN_A_FOLDER,
            case.folders,
            case.job,
            case.failing * 100.0
        );
        let bound = bound::makespan(case.folders, SLOTS, f64::from(case.job), case.failing);
        let of = |value: &dyn Fn(&Copied) -> f64| mine.iter().map(value).collect::<Vec<_>>();
        let note = complaints(&mine);
        book.row(Row::mean(&name, "s", &of(&|run| run.seconds)).bound(bound).note(note));
        let over = of(&|run| run.seconds / bound);
        let row = Row::mean(format!("{name}: over the bound"), "×", &over).bound(1.0);
        book.row(Row { aim: case.aim.map(Aim::AtMost), ..row });
        book.row(Row::mean(format!("{name}: API calls"), "calls", &of(&|run| run.calls as f64)));
        let expected = case.folders as f64 / (1.0 - case.failing);
        let note = format!("{expected:.0} expected of jobs that are made again whole");
        book.row(Row::mean(format!("{name}: jobs"), "jobs", &of(&|run| run.jobs as f64)).note(note));
    }
}
