//! Errors as the API words them.

use http::StatusCode;
use serde_json::{Value, json};

use super::world::Fields;

/// A call that is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Type of the error.
    pub(super) name: String,
    pub(super) message: String,
    /// What the error says besides.
    pub(super) more: Fields,
    /// Seconds.
    pub(super) retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, name: &str, message: &str) -> Self {
        let (name, message) = (name.to_owned(), message.to_owned());
        Self { status, name, message, more: Fields::new(), retry_after: None }
    }

    /// With something besides.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// There is nothing of that kind and name.
    pub(super) fn unknown(kind: &str, name: &str) -> Self {
        let mut capital = kind.to_owned();
        if let Some(first) = capital.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::new(StatusCode::NOT_FOUND, "NotFoundError", &format!("{capital} `{name}` not found"))
            .with("id", name)
            .with("kind", kind)
    }

    /// What is asked is not understood.
    pub(super) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    /// The body is not understood.
    pub(super) fn unreadable(message: &str) -> Self {
        Self::invalid(message).with("location", json!({"line": 1, "column": 1, "character": 1}))
    }

    /// Nobody may do this so.
    pub(super) fn unauthorised(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "AuthenticationError", message)
    }

    /// Too many calls; the next has a place after so many seconds.
    pub(super) fn throttled(seconds: u64) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "slow down");
        Self { retry_after: Some(seconds), ..refusal }
    }

    /// The body of the answer.
    pub(super) fn body(&self, id: &str) -> Value {
        let mut error = json!({"type": self.name, "uuid": id, "message": self.message});
        if let Value::Object(error) = &mut error {
            error.extend(self.more.clone());
        }
        json!({"error": error})
    }
}
