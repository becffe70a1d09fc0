//! Runs: asked of a daemon, or worked off in this process.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};
use tokio::signal::ctrl_c;
use url::Url;

use super::{Namespace, Tables};
use crate::{
    app::{Alone, CanvasOptions},
    cli::{
        Global,
        client::{ServerArgs, http},
        exit::{self, Ended},
        output,
        token::TokenArgs,
        watch,
    },
    events::REPLICA_REQUEST,
};

/// The source of the events of commands.
const SOURCE: &str = "copy-manager.cli";

#[derive(Debug, Args)]
#[command(after_help = super::CODES)]
pub(super) struct Run {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
#[command(after_help = super::CODES)]
pub(super) struct Audit {
    #[command(flatten)]
    what: What,
    /// Mend what is found
    #[arg(long)]
    heal: bool,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
#[command(after_help = super::CODES)]
pub(super) struct Plan {
    #[command(flatten)]
    namespace: Namespace,
    /// The tables, with commas between them; all that the settings name where it is not said
    #[arg(long, value_name = "T[,T2]|all", value_delimiter = ',')]
    table: Vec<String>,
}

#[derive(Debug, Args)]
struct What {
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    tables: Tables,
}

#[derive(Debug, Args)]
struct How {
    /// Wait for the end, and print what the run has come to
    #[arg(long)]
    wait: bool,
    /// Work in this process, without a daemon
    #[arg(long, conflicts_with = "wait")]
    once: bool,
    /// The daemon's admin interface
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = http)]
    server: Url,
    #[command(flatten)]
    token: TokenArgs,
}

impl What {
    fn payload(&self, mode: &str) -> anyhow::Result<Map<String, Value>> {
        let tables = self.tables.names();
        if mode == "drop" && tables.is_empty() {
            let why = "`drop` takes the names of tables, not `all`";
            return Err(Ended::Refused(why.to_owned()).into());
        }
        let payload = json!({
            "instance": self.namespace.instance, "namespace": self.namespace.namespace, "tables": tables, "mode": mode,
        });
        Ok(payload.as_object().cloned().unwrap_or_default())
    }
}

impl Run {
    pub(super) async fn run(self, global: &Global, mode: &str) -> anyhow::Result<ExitCode> {
        let payload = self.what.payload(mode)?;
        self.how.go(global, &self.what.namespace, payload).await
    }
}

impl Audit {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let mut payload = self.what.payload("audit")?;
        payload.insert("heal".to_owned(), self.heal.into());
        self.how.go(global, &self.what.namespace, payload).await
    }
}

impl Plan {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let payload = json!({
            "instance": self.namespace.instance, "namespace": self.namespace.namespace,
            "tables": Tables { table: self.table }.names(), "mode": "sync", "dryRun": true,
        });
        Box::pin(once(&self.namespace.options(global), &payload)).await
    }
}

impl How {
    async fn go(
        self,
        global: &Global,
        of: &Namespace,
        payload: Map<String, Value>,
    ) -> anyhow::Result<ExitCode> {
        let payload = Value::Object(payload);
        if self.once {
            return Box::pin(once(&of.options(global), &payload)).await;
        }
        let server = ServerArgs::of(self.server, self.token).connect().await?;
        let put = server.put_event(SOURCE, REPLICA_REQUEST, &json!({ "payload": payload })).await?;
        let id = put.request_id.unwrap_or_else(|| put.event_id.clone());
        if !self.wait {
            output::data(if global.json { json!({ "requestId": id }).to_string() } else { id })?;
            return Ok(ExitCode::SUCCESS);
        }
        output::talk(format_args!("waiting for run {id}"));
        let look = server.look(&id);
        let request = tokio::select! {
            ended = watch::wait_for_event(&server, &id, &put.event_id) => ended?,
            Ok(()) = ctrl_c() => return Err(Ended::Interrupted { look }.into()),
        };
        let has_failed = request.get("error").is_some();
        let told = request.get("output").or_else(|| request.get("cause")).cloned().unwrap_or_default();
        tell(&told, has_failed)
    }
}

/// Works off a run in this process.
async fn once(options: &CanvasOptions, payload: &Value) -> anyhow::Result<ExitCode> {
    let alone = Box::pin(Alone::new(options)).await?;
    let order = alone.order(payload).map_err(|error| Ended::Refused(format!("{error:#}")))?;
    let (told, has_failed) = Box::pin(alone.run(&order)).await?;
    tell(&told, has_failed)
}

/// Prints what a run has come to.
fn tell(told: &Value, has_failed: bool) -> anyhow::Result<ExitCode> {
    output::data(format_args!("{told:#}"))?;
    // Whatever `canvas.fails_when` says.
    let failed = told.get("num_failed").and_then(Value::as_u64).unwrap_or(0);
    Ok(if has_failed || failed > 0 { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}
