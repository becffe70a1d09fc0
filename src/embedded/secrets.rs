//! Secrets, where there is no service that keeps them.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::ports::{Class, Error, Result, secrets::Secrets};

/// There are none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn read(&self, _id: &str) -> Result<SecretString> {
        let why = "secrets are in Secrets Manager, and read only with backend = \"aws\"";
        Err(Error::new(Class::Invalid, "read secret", why))
    }
}
