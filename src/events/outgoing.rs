//! What we say: the child event, the answers to a caller's task, and the state-change event.
//!
//! Each carrier has a limit. What is too long loses entries of its lists, never fields: the totals
//! stay, and `truncated` says that entries are missing.

mod batch;
mod copy_out;
mod preview;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::{
    batch::{Room, whole_deliveries},
    preview::preview,
};
use crate::domain::{
    ids::RequestId,
    outcome::{Counters, Culprit, ErrorName, Failure, JobSummary, Outcome},
    preview::Preview,
    receipt::Receipt,
};

/// `SendTaskSuccess` takes 256 KB of output.
const OUTPUT_LIMIT: usize = 256 * 1024;
/// `SendTaskFailure` takes 32 KB of cause.
const CAUSE_LIMIT: usize = 32 * 1024;
/// `PutEvents` takes 256 KB with everything around the detail.
const DETAIL_LIMIT: usize = 200 * 1024;
/// How much of a text is kept where it is one entry among others.
const LONGEST_TEXT: usize = 1200;

/// Where a request stands, as told to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Stored; its caller may rely on it.
    Received,
    /// At work; sent with every heartbeat.
    Running,
    /// Ended, with everything at the destination.
    Succeeded,
    /// Ended otherwise.
    Failed,
}

impl Status {
    /// How a request stands that has ended so.
    #[must_use]
    pub const fn of(outcome: &Outcome) -> Self {
        if outcome.failure.is_none() { Self::Succeeded } else { Self::Failed }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Received, Self::Running, Self::Succeeded, Self::Failed];

    /// The name as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "RECEIVED",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }
}

/// How a request ended, with what its caller knows it by.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The request.
    pub request_id: &'a str,
    /// Where it was to copy to, as the caller wrote it.
    pub destination_uri: &'a str,
    /// How it ended.
    pub outcome: &'a Outcome,
}

/// A request's new state.
#[derive(Debug, Clone, Copy)]
pub struct StateChange<'a> {
    /// The request.
    pub request_id: &'a str,
    /// The name of its kind.
    pub kind: &'a str,
    /// Where it stands.
    pub status: Status,
    /// Where it copies to, as the caller wrote it.
    pub destination_uri: &'a str,
    /// How far it is.
    pub counters: Counters,
    /// How it ended, once it has.
    pub outcome: Option<&'a Outcome>,
    /// What it waits for before it can begin.
    pub waiting_for: Option<&'a str>,
    /// When this was so.
    pub at: Timestamp,
}

/// The detail of a [`super::CHILD_REQUEST`] event.
#[must_use]
pub fn child_event(id: &RequestId) -> String {
    json!({ "requestId": id.as_str() }).to_string()
}

/// The output of a task that succeeded.
#[must_use]
pub fn success_output(report: &Report<'_>) -> String {
    if let Some(answer) = &report.outcome.answer {
        return answer.clone();
    }
    fit(OUTPUT_LIMIT, entries(report.outcome), |most| success(report, most))
}

/// The cause of a task that failed: which files, and what to do about it.
#[must_use]
pub fn failure_cause(report: &Report<'_>) -> String {
    let of_copies =
        report.outcome.failure.as_ref().is_some_and(|failure| failure.error == ErrorName::CopyError);
    let limit = if of_copies { copy_out::CAUSE_LIMIT } else { CAUSE_LIMIT };
    fit(limit, entries(report.outcome), |most| failure(report, most))
}

/// The detail of a [`super::STATE_CHANGE`] event. How a request ended is told as its caller is told.
#[must_use]
pub fn state_change(change: &StateChange<'_>) -> String {
    let StateChange {
        request_id,
        kind,
        status,
        destination_uri,
        counters: progress,
        outcome,
        waiting_for,
        at,
    } = *change;
    fit(DETAIL_LIMIT, outcome.map_or(0, entries), |most| {
        let outcome = outcome.map(|outcome| {
            let report = Report { request_id, destination_uri, outcome };
            if outcome.failure.is_some() { failure(&report, most) } else { success(&report, most) }
        });
        without_nulls(json!({
            "requestId": request_id,
            "kind": kind,
            "status": status.as_str(),
            "destinationUri": destination_uri,
            "counters": counters(&progress),
            "outcome": outcome,
            "waitingFor": waiting_for,
            "at": at.to_string(),
        }))
    })
}

