//! The gate: what every call goes through before and after its endpoint.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State as Extract},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    DapSimulator,
    api::{Answer, Asked, Call, answer},
    log::LoggedCall,
    refusal::Refusal,
    rules::{Rule, broken},
    world::Fields,
};
use crate::simulator::api::{Closed, closed};

const LARGEST_BODY: usize = 64 * 1024 * 1024;
/// Headers that are logged.
const SHOWN: [&str; 5] = ["authorization", "content-type", "user-agent", "traceparent", "accept-encoding"];

/// `POST /_control`.
pub(super) async fn control(Extract(simulator): Extract<Arc<DapSimulator>>, body: Bytes) -> Response {
    let wishes = serde_json::from_slice::<Fields>(&body);
    let changed = wishes.map_err(|_| Refusal::invalid("the body is no JSON object"));
    match changed.and_then(|wishes| simulator.change(wishes)) {
        Ok(controls) => Json(controls).into_response(),
        Err(refusal) => refuse(&simulator, &refusal),
    }
}

/// `GET /_log`, which `?clear` empties.
pub(super) async fn log(Extract(simulator): Extract<Arc<DapSimulator>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let clear = url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "clear");
    Json(simulator.log(clear)).into_response()
}

/// Answers one call of the API.
pub(super) async fn gate(Extract(simulator): Extract<Arc<DapSimulator>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
    let call = match find(&parts) {
        Ok(call) => call,
        Err(status) => return (status, nothing(status)).into_response(),
    };
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return refuse(&simulator, &Refusal::unreadable("the body did not arrive whole, or is too large"));
    };
    let (number, rule) = simulator.with(|state| {
        let number = state.log.begin(logged(&simulator, &call, &parts, &body));
        (number, broken(&mut state.controls.rules, &format!("{} {path}", parts.method)))
    });
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let form =
        text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let asked = Asked { authorization: text(header::AUTHORIZATION), query, form, body };
    let response = match rule {
        None => pass(&simulator, &call, &asked, &Rule::default()),
        Some(rule) => astray(&simulator, &call, &asked, &rule).await,
    };
    let gone = response.extensions().get::<Closed>().is_some();
    let status = if gone { 0 } else { response.status().as_u16() };
    simulator.with(|state| state.log.end(number, status));
    response
}

