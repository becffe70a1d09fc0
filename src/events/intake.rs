//! Requests as they come in: copy requests in their three shapes, and our own child events.
//!
//! A copy request is an EventBridge event whose `detail` holds `payload` and `taskToken`; or the
//! legacy event with the payload's fields straight under `detail`; or a bare message body that is
//! such a `detail` itself. In place of `payload` there may be `payloadB64Gz` (packed) or
//! `payloadS3Uri` (an object that holds it). Whatever else is wrong with a request, its task token is looked for:
//! a token that is known can be answered, one that is overlooked leaves its caller hanging.
//!
//! Where a name stands twice in one object, the last one counts, as for most readers of JSON: what a
//! message means must not depend on who hands it on.

mod carriers;
mod other;
mod payload;
mod rescue;

use serde_json::{Map, Value, json};

use self::carriers::ELSEWHERE;
pub(crate) use self::payload::thaw_params;
pub use self::{
    carriers::{read_manifest, read_payload},
    other::OtherEvent,
    payload::Payload,
};
use super::{BATCH_REQUEST, CHILD_REQUEST, COPY_OUT_REQUEST, COPY_REQUEST};
use crate::domain::{
    ids::RequestId,
    request::{Asked, Kind},
    token::TaskToken,
};

const DETAIL: &str = "detail";
const DETAIL_TYPE: &str = "detail-type";
const PAYLOAD: &str = "payload";
const TASK_TOKEN: &str = "taskToken";
const REQUEST_ID: &str = "requestId";
const CALLER: &str = "caller";

/// How many bytes of JSON a payload may have where nothing else is said.
pub const LARGEST_PAYLOAD: usize = 16 << 20;
/// The longest task token that Step Functions gives out.
const LONGEST_TOKEN: usize = 2048;
/// The longest request id that a caller may choose.
const LONGEST_REQUEST_ID: usize = 128;
/// The longest name of a caller; ARNs of executions have some 200 characters.
const LONGEST_CALLER: usize = 512;
/// The longest `id` of an event that can name a record; those of EventBridge are UUIDs.
const LONGEST_EVENT_ID: usize = 128;
/// The longest `source` of an event (EventBridge).
const LONGEST_SOURCE: usize = 256;
/// How much is told of a kind that is not known.
const LONGEST_KIND: usize = 128;
/// The longest id of a record of ours.
const LONGEST_RECORD_ID: usize = 1024;
/// The `source` of a request that came without an EventBridge envelope.
const BARE_SOURCE: &str = "sqs";

type Object = Map<String, Value>;

/// What a message on the request queue says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A caller wants something copied.
    Request(Box<Submission>),
    /// One of our roots has made this child; its record says what it is for.
    Child(RequestId),
}

/// A request that can be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// `source` of the EventBridge event; `sqs` for a bare message.
    pub source: String,
    /// `id` of the EventBridge event; `None` also when it is too long to name a record.
    pub event_id: Option<String>,
    /// The id that the caller chose, unique within its source; 1 to 128 characters.
    pub request_id: Option<String>,
    /// Who asks, in its own words: the ARN of an execution, as a rule.
    pub caller: Option<String>,
    /// What the caller waits on.
    pub token: Option<TaskToken>,
    /// What is asked for; empty where the payload is elsewhere.
    pub request: Asked,
    /// The object in S3 that holds the payload, for [`read_payload`]. That of a manifest is in the
    /// request, for [`read_manifest`].
    pub payload_uri: Option<String>,
    /// The payload as canonical JSON (keys sorted, unknown fields kept), for storing and for
    /// comparing repeats. Never holds the token.
    pub payload: String,
    /// Paths of the fields that were ignored.
    pub unknown: Vec<String>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is wrong, and will be however often it comes.
    #[error("{reason}")]
    Malformed {
        /// The token to fail, when one can be made out.
        token: Option<TaskToken>,
        /// The id that the caller chose, when it can be made out.
        request_id: Option<String>,
        /// `id` of the EventBridge event.
        event_id: Option<String>,
        /// `source` of the EventBridge event, when it can be made out.
        event_source: Option<String>,
        /// What kind of request it is, when it says so.
        kind: Option<Kind>,
        /// One sentence with the path of the field.
        reason: String,
    },
    /// It belongs to a newer version of us, and goes back to the queue.
    #[error("nothing is known about the detail-type `{detail_type}`")]
    UnknownKind {
        /// What it calls itself.
        detail_type: String,
    },
}

/// What is known of a message while the rest of it is read, for the refusal if it has to be refused.
#[derive(Debug, Default)]
struct Identity {
    token: Option<TaskToken>,
    request_id: Option<String>,
    event_id: Option<String>,
    event_source: Option<String>,
    kind: Option<Kind>,
}

