//! The seam below the client: one HTTP request, one answer. Implemented over the network by
//! reqwest, and in process by the simulator, so that scenario tests run on a paused clock.

use async_trait::async_trait;
use bytes::Bytes;

/// What went wrong below HTTP.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// What, without the URL's query.
    pub message: String,
    /// Whether the request certainly never reached the other side (connection refused, name not
    /// found).
    pub never_sent: bool,
    /// What lies beneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Carries one request. Does not retry, follow redirects or add headers of its own; ends by itself
/// after the configured time.
#[async_trait]
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Sends the request and reads the whole answer.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError>;
}
