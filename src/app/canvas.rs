//! Replicas as the settings say: where their data come from, where they go, and who is told. And what commands ask of
//! them without a daemon.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Misconfigured, Unreachable, adapters, kinds, on_aws::Clients};
use crate::{
    announce::Announcer,
    config::{self, Backend, Settings},
    dap::{
        self, Dap, Ways,
        places::{InStore, Rates},
        settings::Limits,
    },
    domain::{
        ids::RequestId,
        replica::{order::ReplicaOrder, settings::CanvasSettings, treat::Tables},
    },
    engine::Engine,
    events::replica,
    http::network::ReqwestTransport,
    kinds::replica::Replicas,
    planes::table::Replicated,
    ports::{
        Class, Ports,
        chance::Chance,
        clock::Clock,
        messages::Topics,
        replica::{Replica, Standing, Trouble},
        source::Source,
        store::Store,
    },
    postgres::{self, Postgres},
};

/// Bytes of an answer of the platform; the list of all tables and the largest schema are far smaller.
const LARGEST_ANSWER: usize = 32 << 20;
/// Between two looks at a run in this process.
const LOOK: Duration = Duration::from_millis(50);

/// What an adapter needs of the rest.
struct Around<'a> {
    settings: &'a Settings,
    clients: Option<&'a Clients>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl<'a> Around<'a> {
    fn of(settings: &'a Settings, clients: Option<&'a Clients>, ports: &Ports) -> Self {
        let (clock, chance) = (ports.clock.clone(), ports.chance.clone());
        Self { settings, clients, store: ports.store.clone(), clock, chance }
    }
}

