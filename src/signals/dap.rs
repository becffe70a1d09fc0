//! What is counted of calls to the Data Access Platform.

use std::time::Duration;

use metrics::{counter, histogram};

const CALLS: &str = "copy_manager_dap_calls_total";
const PLACE_WAIT: &str = "copy_manager_dap_place_wait_seconds";
const NO_PLACE: &str = "copy_manager_dap_no_place_total";

/// Metrics: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    (
        CALLS,
        "Calls to the Data Access Platform, by endpoint (`login`, or as canvas.limits names them) and HTTP status \
         (`none` when no answer came)",
    ),
    (PLACE_WAIT, "For how long a call waited for its place in the account's minute, by endpoint"),
    (NO_PLACE, "Calls that were put off because no place was free in time, by endpoint"),
];

/// A call was answered, or given up (`status` is then `None`).
pub fn called(endpoint: &'static str, status: Option<u16>) {
    let shown = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    counter!(CALLS, "endpoint" => endpoint, "status" => shown).increment(1);
}

/// A call has its place after so long.
pub fn has_place(endpoint: &'static str, waited: Duration) {
    histogram!(PLACE_WAIT, "endpoint" => endpoint).record(waited);
}

/// A call was put off.
pub fn no_place(endpoint: &'static str) {
    counter!(NO_PLACE, "endpoint" => endpoint).increment(1);
}
