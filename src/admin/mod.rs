//! The HTTP side of the process: health, metrics, events in, requests to look at.
//!
//! | route | answers |
//! | --- | --- |
//! | `GET /livez` | 200 while the process serves at all |
//! | `GET /readyz` | 200 while new work is welcome, else 503 |
//! | `GET /metrics` | what has been counted, for Prometheus |
//! | `POST /v1/events` | as `PutEvents` does |
//! | `GET /v1/requests/{id}` | the state of a request |
//!
//! There is no authentication: it listens on the loopback interface unless told otherwise.

mod events;
mod problem;
mod requests;

use std::{fmt, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::Value;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use self::problem::Problem;
use crate::ports;

/// How large a request's body may be; what EventBridge takes in one call.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long an answer may take, the reading of the body included.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It will never be taken; say what is wrong with it.
    #[error("{0}")]
    Invalid(String),
    /// It may be sent again.
    #[error("{0}")]
    Unavailable(String),
}

/// What this room needs from the rest of the process.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// Takes an event for delivery and returns the id given to it. One that nobody consumes is taken
    /// and dropped, as EventBridge does.
    async fn accept(&self, source: &str, detail_type: &str, detail: Value) -> Result<String, Refused>;

    /// The request with that id as it is shown to people; `None` when there is none.
    async fn request(&self, id: &str) -> ports::Result<Option<Value>>;

    /// Whether new work is welcome.
    fn ready(&self) -> bool;
}

/// What the routes share.
#[derive(Clone)]
pub struct Admin {
    /// The rest of the process.
    pub backend: Arc<dyn Backend>,
    /// What `/metrics` shows.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// Serves until `stop`, then answers what has been asked already.
pub async fn serve(listener: TcpListener, admin: Admin, stop: CancellationToken) -> io::Result<()> {
    axum::serve(listener, router(admin)).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// The routes, which tests call in process.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/events", post(events::put))
        .route("/v1/requests/{id}", get(requests::show))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no such route"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this route has another method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(in_time))
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.backend.ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
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
