//! Parameters that are kept for whoever runs in an account, by name.

use async_trait::async_trait;
use secrecy::SecretString;

use super::error::Result;

/// Reads parameters.
#[async_trait]
pub trait Parameters: Send + Sync + std::fmt::Debug {
    /// The value of the parameter of that name, decrypted where it is kept encrypted; it may be a secret, and is never
    /// shown by itself. `NotFound` when there is none, `Forbidden` when it is not for us.
    async fn read(&self, name: &str) -> Result<SecretString>;
}
