//! Where those who wait are told, in the embedded mode: a webhook, or the log.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use serde_json::Value as Json;

use crate::ports::{Class, Error, Result};

const OPERATION: &str = "POST outcome_url";

/// A webhook, or none.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    webhook: Option<(Client, Url)>,
}

impl Outcomes {
    /// Nobody to post to: the log is all.
    #[must_use]
    pub fn to_log() -> Self {
        Self::default()
    }

    /// Posts to that URL.
    pub fn to_webhook(url: &str) -> Result<Self> {
        let wrong = |message| Error::new(Class::Invalid, "embedded.outcome_url", message);
        let url = Url::parse(url).map_err(|error| wrong("not a URL").caused_by(error))?;
        let client = Client::builder()
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| wrong("no HTTP client").caused_by(error))?;
        Ok(Self { webhook: Some((client, url)) })
    }

    /// Posts, if there is somebody to post to. Anything but 2xx is an error.
    pub(super) async fn post(&self, body: &Json) -> Result<()> {
        let Some((client, url)) = &self.webhook else { return Ok(()) };
        let answer = client.post(url.clone()).json(body).send().await.map_err(unanswered)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let mut error = Error::new(class(status), OPERATION, format!("HTTP {status}"));
        error.status = Some(status.as_u16());
        error.may_have_happened = status.is_server_error();
        Err(error)
    }
}

fn class(status: StatusCode) -> Class {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Class::Throttled,
        StatusCode::UNAUTHORIZED => Class::Unauthorized,
        StatusCode::FORBIDDEN => Class::Forbidden,
        StatusCode::NOT_FOUND => Class::NotFound,
        StatusCode::CONFLICT => Class::Conflict,
        _ if status.is_server_error() => Class::Transient,
        _ => Class::Invalid,
    }
}

fn unanswered(error: reqwest::Error) -> Error {
    let error = Error::new(Class::Transient, OPERATION, "no answer").caused_by(error.without_url());
    error.ambiguous()
}
