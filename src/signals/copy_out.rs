//! What is told about copies between buckets.

use std::fmt::Display;

use metrics::counter;
use tracing::{info, warn};

/// Metrics: name and meaning.
pub const METRICS: &[(&str, &str)] = &[(
    "copy_manager_destinations_refused_total",
    "Times that a destination bucket refused to be written to, and was waited for",
)];

/// A destination refuses us; it is tried again.
pub fn waits_for_access(request: &str, tries: u32, why: &str) {
    counter!("copy_manager_destinations_refused_total").increment(1);
    info!(
        request,
        tries,
        why,
        state = "waiting_for_access",
        "the destination refuses to be written to, waiting"
    );
}

/// Tags are left out.
pub fn without_tags(place: &str, why: &str) {
    warn!(place, why, "tags are not copied");
}

/// A list broke off while it was read; it is gone on with.
pub fn list_broke_off(list: &impl Display, after: u64, error: &impl Display) {
    warn!(%list, after, %error, "the list broke off, going on");
}

/// The summary beside the list could not be written.
pub fn summary_not_kept(request: &str, error: &impl Display) {
    warn!(request, %error, "the summary is at the destination only");
}
