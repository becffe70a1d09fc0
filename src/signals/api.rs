//! What is worth telling about calls to ICAv2. Labels are bounded: an operation is a path template,
//! never a path.

use std::time::Duration;

use super::{millis, outage::Trouble};

const CALLS: &str = "copy_manager_icav2_calls_total";
const CALL_DURATION: &str = "copy_manager_icav2_call_duration_seconds";
const PACE_WAIT: &str = "copy_manager_icav2_pace_wait_seconds";
const THROTTLED: &str = "copy_manager_icav2_throttled_total";
const RATE_LIMIT: &str = "copy_manager_icav2_rate_limit";
const TOKEN_LOADS: &str = "copy_manager_icav2_token_loads_total";
const UP: &str = "copy_manager_icav2_up";

/// Name and help of every metric of this file.
pub const METRICS: &[(&str, &str)] = &[
    (CALLS, "Calls to the ICAv2 API, by operation and HTTP status (`none` when no answer came)"),
    (CALL_DURATION, "From sending a call to the ICAv2 API to having its whole answer, by operation"),
    (PACE_WAIT, "For how long a call waited before the pace let it through"),
    (THROTTLED, "Calls that ICAv2 answered with 429 or 503, by operation"),
    (RATE_LIMIT, "Calls to the ICAv2 API that may be made per second after the last throttling"),
    (TOKEN_LOADS, "New ICAv2 tokens, and failures to get one, by reason and result"),
    (UP, "1 while ICAv2 answers and takes the token, else 0"),
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
    metrics::histogram!(CALL_DURATION, "operation" => operation).record(took);
}

/// A call was let through after so long.
pub fn let_through(waited: Duration) {
    metrics::histogram!(PACE_WAIT).record(waited);
}

/// ICAv2 does not answer, or says that it cannot.
pub fn down(trouble: Trouble, why: &str) {
    metrics::gauge!(UP).set(0.0);
    let Trouble { lasted, failures } = trouble;
    tracing::warn!(
        code = "api.down",
        since_ms = millis(lasted),
        calls_failed = failures,
        reason = why,
        "icav2 does not answer"
    );
}

/// ICAv2 refuses the token.
pub fn token_refused(trouble: Trouble) {
    metrics::gauge!(UP).set(0.0);
    let Trouble { lasted, failures } = trouble;
    tracing::error!(
        code = "api.token_refused",
        since_ms = millis(lasted),
        calls_failed = failures,
        action = "put a token that is valid into the secret; it is read by itself, or at once with `copy-manager wake --all`",
        "icav2 refuses the token"
    );
}

/// ICAv2 answers.
pub fn answers() {
    metrics::gauge!(UP).set(1.0);
}

/// ICAv2 answers again.
pub fn up(trouble: Trouble) {
    let Trouble { lasted, failures } = trouble;
    tracing::info!(
        code = "api.up",
        since_ms = millis(lasted),
        calls_failed = failures,
        "icav2 answers again"
    );
}

/// ICAv2 takes the token again.
pub fn token_accepted(trouble: Trouble) {
    let Trouble { lasted, failures } = trouble;
    tracing::info!(
        code = "api.token_accepted",
        since_ms = millis(lasted),
        calls_failed = failures,
        "icav2 takes the token again"
    );
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
pub fn throttled(operation: &'static str, calls_per_second: f64) {
    metrics::counter!(THROTTLED, "operation" => operation).increment(1);
    metrics::gauge!(RATE_LIMIT).set(calls_per_second);
}

/// ICAv2 asks us to slow down, for so long by now; so many calls wait for their turn.
pub fn throttling(trouble: Trouble, operation: &'static str, calls_per_second: f64, waiting: usize) {
    let Trouble { lasted, failures } = trouble;
    let calls_per_second = (calls_per_second * 100.0).round() / 100.0;
    tracing::warn!(
        code = "api.throttled",
        operation,
        calls_per_second,
        waiting,
        since_ms = millis(lasted),
        calls_failed = failures,
        "icav2 throttles us"
    );
}

/// ICAv2 has not asked us to slow down for a while.
pub fn throttling_over(trouble: Trouble) {
    let Trouble { lasted, failures } = trouble;
    tracing::info!(
        code = "api.throttling_over",
        since_ms = millis(lasted),
        calls_failed = failures,
        "icav2 throttles us no more"
    );
}

/// A server that is not ICAv2 answered: a setting is wrong.
pub fn not_icav2(base_url: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(code = "api.wrong_base_url", base_url, error, "icav2 base url leads elsewhere");
}

/// A token was fetched that we did not have, because of `reason` (`first`, `expiry`, `refused`); it ends then,
/// in seconds since 1970.
pub fn token_loaded(reason: &'static str, ends: Option<i64>) {
    super::ages::token_ends(ends);
    tracing::info!(code = "api.token_renewed", reason, "icav2 token loaded");
    metrics::counter!(TOKEN_LOADS, "reason" => reason, "result" => "ok").increment(1);
}

/// A token could not be fetched.
pub fn token_not_loaded(reason: &'static str, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(code = "api.token_not_renewed", reason, error, "icav2 token not loaded");
    metrics::counter!(TOKEN_LOADS, "reason" => reason, "result" => "error").increment(1);
}
