//! `GET /v1/requests/{id}`: how far a request is.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::Value;

use super::{Admin, problem::Problem};

pub(super) async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    match admin.backend.request(&id).await? {
        Some(request) => Ok(Json(request)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no request `{id}`"))),
    }
}
