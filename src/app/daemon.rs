//! The daemon: the engine's loops and the HTTP side, under the supervisor.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use secrecy::SecretString;
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

#[cfg(feature = "canvas")]
use super::replicated;
use super::{
    Misconfigured, adapters,
    depths::{self, Depths},
    desk::Desk,
    door::Door,
    kinds, watched,
};
#[cfg(feature = "https")]
use crate::share::Issuer;
use crate::{
    admin::{self, Admin, guard::Guard, token_file},
    config::Settings,
    domain::share::settings::{Auth, WorkflowNames},
    embedded::sns::{Inbox, OverTheNetwork},
    engine::Engine,
    kinds::replica::Replicas,
    ports::{chance::Dice, platform::DataPlatform},
    runtime::{Condition, OnError, Supervisor},
    share::{self, Callers, Rates, Share},
    signals,
    telemetry::{Dropped, Levels, Metrics, Verbatim},
};

/// Between two collections of what the metrics have summed up.
const UPKEEP: Duration = Duration::from_secs(5);

/// How soon schedules are put again that could not be.
const SCHEDULES_AGAIN: Duration = Duration::from_secs(30);

/// Between two tellings of what CloudWatch is shown.
const FOR_CLOUDWATCH: Duration = Duration::from_mins(1);

/// A running daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    /// Where its HTTP side listens.
    pub(super) address: SocketAddr,
    #[cfg(feature = "simulator")]
    pub(super) engine: Arc<Engine>,
    #[cfg(feature = "simulator")]
    pub(super) door: Arc<Door>,
}

/// Starts everything; it ends with the supervisor.
pub(super) async fn start(
    settings: &Settings,
    supervisor: &Supervisor,
    metrics: Option<Arc<Metrics>>,
    levels: Option<Levels>,
) -> anyhow::Result<Daemon> {
    let token = token(&settings.admin)?;
    let listen = settings.admin.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && token.is_none() {
        signals::process::admin_has_no_token(address);
    }
    let readiness = supervisor.readiness();
    let (ports, entrance, platform_reached) = adapters::build(settings, readiness).await?;
    let phases = supervisor.phases().clone();
    let queues = depths::queues(&ports);
    let shared = share_listener(settings).await?;
    let (store, platform) = (ports.store.clone(), ports.platform.clone());
    #[cfg(feature = "canvas")]
    let replicated = replicated::kept(settings, &ports).await?;
    #[cfg(not(feature = "canvas"))]
    let replicated = Vec::new();
    let work = kinds::work(
        ports.clone(),
        settings.engine(),
        settings.share.clone(),
        replicated,
        phases.stop.clone(),
        phases.cut.clone(),
    );
    let engine = work.engine.clone();
    if let (Some((listener, public_url)), Some(sharing)) = (shared, ports.sharing.clone()) {
        let desk = Desk::new(
            engine.clone(),
            work.packages.clone(),
            &ports,
            sharing,
            settings.share.clone(),
            public_url.clone(),
        );
        let desk = Arc::new(desk);
        let goes_on = desk.clone();
        let off = phases.off.clone();
        supervisor.spawn_service("scripts", OnError::Stop, done(async move { goes_on.go_on(off).await }));
        let share = share(settings, desk, public_url)?;
        let served = share::serve(listener, share, settings.admin.max_connections, phases.off.clone());
        supervisor.spawn_service("share", OnError::Stop, served);
    }

    supervisor.spawn("dispatch", OnError::Stop, done(engine.clone().dispatch()));
    supervisor.spawn("intake", OnError::Stop, done(engine.clone().intake()));
    supervisor.spawn("job events", OnError::Stop, done(work.folders.clone().follow_jobs()));
    supervisor.spawn("timers", OnError::Stop, done(engine.clone().timers()));
    // Heartbeats go on while the work drains, and so does what they are sent on.
    supervisor.spawn_service(
        "heartbeats",
        OnError::Stop,
        done(engine.clone().heartbeats(phases.off.clone())),
    );
    supervisor.spawn_service("progress", OnError::Stop, done(engine.clone().progress(phases.off.clone())));

    supervisor.spawn_service(
        "fleet",
        OnError::Stop,
        done(engine.clone().share_with_fleet(phases.off.clone())),
    );

    let schedules = put_schedules(work.replicas.clone(), engine.clone(), phases.off.clone());
    supervisor.spawn_service("schedules", OnError::Log, schedules);

    let (latch, table) = (readiness.latch("table"), readiness.condition("table"));
    let looks = watched::look_at_table(store, table, latch, levels, phases.off.clone());
    supervisor.spawn_service("looks at the table", OnError::Log, looks);
    look_at_platform(supervisor, platform, platform_reached);

    let depths = Arc::new(Depths::default());
    let looks = depths::look_at_queues(queues, depths.clone(), phases.off.clone());
    supervisor.spawn_service("looks at the queues", OnError::Log, looks);

    let notices = notices(&settings.admin.sns_topics)?;
    let door = Arc::new(Door::new(
        engine.clone(),
        (work.folders, work.replicas),
        entrance,
        notices,
        readiness.clone(),
        depths,
    ));
    let render: Arc<dyn Fn() -> String + Send + Sync> = match metrics {
        Some(metrics) => {
            let (kept, off) = (metrics.clone(), phases.off.clone());
            supervisor.spawn_service("metrics", OnError::Log, keep_up(kept, off));
            Arc::new(move || metrics.render())
        }
        None => Arc::new(String::new),
    };
    let guard = Guard::new(address.ip(), &settings.admin.hosts).with_token(token);
    let admin = Admin { backend: door.clone(), metrics: render, guard };
    let served = admin::serve(listener, admin, settings.admin.max_connections, phases.off);
    supervisor.spawn_service("admin", OnError::Stop, served);
    Ok(Daemon {
        address,
        #[cfg(feature = "simulator")]
        engine,
        #[cfg(feature = "simulator")]
        door,
    })
}

