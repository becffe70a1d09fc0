//! Requests: which there are, how far one is, and what is done to it.
#![expect(unused_qualifications, reason = "what `utoipa` makes of the parameters of a route")]

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::Value;

use utoipa::{IntoParams, ToSchema};

use super::{
    Action, Admin, ApiError, ListQuery,
    problem::{PROBLEM, Problem},
    shapes::{self, ProblemDocument},
};

/// What is said where nobody says why a request is cancelled.
const NO_REASON: &str = "by an operator";
/// The longest reason, in characters.
pub(super) const LONGEST_REASON: usize = 500;

/// What the query may say.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Among {
    /// The source of the event that gave the name.
    source: Option<String>,
}

/// What the body of a wish to cancel may say.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    /// Why, for whoever waits for it.
    reason: Option<String>,
}

/// Requests, newest first
#[utoipa::path(get, path = "/v1/requests", tag = "requests", params(ListQuery), responses(
    (status = 200, body = shapes::Page),
    (status = 400, body = ProblemDocument, content_type = PROBLEM),
))]
pub(super) async fn list(
    State(admin): State<Admin>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why.body_text()))?;
    Ok(Json(admin.backend.requests(&query).await?))
}

/// A request as it stands
#[utoipa::path(get, path = "/v1/requests/{id}", tag = "requests", params(("id" = String, Path, description = "Its id, name, event, caller, a job of it, or where it copies from or to"), Among), responses(
    (status = 200, body = shapes::Request),
    (status = 404, body = ProblemDocument, content_type = PROBLEM),
))]
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(among): Query<Among>,
) -> Result<Json<Value>, Problem> {
    found(admin.backend.request(&id, among.source.as_deref()).await?, id)
}

/// What was found of the request of that name.
fn found(shown: Option<Value>, id: String) -> Result<Json<Value>, Problem> {
    Ok(Json(shown.ok_or(ApiError::Unknown(id))?))
}

/// Which of the folders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// The source of the event that gave the name.
    source: Option<String>,
    /// How many come before them.
    #[serde(default)]
    from: usize,
    /// How many; 100, and 1,000 at most.
    limit: Option<usize>,
}

/// Folders on a page, where nothing is said, and at most.
const USUAL_PART: usize = 100;
const LARGEST_PART: usize = 1000;

/// The folders of a request, those that need attention first
#[utoipa::path(get, path = "/v1/requests/{id}/folders", tag = "requests", params(
    ("id" = String, Path, description = "As for a request"), Part
), responses(
    (status = 200, body = shapes::Folders),
    (status = 404, body = ProblemDocument, content_type = PROBLEM),
))]
pub(super) async fn folders(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(Part { source, from, limit }) =
        part.map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why.body_text()))?;
    let limit = limit.unwrap_or(USUAL_PART);
    if !(1..=LARGEST_PART).contains(&limit) {
        let what = format!("`limit` must be from 1 to {LARGEST_PART}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, what));
    }
    let Json(mut shown) = found(admin.backend.folders(&id, source.as_deref()).await?, id)?;
    if let Some(folders) = shown.get_mut("folders").and_then(Value::as_array_mut) {
        folders.drain(..from.min(folders.len()));
        folders.truncate(limit);
    }
    Ok(Json(shown))
}

/// The last things that have happened to a request
#[utoipa::path(get, path = "/v1/requests/{id}/journal", tag = "requests", params(("id" = String, Path, description = "Its id, name, event, caller, a job of it, or where it copies from or to"), Among), responses(
    (status = 200, body = shapes::Journal),
    (status = 404, body = ProblemDocument, content_type = PROBLEM),
))]
pub(super) async fn journal(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(among): Query<Among>,
) -> Result<Json<Value>, Problem> {
    found(admin.backend.journal(&id, among.source.as_deref()).await?, id)
}

/// What has become of a request, why, and what is next
#[utoipa::path(get, path = "/v1/requests/{id}/explain", tag = "requests", params(("id" = String, Path, description = "Its id, name, event, caller, a job of it, or where it copies from or to"), Among), responses(
    (status = 200, body = shapes::Explanation),
    (status = 404, body = ProblemDocument, content_type = PROBLEM),
))]
pub(super) async fn explain(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(among): Query<Among>,
) -> Result<Json<Value>, Problem> {
    found(admin.backend.explain(&id, among.source.as_deref()).await?, id)
}

/// Ends a request, makes it again, or has it looked at now: `:cancel`, `:retry`, `:wake`
///
/// Ids may hold colons: the last one counts.
#[utoipa::path(post, path = "/v1/requests/{id}", tag = "requests", request_body(
    content = Option<Cancel>, description = "Of `:cancel`: why, for whoever waits for it"
), params(
    ("id" = String, Path, description = "As for a request, followed by `:cancel`, `:retry` or `:wake`"), Among
), responses(
    (status = 202, body = shapes::Done),
    (status = 404, body = ProblemDocument, content_type = PROBLEM),
    (status = 409, description = "As it stands, that cannot be done", body = ProblemDocument, content_type = PROBLEM),
))]
pub(super) async fn act(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(among): Query<Among>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let wanted = id.rsplit_once(':').and_then(|(id, verb)| Some((id, action(verb, &body)?)));
    let Some((id, action)) = wanted else {
        let what = "a request is only told `:cancel`, `:retry` or `:wake`";
        return Err(Problem::new(StatusCode::NOT_FOUND, what));
    };
    let done = admin.backend.act(id, among.source.as_deref(), action?).await?;
    Ok((StatusCode::ACCEPTED, Json(done)))
}

fn action(verb: &str, body: &[u8]) -> Option<Result<Action, ApiError>> {
    match verb {
        "cancel" => Some(reason(body).map(|reason| Action::Cancel { reason })),
        "retry" => Some(Ok(Action::Retry)),
        "wake" => Some(Ok(Action::Wake)),
        _ => None,
    }
}

fn reason(body: &[u8]) -> Result<String, ApiError> {
    let wrong = |why: serde_json::Error| ApiError::invalid(format!("not `{{\"reason\": \"…\"}}`: {why}"));
    let said: Cancel =
        if body.is_empty() { Cancel::default() } else { serde_json::from_slice(body).map_err(wrong)? };
    let reason = said.reason.unwrap_or_else(|| NO_REASON.to_owned());
    Ok(reason.chars().take(LONGEST_REASON).collect())
}
