//! What the project costs, measured on one machine in one run: real processes against the simulated platform.
//!
//! `cargo bench --bench performance -- [--only a,b] [--out FILE.json]` measures, `-- --report FILE.json` writes
//! `docs/performance.md` and its plots from what was measured, and `-- --compare A.json B.json` sets two runs side
//! by side. With `--only`, what the file tells of the other sections stays, if it was measured on the same commit.
//! `SCALE` (1) shrinks the sizes, for a look at whether a section works at all; `FULL=1` runs the largest sizes;
//! `ROOTS` (4000) is how many requests wait at a time. `S5CMD` says where `s5cmd` is; `rclone` is taken from the PATH.
//! `BENCH_LOG` keeps what the last daemon said in a file.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, not a service: wall time is measured, and the environment says how"
)]

#[path = "../support/mod.rs"]
mod support;

mod bound;
#[cfg(feature = "canvas")]
mod bulk;
mod calls;
mod compare;
mod counts;
mod explain;
mod figures;
mod large;
mod makespan;
mod plot;
#[cfg(feature = "canvas")]
#[expect(dead_code, clippy::print_stderr, reason = "tests use the rest")]
#[path = "../../tests/support/postgres.rs"]
mod postgres;
mod reaction;
#[cfg(feature = "canvas")]
mod replica;
mod report;
mod s3;
mod s3_tools;
mod stage;
mod streams;
mod streams_plain;
mod waiting;
mod worlds;

use std::{env, panic, path::Path, process::ExitCode};

use figures::{Book, Figures};

/// Where figures go when nothing is said.
const OUT: &str = "target/performance.json";

type Section = (&'static str, fn(&mut Book));

/// In the order of the report.
const SECTIONS: &[Section] = &[
    (makespan::NAME, makespan::measure),
    (reaction::NAME, reaction::measure),
    (calls::NAME, calls::measure),
    (waiting::NAME, waiting::measure),
    (large::NAME, large::measure),
    (streams::NAME, streams::measure),
    (s3::NAME, s3::measure),
    #[cfg(feature = "canvas")]
    (replica::NAME, replica::measure),
    (counts::NAME, counts::measure),
];

fn main() -> ExitCode {
    // Cargo says `--bench` to every bench.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--report", file] => report::write(&Figures::read(Path::new(file))),
        ["--compare", before, after] => {
            compare::print(&Figures::read(Path::new(before)), &Figures::read(Path::new(after)));
        }
        _ => return measure(&arguments),
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &[&str]) -> ExitCode {
    let (mut only, mut out) = (None, OUT);
    for pair in arguments.chunks(2) {
        match *pair {
            ["--only", names] => only = Some(names.split(',').collect::<Vec<_>>()),
            ["--out", file] => out = file,
            _ => {
                println!("--only SECTION,…, --out FILE, --report FILE or --compare FILE FILE, not {pair:?}");
                return ExitCode::from(2);
            }
        }
    }
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only.contains(&name));
    let unknown = only.iter().flatten().find(|name| SECTIONS.iter().all(|(known, _)| known != *name));
    if let Some(unknown) = unknown {
        println!(
            "there is no section {unknown}; there are {}",
            SECTIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        );
        return ExitCode::from(2);
    }
    let mut figures = Figures::of_now();
    if only.is_some() {
        figures.keep_other_sections(Path::new(out), wanted);
    }
    let mut well = true;
    for (name, section) in SECTIONS.iter().copied().filter(|(name, _)| wanted(name)) {
        println!("== {name}");
        let mut book = Book::new(name);
        let began = support::now();
        // What the other sections have measured is not lost with this one.
        let ended = panic::catch_unwind(panic::AssertUnwindSafe(|| section(&mut book)));
        if ended.is_err() {
            well = false;
            book.note("the section broke off", "see what the run printed");
        }
        figures.take(book, began.elapsed());
        figures.write(Path::new(out));
    }
    println!("written to {out}");
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
