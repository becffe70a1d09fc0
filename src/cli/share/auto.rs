//! What the service shares by itself: a run that is shared once more, a package that is let go.

use std::{io::Write, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{api::Api, show};

#[derive(Debug, Args)]
pub(super) struct Auto {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Share a sequencing run, as if it were ready just now
    Run {
        /// The run
        #[arg(long, value_name = "ID")]
        instrument_run_id: String,
        /// Only the job of that name
        #[arg(long, value_name = "NAME")]
        job: Option<String>,
    },
    /// Let a package go that waits for approval
    Approve {
        /// The package
        #[arg(value_name = "ID")]
        package_id: String,
    },
}

impl Auto {
    pub(super) async fn run(self, api: &Api, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let answer = match self.command {
            Command::Run { instrument_run_id, job } => {
                let body = match job {
                    Some(job) => json!({ "instrumentRunId": instrument_run_id, "jobName": job }),
                    None => json!({ "instrumentRunId": instrument_run_id }),
                };
                api.post(&["auto"], &body).await?
            }
            Command::Approve { package_id } => {
                api.post(&["auto", &format!("{package_id}:approve")], &json!({})).await?
            }
        };
        show(out, &answer)?;
        Ok(ExitCode::SUCCESS)
    }
}
