//! The demo: simulator, daemon and one request in this process.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    signal::ctrl_c,
    sync::{oneshot, watch},
    time::sleep,
};

use super::{daemon, simulate};
use crate::{
    admin::Backend as _,
    config::{self, Settings},
    domain::{file::DataKind, location::Location},
    events::COPY_REQUEST,
    ports::clock::{Clock as _, SystemClock},
    runtime::Supervisor,
    simulator::{self, Entry, Simulator, world::WorldFile},
    telemetry::Metrics,
    telemetry::{Format, Logs, Output},
};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// The simulator answers as quickly as it can; the times of a real installation would only make
/// the demo long.
const QUICK: [(&str, &str); 9] = [
    ("COPY_MANAGER__ADMIN__LISTEN", "127.0.0.1:0"),
    ("COPY_MANAGER__ICAV2__REQUESTS_PER_SECOND", "500"),
    ("COPY_MANAGER__ICAV2__BATCH_WINDOW", "500ms"),
    ("COPY_MANAGER__ICAV2__POLL_INTERVAL", "500ms"),
    ("COPY_MANAGER__ICAV2__SETTLE", "1s"),
    ("COPY_MANAGER__ICAV2__RETRY_BASE", "200ms"),
    ("COPY_MANAGER__ICAV2__MAX_ATTEMPTS", "8"),
    ("COPY_MANAGER__SERVICE__TICK", "1s"),
    ("ICAV2_ACCESS_TOKEN", "demo"),
];

/// What the demo runs on.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// The simulated ICAv2, as a world file has it.
    pub world: Value,
    /// What is copied.
    pub source_uri: String,
    /// Where to.
    pub destination_uri: String,
    /// Makes a history repeatable.
    pub seed: u64,
    /// The share of copy jobs that fail.
    pub job_failure_rate: f64,
}

/// How far the demo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DemoProgress {
    /// Folders finished.
    pub folders_done: u64,
    /// Files at the destination.
    pub files_done: u64,
    /// Bytes at the destination.
    pub bytes_done: u64,
    /// Copy jobs at work.
    pub jobs_running: u64,
    /// Copy jobs that failed; what they left undone is done again.
    pub jobs_failed: u64,
}

/// How the demo ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DemoReport {
    /// `SUCCEEDED`, or the name of the error.
    pub status: String,
    /// Files that the request brought.
    pub files_copied: u64,
    /// Copy jobs made.
    pub jobs: u64,
    /// Of `jobs`: failed and were made again.
    pub jobs_failed: u64,
    /// Files whose MD5 is the same at both ends.
    pub files_verified: u64,
    /// Their bytes.
    pub bytes_verified: u64,
    /// Paths that are missing at the destination, differ, or should not be there.
    pub wrong: Vec<String>,
}

/// A demo that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// How its request ended.
    pub report: DemoReport,
    /// Where its daemon listens.
    pub address: SocketAddr,
}

/// Runs simulator, daemon and one request in this process. Ends when the request has, and then
/// compares both ends byte by byte.
///
/// Where somebody wants it kept, they are told of the daemon, and all goes on until the process is interrupted.
pub async fn demo(
    options: DemoOptions,
    progress: watch::Sender<DemoProgress>,
    keep: Option<oneshot::Sender<Kept>>,
) -> anyhow::Result<DemoReport> {
    let _writing =
        Logs { format: Format::Text, output: Output::Stderr, filter: "error".to_owned() }.install()?;
    let supervisor = Supervisor::new();
    let result = run(&options, &supervisor, progress, keep).await;
    supervisor.shutdown("the demo is over", Duration::from_secs(5)).await;
    result
}

