//! The callers' task tokens.

use std::fmt;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::Result;

/// A Step Functions task token. Never shown: whoever has it can answer the task.
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

/// What the other side said about the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Taken.
    Delivered,
    /// Nobody waits on it any more: `TaskTimedOut`, `TaskDoesNotExist` or `InvalidToken`.
    Gone,
}

/// Answers to tasks. The first success or failure of a token counts; later ones find it `Gone`.
#[async_trait]
pub trait TaskCallbacks: Send + Sync + fmt::Debug {
    /// Says that the task is alive.
    async fn heartbeat(&self, token: &TaskToken) -> Result<Delivery>;

    /// Ends the task well; `output` is JSON of at most 256 KB.
    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery>;

    /// Ends the task badly; `error` at most 256 characters, `cause` at most 32 KB.
    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery>;
}
