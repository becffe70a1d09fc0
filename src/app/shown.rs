//! What the engine knows of a request, as JSON for people and programs.

use serde_json::{Map, Value, json};

use crate::{
    engine::{
        children::{ChildView, Children, History, Told},
        view::RequestView,
    },
    events::outgoing::{Report, counters, failure_cause, success_output},
};

/// A request.
pub(super) fn request(view: &RequestView) -> Value {
    let mut shown = json!({
        "requestId": view.id,
        "kind": view.kind,
        "status": view.status().as_str(),
        "source": view.source,
        "sourceUris": view.sources.first,
        "sourcesTotal": view.sources.total,
        "destinationUri": view.destination,
        "counters": counters(&view.counters),
        "unverified": view.unverified,
        "children": { "total": view.children.0, "settled": view.children.1 },
        "settled": view.settled,
        "startedAt": view.started_at.to_string(),
        "updatedAt": view.updated_at.to_string(),
        "lastProgressAt": view.progress_at.to_string(),
    });
    let Some(fields) = shown.as_object_mut() else { return shown };
    let next = view.next_at.map(|at| at.to_string());
    let known = [
        ("name", &view.name),
        ("eventId", &view.event_id),
        ("caller", &view.caller),
        ("waitingFor", &view.waiting_for),
        ("trouble", &view.trouble),
        ("nextTryAt", &next),
    ];
    fields.extend(known.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into()))));
    if let Some(outcome) = &view.outcome {
        let report = Report { request_id: &view.id, destination_uri: &view.destination, outcome };
        match &outcome.failure {
            None => fields.insert("output".to_owned(), document(&success_output(&report))),
            Some(failure) => {
                fields.insert("error".to_owned(), failure.error.as_str().into());
                fields.insert("cause".to_owned(), document(&failure_cause(&report)))
            }
        };
    }
    shown
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The children of a request, those that need attention first.
pub(super) fn children(children: &Children) -> Value {
    let folders: Vec<_> = children.children.iter().map(child).collect();
    json!({ "folders": folders, "total": children.total })
}

/// A child of a request.
pub(super) fn child(child: &ChildView) -> Value {
    let known = [
        ("folderId", Some(child.id.clone())),
        ("destinationUri", Some(child.destination.clone())),
        ("status", Some(child.status.as_str().to_owned())),
        ("error", child.error.map(|error| error.to_string())),
        ("why", child.why.clone()),
        ("nextTryAt", child.next_at.map(|at| at.to_string())),
    ];
    let known = known.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
    let mut shown: Map<String, Value> = known.collect();
    shown.insert("counters".to_owned(), counters(&child.counters));
    shown.insert("jobs".to_owned(), child.jobs.into());
    shown.into()
}

/// What has happened, oldest first.
pub(super) fn journal(history: &History) -> Value {
    let entries: Vec<_> = history.entries.iter().map(entry).collect();
    json!({ "journal": entries, "isCut": history.is_cut })
}

fn entry(told: &Told) -> Value {
    let at = |millis: i64| {
        jiff::Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |at| at.to_string())
    };
    let entry = &told.entry;
    let mut shown = json!({ "at": at(entry.at), "code": entry.code, "note": entry.note });
    if let Some(fields) = shown.as_object_mut() {
        fields.extend(told.place.iter().map(|place| ("destinationUri".to_owned(), place.clone().into())));
        if entry.times > 1 {
            fields.insert("times".to_owned(), entry.times.into());
            fields.insert("lastAt".to_owned(), at(entry.last).into());
        }
    }
    shown
}
