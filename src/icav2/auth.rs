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
pub use super::secret::{ApiKeyToken, StaticToken, parse_secret};
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
/// A token is replaced this long before its end, or a tenth of its life, whichever is shorter.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// How often we look for a new token when the source still has the old one.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// Calls that waited for a fetch that failed fail with it, instead of each trying in turn.
const FAIL_TOGETHER: Duration = Duration::from_millis(100);

/// Holds the token for all calls. Whoever needs a new one holds the lock while fetching, so calls
/// that are refused together cause one fetch.
#[derive(Debug)]
pub(super) struct Auth {
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
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
struct Held {
    bearer: Bearer,
    /// When everybody's clock has passed its beginning.
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
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let current = match state.held.clone() {
            None => self.fetch(&mut state, "first", now).await?,
            Some(current) if current.look.is_some_and(|look| look <= now) => {
                self.look(&mut state, current, now).await
            }
            Some(current) => current,
        };
        let token = current.usable(now).secret.clone();
        state.held = Some(current);
        Ok(token)
    }

    /// The token to use instead of one that was refused; `None` when there is no other.
    pub(super) async fn instead_of(&self, refused: &SecretString) -> Result<Option<SecretString>> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        if let Some(current) = state.held.as_mut() {
            if !same(&current.bearer.secret, refused) {
                // Somebody was faster, or it is the predecessor that was refused.
                current.before = None;
                return Ok(Some(current.bearer.secret.clone()));
            }
            if current.ripe.is_some_and(|ripe| now < ripe) {
                return Ok(None);
            }
        }
        let fresh = self.fetch(&mut state, "refused", now).await?;
        let token = fresh.bearer.secret.clone();
        state.held = Some(fresh);
        Ok((!same(&token, refused)).then_some(token))
    }

    /// Looks for a successor in good time. A source that fails now is asked again later: the token at
    /// hand may still do.
    async fn look(&self, state: &mut State, mut current: Held, now: Timestamp) -> Held {
        match self.fetch(state, "expiry", now).await {
            Ok(fresh) if !same(&fresh.bearer.secret, &current.bearer.secret) => {
                Held { before: Some(current.bearer), ..fresh }
            }
            _ => {
                current.look = now.checked_add(LOOK_AGAIN).ok();
                current
            }
        }
    }

    async fn fetch(&self, state: &mut State, reason: &'static str, now: Timestamp) -> Result<Held> {
        if let Some(failure) = state.failed.as_ref().filter(|failure| failure.at.elapsed() < FAIL_TOGETHER) {
            return Err(Error::new(failure.class, failure.operation, failure.message.clone()));
        }
        match self.source.fetch().await {
            Ok(bearer) => {
                api::token_loaded(reason);
                state.failed = None;
                Ok(Held::new(bearer, now))
            }
            Err(error) => {
                api::token_not_loaded(reason, &error);
                let Error { class, operation, message, .. } = &error;
                let (class, operation, message) = (*class, *operation, message.clone());
                state.failed = Some(Failure { at: Instant::now(), class, operation, message });
                Err(error)
            }
        }
    }
}

impl Held {
    fn new(bearer: Bearer, now: Timestamp) -> Self {
        let ripe = Claims::of(&bearer.secret).begins().and_then(|begins| begins.checked_add(SKEW).ok());
        let look = bearer.expires.and_then(|ends| {
            let left = ends.duration_since(now).max(SignedDuration::ZERO);
            // Ended already: whoever keeps it may put the next one there any moment.
            let wait = if left.is_zero() { LOOK_AGAIN } else { left - MARGIN.min(left / 10) };
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

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
