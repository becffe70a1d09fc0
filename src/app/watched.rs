//! What is needed from outside, watched while it is used: whether it could be reached is known from the
//! calls that are made anyway. Only what has failed, or was never used, is asked for its own sake.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

#[cfg(any(test, feature = "aws"))]
use crate::ports::queue::{Depth, Message, Queue};
use crate::{
    engine::log_level,
    http::transport::{Transport, TransportError},
    ports::{
        Result,
        platform::DataPlatform,
        store::Store,
        tokens::{Bearer, TokenSource},
    },
    runtime::{Condition, Latch},
    signals::{self, outage::Outage},
    telemetry::Levels,
};

/// Between two looks at the table, while it can be reached and while it cannot.
const LOOKS: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(2));
/// Between two questions to a platform that does not answer as it should.
const ASK_AGAIN: Duration = Duration::from_secs(15);
/// Trouble is over when nothing has failed for so long: what comes and goes is one trouble.
const QUIET: Duration = Duration::from_secs(20);
/// A project that does not exist. The question is whether there is an answer.
const NO_PROJECT: &str = "00000000-0000-4000-8000-000000000000";

/// A queue, and whether it can be received from.
#[cfg(any(test, feature = "aws"))]
#[derive(Debug)]
pub(super) struct WatchedQueue {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) reached: Condition,
}

#[cfg(any(test, feature = "aws"))]
#[async_trait]
impl Queue for WatchedQueue {
    async fn receive(&self) -> Result<Vec<Message>> {
        let received = self.queue.receive().await;
        match &received {
            Ok(_) => self.reached.holds(),
            Err(error) => self.reached.fails(error.to_string()),
        }
        received
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

/// The way to ICAv2, and whether it answers and takes our token.
#[derive(Debug)]
pub(super) struct WatchedTransport {
    transport: Arc<dyn Transport>,
    reached: Condition,
    down: Outage,
    refused: Outage,
}

impl WatchedTransport {
    pub(super) fn new(transport: Arc<dyn Transport>, reached: Condition) -> Self {
        Self { transport, reached, down: Outage::default(), refused: Outage::default() }
    }

    fn answers(&self) {
        self.reached.holds();
        if let Some(trouble) = self.down.works(QUIET) {
            signals::api::up(trouble);
        }
        if !self.refused.lasts() {
            signals::api::answers();
        }
    }

    fn fails(&self, why: String) {
        if let Some(trouble) = self.down.fails() {
            signals::api::down(trouble, &why);
        }
        self.reached.fails(why);
    }
}

#[async_trait]
impl Transport for WatchedTransport {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let answered = self.transport.send(request).await;
        match &answered {
            // Busy, but there.
            Ok(answer) if answer.status() == http::StatusCode::SERVICE_UNAVAILABLE => self.answers(),
            Ok(answer) if answer.status() == http::StatusCode::UNAUTHORIZED => {
                self.reached.fails("401 Unauthorized: it refuses the token");
                if let Some(trouble) = self.refused.fails() {
                    signals::api::token_refused(trouble);
                }
            }
            Ok(answer) if answer.status().is_server_error() => self.fails(answer.status().to_string()),
            Ok(answer) => {
                if answer.status().is_success()
                    && let Some(trouble) = self.refused.works(Duration::ZERO)
                {
                    signals::api::token_accepted(trouble);
                }
                self.answers();
            }
            Err(error) => self.fails(error.to_string()),
        }
        answered
    }
}

/// Where the token of ICAv2 comes from, and whether it does.
#[derive(Debug)]
pub(super) struct WatchedTokens {
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) reached: Condition,
}

#[async_trait]
impl TokenSource for WatchedTokens {
    async fn fetch(&self) -> Result<Bearer> {
        let fetched = self.tokens.fetch().await;
        match &fetched {
            Ok(_) => self.reached.holds(),
            Err(error) => self.reached.fails(error.to_string()),
        }
        fetched
    }
}

