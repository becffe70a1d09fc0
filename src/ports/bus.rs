//! The event buses: the internal one carries child events to the fleet, the external one tells
//! everybody what became of requests.

use async_trait::async_trait;

use super::error::{Error, Result};

/// Which bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// Ours.
    Internal,
    /// Everybody's.
    External,
}

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where to.
    pub bus: Bus,
    /// `source`; none: that of this service (`aws.event_source`).
    pub source: Option<String>,
    /// `detail-type`.
    pub detail_type: &'static str,
    /// `detail`, as JSON text, at most 200 KB.
    pub detail: String,
}

/// The buses.
#[async_trait]
pub trait EventBus: Send + Sync + std::fmt::Debug {
    /// Publishes events, batched as the bus allows (EventBridge: 10 entries, 256 KB). Returns the
    /// events that were refused, by position, with the reason; the others were taken.
    async fn publish(&self, events: &[Event]) -> Result<Vec<(usize, Error)>>;
}
