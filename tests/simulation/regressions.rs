//! Histories that broke, cut down to the one fault that mattered.

use std::time::Duration;

use crate::{
    fate::{Fault, Scripted},
    history::live_by,
    world::Plan,
};

/// Lives through a plain history in which one call fails; how long it took.
fn survives(op: &'static str, about: &'static str, fault: Fault) -> Duration {
    let told = live_by(Plan::plain(), 1, vec![Scripted { op, about, fault }], true);
    assert!(told.broken.is_empty(), "{fault:?}: {:?}\n{}", told.broken, told.lines.join("\n"));
    told.took
}

/// A folder stored a child's outcome, deleted its waiter, and died before it woke the child, which then
/// slept for ten minutes.
#[test]
fn a_child_hears_of_its_outcome_whatever_happens_to_who_tells_it() {
    for fault in [Fault::LoseAnswer, Fault::CrashAfter, Fault::CrashBefore] {
        let took = survives("write", "WAITER#", fault);
        assert!(took < Duration::from_mins(4), "{fault:?}: {took:?}");
        // The second write about a waiter is the one that takes it away.
        let took = survives("write", "Delete", fault);
        assert!(took < Duration::from_mins(4), "{fault:?}: {took:?}");
    }
}
