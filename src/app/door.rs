//! What the HTTP side shows of the engine, and where it puts what comes in.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::adapters::Entrance;
use crate::{
    admin::{Accepted, ApiError, Backend, Lacking, Ready},
    embedded::sns::{Inbox, Unheard},
    engine::{Engine, EventVerdict, view::RequestView},
    events::{
        BATCH_REQUEST, CHILD_REQUEST, COPY_OUT_REQUEST, COPY_REQUEST,
        outgoing::{Report, counters, failure_cause, success_output},
    },
    planes::folder::FolderPlane,
    ports::{Error, Result},
    runtime::Readiness,
};

/// The events that the requests queue takes; on a shared bus, any other event is for another service.
const CLAIMED: [&str; 4] = [COPY_REQUEST, BATCH_REQUEST, COPY_OUT_REQUEST, CHILD_REQUEST];

/// The engine, from outside.
#[derive(Debug)]
pub(super) struct Door {
    engine: Arc<Engine>,
    folders: Arc<FolderPlane>,
    entrance: Entrance,
    /// Messages of SNS, where topics are named whose messages are taken.
    notices: Option<Inbox>,
    readiness: Readiness,
}

impl Door {
    pub(super) fn new(
        engine: Arc<Engine>,
        folders: Arc<FolderPlane>,
        entrance: Entrance,
        notices: Option<Inbox>,
        readiness: Readiness,
    ) -> Self {
        Self { engine, folders, entrance, notices, readiness }
    }

    /// Wakes the folders that wait for the jobs that these events are about.
    async fn hear(&self, events: &str) -> Result<(usize, u32), ApiError> {
        let heard = self.folders.hear_events(events).await;
        heard.map_err(|error| refused(&error))?.map_err(ApiError::invalid)
    }
}

#[async_trait]
impl Backend for Door {
    async fn accept(&self, source: &str, detail_type: &str, detail: Value) -> Result<Accepted, ApiError> {
        let id = self.engine.event_id();
        let event = json!({ "id": id, "detail-type": detail_type, "source": source, "detail": detail });
        let is_claimed = CLAIMED.contains(&detail_type);
        if !is_claimed && detail.get("ica-event").is_some() {
            // What a pipe makes of the events of ICAv2.
            self.hear(&event.to_string()).await?;
            return Ok(Accepted { event_id: id, request_id: None });
        }
        // Here no other service takes events, so the sender is told of an event that we do not take.
        let is_for_us = is_claimed || matches!(self.entrance, Entrance::Embedded(_));
        let judged =
            if is_for_us { Some(self.engine.judge_event(&event.to_string(), &id).await) } else { None };
        let request_id = match judged.transpose().map_err(|error| refused(&error))? {
            Some(EventVerdict::Refused { id, reason }) => {
                return Err(ApiError::Invalid { reason, request_id: Some(id) });
            }
            Some(EventVerdict::Welcome(request_id)) => Some(request_id),
            None => None,
        };
        let put = match &self.entrance {
            Entrance::Embedded(bus) => {
                bus.accept_as(&id, source, detail_type, &detail).await.map(|()| id.clone())
            }
            Entrance::Aws(bus) => bus.put(source, detail_type, &detail).await,
        };
        let event_id = put.map_err(|error| refused(&error))?;
        // What has no better name is called as its event is.
        let request_id = request_id.map(|request| if request == id { event_id.clone() } else { request });
        Ok(Accepted { event_id, request_id })
    }

    async fn job_events(&self, body: &str) -> Result<(usize, u32), ApiError> {
        self.hear(body).await
    }

    async fn notice(&self, body: &str) -> Result<(), ApiError> {
        let Some(inbox) = &self.notices else {
            return Err(ApiError::Untrusted("no topic of SNS is allowed (admin.sns_topics)".to_owned()));
        };
        let opened = inbox.open(body).await.map_err(|why| match why {
            Unheard::Wrong(reason) => ApiError::invalid(reason),
            Unheard::Untrusted(reason) => ApiError::Untrusted(reason),
            Unheard::Later(reason) => ApiError::Unavailable(reason),
        })?;
        match opened {
            Some(events) => self.hear(&events).await.map(drop),
            None => Ok(()),
        }
    }

    async fn request(&self, id: &str, source: Option<&str>) -> Result<Option<Value>> {
        Ok(self.engine.view_of(id, source).await?.map(|view| show(&view)))
    }

    fn ready(&self) -> Ready {
        let lacking = self.readiness.lacking();
        let lacking = lacking.into_iter().map(|(what, why)| Lacking { what: what.to_owned(), why });
        let not_ready: Vec<_> = lacking.collect();
        Ready { ready: not_ready.is_empty(), not_ready }
    }
}

fn refused(error: &Error) -> ApiError {
    if error.is_passing() {
        ApiError::Unavailable(error.to_string())
    } else {
        ApiError::invalid(error.to_string())
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
