//! SNS: topics that are told what has happened.

use async_trait::async_trait;
use aws_sdk_sns::Client;

use super::error::classify;
use crate::ports::{Result, messages::Topics};

/// Characters of a subject that SNS takes.
const LONGEST_SUBJECT: usize = 100;

/// Topics of the account and region of the client.
#[derive(Debug)]
pub struct SnsTopics(Client);

impl SnsTopics {
    /// Those that the client may publish to.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

#[async_trait]
impl Topics for SnsTopics {
    async fn publish(&self, topic: &str, subject: &str, message: &str) -> Result<()> {
        // Subjects are ASCII, of at most a hundred characters (Publish, `Subject`).
        let subject: String = subject.chars().filter(char::is_ascii).take(LONGEST_SUBJECT).collect();
        let publish = self.0.publish().topic_arn(topic).subject(subject).message(message);
        publish.send().await.map(drop).map_err(|error| classify("Publish", error))
    }
}
