//! What is told of requests: who asked for what, and how it ended.

use metrics::{counter, histogram};
use tracing::{Span, debug, error, error_span, info, warn};

use super::{counted, journal::note};
use crate::domain::outcome::{ErrorName, Failure, Outcome};

/// An event at the level of a failure: a success is information, what its caller can mend a warning, and what is
/// ours or the platform's an error.
macro_rules! at_level_of {
    ($failure:expr, $($fields:tt)*) => {
        match $failure.map(|failure| failure.error.is_callers()) {
            None => info!($($fields)*),
            Some(true) => warn!($($fields)*),
            Some(false) => error!($($fields)*),
        }
    };
}

const NONE: &str = "none";

fn error_name(failure: Option<&Failure>) -> &'static str {
    failure.map_or(NONE, |failure| failure.error.as_str())
}

/// What is known of the request that a record is worked on for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work<'a> {
    /// Its id, where it is one request alone.
    pub request: Option<&'a str>,
    /// Where it goes.
    pub destination: &'a str,
    /// The name that its caller gave it.
    pub name: Option<&'a str>,
    /// The name of its kind.
    pub kind: Option<&'a str>,
    /// The source of the event that asked.
    pub source: Option<&'a str>,
    /// The event that asked.
    pub event: Option<&'a str>,
    /// What the caller calls itself.
    pub caller: Option<&'a str>,
}

impl Work<'_> {
    /// The span in which it is worked on: all of its lines say for whom they are.
    #[must_use]
    pub fn span(&self) -> Span {
        let Self { request, destination, name, kind, source, event, caller } = *self;
        error_span!(
            "work",
            request_id = request,
            destination,
            request_name = name,
            kind,
            event_source = source,
            event_id = event,
            caller
        )
    }
}

/// A request that was stored: who asks for what.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Its id.
    pub request: &'a str,
    /// The source of the event that asks.
    pub source: &'a str,
    /// The name of its kind.
    pub kind: &'a str,
    /// The name that the caller gave it.
    pub name: Option<&'a str>,
    /// What the caller calls itself.
    pub caller: Option<&'a str>,
    /// The first of what is copied, and how many there are.
    pub sources: (&'a [String], usize),
    /// Where it goes.
    pub destination: &'a str,
    /// Whether a task waits for it.
    pub has_token: bool,
}

/// A request was stored. Fields of it that are not known are named.
pub fn received(received: &Received<'_>, unknown: &[String]) {
    counter!("copy_manager_requests_received_total").increment(1);
    let Received { request, source, kind, name, caller, sources, destination, has_token } = *received;
    info!(code = "request.received",
        request_id = request,
        event_source = source,
        kind,
        request_name = name,
        caller,
        sources = ?shown(sources.0),
        sources_total = sources.1,
        destination,
        has_token,
        "request received"
    );
    if !unknown.is_empty() {
        let (few, total) = (shown(unknown), unknown.len());
        warn!(code = "request.unknown_fields",
            request_id = request,
            destination,
            unknown_fields = ?few,
            unknown_fields_total = total,
            "unknown fields ignored"
        );
    }
}

/// Some of the names that a stranger made up, which may be many and long.
fn shown(names: &[String]) -> Vec<String> {
    const MOST: usize = 20;
    const LONGEST: usize = 200;
    names.iter().take(MOST).map(|name| name.chars().take(LONGEST).collect()).collect()
}

/// A request came again.
pub fn repeated(request: &str) {
    counter!("copy_manager_requests_repeated_total").increment(1);
    info!(code = "request.repeated", request_id = request, "request repeated");
}

/// The id, name or token of a request came again with another payload.
pub fn contradiction(request: &str, refused: &str, source: &str) {
    counter!("copy_manager_requests_malformed_total").increment(1);
    warn!(
        code = "request.contradiction",
        request_id = request,
        refused_id = refused,
        event_source = source,
        "request id used with another payload"
    );
}

/// A root has its plan.
pub fn planned(request: &str, children: usize) {
    note("request.planned", || counted(children, "part"));
    info!(code = "request.planned", request_id = request, children, "request planned");
}

