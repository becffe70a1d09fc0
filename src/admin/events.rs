//! `POST /v1/events`: EventBridge's `PutEvents`, for callers without AWS.
//!
//! Bodies and answers are those of `PutEvents`, so that a caller changes the address only. Each entry is
//! taken or refused by itself; the status is 200 even when all were refused.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Admin, Refused};

const MAX_ENTRIES: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Events {
    entries: Vec<Entry>,
}

/// One event. `EventBusName` and `Time` are accepted and have no meaning here: there is one bus, and
/// an event happens when it is taken.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    failed_entry_count: usize,
    entries: Vec<Answered>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answered {
    #[serde(rename_all = "PascalCase")]
    Taken { event_id: String },
    #[serde(rename_all = "PascalCase")]
    Refused { error_code: &'static str, error_message: String },
}

pub(super) async fn put(State(admin): State<Admin>, body: Result<Bytes, BytesRejection>) -> Response {
    let events = match body {
        Ok(body) => read(&body),
        Err(rejection) => return invalid(rejection.status(), &rejection.body_text()),
    };
    let events = match events {
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
        Ok(event_id) => Ok(Answered::Taken { event_id }),
        Err(Refused::Invalid(reason)) => Err(refusal("InvalidArgument", reason)),
        Err(Refused::Unavailable(reason)) => Err(refusal("InternalFailure", reason)),
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
    Answered::Refused { error_code, error_message }
}

/// A whole call refused, as the AWS JSON protocol says it.
fn invalid(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({ "__type": "ValidationException", "message": reason }))).into_response()
}
