//! What the engine knows of a request, in the shapes that people and programs get.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    admin::shapes,
    domain::outcome::ErrorName,
    engine::{
        children::{ChildView, Children, History, Told},
        view::RequestView,
    },
    events::outgoing::{Report, counters, failure_cause, success_output},
};

/// A request.
pub(super) fn request(view: &RequestView) -> shapes::Request {
    let mut shown = shapes::Request {
        request_id: view.id.clone(),
        kind: view.kind.clone(),
        status: view.status().as_str(),
        source: view.source.clone(),
        source_uris: view.sources.first.clone(),
        sources_total: view.sources.total,
        destination_uri: view.destination.clone(),
        counters: counters(&view.counters),
        unverified: view.unverified,
        children: shapes::Parts { total: view.children.0, settled: view.children.1 },
        settled: view.settled,
        started_at: view.started_at.to_string(),
        updated_at: view.updated_at.to_string(),
        last_progress_at: view.progress_at.to_string(),
        name: view.name.clone(),
        event_id: view.event_id.clone(),
        caller: view.caller.clone(),
        waiting_for: view.waiting_for.clone(),
        trouble: view.trouble.clone(),
        next_try_at: view.next_at.map(|at| at.to_string()),
        output: None,
        error: None,
        cause: None,
    };
    if let Some(outcome) = &view.outcome {
        let report = Report { request_id: &view.id, destination_uri: &view.destination, outcome };
        match &outcome.failure {
            None => shown.output = Some(document(&success_output(&report))),
            Some(failure) => {
                shown.error = Some(failure.error.as_str());
                shown.cause = Some(document(&failure_cause(&report)));
                // What it has come to all the same, where its kind says that.
                shown.output = outcome.answer.as_deref().map(document);
            }
        }
    }
    shown
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The children of a request, those that need attention first.
pub(super) fn children(children: &Children) -> shapes::Folders {
    shapes::Folders { folders: children.children.iter().map(child).collect(), total: children.total }
}

/// A child of a request.
pub(super) fn child(child: &ChildView) -> shapes::Folder {
    shapes::Folder {
        folder_id: child.id.clone(),
        destination_uri: child.destination.clone(),
        status: child.status.as_str(),
        error: child.error.map(ErrorName::as_str),
        why: child.why.clone(),
        next_try_at: child.next_at.map(|at| at.to_string()),
        counters: counters(&child.counters),
        jobs: child.jobs,
    }
}

/// What has happened, oldest first.
pub(super) fn journal(history: &History) -> shapes::Journal {
    shapes::Journal { journal: history.entries.iter().map(entry).collect(), is_cut: history.is_cut }
}

fn entry(told: &Told) -> shapes::Entry {
    let at =
        |millis: i64| Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |at| at.to_string());
    let entry = &told.entry;
    let again = entry.times > 1;
    shapes::Entry {
        at: at(entry.at),
        code: entry.code.clone(),
        note: entry.note.clone(),
        destination_uri: told.place.clone(),
        times: again.then_some(entry.times),
        last_at: again.then(|| at(entry.last)),
    }
}
