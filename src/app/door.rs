//! What the HTTP side shows of the engine, and where it puts what comes in.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{adapters::Entrance, depths::Depths, explain, shown};
use crate::{
    admin::{
        Accepted, Action, ApiError, Backend, Lacking, ListQuery, Ready,
        canvas::{Table, Tables},
        shapes::{Done, Page},
    },
    domain::{ids::RequestId, replica::settings::CanvasSettings},
    embedded::sns::{Inbox, Unheard},
    engine::{Cancel, Engine, EventVerdict, Retry, Woken, list::Wanted},
    events::{BATCH_REQUEST, CHILD_REQUEST, COPY_OUT_REQUEST, COPY_REQUEST, outgoing::Status},
    kinds::replica::Replicas,
    planes::folder::FolderPlane,
    ports::{Error, Result, replica::Standing},
    runtime::Readiness,
    signals,
};

/// The events that the requests queue takes, besides those that a kind takes; on a shared bus, any other event is
/// for another service.
const CLAIMED: [&str; 4] = [COPY_REQUEST, BATCH_REQUEST, COPY_OUT_REQUEST, CHILD_REQUEST];

/// Requests on a page of a list, where nothing is said, and at most.
const USUAL_PAGE: usize = 50;
const LARGEST_PAGE: usize = 500;

/// The engine, from outside.
#[derive(Debug)]
pub(super) struct Door {
    engine: Arc<Engine>,
    folders: Arc<FolderPlane>,
    replicas: Arc<Replicas>,
    entrance: Entrance,
    /// Messages of SNS, where topics are named whose messages are taken.
    notices: Option<Inbox>,
    readiness: Readiness,
    depths: Arc<Depths>,
}

impl Door {
    pub(super) fn new(
        engine: Arc<Engine>,
        (folders, replicas): (Arc<FolderPlane>, Arc<Replicas>),
        entrance: Entrance,
        notices: Option<Inbox>,
        readiness: Readiness,
        depths: Arc<Depths>,
    ) -> Self {
        Self { engine, folders, replicas, entrance, notices, readiness, depths }
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
        let is_claimed = CLAIMED.contains(&detail_type) || self.engine.takes(detail_type);
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
        Ok(self.engine.view_of(id, source).await?.map(|view| json!(shown::request(&view))))
    }

    async fn folders(&self, id: &str, source: Option<&str>) -> Result<Option<Value>, ApiError> {
        let failed = |error: Error| refused(&error);
        let Some(view) = self.engine.view_of(id, source).await.map_err(failed)? else { return Ok(None) };
        let found = self.engine.children(&RequestId::new(view.id)).await.map_err(failed)?;
        Ok(found.map(|children| json!(shown::children(&children))))
    }

    async fn journal(&self, id: &str, source: Option<&str>) -> Result<Option<Value>, ApiError> {
        let failed = |error: Error| refused(&error);
        let Some(view) = self.engine.view_of(id, source).await.map_err(failed)? else { return Ok(None) };
        let found = self.engine.history(&RequestId::new(view.id)).await.map_err(failed)?;
        Ok(found.map(|history| json!(shown::journal(&history))))
    }

    async fn explain(&self, id: &str, source: Option<&str>) -> Result<Option<Value>, ApiError> {
        let explained = explain::explain(&self.engine, id, source).await.map_err(|error| refused(&error))?;
        Ok(explained.map(|explanation| json!(explanation)))
    }

    async fn requests(&self, query: &ListQuery) -> Result<Value, ApiError> {
        let listed = self.engine.list(&wanted(query)?).await.map_err(|error| refused(&error))?;
        let requests = listed.requests.iter().map(shown::request).collect();
        Ok(json!(Page { requests, next: listed.next }))
    }

