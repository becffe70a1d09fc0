//! The ICAv2 stand-in on a socket.

use std::{
    convert::Infallible,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

#[cfg(feature = "canvas")]
use std::path::Path;

use anyhow::Context as _;
use tokio::net::TcpListener;
use url::Url;

#[cfg(feature = "canvas")]
use crate::simulator::dap::{self, DapSettings, DapSimulator, world::DapWorld};
use crate::{
    ports::clock::{Clock as _, SystemClock},
    runtime::{OnError, Supervisor, os},
    signals,
    simulator::{
        self, Settings, Simulator,
        events::{EventSink, HttpSink},
        world::WorldFile,
    },
    telemetry::{Format, Logs, Output},
};

/// Nothing is in hand when a simulator stops.
const DRAIN: Duration = Duration::from_secs(2);

/// What `simulate` is told on the command line.
#[derive(Debug, Clone)]
pub struct SimulateOptions {
    /// Where to listen; port 0 for any.
    pub listen: SocketAddr,
    /// Where to serve the buckets as S3; port 0 for any.
    pub s3_listen: Option<SocketAddr>,
    /// Where to serve a simulated Data Access Platform, and its world file; without one it is a small school.
    #[cfg(feature = "canvas")]
    pub dap: Option<(SocketAddr, Option<PathBuf>)>,
    /// The world file; without one the world is empty.
    pub world: Option<PathBuf>,
    /// Makes a history repeatable.
    pub seed: u64,
    /// The share of copy jobs that fail.
    pub job_failure_rate: f64,
    /// How long a copy job takes.
    pub job_duration: Duration,
    /// How long every answer takes.
    pub latency: Duration,
    /// Bytes a second that one call of S3 copies.
    pub s3_copy_rate: Option<NonZeroU64>,
    /// Calls per second before 429.
    pub rate_limit: Option<NonZeroU32>,
    /// Where job events go: an SQS queue.
    pub events_queue_url: Option<Url>,
    /// Where job events go: an HTTP address.
    pub events_http: Option<Url>,
}

/// Runs the ICAv2 stand-in until it is asked to stop.
pub async fn simulate(options: SimulateOptions) -> anyhow::Result<ExitCode> {
    let _writing = Logs {
        format: Format::Json,
        output: Output::Stderr,
        filter: "warn,s3s=off,copy_manager=info".to_owned(),
    }
    .install()?;
    let asked = os::stop_signals().context("signals cannot be listened to")?;
    let world = match &options.world {
        Some(path) => read_world(path).await?,
        None => WorldFile::default(),
    };
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let address = listener.local_addr()?;
    let settings = Settings {
        seed: options.seed,
        job_failure_rate: options.job_failure_rate,
        job_duration: options.job_duration,
        latency: options.latency,
        s3_copy_rate: options.s3_copy_rate,
        rate_limit: options.rate_limit.map(NonZeroU32::get),
        epoch: SystemClock::new().now(),
        public_url: format!("http://{address}"),
        ..Settings::default()
    };
    let simulator = Simulator::new(settings, world)?;
    if let Some(sink) = sink(&options).await? {
        simulator.set_events(sink);
    }
    let supervisor = Supervisor::new();
    start(&supervisor, listener, &simulator);
    if let Some(listen) = options.s3_listen {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen} for S3"))?;
        tracing::info!(address = %listener.local_addr()?, "simulated S3 is ready");
        start_s3(&supervisor, listener, &simulator);
    }
    #[cfg(feature = "canvas")]
    if let Some((listen, world)) = &options.dap {
        start_dap(&supervisor, *listen, world.as_deref(), options.seed).await?;
    }
    signals::process::ready(address);
    let ended = supervisor.run(asked, DRAIN).await;
    Ok(ExitCode::from(ended.code()))
}

/// Serves a simulator and makes its time pass.
pub(super) fn start(supervisor: &Supervisor, listener: TcpListener, simulator: &Arc<Simulator>) {
    let (time, off) = (simulator.clone(), supervisor.phases().off.clone());
    supervisor.spawn_service("simulated time", OnError::Stop, async move {
        time.run(off).await;
        Ok::<(), Infallible>(())
    });
    let (served, off) = (simulator.clone(), supervisor.phases().off.clone());
    supervisor.spawn_service("simulated ICAv2", OnError::Stop, async move {
        simulator::serve(listener, served, off).await;
        Ok::<(), Infallible>(())
    });
}

fn start_s3(supervisor: &Supervisor, listener: TcpListener, simulator: &Arc<Simulator>) {
    let (served, off) = (simulator.clone(), supervisor.phases().off.clone());
    supervisor.spawn_service("simulated S3", OnError::Stop, async move {
        simulator::serve_s3(listener, served, off).await;
        Ok::<(), Infallible>(())
    });
}

/// Serves a simulated Data Access Platform beside the others.
#[cfg(feature = "canvas")]
async fn start_dap(
    supervisor: &Supervisor,
    listen: SocketAddr,
    world: Option<&Path>,
    seed: u64,
) -> anyhow::Result<()> {
    let epoch = SystemClock::new().now();
    let world = match world {
        Some(path) => {
            let text = tokio::fs::read_to_string(path).await;
            let text = text.with_context(|| format!("the world file {} cannot be read", path.display()))?;
            let told = DapWorld::parse(&text);
            told.with_context(|| format!("the world file {} is not one", path.display()))?
        }
        None => dap::demo::world(epoch),
    };
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen} for DAP"))?;
    let address = listener.local_addr()?;
    let public_url = format!("http://{address}");
    let simulator =
        DapSimulator::new(DapSettings { seed, epoch, public_url, ..DapSettings::default() }, world)?;
    tracing::info!(%address, "simulated DAP is ready");
    let off = supervisor.phases().off.clone();
    supervisor.spawn_service("simulated DAP", OnError::Stop, async move {
        simulator::serve_dap(listener, simulator, off).await;
        Ok::<(), Infallible>(())
    });
    Ok(())
}

async fn read_world(path: &PathBuf) -> anyhow::Result<WorldFile> {
    let text = tokio::fs::read_to_string(path)
        .await
        .with_context(|| format!("the world file {} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("the world file {} is not one", path.display()))
}

async fn sink(options: &SimulateOptions) -> anyhow::Result<Option<Arc<dyn EventSink>>> {
    if let Some(url) = &options.events_queue_url {
        return on_queue(url).await.map(Some);
    }
    let to = |url: &Url| Arc::new(HttpSink::to(url.as_str())) as Arc<dyn EventSink>;
    Ok(options.events_http.as_ref().map(to))
}

#[cfg(feature = "aws")]
async fn on_queue(url: &Url) -> anyhow::Result<Arc<dyn EventSink>> {
    Ok(Arc::new(simulator::events::SqsSink::from_env(url.as_str()).await))
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "a build with AWS reads the environment")]
async fn on_queue(url: &Url) -> anyhow::Result<Arc<dyn EventSink>> {
    let why = format!("the queue {url} needs a build with the feature `aws`");
    Err(super::Misconfigured(why.into()).into())
}
