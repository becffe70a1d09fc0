//! What is told when something ends that could not be brought to a good end.

use std::{error::Error, fmt::Display};

use metrics::counter;
use tracing::{error, info, warn};

use super::{chain, journal::note};

/// Metrics of what was given up: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    ("copy_manager_answers_without_words_total", "Failures told without error and cause, for want of a key"),
    ("copy_manager_debts_given_up_total", "Answers, events and clearing up that were given up, by what"),
    ("copy_manager_records_given_up_total", "Broken records that no instance looks at any more"),
    ("copy_manager_suspects_total", "Records run alone because instances died while they had them in hand"),
];

/// A failure was told without error and cause: the caller's state machine has a key that we may not use.
pub fn failed_without_words() {
    counter!("copy_manager_answers_without_words_total").increment(1);
    error!(
        code = "caller.told_without_words",
        "a failure was told without its words, the caller's KMS key may not be used (CallerKeyArns)"
    );
}

/// A token could not be answered for as long as records are kept, and is forgotten.
pub fn token_given_up(request: &str) {
    note("caller.never_told", String::new);
    counter!("copy_manager_debts_given_up_total", "what" => "token").increment(1);
    error!(code = "caller.never_told", request_id = request, "token given up, its caller was never told");
}

/// How a request ended could not be told on the bus for as long as records are kept.
pub fn news_given_up(request: &str) {
    note("event.given_up", String::new);
    counter!("copy_manager_debts_given_up_total", "what" => "event").increment(1);
    error!(code = "event.given_up", request_id = request, "state change given up, it was never told");
}

/// What a request has left behind could not be cleared up for as long as records are kept, or not at all.
pub fn estate_given_up(request: &str, why: &dyn Display) {
    counter!("copy_manager_debts_given_up_total", "what" => "estate").increment(1);
    error!(code = "record.left_behind", request_id = request, reason = %why, "records of a request left behind");
}

/// What is owed besides the answer to a token (an event, clearing up) could not be given, and is tried again.
pub fn debt_unpaid(request: &str, what: &'static str, why: &dyn Error, tries: u32) {
    note("request.end_not_told", || format!("{what}: {}", chain(why)));
    warn!(
        code = "request.end_not_told",
        request_id = request,
        owed = what,
        error = chain(why),
        attempts = tries,
        "debt not settled, tried again later"
    );
}

/// A record that cannot even be given up is not looked at any more.
pub fn record_given_up(key: &dyn Display, why: &dyn Error) {
    note("record.given_up", || chain(why));
    counter!("copy_manager_records_given_up_total").increment(1);
    error!(code = "record.given_up", record = %key, error = chain(why), "record given up: it cannot be read or run");
}

/// A record is run alone: instances died while they had it in hand.
pub fn suspected(key: &dyn Display, times: i64) {
    note("record.suspected", || format!("{times} instances"));
    counter!("copy_manager_suspects_total").increment(1);
    warn!(code = "record.suspected", record = %key, times, "record run alone, instances have died with it in hand");
}

/// This instance has not died of a record that it ran alone; other suspects get their turn.
pub fn survived(key: &dyn Display) {
    info!(code = "record.survived", record = %key, "record run alone, this instance has not died of it");
}
