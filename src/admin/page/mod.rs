//! The page: what there is, what needs attention, and what can be done about it.
//!
//! | route | shows |
//! | --- | --- |
//! | `GET /` | the service, what needs attention, what runs, and all requests, filtered and in pages |
//! | `GET /requests/{id}` | one request: what, for whom, how far, why, what next |
//! | `GET /requests/{id}/{verb}` | asks back before `cancel`, `retry` or `wake`; the same route takes the answer |
//! | `POST /login` | takes the token, where one is set, into a cookie |
//!
//! It needs no script; with one it looks again by itself. Nothing comes from elsewhere, and nothing is inline.

mod chart;
mod one;
mod views;
mod words;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use maud::Markup;
use serde::Deserialize;
use serde_json::Value;

use super::{Action, Admin, ApiError, ListQuery, requests::LONGEST_REASON, words::moment};

/// Requests on a page of the list.
const PAGE: usize = 50;
/// Requests shown as running, or as failed lately.
const MOST: usize = 200;
/// Pages that are looked at for them.
const MOST_PAGES: usize = 4;
/// For how long a failure needs attention, and how long before that its request may have been made.
const LATELY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
const LONGEST: jiff::SignedDuration = jiff::SignedDuration::from_hours(8 * 24);
/// Nothing from elsewhere, nothing inline, no frame around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// The routes of the page.
pub(super) fn routes() -> Router<Admin> {
    let css = || async { file("text/css", include_str!("style.css")) };
    let script = || async { file("text/javascript", include_str!("refresh.js")) };
    Router::new()
        .route("/", get(home))
        .route("/requests/{id}", get(request))
        .route("/requests/{id}/{verb}", get(ask_back).post(act))
        .route("/login", post(login))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
        .route("/style.css", get(css))
        .route("/refresh.js", get(script))
}

/// What the list is filtered by; a form sends what is empty too.
#[derive(Debug, Clone, Default, Deserialize)]
struct Filter {
    #[serde(default)]
    status: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    cursor: String,
}

#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Login {
    token: String,
}

/// An error, as a page.
struct Failed(ApiError);

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = self.0.status();
        (status, page(&views::message("It could not be done", &self.0.to_string()))).into_response()
    }
}

async fn home(State(admin): State<Admin>, Query(filter): Query<Filter>) -> Result<Response, Failed> {
    let backend = &admin.backend;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let now = backend.now();
    let ended = |status: &str| ListQuery { since: Some((now - LONGEST).to_string()), ..of(status) };
    let wanted = ListQuery {
        status: some(&filter.status),
        text: some(&filter.text),
        cursor: some(&filter.cursor),
        limit: Some(PAGE),
        ..ListQuery::default()
    };
    let (received, running, mut failed, succeeded, all) = tokio::try_join!(
        newest(&admin, of("RECEIVED")),
        newest(&admin, of("RUNNING")),
        newest(&admin, ended("FAILED")),
        newest(&admin, ended("SUCCEEDED")),
        backend.requests(&wanted),
    )?;
    failed.0.retain(|request| moment(request, "updatedAt").is_none_or(|at| now - LATELY <= at));
    let more_open = received.1 || running.1;
    let facts = backend.facts().await;
    let mut open = running.0;
    open.extend(received.0);
    let shown = views::Home {
        ready: &backend.ready(),
        facts: &facts,
        now,
        open,
        failed: failed.0,
        succeeded: succeeded.0,
        all: listed(&all),
        more_open,
        next: all.get("next").and_then(Value::as_str),
        status: &filter.status,
        text: &filter.text,
    };
    Ok(page(&views::home(shown)))
}

fn of(status: &str) -> ListQuery {
    ListQuery { status: Some(status.to_owned()), limit: Some(MOST), ..ListQuery::default() }
}

fn listed(list: &Value) -> Vec<Value> {
    list.get("requests").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The newest of those that are wanted, over some pages, which may be short; whether there may be more.
async fn newest(admin: &Admin, mut wanted: ListQuery) -> Result<(Vec<Value>, bool), ApiError> {
    let mut found = Vec::new();
    for _ in 0..MOST_PAGES {
        let page = admin.backend.requests(&wanted).await?;
        found.extend(listed(&page));
        wanted.cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if wanted.cursor.is_none() || found.len() >= MOST {
            break;
        }
    }
    Ok((found, wanted.cursor.is_some()))
}

async fn request(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Failed> {
    let explained = admin.backend.explain(&id, None).await?.ok_or(ApiError::Unknown(id))?;
    Ok(page(&one::request(&explained, admin.backend.now())))
}

async fn ask_back(
    State(admin): State<Admin>,
    Path((id, verb)): Path<(String, String)>,
) -> Result<Response, Failed> {
    action(&verb, "")?;
    let request = found(&admin, &id).await?;
    Ok(page(&one::ask_back(&request, &verb)))
}

async fn act(
    State(admin): State<Admin>,
    Path((id, verb)): Path<(String, String)>,
    Form(answer): Form<Answer>,
) -> Result<Response, Failed> {
    let done = admin.backend.act(&id, None, action(&verb, &answer.reason)?).await?;
    let id = done.get("requestId").and_then(Value::as_str).unwrap_or(&id);
    Ok(Redirect::to(&words::link(id)).into_response())
}

async fn login(State(admin): State<Admin>, Form(login): Form<Login>) -> Response {
    match admin.guard.cookie_for(&login.token) {
        Some(cookie) => ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        None => (StatusCode::UNAUTHORIZED, page(&views::login(true))).into_response(),
    }
}

/// The page that asks for the token.
pub(super) fn ask_for_token() -> Response {
    (StatusCode::UNAUTHORIZED, page(&views::login(false))).into_response()
}

async fn found(admin: &Admin, id: &str) -> Result<Value, Failed> {
    let unavailable = |error: crate::ports::Error| ApiError::Unavailable(error.to_string());
    let found = admin.backend.request(id, None).await.map_err(unavailable)?;
    Ok(found.ok_or_else(|| ApiError::Unknown(id.to_owned()))?)
}

fn action(verb: &str, reason: &str) -> Result<Action, Failed> {
    match verb {
        "cancel" if reason.trim().is_empty() => {
            Ok(Action::Cancel { reason: "by an operator, on the page".into() })
        }
        "cancel" => Ok(Action::Cancel { reason: reason.chars().take(LONGEST_REASON).collect() }),
        "retry" => Ok(Action::Retry),
        "wake" => Ok(Action::Wake),
        _ => Err(ApiError::invalid(format!("a request cannot be told to `{verb}`")).into()),
    }
}

fn page(markup: &Markup) -> Response {
    let mut response = Html(markup.0.clone()).into_response();
    let fixed: [(HeaderName, HeaderValue); 4] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    response.headers_mut().extend(fixed);
    response
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let kind = HeaderValue::from_static(kind);
    ([(CONTENT_TYPE, kind), (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))], content)
        .into_response()
}