/// The client's id and secret.
struct Credentials {
    id: String,
    secret: SecretString,
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

/// The replicas that are kept here: none, or the one of the settings.
async fn replicated(around: &Around<'_>) -> anyhow::Result<Vec<Replicated>> {
    let of = &around.settings.canvas;
    if !of.is_on() {
        return Ok(Vec::new());
    }
    let source = source(around).await?;
    let replica = database(around).await?;
    let transport = Arc::new(ReqwestTransport::new(Duration::from_secs(10)).context("no HTTP client")?);
    let topics: Option<Arc<dyn Topics>> = around.clients.map(Clients::topics);
    let messages = Arc::new(Announcer::new(transport, topics, of.notify_secret.clone()));
    Ok(vec![Replicated { settings: Arc::new(of.clone()), source, replica, messages }])
}

/// The replicas that a daemon keeps.
pub(super) async fn kept(settings: &Settings, ports: &Ports) -> anyhow::Result<Vec<Replicated>> {
    let clients = clients(settings).await?;
    replicated(&Around::of(settings, clients.as_ref(), ports)).await
}

async fn clients(settings: &Settings) -> anyhow::Result<Option<Clients>> {
    Ok(match settings.backend {
        Backend::Aws if settings.canvas.is_on() => Some(Clients::load().await?),
        Backend::Aws | Backend::Embedded => None,
    })
}

/// The platform.
async fn source(around: &Around<'_>) -> anyhow::Result<Arc<dyn Source>> {
    let of = &around.settings.canvas;
    let Credentials { id, secret } = credentials(around).await?;
    let limits =
        Limits::read(&of.limits).map_err(|why| Misconfigured(format!("canvas.limits: {why}").into()))?;
    let settings = dap::Settings {
        base_url: of.base_url.as_str().trim_end_matches('/').to_owned(),
        client_id: id,
        client_secret: secret,
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

async fn credentials(around: &Around<'_>) -> anyhow::Result<Credentials> {
    let of = &around.settings.canvas;
    if let (id, Some(secret)) = (&of.client_id, &of.client_secret)
        && !id.is_empty()
    {
        return Ok(Credentials { id: id.clone(), secret: secret.clone() });
    }
    let missing = || {
        let why = "a replica needs canvas.client_id and canvas.client_secret, or canvas.credentials_ssm_path with backend = \"aws\"";
        Misconfigured(why.into())
    };
    let (path, clients) = match around.clients {
        Some(clients) if !of.credentials_ssm_path.is_empty() => (&of.credentials_ssm_path, clients),
        _ => return Err(missing().into()),
    };
    let read = async |name: &str| {
        let name = format!("{}/{name}", path.trim_end_matches('/'));
        let found = clients.parameters().read(&name).await;
        found.map_err(|error| anyhow::Error::new(failed(error)).context(format!("parameter {name}")))
    };
    let id = read("dap_client_id").await?.expose_secret().trim().to_owned();
    let secret = read("dap_client_secret").await?;
    Ok(Credentials { id, secret: SecretString::from(secret.expose_secret().trim()) })
}

/// The database.
async fn database(around: &Around<'_>) -> anyhow::Result<Arc<dyn Replica>> {
    let of = &around.settings.canvas;
    let database_url = match (&of.database_url, around.clients) {
        (Some(url), _) => url.clone(),
        (None, Some(clients)) if !of.database_secret_id.is_empty() => {
            let secret = clients.secrets().read(&of.database_secret_id).await;
            let secret = secret.map_err(failed).context("canvas.database_secret_id")?;
            in_secret(&secret).map_err(|why| Misconfigured(why.into()))?
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

fn failed(error: crate::ports::Error) -> Unreachable {
    Unreachable(Box::new(error))
}

/// What a command asks with.
#[derive(Debug, Clone, Default)]
pub struct CanvasOptions {
    /// The settings file, over the defaults and under the environment.
    pub config: Option<PathBuf>,
}

/// A replica for a command, and what else it needs.
#[derive(Debug)]
pub struct Alone {
    settings: Settings,
    ports: Ports,
    replicated: Vec<Replicated>,
}

impl Alone {
    /// Reads the settings, and makes the adapters; nothing is called yet, but for secrets.
    pub async fn new(options: &CanvasOptions) -> anyhow::Result<Self> {
        let settings = config::load(options.config.as_deref(), config::environment())
            .map_err(|problems| Misconfigured(Box::new(problems)))?;
        let ports = adapters::for_canvas(&settings).await?;
        if !settings.canvas.is_on() {
            let why = "no replica is kept here: set canvas.client_id (DAP_CLIENT_ID) and what belongs to it";
            return Err(Misconfigured(why.into()).into());
        }
        let replicated = kept(&settings, &ports).await?;
        Ok(Self { settings, ports, replicated })
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &CanvasSettings {
        &self.settings.canvas
    }

    /// The order of a request with that payload.
    pub fn order(&self, payload: &Value) -> anyhow::Result<ReplicaOrder> {
        replica::request(payload, &self.settings.canvas).map_err(|why| Misconfigured(why.into()).into())
    }

    /// The tables of a namespace that were loaded.
    pub async fn standing(&self, namespace: &str) -> anyhow::Result<Vec<Standing>> {
        let mut all = Vec::new();
        for of in &self.replicated {
            let standing = of.replica.standing(namespace).await;
            all.extend(standing.map_err(|trouble| match trouble {
                Trouble::Port(error) => reached(error),
                other => anyhow::Error::new(other),
            })?);
        }
        Ok(all)
    }

    /// Works off a run in this process, until it has ended: the message that it is told by, and whether it has
    /// failed.
    pub async fn run(self, order: &ReplicaOrder) -> anyhow::Result<(Value, bool)> {
        // Whoever waits here is told at once where nothing can be reached.
        self.standing(&order.namespace).await?;
        for of in &self.replicated {
            of.source.tables(&order.namespace).await.map(drop).map_err(reached)?;
        }
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let id = RequestId::new(format!("run.{}", self.ports.chance.uuid().simple()));
        let order = Replicas::order_for(id.clone(), order, "copy-manager.cli".to_owned())?;
        let (settings, share) = (self.settings.engine(), self.settings.share.clone());
        let work = kinds::work(self.ports, settings, share, self.replicated, stop.clone(), cut.clone());
        let engine = work.engine;
        let mut tasks = JoinSet::new();
        tasks.spawn(engine.clone().dispatch());
        tasks.spawn(engine.clone().timers());
        tasks.spawn(engine.clone().progress(cut.clone()));
        engine.submit(&order).await?;
        let ended = ended(&engine, &id).await;
        stop.cancel();
        cut.cancel();
        while tasks.join_next().await.is_some() {}
        ended
    }
}

async fn ended(engine: &Engine, id: &RequestId) -> anyhow::Result<(Value, bool)> {
    loop {
        let view = engine.view_of(id.as_str(), None).await?;
        let outcome = view.filter(|view| view.settled).and_then(|view| view.outcome);
        if let Some(outcome) = outcome {
            let told = outcome.answer.as_deref().and_then(|answer| serde_json::from_str(answer).ok());
            let failure = outcome.failure;
            let told = told
                .or_else(|| failure.as_ref().map(|failure| serde_json::json!({ "error": failure.message })));
            return Ok((told.unwrap_or_default(), failure.is_some()));
        }
        sleep(LOOK).await;
    }
}

/// An error of a port as commands end with it.
pub fn reached(error: crate::ports::Error) -> anyhow::Error {
    match error.class {
        Class::Transient | Class::Throttled => anyhow::Error::new(Unreachable(Box::new(error))),
        Class::Unauthorized | Class::Forbidden => anyhow::Error::new(Misconfigured(Box::new(error))),
        Class::NotFound | Class::Conflict | Class::Invalid => anyhow::Error::new(error),
    }
}

/// The database of the demo.
#[cfg(feature = "simulator")]
pub fn demo_database(url: &str) -> anyhow::Result<postgres::demo::DemoDatabase> {
    Ok(postgres::demo::DemoDatabase::new(url).map_err(|why| Misconfigured(Box::new(why)))?)
}

/// The platform alone, for a command that asks it and no database.
pub async fn platform(options: &CanvasOptions) -> anyhow::Result<(CanvasSettings, Arc<dyn Source>)> {
    let settings = config::load(options.config.as_deref(), config::environment())
        .map_err(|problems| Misconfigured(Box::new(problems)))?;
    let ports = adapters::for_canvas(&settings).await?;
    let clients = clients(&settings).await?;
    let source = source(&Around::of(&settings, clients.as_ref(), &ports)).await?;
    Ok((settings.canvas, source))
}
