//! What the engine tells.
//!
//! Messages are constant, the data is in fields; errors are told once, where they are handled.
//! Nothing here takes a token, a presigned URL or a body.

use std::{error::Error, fmt::Display, time::Duration};

use jiff::Timestamp;
use metrics::{counter, gauge, histogram};
use tracing::{debug, error, info, warn};

use super::{chain, counted, journal::note, millis};
pub use super::{jobs::*, requests::*};
use crate::domain::ids::DataId;

/// Metrics of the engine: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    ("copy_manager_requests_received_total", "Requests stored"),
    ("copy_manager_requests_repeated_total", "Requests that were there already"),
    ("copy_manager_requests_malformed_total", "Messages that could not be understood"),
    ("copy_manager_requests_concluded_total", "Requests that ended, by outcome and error name"),
    ("copy_manager_children_settled_total", "Folders of requests that ended"),
    ("copy_manager_files_copied_total", "Files brought to their destination"),
    ("copy_manager_copied_bytes_total", "Bytes brought to their destination"),
    ("copy_manager_files_streamed_total", "Files that went through this process"),
    ("copy_manager_files_copied_in_s3_total", "Files that S3 copied inside a project's bucket"),
    ("copy_manager_streams_failed_total", "Streams that failed and are tried again"),
    ("copy_manager_files_rerouted_total", "Files streamed because every job with them fails"),
    (
        "copy_manager_files_deleted_total",
        "Files deleted at destinations: leftovers of failed jobs, files overwritten on request",
    ),
    ("copy_manager_heartbeats_total", "Heartbeats sent"),
    ("copy_manager_heartbeats_withheld_total", "Heartbeats not sent for want of a sign of life"),
    (
        "copy_manager_callbacks_failed_total",
        "Heartbeats and answers that failed and are tried again, by call",
    ),
    ("copy_manager_answers_total", "Task tokens answered, by error name (none: success)"),
    ("copy_manager_callers_gone_total", "Task tokens that no caller waits on any more"),
    ("copy_manager_rounds_failed_total", "Rounds that ended in an error and are tried again"),
    (
        "copy_manager_rounds_in_vain_total",
        "Times that a folder has gone through ten rounds which brought and learnt nothing and waited for nothing",
    ),
    (
        "copy_manager_request_duration_seconds",
        "From the acceptance of a request to its end, by kind and outcome",
    ),
    ("copy_manager_heartbeat_gap_seconds", "Between two heartbeats of a task token"),
    ("copy_manager_heartbeats_late_total", "Heartbeats that came later than is promised (heartbeat.promise)"),
    ("copy_manager_streams_active", "Files that are going through this process"),
    (
        "copy_manager_lease_takeovers_total",
        "Records that were taken over from an instance that had not given them back",
    ),
    ("copy_manager_leases_lost_total", "Leases that another instance has taken over"),
    ("copy_manager_runs_active", "Records this instance works on"),
    ("copy_manager_runs_waiting", "Records that wait for a place on this instance"),
];

/// A message could not be understood.
pub fn malformed(message: &str, source: &str, has_token: bool, reason: &str) {
    counter!("copy_manager_requests_malformed_total").increment(1);
    warn!(
        code = "message.malformed",
        message_id = message,
        event_source = source,
        has_token,
        reason,
        "message malformed"
    );
}

/// A message is of a kind this version does not know.
pub fn unknown_kind(detail_type: &str) {
    warn!(code = "message.unknown_kind", detail_type, "kind unknown to this version, left in the queue");
}

/// A message tells of what is of no use here.
pub fn unwanted(detail_type: &str, reason: &str) {
    debug!(code = "message.unwanted", detail_type, reason, "news of no use here, deleted");
}

/// A message could not be stored and comes back.
pub fn store_failed(message: &str, why: &dyn Error) {
    error!(
        code = "message.not_stored",
        message_id = message,
        error = chain(why),
        "request could not be stored"
    );
}

/// The payload of a request could not be read from S3 now, and its message comes back.
pub fn payload_unread(message: &str, why: &dyn Error) {
    warn!(code = "message.payload_unread", message_id = message, error = chain(why), "payload unread");
}

