//! Calls with a bearer token, which is read from a secret, and again when it is refused.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    response::Parts,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::{ask::Ask, wire::Paged};
use crate::{
    domain::jwt,
    http::transport::Transport,
    policy::retry::Retry,
    ports::{Class, Error, Result, chance::Chance, secrets::Secrets},
};

/// What is shown of what a service says, in characters.
const EXCERPT: usize = 200;

/// How the services are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address of a service, with `{service}` for its name and `{zone}` for the zone.
    pub url: String,
    /// The zone.
    pub zone: String,
    /// The secret that holds the token: JSON with `id_token`, or the token alone.
    pub token_secret_id: String,
}

/// The services of OrcaBus.
pub struct Client {
    transport: Arc<dyn Transport>,
    secrets: Arc<dyn Secrets>,
    chance: Arc<dyn Chance>,
    settings: Settings,
    token: Mutex<Option<SecretString>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that reads its token with its first call. Its transport follows no redirects, and bounds answers.
    #[must_use]
    pub fn new(
        transport: Arc<dyn Transport>,
        secrets: Arc<dyn Secrets>,
        chance: Arc<dyn Chance>,
        settings: Settings,
    ) -> Self {
        Self { transport, secrets, chance, settings, token: Mutex::default() }
    }

    /// The address of a service.
    pub(super) fn base(&self, ask: &Ask) -> Result<Url> {
        let Settings { url, zone, .. } = &self.settings;
        let base = url.replace("{service}", ask.service).replace("{zone}", zone);
        Url::parse(&base).map_err(|error| {
            Error::new(Class::Invalid, ask.operation, "share.orcabus_url makes no URL").caused_by(error)
        })
    }

    /// One thing, or a list without pages.
    pub(super) async fn one<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T> {
        let url = ask.url(&self.base(ask)?)?;
        self.get(ask, &url).await
    }

    /// A page, and the question for the next one; `None` after the last.
    pub(super) async fn page<T: DeserializeOwned>(&self, ask: &Ask) -> Result<(Vec<T>, Option<Ask>)> {
        let url = ask.url(&self.base(ask)?)?;
        let Paged { links, results } = self.get(ask, &url).await?;
        let next = links.next.filter(|link| !link.is_empty());
        let next = next.map(|link| ask.next(&url, &link)).transpose()?;
        Ok((results, next))
    }

    /// All pages, for what has few of them.
    pub(super) async fn all<T: DeserializeOwned>(&self, ask: Ask) -> Result<Vec<T>> {
        let (mut all, mut next) = (Vec::new(), Some(ask));
        while let Some(ask) = next {
            let (page, further) = self.page(&ask).await?;
            all.extend(page);
            next = further;
        }
        Ok(all)
    }

    /// Has something done. What would be done twice is tried once.
    pub(super) async fn tell(&self, order: &Ask) -> Result<()> {
        let url = order.url(&self.base(order)?)?;
        let retry = if order.method == Method::POST { Retry::never() } else { Retry::read() };
        retry.run(&*self.chance, || self.attempt(order, &url)).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, ask: &Ask, url: &Url) -> Result<T> {
        let body = Retry::read().run(&*self.chance, || self.attempt(ask, url)).await?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            // A parser quotes what it stumbles over.
            let why = format!("the answer cannot be understood at `{}`", error.path());
            Error::new(Class::Invalid, ask.operation, format!("{}: {why}", ask.operation))
        })
    }

    /// One try, or a second one with another token where the first was refused.
    async fn attempt(&self, ask: &Ask, url: &Url) -> Result<Bytes> {
        let token = self.token(ask, None).await?;
        let refused = match self.send(ask, url, &token).await {
            Err(error) if error.class == Class::Unauthorized => error,
            other => return other,
        };
        let other = self.token(ask, Some(&token)).await?;
        if other.expose_secret() == token.expose_secret() {
            return Err(refused);
        }
        self.send(ask, url, &other).await
    }

    /// The token at hand; read again where that one was refused. Calls that are refused together read it once.
    async fn token(&self, ask: &Ask, refused: Option<&SecretString>) -> Result<SecretString> {
        let mut held = self.token.lock().await;
        let is_refused = |token: &SecretString| {
            refused.is_some_and(|refused| refused.expose_secret() == token.expose_secret())
        };
        if let Some(token) = held.as_ref().filter(|token| !is_refused(token)) {
            return Ok(token.clone());
        }
        let secret = self.secrets.read(&self.settings.token_secret_id).await?;
        let token = jwt::id_token_in(secret.expose_secret()).ok_or_else(|| {
            let why = "the secret of share.orcabus_token_secret_id holds no `id_token`";
            Error::new(Class::Invalid, ask.operation, why)
        })?;
        Ok(held.insert(SecretString::from(token)).clone())
    }

    async fn send(&self, ask: &Ask, url: &Url, token: &SecretString) -> Result<Bytes> {
        let invalid = |what: &str| Error::new(Class::Invalid, ask.operation, what.to_owned());
        let body = ask.body.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = ask.method.clone();
        if ask.body.is_some() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        *request.uri_mut() = url.as_str().parse().map_err(|_| invalid("not a URL"))?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        // The error of this conversion would be safe to show, the text is not.
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| invalid("the token holds characters that no header can hold"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        let host = url.host_str().unwrap_or("nowhere");
        let answer = self.transport.send(request).await.map_err(|cause| {
            let message = format!("{}: {host} does not answer", ask.operation);
            Error::new(Class::Transient, ask.operation, message).caused_by(cause).ambiguous()
        })?;
        let (parts, body) = answer.into_parts();
        if parts.status.is_success() { Ok(body) } else { Err(refusal(ask, host, &parts, &body, token)) }
    }
}

fn refusal(ask: &Ask, host: &str, answer: &Parts, body: &Bytes, token: &SecretString) -> Error {
    let class = match answer.status {
        StatusCode::UNAUTHORIZED => Class::Unauthorized,
        StatusCode::FORBIDDEN => Class::Forbidden,
        StatusCode::NOT_FOUND => Class::NotFound,
        StatusCode::CONFLICT => Class::Conflict,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Class::Throttled,
        StatusCode::REQUEST_TIMEOUT => Class::Transient,
        status if status.is_server_error() => Class::Transient,
        _ => Class::Invalid,
    };
    let mut message = format!("{}: {host} answered {}", ask.operation, answer.status);
    if answer.status.is_redirection() {
        message.push_str(", and redirects are not followed");
    }
    if let Some(said) = said(body, token) {
        message = format!("{message}: {said}");
    }
    let mut error = Error::new(class, ask.operation, message);
    error.status = Some(answer.status.as_u16());
    let seconds = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    error.retry_after = seconds.map(Duration::from_secs);
    error
}

/// What a service says about a refusal, where that is a short text without anything that could be a token or an
/// address.
fn said(body: &Bytes, token: &SecretString) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let said = ["detail", "message"].iter().find_map(|name| body.get(name)?.as_str())?;
    let is_plain = !said.contains(token.expose_secret())
        && !["eyJ", "://"].iter().any(|mark| said.contains(mark))
        && !said.chars().any(char::is_control);
    (is_plain && said.chars().count() <= EXCERPT).then(|| said.to_owned())
}
