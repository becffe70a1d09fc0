//! The gate: what every call goes through before and after its handler.

use std::sync::Arc;

use axum::{
    body::{Body as HttpBody, Bytes},
    extract::{Request, State as Extract},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use super::{
    Answer, Asked, Query, handle,
    routes::{Body, Call, Route, find},
};
use crate::simulator::{Simulator, accounts, faults::Instead, problem::Problem, state::Remembered};

const V3: &str = "application/vnd.illumina.v3+json";
const V4: &str = "application/vnd.illumina.v4+json";
/// Bytes of the longest URL, as gateways of this kind have it.
const LONGEST_URL: usize = 8192;
const LARGEST_BODY: usize = 64 * 1024 * 1024;
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Marks an answer that is none: the transport that carries it closes the connection instead.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulator) struct Closed;

/// An answer that is none.
pub(in crate::simulator) fn closed() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("closed")) });
    let mut response = Response::new(HttpBody::from_stream(broken));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.extensions_mut().insert(Closed);
    response
}

/// An answer that begins as JSON or XML would, and cannot be read as either.
pub(in crate::simulator) fn gibberish() -> Response {
    Response::new(HttpBody::from("{\"<?xml"))
}

/// Answers one call of the API.
pub(in crate::simulator) async fn gate(
    Extract(simulator): Extract<Arc<Simulator>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix("/ica/rest").unwrap_or_default();
    let Some((route, parameters)) = find(parts.method.as_str(), path) else {
        if !path.is_empty() {
            simulator.with(|state| state.admit(format!("{} {path}", parts.method)));
        }
        return refusal(&simulator, &parts.method, &Problem::no_route());
    };
    let name = format!("{} {}", route.method, route.template);
    let (admitted, script) = simulator.with(|state| {
        let admitted = state.admit(name.clone());
        (admitted, admitted.then(|| state.faults.scripted(&name)).flatten())
    });
    if !admitted {
        return refusal(&simulator, &parts.method, &Problem::too_many());
    }
    if let Some((instead, false)) = script {
        sleep(simulator.latency()).await;
        return give(&simulator, &parts.method, instead).await;
    }
    let response = match pass(&simulator, route, parameters, &parts, body).await {
        Ok((answer, v4)) => write(answer, v4),
        Err(problem) => refusal(&simulator, &parts.method, &problem),
    };
    match script {
        Some((instead, _)) => give(&simulator, &parts.method, instead).await,
        None => response,
    }
}

async fn give(simulator: &Simulator, method: &Method, instead: Instead) -> Response {
    match instead {
        Instead::Status(status) => refusal(simulator, method, &Problem::scripted(status)),
        Instead::Close => closed(),
        Instead::Hang => std::future::pending().await,
        Instead::Gibberish => gibberish(),
    }
}

