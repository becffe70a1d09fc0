//! The bytes behind presigned URLs. Answers like S3, not like the API.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State as Extract},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use super::{
    Simulator,
    api::{closed, gibberish},
    content::{Content, KEPT_BYTES},
    faults::Instead,
    others::Done,
    parts::Parts,
    state::Grant,
    tree::NodeKey,
    upload::Upload,
};
use crate::domain::file::DataStatus;

const ENCRYPTION: &str = "x-amz-server-side-encryption";

/// S3 takes no more in one PUT.
const LARGEST_PUT: u64 = 5 * 1024 * 1024 * 1024;

/// `GET /sim/bytes/{token}`.
pub(super) async fn read(
    Extract(simulator): Extract<Arc<Simulator>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some((instead, _)) = simulator.with(|state| state.faults.scripted("GET /sim/bytes/{token}")) {
        return give(instead).await;
    }
    if let Err(refusal) = presigned_only(&headers) {
        return refusal.response();
    }
    let found = simulator.with(|state| match state.grants.get(&token) {
        Some(Grant::Read(key)) => {
            Ok(state.tree.node(*key).and_then(|node| Some((node.readable()?.clone(), node.parts.clone()))))
        }
        Some(Grant::Write(_)) | None => Err(()),
    });
    match found {
        Err(()) => refuse(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", "The URL allows no GET").response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "NoSuchKey", "The file is not there").response(),
        Ok(Some((content, _))) if !content.is_readable() => {
            let message = "The simulator keeps uploads of unknown content up to 64 MiB; of this one only the MD5 is left";
            refuse(StatusCode::INSUFFICIENT_STORAGE, "NotKept", message).response()
        }
        Ok(Some((content, parts))) => stream_out(&simulator, content, &parts, range(&headers)),
    }
}

/// The range that is asked for, first byte and last.
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (first, last) = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

/// Chunk by chunk, each made when it is asked for.
fn stream_out(
    simulator: &Arc<Simulator>,
    content: Arc<Content>,
    parts: &Parts,
    range: Option<(u64, Option<u64>)>,
) -> Response {
    let size = content.size();
    let etag = content.knows_etag(parts).then(|| content.etag(parts));
    let (start, end) = match range {
        Some((first, _)) if first >= size => {
            let why = "The requested range is not satisfiable";
            return refuse(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", why).response();
        }
        Some((first, last)) => (first, last.map_or(size, |last| last.saturating_add(1).min(size))),
        None => (0, size),
    };
    let chunks = chunks(simulator, content, start, end);
    let mut response = Response::new(Body::from_stream(chunks));
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end.saturating_sub(start)));
    headers.insert(ENCRYPTION, HeaderValue::from_static(parts.encryption()));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(&format!("\"{etag}\"")).ok()) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// The bytes from `start` to `end`.
pub(super) fn chunks(
    simulator: &Arc<Simulator>,
    content: Arc<Content>,
    start: u64,
    end: u64,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + Sync + 'static {
    let simulator = Arc::clone(simulator);
    let chunks = stream::unfold(start, move |offset| {
        let mut chunk = content.chunk(offset);
        chunk.truncate(usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX));
        let length = chunk.len() as u64;
        if length > 0 {
            simulator.with(|state| state.stats.bytes_out += length);
        }
        std::future::ready((length > 0).then_some((Ok(chunk), offset + length)))
    });
    // Some clients look once more behind the end.
    chunks.fuse()
}

/// `PUT /sim/bytes/{token}`.
pub(super) async fn write(
    Extract(simulator): Extract<Arc<Simulator>>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let script = simulator.with(|state| state.faults.scripted("PUT /sim/bytes/{token}"));
    if let Some((instead, false)) = script {
        return give(instead).await;
    }
    let response = match take(&simulator, &token, &parts.headers, body).await {
        Ok((etag, encryption)) => {
            let mut response = Response::new(Body::empty());
            let headers = response.headers_mut();
            headers.extend(etag.map(|etag| (header::ETAG, etag)));
            headers.insert(ENCRYPTION, HeaderValue::from_static(encryption));
            response
        }
        Err(refusal) => refusal.response(),
    };
    match script {
        Some((instead, _)) => give(instead).await,
        None => response,
    }
}

/// A refusal, in the form S3 gives it.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

impl Refusal {
    fn response(&self) -> Response {
        let Self { status, code, message } = self;
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
        let xml = format!("{head}\n<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let mut response = Response::new(Body::from(xml));
        *response.status_mut() = *status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response
    }
}

const fn refuse(status: StatusCode, code: &'static str, message: &'static str) -> Refusal {
    Refusal { status, code, message }
}

async fn take(
    simulator: &Arc<Simulator>,
    token: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Option<HeaderValue>, &'static str), Refusal> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    presigned_only(headers)?;
    let key = simulator.with(|state| match state.grants.get(token) {
        Some(Grant::Write(key)) => Some(*key),
        Some(Grant::Read(_)) | None => None,
    });
    let key =
        key.ok_or_else(|| refuse(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", "The URL allows no PUT"))?;
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let missing =
        || refuse(StatusCode::LENGTH_REQUIRED, "MissingContentLength", "Content-Length is required");
    let announced = announced.ok_or_else(missing)?;
    if announced > LARGEST_PUT {
        return Err(refuse(BAD, "EntityTooLarge", "One PUT takes at most 5 GiB"));
    }
    let upload = receive(simulator, announced, body).await?;
    let expected = headers.get("content-md5").and_then(|digest| STANDARD.decode(digest).ok());
    if expected.is_some_and(|expected| expected != upload.md5) {
        return Err(refuse(BAD, "BadDigest", "The bytes do not match Content-MD5"));
    }
    let (etag, encryption) = store(simulator, key, upload).await;
    Ok((HeaderValue::from_str(&format!("\"{etag}\"")).ok(), encryption))
}

async fn receive(simulator: &Simulator, announced: u64, body: Body) -> Result<Upload, Refusal> {
    let keep = announced <= KEPT_BYTES;
    let upload = Upload::receive(simulator, Some(announced), keep, body.into_data_stream()).await;
    upload.map_err(|_| {
        refuse(StatusCode::BAD_REQUEST, "IncompleteBody", "The bytes are not as many as announced")
    })
}

/// Stores what was sent; its tag, and how it is encrypted.
async fn store(simulator: &Simulator, key: NodeKey, upload: Upload) -> (String, &'static str) {
    let content = upload.content(simulator).await;
    simulator.with(|state| {
        let parts = state.written_to(key, &Parts::ONE);
        let said = (content.etag(&parts), parts.encryption());
        // S3 takes the bytes of a file that the platform no longer knows, and no caller sees them.
        if state.tree.node(key).is_some_and(|node| node.status != DataStatus::Deleting) {
            state.done_to(key, Done::WrittenOver);
            state.bytes_are_in(key, content, parts, Instant::now());
        }
        said
    })
}

/// S3 refuses a presigned URL together with a header that authorises.
fn presigned_only(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(refuse(StatusCode::BAD_REQUEST, "InvalidArgument", "Only one auth mechanism allowed"));
    }
    Ok(())
}

async fn give(instead: Instead) -> Response {
    match instead {
        Instead::Status(status) => {
            refuse(status, "Scripted", "This answer was asked for through /sim/faults").response()
        }
        Instead::Close => closed(),
        Instead::Hang => std::future::pending().await,
        Instead::Gibberish => gibberish(),
    }
}
