//! The HTTP side of the process: health, metrics, events in, requests to look at.
//!
//! | route | answers |
//! | --- | --- |
//! | `GET /livez` | 200 while the process serves at all |
//! | `GET /readyz` | 200 while everything that is needed can be reached, else 503; what cannot be, as JSON |
//! | `GET /metrics` | what has been counted, for Prometheus |
//! | `POST /v1/events` | as `PutEvents` does; also events of ICAv2, as they are or through SNS |
//! | `GET /v1/requests` | requests, newest first, in pages; `status`, `kind`, `source`, `text`, `since`, `limit`, `cursor` |
//! | `GET /v1/requests/{id}` | the state of a request, by id, event, name, caller, job or URI |
//! | `GET /v1/requests/{id}/folders`, `/journal`, `/explain` | its folders, what has happened to it, and all of that with why and what next |
//! | `GET /openapi.json`, `GET /docs` | the description of all this for programs, and for people |
//! | `GET /errors` | what the kinds of errors mean |
//! | `GET /`, `GET /requests/{id}` | the same for people: [`page`] |
//! | `POST /v1/canvas/runs`, `GET /v1/canvas/runs`, `GET /v1/canvas/tables` | asks for a run over a replica, shows runs, and tables |
//! | `PUT /v1/log-level` | has all instances write more, or fewer, lines for a while |
//! | `POST /v1/requests/{id}:cancel`, `:retry`, `:wake` | ends it, makes it again, has it looked at now |
//!
//! It listens on the loopback interface unless told otherwise, and takes nothing from web pages. Where a token is
//! set, all but health and metrics needs it; elsewhere than on the loopback interface nothing else is answered
//! without one ([`guard`]).

pub mod canvas;
mod events;
pub mod guard;
mod log_level;
mod openapi;
mod page;
mod problem;
mod requests;
pub mod settings;
pub mod shapes;
pub mod token_file;
pub mod words;

use std::{fmt, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use self::{guard::Guard, problem::Problem};
use crate::{ports, runtime::server};

/// How large a request's body may be; what EventBridge takes in one call.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long an answer may take, the reading of the body included.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// An event that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The id of the event.
    pub event_id: String,
    /// The id of its request, where it is one.
    pub request_id: Option<String>,
}

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// It will never be taken.
    #[error("{reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
        /// The id under which the refusal is found.
        request_id: Option<String>,
    },
    /// Its sender has not shown who it is.
    #[error("{0}")]
    Untrusted(String),
    /// It may be sent again.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such request.
    #[error("there is no request `{0}`")]
    Unknown(String),
    /// As the request stands, that cannot be done.
    #[error("{0}")]
    Conflict(String),
}

impl ApiError {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::Untrusted(_) => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
        }
    }

    /// Wrong, and nothing is kept of it.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid { reason: reason.into(), request_id: None }
    }
}

/// Whether everything that is needed can be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// Whether that is so.
    pub ready: bool,
    /// What cannot be.
    pub not_ready: Vec<Lacking>,
}

/// One thing that is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Lacking {
    /// Its name.
    pub what: String,
    /// Why it is not.
    pub why: String,
}

/// Which requests are listed: those for which all holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// `RECEIVED`, `RUNNING`, `SUCCEEDED` or `FAILED`.
    pub status: Option<String>,
    /// The name of their kind.
    pub kind: Option<String>,
    /// The source of the event that asked.
    pub source: Option<String>,
    /// A part of their id, name, caller, destination or sources.
    pub text: Option<String>,
    /// Made then or later, as RFC 3339 writes it.
    pub since: Option<String>,
    /// How many; 50, and 500 at most.
    pub limit: Option<usize>,
    /// Where the page begins: `next` of the one before.
    pub cursor: Option<String>,
}

/// What is done to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It ends; what has arrived stays.
    Cancel {
        /// Why, for whoever waits for it.
        reason: String,
    },
    /// The same is asked for again: what has arrived is not copied twice.
    Retry,
    /// It is looked at now, and not when it would be.
    Wake,
}

