//! Events of types that are none of the requests for copies. Which kind takes one is for the registry to say; what
//! they have in common is read here.

use serde_json::Value;

use super::{
    CALLER, DETAIL, DETAIL_TYPE, LONGEST_CALLER, LONGEST_EVENT_ID, LONGEST_KIND, LONGEST_REQUEST_ID,
    LONGEST_SOURCE, LONGEST_TOKEN, Object, PAYLOAD, REQUEST_ID, TASK_TOKEN, bounded_text,
    carriers::{self, ELSEWHERE},
    find_token, join, object_or_json, required_text, wrong_type,
};
use crate::domain::{ids::digest, token::TaskToken};

/// An event of a type that is none of the requests for copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherEvent {
    /// Its `detail-type`.
    pub detail_type: String,
    /// Its `source`.
    pub source: String,
    /// Its `id`, or that of the message where it has none.
    pub own: String,
    /// The id that the caller chose, unique within its source; 1 to 128 characters.
    pub request_id: Option<String>,
    /// Who asks, in its own words.
    pub caller: Option<String>,
    /// What the caller waits on.
    pub token: Option<TaskToken>,
    /// `detail.payload`, packed or not; what else stands in the detail where there is none; or what is wrong with
    /// it, in one sentence.
    pub payload: Result<Value, String>,
}

impl OtherEvent {
    /// Reads the body of a message; `None` where it is no event. `message`: its id. `most`: bytes of JSON that a
    /// packed payload may have.
    #[must_use]
    pub fn read(body: &str, message: &str, most: usize) -> Option<Self> {
        let Ok(Value::Object(mut event)) = serde_json::from_str(body) else { return None };
        let detail_type = required_text(&event, "", DETAIL_TYPE).ok()?.chars().take(LONGEST_KIND).collect();
        let mut detail = object_or_json(event.remove(DETAIL));
        // Before anything else: a token may be packed with the payload.
        let carrier = detail.as_mut().map_or(Ok(PAYLOAD), |detail| carriers::unpack(detail, DETAIL, most));
        let known = detail.as_ref().ok();
        let text = |name: &str, longest: usize| {
            known.and_then(|detail| bounded_text(detail, DETAIL, name, longest).ok().flatten())
        };
        let own = bounded_text(&event, "", "id", LONGEST_EVENT_ID).ok().flatten();
        Some(Self {
            detail_type,
            source: required_text(&event, "", "source").ok()?.chars().take(LONGEST_SOURCE).collect(),
            own: own.unwrap_or_else(|| message.to_owned()),
            request_id: text(REQUEST_ID, LONGEST_REQUEST_ID),
            caller: text(CALLER, LONGEST_CALLER),
            token: known.and_then(find_token).or_else(|| find_token(&event)),
            payload: detail.and_then(|detail| payload(detail, carrier)),
        })
    }

    /// What names the order that it asks for: what its caller calls it, else its token, else itself. The same event
    /// that comes again, and the same request in another event, have the same.
    #[must_use]
    pub fn seed(&self) -> String {
        match (&self.request_id, &self.token) {
            (Some(name), _) => digest(&["name", &self.source, name]),
            (None, Some(token)) => digest(&["token", token.expose()]),
            (None, None) => digest(&["event", &self.own]),
        }
    }

    /// Who asks, as it is shown.
    #[must_use]
    pub fn who(&self) -> &str {
        self.caller.as_deref().unwrap_or(&self.source)
    }
}

fn payload(mut detail: Object, carrier: Result<&'static str, String>) -> Result<Value, String> {
    let carrier = carrier?;
    for (name, longest) in [(TASK_TOKEN, LONGEST_TOKEN), (REQUEST_ID, LONGEST_REQUEST_ID)] {
        bounded_text(&detail, DETAIL, name, longest)?;
    }
    if carrier == ELSEWHERE {
        return Err(format!("`{}` is not taken with events of this type", join(DETAIL, ELSEWHERE)));
    }
    match detail.remove(PAYLOAD) {
        Some(payload @ Value::Object(_)) => Ok(payload),
        Some(other) => Err(wrong_type(&join(DETAIL, PAYLOAD), "an object", &other)),
        None => {
            for name in [TASK_TOKEN, REQUEST_ID, CALLER] {
                detail.remove(name);
            }
            Ok(Value::Object(detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(event: &Value) -> OtherEvent {
        OtherEvent::read(&event.to_string(), "m1", 1000).unwrap()
    }

    #[test]
    fn what_events_have_in_common_is_read() {
        let detail = json!({ "taskToken": "t", "requestId": "r", "caller": "arn", "payload": { "a": 1 } });
        let plain = json!({ "detail-type": "X", "source": "lab", "id": "e1", "detail": detail });
        let event = read(&plain);
        assert_eq!((event.detail_type.as_str(), event.own.as_str(), event.who()), ("X", "e1", "arn"));
        assert_eq!(event.token.as_ref().map(TaskToken::expose), Some("t"));
        assert_eq!(event.payload, Ok(json!({ "a": 1 })));
        let again = json!({ "detail-type": "X", "source": "lab", "id": "e2", "detail": detail.to_string() });
        assert_eq!(
            read(&again).seed(),
            event.seed(),
            "the same request in another event, its detail as a text"
        );
        let bare = read(&json!({ "detail-type": "X", "source": "lab", "detail": { "run": "r" } }));
        assert_eq!((bare.own.as_str(), bare.payload), ("m1", Ok(json!({ "run": "r" }))));
    }

    #[test]
    fn what_is_wrong_is_said_and_the_token_is_known_all_the_same() {
        for (detail, says) in [
            (json!([1]), "`detail` must be an object"),
            (json!({ "taskToken": "t", "payload": [] }), "`detail.payload` must be an object"),
            (json!({ "taskToken": "t", "payloadB64Gz": "?" }), "`detail.payloadB64Gz`"),
            (json!({ "taskToken": "t", "payloadS3Uri": "s3://b/k" }), "is not taken"),
            (
                json!({ "taskToken": "t", "requestId": 5, "payload": {} }),
                "`detail.requestId` must be a string",
            ),
        ] {
            let event = read(&json!({ "detail-type": "X", "source": "lab", "detail": detail }));
            assert_eq!(event.token.is_some(), detail.is_object());
            let why = event.payload.unwrap_err();
            assert!(why.contains(says), "{why}");
        }
        assert_eq!(OtherEvent::read("[]", "m", 1000), None);
    }
}
