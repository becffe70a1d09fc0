//! `canvas`: a replica of Canvas Data 2, and the platform that it is of.

mod ask;
mod direct;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Global;
use crate::app::CanvasOptions;

/// The codes of these commands, for `--help`.
const CODES: &str = "Exit codes: 0 done; 1 a table has failed; 2 wrong usage; 3 refused; 5 a service could not be \
    reached, try again; 78 the configuration cannot be used.";

#[derive(Debug, Args)]
#[command(after_help = CODES)]
pub(super) struct Canvas {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the tables of a namespace, straight from the platform
    List(direct::List),
    /// Save the schema of a table
    Schema(direct::Schema),
    /// Download all rows of a table
    Snapshot(direct::Snapshot),
    /// Download the rows of a table that were changed or deleted
    Incremental(direct::Incremental),
    /// Bring tables of the replica up to date; one that is not there is made
    Sync(ask::Run),
    /// Load tables of the replica anew
    Init(ask::Run),
    /// Drop tables of the replica
    Drop(ask::Run),
    /// Bring tables up to date and compare them with a new snapshot
    Audit(ask::Audit),
    /// Say what a sync would change of the definitions of tables, and which views it touches
    Plan(ask::Plan),
    /// Show the tables of the replica
    Status(show::Status),
}

/// Which replica, and which namespace of it.
#[derive(Debug, Clone, Args)]
struct Namespace {
    /// The instance, as canvas.instance or canvas.more name it; the first where it is not said
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// The namespace; the first of canvas.namespaces where it is not said
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

impl Namespace {
    fn options(&self, global: &Global) -> CanvasOptions {
        CanvasOptions { config: global.config.clone(), instance: self.instance.clone() }
    }
}

/// Which tables.
#[derive(Debug, Clone, Args)]
struct Tables {
    /// The tables, with commas between them; `all` for all that the settings name
    #[arg(long, value_name = "T[,T2]|all", value_delimiter = ',', required = true)]
    table: Vec<String>,
}

impl Tables {
    /// Their names; none: all.
    fn names(&self) -> Vec<String> {
        let names: Vec<String> = self.table.iter().map(|name| name.trim().to_owned()).collect();
        if names.iter().any(|name| name == "all") { Vec::new() } else { names }
    }
}

impl Canvas {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(list) => Box::pin(list.run(global)).await,
            Command::Schema(schema) => Box::pin(schema.run(global)).await,
            Command::Snapshot(snapshot) => Box::pin(snapshot.run(global)).await,
            Command::Incremental(incremental) => Box::pin(incremental.run(global)).await,
            Command::Sync(run) => run.run(global, "sync").await,
            Command::Init(run) => run.run(global, "init").await,
            Command::Drop(run) => run.run(global, "drop").await,
            Command::Audit(audit) => audit.run(global).await,
            Command::Plan(plan) => plan.run(global).await,
            Command::Status(status) => Box::pin(status.run(global)).await,
        }
    }
}
