//! `demo`: one copy of a simulated run, with everything in this process.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use serde_json::{Value, json};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

#[cfg(feature = "canvas")]
use super::demo_canvas;
use super::{
    Global, demo_share, demo_view,
    demo_world::{DemoWorld, demo_world},
    output,
    simulate::share,
};
use crate::app::{self, DemoOptions, DemoProgress, DemoReport, Kept};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Demo {
    #[command(subcommand)]
    other: Option<Other>,
    /// Another run, and other jobs that fail
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Share of copy jobs that fail, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share)]
    job_failure_rate: f64,
    /// Leave daemon, simulator and page running afterwards, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Other {
    /// Replicate a simulated school into the PostgreSQL of `$DATABASE_URL`
    #[cfg(feature = "canvas")]
    Canvas {
        /// Leave the tables in the database
        #[arg(long)]
        keep: bool,
    },
    /// Package a simulated run, push the package, and check what has arrived
    Share {
        /// Leave everything running afterwards, until Ctrl-C
        #[arg(long)]
        keep: bool,
    },
}

impl Demo {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        match self.other {
            Some(Other::Share { keep }) => return demo_share::run(keep).await,
            #[cfg(feature = "canvas")]
            Some(Other::Canvas { keep }) => return demo_canvas::run(keep).await,
            None => {}
        }
        let world = demo_world(self.seed);
        output::talk(format_args!("copying {} to {}", world.source_uri, world.destination_uri));
        let options = DemoOptions {
            world: world.world.clone(),
            source_uri: world.source_uri.clone(),
            destination_uri: world.destination_uri.clone(),
            seed: self.seed,
            job_failure_rate: self.job_failure_rate,
        };
        let start = Instant::now();
        let (sender, receiver) = watch::channel(DemoProgress::default());
        let (keep, kept) = if self.keep { Some(oneshot::channel()).unzip() } else { (None, None) };
        let shown = async {
            demo_view::show(&world, receiver).await;
            let Kept { report, address } = kept?.await.ok()?;
            let end = Ending { world: world.clone(), report, took: start.elapsed() };
            Some(end.tell(global).and_then(|()| to_try(&world, address)))
        };
        let (report, told) = tokio::join!(app::demo(options, sender, keep), shown);
        let end = Ending { world: world.clone(), report: report?, took: start.elapsed() };
        match told {
            Some(told) => told?,
            None => end.tell(global)?,
        }
        Ok(if end.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Three commands for who has kept the demo, and the page.
fn to_try(world: &DemoWorld, address: SocketAddr) -> anyhow::Result<()> {
    let server = format!("--server http://{address}");
    let DemoWorld { source_uri, destination_uri, .. } = world;
    output::talk(format_args!(
        "\nthe page is at http://{address}/; it all runs until Ctrl-C. To try in another terminal:\n"
    ));
    output::data(format_args!("copy-manager list {server}"))?;
    output::data(format_args!(
        "copy-manager submit copy {source_uri} {destination_uri}again/ --wait {server}"
    ))?;
    output::data(format_args!(
        "copy-manager submit copy {source_uri}missing.bam {destination_uri} --wait {server}"
    ))
}

struct Ending {
    world: DemoWorld,
    report: DemoReport,
    took: Duration,
}

impl Ending {
    fn tell(&self, global: &Global) -> anyhow::Result<()> {
        output::data(if global.json { self.json().to_string() } else { self.summary() })
    }

    /// Whether every byte is there, and nothing else.
    fn is_complete(&self) -> bool {
        let Self { world, report, .. } = self;
        report.status == "SUCCEEDED"
            && report.wrong.is_empty()
            && (report.files_verified, report.bytes_verified) == (world.files, world.bytes)
    }

    fn summary(&self) -> String {
        let Self { world, report, took } = self;
        let mut lines = vec![
            format!(
                "copied    {} files, {}, in {} folders",
                report.files_copied,
                HumanBytes(world.bytes),
                world.folders
            ),
            format!(
                "retried   {} of {} copy jobs failed and were made again",
                report.jobs_failed, report.jobs
            ),
            format!(
                "verified  {} of {} files, {} of {} bytes equal at both ends",
                report.files_verified, world.files, report.bytes_verified, world.bytes
            ),
            format!("took      {:.1} s", took.as_secs_f64()),
            format!("status    {}", report.status),
        ];
        lines.extend(report.wrong.iter().map(|path| format!("wrong     {path}")));
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let Self { world, report, took } = self;
        json!({
            "status": report.status,
            "complete": self.is_complete(),
            "folders": world.folders,
            "files": { "expected": world.files, "copied": report.files_copied, "verified": report.files_verified },
            "bytes": { "expected": world.bytes, "verified": report.bytes_verified },
            "jobs": { "made": report.jobs, "failed": report.jobs_failed },
            "wrong": report.wrong,
            "seconds": took.as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(change: impl FnOnce(&mut DemoReport)) -> Ending {
        let world = demo_world(1);
        let mut report = DemoReport {
            status: "SUCCEEDED".into(),
            files_copied: world.files,
            jobs: 20,
            jobs_failed: 4,
            files_verified: world.files,
            bytes_verified: world.bytes,
            wrong: Vec::new(),
        };
        change(&mut report);
        Ending { world, report, took: Duration::from_millis(12_340) }
    }

    #[test]
    fn only_every_byte_is_good_enough() {
        assert!(ending(|_| {}).is_complete());
        assert!(!ending(|report| report.status = "CopyJobFailed".into()).is_complete());
        assert!(!ending(|report| report.bytes_verified -= 1).is_complete());
        assert!(!ending(|report| report.files_verified -= 1).is_complete());
        assert!(!ending(|report| report.wrong.push("/x".into())).is_complete());
    }

    #[test]
    fn the_summary_says_what_happened() {
        let end = ending(|report| report.wrong.push("/incoming/x".into()));
        let summary = end.summary();
        for part in [
            "copied    200 files",
            "4 of 20 copy jobs",
            "200 of 200 files",
            "12.3 s",
            "wrong     /incoming/x",
        ] {
            assert!(summary.contains(part), "{part}\n{summary}");
        }
        assert_eq!(end.json()["complete"], false);
    }
}
