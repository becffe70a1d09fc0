//! `log-level`: more lines, or fewer, for a while.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use super::{Global, client::ServerArgs, exit, output};
use crate::admin::words::text;
use crate::domain::duration_text;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES)]
pub(super) struct LogLevel {
    /// error, warn, info, debug or trace
    level: String,
    /// For how long; then it is again as the settings say
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = duration_text::parse)]
    lasts: Duration,
    #[command(flatten)]
    server: ServerArgs,
}

impl LogLevel {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let done = self.server.connect().await?.log_level(&self.level, self.lasts).await?;
        if global.json {
            output::data(done)?;
        } else {
            let (level, until) = (text(&done, "level"), text(&done, "until"));
            output::data(format_args!("all instances write from {level} on, until {until}, within 15 s"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
