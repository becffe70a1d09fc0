//! `serve`: the daemon.

use std::process::ExitCode;

use super::Global;
use crate::app::{self, ServeOptions};

pub(super) async fn run(global: Global) -> anyhow::Result<ExitCode> {
    app::serve(ServeOptions { config: global.config }).await
}
