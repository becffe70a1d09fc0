//! What the HTTP side shows of the engine, and where it puts what comes in.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::adapters::Entrance;
use crate::{
    admin::{Backend, Refused},
    engine::{Engine, view::RequestView},
    events::{
        BATCH_REQUEST, CHILD_REQUEST, COPY_OUT_REQUEST, COPY_REQUEST,
        outgoing::{Report, counters, failure_cause, success_output},
    },
    ports::{Error, Result},
    runtime::Readiness,
};

/// What the requests queue of one's own takes; what else comes is nobody's.
const CLAIMED: [&str; 4] = [COPY_REQUEST, BATCH_REQUEST, COPY_OUT_REQUEST, CHILD_REQUEST];

/// The engine, from outside.
#[derive(Debug)]
pub(super) struct Door {
    engine: Arc<Engine>,
    entrance: Entrance,
    readiness: Readiness,
}

impl Door {
    pub(super) fn new(engine: Arc<Engine>, entrance: Entrance, readiness: Readiness) -> Self {
        Self { engine, entrance, readiness }
    }
}

#[async_trait]
impl Backend for Door {
    async fn accept(&self, source: &str, detail_type: &str, detail: Value) -> Result<String, Refused> {
        match &self.entrance {
            Entrance::Embedded(bus) if CLAIMED.contains(&detail_type) => {
                bus.accept(source, detail_type, &detail).await.map_err(|error| refused(&error))
            }
            // Nobody consumes it here: taken and dropped, as EventBridge does without a rule.
            Entrance::Embedded(bus) => Ok(bus.unclaimed()),
            Entrance::Aws(bus) => {
                bus.put(source, detail_type, &detail).await.map_err(|error| refused(&error))
            }
        }
    }

    async fn request(&self, id: &str) -> Result<Option<Value>> {
        Ok(self.engine.view(id).await?.map(|view| show(&view)))
    }

    fn ready(&self) -> bool {
        self.readiness.is_ready()
    }
}

fn refused(error: &Error) -> Refused {
    if error.is_passing() {
        Refused::Unavailable(error.to_string())
    } else {
        Refused::Invalid(error.to_string())
    }
}

fn show(view: &RequestView) -> Value {
    let status = match (&view.outcome, view.begun) {
        (Some(outcome), _) if outcome.failure.is_none() => "SUCCEEDED",
        (Some(_), _) => "FAILED",
        (None, true) => "RUNNING",
        (None, false) => "RECEIVED",
    };
    let mut shown = json!({
        "requestId": view.id,
        "kind": view.kind,
        "status": status,
        "destinationUri": view.destination,
        "counters": counters(&view.counters),
        "children": { "total": view.children.0, "settled": view.children.1 },
        "settled": view.settled,
        "startedAt": view.started_at.to_string(),
        "updatedAt": view.updated_at.to_string(),
    });
    if let (Some(what), Some(fields)) = (&view.waiting_for, shown.as_object_mut()) {
        fields.insert("waitingFor".to_owned(), what.as_str().into());
    }
    if let (Some(outcome), Some(fields)) = (&view.outcome, shown.as_object_mut()) {
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
