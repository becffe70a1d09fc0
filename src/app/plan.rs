//! What a copy would do, asked of ICAv2 by this process alone: no daemon, no table.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::{Misconfigured, Unreachable, adapters, kinds};
use crate::{
    config,
    domain::{outcome::Failure, preview::Preview, request::CopyRequest},
    ports::Class,
};

/// Bytes of files that are told; further ones are only counted.
const TOLD: usize = 256 << 20;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// The settings file, over the defaults and under the environment.
    pub config: Option<PathBuf>,
    /// The event source that asks, as far as `policy.event_sources` goes.
    pub event_source: String,
    /// What would be copied.
    pub request: CopyRequest,
}

/// Says what a request would do, with the settings of the daemon. Nothing is changed. A request that
/// would be refused is the inner error.
pub async fn plan(options: PlanOptions) -> anyhow::Result<Result<Preview, Failure>> {
    let settings = config::load(options.config.as_deref(), config::environment())
        .map_err(|problems| Misconfigured(Box::new(problems)))?;
    let ports = adapters::without_memory(&settings).await?;
    let never = CancellationToken::new();
    let work =
        kinds::work(ports, settings.engine(), settings.share.clone(), Vec::new(), never.clone(), never);
    let preview = work.copies.dry_run(&options.event_source, &options.request, TOLD).await;
    let preview = preview.map_err(|error| match error.class {
        Class::Transient | Class::Throttled => anyhow::Error::new(Unreachable(Box::new(error))),
        // The token or the role is one of the settings.
        Class::Unauthorized | Class::Forbidden => anyhow::Error::new(Misconfigured(Box::new(error))),
        _ => anyhow::Error::new(error),
    });
    preview.context("the plan could not be made now")
}
