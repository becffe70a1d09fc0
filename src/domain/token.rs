//! Task tokens, which must never be shown.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// A Step Functions task token. Never shown: any holder can answer the task.
#[derive(Clone)]
pub struct TaskToken(SecretString);

impl TaskToken {
    /// Wraps a token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The token itself, for the adapter and the store only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskToken(…)")
    }
}

impl PartialEq for TaskToken {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for TaskToken {}
