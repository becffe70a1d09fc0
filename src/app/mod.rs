//! The composition root: settings → adapters → engine → supervisor. The only place that knows all
//! rooms.

mod adapters;
#[cfg(feature = "canvas")]
mod canvas;
mod daemon;
mod delivery;
#[cfg(feature = "simulator")]
mod demo;
mod depths;
mod desk;
mod directory;
mod doctor;
mod door;
mod explain;
mod inventories;
pub mod kinds;
#[cfg(feature = "aws")]
mod on_aws;
#[cfg(not(feature = "aws"))]
#[path = "without_aws.rs"]
mod on_aws;
mod plan;
#[cfg(feature = "canvas")]
mod replicated;
mod shown;
#[cfg(feature = "simulator")]
mod simulate;
mod subscribe;
mod table;
#[cfg(all(test, feature = "simulator"))]
mod toy;
mod verify;
pub mod versions;
mod watched;

use std::{
    io::{IsTerminal as _, stdout},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use serde_json::Value;

#[cfg(all(feature = "canvas", feature = "simulator"))]
pub use canvas::demo_database;
#[cfg(feature = "canvas")]
pub use canvas::{Alone, CanvasOptions, platform as canvas_platform, reached as canvas_failed};
pub use delivery::{Checked, DeliveryOptions, check_delivery};
#[cfg(feature = "simulator")]
pub use demo::{DemoOptions, DemoProgress, DemoReport, Kept, demo};
pub use desk::Desk;
pub use directory::Directory;
pub use doctor::{DoctorOptions, Finding, Health, doctor};
pub use plan::{PlanOptions, plan};
#[cfg(feature = "simulator")]
pub use simulate::{SimulateOptions, simulate};
pub use subscribe::{SubscribeOptions, Subscribed, subscribe};
pub use table::{Served, on_table};
pub use verify::{Verified, VerifyOptions, verify};

use crate::{
    config::{self, Settings},
    ports::clock::{Clock as _, SystemClock},
    runtime::{Supervisor, os},
    signals,
    telemetry::{Format, Logs, Metrics, Output},
};

/// The settings cannot be used; the process ends with code 78 (`EX_CONFIG`).
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used")]
pub struct Misconfigured(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A service that is needed cannot be reached now, or says "later"; it may be tried again.
#[derive(Debug, thiserror::Error)]
#[error("a service could not be reached")]
pub struct Unreachable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Now, for those who only tell how long ago something was.
#[must_use]
pub fn now() -> jiff::Timestamp {
    SystemClock::new().now()
}

/// What `serve` is told on the command line.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// The settings file, over the defaults and under the environment.
    pub config: Option<PathBuf>,
}

/// A setting: its name, its value, and where that was said.
pub type Setting = (String, String, String);

/// Every setting as `serve` would use it, or what is wrong with them.
pub fn settings(options: &ServeOptions) -> anyhow::Result<Vec<Setting>> {
    let shown = config::show(options.config.as_deref(), config::environment())
        .map_err(|problems| Misconfigured(Box::new(problems)))?;
    Ok(shown.into_iter().map(|shown| (shown.key, shown.value, shown.origin.to_string())).collect())
}

/// Runs the daemon until it is asked to stop.
pub async fn serve(options: ServeOptions) -> anyhow::Result<ExitCode> {
    let settings = config::load(options.config.as_deref(), config::environment())
        .map_err(|problems| Misconfigured(Box::new(problems)))?;
    let writing = logs(&settings, Output::Stdout).install()?;
    let namespace = settings.metrics.cloudwatch.then_some(settings.metrics.namespace.as_str());
    let metrics = Arc::new(Metrics::install(namespace)?);
    os::raise_file_limit();
    let supervisor = Supervisor::new();
    let asked = os::stop_signals().context("signals cannot be listened to")?;
    let daemon = daemon::start(&settings, &supervisor, Some(metrics.clone()), Some(writing.levels())).await?;
    if namespace.is_some() {
        let told = daemon::tell_cloudwatch(metrics, writing.verbatim(), supervisor.phases().off.clone());
        supervisor.spawn_service("metrics for CloudWatch", crate::runtime::OnError::Log, told);
    }
    supervisor.spawn_service(
        "lost log lines",
        crate::runtime::OnError::Log,
        daemon::tell_lost_lines(writing.dropped(), supervisor.phases().off.clone()),
    );
    let ready = supervisor.readiness().clone();
    let off = supervisor.phases().off.clone();
    supervisor.spawn_service("ready", crate::runtime::OnError::Log, async move {
        tokio::select! {
            () = ready.ready() => signals::process::ready(daemon.address),
            // Asked to stop before everything that must work did.
            () = off.cancelled() => {}
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let ended = supervisor.run(asked, settings.service.drain_timeout).await;
    Ok(ExitCode::from(ended.code()))
}

/// Puts one event on a bus of EventBridge and returns its id.
pub async fn put_event(bus: &str, source: &str, detail_type: &str, detail: &Value) -> anyhow::Result<String> {
    on_aws::put_event(bus, source, detail_type, detail)
        .await
        .with_context(|| format!("the event was not put on bus `{bus}`"))
}

fn logs(settings: &Settings, output: Output) -> Logs {
    let format = match settings.log.format {
        config::Format::Auto if stdout().is_terminal() => Format::Text,
        config::Format::Auto | config::Format::Json => Format::Json,
        config::Format::Text => Format::Text,
    };
    let level = match settings.log.level {
        config::Level::Error => "error",
        config::Level::Warn => "warn",
        config::Level::Info => "info",
        config::Level::Debug => "debug",
        config::Level::Trace => "trace",
    };
    // Below debug the SDK and the HTTP stack drown what we say ourselves.
    let filter = format!("warn,copy_manager={level}");
    Logs { format, output, filter }
}
