//! The wire of streams without a socket: into the router of the simulator in this process.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::body::Body as AxumBody;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use copy_manager::{
    ports::{
        Class, Error, Result,
        transfers::{PresignedUrl, Tagged},
    },
    simulator::{Simulator, in_process},
    transfer::wire::{Body, Opened, Wire, tagged},
};
use futures_util::StreamExt as _;
use http::StatusCode;
use secrecy::ExposeSecret as _;

/// Presigned URLs that lead into the simulator's router, and how long each piece of a body takes.
#[derive(Debug)]
pub(crate) struct RouterWire(pub(crate) Arc<Simulator>, pub(crate) Duration);

impl RouterWire {
    async fn open(&self, request: http::request::Builder, good: StatusCode) -> Result<Opened> {
        let request = request.body(AxumBody::empty()).unwrap();
        let response = in_process::call(self.0.router(), request).await;
        if response.status() != good {
            return Err(Error::new(Class::Transient, "GET", response.status().to_string()));
        }
        let length =
            response.headers().get("content-length").and_then(|text| text.to_str().ok()?.parse().ok());
        let tagged = tagged(response.headers());
        let body = response.into_body().into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
        Ok(Opened { length, tagged, body: body.boxed() })
    }
}

#[async_trait]
impl Wire for RouterWire {
    async fn get(&self, url: &PresignedUrl) -> Result<Opened> {
        self.open(http::Request::get(url.expose_secret()), StatusCode::OK).await
    }

    async fn get_range(&self, url: &PresignedUrl, range: Range<u64>) -> Result<Opened> {
        let range = format!("bytes={}-{}", range.start, range.end - 1);
        let request = http::Request::get(url.expose_secret()).header("range", range);
        self.open(request, StatusCode::PARTIAL_CONTENT).await
    }

    fn carries_md5(&self, _: &PresignedUrl) -> bool {
        true
    }

    async fn put(&self, url: &PresignedUrl, length: u64, md5: Option<&str>, body: Body) -> Result<Tagged> {
        let pause = self.1;
        let body = body.then(move |piece| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            piece
        });
        let mut request = http::Request::put(url.expose_secret()).header("content-length", length);
        if let Some(md5) = md5 {
            request = request.header("content-md5", BASE64_STANDARD.encode(hex::decode(md5).unwrap()));
        }
        let request = request.body(AxumBody::from_stream(body)).unwrap();
        let response = in_process::call(self.0.router(), request).await;
        if response.status().is_success() {
            return Ok(tagged(response.headers()));
        }
        Err(Error::new(Class::Transient, "PUT", response.status().to_string()))
    }
}
