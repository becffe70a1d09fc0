//! `PUT /v1/log-level`: more lines, or fewer, for a while.

use std::time::Duration;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Admin,
    problem::{PROBLEM, Problem},
    shapes::ProblemDocument,
};

/// What is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    level: String,
    /// For how long; a day at most.
    seconds: u64,
}

/// Until when.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Lasting {
    level: String,
    /// RFC 3339.
    until: String,
}

/// Has all instances write lines from a level on, for a while
#[utoipa::path(put, path = "/v1/log-level", tag = "health", request_body = Wanted, responses(
    (status = 200, body = Lasting),
    (status = 400, body = ProblemDocument, content_type = PROBLEM),
))]
pub(super) async fn put(
    State(admin): State<Admin>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Lasting>, Problem> {
    let Json(Wanted { level, seconds }) =
        wanted.map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why.body_text()))?;
    let until = admin.backend.log_level(&level, Duration::from_secs(seconds)).await?;
    Ok(Json(Lasting { level, until }))
}