/// A child has ended.
pub fn child_settled(root: &str, child: &str, outcome: &Outcome) {
    counter!("copy_manager_children_settled_total").increment(1);
    counter!("copy_manager_files_copied_total").increment(outcome.counters.copied);
    counter!("copy_manager_copied_bytes_total").increment(outcome.counters.bytes);
    let failure = outcome.failure.as_ref();
    note("folder.settled", || {
        let counters = &outcome.counters;
        let arrived = format!("{} copied, {} there already", counters.copied, counters.skipped);
        failure.map_or(arrived, |failure| format!("{}: {}", failure.error, failure.message))
    });
    at_level_of!(
        failure,
        code = "folder.settled",
        request_id = root,
        child_id = child,
        files_copied = outcome.counters.copied,
        files_skipped = outcome.counters.skipped,
        files_failed = outcome.counters.failed,
        bytes = outcome.counters.bytes,
        error_name = error_name(failure),
        "child settled"
    );
}

/// Files that did not make it, the first ones, each with why.
fn examples(failure: &Failure) -> Vec<String> {
    const MOST: usize = 3;
    let few: Vec<_> =
        failure.culprits.iter().take(MOST).map(|file| format!("{}: {}", file.what, file.why)).collect();
    shown(&few)
}

/// The code of the end of a request.
fn conclusion(failure: Option<&Failure>) -> &'static str {
    match failure.map(|failure| failure.error) {
        None => "request.succeeded",
        Some(ErrorName::Cancelled) => "request.cancelled",
        Some(_) => "request.failed",
    }
}

/// A root has its outcome.
pub fn concluded(request: &str, kind: &str, outcome: &Outcome) {
    let failure = outcome.failure.as_ref();
    let name = error_name(failure);
    let ended = if failure.is_some() { "failed" } else { "succeeded" };
    counter!("copy_manager_requests_concluded_total", &[("error", name), ("outcome", ended)]).increment(1);
    note(conclusion(failure), || {
        failure.map_or_else(String::new, |failure| format!("{}: {}", failure.error, failure.message))
    });
    let took = outcome.finished_at.duration_since(outcome.started_at);
    let labels = [("kind", kind.to_owned()), ("outcome", ended.to_owned())];
    histogram!("copy_manager_request_duration_seconds", &labels).record(took.as_secs_f64());
    at_level_of!(
        failure, code = conclusion(failure),
        request_id = request,
        error_name = name,
        reason = failure.map(|failure| failure.message.as_str()),
        action = failure.map(|failure| failure.error.advice()),
        examples = ?failure.map(examples).unwrap_or_default(),
        files_copied = outcome.counters.copied,
        files_skipped = outcome.counters.skipped,
        files_failed = outcome.counters.failed,
        bytes = outcome.counters.bytes,
        jobs = outcome.jobs.len(),
        took_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        "request concluded"
    );
}

/// A root is to end before its children have.
pub fn stopped(request: &str, failure: &Failure) {
    note("request.stopped", || format!("{}: {}", failure.error, failure.message));
    warn!(
        code = "request.stopped",
        request_id = request,
        error_name = failure.error.as_str(),
        reason = failure.message.as_str(),
        "request stopped"
    );
}

/// A request that had failed was made again.
pub fn made_again(request: &str, again: &str) {
    info!(code = "request.retried", request_id = request, retried_as = again, "request retried");
}

/// A token was answered.
pub fn answered(request: &str, failure: Option<&Failure>, gone: bool) {
    let name = error_name(failure);
    counter!("copy_manager_answers_total", "error" => name).increment(1);
    note("caller.answered", || if gone { "no caller waited any more".to_owned() } else { name.to_owned() });
    at_level_of!(
        failure,
        code = "caller.answered",
        request_id = request,
        error_name = name,
        caller_gone = gone,
        "token answered"
    );
}

/// A waiter of a folder has its outcome.
pub fn waiter_told(folder: &str, child: &str, outcome: &Outcome) {
    debug!(
        code = "folder.told",
        folder_id = folder,
        child_id = child,
        error_name = error_name(outcome.failure.as_ref()),
        "child notified of its outcome"
    );
}
