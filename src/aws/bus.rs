//! The buses, in EventBridge.

use async_trait::async_trait;
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};

use super::{
    error::{classify, of_entry},
    settings::Settings,
};
use crate::ports::{
    Class, Error, Result,
    bus::{Bus, Event, EventBus},
};

const OPERATION: &str = "PutEvents";
/// How many entries a call takes.
const MAX_ENTRIES: usize = 10;
/// How many bytes a call takes, all entries together.
const MAX_BYTES: usize = 256 * 1024;

/// Both buses.
#[derive(Debug)]
pub struct EventBridgeBus {
    client: Client,
    source: String,
    external: String,
    internal: String,
}

impl EventBridgeBus {
    /// The buses that the settings name. Without an internal one, child events go on the default
    /// bus of the account.
    pub fn new(client: Client, settings: &Settings) -> Self {
        Self {
            client,
            source: settings.event_source.clone(),
            external: settings.external_bus_name.clone(),
            internal: settings.internal_bus_name.clone().unwrap_or_else(|| "default".to_owned()),
        }
    }

    fn entry(&self, event: &Event) -> PutEventsRequestEntry {
        let bus = match event.bus {
            Bus::Internal => &self.internal,
            Bus::External => &self.external,
        };
        PutEventsRequestEntry::builder()
            .event_bus_name(bus)
            .source(&self.source)
            .detail_type(event.detail_type)
            .detail(&event.detail)
            .build()
    }

    /// As EventBridge counts it.
    fn bytes(&self, event: &Event) -> usize {
        self.source.len() + event.detail_type.len() + event.detail.len()
    }

    async fn put(&self, batch: &[(usize, &Event)], refused: &mut Vec<(usize, Error)>) -> Result<()> {
        let entries = batch.iter().map(|(_, event)| self.entry(event)).collect();
        let answer = self
            .client
            .put_events()
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| classify(OPERATION, error))?;
        for ((position, _), result) in batch.iter().zip(answer.entries()) {
            if let Some(code) = result.error_code() {
                refused.push((*position, of_entry(OPERATION, code)));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl EventBus for EventBridgeBus {
    async fn publish(&self, events: &[Event]) -> Result<Vec<(usize, Error)>> {
        let mut refused = Vec::new();
        let mut batch: Vec<(usize, &Event)> = Vec::new();
        let mut batch_bytes = 0;
        for (position, event) in events.iter().enumerate() {
            let bytes = self.bytes(event);
            if bytes > MAX_BYTES {
                refused.push((position, Error::new(Class::Invalid, OPERATION, "event larger than 256 KB")));
                continue;
            }
            if batch.len() == MAX_ENTRIES || batch_bytes + bytes > MAX_BYTES {
                self.put(&batch, &mut refused).await?;
                batch.clear();
                batch_bytes = 0;
            }
            batch.push((position, event));
            batch_bytes += bytes;
        }
        if !batch.is_empty() {
            self.put(&batch, &mut refused).await?;
        }
        Ok(refused)
    }
}
