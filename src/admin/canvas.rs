//! Runs over the tables of replicas, and how these stand.

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Admin, ApiError, ListQuery,
    problem::{PROBLEM, Problem},
    shapes::{Done, Page, ProblemDocument},
};
use crate::events::REPLICA_REQUEST;

/// The source of what is asked for here.
const SOURCE: &str = "copy-manager.api";

/// A table of a replica.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Whose settings hold.
    pub instance: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub table: String,
    /// The time that its data are of (RFC 3339).
    pub data_of: String,
    /// How old they are, in seconds.
    pub age: i64,
    /// The version of the schema by which they were loaded.
    pub schema_version: i64,
    /// How many rows there are, as the database estimates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Rows that could not be stored.
    pub rejected: u64,
    /// Whether its data are older than `canvas.stale_after`.
    pub stale: bool,
}

/// The tables of all replicas.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Tables {
    /// The tables.
    pub tables: Vec<Table>,
}

/// Asks for a run: the payload of `CanvasReplicaSync`
#[utoipa::path(post, path = "/v1/canvas/runs", tag = "canvas", request_body = Object, responses(
    (status = 202, body = Done),
    (status = 400, body = ProblemDocument, content_type = PROBLEM),
))]
pub(super) async fn run(
    State(admin): State<Admin>,
    payload: Result<Json<Value>, JsonRejection>,
) -> Result<(StatusCode, Json<Done>), Problem> {
    let Json(payload) = payload.map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why.body_text()))?;
    if !payload.is_object() {
        return Err(ApiError::invalid("the payload must be an object").into());
    }
    let taken = admin.backend.accept(SOURCE, REPLICA_REQUEST, json!({ "payload": payload })).await?;
    let request_id = taken.request_id.unwrap_or(taken.event_id);
    Ok((StatusCode::ACCEPTED, Json(Done { request_id, retry_of: None })))
}

/// Runs, newest first
#[utoipa::path(get, path = "/v1/canvas/runs", tag = "canvas", responses((status = 200, body = Page)))]
pub(super) async fn runs(State(admin): State<Admin>) -> Result<Json<Value>, Problem> {
    let query = ListQuery { kind: Some("replica".to_owned()), ..ListQuery::default() };
    Ok(Json(admin.backend.requests(&query).await?))
}

/// The tables of replicas, as their databases say
#[utoipa::path(get, path = "/v1/canvas/tables", tag = "canvas", responses(
    (status = 200, body = Tables),
    (status = 503, body = ProblemDocument, content_type = PROBLEM),
))]
pub(super) async fn tables(State(admin): State<Admin>) -> Result<Json<Tables>, Problem> {
    Ok(Json(admin.backend.replica_tables().await?))
}
