//! What the walk of the due index has to tell.

use std::{error::Error, fmt::Display};

use metrics::{counter, gauge};
use tracing::warn;

use super::chain;

/// Metrics: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    ("copy_manager_ticks_total", "Walks of the due index"),
    (
        "copy_manager_due_lateness_seconds",
        "How late the work was that the last walk of the due index found, in seconds",
    ),
    ("copy_manager_stray_timers_total", "Records that were due too far ahead, and were looked at at once"),
];

/// The due index was walked; the work that has waited longest was due so many milliseconds before.
pub fn ticked(late: i64) {
    counter!("copy_manager_ticks_total").increment(1);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of years fit")]
    gauge!("copy_manager_due_lateness_seconds").set(late.max(0) as f64 / 1e3);
}

/// A shard of the due index could not be read.
pub fn walk_failed(shard: u8, why: &dyn Error) {
    warn!(code = "store.due_unread", shard, error = chain(why), "due index unavailable");
}

/// A record or a token was due later than anything of ours can be, by that many milliseconds from now.
pub fn stray_timer(key: &dyn Display, ahead: i64) {
    counter!("copy_manager_stray_timers_total").increment(1);
    warn!(code = "record.stray_timer", record = %key, ahead_ms = ahead, "due too far ahead, looked at now: has a clock been set back?");
}
