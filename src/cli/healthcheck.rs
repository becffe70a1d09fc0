//! `healthcheck`: for container platforms, whose images have no curl.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{Global, client::ServerArgs, exit, output};
use crate::admin::words::text;

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 it is; 1 it is not, or no daemon answers; 2 wrong usage.")]
pub(super) struct Healthcheck {
    /// Ask only whether it serves at all, not whether all that it needs can be reached
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Healthcheck {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let server = self.server.without_token().connect().await?;
        let asked = if self.live {
            server.alive().await.map(|alive| (!alive).then_some(Value::Null))
        } else {
            server.not_ready().await
        };
        // A container runtime knows 0 and 1, and nothing of why.
        let (ready, lacking) = match asked {
            Ok(None) => (true, Value::Null),
            Ok(Some(lacking)) => (false, lacking),
            Err(error) => {
                exit::tell(&error, global);
                return Ok(ExitCode::FAILURE);
            }
        };
        let name = if self.live { "live" } else { "ready" };
        if global.json {
            let lacking = if lacking.is_null() { json!([]) } else { lacking };
            output::data(json!({ name: ready, "notReady": lacking }))?;
        } else if ready {
            output::data(name)?;
        } else {
            output::data(format_args!("not {name}"))?;
            for lacking in lacking.as_array().into_iter().flatten() {
                output::talk(format_args!("{}: {}", text(lacking, "what"), text(lacking, "why")));
            }
        }
        Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