impl Identity {
    fn refuse(self, reason: String) -> Refusal {
        let Self { token, request_id, event_id, event_source, kind } = self;
        Refusal::Malformed { token, request_id, event_id, event_source, kind, reason }
    }
}

/// Reads the body of a message from the request queue.
pub fn read_request(body: &str) -> Result<Incoming, Refusal> {
    read_request_within(body, LARGEST_PAYLOAD)
}

/// The same, with payloads of at most so many bytes of JSON.
pub fn read_request_within(body: &str, most: usize) -> Result<Incoming, Refusal> {
    read(body, most).map_err(|refusal| match refusal {
        Refusal::Malformed { token: None, request_id, event_id, event_source, kind, reason } => {
            let found = rescue::identity(body);
            Refusal::Malformed {
                token: found.token,
                request_id: request_id.or(found.request_id),
                event_id: event_id.or(found.event_id),
                event_source: event_source.or(found.event_source),
                kind,
                reason,
            }
        }
        whole => whole,
    })
}

/// The refusal of an event that this version does not take, with whatever its caller may be told by.
#[must_use]
pub fn refusal_of(body: &str, reason: String) -> Refusal {
    rescue::identity(body).refuse(reason)
}

fn read(body: &str, most: usize) -> Result<Incoming, Refusal> {
    let message = serde_json::from_str(body)
        .map_err(|error| format!("the message is not JSON: {error}"))
        .and_then(|value| match value {
            Value::Object(message) => Ok(message),
            other => Err(format!("the message must be an object, not {}", type_of(&other))),
        })
        .map_err(|reason| Identity::default().refuse(reason))?;
    if message.contains_key(DETAIL_TYPE) || message.contains_key(DETAIL) {
        read_event(message, most)
    } else {
        let mut message = message;
        let carrier = carriers::unpack(&mut message, "", most);
        let mut identity = identify(&message);
        identity.event_source = Some(BARE_SOURCE.to_owned());
        let from = From { source: BARE_SOURCE.to_owned(), event_id: None };
        read_detail(Kind::Copy, from, message, "", carrier, most)
            .map(|submission| Incoming::Request(Box::new(submission)))
            .map_err(|reason| identity.refuse(reason))
    }
}

fn read_event(mut message: Object, most: usize) -> Result<Incoming, Refusal> {
    let mut detail = object_or_json(message.remove(DETAIL));
    // Before anything else: a token may be packed with the payload.
    let carrier = detail.as_mut().map_or(Ok(PAYLOAD), |detail| carriers::unpack(detail, DETAIL, most));
    let mut identity = detail.as_ref().map(identify).unwrap_or_default();
    identity.event_id = bounded_text(&message, "", "id", LONGEST_EVENT_ID).ok().flatten();
    identity.event_source = bounded_text(&message, "", "source", LONGEST_SOURCE).ok().flatten();
    if identity.token.is_none() {
        identity.token = find_token(&message);
    }

    let detail_type = match required_text(&message, "", DETAIL_TYPE) {
        Ok(detail_type) => detail_type,
        Err(reason) => return Err(identity.refuse(reason)),
    };
    identity.kind = kind_of(detail_type);
    if let Some(kind) = identity.kind {
        return read_request_event(kind, &message, identity.event_id.clone(), detail, carrier, most)
            .map(|submission| Incoming::Request(Box::new(submission)))
            .map_err(|reason| identity.refuse(reason));
    }
    match detail_type {
        CHILD_REQUEST => detail
            .and_then(|detail| bounded_text(&detail, DETAIL, REQUEST_ID, LONGEST_RECORD_ID))
            .and_then(|id| id.ok_or_else(|| missing(&join(DETAIL, REQUEST_ID))))
            .map(|id| Incoming::Child(RequestId::new(id)))
            .map_err(|reason| identity.refuse(reason)),
        other => Err(Refusal::UnknownKind { detail_type: other.chars().take(LONGEST_KIND).collect() }),
    }
}

/// The kind of root that an event of that type asks for.
fn kind_of(detail_type: &str) -> Option<Kind> {
    let kinds = [(COPY_REQUEST, Kind::Copy), (BATCH_REQUEST, Kind::Batch), (COPY_OUT_REQUEST, Kind::CopyOut)];
    kinds.into_iter().find(|(known, _)| *known == detail_type).map(|(_, kind)| kind)
}

fn read_request_event(
    kind: Kind,
    message: &Object,
    event_id: Option<String>,
    detail: Result<Object, String>,
    carrier: Result<&'static str, String>,
    most: usize,
) -> Result<Submission, String> {
    let source = required_text(message, "", "source")?.to_owned();
    if source.chars().count() > LONGEST_SOURCE {
        return Err(format!("`source` must have at most {LONGEST_SOURCE} characters"));
    }
    read_detail(kind, From { source, event_id }, detail?, DETAIL, carrier, most)
}

