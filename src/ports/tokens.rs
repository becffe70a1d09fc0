//! Where the ICAv2 bearer token comes from.

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::error::Result;

/// A bearer token and when it ends.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The JWT.
    pub secret: SecretString,
    /// Its `exp`; `None` when it does not say.
    pub expires: Option<Timestamp>,
}

/// A source of bearer tokens. Does not cache: its caller decides when a token is stale.
#[async_trait]
pub trait TokenSource: Send + Sync + std::fmt::Debug {
    /// The token that is valid now.
    async fn fetch(&self) -> Result<Bearer>;
}
