//! The composition root.
#![expect(clippy::unused_async, reason = "signatures first; the bodies follow with the rooms they join")]

use std::{path::PathBuf, process::ExitCode};

use serde_json::Value;

/// The settings cannot be used; the process ends with code 78 (`EX_CONFIG`).
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used")]
pub struct Misconfigured(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What `serve` is told on the command line.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// The settings file, over the defaults and under the environment.
    pub config: Option<PathBuf>,
}

/// Runs the daemon until it is asked to stop.
pub async fn serve(options: ServeOptions) -> anyhow::Result<ExitCode> {
    let _ = options;
    Err(anyhow::anyhow!("`serve` is unfinished"))
}

/// Puts one event on a bus of EventBridge and returns its id.
pub async fn put_event(bus: &str, source: &str, detail_type: &str, detail: &Value) -> anyhow::Result<String> {
    let _ = (bus, source, detail_type, detail);
    Err(anyhow::anyhow!("`--bus` is unfinished"))
}

#[cfg(feature = "simulator")]
pub use simulated::*;

#[cfg(feature = "simulator")]
mod simulated {
    use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, process::ExitCode, time::Duration};

    use serde_json::Value;
    use tokio::sync::watch;
    use url::Url;

    /// What `simulate` is told on the command line.
    #[derive(Debug, Clone)]
    pub struct SimulateOptions {
        /// Where to listen; port 0 for any.
        pub listen: SocketAddr,
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
        /// Calls per second before 429.
        pub rate_limit: Option<NonZeroU32>,
        /// Where job events go: an SQS queue.
        pub events_queue_url: Option<Url>,
        /// Where job events go: an HTTP address.
        pub events_http: Option<Url>,
    }

    /// Runs the ICAv2 stand-in until it is asked to stop.
    pub async fn simulate(options: SimulateOptions) -> anyhow::Result<ExitCode> {
        let _ = options;
        Err(anyhow::anyhow!("`simulate` is unfinished"))
    }

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

    /// Runs simulator, daemon and one request in this process. Ends when the request has, and then
    /// compares both ends byte by byte.
    pub async fn demo(
        options: DemoOptions,
        progress: watch::Sender<DemoProgress>,
    ) -> anyhow::Result<DemoReport> {
        let _ = (options, progress);
        Err(anyhow::anyhow!("`demo` is unfinished"))
    }
}
