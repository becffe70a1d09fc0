//! A running daemon, over HTTP.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{exit::Ended, token::TokenArgs};
use crate::{
    admin::words::text,
    app::{self, Served},
};

/// How long one call may take; more than the daemon allows itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which daemon.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerArgs {
    /// The daemon's admin interface
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = http)]
    pub(super) server: Url,
    /// The service's table in DynamoDB, instead of a daemon: with your own AWS credentials
    #[arg(long, value_name = "NAME", conflicts_with = "server")]
    table: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
}

/// Which requests are listed.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) status: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) source: Option<String>,
    pub(super) text: Option<String>,
    pub(super) since: Option<String>,
}

/// A page of requests.
#[derive(Debug, Deserialize)]
pub(super) struct ListedPage {
    pub(super) requests: Vec<Value>,
    pub(super) next: Option<String>,
}

/// The daemon's HTTP interface.
#[derive(Debug)]
pub(super) struct Server {
    base: Url,
    http: Client,
    /// Who it is that answers, in words.
    who: String,
    /// What answers in this process, where it is a table that is asked.
    table: JoinSet<io::Result<()>>,
}

impl ServerArgs {
    /// That daemon, for commands whose `--table` is another one.
    #[cfg(feature = "canvas")]
    pub(super) const fn of(server: Url, token: TokenArgs) -> Self {
        Self { server, table: None, token }
    }

    /// For what is answered without a token: none is looked for, so none can be missing.
    pub(super) fn without_token(self) -> Self {
        Self { token: TokenArgs::none(), ..self }
    }

    pub(super) async fn connect(self) -> anyhow::Result<Server> {
        let mut table = JoinSet::new();
        let who = match &self.table {
            None => "the daemon".to_owned(),
            Some(name) => format!("the table `{name}`"),
        };
        let (base, token) = match &self.table {
            None => (self.server, self.token.token(|name| std::env::var_os(name))?),
            Some(name) => {
                let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let Served { address, token, serving } =
                    Box::pin(app::on_table(name, anywhere, CancellationToken::new())).await?;
                table.spawn(serving);
                (Url::parse(&format!("http://{address}"))?, Some(token))
            }
        };
        let mut http = Client::builder().timeout(PATIENCE);
        if let Some(token) = token {
            let bearer = format!("Bearer {}", token.expose_secret());
            let mut bearer =
                HeaderValue::from_str(&bearer).context("the token cannot be sent in a header")?;
            bearer.set_sensitive(true);
            http = http.default_headers([(AUTHORIZATION, bearer)].into_iter().collect());
        }
        let http = http.build().context("no HTTP client")?;
        Ok(Server { base, http, who, table })
    }
}

/// An event that a daemon has taken.
#[derive(Debug)]
pub(super) struct Put {
    /// Its id.
    pub(super) event_id: String,
    /// The id of its request, from daemons that tell it.
    pub(super) request_id: Option<String>,
}

impl Server {
    /// Who it is that answers, in words.
    pub(super) fn who(&self) -> &str {
        &self.who
    }

    fn is_table(&self) -> bool {
        !self.table.is_empty()
    }

    /// Puts one event. One that is refused is an [`Ended::Refused`].
    pub(super) async fn put_event(
        &self,
        source: &str,
        detail_type: &str,
        detail: &Value,
    ) -> anyhow::Result<Put> {
        let entry = json!({ "Source": source, "DetailType": detail_type, "Detail": detail });
        let call = self.http.post(self.at(["v1", "events"])?).json(&json!({ "Entries": [entry] }));
        let answer: Value = self.successful(call).await?.json().await?;
        let Some(entry) = answer.pointer("/Entries/0") else { bail!("not an answer to PutEvents: {answer}") };
        let said = |name: &str| entry.get(name).and_then(Value::as_str);
        if let Some(code) = said("ErrorCode") {
            let reason = text(entry, "ErrorMessage").to_owned();
            let passing = matches!(code, "InternalFailure" | "ThrottlingException");
            return Err(if passing { Ended::Unreachable(reason) } else { Ended::Refused(reason) }.into());
        }
        let event_id = said("EventId").context("not an answer to PutEvents: no EventId")?.to_owned();
        Ok(Put { event_id, request_id: said("RequestId").map(str::to_owned) })
    }

