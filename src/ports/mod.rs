//! What the engine needs from the world. Each trait's documentation is its contract; one suite
//! (`tests/conformance`) holds every implementation to it.
//!
//! Rules for all of them: no method retries for longer than a few seconds (the engine's next look
//! is the retry), every error carries a [`Class`], and nothing blocks the runtime.

pub(crate) mod blame;
pub mod bus;
pub mod callbacks;
pub mod chance;
pub mod clock;
pub mod error;
pub mod inventory;
pub mod messages;
pub mod notices;
pub mod objects;
pub mod parameters;
pub mod parts;
pub mod platform;
pub mod queue;
pub mod replica;
pub mod reports;
pub mod secrets;
pub mod source;
pub mod store;
pub mod tokens;
pub mod transfers;

pub use error::{Class, Error, Result};

use std::sync::Arc;

/// One set of implementations, as the engine gets it.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Records.
    pub store: Arc<dyn store::Store>,
    /// Copy requests and child events.
    pub requests: Arc<dyn queue::Queue>,
    /// ICAv2 job events; absent when none are routed to us (polling does without).
    pub job_events: Option<Arc<dyn queue::Queue>>,
    /// The internal and the external bus.
    pub bus: Arc<dyn bus::EventBus>,
    /// The callers' task tokens.
    pub callbacks: Arc<dyn callbacks::TaskCallbacks>,
    /// ICAv2.
    pub platform: Arc<dyn platform::DataPlatform>,
    /// S3.
    pub objects: Arc<dyn objects::ObjectStore>,
    /// Secrets that requests name.
    pub secrets: Arc<dyn secrets::Secrets>,
    /// Bytes through this process.
    pub transfers: Arc<dyn transfers::Transfers>,
    /// Where reports on requests are kept, if anywhere.
    pub reports: Option<Arc<dyn reports::Reports>>,
    /// What packages are made of, and where they are kept, if files are shared here.
    pub sharing: Option<Sharing>,
    /// Wall time.
    pub clock: Arc<dyn clock::Clock>,
    /// Jitter and fresh ids.
    pub chance: Arc<dyn chance::Chance>,
}

/// What packages are made of, and where they are kept.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// Files that could be in packages.
    pub inventory: Arc<dyn inventory::Inventory>,
    /// What is known of libraries.
    pub metadata: Arc<dyn inventory::Metadata>,
    /// Who keeps account of the copies that pushes make, if anybody does.
    pub copies: Option<Arc<dyn inventory::Copies>>,
    /// Where what belongs to packages is kept.
    pub artifacts: Arc<dyn reports::Artifacts>,
    /// What is shared by itself, if anything.
    pub jobs: Option<Arc<dyn inventory::AutoJobs>>,
    /// Where people are asked, if anywhere.
    pub notices: Option<Arc<dyn notices::Notices>>,
}
