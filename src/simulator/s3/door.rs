//! The door to S3: from an HTTP request to its answer.
//!
//! Signatures are not checked, because any key opens plain buckets, whatever its secret. So the
//! access key is read here and the signature taken off before the protocol would look at it.

use std::{io, sync::Arc};

use axum::body::Body;
use futures_util::{TryStreamExt as _, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use s3s::service::{S3Service, S3ServiceBuilder};

use super::{
    Served,
    access::{Caller, Course, Gate, scripted},
    chunked,
    rules::Ruling,
};
use crate::simulator::{
    Simulator,
    api::{closed, gibberish},
    faults::Instead,
};

/// How far clocks may be apart.
const SKEW: SignedDuration = SignedDuration::from_mins(15);

/// S3 as a service: call it, or let [`serve_s3`](crate::simulator::serve_s3) do so.
#[derive(Debug, Clone)]
pub struct S3Door {
    service: S3Service,
    simulator: Arc<Simulator>,
}

/// No secret is known, and none is asked for.
struct NoSecrets;

#[async_trait::async_trait]
impl s3s::auth::S3Auth for NoSecrets {
    async fn get_secret_key(&self, _access_key: &str) -> s3s::S3Result<s3s::auth::SecretKey> {
        Err(s3s::S3ErrorCode::SignatureDoesNotMatch.into())
    }
}

impl S3Door {
    pub(in crate::simulator) fn new(simulator: &Arc<Simulator>) -> Self {
        let mut builder = S3ServiceBuilder::new(Served(Arc::clone(simulator)));
        // Without an authority s3s would not ask the gate about any request.
        builder.set_auth(NoSecrets);
        builder.set_access(Gate(Arc::clone(simulator)));
        Self { service: builder.build(), simulator: Arc::clone(simulator) }
    }

    /// Answers one request. A connection closed without an answer is a status 500 whose body
    /// breaks.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        self.answer(request).await.map(Body::new)
    }

    pub(super) async fn answer(&self, request: Request<Body>) -> Response<s3s::Body> {
        let hung_up = || closed().map(s3s::Body::http_body_unsync);
        let ahead = self.simulator.with(|state| state.faults.s3_clock);
        let now = machine_time() + SignedDuration::from_secs(i64::from(ahead));
        if ahead != 0 && is_skewed(&request, now) {
            let is_head = request.method() == Method::HEAD;
            let refusal = scripted(StatusCode::FORBIDDEN, Some("RequestTimeTooSkewed")).to_http_response();
            let mut refusal = refusal.unwrap_or_else(|_| hung_up());
            if is_head {
                *refusal.body_mut() = s3s::Body::empty();
                refusal.headers_mut().remove(header::CONTENT_LENGTH);
            }
            return dated(refusal, now);
        }
        let course = Arc::<Course>::default();
        let mut request = unsigned(request);
        request.extensions_mut().insert(Arc::clone(&course));
        let answer = self.service.call(request).await;
        let mut response = match course.ruling.get() {
            None => answer.unwrap_or_else(|_| hung_up()),
            Some(Ruling { instead: Instead::Close, .. }) => hung_up(),
            Some(Ruling { instead: Instead::Hang, .. }) => std::future::pending().await,
            Some(Ruling { instead: Instead::Gibberish, .. }) => gibberish().map(s3s::Body::http_body_unsync),
            Some(Ruling { instead: Instead::Status(status), code, .. }) => {
                scripted(*status, code.as_deref()).to_http_response().unwrap_or_else(|_| hung_up())
            }
        };
        if response.status() == StatusCode::OK && response.headers().contains_key(header::CONTENT_RANGE) {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        if ahead != 0 {
            response = dated(response, now);
        }
        match course.cut.get() {
            Some(after) => response.map(|body| broken_off(body, *after)),
            None => response,
        }
    }
}

/// The time by which requests are signed, whatever the time in the simulated world.
#[expect(clippy::disallowed_methods, reason = "callers sign by the machine's clock")]
fn machine_time() -> Timestamp {
    Timestamp::now()
}

/// Whether a request was signed by another clock than this one.
fn is_skewed(request: &Request<Body>, now: Timestamp) -> bool {
    let signed = request.headers().get("x-amz-date").and_then(|date| date.to_str().ok());
    let signed = signed.and_then(|date| DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok());
    let signed = signed.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    signed.is_some_and(|signed| now.duration_since(signed.timestamp()).abs() > SKEW)
}

/// An answer with the time of day.
fn dated(mut response: Response<s3s::Body>, now: Timestamp) -> Response<s3s::Body> {
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = date.parse() {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// The body up to so many bytes, and then the end of the connection.
fn broken_off(body: s3s::Body, after: u64) -> s3s::Body {
    let body = Body::new(body).into_data_stream();
    let pieces = stream::try_unfold((body, after), async |(mut body, left)| {
        if left == 0 {
            return Err(io::Error::other("broken off"));
        }
        let Some(mut piece) = body.try_next().await.map_err(io::Error::other)? else { return Ok(None) };
        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - piece.len() as u64;
        Ok(Some((piece, (body, left))))
    });
    s3s::Body::http_body_unsync(Body::from_stream(pieces))
}

/// The request without its signature, in its extensions who made it, and its body as it was before
/// it was signed.
fn unsigned(request: Request<Body>) -> Request<s3s::Body> {
    let (mut parts, body) = request.into_parts();
    let caller = caller(&parts.headers, &parts.uri);
    parts.extensions.insert(Arc::new(caller));
    parts.headers.remove(header::AUTHORIZATION);
    parts.uri = without_signature(&parts.uri);
    let sha256 = parts.headers.remove("x-amz-content-sha256");
    let chunked = sha256.is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"));
    if !chunked {
        return Request::from_parts(parts, s3s::Body::http_body_unsync(body));
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(length) = parts.headers.remove("x-amz-decoded-content-length") {
        parts.headers.insert(header::CONTENT_LENGTH, length);
    }
    let encodings = parts.headers.remove(header::CONTENT_ENCODING);
    let encodings = encodings.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kept: Vec<_> =
        encodings.split(',').map(str::trim).filter(|encoding| *encoding != "aws-chunked").collect();
    if let Some(kept) =
        Some(kept.join(",")).filter(|kept| !kept.is_empty()).and_then(|kept| kept.parse().ok())
    {
        parts.headers.insert(header::CONTENT_ENCODING, kept);
    }
    let body = Body::from_stream(chunked::decode(body.into_data_stream()));
    Request::from_parts(parts, s3s::Body::http_body_unsync(body))
}

/// The access key and session token of the header, or of a presigned URL.
fn caller(headers: &HeaderMap, uri: &Uri) -> Caller {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let query = |wanted: &str| {
        let mut pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        pairs.find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
    };
    let signed = text("authorization").and_then(|value| value.split_once("Credential="));
    let credential = signed.map(|(_, rest)| rest.to_owned()).or_else(|| query("X-Amz-Credential"));
    // Key, day, region, service.
    let mut scope = credential.iter().flat_map(|credential| credential.split('/')).map(str::to_owned);
    let (key, region) = (scope.next(), scope.nth(1));
    let token = text("x-amz-security-token").map(str::to_owned).or_else(|| query("X-Amz-Security-Token"));
    Caller { key, token, region }
}

fn without_signature(uri: &Uri) -> Uri {
    let Some(query) = uri.query().filter(|query| query.contains("X-Amz-Signature")) else {
        return uri.clone();
    };
    let kept: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("X-Amz-")).collect();
    let path = format!("{}?{}", uri.path(), kept.join("&"));
    path.parse().unwrap_or_else(|_| uri.clone())
}