/// Some children were not told on the internal bus; the timers will find them.
pub fn children_untold(request: &str, children: usize) {
    warn!(code = "event.children_untold", request_id = request, children, "child events refused by the bus");
}

/// The bus did not take an event.
pub fn publish_failed(request: &str, why: &dyn Error) {
    note("event.not_published", || chain(why));
    warn!(code = "event.not_published", request_id = request, error = chain(why), "event not published");
}

/// A heartbeat was sent.
pub fn beat_sent(request: &str, gap: Duration, promise: Duration) {
    counter!("copy_manager_heartbeats_total").increment(1);
    histogram!("copy_manager_heartbeat_gap_seconds").record(gap);
    if gap > promise {
        counter!("copy_manager_heartbeats_late_total").increment(1);
        warn!(
            code = "heartbeat.late",
            request_id = request,
            gap_ms = millis(gap),
            "heartbeat later than promised"
        );
    }
    debug!(code = "heartbeat.sent", request_id = request, "heartbeat sent");
}

/// A heartbeat was not sent: there was no sign of life for too long.
pub fn beat_withheld(request: &str, first: bool) {
    counter!("copy_manager_heartbeats_withheld_total").increment(1);
    if first {
        warn!(code = "heartbeat.withheld", request_id = request, "heartbeats withheld: no progress");
    } else {
        debug!(code = "heartbeat.still_withheld", request_id = request, "heartbeat withheld");
    }
}

/// A root shows no sign of life; its folders are asked for a look.
pub fn silent(request: &str, folders: usize) {
    note("request.no_progress", || counted(folders, "folder"));
    warn!(
        code = "request.no_progress",
        request_id = request,
        folders,
        "no progress, looking at the destinations"
    );
}

/// Signs of life could not be written and are written with the next tick.
pub fn evidence_untold(why: &dyn Error) {
    warn!(code = "request.progress_not_stored", error = chain(why), "progress not stored");
}

/// A callback failed and is tried again.
pub fn callback_failed(call: Callback, request: &str, why: &dyn Error) {
    counter!("copy_manager_callbacks_failed_total", "call" => call.as_str()).increment(1);
    note("caller.not_told", || format!("{}: {}", call.as_str(), chain(why)));
    warn!(
        code = "caller.not_told",
        request_id = request,
        call = call.as_str(),
        error = chain(why),
        "callback failed"
    );
}

/// What was to be told of a task token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    /// That its request is alive.
    Heartbeat,
    /// How its request has ended.
    Answer,
}

impl Callback {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Answer => "answer",
        }
    }
}

/// No caller waits on a token any more; the copy goes on.
pub fn caller_gone(request: &str) {
    counter!("copy_manager_callers_gone_total").increment(1);
    warn!(code = "caller.gone", request_id = request, "caller gone, its token has ended");
}

/// A file that no job would bring is streamed.
pub fn file_rerouted(folder: &str) {
    note("file.rerouted", String::new);
    counter!("copy_manager_files_rerouted_total").increment(1);
    warn!(code = "file.rerouted", folder_id = folder, "file streamed because every job with it fails");
}

/// A file at the destination was deleted: a PARTIAL leftover, or one that is overwritten.
pub fn condemned_deleted(folder: &str, id: &DataId, partial: bool) {
    let why = if partial { "leftover" } else { "overwrite" };
    note("file.deleted", || why.to_owned());
    counter!("copy_manager_files_deleted_total", "why" => why).increment(1);
    info!(
        code = "file.deleted",
        folder_id = folder,
        data_id = id.as_str(),
        reason = why,
        "file at the destination deleted"
    );
}

/// A file went through this process.
pub fn file_streamed(folder: &str, bytes: u64) {
    note("file.streamed", String::new);
    counter!("copy_manager_files_streamed_total").increment(1);
    debug!(code = "file.streamed", folder_id = folder, bytes, "file streamed");
}

/// S3 copied a file inside its project's bucket.
pub fn file_copied(folder: &str, bytes: u64) {
    note("file.copied_in_s3", String::new);
    counter!("copy_manager_files_copied_in_s3_total").increment(1);
    debug!(code = "file.copied_in_s3", folder_id = folder, bytes, "file copied inside S3");
}

