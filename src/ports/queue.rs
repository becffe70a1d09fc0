//! Queues that feed us: copy requests (with child events), and ICAv2 job events.
//!
//! # Contract
//! At least once, in no order. A message that is neither deleted nor released comes back after its
//! visibility timeout, and goes to the dead letters after the queue's own number of receives.

use async_trait::async_trait;

use super::error::Result;

/// One received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The queue's id of the message; the same when it is received again.
    pub id: String,
    /// What deletes this receipt of it.
    pub receipt: String,
    /// What it says.
    pub body: String,
    /// How often it has been received, this time included.
    pub receives: u32,
}

/// How full a queue is; an estimate where the queue is spread over many machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that could be received now.
    pub waiting: u64,
    /// Messages that somebody has received and not finished yet.
    pub in_flight: u64,
    /// Messages that nobody could finish; `None` where there is no place for them, or we may not look into it.
    pub dead_letters: Option<u64>,
}

/// A queue.
#[async_trait]
pub trait Queue: Send + Sync + std::fmt::Debug {
    /// Waits for messages (SQS: up to 20 s) and returns at most ten; empty when none came.
    async fn receive(&self) -> Result<Vec<Message>>;

    /// Deletes messages by receipt. Returns the receipts that could not be deleted: they come back.
    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>>;

    /// Makes messages visible again at once, for another instance.
    async fn release(&self, receipts: &[String]) -> Result<()>;

    /// How full it is.
    async fn depth(&self) -> Result<Depth>;

    /// After how many receives a message goes to the dead letters; `None`: never.
    fn max_receives(&self) -> Option<u32>;
}
