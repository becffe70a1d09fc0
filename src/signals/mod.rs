//! What we tell: one function per thing worth telling writes the log line and the metric together.

pub mod api;
pub mod batch;
pub mod copy_out;
pub mod ends;
pub mod engine;
pub mod fleet;
pub mod process;
pub mod queue;
pub mod slice;
pub mod timers;

/// What each metric means, for whoever reads `/metrics`. Counters end in `_total`, histograms in `_seconds`.
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