    async fn act(&self, id: &str, source: Option<&str>, action: Action) -> Result<Value, ApiError> {
        let unknown = || ApiError::Unknown(id.to_owned());
        let found = self.engine.own_id(id, source).await.map_err(|error| refused(&error))?;
        let request = found.ok_or_else(unknown)?;
        let conflict = |why: String| Err(ApiError::Conflict(why));
        let acting = |error: Error| refused(&error);
        match action {
            Action::Cancel { reason } => {
                match self.engine.cancel(request.as_str(), &reason).await.map_err(acting)? {
                    Cancel::Unknown => return Err(unknown()),
                    Cancel::Ended => return conflict(format!("{request} has ended already")),
                    Cancel::Stopping => {}
                }
            }
            Action::Wake => match self.engine.wake_request(&request).await.map_err(acting)? {
                Woken::Unknown => return Err(unknown()),
                Woken::Ended => return conflict(format!("{request} has ended already")),
                Woken::Now => {}
            },
            Action::Retry => match self.engine.retry(&request).await.map_err(acting)? {
                Retry::Unknown => return Err(unknown()),
                Retry::NotFailed(status) => {
                    return conflict(format!("{request} has not failed: it is {}", status.as_str()));
                }
                Retry::Succeeded(again) => {
                    return conflict(format!("{request} was retried as {again}, which has succeeded"));
                }
                Retry::As(again) => {
                    let retry_of = Some(request.to_string());
                    return Ok(json!(Done { request_id: again.to_string(), retry_of }));
                }
            },
        }
        Ok(json!(Done { request_id: request.to_string(), retry_of: None }))
    }

    async fn log_level(&self, level: &str, lasts: Duration) -> Result<String, ApiError> {
        let until = self.engine.set_log_level(level, lasts).await.map_err(|error| refused(&error))?;
        Ok(until.to_string())
    }

    async fn replica_tables(&self) -> Result<Tables, ApiError> {
        let standing = self.replicas.standing().await.map_err(|error| refused(&error))?;
        let now = super::now();
        let shown = |(settings, of): (Arc<CanvasSettings>, Standing)| {
            let age = now.duration_since(of.meta.timestamp).max(SignedDuration::ZERO);
            Table {
                instance: settings.instance.clone(),
                namespace: of.table.namespace,
                table: of.table.table,
                data_of: of.meta.timestamp.to_string(),
                age: age.as_secs(),
                schema_version: of.meta.schema_version,
                rows: of.rows,
                rejected: of.rejected,
                stale: age.unsigned_abs() > settings.stale_after,
            }
        };
        Ok(Tables { tables: standing.into_iter().map(shown).collect() })
    }

    async fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        // What cannot be told is told by the readiness.
        if let Ok(instances) = self.engine.instances().await {
            let plural = if instances == 1 { "" } else { "s" };
            facts.push(format!("{instances} instance{plural} alive"));
        }
        let (waiting, rate) = self.engine.platform_load();
        facts.push(format!("ICAv2 at {rate:.0} calls a second, {waiting} waiting"));
        if let Some(left) = signals::ages::token_left(super::now().as_second()) {
            facts.push(format!("token ends in {} min", left.max(0) / 60));
        }
        facts.extend(self.depths.told());
        facts
    }

    fn now(&self) -> jiff::Timestamp {
        super::now()
    }

    fn ready(&self) -> Ready {
        let lacking = self.readiness.lacking();
        let lacking = lacking.into_iter().map(|(what, why)| Lacking { what: what.to_owned(), why });
        let not_ready: Vec<_> = lacking.collect();
        Ready { ready: not_ready.is_empty(), not_ready }
    }
}

/// What is wanted of a list, read.
fn wanted(query: &ListQuery) -> Result<Wanted, ApiError> {
    let ListQuery { status, kind, source, text, since, limit, cursor } = query.clone();
    let unknown = |status: &str| {
        let known = Status::ALL.map(Status::as_str).join(", ");
        ApiError::invalid(format!("`status` must be one of {known}, not {status}"))
    };
    let status = status.map(|text| {
        let named = Status::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(&text));
        named.ok_or_else(|| unknown(&text))
    });
    let since = since.map(|text| {
        text.parse().map_err(|why| ApiError::invalid(format!("`since` must be a time as in RFC 3339: {why}")))
    });
    let limit = limit.unwrap_or(USUAL_PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(ApiError::invalid(format!("`limit` must be from 1 to {LARGEST_PAGE}")));
    }
    Ok(Wanted { status: status.transpose()?, kind, source, text, since: since.transpose()?, limit, cursor })
}

fn refused(error: &Error) -> ApiError {
    if error.is_passing() {
        ApiError::Unavailable(error.to_string())
    } else {
        ApiError::invalid(error.to_string())
    }
}
