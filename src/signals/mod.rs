//! What we tell: one function per thing worth telling writes the log line and the metric together.

pub mod api;
pub mod batch;
pub mod copy_out;
pub mod ends;
pub mod engine;
pub mod fleet;
pub mod intake;
pub mod journal;
pub mod process;
pub mod queue;
pub mod requests;
pub mod slice;
pub mod timers;

use std::error::Error;

/// What each metric means, for the reader of `/metrics`. Counters end in `_total`, histograms in `_seconds`.
pub fn describe() {
    let tables = [
        api::METRICS,
        copy_out::METRICS,
        ends::METRICS,
        engine::METRICS,
        fleet::METRICS,
        process::METRICS,
        queue::METRICS,
        slice::METRICS,
        timers::METRICS,
    ];
    for (name, meaning) in tables.into_iter().flatten().copied() {
        if name.ends_with("_total") {
            metrics::describe_counter!(name, meaning);
        } else if name.ends_with("_seconds") {
            metrics::describe_histogram!(name, meaning);
        } else {
            metrics::describe_gauge!(name, meaning);
        }
    }
}

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