/// Who sent a message.
struct From {
    source: String,
    event_id: Option<String>,
}

/// Reads a `detail`; `place` is its path, for messages, and `carrier` the field that its payload
/// came in. What is packed may have `most` bytes of JSON.
fn read_detail(
    kind: Kind,
    from: From,
    mut detail: Object,
    place: &str,
    carrier: Result<&'static str, String>,
    most: usize,
) -> Result<Submission, String> {
    let From { source, event_id } = from;
    let token = bounded_text(&detail, place, TASK_TOKEN, LONGEST_TOKEN)?.map(TaskToken::new);
    let request_id = bounded_text(&detail, place, REQUEST_ID, LONGEST_REQUEST_ID)?;
    detail.remove(TASK_TOKEN);
    detail.remove(REQUEST_ID);
    // Nothing depends on it: one that cannot be kept is ignored.
    let caller = bounded_text(&detail, place, CALLER, LONGEST_CALLER).ok().flatten();
    if caller.is_some() {
        detail.remove(CALLER);
    }

    let carrier = carrier?;

    let beside = |detail: &Object| detail.keys().map(|name| join(place, name)).collect::<Vec<_>>();
    if carrier == ELSEWHERE {
        let uri = carriers::elsewhere(&mut detail, place)?;
        let payload = json!({ ELSEWHERE: uri }).to_string();
        let (request, unknown) = (Asked::nothing(kind), beside(&detail));
        return Ok(Submission {
            source,
            event_id,
            request_id,
            caller,
            token,
            request,
            payload_uri: Some(uri),
            payload,
            unknown,
        });
    }
    let (fields, mut unknown, place) = match detail.remove(PAYLOAD) {
        Some(Value::Object(payload)) => (payload, beside(&detail), join(place, carrier)),
        Some(other) => return Err(wrong_type(&join(place, PAYLOAD), "an object", &other)),
        None if payload::stands_in(kind, &detail) => (detail, Vec::new(), place.to_owned()),
        None => return Err(missing(&join(place, PAYLOAD))),
    };
    let misplaced = token.is_none() && fields.contains_key(TASK_TOKEN);
    let payload = payload::read(kind, fields, &place, most)?;
    if misplaced {
        return Err(format!("`{}` must stand beside `{carrier}`, not in it", join(&place, TASK_TOKEN)));
    }
    unknown.extend(payload.unknown);
    Ok(Submission {
        source,
        event_id,
        request_id,
        caller,
        token,
        request: payload.request,
        payload_uri: None,
        payload: payload.canonical,
        unknown,
    })
}

/// Finds out whose request this is, whatever else is wrong with it.
fn identify(detail: &Object) -> Identity {
    Identity {
        token: find_token(detail),
        request_id: bounded_text(detail, DETAIL, REQUEST_ID, LONGEST_REQUEST_ID).ok().flatten(),
        ..Identity::default()
    }
}

/// The token beside the payload, where it belongs, or inside it.
fn find_token(detail: &Object) -> Option<TaskToken> {
    let inside = detail.get(PAYLOAD).and_then(Value::as_object);
    [Some(detail), inside]
        .into_iter()
        .flatten()
        .find_map(|object| bounded_text(object, "", TASK_TOKEN, LONGEST_TOKEN).ok().flatten())
        .map(TaskToken::new)
}

/// `detail` as it is, or out of the JSON text that some callers make of it.
fn object_or_json(detail: Option<Value>) -> Result<Object, String> {
    match detail {
        Some(Value::Object(detail)) => Ok(detail),
        Some(Value::String(text)) => {
            serde_json::from_str(&text).map_err(|error| format!("`{DETAIL}` is not a JSON object: {error}"))
        }
        Some(other) => Err(wrong_type(DETAIL, "an object", &other)),
        None => Err(missing(DETAIL)),
    }
}

fn required_text<'a>(object: &'a Object, place: &str, name: &str) -> Result<&'a str, String> {
    let at = join(place, name);
    match object.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(wrong_type(&at, "a string", other)),
        None => Err(missing(&at)),
    }
}

/// A text that may be absent (or null) but must not be empty or too long. The text itself is not
/// repeated in the complaint: it may be a secret.
fn bounded_text(object: &Object, place: &str, name: &str, longest: usize) -> Result<Option<String>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if (1..=longest).contains(&text.chars().count()) => Ok(Some(text.clone())),
        Some(Value::String(_)) => {
            Err(format!("`{}` must have between 1 and {longest} characters", join(place, name)))
        }
        Some(other) => Err(wrong_type(&join(place, name), "a string", other)),
    }
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn missing(at: &str) -> String {
    format!("`{at}` is missing")
}

fn wrong_type(at: &str, wanted: &str, found: &Value) -> String {
    format!("`{at}` must be {wanted}, not {}", type_of(found))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
