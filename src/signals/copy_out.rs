//! What is told about copies between buckets.

use std::{error::Error, fmt::Display};

use jiff::Timestamp;
use metrics::counter;
use tracing::{info, warn};

use super::{chain, journal::note};

/// Metrics: name and meaning.
pub const METRICS: &[(&str, &str)] = &[(
    "copy_manager_destinations_refused_total",
    "Times that a destination bucket refused to be written to, and was waited for",
)];

/// A destination refuses us; it is tried again.
pub fn waits_for_access(request: &str, tries: u32, why: &str, next_at: i64) {
    note("request.waits_for_access", || why.to_owned());
    counter!("copy_manager_destinations_refused_total").increment(1);
    let next_at = Timestamp::from_millisecond(next_at).ok().map(|at| at.to_string());
    info!(
        code = "request.waits_for_access",
        request_id = request,
        attempts = tries,
        next_at,
        next = "tried again, or at once with `copy-manager wake`",
        reason = why,
        state = "waiting_for_access",
        "the destination refuses to be written to, waiting"
    );
}

/// Tags are left out.
pub fn without_tags(object: &str, why: &str) {
    note("request.without_tags", || why.to_owned());
    warn!(code = "request.without_tags", object, reason = why, "tags are not copied");
}

/// A list broke off while it was read; it is gone on with.
pub fn list_broke_off(list: &dyn Display, after: u64, why: &dyn Error) {
    note("list.interrupted", || chain(why));
    warn!(code = "list.interrupted", object = %list, after, error = chain(why), "list download interrupted, going on");
}

/// The summary beside the list could not be written.
pub fn summary_not_kept(request: &str, why: &dyn Error) {
    note("request.summary_not_kept", || chain(why));
    warn!(
        code = "request.summary_not_kept",
        request_id = request,
        error = chain(why),
        "the summary is at the destination only"
    );
}
