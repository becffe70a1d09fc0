//! The buses of the embedded mode: internal events become messages on the requests queue, as an
//! EventBridge rule would make them; external ones go to the receiver of outcomes.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::{Value as Json, json};

use super::{outcomes::Outcomes, queue::SqliteQueue};
use crate::{
    ports::{
        Class, Error, Result,
        bus::{Bus, Event, EventBus},
        chance::Chance,
        clock::Clock,
    },
    signals,
};

/// Where our own events say they come from.
const SOURCE: &str = "copy-manager";
/// How large an event may be (EventBridge).
const MAX_BYTES: usize = 256 * 1024;

/// Both buses.
#[derive(Debug)]
pub struct LocalBus {
    requests: Arc<SqliteQueue>,
    outcomes: Outcomes,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl LocalBus {
    /// Buses that end in that queue and at that webhook.
    pub fn new(
        requests: Arc<SqliteQueue>,
        outcomes: Outcomes,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Self {
        Self { requests, outcomes, clock, chance }
    }

    /// Takes a caller's event as EventBridge would, and says its id. It is durable when this
    /// returns.
    pub async fn accept(&self, source: &str, detail_type: &str, detail: &Json) -> Result<String> {
        let id = self.chance.uuid().to_string();
        self.accept_as(&id, source, detail_type, detail).await.map(|()| id)
    }

    /// The same for an event that has an id.
    pub async fn accept_as(&self, id: &str, source: &str, detail_type: &str, detail: &Json) -> Result<()> {
        self.requests.push(self.envelope(id, source, detail_type, detail).to_string()).await.map(drop)
    }

    async fn publish_one(&self, event: &Event) -> Result<()> {
        if event.detail.len() > MAX_BYTES {
            return Err(Error::new(Class::Invalid, "publish event", "event larger than 256 KB"));
        }
        let detail: Json = serde_json::from_str(&event.detail).map_err(|error| {
            Error::new(Class::Invalid, "publish event", "detail is not JSON").caused_by(error)
        })?;
        match event.bus {
            Bus::Internal => self.accept(SOURCE, event.detail_type, &detail).await.map(drop),
            Bus::External => {
                let id = self.chance.uuid().to_string();
                let source = event.source.as_deref().unwrap_or(SOURCE);
                self.outcomes.post(&self.envelope(&id, source, event.detail_type, &detail)).await?;
                signals::queue::event_published(event.detail_type, &event.detail);
                Ok(())
            }
        }
    }

    fn envelope(&self, id: &str, source: &str, detail_type: &str, detail: &Json) -> Json {
        json!({
            "version": "0",
            "id": id,
            "detail-type": detail_type,
            "source": source,
            "account": "000000000000",
            "time": self.clock.now(),
            "region": "local",
            "resources": [],
            "detail": detail,
        })
    }
}

#[async_trait]
impl EventBus for LocalBus {
    async fn publish(&self, events: &[Event]) -> Result<Vec<(usize, Error)>> {
        // Side by side, so that they share a commit.
        let published = join_all(events.iter().map(|event| self.publish_one(event))).await;
        let results = published.into_iter().enumerate();
        Ok(results.filter_map(|(position, result)| Some((position, result.err()?))).collect())
    }
}
