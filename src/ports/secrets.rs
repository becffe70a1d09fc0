//! Secrets that requests name.

use async_trait::async_trait;
use secrecy::SecretString;

use super::error::Result;

/// Reads secrets. Nothing of what is in them is ever shown.
#[async_trait]
pub trait Secrets: Send + Sync + std::fmt::Debug {
    /// The text of the secret of that name or ARN. `NotFound` when there is none, `Forbidden` when it is
    /// not for us.
    async fn read(&self, id: &str) -> Result<SecretString>;
}
