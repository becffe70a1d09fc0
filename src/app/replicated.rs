//! Replicas as the settings say: where their data come from, where they go, and who is told.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::{Misconfigured, Unreachable, on_aws::Clients};
use crate::{
    announce::Announcer,
    config::{Backend, Settings},
    dap::{
        self, Dap, Ways,
        places::{InStore, Rates},
        settings::{Credentials, Keyring, Limits},
    },
    domain::replica::{settings::CanvasSettings, treat::Tables},
    http::network::ReqwestTransport,
    planes::table::Replicated,
    ports::{
        self, Class, Ports, chance::Chance, clock::Clock, messages::Topics, parameters::Parameters,
        replica::Replica, secrets::Secrets, source::Source, store::Store,
    },
    postgres::{self, Postgres, settings::Whereabouts},
};

/// Bytes of an answer of the platform; the list of all tables and the largest schema are far smaller.
const LARGEST_ANSWER: usize = 32 << 20;

/// What the adapters of an instance need of the rest.
struct Around<'a> {
    of: &'a CanvasSettings,
    clients: Option<&'a Clients>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl<'a> Around<'a> {
    fn of(of: &'a CanvasSettings, clients: Option<&'a Clients>, ports: &Ports) -> Self {
        let (clock, chance) = (ports.clock.clone(), ports.chance.clone());
        Self { of, clients, store: ports.store.clone(), clock, chance }
    }
}

/// A secret that says where a database is, as AWS keeps them.
#[derive(Deserialize)]
struct DatabaseSecret {
    username: String,
    password: String,
    dbname: String,
    host: String,
    port: Option<Value>,
}

/// The replicas that are kept here.
pub(super) async fn kept(settings: &Settings, ports: &Ports) -> anyhow::Result<Vec<Replicated>> {
    let clients = clients(settings).await?;
    let mut all = Vec::new();
    for of in settings.replicas() {
        let around = Around::of(of, clients.as_ref(), ports);
        all.push(replicated(&around).await.with_context(|| format!("the replica `{}`", of.instance))?);
    }
    Ok(all)
}

/// One of them.
async fn replicated(around: &Around<'_>) -> anyhow::Result<Replicated> {
    let source = source(around).await?;
    let replica = database(around).await?;
    let transport = Arc::new(ReqwestTransport::new(Duration::from_secs(10)).context("no HTTP client")?);
    let topics: Option<Arc<dyn Topics>> = around.clients.map(Clients::topics);
    let messages = Arc::new(Announcer::new(transport, topics, around.of.notify_secret.clone()));
    Ok(Replicated { settings: Arc::new(around.of.clone()), source, replica, messages })
}

/// The platform alone.
pub(super) async fn platform(
    settings: &Settings,
    of: &CanvasSettings,
    ports: &Ports,
) -> anyhow::Result<Arc<dyn Source>> {
    let clients = clients(settings).await?;
    source(&Around::of(of, clients.as_ref(), ports)).await
}

async fn clients(settings: &Settings) -> anyhow::Result<Option<Clients>> {
    Ok(match settings.backend {
        Backend::Aws if settings.replicas().next().is_some() => Some(Clients::load().await?),
        Backend::Aws | Backend::Embedded => None,
    })
}

/// The platform.
async fn source(around: &Around<'_>) -> anyhow::Result<Arc<dyn Source>> {
    let of = around.of;
    let (Credentials { id, secret }, keyring) = credentials(around).await?;
    let limits =
        Limits::read(&of.limits).map_err(|why| Misconfigured(format!("canvas.limits: {why}").into()))?;
    let settings = dap::Settings {
        base_url: of.base_url.as_str().trim_end_matches('/').to_owned(),
        client_id: id,
        client_secret: secret,
        keyring,
        url_hosts: of.url_hosts.clone(),
        limits,
        minute: of.minute,
        ..dap::Settings::default()
    };
    let calls = ReqwestTransport::bounded(settings.timeout, LARGEST_ANSWER).context("no HTTP client")?;
    let files = ReqwestTransport::for_files().context("no HTTP client")?;
    let ways = Ways { calls: Arc::new(calls), files: Arc::new(files) };
    let (clock, chance) = (around.clock.clone(), around.chance.clone());
    let rates = Rates { limits: settings.limits, minute: settings.minute };
    let store = around.store.clone();
    let places = InStore::new(store, clock.clone(), chance.clone(), &settings.client_id, rates);
    let dap = Dap::new(ways, Arc::new(places), clock, chance, &settings);
    Ok(Arc::new(dap.map_err(|error| Misconfigured(error.into()))?))
}

