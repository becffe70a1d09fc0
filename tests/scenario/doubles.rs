//! What stands around the engine in a scenario: the clock, the callers, the buses, the wires.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use copy_manager::{
    domain::token::TaskToken,
    embedded::{bus::LocalBus, queue::SqliteQueue},
    http::transport::{Transport, TransportError},
    ports::{
        Class, Error, Result,
        bus::{Bus, Event, EventBus},
        callbacks::{Delivery, TaskCallbacks},
        clock::Clock,
        queue::{Depth, Message, Queue},
    },
    simulator::{
        events::{EventSink, SinkError},
        in_process,
    },
};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

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
    /// Tokens whose answers are refused.
    pub(crate) refused: Mutex<Vec<String>>,
    /// Whether heartbeats get no answer.
    pub(crate) silent: AtomicBool,
    /// Tokens whose heartbeats are answered after ten minutes.
    pub(crate) slow: Mutex<Vec<String>>,
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

    fn answered(&self, token: &TaskToken, said: Said) -> Result<Delivery> {
        if self.refused.lock().unwrap().iter().any(|refused| refused == token.expose()) {
            return Err(Error::new(Class::Invalid, "answer", "refused"));
        }
        Ok(self.hear(token, said))
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
        while self.silent.load(Ordering::Relaxed) {
            sleep(Duration::from_secs(1)).await;
        }
        let is_slow = self.slow.lock().unwrap().iter().any(|slow| slow == token.expose());
        if is_slow {
            sleep(Duration::from_mins(10)).await;
        }
        Ok(self.hear(token, Said::Beat))
    }

    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery> {
        self.answered(token, Said::Success(serde_json::from_str(output).unwrap()))
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery> {
        self.answered(token, Said::Failure(error.to_owned(), serde_json::from_str(cause).unwrap()))
    }
}

/// The buses: child events go to the queue (unless lost), the rest is kept to be looked at.
#[derive(Debug)]
pub(crate) struct Buses {
    pub(crate) local: LocalBus,
    pub(crate) told: Mutex<Vec<Value>>,
    pub(crate) lose_children: AtomicBool,
    /// How many events were.
    pub(crate) lost: AtomicUsize,
    /// Whether the outer bus takes nothing.
    pub(crate) refuse: AtomicBool,
}

#[async_trait]
impl EventBus for Buses {
    async fn publish(&self, events: &[Event]) -> Result<Vec<(usize, Error)>> {
        for event in events {
            match event.bus {
                Bus::External if self.refuse.load(Ordering::Relaxed) => {
                    return Err(Error::new(Class::Transient, "PutEvents", "no answer"));
                }
                Bus::External => self.told.lock().unwrap().push(serde_json::from_str(&event.detail).unwrap()),
                Bus::Internal if self.lose_children.load(Ordering::Relaxed) => {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
                Bus::Internal => drop(self.local.publish(std::slice::from_ref(event)).await?),
            }
        }
        Ok(Vec::new())
    }
}

/// A transport that notes when each call was answered, and how.
#[derive(Debug)]
pub(crate) struct Metered {
    pub(crate) inner: in_process::InProcess,
    pub(crate) answers: Arc<Mutex<Vec<(Instant, StatusCode)>>>,
    /// Whether calls are swallowed, and given up after ten seconds.
    pub(crate) hole: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for Metered {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        if self.hole.load(Ordering::Relaxed) {
            sleep(Duration::from_secs(10)).await;
            let message = "no answer in time".to_owned();
            return Err(TransportError { message, never_sent: false, source: None });
        }
        let answer = self.inner.send(request).await;
        if let Ok(answer) = &answer {
            self.answers.lock().unwrap().push((Instant::now(), answer.status()));
        }
        answer
    }
}

/// A queue that is called over a network.
#[derive(Debug)]
pub(crate) struct Far {
    pub(crate) queue: Arc<SqliteQueue>,
    pub(crate) takes: Duration,
}

#[async_trait]
impl Queue for Far {
    async fn receive(&self) -> Result<Vec<Message>> {
        let messages = self.queue.receive().await?;
        if !self.takes.is_zero() {
            sleep(self.takes).await;
        }
        Ok(messages)
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>> {
        self.queue.delete(receipts).await
    }

    async fn release(&self, receipts: &[String]) -> Result<()> {
        self.queue.release(receipts).await
    }

    async fn depth(&self) -> Result<Depth> {
        self.queue.depth().await
    }

    fn max_receives(&self) -> Option<u32> {
        self.queue.max_receives()
    }
}

/// What ICAv2 tells of jobs, onto a queue.
#[derive(Debug)]
pub(crate) struct JobNews(pub(crate) Arc<SqliteQueue>);

#[async_trait]
impl EventSink for JobNews {
    async fn send(&self, envelope: Value) -> std::result::Result<(), SinkError> {
        self.0.push(envelope.to_string()).await.unwrap();
        Ok(())
    }
}