/// What this room needs from the rest of the process.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// Takes an event for delivery. One that will never be taken is refused now.
    async fn accept(&self, source: &str, detail_type: &str, detail: Value) -> Result<Accepted, ApiError>;

    /// Takes events of ICAv2, as they are. How many were of jobs, and how many of anything else.
    async fn job_events(&self, body: &str) -> Result<(usize, u32), ApiError>;

    /// Takes a message of SNS that brings events of ICAv2, or asks whether it may.
    async fn notice(&self, body: &str) -> Result<(), ApiError>;

    /// The request with that id, or that an event of `source` has given that name, as it is shown to
    /// people; `None` when there is none.
    async fn request(&self, id: &str, source: Option<&str>) -> ports::Result<Option<Value>>;

    /// The folders, or parts, of that request: `folders`, those that need attention first, and their `total`.
    async fn folders(&self, id: &str, source: Option<&str>) -> Result<Option<Value>, ApiError>;

    /// The last things that have happened to that request: `journal`, oldest first.
    async fn journal(&self, id: &str, source: Option<&str>) -> Result<Option<Value>, ApiError>;

    /// What has become of that request, why, and what is next: `request`, `why`, `next`, `folders`, `journal`.
    async fn explain(&self, id: &str, source: Option<&str>) -> Result<Option<Value>, ApiError>;

    /// A page of requests, newest first: `requests`, and `next` where more may follow.
    async fn requests(&self, query: &ListQuery) -> Result<Value, ApiError>;

    /// Does that to the request with that id, or that an event of `source` has given that name; what came of it.
    async fn act(&self, id: &str, source: Option<&str>, action: Action) -> Result<Value, ApiError>;

    /// Has all instances write lines from that level on, for so long; until when (RFC 3339).
    async fn log_level(&self, level: &str, lasts: Duration) -> Result<String, ApiError>;

    /// The tables of the replicas that are kept here.
    async fn replica_tables(&self) -> Result<canvas::Tables, ApiError> {
        Ok(canvas::Tables::default())
    }

    /// What an operator wants to know of the service at a glance: a few words each.
    async fn facts(&self) -> Vec<String>;

    /// Whether everything that is needed can be reached.
    fn ready(&self) -> Ready;

    /// Now.
    fn now(&self) -> jiff::Timestamp;
}

/// What the routes share.
#[derive(Clone)]
pub struct Admin {
    /// The rest of the process.
    pub backend: Arc<dyn Backend>,
    /// What `/metrics` shows.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Who is not let in.
    pub guard: Guard,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// Serves until `stop`, then answers what has been asked already.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    max_connections: usize,
    stop: CancellationToken,
) -> io::Result<()> {
    server::serve(listener, router(admin), max_connections, stop).await
}

/// The routes, which tests call in process.
pub fn router(admin: Admin) -> Router {
    let guard = from_fn_with_state(admin.guard.clone(), guard::stand);
    Router::new()
        .route("/metrics", get(metrics))
        .merge(page::routes())
        .merge(openapi::routes())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no such route"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this route has another method")
        })
        .layer(guard)
        // Tells nothing, and those who watch a process call it by all kinds of names.
        .route("/livez", get(async || "alive\n"))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(in_time))
        .with_state(admin)
}

/// Whether everything that is needed can be reached
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "It can", body = Ready),
    (status = 503, description = "It cannot; what is lacking, and why", body = Ready),
))]
async fn readyz(State(admin): State<Admin>) -> (StatusCode, Json<Ready>) {
    let ready = admin.backend.ready();
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready))
}

async fn metrics(State(admin): State<Admin>) -> Response {
    ([("content-type", "text/plain; version=0.0.4")], (admin.metrics)()).into_response()
}

async fn in_time(request: Request, next: Next) -> Response {
    timeout(ANSWER_WITHIN, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no answer in time").into_response()
    })
}

#[cfg(test)]
mod tests;
