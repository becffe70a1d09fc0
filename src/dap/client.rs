//! The client: how any call is made, and what the calls are.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::response::Parts;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use super::{
    call::{self, Call},
    files::{self, Downloads},
    gate::Gate,
    login::{Held, Logins},
    places::Places,
    refusal,
    settings::{Endpoint, Settings},
    unpack::unpacked,
    wire,
};
use crate::{
    domain::{
        hosts::{UrlHosts, is_loopback},
        replica::names::TableName,
    },
    http::transport::Transport,
    policy::retry::Retry,
    ports::{
        Class, Error, Result,
        chance::Chance,
        clock::Clock,
        source::{ByteStream, Format, Job, Query, SchemaVersion, Source},
    },
    signals,
};

const TABLES: &str = "GET /dap/query/{namespace}/table";
const SCHEMA: &str = "GET /dap/query/{namespace}/table/{table}/schema";
const DATA: &str = "POST /dap/query/{namespace}/table/{table}/data";
const JOB: &str = "GET /dap/job/{id}";
const URL: &str = "POST /dap/object/url";

/// The client of an account.
pub struct Dap {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    base: Url,
    timeout: Duration,
    logins: Logins,
    gate: Gate,
    downloads: Downloads,
}

impl fmt::Debug for Dap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dap").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// The ways to the platform. Neither follows redirects.
#[derive(Debug, Clone)]
pub struct Ways {
    /// For calls; bounds answers.
    pub calls: Arc<dyn Transport>,
    /// For files, which it gives as they are kept.
    pub files: Arc<dyn Transport>,
}

impl Dap {
    /// A client that logs in with its first call.
    ///
    /// # Errors
    ///
    /// `Invalid` where `canvas.base_url` is no address over TLS, and not this machine.
    pub fn new(
        ways: Ways,
        places: Arc<dyn Places>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        settings: &Settings,
    ) -> Result<Self> {
        let wrong = |why: &str| Error::new(Class::Invalid, "set up DAP", format!("canvas.base_url {why}"));
        let base = Url::parse(&settings.base_url).map_err(|error| wrong("is no URL").caused_by(error))?;
        match (base.scheme(), base.host_str()) {
            ("https", Some(_)) => {}
            ("http", Some(host)) if is_loopback(host) => {}
            ("http", Some(_)) => return Err(wrong("must begin with https://: credentials are sent there")),
            _ => return Err(wrong("must begin with https://")),
        }
        let hosts = UrlHosts::new(&settings.url_hosts, "");
        let (timeout, stalled_after) = (settings.timeout, settings.stalled_after);
        Ok(Self {
            downloads: Downloads::new(ways.files, hosts, &base, timeout, stalled_after),
            gate: Gate::new(places, Arc::clone(&clock), settings.patience),
            logins: Logins::new(Arc::clone(&ways.calls), Arc::clone(&clock), base.clone(), settings),
            transport: ways.calls,
            clock,
            chance,
            base,
            timeout,
        })
    }

    fn host(&self) -> &str {
        self.base.host_str().unwrap_or("nowhere")
    }

    /// A call, tried again where that may help.
    async fn call<T: DeserializeOwned>(&self, call: &Call) -> Result<T> {
        let (parts, body) = Retry::read().run(&*self.chance, || self.attempt(call)).await?;
        self.understood(call, &parts, &body)
    }

    /// One try, or a second one with another token where the first was refused.
    async fn attempt(&self, call: &Call) -> Result<(Parts, Bytes)> {
        let held = self.logins.token().await?;
        match self.send(call, &held).await {
            Err(error) if error.class == Class::Unauthorized => {
                let other = self.logins.another(&held).await?;
                self.send(call, &other).await
            }
            other => other,
        }
    }

    async fn send(&self, call: &Call, held: &Held) -> Result<(Parts, Bytes)> {
        let request = call.request(&self.base, &held.token)?;
        self.gate.enter(call.endpoint, call.operation).await?;
        let answer = timeout(self.timeout, self.transport.send(request)).await;
        signals::dap::called(call.endpoint.name(), call::status(&answer));
        let answer = answer.map_err(|_| refusal::late(call.operation, self.host(), self.timeout))?;
        let answer = answer.map_err(|cause| refusal::no_answer(call.operation, self.host(), cause))?;
        let (parts, body) = answer.into_parts();
        if parts.status.is_success() {
            held.is_good();
            return Ok((parts, body));
        }
        let pair = self.logins.pair();
        let secrets = pair.secrets(&held.token);
        let now = self.clock.now();
        let mut error = refusal::refusal(call.operation, self.host(), &parts, &body, now, &secrets);
        if parts.status == http::StatusCode::TOO_MANY_REQUESTS {
            let wait = error.retry_after.unwrap_or(refusal::UNTOLD);
            if let Err(lost) = self.gate.slow(call.endpoint, wait).await {
                error = error.caused_by(lost);
            }
        }
        Err(error)
    }

