//! Tokens as people store them, and the two sources that need no cloud.

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::{
    call::{Call, Credential},
    problem,
    wire::Token,
};
use crate::{
    http::transport::Transport,
    ports::{
        Class, Error, Result,
        clock::Clock,
        tokens::{Bearer, TokenSource},
    },
};

/// Where a JSON secret may hold its token, the likeliest first.
const FIELDS: [&str; 5] = ["token", "access_token", "accessToken", "jwt", "ICAV2_ACCESS_TOKEN"];

/// The claims we read. The signature is the API's to check.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Claims {
    /// When the token ends, in seconds since 1970.
    exp: Option<i64>,
    /// When it begins.
    nbf: Option<i64>,
}

impl Claims {
    /// The claims of a JWT; nothing when it is not one.
    pub(super) fn of(token: &SecretString) -> Self {
        let payload = token.expose_secret().split('.').nth(1).unwrap_or_default();
        let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
        serde_json::from_slice(&json).unwrap_or_default()
    }

    /// When the token ends.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        self.exp.and_then(|seconds| Timestamp::from_second(seconds).ok())
    }

    /// When it begins.
    pub(super) fn begins(&self) -> Option<Timestamp> {
        self.nbf.and_then(|seconds| Timestamp::from_second(seconds).ok())
    }
}

/// Reads a stored token: a raw JWT, a JSON string, or a JSON object that holds one as `token`,
/// `access_token`, `accessToken`, `jwt` or `ICAV2_ACCESS_TOKEN`.
pub fn parse_secret(text: &str) -> Result<Bearer> {
    let none = |what: &str| Error::new(Class::Invalid, "read token", what);
    let token = match serde_json::from_str(text) {
        Ok(Value::String(token)) => token,
        Ok(Value::Object(fields)) => FIELDS
            .iter()
            .find_map(|field| fields.get(*field).and_then(Value::as_str))
            .ok_or_else(|| {
                none(&format!("the secret is JSON with none of the fields {}", FIELDS.join(", ")))
            })?
            .to_owned(),
        _ => text.to_owned(),
    };
    let token = token.trim();
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(none("the secret holds no token"));
    }
    let secret = SecretString::from(token);
    Ok(Bearer { expires: Claims::of(&secret).ends(), secret })
}

/// No token: for a service that has nothing to call ICAv2 with, and says so to whoever asks it for a copy.
#[derive(Debug)]
pub struct NoToken;

#[async_trait]
impl TokenSource for NoToken {
    async fn fetch(&self) -> Result<Bearer> {
        let why = "this service keeps replicas alone: it has no ICAv2 credentials (ICAV2_ACCESS_TOKEN, ICAV2_API_KEY, icav2.token_secret_id)";
        Err(Error::new(Class::Invalid, "get a token", why))
    }
}

/// The token of `ICAV2_ACCESS_TOKEN`: always the same.
#[derive(Debug)]
pub struct StaticToken(Bearer);

impl StaticToken {
    /// Reads the token as [`parse_secret`] does.
    pub fn new(text: &str) -> Result<Self> {
        parse_secret(text).map(Self)
    }
}

#[async_trait]
impl TokenSource for StaticToken {
    async fn fetch(&self) -> Result<Bearer> {
        Ok(self.0.clone())
    }
}

/// Tokens made with the API key of `ICAV2_API_KEY`. Such a token cannot be refreshed (the API refuses
/// it), so each fetch makes a new one.
#[derive(Debug)]
pub struct ApiKeyToken {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    base_url: String,
    key: SecretString,
}

impl ApiKeyToken {
    /// Makes tokens at `base_url`, over `transport`.
    pub fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: impl Into<String>,
        key: SecretString,
    ) -> Self {
        Self { transport, clock, base_url: base_url.into(), key }
    }
}

#[async_trait]
impl TokenSource for ApiKeyToken {
    async fn fetch(&self) -> Result<Bearer> {
        let call = Call::read("POST /api/tokens", &[]);
        let request = call.request(&self.base_url, Credential::ApiKey(&self.key))?;
        let answer = self.transport.send(request).await.map_err(|error| problem::no_answer(&call, error))?;
        let (parts, body) = answer.into_parts();
        if !parts.status.is_success() {
            return Err(problem::refusal(&call, &parts, &body, self.clock.now(), &self.key));
        }
        // What serde says about a body may quote it, and this body is a token.
        let Token { token } =
            serde_json::from_slice(&body).map_err(|_| problem::gibberish(&call, "no token in it"))?;
        parse_secret(&token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"aud":["ica"],"exp":1700000000,"nbf":1690000000}`
    const JWT: &str =
        "eyJhbGciOiJub25lIn0.eyJhdWQiOlsiaWNhIl0sImV4cCI6MTcwMDAwMDAwMCwibmJmIjoxNjkwMDAwMDAwfQ.c2ln";

    #[test]
    fn tokens_are_read_however_they_are_stored() {
        for text in [
            JWT.to_owned(),
            format!("  {JWT}\n"),
            format!("\"{JWT}\""),
            format!(r#"{{"token":"{JWT}"}}"#),
            format!(r#"{{"user":"x","access_token":"{JWT}"}}"#),
            format!(r#"{{"ICAV2_ACCESS_TOKEN":"{JWT}"}}"#),
        ] {
            let bearer = parse_secret(&text).unwrap();
            assert_eq!(bearer.secret.expose_secret(), JWT);
            assert_eq!(bearer.expires.unwrap().as_second(), 1_700_000_000);
        }
    }

    #[test]
    fn what_is_no_jwt_is_a_token_without_an_end() {
        let bearer = parse_secret("opaque").unwrap();
        assert_eq!((bearer.secret.expose_secret(), bearer.expires), ("opaque", None));
    }

    #[test]
    fn what_holds_no_token_is_refused_without_being_shown() {
        for text in ["", "  ", r#"{"password":"hunter2"}"#, "hunter2 hunter2", "\"\""] {
            let error = parse_secret(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn claims_say_when_it_begins() {
        assert_eq!(Claims::of(&SecretString::from(JWT)).begins().unwrap().as_second(), 1_690_000_000);
        assert_eq!(Claims::of(&SecretString::from("a.b.c")).begins(), None);
    }
}
