//! What we tell: one function per thing worth telling writes the log line and the metric together.

pub mod ages;
pub mod api;
pub mod batch;
pub mod copy_out;
pub mod dap;
pub mod ends;
pub mod engine;
pub mod fleet;
pub mod intake;
pub mod jobs;
pub mod journal;
pub mod outage;
pub mod process;
pub mod queue;
pub mod replica;
pub mod requests;
pub mod share;
pub mod slice;
pub mod timers;

use std::{error::Error, time::Duration};

use crate::domain::outcome::ErrorName;

/// How the names of histograms end; those of counters end in `_total`, and all others are gauges.
const HISTOGRAMS: [&str; 3] = ["_duration_seconds", "_gap_seconds", "_wait_seconds"];

/// Whether a metric of that name is a histogram.
#[must_use]
pub fn is_histogram(name: &str) -> bool {
    HISTOGRAMS.iter().any(|ending| name.ends_with(ending))
}

/// What each metric means, for the reader of `/metrics`, and zeros for all series that are known beforehand: a
/// rate that begins with the first increment misses it.
pub fn describe() {
    for (name, meaning) in all() {
        if name.ends_with("_total") {
            metrics::describe_counter!(name, meaning);
        } else if is_histogram(name) {
            metrics::describe_histogram!(name, meaning);
        } else {
            metrics::describe_gauge!(name, meaning);
        }
    }
    zero();
}

/// Whether there is a metric of that name.
#[must_use]
pub fn is_known(name: &str) -> bool {
    all().any(|(known, _)| known == name)
}

/// Every metric: name and meaning.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tables = [
        ages::METRICS,
        api::METRICS,
        copy_out::METRICS,
        dap::METRICS,
        ends::METRICS,
        engine::METRICS,
        fleet::METRICS,
        jobs::METRICS,
        process::METRICS,
        queue::METRICS,
        replica::METRICS,
        slice::METRICS,
        timers::METRICS,
    ];
    tables.into_iter().flatten().copied()
}

/// Begins every counter whose labels are known with 0.
fn zero() {
    let tables = [
        ends::METRICS,
        engine::METRICS,
        fleet::METRICS,
        jobs::METRICS,
        process::METRICS,
        replica::METRICS,
        slice::METRICS,
        timers::METRICS,
    ];
    let labelled: Vec<&str> = SERIES.iter().map(|(name, ..)| *name).chain(UNKNOWN).collect();
    for (name, _) in tables.into_iter().flatten().copied() {
        if name.ends_with("_total") && !labelled.contains(&name) {
            metrics::counter!(name).increment(0);
        }
    }
    for (name, label, values) in SERIES {
        for value in *values {
            metrics::counter!(*name, *label => *value).increment(0);
        }
    }
    for name in ErrorName::ALL {
        metrics::counter!("copy_manager_answers_total", "error" => name.as_str()).increment(0);
        let labels = [("error", name.as_str()), ("outcome", "failed")];
        metrics::counter!("copy_manager_requests_concluded_total", &labels).increment(0);
    }
    metrics::counter!("copy_manager_answers_total", "error" => "none").increment(0);
    // This one, until others are counted.
    metrics::gauge!("copy_manager_instances").set(1.0);
    let labels = [("error", "none"), ("outcome", "succeeded")];
    metrics::counter!("copy_manager_requests_concluded_total", &labels).increment(0);
}

/// Counters with one label, and its values.
pub const SERIES: &[(&str, &str, &[&str])] = &[
    ("copy_manager_callbacks_failed_total", "call", &["heartbeat", "answer"]),
    ("copy_manager_ica_events_total", "relevance", &["job", "other"]),
    ("copy_manager_jobs_ended_total", "status", &["SUCCEEDED", "FAILED", "PARTIALLY_SUCCEEDED", "STOPPED"]),
    ("copy_manager_files_deleted_total", "why", &["leftover", "overwrite"]),
    ("copy_manager_debts_given_up_total", "what", &["token", "event", "estate"]),
    (
        "copy_manager_dap_no_place_total",
        "endpoint",
        &["create_job", "get_job", "list", "schema", "object_url"],
    ),
    ("copy_manager_replica_tables_total", "state", replica::STATES),
    ("copy_manager_replica_rows_total", "what", replica::HAPPENS),
];

/// Counters whose labels are known when they come, or that are begun above.
const UNKNOWN: [&str; 6] = [
    "copy_manager_answers_total",
    "copy_manager_requests_concluded_total",
    "copy_manager_task_failures_total",
    "copy_manager_s3_slow_downs_total",
    "copy_manager_restores_total",
    "copy_manager_icav2_calls_total",
];

/// An error with everything that lies beneath it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(beneath) = source {
        let said = beneath.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = beneath.source();
    }
    text
}

/// A span in whole milliseconds.
fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// So many of something, in words.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("no lease")]
        struct Outer(#[source] std::fmt::Error);
        let told = chain(&Outer(std::fmt::Error));
        assert!(told.starts_with("no lease: an error occurred"), "{told}");
    }
}
