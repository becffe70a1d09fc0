//! A running daemon, over HTTP.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

/// How long one call may take; more than the daemon allows itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which daemon.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerArgs {
    /// The daemon's admin interface
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(super) server: Url,
}

/// The daemon's HTTP interface.
#[derive(Debug)]
pub(super) struct Server {
    base: Url,
    http: Client,
}

impl ServerArgs {
    pub(super) fn connect(self) -> anyhow::Result<Server> {
        let http = Client::builder().timeout(PATIENCE).build().context("no HTTP client")?;
        Ok(Server { base: self.server, http })
    }
}

impl Server {
    /// Puts one event; its id.
    pub(super) async fn put_event(
        &self,
        source: &str,
        detail_type: &str,
        detail: &Value,
    ) -> anyhow::Result<String> {
        let entry = json!({ "Source": source, "DetailType": detail_type, "Detail": detail });
        let call = self.http.post(self.at(["v1", "events"])?).json(&json!({ "Entries": [entry] }));
        let answer = call.send().await.with_context(|| format!("no answer from {}", self.base))?;
        let answer: Value = successful(answer).await?.json().await?;
        let Some(entry) = answer.pointer("/Entries/0") else { bail!("not an answer to PutEvents: {answer}") };
        match entry.get("EventId").and_then(Value::as_str) {
            Some(id) => Ok(id.to_owned()),
            None => bail!("the daemon refused the event: {}", text(entry, "ErrorMessage")),
        }
    }

    /// The state of a request; `None` when the daemon does not know it (yet).
    pub(super) async fn request(&self, id: &str) -> anyhow::Result<Option<Value>> {
        let call = self.http.get(self.at(["v1", "requests", id])?);
        let answer = call.send().await.with_context(|| format!("no answer from {}", self.base))?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(successful(answer).await?.json().await?))
    }

    /// Whether the daemon takes work.
    pub(super) async fn ready(&self) -> anyhow::Result<bool> {
        let answer = self.http.get(self.at(["readyz"])?).send().await;
        Ok(answer.with_context(|| format!("no answer from {}", self.base))?.status().is_success())
    }

    fn at<const N: usize>(&self, path: [&str; N]) -> anyhow::Result<Url> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(path),
            Err(()) => bail!("`{}` is not an HTTP address", self.base),
        };
        Ok(url)
    }
}

/// The answer, or the problem that it tells of.
async fn successful(answer: Response) -> anyhow::Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = answer.text().await.unwrap_or_default();
    let problem: Value = serde_json::from_str(&body).unwrap_or_default();
    let said = ["detail", "message"].into_iter().find_map(|name| problem.get(name)?.as_str());
    bail!("the daemon answered {status}: {}", said.unwrap_or(&body))
}

/// A text field, empty where there is none.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