fn refusal(simulator: &Simulator, method: &Method, problem: &Problem) -> Response {
    let now = simulator.with(|state| state.now());
    let mut response = Response::new(HttpBody::from(problem.json(method.as_str(), now).to_string()));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn write(answer: Answer, v4: bool) -> Response {
    let mut response = Response::new(HttpBody::empty());
    *response.status_mut() = answer.status;
    if let Some(etag) = answer.etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    if answer.status != StatusCode::NO_CONTENT {
        let version = HeaderValue::from_static(if v4 { V4 } else { V3 });
        response.headers_mut().insert(header::CONTENT_TYPE, version);
        *response.body_mut() = HttpBody::from(answer.body);
    }
    response
}

async fn pass(
    simulator: &Simulator,
    route: &'static Route,
    parameters: Vec<(&'static str, String)>,
    parts: &Parts,
    body: HttpBody,
) -> Result<(Answer, bool), Problem> {
    if parts.uri.path_and_query().is_some_and(|asked| asked.as_str().len() > LONGEST_URL) {
        return Err(Problem::too_long());
    }
    authorise(route, &parts.headers)?;
    let v4 = version(route, &parts.headers)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    if let Some(unknown) = query.names().find(|name| !route.query.contains(name)) {
        return Err(Problem::invalid(format!("Unknown query parameter {unknown}")).with("parameter", unknown));
    }
    let body = axum::body::to_bytes(body, LARGEST_BODY).await;
    let body = body.map_err(|_| Problem::invalid("The body did not arrive whole, or is too large"))?;
    content_type(route, &parts.headers, &body)?;
    let caller = accounts::caller(&simulator.world.accounts, &parts.headers);
    let if_match = parts.headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    let asked = Asked { call: route.call, parameters, query, body, v4, caller, if_match };
    let key = parts.headers.get("idempotency-key").filter(|_| route.idempotent);
    let answer = match key {
        None => work(simulator, &asked).await?,
        Some(key) => once(simulator, parts.uri.path(), key, &asked).await?,
    };
    Ok((answer, v4))
}

/// A call that is in order takes its time, then has its effect.
async fn work(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    sleep(simulator.latency()).await;
    handle(simulator, asked).await
}

fn authorise(route: &Route, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let schemes: &[&str] = if route.call == Call::CreateToken { &["Basic "] } else { &["Bearer "] };
    let with =
        |scheme: &&str| text("authorization").strip_prefix(*scheme).is_some_and(|it| !it.trim().is_empty());
    let known = schemes.iter().any(with) || !text("x-api-key").trim().is_empty();
    if known { Ok(()) } else { Err(Problem::unauthorized()) }
}

/// Whether version 4 is asked for, where there is one.
fn version(route: &Route, headers: &HeaderMap) -> Result<bool, Problem> {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = accepted.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next());
    let kinds: Vec<&str> = kinds.map(str::trim).collect();
    if kinds.contains(&V4) && route.v4 {
        return Ok(true);
    }
    if kinds.contains(&V3) || kinds.contains(&"*/*") { Ok(false) } else { Err(Problem::accept()) }
}

fn content_type(route: &Route, headers: &HeaderMap, body: &Bytes) -> Result<(), Problem> {
    let allowed: &[&str] = match route.body {
        Body::None => return Ok(()),
        Body::Optional if body.is_empty() => return Ok(()),
        Body::Json | Body::Optional => &[V3, "application/json"],
        Body::Vendor => &[V3],
    };
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    if allowed.contains(&kind) {
        return Ok(());
    }
    let detail = format!("Content-Type must be one of {}", allowed.join(", "));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "ICA_API_005", detail).with("Content-Type", given))
}

/// Handles a call with an idempotency key: the first answer below 400 is the answer for a week.
async fn once(
    simulator: &Simulator,
    path: &str,
    key: &HeaderValue,
    asked: &Asked,
) -> Result<Answer, Problem> {
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= 255);
    let key = key.ok_or_else(|| Problem::invalid("Idempotency-Key must have 1 to 255 characters"))?;
    let slot = [path.to_owned(), key.to_owned()];
    let known = simulator.with(|state| {
        let now = Instant::now();
        state.remembered.retain(|_, remembered| remembered.until > now);
        let known = state.remembered.get(&slot).cloned();
        if known.is_none() {
            let asked = asked.body.to_vec();
            state.remembered.insert(slot.clone(), Remembered { asked, answer: None, until: now + KEPT });
        }
        known
    });
    match known {
        Some(known) if !same(&known.asked, &asked.body) => {
            let detail = "The idempotency key was used with another body";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "ICA_API_007", detail)
                .with("Idempotency-Key", key))
        }
        Some(Remembered { answer: Some((status, body)), .. }) => Ok(Answer { status, body, etag: None }),
        Some(_) => {
            Err(Problem::conflict("A call with this idempotency key is running").with("Idempotency-Key", key))
        }
        None => {
            let running = Running { simulator, slot };
            let answer = work(simulator, asked).await?;
            running.keep(&answer);
            Ok(answer)
        }
    }
}

/// Bodies are the same when their JSON is.
fn same(one: &[u8], other: &[u8]) -> bool {
    let json = |bytes| serde_json::from_slice::<Value>(bytes).ok();
    one == other || json(one).is_some_and(|one| json(other) == Some(one))
}

/// A call with an idempotency key while it runs. Forgotten when it fails or is dropped.
struct Running<'a> {
    simulator: &'a Simulator,
    slot: [String; 2],
}

impl Running<'_> {
    fn keep(&self, answer: &Answer) {
        self.simulator.with(|state| {
            if let Some(remembered) = state.remembered.get_mut(&self.slot) {
                remembered.answer = Some((answer.status, answer.body.clone()));
            }
        });
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.simulator.with(|state| {
            if state.remembered.get(&self.slot).is_some_and(|remembered| remembered.answer.is_none()) {
                state.remembered.remove(&self.slot);
            }
        });
    }
}
