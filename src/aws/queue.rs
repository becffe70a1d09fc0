//! A queue in SQS, by long polls.
//!
//! The first one, and the first after an error, does not wait for messages: whether the queue can be
//! reached is known at once.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        MessageSystemAttributeName, QueueAttributeName,
    },
};

use super::{clients::LONG_POLL, error::classify};
use crate::{
    ports::{
        Class, Error, Result,
        queue::{Depth, Message, Queue},
    },
    signals,
};

/// How many messages a batch has.
const BATCH: usize = 10;

/// A queue in SQS.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    max_receives: Option<u32>,
    is_reached: AtomicBool,
}

impl SqsQueue {
    /// The queue of that URL, whose redrive policy allows so many receives.
    pub fn new(client: Client, url: impl Into<String>, max_receives: Option<u32>) -> Self {
        Self { client, url: url.into(), max_receives, is_reached: AtomicBool::new(false) }
    }

    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(&self.url)
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn receive(&self) -> Result<Vec<Message>> {
        let wait = if self.is_reached.load(Ordering::Relaxed) { LONG_POLL.as_secs() } else { 0 };
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .wait_time_seconds(i32::try_from(wait).unwrap_or(i32::MAX))
            .max_number_of_messages(i32::try_from(BATCH).unwrap_or(i32::MAX))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| classify("ReceiveMessage", error));
        self.is_reached.store(answer.is_ok(), Ordering::Relaxed);
        let answer = answer?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(message).collect())
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>> {
        let mut kept = Vec::new();
        for batch in receipts.chunks(BATCH) {
            let entries = entries(batch, |id, receipt| {
                DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt).build()
            })?;
            let answer = self
                .client
                .delete_message_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send()
                .await
                .map_err(|error| classify("DeleteMessageBatch", error))?;
            if let Some(first) = answer.failed.first() {
                signals::queue::not_deleted(self.name(), first.code(), answer.failed.len());
            }
            kept.extend(answer.failed.iter().filter_map(|entry| receipt_of(batch, entry)));
        }
        Ok(kept)
    }

    async fn release(&self, receipts: &[String]) -> Result<()> {
        for batch in receipts.chunks(BATCH) {
            let entries = entries(batch, |id, receipt| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(id)
                    .receipt_handle(receipt)
                    .visibility_timeout(0)
                    .build()
            })?;
            let answer = self
                .client
                .change_message_visibility_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send()
                .await
                .map_err(|error| classify("ChangeMessageVisibilityBatch", error))?;
            if let Some(first) = answer.failed.first() {
                signals::queue::not_released(self.name(), first.code(), answer.failed.len());
            }
        }
        Ok(())
    }

    async fn depth(&self) -> Result<Depth> {
        let numbers = [WAITING, IN_FLIGHT, QueueAttributeName::RedrivePolicy];
        let found = self.attributes(&self.url, &numbers).await?;
        let dead_letters = match found.get(&QueueAttributeName::RedrivePolicy) {
            Some(policy) => self.dead_letters(policy).await?,
            None => None,
        };
        Ok(Depth { waiting: number(&found, &WAITING)?, in_flight: number(&found, &IN_FLIGHT)?, dead_letters })
    }

    fn max_receives(&self) -> Option<u32> {
        self.max_receives
    }
}

/// How many messages can be received.
const WAITING: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessages;
/// How many have been received and neither deleted nor shown again.
const IN_FLIGHT: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;

type Attributes = HashMap<QueueAttributeName, String>;

impl SqsQueue {
    async fn attributes(&self, url: &str, names: &[QueueAttributeName]) -> Result<Attributes> {
        let ask = self.client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
        let answer = ask.send().await.map_err(|error| classify("GetQueueAttributes", error))?;
        Ok(answer.attributes.unwrap_or_default())
    }

    /// How many messages are where a redrive policy sends them; those that somebody looks at are among them.
    /// `None` where we may not ask, or there is no such queue.
    async fn dead_letters(&self, policy: &str) -> Result<Option<u64>> {
        let policy: serde_json::Value = serde_json::from_str(policy).unwrap_or_default();
        let arn = policy.get("deadLetterTargetArn").and_then(serde_json::Value::as_str);
        // It is always of the same account and region, so that only its name differs.
        let name = arn.and_then(|arn| arn.rsplit(':').next());
        let (Some(name), Some((place, _))) = (name, self.url.rsplit_once('/')) else { return Ok(None) };
        match self.attributes(&format!("{place}/{name}"), &[WAITING, IN_FLIGHT]).await {
            Ok(found) => Ok(Some(number(&found, &WAITING)? + number(&found, &IN_FLIGHT)?)),
            Err(error) if matches!(error.class, Class::Forbidden | Class::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn number(found: &Attributes, name: &QueueAttributeName) -> Result<u64> {
    let number = found.get(name).and_then(|number| number.parse().ok());
    number.ok_or_else(|| Error::new(Class::Invalid, "GetQueueAttributes", format!("no number {name}")))
}

fn message(message: aws_sdk_sqs::types::Message) -> Option<Message> {
    let count = message
        .attributes
        .as_ref()
        .and_then(|attributes| attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    Some(Message {
        receives: count.and_then(|count| count.parse().ok()).unwrap_or(1),
        id: message.message_id?,
        receipt: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
    })
}

/// Entries whose ids are the positions of their receipts.
fn entries<T, E>(receipts: &[String], build: impl Fn(String, &str) -> Result<T, E>) -> Result<Vec<T>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let entry = |(position, receipt): (usize, &String)| build(position.to_string(), receipt);
    receipts.iter().enumerate().map(entry).collect::<Result<_, E>>().map_err(|error| {
        Error::new(Class::Invalid, "batch of receipts", "an entry lacks what it needs").caused_by(error)
    })
}

fn receipt_of(batch: &[String], failed: &BatchResultErrorEntry) -> Option<String> {
    batch.get(failed.id().parse::<usize>().ok()?).cloned()
}
