//! The transport over the network.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;

use super::transport::{Transport, TransportError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer, unpacked; a page of a thousand entries has about two million.
const LARGEST_ANSWER: usize = 64 << 20;

/// HTTPS by reqwest. One client, so that connections are kept; compressed answers; no redirects,
/// because a redirect could carry the token elsewhere.
#[derive(Debug)]
pub struct ReqwestTransport {
    client: reqwest::Client,
    largest_answer: usize,
}

impl ReqwestTransport {
    /// A transport whose requests end after `timeout`.
    pub fn new(timeout: Duration) -> Result<Self, TransportError> {
        Self::bounded(timeout, LARGEST_ANSWER)
    }

    /// The same, for answers of at most so many bytes.
    pub fn bounded(timeout: Duration, largest_answer: usize) -> Result<Self, TransportError> {
        reqwest::Client::builder()
            .user_agent(concat!("copy-manager/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .gzip(true)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .build()
            .map(|client| Self { client, largest_answer })
            .map_err(lost)
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let request = reqwest::Request::try_from(request).map_err(lost)?;
        let mut answer = self.client.execute(request).await.map_err(lost)?;
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > self.largest_answer {
                let message = format!("the answer has more than {} bytes", self.largest_answer);
                return Err(TransportError { message, never_sent: false, source: None });
            }
            body.extend_from_slice(&chunk);
        }
        *response.body_mut() = body.freeze();
        Ok(response)
    }
}

fn lost(error: reqwest::Error) -> TransportError {
    let message = if error.is_connect() {
        "could not connect"
    } else if error.is_timeout() {
        "no answer in time"
    } else if error.is_builder() {
        "not a request"
    } else {
        "the connection broke"
    };
    TransportError {
        message: message.to_owned(),
        never_sent: error.is_connect() || error.is_builder(),
        source: Some(error.without_url().into()),
    }
}
