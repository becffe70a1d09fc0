//! The tables of a replica, as the replica itself says.

use std::process::ExitCode;

use clap::Args;
use comfy_table::{CellAlignment, Table, TableStyle};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Namespace;
use crate::{
    app::{self, Alone},
    cli::{Global, output},
    ports::replica::Standing,
};

#[derive(Debug, Args)]
#[command(after_help = super::CODES)]
pub(super) struct Status {
    #[command(flatten)]
    namespace: Namespace,
}

impl Status {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let alone = Box::pin(Alone::new(&self.namespace.options(global))).await?;
        let namespaces = match self.namespace.namespace {
            Some(namespace) => vec![namespace],
            None => alone.settings().namespaces.clone(),
        };
        let mut all = Vec::new();
        for namespace in namespaces {
            all.extend(alone.standing(&namespace).await?);
        }
        let now = app::now();
        if global.json {
            let tables: Vec<Value> = all.iter().map(|standing| as_json(standing, now)).collect();
            output::data(json!(tables))?;
        } else {
            output::data(as_table(&all, now))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// As `dap listdb` shows a table: name, timestamp, staleness, schema, command, records.
fn as_json(of: &Standing, now: Timestamp) -> Value {
    json!({
        "name": of.table.table,
        "namespace": of.table.namespace,
        "timestamp": of.meta.timestamp.to_string(),
        "staleness": age(of, now).as_secs(),
        "schema": of.meta.schema_version,
        "command": "sync",
        "records": of.rows,
        "rejected": of.rejected,
    })
}

fn as_table(all: &[Standing], now: Timestamp) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_header(["NAME", "ROWS", "DATA AS OF", "AGE", "SCHEMA", "REJECTED"]);
    for of in all {
        let rows = of.rows.map_or_else(|| "?".to_owned(), |rows| rows.to_string());
        let minutes = age(of, now).as_mins();
        table.add_row([
            of.table.to_string(),
            rows,
            of.meta.timestamp.to_string(),
            format!("{}h {}m", minutes / 60, minutes % 60),
            of.meta.schema_version.to_string(),
            of.rejected.to_string(),
        ]);
    }
    for column in [1, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn age(of: &Standing, now: Timestamp) -> SignedDuration {
    now.duration_since(of.meta.timestamp).max(SignedDuration::ZERO)
}
