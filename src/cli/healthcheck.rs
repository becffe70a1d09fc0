//! `healthcheck`: for container platforms, whose images have no curl.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Global, client::ServerArgs, output};

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    #[command(flatten)]
    server: ServerArgs,
}

impl Healthcheck {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let ready = self.server.connect()?.ready().await?;
        if global.json {
            output::data(json!({ "ready": ready }))?;
        } else {
            output::data(if ready { "ready" } else { "not ready" })?;
        }
        Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
