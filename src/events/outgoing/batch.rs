//! The output of a batch, in the shape of its predecessor.

use serde_json::{Value, json};

use super::{CAUSE_LIMIT, DETAIL_LIMIT, OUTPUT_LIMIT, clip};
use crate::domain::batch::{Deliveries, Delivery};

/// What goes around the output on the bus, at most.
const ENVELOPE: usize = 8 * 1024;

/// Where the whole output of a batch has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Wherever it is told.
    Everywhere,
    /// Not wherever it is told.
    Somewhere,
    /// In no answer to a task.
    Nowhere,
}

/// The output with nothing left out, and where it has room; if not all was delivered, where also the
/// cause has that takes its place.
#[must_use]
pub fn whole_deliveries(deliveries: &Deliveries) -> (String, Room) {
    let whole = output(deliveries, usize::MAX).to_string();
    let length = whole.len();
    let failing = deliveries.pieces.iter().filter(|piece| piece.failure.is_some());
    let told: usize = failing.map(|piece| failed(piece).to_string().len()).sum();
    let room = if length > OUTPUT_LIMIT {
        Room::Nowhere
    } else if length + ENVELOPE > DETAIL_LIMIT || told + 2 * ENVELOPE > CAUSE_LIMIT {
        Room::Somewhere
    } else {
        Room::Everywhere
    };
    (whole, room)
}

/// How many entries there are to leave out: the sources of all pieces count as one, which goes first.
pub(super) fn entries(deliveries: &Deliveries) -> usize {
    deliveries.pieces.len() + 1
}

/// The output with so many of the entries.
pub(super) fn output(deliveries: &Deliveries, most: usize) -> Value {
    let Deliveries { pieces, without_sources, report } = deliveries;
    let failed = pieces.iter().filter(|piece| piece.failure.is_some()).count();
    let with_sources = most > pieces.len();
    let mut output = json!({
        "job_status_iterable_parameter": { "job_status_iterable": pieces.len() },
        "wait_parameter": { "wait": true },
        "counters": {
            "jobs_failed": failed,
            "jobs_running": 0,
            "jobs_passed": pieces.len() - failed,
        },
        "job_list_with_attempt_counter":
            pieces.iter().take(most).map(|piece| entry(piece, with_sources)).collect::<Vec<_>>(),
    });
    if let Some(fields) = output.as_object_mut()
        && (*without_sources || !with_sources)
    {
        fields.insert("truncated".to_owned(), true.into());
        if let Some(uri) = report {
            fields.insert("report".to_owned(), uri.as_str().into());
        }
    }
    output
}

fn entry(piece: &Delivery, with_sources: bool) -> Value {
    let sources = if with_sources { piece.sources.as_slice() } else { &[] };
    json!({
        "job_attempt_counter": piece.attempt,
        "job_id": piece.job_id,
        "failed_jobs_list": piece.failed_jobs,
        "dest_uri": piece.destination,
        "source_uris": sources,
        "job_status": piece.failure.is_none(),
    })
}

/// The destinations that a failure names, and how many there are.
pub(super) fn failures(deliveries: Option<&Deliveries>, most: usize) -> (Option<Vec<Value>>, usize) {
    let Some(deliveries) = deliveries else { return (None, 0) };
    let failing = || deliveries.pieces.iter().filter(|piece| piece.failure.is_some());
    (Some(failing().take(most).map(failed).collect()), failing().count())
}

fn failed(piece: &Delivery) -> Value {
    let jobs: Vec<_> = piece.failed_jobs.iter().chain(&piece.job_id).collect();
    json!({
        "destinationUri": piece.destination,
        "error": piece.failure.as_ref().map(|failure| failure.error.as_str()),
        "why": piece.failure.as_ref().map(|failure| clip(&failure.why)),
        "jobIds": jobs,
    })
}
