//! The buses, in EventBridge.
//!
//! A call may take some of its entries and refuse others. Those that were refused for a while are
//! put again by themselves: the others would otherwise be told twice.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};

use tokio::time::sleep;

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
/// The waits before entries that were refused for a while are put again.
const PUT_AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

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
            .source(event.source.as_ref().unwrap_or(&self.source))
            .detail_type(event.detail_type)
            .detail(&event.detail)
            .build()
    }

    /// As EventBridge counts it.
    fn bytes(&self, event: &Event) -> usize {
        event.source.as_ref().unwrap_or(&self.source).len() + event.detail_type.len() + event.detail.len()
    }

    /// Puts a batch, and again what was refused for a while.
    async fn put(&self, mut batch: Vec<(usize, &Event)>, refused: &mut Vec<(usize, Error)>) -> Result<()> {
        let mut waits = PUT_AGAIN.into_iter();
        while !batch.is_empty() {
            let failed = self.put_once(&batch).await?;
            let wait = waits.next();
            let (again, given_up): (Vec<_>, Vec<_>) =
                failed.into_iter().partition(|(_, error)| wait.is_some() && error.is_passing());
            refused.extend(given_up);
            batch.retain(|(position, _)| again.iter().any(|(failed, _)| failed == position));
            if let (Some(wait), false) = (wait, batch.is_empty()) {
                sleep(wait).await;
            }
        }
        Ok(())
    }

    /// The entries that were not taken.
    async fn put_once(&self, batch: &[(usize, &Event)]) -> Result<Vec<(usize, Error)>> {
        let entries = batch.iter().map(|(_, event)| self.entry(event)).collect();
        let answer = self
            .client
            .put_events()
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| classify(OPERATION, error))?;
        let mut results = answer.entries().iter();
        Ok(batch
            .iter()
            .filter_map(|(position, _)| match results.next().map(|result| result.error_code()) {
                Some(None) => None,
                Some(Some(code)) => Some((*position, of_entry(OPERATION, code))),
                None => Some((*position, Error::new(Class::Transient, OPERATION, "nothing is said of it"))),
            })
            .collect())
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
                self.put(std::mem::take(&mut batch), &mut refused).await?;
                batch_bytes = 0;
            }
            batch.push((position, event));
            batch_bytes += bytes;
        }
        self.put(batch, &mut refused).await?;
        refused.sort_by_key(|(position, _)| *position);
        Ok(refused)
    }
}
