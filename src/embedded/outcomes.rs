//! Where callers are told, in the embedded mode: a webhook, or the log.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url, redirect::Policy};
use serde_json::Value as Json;

use crate::ports::{Class, Error, Result};

const OPERATION: &str = "POST outcome_url";

/// A webhook, or none.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    webhook: Option<(Client, Url)>,
}

impl Outcomes {
    /// Outcomes without a webhook: the log is all.
    #[must_use]
    pub fn to_log() -> Self {
        Self::default()
    }

    /// Posts to that URL.
    pub fn to_webhook(url: &str) -> Result<Self> {
        let wrong = |message| Error::new(Class::Invalid, "embedded.outcome_url", message);
        let url = Url::parse(url).map_err(|error| wrong("not a URL").caused_by(error))?;
        // A redirect could carry task tokens elsewhere.
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| wrong("no HTTP client").caused_by(error))?;
        Ok(Self { webhook: Some((client, url)) })
    }

    /// Posts, if there is a webhook. Anything but 2xx is an error.
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn redirects_are_refused_and_not_followed() {
        let (first, second) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let elsewhere = second.local_addr().unwrap();
        let webhook = format!("http://{}/outcomes", first.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = first.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let _read = stream.read(&mut head).await.unwrap();
            let answer = format!(
                "HTTP/1.1 307 Elsewhere\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            // A client that follows never hears anything there.
            let _followed = second.accept().await;
        };
        let outcomes = Outcomes::to_webhook(&webhook).unwrap();
        let token = json!({"taskToken": "secret"});
        let error = tokio::select! {
            posted = outcomes.post(&token) => posted.unwrap_err(),
            () = serve => panic!("the redirect was followed"),
        };
        assert_eq!((error.status, error.class), (Some(307), Class::Invalid));
    }
}