fn nothing(status: StatusCode) -> String {
    format!("{}: {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
}

/// Answers as a rule wants it.
async fn astray(simulator: &DapSimulator, call: &Call, asked: &Asked, rule: &Rule) -> Response {
    sleep(Duration::try_from_secs_f64(rule.delay).unwrap_or_default()).await;
    if rule.hang {
        return std::future::pending().await;
    }
    if rule.close {
        return closed();
    }
    if let Some(status) = rule.status {
        return given(simulator, status, rule);
    }
    if rule.revoke {
        simulator.with(super::state::State::revoke);
    }
    let response = pass(simulator, call, asked, rule);
    if rule.lost { closed() } else { response }
}

/// An answer of the rule's own.
fn given(simulator: &DapSimulator, status: u16, rule: &Rule) -> Response {
    let mut response = match &rule.error {
        Some(error) => {
            let mut whole = Fields::new();
            whole.insert("uuid".to_owned(), json!(simulator.with(super::state::State::id)));
            whole.extend(error.clone());
            Json(json!({"error": whole})).into_response()
        }
        None => rule.text.clone().unwrap_or_default().into_response(),
    };
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &rule.headers {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(text)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Lets a call through to its endpoint, if it may.
fn pass(simulator: &DapSimulator, call: &Call, asked: &Asked, rule: &Rule) -> Response {
    if let (true, Call::GetJob { id }) = (rule.lose_job, call) {
        simulator.with(|state| state.lose(id));
    }
    let answered = admit(simulator, call, asked).and_then(|()| answer(simulator, call, asked));
    match answered {
        Ok(Answer::Json(shown)) => Json(harmed(simulator, shown, rule)).into_response(),
        Ok(Answer::Object(bytes)) => object(&bytes, rule),
        Ok(Answer::Text(status, text)) => (status, text).into_response(),
        Err(refusal) => refuse(simulator, &refusal),
    }
}

fn admit(simulator: &DapSimulator, call: &Call, asked: &Asked) -> Result<(), Refusal> {
    if call.open() {
        return Ok(());
    }
    let now = simulator.now();
    let given = asked.authorization.as_deref().unwrap_or_default();
    let token = given.strip_prefix("Bearer ").unwrap_or(given);
    simulator.with(|state| {
        state.authenticate(token, now)?;
        state.admit(call.endpoint(), now)
    })
}

/// The job that is shown, after what is to happen to it.
fn harmed(simulator: &DapSimulator, shown: Value, rule: &Rule) -> Value {
    let Some(id) = shown.get("id").and_then(Value::as_str) else { return shown };
    let now = simulator.now();
    simulator.with(|state| {
        let failed = rule.fail_job.as_ref().and_then(|why| {
            state.fail(id, why);
            state.job(id, now).ok().map(|job| job.show(now))
        });
        if rule.lose_job {
            state.lose(id);
        }
        failed.unwrap_or_else(|| shown.clone())
    })
}

/// The bytes of an object, as the rule wants them.
fn object(whole: &Bytes, rule: &Rule) -> Response {
    let length = rule.cut.unwrap_or(whole.len()).min(whole.len());
    let come = rule.short.or(rule.stall).unwrap_or(length).min(length);
    let mut bytes = whole.slice(..come);
    if rule.wrong_crc {
        bytes = wrong(&bytes);
    }
    let body = match (rule.bytes_per_second, rule.stall, rule.short) {
        (None, None, None) => Body::from(bytes),
        (rate, stall, _) => trickle(&bytes, rate, stall.is_some()),
    };
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// The same with another CRC: the four bytes before the last four of gzip.
fn wrong(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let place = bytes.len().saturating_sub(8);
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 1;
    }
    Bytes::from(bytes)
}

/// Bytes that come slowly, ten times a second, and perhaps never end.
fn trickle(bytes: &Bytes, rate: Option<u32>, stalls: bool) -> Body {
    let size = rate.and_then(|rate| usize::try_from(rate / 10).ok()).unwrap_or(usize::MAX).max(1);
    let pieces: Vec<_> =
        bytes.chunks(size).map(|piece| Ok::<_, std::io::Error>(bytes.slice_ref(piece))).collect();
    let slow = stream::iter(pieces).then(move |piece| async move {
        if rate.is_some() {
            sleep(Duration::from_millis(100)).await;
        }
        piece
    });
    if stalls { Body::from_stream(slow.chain(stream::pending())) } else { Body::from_stream(slow) }
}

fn refuse(simulator: &DapSimulator, refusal: &Refusal) -> Response {
    let id = simulator.with(super::state::State::id);
    let mut response = (refusal.status, Json(refusal.body(&id))).into_response();
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn logged(simulator: &DapSimulator, call: &Call, parts: &Parts, body: &Bytes) -> LoggedCall {
    let secret = *call == Call::Login;
    LoggedCall {
        at: simulator.now().as_duration().as_secs_f64(),
        endpoint: call.endpoint(),
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: shown(&parts.headers),
        body: if secret { String::new() } else { String::from_utf8_lossy(body).into_owned() },
        status: None,
    }
}

fn shown(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |name: &&str| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.to_owned()));
    SHOWN.iter().filter_map(text).collect()
}

/// The call that a request makes; the status for one that makes none.
fn find(parts: &Parts) -> Result<Call, StatusCode> {
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let pieces: Vec<&str> = parts.uri.path().trim_start_matches('/').split('/').collect();
    let (method, call) = match pieces.as_slice() {
        ["ids", "auth", "login"] => (Method::POST, Call::Login),
        ["dap", "query", namespace, "table"] => {
            (Method::GET, Call::ListTables { namespace: decoded(namespace) })
        }
        ["dap", "query", namespace, "table", table, "schema"] => {
            (Method::GET, Call::GetSchema { namespace: decoded(namespace), table: decoded(table) })
        }
        ["dap", "query", namespace, "table", table, "data"] => {
            (Method::POST, Call::CreateJob { namespace: decoded(namespace), table: decoded(table) })
        }
        ["dap", "job", id] => (Method::GET, Call::GetJob { id: decoded(id) }),
        ["dap", "object", "url"] => (Method::POST, Call::ObjectUrl),
        ["objects", name @ ..] if !name.is_empty() => {
            (Method::GET, Call::GetObject { name: decoded(&name.join("/")) })
        }
        _ => return Err(StatusCode::NOT_FOUND),
    };
    if parts.method == method { Ok(call) } else { Err(StatusCode::METHOD_NOT_ALLOWED) }
}
