//! `config`: the settings that `serve` would use.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Global, output};
use crate::app::{self, ServeOptions};

#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show each setting, its value and where that was said; secrets are not shown
    Show {
        /// Only those that are not as delivered
        #[arg(long)]
        changed: bool,
    },
    /// Say what is wrong with the settings, all of it; exit code 78 when something is
    Check,
}

impl Config {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<ExitCode> {
        let mut settings = app::settings(&ServeOptions { config: global.config.clone() })?;
        let What::Show { changed } = self.what else {
            output::data(if global.json {
                json!({ "usable": true }).to_string()
            } else {
                "usable".to_owned()
            })?;
            return Ok(ExitCode::SUCCESS);
        };
        settings.retain(|(.., origin)| !changed || origin != "default");
        if global.json {
            let shown = |(key, value, origin)| json!({ "setting": key, "value": value, "origin": origin });
            output::data(settings.into_iter().map(shown).collect::<serde_json::Value>())?;
            return Ok(ExitCode::SUCCESS);
        }
        for (key, value, origin) in settings {
            output::data(format_args!("{key} = {value}  # {origin}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
