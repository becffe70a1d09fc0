//! One set of adapters, as the settings say.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use super::{
    Misconfigured,
    inventories::{self, Chosen},
    on_aws::{self, CallersBus, Clients},
    versions,
    watched::{WatchedTokens, WatchedTransport},
};
use crate::{
    config::{Backend, Settings},
    embedded,
    http::{network::ReqwestTransport, transport::Transport},
    icav2::{
        self,
        auth::{ApiKeyToken, NoToken, StaticToken},
        client::Client,
    },
    inventory::{jobs::JobsFile, tables::Place},
    ports::{
        Ports, Sharing,
        chance::{Chance, Dice},
        clock::{Clock, SystemClock},
        objects::ObjectStore,
        reports::{Artifacts, Reports},
        secrets::Secrets,
        tokens::TokenSource,
    },
    runtime::{Condition, Readiness},
    slack::Slack,
    transfer::{self, http::ReqwestWire, reports::InBucket, stream::Streams},
};

/// Where events from `POST /v1/events` go.
#[derive(Debug)]
pub(super) enum Entrance {
    /// Onto our own queue.
    Embedded(embedded::bus::LocalBus),
    /// Onto the external bus, whose rule brings them back.
    Aws(CallersBus),
}

/// The ports, the way in, and whether the platform can be reached: that it gives a token, and answers. `None`: there
/// is none, as where only replicas are kept.
pub(super) async fn build(
    settings: &Settings,
    readiness: &Readiness,
) -> anyhow::Result<(Ports, Entrance, Option<[Condition; 2]>)> {
    let reached = (!keeps_replicas_alone(settings))
        .then(|| [readiness.condition("icav2 token"), readiness.condition("icav2")]);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let chance: Arc<dyn Chance> = Arc::new(Dice::from_os());
    let wire = ReqwestWire::new(settings.icav2.url_hosts()).context("no HTTP client for streams")?;
    let objects = on_aws::objects(settings);
    let streams = Streams::new(Arc::new(wire), transfer::stream::Settings::default());
    let transfers = Arc::new(streams.with_objects(objects.clone()));
    match settings.backend {
        Backend::Embedded => {
            let platform = platform(settings, None, &clock, &chance, reached.as_ref())?;
            let database = embedded::database::Database::open(Path::new(&settings.embedded.database))
                .with_context(|| format!("`{}` cannot be opened", settings.embedded.database))?;
            let outcomes = match &settings.embedded.outcome_url {
                Some(url) => embedded::outcomes::Outcomes::to_webhook(url)
                    .map_err(|error| Misconfigured(error.into()))?,
                None => embedded::outcomes::Outcomes::to_log(),
            };
            let sharing = Some(sharing(settings, &objects, None, &chance)?);
            let reports = reports(settings, &objects);
            let around = Around { platform, objects, transfers, reports, sharing, clock, chance };
            let (mut ports, bus) = on_one_machine(database, outcomes, around).await?;
            people(settings, &mut ports)?;
            Ok((ports, Entrance::Embedded(bus), reached))
        }
        Backend::Aws => {
            let clients = Clients::load().await?;
            let platform = platform(settings, Some(&clients), &clock, &chance, reached.as_ref())?;
            // Without a place for them there are no packages: a task has no folder of its own.
            let shares = !settings.share.artifacts.is_empty();
            let sharing = shares.then(|| sharing(settings, &objects, Some(clients.secrets()), &chance));
            let sharing = sharing.transpose()?;
            let reports = reports(settings, &objects);
            let around = Around { platform, objects, transfers, reports, sharing, clock, chance };
            let mut ports = clients.ports(settings, readiness, around)?;
            people(settings, &mut ports)?;
            Ok((ports, Entrance::Aws(clients.callers(&settings.aws.external_bus_name)), reached))
        }
    }
}

/// Ports for a command that only looks: the ICAv2 and the S3 of the settings, and records that end with the
/// process.
pub(super) async fn without_memory(settings: &Settings) -> anyhow::Result<Ports> {
    let clients = match settings.backend {
        Backend::Aws => Some(Clients::load().await?),
        Backend::Embedded => None,
    };
    for_one_process(settings, |clock, chance| platform(settings, clients.as_ref(), clock, chance, None)).await
}