fn success(report: &Report<'_>, most: usize) -> Value {
    let Report { request_id, destination_uri, outcome } = *report;
    if let Some(deliveries) = &outcome.deliveries {
        let mut output = batch::output(deliveries, most);
        // Only who has asked for one gets a field that others do not know.
        if let (Some(fields), Some(kept)) = (output.as_object_mut(), &outcome.receipt) {
            fields.insert("receipt".to_owned(), receipt(kept));
        }
        return output;
    }
    let counters = &outcome.counters;
    let left_out = |plan: &Preview| plan.totals.files > plan.files.len().min(most) as u64;
    let is_cut = outcome.jobs.len() > most || outcome.preview.as_deref().is_some_and(left_out);
    let mut output = without_nulls(json!({
        "requestId": request_id,
        "status": Status::Succeeded.as_str(),
        "destinationUri": destination_uri,
        "files": {
            "copied": counters.copied,
            "skipped": counters.skipped,
            "skippedBySize": counters.skipped_by_size,
            "skippedConflict": counters.skipped_conflict,
            "renamed": counters.renamed,
        },
        "bytes": counters.bytes,
        "jobs": jobs(&outcome.jobs, most),
        "receipt": outcome.receipt.as_ref().map(receipt),
        "dryRun": outcome.preview.is_some().then_some(true),
        "plan": outcome.preview.as_ref().map(|plan| preview(plan, most)),
        "truncated": is_cut.then_some(true),
        "startedAt": in_millis(outcome.started_at).to_string(),
        "finishedAt": in_millis(outcome.finished_at).to_string(),
    }));
    if let Some(fields) = output.as_object_mut() {
        copy_out::add(outcome, fields);
    }
    output
}

fn failure(report: &Report<'_>, most: usize) -> Value {
    let Report { request_id, destination_uri, outcome } = *report;
    let unexplained = Failure::new(ErrorName::Internal, "the request ended without saying why");
    let failure = outcome.failure.as_ref().unwrap_or(&unexplained);
    let files: Vec<_> = failure.culprits.iter().take(most).map(file).collect();
    let deliveries = outcome.deliveries.as_deref();
    let (destinations, undelivered) = batch::failures(deliveries, most);
    let cut = outcome.jobs.len() > most || failure.culprits_total > files.len() as u64 || undelivered > most;
    let mut cause = without_nulls(json!({
        "requestId": request_id,
        "status": Status::Failed.as_str(),
        "error": failure.error.as_str(),
        "message": clip(&failure.message),
        "action": failure.error.advice(),
        "destinationUri": destination_uri,
        "files": files,
        "filesTotal": failure.culprits_total,
        "destinations": destinations,
        "counters": counters(&outcome.counters),
        "jobs": jobs(&outcome.jobs, most),
        "receipt": outcome.receipt.as_ref().map(receipt),
        "truncated": cut.then_some(true),
        "report": deliveries.and_then(|deliveries| deliveries.report.as_ref()),
        "startedAt": in_millis(outcome.started_at).to_string(),
        "finishedAt": in_millis(outcome.finished_at).to_string(),
    }));
    if let Some(fields) = cause.as_object_mut() {
        copy_out::add(outcome, fields);
        copy_out::add_errors(outcome, most, fields);
    }
    cause
}

/// Counters as they are shown, in state changes and to a client that asks about a request.
#[must_use]
pub fn counters(counters: &Counters) -> Value {
    json!({
        "files": counters.files,
        "copied": counters.copied,
        "skipped": counters.skipped,
        "skippedBySize": counters.skipped_by_size,
        "skippedConflict": counters.skipped_conflict,
        "renamed": counters.renamed,
        "failed": counters.failed,
        "bytes": counters.bytes,
    })
}

/// A time as precise as records are.
fn in_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Where the receipt is.
fn receipt(receipt: &Receipt) -> Value {
    json!({ "uri": receipt.uri, "sha256": receipt.sha256, "files": receipt.files })
}

/// The newest of the jobs, oldest first: what happened last explains how it ended.
fn jobs(jobs: &[JobSummary], most: usize) -> Vec<Value> {
    let skipped = jobs.len().saturating_sub(most);
    let newest = jobs.iter().skip(skipped);
    newest.map(|job| json!({ "jobId": job.job_id, "attempts": job.attempt, "status": job.status })).collect()
}

fn file(culprit: &Culprit) -> Value {
    json!({ "what": clip(&culprit.what), "why": clip(&culprit.why) })
}

/// How many entries the longest list of an outcome has.
fn entries(outcome: &Outcome) -> usize {
    let culprits = outcome.failure.as_ref().map_or(0, |failure| failure.culprits.len());
    let files = outcome.preview.as_ref().map_or(0, |plan| plan.files.len());
    let pieces = outcome.deliveries.as_deref().map_or(0, batch::entries);
    outcome.jobs.len().max(culprits).max(files).max(pieces)
}

/// Renders with as many list entries as the limit has room for.
fn fit(limit: usize, entries: usize, render: impl Fn(usize) -> Value) -> String {
    let whole = render(entries).to_string();
    if whole.len() <= limit {
        return whole;
    }
    let (mut text, mut fits, mut too_many) = (render(0).to_string(), 0, entries);
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        let candidate = render(middle).to_string();
        if candidate.len() <= limit {
            (text, fits) = (candidate, middle);
        } else {
            too_many = middle;
        }
    }
    text
}

/// Drops the fields that have nothing to say.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, field| !field.is_null());
    }
    value
}

/// The beginning of a text that may be endless.
fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
