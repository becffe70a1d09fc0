//! Targets that are told what runs have come to: topics of SNS, HTTPS, Slack, the log.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Method, Request, StatusCode, header::CONTENT_TYPE};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::Sha256;
use url::Url;

use crate::{
    http::transport::Transport,
    ports::{
        Class, Error, Result,
        messages::{Form, Messages, Target, Topics},
    },
    signals,
};

const OPERATION: &str = "tell a target";
/// The header by which a target knows that it is us: `sha256=` and the HMAC of the body, in hexadecimal digits.
const SIGNATURE: &str = "x-signature";
/// Characters of a message that Slack shows as one.
const LONGEST_FOR_SLACK: usize = 30_000;

/// Tells targets.
#[derive(Debug)]
pub struct Announcer {
    transport: Arc<dyn Transport>,
    topics: Option<Arc<dyn Topics>>,
    key: Option<SecretString>,
}

impl Announcer {
    /// One over that transport. `topics`: where SNS is at hand; `key`: that of signatures, if targets want any.
    #[must_use]
    pub fn new(
        transport: Arc<dyn Transport>,
        topics: Option<Arc<dyn Topics>>,
        key: Option<SecretString>,
    ) -> Self {
        Self { transport, topics, key }
    }

    async fn post(&self, url: &str, body: String, kind: &'static str, signed: bool) -> Result<()> {
        let invalid = |what: &str| Error::new(Class::Invalid, OPERATION, what.to_owned());
        let url = Url::parse(url).map_err(|_| invalid("the target is no URL"))?;
        // What follows the host may be a secret, as with Slack's addresses.
        let host = url.host_str().unwrap_or("nowhere").to_owned();
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.as_str().parse().map_err(|_| invalid("the target is no URL"))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(signature) =
            self.key.as_ref().filter(|_| signed).and_then(|key| sign(key, request.body()))
        {
            request.headers_mut().insert(SIGNATURE, signature);
        }
        let answer = self.transport.send(request).await.map_err(|cause| {
            Error::new(Class::Transient, OPERATION, format!("{host} does not answer: {}", cause.message))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let class = match status {
            StatusCode::TOO_MANY_REQUESTS => Class::Throttled,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Class::Forbidden,
            StatusCode::NOT_FOUND | StatusCode::GONE => Class::NotFound,
            status if status.is_server_error() => Class::Transient,
            _ => Class::Invalid,
        };
        let mut error = Error::new(class, OPERATION, format!("{host} answered {status}"));
        error.status = Some(status.as_u16());
        Err(error)
    }
}

fn sign(key: &SecretString, body: &Bytes) -> Option<HeaderValue> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()).ok()?;
    mac.update(body);
    HeaderValue::try_from(format!("sha256={}", hex::encode(mac.finalize().into_bytes()))).ok()
}

#[async_trait]
impl Messages for Announcer {
    async fn send(&self, target: &Target, subject: &str, message: &str) -> Result<()> {
        let to = target.to.as_str();
        if to == "log" {
            signals::replica::message(subject, message);
            return Ok(());
        }
        if let Some(topic) = to.strip_prefix("sns:") {
            let none = || {
                let why = "SNS needs backend = \"aws\"";
                Error::new(Class::Invalid, OPERATION, why)
            };
            return self.topics.as_ref().ok_or_else(none)?.publish(topic, subject, message).await;
        }
        if let Some(url) = to.strip_prefix("slack:") {
            let text: String = message.chars().take(LONGEST_FOR_SLACK).collect();
            return self.post(url, json!({ "text": text }).to_string(), "application/json", false).await;
        }
        let kind = match target.form {
            Form::Pivot | Form::Tables => "application/json",
            Form::Text => "text/plain; charset=utf-8",
        };
        self.post(to, message.to_owned(), kind, true).await
    }
}
