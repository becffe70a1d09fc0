//! The door that our own links lead to. A link is all that is asked for, so it is in no log, and no page that is read
//! here tells others where it was read.

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, RANGE,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
    routing::get,
};

use super::{Led, Refusal, Share};
use crate::{papers::report::policy, ports::reports::Opened};

const GUARDS: [(HeaderName, HeaderValue); 3] = [
    (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

pub(super) fn routes() -> Router<Share> {
    Router::new().route("/d/{link}", get(enter)).route("/d/{link}/{name}", get(follow))
}

async fn enter(
    State(share): State<Share>,
    Path(link): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    lead(&share, &link, None, &headers).await
}

async fn follow(
    State(share): State<Share>,
    Path((link, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    lead(&share, &link, Some(&name), &headers).await
}

async fn lead(
    share: &Share,
    link: &str,
    name: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    match share.backend.follow(link, name, first_byte(headers)).await? {
        Led::Here(opened) => Ok(shown(opened)),
        Led::There(there) => {
            // What a signed address holds can stand in a header.
            let to = HeaderValue::from_str(&there.url).map_err(|_| Refusal::Fault)?;
            Ok((StatusCode::FOUND, GUARDS, [(LOCATION, to)]).into_response())
        }
    }
}

/// The first byte that is wanted: a download that goes on says so here already.
fn first_byte(headers: &HeaderMap) -> u64 {
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let first = range.and_then(|range| range.trim().strip_prefix("bytes=")?.split_once('-'));
    first.and_then(|(first, _)| first.parse().ok()).unwrap_or(0)
}

fn shown(opened: Opened) -> Response {
    let Opened { size, kind, bytes } = opened;
    let kind = [(CONTENT_TYPE, HeaderValue::from_static(kind))];
    let mut answer = (GUARDS, kind, Body::from_stream(bytes)).into_response();
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    if let Some(size) = size {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    }
    answer
}