/// Ports for replicas alone: records that end with the process, and no ICAv2.
#[cfg(feature = "canvas")]
pub(super) async fn for_canvas(settings: &Settings) -> anyhow::Result<Ports> {
    let transport = Arc::new(ReqwestTransport::new(settings.icav2.timeout)?);
    for_one_process(settings, |clock, chance| {
        let (nobody, settings) = (Arc::new(NoToken), icav2::Settings::default());
        Ok(Arc::new(Client::new(transport, nobody, clock.clone(), chance.clone(), settings)))
    })
    .await
}

/// Whether there are replicas, and nothing to call ICAv2 with.
fn keeps_replicas_alone(settings: &Settings) -> bool {
    !settings.icav2.has_credentials() && settings.replicas().next().is_some()
}

/// Ports whose records end with the process, with that ICAv2.
async fn for_one_process(
    settings: &Settings,
    platform: impl FnOnce(&Arc<dyn Clock>, &Arc<dyn Chance>) -> anyhow::Result<Arc<Client>>,
) -> anyhow::Result<Ports> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let chance: Arc<dyn Chance> = Arc::new(Dice::from_os());
    let wire = ReqwestWire::new(settings.icav2.url_hosts()).context("no HTTP client for streams")?;
    let around = Around {
        platform: platform(&clock, &chance)?,
        objects: on_aws::objects(settings),
        transfers: Arc::new(Streams::new(Arc::new(wire), transfer::stream::Settings::default())),
        reports: None,
        sharing: None,
        clock,
        chance,
    };
    let database = embedded::database::Database::in_memory()?;
    Ok(on_one_machine(database, embedded::outcomes::Outcomes::to_log(), around).await?.0)
}

/// ICAv2 alone.
pub(super) async fn client(settings: &Settings) -> anyhow::Result<Arc<Client>> {
    let clients = match settings.backend {
        Backend::Aws => Some(Clients::load().await?),
        Backend::Embedded => None,
    };
    platform(
        settings,
        clients.as_ref(),
        &(Arc::new(SystemClock::new()) as _),
        &(Arc::new(Dice::from_os()) as _),
        None,
    )
}

/// Where reports go, if anywhere.
fn reports(settings: &Settings, objects: &Arc<dyn ObjectStore>) -> Option<Arc<dyn Reports>> {
    if let Some(bucket) = InBucket::below(objects.clone(), &settings.report.s3_prefix) {
        return Some(Arc::new(bucket));
    }
    match settings.report.folder.as_str() {
        "" => None,
        folder => Some(Arc::new(embedded::reports::InFolder::new(Path::new(folder)))),
    }
}

/// What packages are made of, and where they are kept.
fn sharing(
    settings: &Settings,
    objects: &Arc<dyn ObjectStore>,
    secrets: Option<Arc<dyn Secrets>>,
    chance: &Arc<dyn Chance>,
) -> anyhow::Result<Sharing> {
    let share = &settings.share;
    let artifacts: Arc<dyn Artifacts> = match InBucket::below(objects.clone(), &share.artifacts) {
        Some(bucket) => Arc::new(bucket),
        None if share.artifacts.is_empty() => {
            let database = Path::new(&settings.embedded.database);
            let folder = database.parent().unwrap_or_else(|| Path::new("")).join("share");
            Arc::new(embedded::reports::InFolder::new(&folder))
        }
        None => Arc::new(embedded::reports::InFolder::new(Path::new(&share.artifacts))),
    };
    let Chosen { inventory, metadata, copies } = inventories::chosen(settings, objects, secrets, chance)?;
    let jobs =
        (!share.auto_jobs.is_empty()).then(|| JobsFile::new(objects.clone(), Place::of(&share.auto_jobs)));
    let jobs = jobs.map(|jobs| Arc::new(jobs) as _);
    Ok(Sharing { inventory, metadata, copies, artifacts, jobs, notices: None })
}

