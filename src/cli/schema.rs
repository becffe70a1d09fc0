//! `schema`: the wire formats, as JSON Schema.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{Global, output};
use crate::events::schemas::{names, schema};

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Which one
    name: Option<String>,
}

impl Schema {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Some(name) = self.name else {
            let names: Vec<_> = names().collect();
            output::data(if global.json { json!(names).to_string() } else { names.join("\n") })?;
            return Ok(ExitCode::SUCCESS);
        };
        let schema = schema(&name).with_context(|| {
            format!("there is no schema `{name}`; there are {}", names().collect::<Vec<_>>().join(", "))
        })?;
        output::data(if global.json { schema.to_string() } else { format!("{schema:#}") })?;
        Ok(ExitCode::SUCCESS)
    }
}
