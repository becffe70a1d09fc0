//! Events of callers, put on a bus for them: what `POST /v1/events` and `submit --bus` do on AWS.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use serde_json::Value as Json;

use super::error::{classify, of_entry};
use crate::ports::{Class, Error, Result};

const OPERATION: &str = "PutEvents";

/// A bus that callers' events go on.
#[derive(Debug, Clone)]
pub struct CallersBus {
    client: Client,
    name: String,
}

impl CallersBus {
    /// The bus of that name.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Puts one event on the bus and says the id that EventBridge gave it.
    pub async fn put(&self, source: &str, detail_type: &str, detail: &Json) -> Result<String> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(source)
            .detail_type(detail_type)
            .detail(detail.to_string())
            .build();
        let answer = self.client.put_events().entries(entry).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, error))?;
        let result = answer.entries().first();
        if let Some(code) = result.and_then(|result| result.error_code()) {
            return Err(of_entry(OPERATION, code));
        }
        let id = result.and_then(|result| result.event_id()).map(str::to_owned);
        id.ok_or_else(|| Error::new(Class::Invalid, OPERATION, "the answer names no event"))
    }
}
