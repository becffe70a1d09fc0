//! The JSON of the API of sharing: what is asked for, and how packages and pushes are shown.

pub mod asked;
mod fields;
pub mod linked;
pub mod shown;

use serde::Serialize;
use serde_json::Value;

/// One thing that is wrong with a body, as `FastAPI` says it: callers know that form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Invalid {
    /// What kind of wrong.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where: `body`, and the names on the way.
    pub loc: Vec<String>,
    /// In words.
    pub msg: String,
    /// What was given there.
    pub input: Value,
}

/// What is wrong with the payload of an event, in a sentence.
#[must_use]
pub fn in_words(wrong: &[Invalid]) -> String {
    let place = |wrong: &Invalid| {
        let at: Vec<_> = wrong.loc.iter().skip(1).map(String::as_str).collect();
        if at.is_empty() { "detail.payload".to_owned() } else { format!("detail.payload.{}", at.join(".")) }
    };
    let told: Vec<_> = wrong.iter().map(|wrong| format!("`{}`: {}", place(wrong), wrong.msg)).collect();
    told.join("; ")
}

impl Invalid {
    fn new(kind: &'static str, at: &[&str], msg: impl Into<String>, input: &Value) -> Self {
        let loc = std::iter::once("body").chain(at.iter().copied()).map(str::to_owned).collect();
        Self { kind, loc, msg: msg.into(), input: input.clone() }
    }
}