/// Looks at the table again and again until `off`; the latch goes with the first look that succeeds. What is
/// looked at is which level is asked for.
pub(super) async fn look_at_table(
    store: Arc<dyn Store>,
    reached: Condition,
    latch: Latch,
    levels: Option<Levels>,
    off: CancellationToken,
) -> Result<(), Infallible> {
    let (mut latch, outage) = (Some(latch), Outage::default());
    loop {
        let wait = match store.get(&log_level::key()).await {
            Ok(kept) => {
                let level = log_level::wanted(kept.as_ref(), super::now());
                if levels.as_ref().is_some_and(|levels| levels.write(level)) {
                    signals::process::level_changed(level);
                }
                if let Some(trouble) = outage.works(Duration::ZERO) {
                    signals::intake::store_available(trouble);
                }
                reached.holds();
                drop(latch.take());
                LOOKS.0
            }
            Err(error) => {
                if let Some(trouble) = outage.fails() {
                    signals::intake::store_unavailable(trouble, &error);
                }
                reached.fails(error.to_string());
                LOOKS.1
            }
        };
        tokio::select! {
            biased;
            () = off.cancelled() => return Ok(()),
            () = sleep(wait) => {}
        }
    }
}

/// Asks the platform for nothing in particular, at the start and while it does not answer as it should.
pub(super) async fn ask_platform(
    platform: Arc<dyn DataPlatform>,
    conditions: [Condition; 2],
    off: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        let ask = async {
            if conditions.iter().any(|condition| !condition.is_held()) {
                // The watchers of its calls hear what it says.
                drop(platform.project(NO_PROJECT).await);
            }
            sleep(ASK_AGAIN).await;
        };
        tokio::select! {
            biased;
            () = off.cancelled() => return Ok(()),
            () = ask => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        ports::{Class, Error},
        runtime::Readiness,
    };

    /// Answers with these statuses, one after the other; 0 is no answer.
    #[derive(Debug)]
    struct Script(Mutex<Vec<u16>>);

    #[async_trait]
    impl Transport for Script {
        async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
            let lost =
                || TransportError { message: "could not connect".into(), never_sent: true, source: None };
            let status = self.0.lock().unwrap().remove(0);
            let status = http::StatusCode::from_u16(status).map_err(|_| lost())?;
            let mut answer = http::Response::new(Bytes::new());
            *answer.status_mut() = status;
            Ok(answer)
        }
    }

    #[tokio::test]
    async fn a_platform_is_there_that_answers_and_takes_the_token() {
        let readiness = Readiness::new();
        let statuses =
            [(200, true), (0, false), (404, true), (401, false), (429, true), (502, false), (503, true)];
        let script = Script(Mutex::new(statuses.map(|(status, _)| status).to_vec()));
        let reached = readiness.condition("icav2");
        let watched = WatchedTransport::new(Arc::new(script), reached.clone());
        assert!(!reached.is_held(), "no answer has come yet");
        for (status, there) in statuses {
            drop(watched.send(http::Request::new(Bytes::new())).await);
            assert_eq!(reached.is_held(), there, "{status}");
        }
    }

    /// A queue that is not there at first.
    #[derive(Debug)]
    struct Late(Mutex<u32>);

    #[async_trait]
    impl Queue for Late {
        async fn receive(&self) -> Result<Vec<Message>> {
            let mut left = self.0.lock().unwrap();
            *left = left.saturating_sub(1);
            if *left > 0 {
                Err(Error::new(Class::NotFound, "ReceiveMessage", "no queue"))
            } else {
                Ok(Vec::new())
            }
        }

        async fn delete(&self, _: &[String]) -> Result<Vec<String>> {
            Ok(Vec::new())
        }

        async fn release(&self, _: &[String]) -> Result<()> {
            Ok(())
        }

        async fn depth(&self) -> Result<Depth> {
            Ok(Depth::default())
        }

        fn max_receives(&self) -> Option<u32> {
            None
        }
    }

    #[tokio::test]
    async fn a_queue_is_there_once_it_was_received_from() {
        let readiness = Readiness::new();
        let reached = readiness.condition("queue");
        let watched = WatchedQueue { queue: Arc::new(Late(Mutex::new(2))), reached };
        drop(watched.receive().await);
        assert_eq!(readiness.lacking(), [("queue", "ReceiveMessage: no queue".to_owned())]);
        drop(watched.receive().await);
        assert_eq!(readiness.lacking(), []);
    }
}
