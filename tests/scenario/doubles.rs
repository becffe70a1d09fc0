//! What stands around the engine in a scenario: the clock, the callers, the buses, the wires.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::body::Body as AxumBody;
use bytes::Bytes;
use copy_manager::{
    domain::token::TaskToken,
    embedded::bus::LocalBus,
    icav2::transport::{Transport, TransportError},
    ports::{
        Class, Error, Result,
        bus::{Bus, Event, EventBus},
        callbacks::{Delivery, TaskCallbacks},
        clock::Clock,
        transfers::PresignedUrl,
    },
    simulator::{Simulator, in_process},
    transfer::wire::{Body, Wire},
};
use futures_util::StreamExt as _;
use http::StatusCode;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::Instant;

/// Wall time that goes with tokio's clock.
#[derive(Debug)]
pub(crate) struct VirtualClock {
    pub(crate) epoch: Timestamp,
    pub(crate) start: Instant,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.epoch + self.start.elapsed()
    }
}

/// What was said to a task token, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Beat,
    Success(Value),
    Failure(String, Value),
}

/// Step Functions, as far as tokens go: the first answer counts.
#[derive(Debug)]
pub(crate) struct Callers {
    pub(crate) start: Instant,
    pub(crate) said: Mutex<Vec<(Duration, String, Said)>>,
    pub(crate) gone: Mutex<Vec<String>>,
}

impl Callers {
    fn hear(&self, token: &TaskToken, said: Said) -> Delivery {
        let token = token.expose().to_owned();
        let mut heard = self.said.lock().unwrap();
        let answered = heard.iter().any(|(_, known, said)| *known == token && *said != Said::Beat);
        if answered || self.gone.lock().unwrap().contains(&token) {
            return Delivery::Gone;
        }
        heard.push((self.start.elapsed(), token, said));
        Delivery::Delivered
    }

    /// The caller of that token does not wait any more.
    pub(crate) fn leave(&self, token: &str) {
        self.gone.lock().unwrap().push(token.to_owned());
    }

    pub(crate) fn beats(&self, token: &str) -> Vec<Duration> {
        let said = self.said.lock().unwrap();
        said.iter()
            .filter(|(_, known, said)| known == token && *said == Said::Beat)
            .map(|(at, ..)| *at)
            .collect()
    }

    pub(crate) fn answer(&self, token: &str) -> Option<(Duration, Said)> {
        let said = self.said.lock().unwrap();
        let mut answers = said.iter().filter(|(_, known, said)| known == token && *said != Said::Beat);
        answers.next().map(|(at, _, said)| (*at, said.clone()))
    }
}

#[async_trait]
impl TaskCallbacks for Callers {
    async fn heartbeat(&self, token: &TaskToken) -> Result<Delivery> {
        Ok(self.hear(token, Said::Beat))
    }

    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery> {
        Ok(self.hear(token, Said::Success(serde_json::from_str(output).unwrap())))
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery> {
        Ok(self.hear(token, Said::Failure(error.to_owned(), serde_json::from_str(cause).unwrap())))
    }
}

/// The buses: child events go to the queue (unless lost), the rest is kept to be looked at.
#[derive(Debug)]
pub(crate) struct Buses {
    pub(crate) local: LocalBus,
    pub(crate) told: Mutex<Vec<Value>>,
    pub(crate) lose_children: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl EventBus for Buses {
    async fn publish(&self, events: &[Event]) -> Result<Vec<(usize, Error)>> {
        for event in events {
            match event.bus {
                Bus::External => self.told.lock().unwrap().push(serde_json::from_str(&event.detail).unwrap()),
                Bus::Internal if self.lose_children.load(std::sync::atomic::Ordering::Relaxed) => {}
                Bus::Internal => drop(self.local.publish(std::slice::from_ref(event)).await?),
            }
        }
        Ok(Vec::new())
    }
}

/// Presigned URLs that lead into the simulator's router, and how long each piece of a body takes.
#[derive(Debug)]
pub(crate) struct RouterWire(pub(crate) Arc<Simulator>, pub(crate) Duration);

impl RouterWire {
    async fn open(&self, request: http::request::Builder, good: StatusCode) -> Result<(Option<u64>, Body)> {
        let request = request.body(AxumBody::empty()).unwrap();
        let response = in_process::call(self.0.router(), request).await;
        if response.status() != good {
            return Err(Error::new(Class::Transient, "GET", response.status().to_string()));
        }
        let length =
            response.headers().get("content-length").and_then(|text| text.to_str().ok()?.parse().ok());
        let body = response.into_body().into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
        Ok((length, body.boxed()))
    }
}

#[async_trait]
impl Wire for RouterWire {
    async fn get(&self, url: &PresignedUrl) -> Result<(Option<u64>, Body)> {
        self.open(http::Request::get(url.expose_secret()), StatusCode::OK).await
    }

    async fn get_range(&self, url: &PresignedUrl, range: Range<u64>) -> Result<(Option<u64>, Body)> {
        let range = format!("bytes={}-{}", range.start, range.end - 1);
        let request = http::Request::get(url.expose_secret()).header("range", range);
        self.open(request, StatusCode::PARTIAL_CONTENT).await
    }

    async fn put(&self, url: &PresignedUrl, length: u64, body: Body) -> Result<()> {
        let pause = self.1;
        let body = body.then(move |piece| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            piece
        });
        let request = http::Request::put(url.expose_secret())
            .header("content-length", length)
            .body(AxumBody::from_stream(body))
            .unwrap();
        let response = in_process::call(self.0.router(), request).await;
        if response.status().is_success() {
            return Ok(());
        }
        Err(Error::new(Class::Transient, "PUT", response.status().to_string()))
    }
}

/// A transport that notes when each call was answered, and how.
#[derive(Debug)]
pub(crate) struct Metered {
    pub(crate) inner: in_process::InProcess,
    pub(crate) answers: Arc<Mutex<Vec<(Instant, StatusCode)>>>,
}

#[async_trait]
impl Transport for Metered {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let answer = self.inner.send(request).await;
        if let Ok(answer) = &answer {
            self.answers.lock().unwrap().push((Instant::now(), answer.status()));
        }
        answer
    }
}
