//! The token at hand: fetched once, replaced before it ends, replaced at once when it is refused.
//!
//! ICAv2's machines do not agree on the time: a token is refused for up to half a minute after it was
//! made ("not before"). So a fresh token waits while the old one is still good, and a refused token
//! that young is not replaced: its successor would only be younger.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Mutex, time::Instant};

use super::secret::Claims;
pub use super::secret::{ApiKeyToken, NoToken, StaticToken, parse_secret};
use crate::{
    ports::{
        Class, Error, Result,
        clock::Clock,
        tokens::{Bearer, TokenSource},
    },
    signals::api,
};

/// How long a new token may be refused.
const SKEW: SignedDuration = SignedDuration::from_secs(30);
/// A token is replaced this long before its end, or a quarter of its life, whichever is shorter: long before the alarm of
/// `deploy/alarms.yaml`, which tells that nobody has renewed it.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);
/// How often we look for a new token when the source still has the old one.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Calls that waited for a fetch that failed fail with it, instead of each trying in turn.
const FAIL_TOGETHER: Duration = Duration::from_millis(100);

/// Holds the token for all calls. A call that needs a new one holds the lock while fetching, so calls that
/// are refused together cause one fetch.
#[derive(Debug)]
pub(super) struct Auth {
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<CachedToken>,
    failed: Option<Failure>,
}

/// The last fetch, if it failed.
#[derive(Debug)]
struct Failure {
    at: Instant,
    class: Class,
    operation: &'static str,
    message: String,
}

#[derive(Debug, Clone)]
struct CachedToken {
    bearer: Bearer,
    /// When every clock has passed its beginning.
    ripe: Option<Timestamp>,
    /// When to look for the next one.
    look: Option<Timestamp>,
    /// Its predecessor, used until this one is ripe.
    before: Option<Bearer>,
}

impl Auth {
    pub(super) fn new(source: Arc<dyn TokenSource>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, state: Mutex::default() }
    }

    /// The token to use now.
    pub(super) async fn token(&self) -> Result<SecretString> {
        let now = self.clock.now();
        if self.takes_the_look(now).await {
            self.look().await;
        }
        let mut state = self.state.lock().await;
        let held = match state.held.take() {
            Some(held) => held,
            None => self.fetch(&mut state, "first").await?,
        };
        let held = state.held.insert(held);
        Ok(held.usable(now).secret.clone())
    }

    /// The token to use instead of one that was refused; `None` when there is no other.
    pub(super) async fn instead_of(&self, refused: &SecretString) -> Result<Option<SecretString>> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        if let Some(current) = state.held.as_mut() {
            if !same(&current.bearer.secret, refused) {
                // Another call was faster, or it is the predecessor that was refused.
                current.before = None;
                return Ok(Some(current.bearer.secret.clone()));
            }
            if current.ripe.is_some_and(|ripe| now < ripe) {
                return Ok(None);
            }
        }
        let fresh = self.fetch(&mut state, "refused").await?;
        let token = fresh.bearer.secret.clone();
        state.held = Some(fresh);
        Ok((!same(&token, refused)).then_some(token))
    }

    /// When the token at hand ends, where it says so.
    pub(super) async fn ends(&self) -> Option<Timestamp> {
        self.state.lock().await.held.as_ref()?.bearer.expires
    }

    /// Whether this call is the one to look for the next token; other calls go on with the one at hand.
    async fn takes_the_look(&self, now: Timestamp) -> bool {
        let mut state = self.state.lock().await;
        let due = state.held.as_mut().filter(|held| held.look.is_some_and(|look| look <= now));
        let Some(held) = due else { return false };
        held.look = now.checked_add(LOOK_AGAIN).ok();
        true
    }

    /// Looks for the next token in good time. A source that fails now is asked again later: the token
    /// at hand may still do.
    async fn look(&self) {
        let Ok(bearer) = self.load("expiry").await else { return };
        let mut state = self.state.lock().await;
        if let Some(held) = state.held.take_if(|held| !same(&held.bearer.secret, &bearer.secret)) {
            api::token_loaded("expiry", ends(&bearer));
            let fresh = CachedToken::new(bearer, self.clock.now());
            state.held = Some(CachedToken { before: Some(held.bearer), ..fresh });
        }
    }

    /// Fetches for all calls that wait for the lock.
    async fn fetch(&self, state: &mut State, reason: &'static str) -> Result<CachedToken> {
        if let Some(failure) = state.failed.as_ref().filter(|failure| failure.at.elapsed() < FAIL_TOGETHER) {
            return Err(Error::new(failure.class, failure.operation, failure.message.clone()));
        }
        let bearer = self.load(reason).await.inspect_err(|error| {
            let Error { class, operation, message, .. } = error;
            let message = message.clone();
            state.failed = Some(Failure { at: Instant::now(), class: *class, operation, message });
        })?;
        state.failed = None;
        api::token_loaded(reason, ends(&bearer));
        Ok(CachedToken::new(bearer, self.clock.now()))
    }

    async fn load(&self, reason: &'static str) -> Result<Bearer> {
        self.source.fetch().await.inspect_err(|error| api::token_not_loaded(reason, error))
    }
}

impl CachedToken {
    fn new(bearer: Bearer, now: Timestamp) -> Self {
        let ripe = Claims::of(&bearer.secret).begins().and_then(|begins| begins.checked_add(SKEW).ok());
        let look = bearer.expires.and_then(|ends| {
            let left = ends.duration_since(now).max(SignedDuration::ZERO);
            // It has ended already: its keeper may put the next one there any moment.
            let wait = if left.is_zero() { LOOK_AGAIN } else { left - MARGIN.min(left / 4) };
            now.checked_add(wait).ok()
        });
        Self { bearer, ripe, look, before: None }
    }

    fn usable(&self, now: Timestamp) -> &Bearer {
        let is_ripe = self.ripe.is_none_or(|ripe| ripe <= now);
        match &self.before {
            Some(before) if !is_ripe && before.expires.is_none_or(|ends| now < ends) => before,
            _ => &self.bearer,
        }
    }
}

/// When a token ends, in seconds since 1970.
fn ends(bearer: &Bearer) -> Option<i64> {
    bearer.expires.map(Timestamp::as_second)
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