    fn understood<T: DeserializeOwned>(&self, call: &Call, parts: &Parts, body: &Bytes) -> Result<T> {
        let mut json = serde_json::Deserializer::from_slice(body);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let at = error.inner().is_data().then(|| error.path().to_string());
            refusal::gibberish(call.operation, self.host(), parts, at.as_deref())
        })
    }

    /// A job of an answer.
    async fn job_of(&self, call: &Call) -> Result<Job> {
        let mut job: wire::Job = self.call(call).await?;
        let said = job.error.take();
        let lacks = |what| {
            let message = format!("{} says that the job is complete, without its {what}", self.host());
            Error::new(Class::Invalid, call.operation, message)
        };
        let mut job = job.told().map_err(lacks)?;
        job.error = said.map(|said| {
            let none = SecretString::default();
            let (name, message) = self.logins.pair().secrets(&none).told(&said);
            (name.unwrap_or_else(|| "ProcessingError".to_owned()), message)
        });
        Ok(job)
    }

    /// The address of a file.
    async fn url(&self, object: &str) -> Result<SecretString> {
        let call =
            Call::post(Endpoint::ObjectUrl, URL, &["dap", "object", "url"], &json!([{ "id": object }]));
        let (parts, body) = self.attempt(&call).await?;
        let mut urls: wire::Urls = self.understood(&call, &parts, &body)?;
        let url = urls.urls.remove(object).map(|resource| resource.url);
        url.ok_or_else(|| refusal::gibberish(URL, self.host(), &parts, Some("urls")))
    }

    /// A file, from an address of this moment; from another where that has expired before it was used.
    async fn open(&self, object: &str) -> Result<ByteStream> {
        let opened = || async {
            let has_expired = |error: &Error| error.class == Class::Forbidden && error.status.is_some();
            match self.downloads.open(&self.url(object).await?).await {
                Err(error) if error.operation == files::GET && has_expired(&error) => {}
                other => return other,
            }
            let url = self.url(object).await?;
            self.downloads.open(&url).await.map_err(|mut error| {
                if has_expired(&error) {
                    error.class = Class::Transient;
                    error.message.push_str(", to an address that was just given");
                }
                error
            })
        };
        Retry::read().run(&*self.chance, opened).await
    }
}

#[async_trait]
impl Source for Dap {
    async fn tables(&self, namespace: &str) -> Result<Vec<String>> {
        let path = ["dap", "query", namespace, "table"];
        let tables: wire::Tables = self.call(&Call::get(Endpoint::List, TABLES, &path)).await?;
        Ok(tables.tables)
    }

    async fn schema(&self, table: &TableName) -> Result<SchemaVersion> {
        let path = ["dap", "query", &table.namespace, "table", &table.table, "schema"];
        let schema: wire::Schema = self.call(&Call::get(Endpoint::Schema, SCHEMA, &path)).await?;
        Ok(SchemaVersion { version: schema.version, schema: schema.schema })
    }

    async fn ask(&self, table: &TableName, query: &Query, format: Format) -> Result<Job> {
        let path = ["dap", "query", &table.namespace, "table", &table.table, "data"];
        let call = Call::post(Endpoint::CreateJob, DATA, &path, &question(query, format));
        self.job_of(&call).await
    }

    async fn job(&self, id: &str) -> Result<Job> {
        self.job_of(&Call::get(Endpoint::GetJob, JOB, &["dap", "job", id])).await
    }

    async fn read(&self, object: &str) -> Result<ByteStream> {
        Ok(unpacked(self.open(object).await?, files::GET))
    }

    async fn packed(&self, object: &str) -> Result<ByteStream> {
        self.open(object).await
    }
}

/// A question as it is sent: equal ones are equal texts.
fn question(query: &Query, format: Format) -> Value {
    let mut question = match format {
        Format::Tsv => json!({ "format": "tsv", "mode": "condensed" }),
        Format::ExpandedTsv => json!({ "format": "tsv" }),
        Format::Csv => json!({ "format": "csv" }),
        Format::JsonLines => json!({ "format": "jsonl" }),
        Format::Parquet => json!({ "format": "parquet" }),
    };
    if let (Value::Object(fields), Query::Changes { since, until }) = (&mut question, query) {
        fields.insert("since".to_owned(), since.to_string().into());
        fields.extend(until.map(|until| ("until".to_owned(), until.to_string().into())));
    }
    question
}
