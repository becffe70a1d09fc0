//! The transport over the network.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::redirect::Policy;

use super::transport::{Body, Transport, TransportError};

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
        let client = builder().gzip(true).connect_timeout(CONNECT_TIMEOUT.min(timeout)).timeout(timeout);
        let client = client.build().map_err(lost)?;
        Ok(Self { client, largest_answer })
    }

    /// A transport for files: their bytes come as they are stored, and nothing here limits the time that takes.
    pub fn for_files() -> Result<Self, TransportError> {
        let client = builder().gzip(false).http1_only().connect_timeout(CONNECT_TIMEOUT);
        let client = client.build().map_err(lost)?;
        Ok(Self { client, largest_answer: LARGEST_ANSWER })
    }

    async fn execute(&self, request: http::Request<Bytes>) -> Result<reqwest::Response, TransportError> {
        let request = reqwest::Request::try_from(request).map_err(lost)?;
        self.client.execute(request).await.map_err(lost)
    }
}

fn builder() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().redirect(Policy::none());
    builder.user_agent(concat!("copy-manager/", env!("CARGO_PKG_VERSION")))
}

/// An answer with its head only.
fn head<B>(answer: &reqwest::Response, body: B) -> http::Response<B> {
    let mut response = http::Response::new(body);
    *response.status_mut() = answer.status();
    response.headers_mut().clone_from(answer.headers());
    response
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let mut answer = self.execute(request).await?;
        let mut response = head(&answer, Bytes::new());
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

    async fn open(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, TransportError> {
        let answer = self.execute(request).await?;
        let response = head(&answer, ());
        let body = answer.bytes_stream().map_err(lost).boxed();
        Ok(response.map(|()| body))
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// What a transport for files makes of that answer: status and body.
    async fn opened(answer: &'static [u8]) -> (u16, Result<Vec<u8>, TransportError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/key?X-Amz-Signature=1", listener.local_addr().unwrap());
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
            socket.write_all(answer).await.unwrap();
        };
        let read = async {
            let request = http::Request::get(url).body(Bytes::new()).unwrap();
            let answer = ReqwestTransport::for_files().unwrap().open(request).await.unwrap();
            let status = answer.status().as_u16();
            let chunks: Result<Vec<Bytes>, _> = answer.into_body().try_collect().await;
            (status, chunks.map(|chunks| chunks.concat()))
        };
        tokio::join!(serve, read).1
    }

    #[tokio::test]
    async fn files_come_as_they_are_stored() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\n\r\n\x1f\x8bpack";
        assert_eq!(opened(answer).await.1.unwrap(), b"\x1f\x8bpack");
    }

    #[tokio::test]
    async fn a_file_whose_connection_ends_early_is_not_whole() {
        let error = opened(b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\nhalf").await.1.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("Signature"), "{error:?}");
    }

    #[tokio::test]
    async fn a_file_that_is_elsewhere_is_not_followed() {
        let answer = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(opened(answer).await.0, 302);
    }
}