/// A staging folder could not be deleted; it may be by hand.
pub fn staging_left(path: &str, why: &dyn Error) {
    note("folder.staging_left", || format!("{path}: {}", chain(why)));
    warn!(code = "folder.staging_left", folder_path = path, error = chain(why), "staging folder left behind");
}

/// A stream failed and is tried again.
pub fn stream_failed(folder: &str, why: &dyn Error, attempts: u32) {
    note("file.stream_failed", || chain(why));
    counter!("copy_manager_streams_failed_total").increment(1);
    warn!(code = "file.stream_failed", folder_id = folder, error = chain(why), attempts, "stream failed");
}

/// How busy this instance is.
pub fn active(running: usize, waiting: usize, streams: usize) {
    gauge!("copy_manager_streams_active").set(u32::try_from(streams).unwrap_or(u32::MAX));
    gauge!("copy_manager_runs_active").set(u32::try_from(running).unwrap_or(u32::MAX));
    gauge!("copy_manager_runs_waiting").set(u32::try_from(waiting).unwrap_or(u32::MAX));
}

/// A lease could not be asked for.
pub fn acquire_failed(key: &dyn Display, why: &dyn Error) {
    warn!(code = "record.not_acquired", record = %key, error = chain(why), "record could not be acquired");
}

/// A lease is lost.
pub fn lease_lost(key: &dyn Display) {
    counter!("copy_manager_leases_lost_total").increment(1);
    warn!(code = "record.lease_lost", record = %key, "lease lost");
}

/// A record is taken whose last holder did not give it back, as that many before it in a row.
pub fn taken_over(key: &dyn Display, from: &str, times: i64) {
    counter!("copy_manager_lease_takeovers_total").increment(1);
    info!(code = "record.taken_over", record = %key, holder = from, times, "record taken over");
}

/// A lease could not be renewed this time.
pub fn renewal_failed(key: &dyn Display, why: &dyn Error) {
    warn!(code = "record.not_renewed", record = %key, error = chain(why), "lease not renewed");
}

/// A record could not be given back; its lease will run out.
pub fn release_failed(key: &dyn Display, why: &dyn Error) {
    warn!(code = "record.not_released", record = %key, error = chain(why), "record not released");
}

/// A round ended in an error and is tried again. Of a row of failures the first is told, the second, the fourth,
/// and so on: what is down says so itself.
pub fn round_failed(key: &dyn Display, why: &dyn Error, failures: i64, next_at: Option<Timestamp>) {
    note("record.round_failed", || chain(why));
    counter!("copy_manager_rounds_failed_total").increment(1);
    let (error, next_at) = (chain(why), next_at.map(|at| at.to_string()));
    if failures.count_ones() <= 1 {
        warn!(code = "record.round_failed", record = %key, error, failures, next_at, next = "tried again", "round failed");
    } else {
        debug!(
            code = "record.round_failed_again",
            record = %key,
            error,
            failures,
            next_at,
            next = "tried again",
            "round failed again"
        );
    }
}

/// A folder goes through round after round for nothing: a defect of ours.
pub fn rounds_in_vain(folder: &str, rounds: u32, waits_for: &str) {
    note("folder.in_vain", || format!("waits for {waits_for}"));
    counter!("copy_manager_rounds_in_vain_total").increment(1);
    warn!(code = "folder.in_vain", folder_id = folder, rounds, waits_for, "rounds without progress");
}

/// A run panicked.
pub fn run_broke(key: Option<&impl Display>, why: &dyn Error) {
    let record = key.map(ToString::to_string);
    error!(code = "record.panicked", record, error = chain(why), "task of a record panicked");
}

/// A time of a schedule is left out, since the root of the one before has not settled.
pub fn schedule_skipped(schedule: &str, root: &str, at: &dyn Display) {
    warn!(
        code = "schedule.skipped",
        schedule,
        request_id = root,
        at = %at,
        next = "the next time is not left out, if the one before has ended by then",
        "a time of a schedule is left out: the one before goes on"
    );
}
