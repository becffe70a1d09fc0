//! The door that our own links lead to. A link is all that is asked for, so it is in no log, and no page that is read
//! here tells others where it was read.

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{
        HeaderName, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
    routing::get,
};

use super::{Refusal, Share};
use crate::{papers::report::policy, ports::reports::Opened};

pub(super) fn routes() -> Router<Share> {
    Router::new().route("/d/{link}/{name}", get(follow))
}

async fn follow(
    State(share): State<Share>,
    Path((link, _name)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let Opened { size, kind, bytes } = share.backend.follow(&link).await?;
    let fixed: [(HeaderName, HeaderValue); 4] = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let mut answer = (fixed, Body::from_stream(bytes)).into_response();
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    if let Some(size) = size {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    }
    Ok(answer)
}
