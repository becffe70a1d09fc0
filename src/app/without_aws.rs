//! What stands for the adapters on AWS in a build without the feature `aws`: nothing can be made of it.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{Misconfigured, adapters::Around};
use crate::{
    config::Settings,
    embedded,
    ports::{
        Ports, Result, objects::ObjectStore, parameters::Parameters, secrets::Secrets, tokens::TokenSource,
    },
    runtime::Readiness,
};

/// There are none.
#[derive(Debug)]
pub(super) enum Clients {}

/// There is none.
#[derive(Debug)]
pub(super) enum CallersBus {}

/// There is no S3, and it says so.
pub(super) fn objects(_settings: &Settings) -> Arc<dyn ObjectStore> {
    Arc::new(embedded::objects::NoObjects)
}

fn lacking() -> anyhow::Error {
    Misconfigured("AWS needs a build with the feature `aws`".into()).into()
}

/// Says what is missing.
#[expect(clippy::unused_async, reason = "a build with AWS calls EventBridge")]
pub(super) async fn put_event(_: &str, _: &str, _: &str, _: &Json) -> anyhow::Result<String> {
    Err(lacking())
}

impl Clients {
    /// Says what is missing.
    #[expect(clippy::unused_async, reason = "a build with AWS reads the environment")]
    pub(super) async fn load() -> anyhow::Result<Self> {
        Err(lacking())
    }

    pub(super) fn callers(&self, _bus: &str) -> CallersBus {
        match *self {}
    }

    pub(super) fn token_in(&self, _secret: &str) -> Arc<dyn TokenSource> {
        match *self {}
    }

    pub(super) fn secrets(&self) -> Arc<dyn Secrets> {
        match *self {}
    }

    #[cfg(feature = "canvas")]
    pub(super) fn topics(&self) -> Arc<dyn crate::ports::messages::Topics> {
        match *self {}
    }

    pub(super) fn parameters(&self) -> Arc<dyn Parameters> {
        match *self {}
    }

    pub(super) fn ports(&self, _: &Settings, _: &Readiness, _: Around) -> anyhow::Result<Ports> {
        match *self {}
    }
}

impl CallersBus {
    #[expect(clippy::unused_async, reason = "a build with AWS calls EventBridge")]
    pub(super) async fn put(&self, _source: &str, _detail_type: &str, _detail: &Json) -> Result<String> {
        match *self {}
    }
}
