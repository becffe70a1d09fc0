//! What work costs, counted: calls to ICAv2, to the table and to S3, bytes written to the table, allocations.
//!
//! Everything runs in virtual time, in one process, beside the simulated platform, so the counts hardly depend on
//! the machine. They are compared with `baseline.json` and `bills.json`: what has grown by more than a twentieth fails, and names
//! the figure. `UPDATE_COUNTS=1` writes the baseline anew. Whatever was counted is left in `target/counts.json`, for
//! the report of `make bench`.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

#[path = "../scenario/asking.rs"]
#[expect(dead_code, reason = "scenarios use the rest")]
mod asking;
#[path = "../scenario/doubles.rs"]
#[expect(dead_code, reason = "scenarios use the rest")]
mod doubles;
#[path = "../scenario/fragile.rs"]
mod fragile;
#[path = "../scenario/house.rs"]
#[expect(dead_code, reason = "scenarios use the rest")]
mod house;
#[path = "../scenario/seen.rs"]
#[expect(dead_code, reason = "scenarios use the rest")]
mod seen;
#[path = "../support/wire.rs"]
mod wire;

mod bills;
mod cost;
mod fleet;
mod meter;
mod packages;
mod prices;
mod replaced;
#[cfg(feature = "canvas")]
mod replica;
mod worlds;

use std::{
    alloc::System,
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Figures by what they are of, and what is counted.
type Counts = BTreeMap<String, BTreeMap<String, f64>>;

/// By how much a figure may grow.
const GROWTH: f64 = 1.05;

fn place(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// Adds to what was counted before by another test of this kind.
fn keep(counts: &Counts) {
    let path = place("target/counts.json");
    let before = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut all: Counts = before.unwrap_or_default();
    // Fleets of other sizes were counted on other days.
    all.retain(|what, _| {
        !what.ends_with(" requests") || !counts.keys().any(|known| known.ends_with(" requests"))
    });
    all.extend(counts.clone());
    fs::create_dir_all(place("target")).unwrap();
    fs::write(path, serde_json::to_string_pretty(&all).unwrap()).unwrap();
}

/// Whoever counts is alone.
static ALONE: Mutex<()> = Mutex::new(());

/// The most that sharing may hold over what it holds when it is idle: 64 MiB.
const MOST_HELD: usize = 64 << 20;

/// Files from where they lie to where they go, and what is held in memory meanwhile; ten times as many are packaged in the
/// same memory. 10,000 and 100,000 by `make bench`, whose build is optimised; unoptimised they take six minutes.
#[test]
#[expect(clippy::print_stdout, reason = "figures are to be seen")]
fn many_files_are_shared_in_little_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (some, ten_times) = if cfg!(debug_assertions) { (1000, 10_000) } else { (10_000, 100_000) };
    let few = packages::memory(some, true);
    let many = packages::memory(ten_times, false);
    // Of each file some dozens of bytes are remembered, and no more.
    let grown = many[0].1.saturating_sub(few[0].1);
    assert!(grown < (2 << 20) + 64 * ten_times, "{grown} bytes more for {ten_times} files than for {some}");
    for (files, peaks) in [(some, &few), (ten_times, &many)] {
        for (what, held) in peaks {
            println!("{what} {files} files: {:.1} MiB held at most", worlds::ratio(*held as u64, 1 << 20));
            assert!(*held <= MOST_HELD, "{what} {files} files: {held} bytes");
        }
    }
}

#[test]
fn nothing_costs_more_than_it_did() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    compare(&worlds::count(), "tests/counts/baseline.json");
}

/// What AWS is used for, of which `docs/cost.md` makes prices.
#[test]
fn no_bill_is_higher_than_it_was() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    compare(&bills::count(), bills::BASELINE);
}

#[expect(clippy::print_stdout, reason = "figures are to be seen")]
fn compare(counts: &Counts, baseline: &str) {
    keep(counts);
    let baseline = place(baseline);
    if std::env::var_os("UPDATE_COUNTS").is_some() {
        fs::write(&baseline, serde_json::to_string_pretty(counts).unwrap() + "\n").unwrap();
    }
    let known: Counts = serde_json::from_str(&fs::read_to_string(&baseline).unwrap()).unwrap();
    let mut grown = Vec::new();
    for (what, figures) in counts {
        for (name, count) in figures {
            let before = known.get(what).and_then(|figures| figures.get(name)).copied();
            println!("{what}: {name} {count:.3} (before: {before:.3?})");
            let Some(before) = before else {
                grown.push(format!("{what}: {name} has no baseline: UPDATE_COUNTS=1 writes it"));
                continue;
            };
            if *count > before * GROWTH {
                grown.push(format!("{what}: {name} has grown from {before:.3} to {count:.3}"));
            } else if *count < before / GROWTH {
                println!("  it has fallen: UPDATE_COUNTS=1 keeps it so");
            }
        }
    }
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}

/// Whether twice the instances do twice the work, and the cost of a fleet grows with its requests alone. Minutes:
/// `make bench` runs it.
#[test]
#[ignore = "takes minutes; a measurement"]
#[expect(clippy::print_stdout, reason = "figures are to be seen")]
fn a_fleet_grows_as_its_work_does() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = fleet::count();
    keep(&counts);
    for (what, figures) in &counts {
        println!("{what}: {figures:.3?}");
    }
    let cost = |requests: usize| counts[&fleet::named(requests)]["table calls a request"];
    let sizes = fleet::sizes();
    let (few, many) = (cost(sizes[0]), cost(*sizes.last().unwrap()));
    assert!(many < few * 1.1, "{few:.1} calls to the table a request, and {many:.1} where there are many");
}
