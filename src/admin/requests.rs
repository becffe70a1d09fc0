//! `GET /v1/requests/{id}`: how far a request is.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::Value;

use super::{Admin, problem::Problem};

/// What the query may say.
#[derive(Debug, Deserialize)]
pub(super) struct Among {
    /// The source of the event that gave the name.
    source: Option<String>,
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(among): Query<Among>,
) -> Result<Json<Value>, Problem> {
    match admin.backend.request(&id, among.source.as_deref()).await? {
        Some(request) => Ok(Json(request)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no request `{id}`"))),
    }
}
