//! The callers' task tokens.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::token::TaskToken;

/// What the other side said about the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Taken.
    Delivered,
    /// No task waits on it any more: `TaskTimedOut`, `TaskDoesNotExist` or `InvalidToken`.
    Gone,
}

/// Answers to tasks. The first success or failure of a token counts; later ones find it `Gone`.
#[async_trait]
pub trait TaskCallbacks: Send + Sync + std::fmt::Debug {
    /// Says that the task is alive.
    async fn heartbeat(&self, token: &TaskToken) -> Result<Delivery>;

    /// Ends the task well; `output` is JSON of at most 256 KB.
    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery>;

    /// Ends the task badly; `error` at most 256 characters, `cause` at most 32 KB.
    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery>;
}