    /// The state of a request; `None` when the daemon does not know it (yet).
    pub(super) async fn request(&self, id: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.send(self.http.get(self.at(["v1", "requests", id])?)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(self.told(answer).await?.json().await?))
    }

    /// What has become of a request, why, and what is next; `None` when the daemon does not know it.
    pub(super) async fn explain(&self, id: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.send(self.http.get(self.at(["v1", "requests", id, "explain"])?)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(self.told(answer).await?.json().await?))
    }

    /// A page of requests, newest first.
    pub(super) async fn list(
        &self,
        wanted: &Listing,
        limit: usize,
        cursor: Option<&str>,
    ) -> anyhow::Result<ListedPage> {
        let Listing { status, kind, source, text, since } = wanted;
        let mut url = self.at(["v1", "requests"])?;
        let limit = limit.to_string();
        let fields = [
            ("status", status.as_deref()),
            ("kind", kind.as_deref()),
            ("source", source.as_deref()),
            ("text", text.as_deref()),
            ("since", since.as_deref()),
            ("limit", Some(limit.as_str())),
            ("cursor", cursor),
        ];
        url.query_pairs_mut()
            .extend_pairs(fields.into_iter().filter_map(|(name, value)| Some((name, value?))));
        Ok(self.successful(self.http.get(url)).await?.json().await?)
    }

    /// Has that done to a request; what came of it.
    pub(super) async fn act(&self, id: &str, verb: &str, said: &Value) -> anyhow::Result<Value> {
        let call = self.http.post(self.at(["v1", "requests", &format!("{id}:{verb}")])?).json(said);
        Ok(self.successful(call).await?.json().await?)
    }

    /// Has all instances write lines from a level on, for so long.
    pub(super) async fn log_level(&self, level: &str, lasts: Duration) -> anyhow::Result<Value> {
        let wanted = json!({ "level": level, "seconds": lasts.as_secs() });
        let call = self.http.put(self.at(["v1", "log-level"])?).json(&wanted);
        Ok(self.successful(call).await?.json().await?)
    }

    /// Where a request can be looked at.
    pub(super) fn look(&self, id: &str) -> String {
        let url = self.at(["v1", "requests", id]).map_or_else(|_| id.to_owned(), String::from);
        format!("GET {url}")
    }

    /// What keeps the daemon from being ready; `None` when nothing does.
    pub(super) async fn not_ready(&self) -> anyhow::Result<Option<Value>> {
        let answer = self.send(self.http.get(self.at(["readyz"])?)).await?;
        if answer.status().is_success() {
            return Ok(None);
        }
        let said: Value = answer.json().await.unwrap_or_default();
        Ok(Some(said.get("notReady").cloned().unwrap_or_default()))
    }

    /// Whether the daemon serves at all.
    pub(super) async fn alive(&self) -> anyhow::Result<bool> {
        Ok(self.send(self.http.get(self.at(["livez"])?)).await?.status().is_success())
    }

    async fn send(&self, call: RequestBuilder) -> anyhow::Result<Response> {
        call.send().await.map_err(|error| {
            let why = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(&error) };
            let base = self.base.as_str().trim_end_matches('/');
            Ended::Unreachable(if self.is_table() {
                format!("no answer from {} ({why}). Do your AWS credentials and region lead to it?", self.who)
            } else {
                format!("cannot reach the daemon at {base} ({why}). Is it running? See --server")
            })
            .into()
        })
    }

    async fn successful(&self, call: RequestBuilder) -> anyhow::Result<Response> {
        self.told(self.send(call).await?).await
    }

    /// The answer, or the problem that it tells of.
    async fn told(&self, answer: Response) -> anyhow::Result<Response> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        let said = ["detail", "message"].into_iter().find_map(|name| problem.get(name)?.as_str());
        let told = format!("{} answered {status}: {}", self.who, said.unwrap_or(&body));
        Err(match status {
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNAUTHORIZED
            | StatusCode::NOT_FOUND
            | StatusCode::CONFLICT => Ended::Refused(told).into(),
            StatusCode::SERVICE_UNAVAILABLE => Ended::Unreachable(told).into(),
            _ => anyhow::anyhow!(told),
        })
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

/// What lies beneath an error, in its own words.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    // "Connection refused (os error 111)"
    let text = inner.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// An address of HTTP.
pub(super) fn http(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_http { Ok(url) } else { Err("write it like http://127.0.0.1:8080".to_owned()) }
}
