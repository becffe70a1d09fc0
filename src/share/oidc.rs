//! Tokens of an issuer (`OpenID` Connect): signed with one of its keys, made for us, and good now.
//!
//! The keys are those that the issuer serves. They are kept, and fetched again after a while, or where a token names
//! one that is not known, though not at every such token.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use reqwest::{Client, redirect::Policy};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use super::Refusal;
use crate::{domain::hosts::is_loopback, signals};

/// How far the clock of an issuer may be off, in seconds.
const LEEWAY: i64 = 60;
/// How long an issuer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of what it answers.
const LONGEST: usize = 256 * 1024;
/// Between two looks at its keys.
const BETWEEN: Duration = Duration::from_secs(10);
/// For how long a key is believed that is not looked at again: one that was withdrawn ends so.
const OLDEST: Duration = Duration::from_hours(1);
/// Bytes of a token.
const LONGEST_TOKEN: usize = 16 * 1024;

/// An issuer, and for whom its tokens must be.
pub struct Issuer {
    /// As its tokens name it.
    name: String,
    audience: String,
    http: Client,
    keys: Mutex<Option<Known>>,
    /// When its keys were last asked for. Who holds it asks.
    asked_at: tokio::sync::Mutex<Option<Instant>>,
}

/// Keys, and when they were fetched.
#[derive(Clone)]
struct Known {
    keys: Arc<JwkSet>,
    at: Instant,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What an issuer says of itself.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

fn unknown(why: &str) -> Refusal {
    Refusal::Unknown(format!("that token is not accepted: {why}"))
}

/// Whether what goes there is seen by nobody else.
fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_loopback))
}

impl Issuer {
    /// The issuer of that name, whose tokens must be for that audience.
    ///
    /// # Errors
    ///
    /// There is no HTTP client.
    pub fn new(issuer: &str, audience: &str) -> Result<Self, reqwest::Error> {
        let http = Client::builder().timeout(PATIENCE).redirect(Policy::none()).build()?;
        let (name, audience) = (issuer.to_owned(), audience.to_owned());
        Ok(Self { name, audience, http, keys: Mutex::default(), asked_at: tokio::sync::Mutex::default() })
    }

    /// What a token says of its caller.
    pub(super) async fn claims(&self, token: &str, now: Timestamp) -> Result<Map<String, Value>, Refusal> {
        if token.len() > LONGEST_TOKEN {
            return Err(unknown("it is too long"));
        }
        let header = decode_header(token).map_err(|_| unknown("it is no signed JSON Web Token"))?;
        // What a token says of its own algorithm is believed only if it is one of these.
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(unknown("it must be signed with RS256 or ES256"));
        }
        let key = self.key(header.kid.as_deref()).await?;
        let is_for_this = key.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
            && key.common.key_algorithm.is_none_or(|of| of.to_string() == format!("{:?}", header.alg));
        if !is_for_this {
            return Err(unknown("its key is for something else"));
        }
        let key = DecodingKey::from_jwk(&key).map_err(|_| unknown("its key cannot be used"))?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.name]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Times are looked at below, by the clock of everything else.
        validation.validate_exp = false;
        let decoded = decode::<Map<String, Value>>(token, &key, &validation).map_err(|error| {
            use jsonwebtoken::errors::ErrorKind;
            unknown(match error.kind() {
                ErrorKind::InvalidSignature => "its signature is wrong",
                ErrorKind::InvalidIssuer => "it is of another issuer",
                ErrorKind::InvalidAudience => "it is for somebody else",
                ErrorKind::MissingRequiredClaim(_) => "it lacks exp, iss or aud",
                _ => "it cannot be read",
            })
        })?;
        let seconds = |name: &str| decoded.claims.get(name).map(|at| at.as_f64().unwrap_or(f64::NAN));
        #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
        let now = now.as_second() as f64;
        #[expect(clippy::cast_precision_loss, reason = "a minute is exact")]
        let leeway = LEEWAY as f64;
        if !seconds("exp").is_some_and(|exp| now < exp + leeway) {
            return Err(unknown("it has expired"));
        }
        if !seconds("nbf").is_none_or(|nbf| nbf <= now + leeway) {
            return Err(unknown("it is not good yet"));
        }
        Ok(decoded.claims)
    }

    /// The key of that name; of an issuer with one key, that.
    async fn key(&self, kid: Option<&str>) -> Result<Jwk, Refusal> {
        let known = self.known();
        let is_fresh = known.as_ref().is_some_and(|known| known.at.elapsed() < OLDEST);
        let found = known.as_ref().and_then(|known| find(&known.keys, kid));
        if let Some(key) = found.clone().filter(|_| is_fresh) {
            return Ok(key);
        }
        let mut asked_at = self.asked_at.lock().await;
        // Somebody else may have asked meanwhile.
        let seen = known.map(|known| known.at);
        let newer = self.known().filter(|newer| Some(newer.at) != seen);
        if let Some(key) = newer.and_then(|newer| find(&newer.keys, kid)) {
            return Ok(key);
        }
        if asked_at.is_none_or(|at| at.elapsed() >= BETWEEN) {
            *asked_at = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => {
                    let known = Known { keys: Arc::new(keys), at: Instant::now() };
                    *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
                    return find(&known.keys, kid).ok_or_else(|| unknown("its key is not known"));
                }
                Err(why) => signals::share::issuer_is_silent(&self.name, &why),
            }
        }
        match (found, self.known()) {
            // An issuer that cannot be asked does not lock out those whose keys are known.
            (Some(key), _) => Ok(key),
            (None, Some(_)) => Err(unknown("its key is not known")),
            (None, None) => {
                Err(Refusal::Unavailable("the issuer of tokens cannot be asked for its keys".to_owned()))
            }
        }
    }

    fn known(&self) -> Option<Known> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let at = format!("{}/.well-known/openid-configuration", self.name.trim_end_matches('/'));
        let Discovery { issuer, jwks_uri } = self.read(&at).await?;
        if issuer != self.name {
            return Err(format!("it calls itself {issuer:?}"));
        }
        self.read(&jwks_uri).await
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, at: &str) -> Result<T, String> {
        let url = Url::parse(at).map_err(|error| format!("{at:?} is no URL: {error}"))?;
        if !is_safe(&url) {
            return Err(format!("{at:?} does not start with https://"));
        }
        let unanswered = |error: reqwest::Error| format!("{at:?} does not answer: {}", error.without_url());
        let mut answer = self.http.get(url).send().await.map_err(unanswered)?;
        if !answer.status().is_success() {
            return Err(format!("{at:?} answers {}", answer.status()));
        }
        let mut content = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unanswered)? {
            if content.len() + chunk.len() > LONGEST {
                return Err(format!("{at:?} answers too much"));
            }
            content.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&content).map_err(|error| format!("{at:?} cannot be read: {error}"))
    }
}

fn find(keys: &JwkSet, kid: Option<&str>) -> Option<Jwk> {
    match (kid, keys.keys.as_slice()) {
        (Some(kid), _) => keys.find(kid).cloned(),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    }
}

#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;