/// Has people asked, where that is wanted.
fn people(settings: &Settings, ports: &mut Ports) -> anyhow::Result<()> {
    let (secrets, clock) = (ports.secrets.clone(), ports.clock.clone());
    let slack = Slack::new(&settings.share, secrets, clock).map_err(|why| Misconfigured(why.into()))?;
    if let (Some(sharing), Some(slack)) = (&mut ports.sharing, slack) {
        sharing.notices = Some(Arc::new(slack));
    }
    Ok(())
}

/// What is the same wherever the records are.
pub(super) struct Around {
    pub(super) platform: Arc<Client>,
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) transfers: Arc<Streams>,
    pub(super) reports: Option<Arc<dyn Reports>>,
    pub(super) sharing: Option<Sharing>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) chance: Arc<dyn Chance>,
}

/// The ports of the embedded mode, and its bus.
async fn on_one_machine(
    database: embedded::database::Database,
    outcomes: embedded::outcomes::Outcomes,
    around: Around,
) -> anyhow::Result<(Ports, embedded::bus::LocalBus)> {
    let Around { platform, objects, transfers, reports, sharing, clock, chance } = around;
    // A short poll costs nothing here, and a stop need not wait for a long one.
    let long_poll = std::time::Duration::from_secs(1);
    let options = embedded::queue::Options { long_poll, ..embedded::queue::Options::default() };
    let queue = embedded::queue::SqliteQueue::open(database.clone(), "requests", options, chance.clone());
    let queue = Arc::new(queue.await.context("the queue cannot be opened")?);
    let bus = || embedded::bus::LocalBus::new(queue.clone(), outcomes.clone(), clock.clone(), chance.clone());
    let callbacks =
        embedded::callbacks::LocalCallbacks::new(database.clone(), outcomes.clone(), clock.clone());
    let ports = Ports {
        store: versions::guarded(embedded::store::SqliteStore::new(database, clock.clone())),
        requests: queue.clone(),
        job_events: None,
        bus: Arc::new(bus()),
        callbacks: Arc::new(callbacks),
        platform,
        objects,
        secrets: Arc::new(embedded::secrets::NoSecrets),
        transfers,
        reports,
        sharing,
        clock: clock.clone(),
        chance: chance.clone(),
    };
    Ok((ports, bus()))
}

fn platform(
    settings: &Settings,
    clients: Option<&Clients>,
    clock: &Arc<dyn Clock>,
    chance: &Arc<dyn Chance>,
    reached: Option<&[Condition; 2]>,
) -> anyhow::Result<Arc<Client>> {
    let of = &settings.icav2;
    let mut transport: Arc<dyn Transport> = Arc::new(ReqwestTransport::new(of.timeout)?);
    let mut tokens: Arc<dyn TokenSource> = match (&of.access_token, &of.api_key, &of.token_secret_id, clients)
    {
        (Some(token), ..) => {
            let token = StaticToken::new(token.expose_secret());
            Arc::new(token.map_err(|error| Misconfigured(error.into()))?)
        }
        (None, Some(key), ..) => {
            Arc::new(ApiKeyToken::new(transport.clone(), clock.clone(), of.base_url.clone(), key.clone()))
        }
        (None, None, Some(secret), Some(clients)) => clients.token_in(secret),
        (None, None, None, _) if keeps_replicas_alone(settings) => Arc::new(NoToken),
        (None, None, Some(_), None) | (None, None, None, _) => {
            let why = "no ICAv2 credentials: set ICAV2_ACCESS_TOKEN or ICAV2_API_KEY, or icav2.token_secret_id with backend = \"aws\"";
            return Err(Misconfigured(why.into()).into());
        }
    };
    if let Some([token, platform]) = reached.cloned() {
        tokens = Arc::new(WatchedTokens { tokens, reached: token });
        transport = Arc::new(WatchedTransport::new(transport, platform));
    }
    let client = icav2::Settings {
        base_url: of.base_url.clone(),
        requests_per_second: of.requests_per_second,
        timeout: of.timeout,
    };
    Ok(Arc::new(Client::new(transport, tokens, clock.clone(), chance.clone(), client)))
}