async fn run(
    options: &DemoOptions,
    supervisor: &Supervisor,
    progress: watch::Sender<DemoProgress>,
    keep: Option<oneshot::Sender<Kept>>,
) -> anyhow::Result<DemoReport> {
    let world: WorldFile = serde_json::from_value(options.world.clone()).context("the demo's world")?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on 127.0.0.1")?;
    let address = listener.local_addr()?;
    let simulated = simulator::Settings {
        seed: options.seed,
        job_failure_rate: options.job_failure_rate,
        latency: Duration::from_millis(20),
        delete_delay: Duration::from_millis(200),
        epoch: SystemClock::new().now(),
        public_url: format!("http://{address}"),
        ..simulator::Settings::default()
    };
    let simulator = Simulator::new(simulated, world)?;
    simulate::start(supervisor, listener, &simulator);

    let folder = scratch().await?;
    let settings = settings(&format!("http://{address}/ica/rest"), &folder)?;
    // Another one in this process may count already.
    let metrics = Metrics::install(None).ok().map(Arc::new);
    let daemon = daemon::start(&settings, supervisor, metrics, None).await?;
    supervisor.readiness().ready().await;
    let detail = json!({
        "payload": { "sourceUriList": [options.source_uri], "destinationUri": options.destination_uri },
    });
    let id = daemon.door.accept("copy-manager.demo", COPY_REQUEST, detail).await?.event_id;
    let outcome = loop {
        sleep(LOOK).await;
        let jobs = simulator.jobs();
        let view = daemon.engine.view(&id).await?;
        let there = files_at(&simulator, &options.destination_uri).await?;
        progress.send_replace(DemoProgress {
            folders_done: view.as_ref().map_or(0, |view| view.children.1),
            files_done: there.len() as u64,
            bytes_done: there.iter().filter_map(|entry| entry.size).sum(),
            jobs_running: jobs.running,
            jobs_failed: jobs.failed,
        });
        if supervisor.phases().stop.is_cancelled() {
            bail!("the daemon stopped");
        }
        if let Some(outcome) = view.and_then(|view| view.outcome) {
            break outcome;
        }
    };
    let jobs = simulator.jobs();
    let mut report = DemoReport {
        status: outcome.failure.map_or("SUCCEEDED".to_owned(), |failure| failure.error.to_string()),
        files_copied: outcome.counters.copied,
        jobs: jobs.total,
        jobs_failed: jobs.failed,
        ..DemoReport::default()
    };
    compare(&simulator, options, &mut report).await?;
    // For who is looking at it.
    drop(progress);
    if let Some(keep) = keep
        && keep.send(Kept { report: report.clone(), address: daemon.address }).is_ok()
    {
        tokio::select! {
            () = supervisor.phases().stop.cancelled() => {}
            interrupted = ctrl_c() => interrupted.context("cannot wait for an interrupt")?,
        }
    }
    drop(tokio::fs::remove_dir_all(&folder).await);
    Ok(report)
}

fn settings(base_url: &str, folder: &Path) -> anyhow::Result<Settings> {
    let database = folder.join("demo.sqlite").to_string_lossy().into_owned();
    let mut variables: Vec<(String, String)> =
        QUICK.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    variables.push(("ICAV2_BASE_URL".to_owned(), base_url.to_owned()));
    variables.push(("COPY_MANAGER__EMBEDDED__DATABASE".to_owned(), database));
    config::load(None, variables).map_err(|problems| anyhow::anyhow!("{problems}"))
}

/// A folder of this process's own for the demo's records.
async fn scratch() -> anyhow::Result<std::path::PathBuf> {
    let folder = std::env::temp_dir().join(format!("copy-manager-demo.{}", std::process::id()));
    tokio::fs::create_dir_all(&folder).await.with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

async fn tree(simulator: &Arc<Simulator>, uri: &str) -> anyhow::Result<(String, Vec<Entry>)> {
    let Ok(Location::Icav2 { project, path }) = Location::parse(uri) else {
        bail!("`{uri}` is not in ICAv2")
    };
    let entries = simulator.tree(&project, path.as_str()).await?;
    Ok((path.to_string(), entries))
}

async fn files_at(simulator: &Arc<Simulator>, uri: &str) -> anyhow::Result<Vec<Entry>> {
    let (_, entries) = tree(simulator, uri).await?;
    let there = |entry: &Entry| {
        entry.kind == DataKind::File && entry.status == crate::domain::file::DataStatus::Available
    };
    Ok(entries.into_iter().filter(there).collect())
}

/// Compares the copied folder with its source: the same paths, and the same MD5 of every file.
async fn compare(
    simulator: &Arc<Simulator>,
    options: &DemoOptions,
    report: &mut DemoReport,
) -> anyhow::Result<()> {
    let (source, sent) = tree(simulator, &options.source_uri).await?;
    let (destination, arrived) = tree(simulator, &options.destination_uri).await?;
    // The folder itself is copied: its name stands at the destination.
    let parent = source.trim_end_matches('/').rsplit_once('/').map_or("/", |(parent, _)| parent);
    let parent = format!("{}/", parent.trim_end_matches('/'));
    let mut left: std::collections::BTreeMap<String, Entry> = arrived
        .into_iter()
        .filter_map(|entry| Some((entry.path.strip_prefix(&destination)?.to_owned(), entry)))
        .collect();
    left.remove(source.strip_prefix(&parent).unwrap_or_default());
    for entry in sent {
        let inside = entry.path.strip_prefix(&parent).unwrap_or_default().to_owned();
        match left.remove(&inside) {
            Some(copy) if entry.kind == DataKind::Folder && copy.kind == DataKind::Folder => {}
            Some(copy) if (copy.kind, copy.size, &copy.md5) == (entry.kind, entry.size, &entry.md5) => {
                report.files_verified += 1;
                report.bytes_verified += entry.size.unwrap_or(0);
            }
            _ => report.wrong.push(inside),
        }
    }
    report.wrong.extend(left.into_keys());
    Ok(())
}