async fn credentials(around: &Around<'_>) -> anyhow::Result<(Credentials, Option<Arc<dyn Keyring>>)> {
    let of = around.of;
    if let (id, Some(secret)) = (&of.client_id, &of.client_secret)
        && !id.is_empty()
    {
        return Ok((Credentials { id: id.clone(), secret: secret.clone() }, None));
    }
    let missing = || {
        let why = "a replica needs canvas.client_id and canvas.client_secret, or canvas.credentials_ssm_path with backend = \"aws\"";
        Misconfigured(why.into())
    };
    let keyring = match around.clients {
        Some(clients) if !of.credentials_ssm_path.is_empty() => {
            InParameters { parameters: clients.parameters(), path: of.credentials_ssm_path.clone() }
        }
        _ => return Err(missing().into()),
    };
    let read = keyring.credentials().await.map_err(|error| anyhow::Error::new(failed(error)));
    let read = read.with_context(|| format!("parameters below {}", of.credentials_ssm_path))?;
    Ok((read, Some(Arc::new(keyring))))
}

/// The parameters with a client of the platform. Its secret changes from time to time.
#[derive(Debug)]
struct InParameters {
    parameters: Arc<dyn Parameters>,
    path: String,
}

#[async_trait]
impl Keyring for InParameters {
    async fn credentials(&self) -> ports::Result<Credentials> {
        let read = async |name: &str| {
            let name = format!("{}/{name}", self.path.trim_end_matches('/'));
            let found = self.parameters.read(&name).await?;
            Ok::<_, ports::Error>(found.expose_secret().trim().to_owned())
        };
        let id = read("dap_client_id").await?;
        Ok(Credentials { id, secret: read("dap_client_secret").await?.into() })
    }
}

/// The database.
async fn database(around: &Around<'_>) -> anyhow::Result<Arc<dyn Replica>> {
    let of = around.of;
    let (database_url, whereabouts) = match (&of.database_url, around.clients) {
        (Some(url), _) => (url.clone(), None),
        (None, Some(clients)) if !of.database_secret_id.is_empty() => {
            let secret = InSecret { secrets: clients.secrets(), id: of.database_secret_id.clone() };
            let url = secret.address().await.map_err(|error| anyhow::Error::new(failed(error)))?;
            (url, Some(Arc::new(secret) as _))
        }
        _ => {
            let why =
                "a replica needs canvas.database_url, or canvas.database_secret_id with backend = \"aws\"";
            return Err(Misconfigured(why.into()).into());
        }
    };
    let history = Tables::parse(&of.history);
    let history = history.map_err(|why| Misconfigured(format!("canvas.history: {why}").into()))?;
    let settings = postgres::Settings {
        whereabouts,
        history,
        retention: of.retention,
        staging_schema: of.staging_schema.clone(),
        lock_timeout: of.lock_timeout,
        adopt: of.adopt,
        reinit: of.reinit,
        refresh: of.refresh,
        ..postgres::Settings::new(database_url)
    };
    let postgres = Postgres::new(settings).map_err(|why| Misconfigured(Box::new(why)))?;
    Ok(Arc::new(postgres))
}

/// The secret with the address of a database. Its password changes from time to time.
#[derive(Debug)]
struct InSecret {
    secrets: Arc<dyn Secrets>,
    id: String,
}

#[async_trait]
impl Whereabouts for InSecret {
    async fn address(&self) -> ports::Result<SecretString> {
        let secret = self.secrets.read(&self.id).await?;
        in_secret(&secret).map_err(|why| ports::Error::new(Class::Invalid, "canvas.database_secret_id", why))
    }
}

/// The address that a secret says.
fn in_secret(secret: &SecretString) -> Result<SecretString, String> {
    let wrong = || {
        "the secret of canvas.database_secret_id must be JSON with username, password, dbname and host"
            .to_owned()
    };
    let of: DatabaseSecret = serde_json::from_str(secret.expose_secret()).map_err(|_| wrong())?;
    let mut url = url::Url::parse("postgresql://host/").map_err(|_| wrong())?;
    url.set_host(Some(&of.host)).map_err(|_| wrong())?;
    let port = match of.port {
        None => 5432,
        Some(Value::Number(port)) => {
            port.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or_else(wrong)?
        }
        Some(Value::String(port)) => port.parse().map_err(|_| wrong())?,
        Some(_) => return Err(wrong()),
    };
    let encoded = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    url.set_port(Some(port)).map_err(|()| wrong())?;
    url.set_username(&encoded(&of.username)).map_err(|()| wrong())?;
    url.set_password(Some(&encoded(&of.password))).map_err(|()| wrong())?;
    url.set_path(&encoded(&of.dbname));
    Ok(SecretString::from(url.to_string()))
}

fn failed(error: ports::Error) -> Unreachable {
    Unreachable(Box::new(error))
}
