//! The seam below clients of HTTP: one request, one answer. Implemented over the network by
//! reqwest, and in process by the simulator, so that scenario tests run on a paused clock.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

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

/// A body as it comes. An error ends it: then it is not whole.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// Carries one request. Does not retry, follow redirects or add headers of its own; ends by itself
/// after the configured time.
#[async_trait]
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Sends the request and reads the whole answer.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError>;

    /// Sends the request; the answer is there with its head, and its body is read by whoever takes it.
    async fn open(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, TransportError> {
        let answer = self.send(request).await?;
        Ok(answer.map(|body| stream::once(async { Ok(body) }).boxed()))
    }
}
