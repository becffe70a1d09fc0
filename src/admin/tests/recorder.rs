//! A process that only notes what the routes ask of it.

use std::sync::Mutex;

use serde_json::json;

use super::*;

/// Notes what it is given.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) taken: Mutex<Vec<(String, String, Value)>>,
}

#[async_trait]
impl Backend for Recorder {
    async fn accept(&self, source: &str, detail_type: &str, detail: Value) -> Result<Accepted, ApiError> {
        match detail_type {
            "Bad" => {
                return Err(ApiError::Invalid { reason: "bad".into(), request_id: Some("kept".into()) });
            }
            "Busy" => return Err(ApiError::Unavailable("busy".into())),
            _ => {}
        }
        let mut taken = self.taken.lock().unwrap();
        taken.push((source.into(), detail_type.into(), detail));
        Ok(Accepted { event_id: format!("event-{}", taken.len()), request_id: None })
    }

    async fn job_events(&self, body: &str) -> Result<(usize, u32), ApiError> {
        let events = crate::events::jobs::read_job_events(body).map_err(ApiError::invalid)?;
        Ok((events.jobs.len(), events.others))
    }

    async fn notice(&self, body: &str) -> Result<(), ApiError> {
        if body == "signed" { Ok(()) } else { Err(ApiError::Untrusted("not signed".into())) }
    }

    async fn request(&self, id: &str, source: Option<&str>) -> ports::Result<Option<Value>> {
        match id {
            "tuesday" => Ok(source.map(|source| json!({ "source": source }))),
            "known" => Ok(Some(json!({ "requestId": id }))),
            "slow" => std::future::pending().await,
            "outage" => Err(Error::new(Class::Transient, "GetItem", "timeout")),
            _ => Ok(None),
        }
    }

    async fn folders(&self, id: &str, _: Option<&str>) -> Result<Option<Value>, ApiError> {
        Ok((id == "known").then(|| json!({ "folders": [1, 2, 3, 4], "total": 9 })))
    }

    async fn journal(&self, id: &str, _: Option<&str>) -> Result<Option<Value>, ApiError> {
        Ok((id == "known").then(|| json!({ "journal": [], "isCut": false })))
    }

    async fn explain(&self, id: &str, source: Option<&str>) -> Result<Option<Value>, ApiError> {
        let request = self.request(id, source).await.map_err(|why| ApiError::Unavailable(why.to_string()))?;
        Ok(request.map(|request| json!({ "request": request, "why": [], "next": [], "journal": [] })))
    }

    async fn requests(&self, query: &ListQuery) -> Result<Value, ApiError> {
        match query.status.as_deref() {
            Some("odd") => Err(ApiError::invalid("`status` is odd")),
            _ => Ok(json!({ "requests": [], "next": query.cursor, "limit": query.limit })),
        }
    }

    async fn act(&self, id: &str, source: Option<&str>, action: Action) -> Result<Value, ApiError> {
        match id {
            "gone" => Err(ApiError::Unknown(id.into())),
            "ended" => Err(ApiError::Conflict("it has ended".into())),
            _ => Ok(json!({ "id": id, "source": source, "action": format!("{action:?}") })),
        }
    }

    async fn log_level(&self, level: &str, lasts: Duration) -> Result<String, ApiError> {
        match level {
            "loud" => Err(ApiError::invalid("there is no such level")),
            _ => Ok(format!("{level} for {}", lasts.as_secs())),
        }
    }

    async fn facts(&self) -> Vec<String> {
        vec!["2 instances alive".to_owned()]
    }

    fn now(&self) -> jiff::Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    fn ready(&self) -> Ready {
        let ready = self.taken.lock().unwrap().is_empty();
        let lacking = Lacking { what: "icav2".into(), why: "401 Unauthorized".into() };
        Ready { ready, not_ready: if ready { Vec::new() } else { vec![lacking] } }
    }
}
