//! Where people and programs are told what a run has come to.
//!
//! # Contract
//! - What is sent twice may arrive twice.
//! - A target that will never take a message is `Invalid` or `Forbidden`; no error names the secret of one.

use async_trait::async_trait;

use super::error::Result;
pub use crate::domain::replica::target::{Form, Target};

/// Topics of a service that hands messages on.
#[async_trait]
pub trait Topics: Send + Sync + std::fmt::Debug {
    /// Publishes a message to the topic of that ARN.
    async fn publish(&self, topic: &str, subject: &str, message: &str) -> Result<()>;
}

/// Tells targets.
#[async_trait]
pub trait Messages: Send + Sync + std::fmt::Debug {
    /// Sends a message to a target.
    async fn send(&self, target: &Target, subject: &str, message: &str) -> Result<()>;
}
