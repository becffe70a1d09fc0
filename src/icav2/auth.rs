//! The token at hand: fetched once, replaced before it ends, replaced at once when it is refused.
//!
//! ICAv2's machines do not agree on the time: a token is refused for up to half a minute after it was
//! made ("not before"). So a fresh token waits while the old one is still good, and a refused token
//! that young is not replaced: its successor would only be younger.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::secret::Claims;
pub use super::secret::{ApiKeyToken, StaticToken, parse_secret};
use crate::{
    ports::{
        Result,
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

/// Holds the token for all calls. Whoever needs a new one holds the lock while fetching, so calls
/// that are refused together cause one fetch.
#[derive(Debug)]
pub(super) struct Auth {
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Held>>,
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
        Self { source, clock, held: Mutex::new(None) }
    }

    /// The token to use now.
    pub(super) async fn token(&self) -> Result<SecretString> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        let next = match held.clone() {
            None => self.fetch("first", now, None).await?,
            Some(current) if current.look.is_some_and(|look| look <= now) => self.look(current, now).await,
            Some(current) => current,
        };
        let token = next.usable(now).secret.clone();
        *held = Some(next);
        Ok(token)
    }

    /// The token to use instead of one that was refused; `None` when there is no other.
    pub(super) async fn instead_of(&self, refused: &SecretString) -> Result<Option<SecretString>> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        if let Some(current) = held.as_mut() {
            if !same(&current.bearer.secret, refused) {
                // Somebody was faster, or it is the predecessor that was refused.
                current.before = None;
                return Ok(Some(current.bearer.secret.clone()));
            }
            if current.ripe.is_some_and(|ripe| now < ripe) {
                return Ok(None);
            }
        }
        let fresh = self.fetch("refused", now, None).await?;
        let token = fresh.bearer.secret.clone();
        *held = Some(fresh);
        Ok((!same(&token, refused)).then_some(token))
    }

    /// Looks for a successor in good time. A source that fails now is asked again later: the token at
    /// hand may still do.
    async fn look(&self, mut current: Held, now: Timestamp) -> Held {
        match self.fetch("expiry", now, Some(&current.bearer)).await {
            Ok(fresh) if !same(&fresh.bearer.secret, &current.bearer.secret) => fresh,
            _ => {
                current.look = now.checked_add(LOOK_AGAIN).ok();
                current
            }
        }
    }

    async fn fetch(&self, reason: &'static str, now: Timestamp, before: Option<&Bearer>) -> Result<Held> {
        let bearer = self.source.fetch().await.inspect_err(|error| api::token_not_loaded(reason, error))?;
        api::token_loaded(reason);
        let ripe = Claims::of(&bearer.secret).begins().and_then(|begins| begins.checked_add(SKEW).ok());
        let look = bearer.expires.and_then(|ends| {
            let margin = (ends.duration_since(now) / 10).clamp(SignedDuration::ZERO, MARGIN);
            ends.checked_sub(margin).ok()
        });
        let look =
            look.map(|look| if look <= now { now.checked_add(LOOK_AGAIN).unwrap_or(look) } else { look });
        Ok(Held { bearer, ripe, look, before: before.cloned() })
    }
}

impl Held {
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
