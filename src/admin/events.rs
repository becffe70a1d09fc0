//! `POST /v1/events`: EventBridge's `PutEvents`, for callers without AWS.
//!
//! Bodies and answers are those of `PutEvents`, so that a caller changes the address only. Each entry is
//! taken or refused by itself; the status is 200 even when all were refused. Beside that come events of
//! ICAv2: as they are, or in a message of SNS, which has another content type and a signature.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Accepted, Admin, ApiError, problem::Problem};

const MAX_ENTRIES: usize = 10;
/// What a browser sends to another site only after it has asked, and we have no answer to that.
const JSON_TYPES: [&str; 2] = ["application/json", "application/x-amz-json-1.1"];
/// The header that every message of SNS has.
pub(super) const SNS_TYPE: &str = "x-amz-sns-message-type";

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Events {
    /// At most ten.
    entries: Vec<Entry>,
}

/// One event. `EventBusName` and `Time` are accepted and have no meaning here: there is one bus, and
/// an event happens when it is taken.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(as = Event)]
struct Entry {
    /// Who sends it.
    source: Option<String>,
    /// `ICAv2DataCopySync`, `ICAv2CopyBatchSync`, `S3CopySync`, or one of ICAv2's.
    detail_type: Option<String>,
    /// An object, or its JSON as a text.
    #[schema(value_type = Object)]
    detail: Option<Value>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    failed_entry_count: usize,
    entries: Vec<Answered>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Answered {
    #[serde(rename_all = "PascalCase")]
    Taken {
        event_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
    #[serde(rename_all = "PascalCase")]
    Refused {
        error_code: &'static str,
        error_message: String,
        /// Under which the refusal is found.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
}

/// Takes events: copy requests as EventBridge's `PutEvents` does, and events of ICAv2
///
/// The status is 200 where each entry was taken or refused by itself.
#[utoipa::path(post, path = "/v1/events", tag = "events", request_body = Events, responses(
    (status = 200, body = Answer),
    (status = 400, description = "As `PutEvents` tells of it: `__type` and `message`", body = Object),
))]
pub(super) async fn put(
    State(admin): State<Admin>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let is_notice = headers.contains_key(SNS_TYPE);
    if !is_notice && !is_json(&headers) {
        let reason = format!("the body must be {}", JSON_TYPES.join(" or "));
        return invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, &reason);
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return invalid(rejection.status(), &rejection.body_text()),
    };
    if is_notice {
        let text = String::from_utf8_lossy(&body);
        return match admin.backend.notice(&text).await {
            Ok(()) => StatusCode::OK.into_response(),
            Err(refused) => Problem::from(refused).into_response(),
        };
    }
    if let Some(text) = job_events(&body) {
        return match admin.backend.job_events(text).await {
            Ok((jobs, others)) => Json(json!({ "jobs": jobs, "others": others })).into_response(),
            Err(refused) => Problem::from(refused).into_response(),
        };
    }
    let events = match read(&body) {
        Ok(events) => events,
        Err(reason) => return invalid(StatusCode::BAD_REQUEST, &reason),
    };
    let mut entries = Vec::with_capacity(events.len());
    for entry in events {
        entries.push(take(&admin, entry).await.unwrap_or_else(|refusal| refusal));
    }
    let failed_entry_count =
        entries.iter().filter(|answered| matches!(answered, Answered::Refused { .. })).count();
    Json(Answer { failed_entry_count, entries }).into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    JSON_TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known))
}

/// The body, if it is an event of ICAv2, or a list of what a pipe makes of such.
fn job_events(body: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(rename = "eventCode")]
        _code: IgnoredAny,
    }
    let text = std::str::from_utf8(body).ok()?;
    let is_list = text.trim_start().starts_with('[');
    (is_list || serde_json::from_str::<Envelope>(text).is_ok()).then_some(text)
}

fn read(body: &[u8]) -> Result<Vec<Entry>, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let Events { entries } =
        serde_path_to_error::deserialize(&mut json).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        return Err(format!("Entries: 1 to {MAX_ENTRIES} are taken at a time, not {}", entries.len()));
    }
    Ok(entries)
}

async fn take(admin: &Admin, entry: Entry) -> Result<Answered, Answered> {
    let source = required("Source", entry.source)?;
    let detail_type = required("DetailType", entry.detail_type)?;
    let detail = object(entry.detail)?;
    match admin.backend.accept(&source, &detail_type, Value::Object(detail)).await {
        Ok(Accepted { event_id, request_id }) => Ok(Answered::Taken { event_id, request_id }),
        Err(ApiError::Invalid { reason, request_id }) => {
            Err(Answered::Refused { error_code: "InvalidArgument", error_message: reason, request_id })
        }
        Err(ApiError::Untrusted(reason)) => Err(refusal("AccessDeniedException", reason)),
        Err(error) => Err(refusal("InternalFailure", error.to_string())),
    }
}

fn required(name: &str, value: Option<String>) -> Result<String, Answered> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| {
        let reason = format!("Parameter {name} is not valid. Reason: {name} is a required argument.");
        refusal("InvalidArgument", reason)
    })
}

/// `Detail` as an object: `PutEvents` has it as text, people write it as it is.
fn object(detail: Option<Value>) -> Result<Map<String, Value>, Answered> {
    let malformed = || refusal("MalformedDetail", "Detail is malformed.".to_owned());
    match detail.ok_or_else(malformed)? {
        Value::Object(detail) => Ok(detail),
        Value::String(text) => serde_json::from_str(&text).map_err(|_| malformed()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(malformed()),
    }
}

fn refusal(error_code: &'static str, error_message: String) -> Answered {
    Answered::Refused { error_code, error_message, request_id: None }
}

/// A whole call refused, as the AWS JSON protocol says it.
fn invalid(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({ "__type": "ValidationException", "message": reason }))).into_response()
}