/// Asks the platform whether it can be reached, where there is one.
fn look_at_platform(
    supervisor: &Supervisor,
    platform: Arc<dyn DataPlatform>,
    reached: Option<[Condition; 2]>,
) {
    let Some(reached) = reached else { return signals::process::no_platform() };
    let questions = watched::ask_platform(platform, reached, supervisor.phases().off.clone());
    supervisor.spawn_service("looks at the platform", OnError::Log, questions);
}

/// Puts the schedules of the settings into the table: until that was done, or until `off`.
async fn put_schedules(
    replicas: Arc<Replicas>,
    engine: Arc<Engine>,
    off: CancellationToken,
) -> Result<(), Infallible> {
    while let Err(error) = replicas.put_schedules(&engine).await {
        signals::replica::no_schedule(&error);
        tokio::select! {
            biased;
            () = off.cancelled() => break,
            () = sleep(SCHEDULES_AGAIN) => {}
        }
    }
    Ok(())
}

/// Collects what the metrics have summed up, until `off`.
async fn keep_up(metrics: Arc<Metrics>, off: CancellationToken) -> Result<(), Infallible> {
    loop {
        tokio::select! {
            biased;
            () = off.cancelled() => return Ok(()),
            () = sleep(UPKEEP) => metrics.upkeep(super::now().as_second()),
        }
    }
}

/// What callers have to show, if anything. A file that is to hold it is made where it is missing.
fn token(of: &admin::settings::Settings) -> Result<Option<SecretString>, Misconfigured> {
    let Some(path) = &of.token_file else { return Ok(of.token.clone()) };
    let (token, made) =
        token_file::read_or_make(path, &Dice::from_os()).map_err(|error| Misconfigured(Box::new(error)))?;
    if made {
        signals::process::admin_token_made(path);
    }
    Ok(Some(token))
}

/// The inbox for messages of SNS, if any topic is named.
fn notices(topics: &[String]) -> anyhow::Result<Option<Inbox>> {
    if topics.is_empty() {
        return Ok(None);
    }
    let network = OverTheNetwork::new().context("no HTTP client for SNS")?;
    Ok(Some(Inbox::new(topics.to_vec(), Box::new(network))))
}

/// Writes what alarms need into the log, for CloudWatch, until `off`, and once more then.
pub(super) async fn tell_cloudwatch(
    metrics: Arc<Metrics>,
    mut lines: Verbatim,
    off: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        let is_over = tokio::select! {
            biased;
            () = off.cancelled() => true,
            () = sleep(FOR_CLOUDWATCH) => false,
        };
        for line in metrics.for_cloudwatch(super::now().as_millisecond()) {
            lines.line(&line);
        }
        if is_over {
            return Ok(());
        }
    }
}

/// Where the API of sharing listens, if it does, and how its callers reach it.
async fn share_listener(settings: &Settings) -> anyhow::Result<Option<(TcpListener, Url)>> {
    let Some(listen) = settings.share.listen else { return Ok(None) };
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let here = || Url::parse(&format!("http://{address}"));
    let public_url = settings.share.public_url.clone().map_or_else(here, Ok)?;
    signals::share::listens(address, &public_url);
    Ok(Some((listener, public_url)))
}

/// The API of sharing.
fn share(settings: &Settings, desk: Arc<Desk>, public_url: Url) -> anyhow::Result<Share> {
    let scopes = || settings.share.oidc_scopes.clone().into();
    let callers = match settings.share.auth {
        Auth::Token => Callers::Tokens(settings.share.tokens.clone().into()),
        #[cfg(feature = "https")]
        Auth::Oidc => {
            let share = &settings.share;
            let issuer = Issuer::new(&share.oidc_issuer, &share.oidc_audience);
            Callers::Issued(Arc::new(issuer.context("no HTTP client for share.oidc_issuer")?), scopes())
        }
        #[cfg(not(feature = "https"))]
        Auth::Oidc => anyhow::bail!("share.auth: this build has no feature `https`"),
        Auth::Gateway => Callers::Gateway(scopes()),
        Auth::None => Callers::Anybody,
    };
    Ok(Share {
        backend: desk,
        callers,
        rates: Arc::new(Rates::new(&settings.share)),
        public_url,
        any_workflow: settings.share.workflow_names == WorkflowNames::Any,
        largest_body: settings.service.max_payload,
    })
}

/// Tells, once the log is read again, how many lines were lost.
pub(super) async fn tell_lost_lines(mut dropped: Dropped, off: CancellationToken) -> Result<(), Infallible> {
    loop {
        tokio::select! {
            biased;
            () = off.cancelled() => return Ok(()),
            () = sleep(UPKEEP) => {}
        }
        let lost = dropped.news();
        if lost > 0 {
            signals::process::lines_lost(lost);
        }
    }
}

async fn done(work: impl Future<Output = ()>) -> Result<(), Infallible> {
    work.await;
    Ok(())
}
