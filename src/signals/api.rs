//! What is worth telling about calls to ICAv2. Labels are bounded: an operation is a path template,
//! never a path.

use std::time::Duration;

/// Calls made, by operation and status.
pub const CALLS: &str = "copy_manager_icav2_calls_total";
/// How long they took.
pub const CALL_SECONDS: &str = "copy_manager_icav2_call_seconds";
/// Calls that were throttled.
pub const THROTTLED: &str = "copy_manager_icav2_throttled_total";
/// The pace that is kept.
pub const CALLS_PER_SECOND: &str = "copy_manager_icav2_calls_per_second";
/// Tokens fetched.
pub const TOKEN_LOADS: &str = "copy_manager_icav2_token_loads_total";

/// Name and help of every metric of this file.
pub const METRICS: &[(&str, &str)] = &[
    (CALLS, "Calls to the ICAv2 API, by operation and HTTP status (`none` when no answer came)."),
    (CALL_SECONDS, "Time from sending a call to the ICAv2 API to having its whole answer, in seconds."),
    (THROTTLED, "Calls that ICAv2 answered with 429 or 503, by operation."),
    (CALLS_PER_SECOND, "Calls to the ICAv2 API that may be made per second after the last throttling."),
    (TOKEN_LOADS, "New ICAv2 tokens, and failures to get one, by reason and result."),
];

/// A call was answered, or given up (`status` is then `None`).
pub fn call_done(operation: &'static str, status: Option<u16>, took: Duration) {
    let shown = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    tracing::debug!(
        code = "api.call",
        operation,
        http_status = shown,
        took_ms = took.as_secs_f64() * 1e3,
        "icav2 call done"
    );
    metrics::counter!(CALLS, "operation" => operation, "status" => shown).increment(1);
    metrics::histogram!(CALL_SECONDS, "operation" => operation).record(took.as_secs_f64());
}

/// Entries of a list could not be understood; `why` says of each what is odd about it.
pub fn odd_entries(operation: &'static str, why: &[String]) {
    if let Some(first) = why.first() {
        let entries = why.len();
        tracing::warn!(
            code = "api.odd_entries",
            operation,
            entries,
            error = first.as_str(),
            "icav2 entries are odd"
        );
    }
}

/// The list of jobs could not be read; each job is asked for by itself.
pub fn jobs_unread(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(code = "api.jobs_unread", error, "list of jobs cannot be read");
}

/// ICAv2 asked us to slow down; from now on we make `calls_per_second`.
pub fn throttled(operation: &'static str, retry_after: Option<Duration>, calls_per_second: f64) {
    let retry_after = retry_after.map(|wait| wait.as_secs_f64());
    tracing::warn!(
        code = "api.throttled",
        operation,
        retry_after_seconds = retry_after,
        calls_per_second,
        "icav2 throttled us"
    );
    metrics::counter!(THROTTLED, "operation" => operation).increment(1);
    metrics::gauge!(CALLS_PER_SECOND).set(calls_per_second);
}

/// A server that is not ICAv2 answered: a setting is wrong.
pub fn not_icav2(base_url: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(code = "api.wrong_base_url", base_url, error, "icav2 base url leads elsewhere");
}

/// A token was fetched that we did not have, because of `reason` (`first`, `expiry`, `refused`).
pub fn token_loaded(reason: &'static str) {
    tracing::info!(code = "api.token_renewed", reason, "icav2 token loaded");
    metrics::counter!(TOKEN_LOADS, "reason" => reason, "result" => "ok").increment(1);
}

/// A token could not be fetched.
pub fn token_not_loaded(reason: &'static str, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(code = "api.token_not_renewed", reason, error, "icav2 token not loaded");
    metrics::counter!(TOKEN_LOADS, "reason" => reason, "result" => "error").increment(1);
}
