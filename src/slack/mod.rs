//! Slack, where people are asked whether packages may go.

mod words;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::Mutex;
use url::Url;

use crate::{
    domain::share::settings::ShareSettings,
    ports::{
        Class, Error, Result,
        clock::Clock,
        notices::{Answer, Became, Notices, Question, Sent},
        secrets::Secrets,
    },
};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const LARGEST_ANSWER: usize = 1 << 20;
/// How old an answer may be (Slack's own rule).
const OLDEST: SignedDuration = SignedDuration::from_mins(5);
/// For how long secrets are remembered: whoever reaches us can have them read.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(5);
/// Where answers for one person go.
const ANSWERS: &str = "hooks.slack.com";

/// Slack.
#[derive(Debug)]
pub struct Slack {
    http: reqwest::Client,
    url: Url,
    settings: ShareSettings,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<(Timestamp, Arc<Known>)>>,
}

/// Why Slack cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its address.
    #[error("`share.slack_url` must be a URL")]
    Url,
    /// No HTTP client can be made.
    #[error("no HTTP client for Slack")]
    Http(#[from] reqwest::Error),
}

/// What the secrets say.
#[derive(Debug)]
struct Known {
    token: SecretString,
    signing: SecretString,
    people: People,
}

/// Where it is asked, and who may answer.
#[derive(Debug, Deserialize)]
struct People {
    channel_id: String,
    #[serde(default)]
    allowed_users: Vec<Person>,
}

#[derive(Debug, Deserialize)]
struct Person {
    id: String,
}

