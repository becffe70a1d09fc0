//! The client: how any call is made. What the calls are is in `platform`.
//!
//! A call waits for its permit, carries the token at hand, is made once more with another token when
//! that one is refused, and is tried again as its kind allows.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::{
    auth::Auth,
    call::{Call, Credential},
    gathered::Gathered,
    linked::{self, Known},
    problem,
    projects::{self, Projects},
    settings::Settings,
    storage::Storages,
};
use crate::{
    http::transport::{Transport, TransportError},
    policy::pace::Pace,
    ports::{Class, Result, chance::Chance, clock::Clock, platform::Load, tokens::TokenSource},
    signals::{api, outage::Outage},
};

/// For so long there has to be no throttling before it is told to be over.
const QUIET: Duration = Duration::from_mins(1);

/// ICAv2, over a transport.
#[derive(Debug)]
pub struct Client {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    auth: Auth,
    pace: Pace,
    throttling: Outage,
    pub(super) base_url: String,
    timeout: Duration,
    pub(super) projects: Projects,
    pub(super) storages: Storages,
    pub(super) unlinked: Known,
    pub(super) gathered: Gathered,
}

impl Client {
    /// A client that fetches its token with its first call.
    #[must_use]
    pub fn new(
        transport: Arc<dyn Transport>,
        tokens: Arc<dyn TokenSource>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        settings: Settings,
    ) -> Self {
        let rate = settings.requests_per_second;
        // A quarter of a second's calls at once: lively after a pause, and never far over the rate.
        let burst = NonZeroU32::new(rate.get() / 4).unwrap_or(NonZeroU32::MIN);
        Self {
            auth: Auth::new(tokens, clock.clone()),
            pace: Pace::per_second(rate, burst),
            throttling: Outage::default(),
            base_url: settings.base_url,
            timeout: settings.timeout,
            projects: Projects::new(projects::KEEP),
            storages: Storages::default(),
            unlinked: Known::new(linked::KEEP),
            gathered: Gathered::default(),
            transport,
            clock,
            chance,
        }
    }

    /// Now, as the rest of the house sees it.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Calls that wait for their turn.
    pub(super) fn queue(&self) -> Load {
        let (waiting, per_second) = self.pace.queue();
        Load { waiting, per_second }
    }

    /// So many instances share the pace.
    pub(super) fn share_pace(&self, instances: NonZeroU32) {
        self.pace.share(instances);
    }

    /// Makes a call and reads its answer.
    pub(super) async fn call<T: DeserializeOwned>(&self, call: &Call) -> Result<T> {
        let body = self.run(call).await?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        serde_path_to_error::deserialize(&mut json)
            .map_err(|error| self.misread(problem::gibberish(call, error), &body))
    }

    /// When the token at hand ends, where it says so.
    ///
    /// # Errors
    ///
    /// Those of its source.
    pub async fn token_ends(&self) -> Result<Option<Timestamp>> {
        self.auth.token().await?;
        Ok(self.auth.ends().await)
    }

    /// Makes a call and leaves its answer as it is.
    pub(super) async fn run(&self, call: &Call) -> Result<Bytes> {
        call.retry().run(&*self.chance, || self.attempt(call)).await
    }

    async fn attempt(&self, call: &Call) -> Result<Bytes> {
        let token = self.auth.token().await?;
        let refused = match self.send(call, &token).await {
            Err(error) if error.class == Class::Unauthorized => error,
            other => return other,
        };
        match self.auth.instead_of(&token).await? {
            Some(token) => self.send(call, &token).await,
            None => Err(refused),
        }
    }

    async fn send(&self, call: &Call, token: &SecretString) -> Result<Bytes> {
        let request = call.request(&self.base_url, Credential::Bearer(token))?;
        let asked = Instant::now();
        if call.goes_first() {
            self.pace.ready_first().await;
        } else {
            self.pace.ready().await;
        }
        let started = Instant::now();
        api::let_through(started.duration_since(asked));
        let answer = timeout(self.timeout, self.transport.send(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(late()));
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        api::call_done(call.operation, status, started.elapsed());
        let (parts, body) = answer.map_err(|error| problem::no_answer(call, error))?.into_parts();
        if parts.status.is_success() {
            self.pace.succeeded();
            if let Some(trouble) = self.throttling.works(QUIET) {
                api::throttling_over(trouble);
            }
            return Ok(body);
        }
        let error = problem::refusal(call, &parts, &body, self.clock.now(), token);
        if error.class == Class::Throttled {
            let calls_per_second = self.pace.throttled(error.retry_after);
            api::throttled(call.operation, calls_per_second);
            if let Some(trouble) = self.throttling.fails() {
                api::throttling(trouble, call.operation, calls_per_second, self.pace.queue().0);
            }
        }
        Err(self.led_astray(error))
    }
}

/// The transport ends by itself; this holds for those that only pretend to be a network.
fn late() -> TransportError {
    TransportError { message: "no answer in time".to_owned(), never_sent: false, source: None }
}
