//! Who waits for a message that cannot be read as a whole.
//!
//! Our reader goes 128 levels deep. What is nested deeper is refused, but its caller must not be left
//! hanging: this reader looks at names only, skips the values between them without descending, and so
//! finds the token at any depth of what is around it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{
    DETAIL, Identity, LONGEST_EVENT_ID, LONGEST_REQUEST_ID, LONGEST_SOURCE, LONGEST_TOKEN, PAYLOAD,
    REQUEST_ID, TASK_TOKEN,
};
use crate::domain::token::TaskToken;

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// What can be made out; nothing where the text is not JSON at all.
pub(super) fn identity(body: &str) -> Identity {
    let Some(message) = fields(body) else { return Identity::default() };
    let quoted = message.get(DETAIL).and_then(|detail| serde_json::from_str::<String>(detail.get()).ok());
    let detail = match (&quoted, message.get(DETAIL)) {
        (Some(text), _) => fields(text),
        (None, Some(detail)) => fields(detail.get()),
        (None, None) => None,
    };
    let payload = detail.as_ref().unwrap_or(&message).get(PAYLOAD).and_then(|payload| fields(payload.get()));
    let places = [detail.as_ref(), payload.as_ref(), Some(&message)];
    let token = places.into_iter().flatten().find_map(|place| text(place, TASK_TOKEN, LONGEST_TOKEN));
    let request_id = detail.as_ref().unwrap_or(&message);
    Identity {
        token: token.map(TaskToken::new),
        request_id: text(request_id, REQUEST_ID, LONGEST_REQUEST_ID),
        event_id: detail.as_ref().and_then(|_| text(&message, "id", LONGEST_EVENT_ID)),
        event_source: detail.as_ref().and_then(|_| text(&message, "source", LONGEST_SOURCE)),
        kind: None,
    }
}

fn fields(json: &str) -> Option<Fields<'_>> {
    serde_json::from_str(json).ok()
}

fn text(fields: &Fields<'_>, name: &str, longest: usize) -> Option<String> {
    let text: String = serde_json::from_str(fields.get(name)?.get()).ok()?;
    (1..=longest).contains(&text.chars().count()).then_some(text)
}