impl Slack {
    /// Slack as these settings say; `None` where nobody is asked.
    ///
    /// # Errors
    ///
    /// Where its address is none, or no HTTP client can be made.
    pub fn new(
        settings: &ShareSettings,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Option<Self>, Unusable> {
        if settings.slack_config_secret_id.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(&settings.slack_url).map_err(|_| Unusable::Url)?;
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build()?;
        Ok(Some(Self { http, url, settings: settings.clone(), secrets, clock, known: Mutex::new(None) }))
    }

    async fn known(&self) -> Result<Arc<Known>> {
        let now = self.clock.now();
        // Who comes meanwhile waits for the secrets that are being read.
        let mut known = self.known.lock().await;
        if let Some((at, known)) = known.as_ref()
            && now.duration_since(*at) < REMEMBERED
        {
            return Ok(known.clone());
        }
        let config = self.secrets.read(&self.settings.slack_config_secret_id).await?;
        let people = serde_json::from_str(config.expose_secret()).map_err(|_| {
            Error::new(
                Class::Invalid,
                "read Slack's settings",
                "share.slack_config_secret_id holds no settings",
            )
        })?;
        let token = self.secrets.read(&self.settings.slack_bot_token_secret_id).await?;
        let signing = self.secrets.read(&self.settings.slack_signing_secret_id).await?;
        if signing.expose_secret().trim().is_empty() {
            // Whoever knows nothing could sign with it.
            return Err(wrong("read Slack's settings", "the signing secret is empty"));
        }
        let fresh = Arc::new(Known { token, signing, people });
        *known = Some((now, fresh.clone()));
        Ok(fresh)
    }

    /// Calls a method of the API.
    async fn call(&self, method: &'static str, known: &Known, body: &Value) -> Result<Value> {
        let url = self.url.join(method).map_err(|_| wrong(method, "share.slack_url is no base"))?;
        let token = known.token.expose_secret().trim();
        let answer = self.http.post(url).bearer_auth(token).json(body).send().await;
        let answer: Value = serde_json::from_slice(&content(method, answer).await?)
            .map_err(|_| Error::new(Class::Transient, method, "the answer is not JSON"))?;
        if answer.get("ok") == Some(&true.into()) {
            return Ok(answer);
        }
        let why = answer.get("error").and_then(Value::as_str).unwrap_or("it does not say why");
        let class = if matches!(why, "ratelimited" | "internal_error" | "service_unavailable" | "fatal_error")
        {
            Class::Transient
        } else {
            Class::Invalid
        };
        let why: String = why.chars().take(200).collect();
        Err(Error::new(class, method, format!("Slack has refused it: {why}")))
    }

    /// Tells one person that they may not. That it cannot be told changes nothing.
    async fn refuse(&self, response_url: &str) {
        let allowed = |url: &Url| {
            let ours = self.url.host_str();
            url.scheme() == "https" && url.host_str() == Some(ANSWERS)
                || url.host_str() == ours && url.scheme() == self.url.scheme()
        };
        let Some(url) = Url::parse(response_url).ok().filter(allowed) else { return };
        let body =
            json!({ "response_type": "ephemeral", "replace_original": false, "text": words::NOT_ALLOWED });
        drop(self.http.post(url).json(&body).send().await);
    }
}

fn wrong(method: &'static str, why: &str) -> Error {
    Error::new(Class::Invalid, method, why)
}

/// The body of an answer.
async fn content(method: &'static str, answer: reqwest::Result<reqwest::Response>) -> Result<Vec<u8>> {
    let lost = |error: reqwest::Error| {
        // Its address may be a secret.
        Error::new(Class::Transient, method, "Slack cannot be reached").caused_by(error.without_url())
    };
    let mut answer = answer.map_err(lost)?;
    let status = answer.status();
    if !status.is_success() {
        let passes = status.is_server_error() || status.as_u16() == 429;
        let class = if passes { Class::Transient } else { Class::Invalid };
        return Err(Error::new(class, method, format!("Slack has answered with {}", status.as_u16())));
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(lost)? {
        if body.len() + piece.len() > LARGEST_ANSWER {
            return Err(wrong(method, "the answer of Slack is too long"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Whether that was said by Slack, just now.
fn check(secret: &SecretString, sent: &Sent<'_>, now: Timestamp) -> Result<()> {
    let refuse = |why: &str| Err(Error::new(Class::Unauthorized, "hear Slack", why));
    let at = sent.timestamp.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    if at.is_none_or(|at| now.duration_since(at).abs() > OLDEST) {
        return refuse("it was not said just now (X-Slack-Request-Timestamp)");
    }
    let Some(signature) = sent.signature.strip_prefix("v0=").and_then(|text| hex::decode(text).ok()) else {
        return refuse("it is not signed (X-Slack-Signature)");
    };
    let Ok(mut hash) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().trim().as_bytes()) else {
        return refuse("the signing secret is none");
    };
    for part in [b"v0:", sent.timestamp.as_bytes(), b":", sent.body] {
        hash.update(part);
    }
    // In constant time.
    if hash.verify_slice(&signature).is_err() {
        return refuse("the signature is not Slack's (X-Slack-Signature)");
    }
    Ok(())
}

#[async_trait]
impl Notices for Slack {
    async fn ask(&self, question: &Question) -> Result<String> {
        let known = self.known().await?;
        let message = words::question(&known.people.channel_id, question);
        let answer = self.call("chat.postMessage", &known, &message).await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        match (text("channel"), text("ts")) {
            (Some(channel), Some(ts)) => Ok(format!("{channel}/{ts}")),
            _ => Err(wrong("chat.postMessage", "Slack does not say where the message is")),
        }
    }

    async fn say(&self, asked: &str, question: &Question, became: &Became) -> Result<()> {
        let known = self.known().await?;
        let (channel, ts) = asked.split_once('/').unwrap_or((asked, ""));
        self.call("chat.update", &known, &words::became(channel, ts, question, became)).await.map(drop)
    }

    async fn hear(&self, sent: &Sent<'_>) -> Result<Option<Answer>> {
        let known = self.known().await?;
        check(&known.signing, sent, self.clock.now())?;
        let pressed = words::pressed(sent.body);
        let Some(pressed) = pressed.map_err(|why| Error::new(Class::Invalid, "hear Slack", why))? else {
            return Ok(None);
        };
        if known.people.allowed_users.iter().all(|person| person.id != pressed.user) {
            self.refuse(&pressed.response_url).await;
            return Ok(None);
        }
        Ok(Some(Answer { package_id: pressed.package_id, who: format!("{}{}", words::USER, pressed.user) }))
    }
}

#[cfg(test)]
mod tests;
