//! The simulator called without a socket: for tests on a paused clock, where a socket would make
//! every timeout fire at once.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{Router, body::Body};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::{Simulator, api::Closed};
use crate::http::transport::{Transport, TransportError};

/// A transport that ends in the simulator.
#[derive(Debug, Clone)]
pub struct InProcess {
    router: Router,
}

impl InProcess {
    /// To that simulator.
    pub fn new(simulator: &Arc<Simulator>) -> Self {
        Self { router: simulator.router() }
    }

    /// To any simulator, by its router.
    pub const fn to(router: Router) -> Self {
        Self { router }
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let lost = |source: Option<Box<dyn std::error::Error + Send + Sync>>| TransportError {
            message: "the connection was closed without an answer".to_owned(),
            never_sent: false,
            source,
        };
        let response = call(self.router.clone(), request.map(Body::from)).await;
        if response.extensions().get::<Closed>().is_some() {
            return Err(lost(None));
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| lost(Some(error.into())))?;
        Ok(http::Response::from_parts(parts, body.to_bytes()))
    }
}

/// Sends one request and streams the answer, as a presigned URL needs it. A connection closed
/// without an answer is a status 500 whose body breaks.
pub async fn call(router: Router, request: http::Request<Body>) -> http::Response<Body> {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
