//! `ui`: the page, on this machine, for a table in DynamoDB.

use std::{net::SocketAddr, process::ExitCode};

use clap::Args;
use secrecy::ExposeSecret as _;
use tokio::signal::ctrl_c;
use tokio_util::sync::CancellationToken;

use super::{Global, output};
use crate::app::{self, Served};

/// Who may use it, for `--help`.
pub(super) const RIGHTS: &str = "Your own AWS credentials are used, and need dynamodb:GetItem, BatchGetItem and Query on the table and its indexes to look; \
    UpdateItem, PutItem and ConditionCheckItem as well to cancel, retry and wake. Nothing of the service is called but its table.";

#[derive(Debug, Args)]
#[command(after_help = RIGHTS)]
pub(super) struct Ui {
    /// The table of the service
    #[arg(long, value_name = "NAME")]
    table: String,
    /// Where to listen, on this machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8088")]
    listen: SocketAddr,
}

impl Ui {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let off = CancellationToken::new();
        let Served { address, token, serving } = app::on_table(&self.table, self.listen, off.clone()).await?;
        let url = format!("http://{address}/");
        let token = token.expose_secret();
        if global.json {
            output::data(serde_json::json!({ "address": address.to_string(), "url": url, "token": token }))?;
        } else {
            output::data(format_args!("{url} shows the table {}, until Ctrl-C", self.table))?;
            output::data(format_args!("token: {token}"))?;
        }
        tokio::select! {
            served = serving => served?,
            interrupted = ctrl_c() => interrupted?,
        }
        off.cancel();
        Ok(ExitCode::SUCCESS)
    }
}
