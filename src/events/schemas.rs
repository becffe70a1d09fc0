//! The JSON Schemas of our wire formats, for those who write to us or read from us.
//!
//! They are written by hand: a schema is a promise to others, and should change only on purpose.
//! Where a rule cannot be said in JSON Schema (what else a URI may not hold), the code is stricter.

use serde_json::{Value, json};

const OUTCOME: &str = "outcome";
const STATE_CHANGE: &str = "state-change";

const SCHEMAS: [(&str, &str); 7] = [
    ("copy-request", include_str!("schemas/copy-request.json")),
    ("copy-out-request", include_str!("schemas/copy-out-request.json")),
    ("batch-request", include_str!("schemas/batch-request.json")),
    ("child-request", include_str!("schemas/child-request.json")),
    ("ica-job-event", include_str!("schemas/ica-job-event.json")),
    (OUTCOME, include_str!("schemas/outcome.json")),
    (STATE_CHANGE, include_str!("schemas/state-change.json")),
];

/// The names of the formats.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCHEMAS.iter().map(|(name, _)| *name)
}

/// The schema of a format, complete in itself: a schema that it refers to comes along in its `$defs`.
#[must_use]
pub fn schema(name: &str) -> Option<Value> {
    let mut schema = read(name)?;
    if name == STATE_CHANGE
        && let Some(fields) = schema.as_object_mut()
    {
        fields.insert("$defs".to_owned(), json!({ OUTCOME: read(OUTCOME)? }));
    }
    Some(schema)
}

fn read(name: &str) -> Option<Value> {
    let (_, text) = SCHEMAS.iter().find(|(known, _)| *known == name)?;
    serde_json::from_str(text).ok()
}
