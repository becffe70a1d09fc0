//! Notifications: where ICAv2 sends events, and which projects' events it sends there.
//!
//! Job events come faster than polls do, and nothing depends on them. For a copy job they are of the project that
//! is copied to.

use serde::{Deserialize, Serialize};

use super::{call::Call, client::Client};
use crate::{domain::ids::ProjectId, ports::Result};

/// The code of the events about jobs.
pub const JOB_EVENTS: &str = "ICA_JOB_001";

/// Where notifications go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Channel {
    /// Its id.
    pub id: String,
    /// Whether it is used.
    pub enabled: bool,
    /// `SQS`, `SNS`, `MAIL` or `HTTP`.
    #[serde(rename = "type")]
    pub of_type: String,
    /// Of a queue its URL.
    pub address: String,
}

/// Which events of a project go to a channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// Whether it is used.
    pub enabled: bool,
    /// The code of the events.
    pub event_code: String,
    /// Where they go.
    pub notification_channel: Channel,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewChannel<'a> {
    enabled: bool,
    #[serde(rename = "type")]
    of_type: &'static str,
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_region: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewSubscription<'a> {
    enabled: bool,
    event_code: &'static str,
    notification_channel_id: &'a str,
}

impl Client {
    /// The channels that we see.
    ///
    /// # Errors
    ///
    /// As of any call.
    pub async fn channels(&self) -> Result<Vec<Channel>> {
        let call = Call::read("GET /api/notificationChannels", &[]);
        Ok(self.call::<Items<Channel>>(&call).await?.items)
    }

    /// Makes a channel to a queue.
    ///
    /// # Errors
    ///
    /// As of any call; it may have been made all the same where that is said.
    pub async fn make_channel(&self, queue_url: &str, region: Option<&str>) -> Result<Channel> {
        let channel = NewChannel { enabled: true, of_type: "SQS", address: queue_url, aws_region: region };
        let call = Call::effect("POST /api/notificationChannels", &[]).json(&channel)?;
        self.call(&call).await
    }

    /// What of a project's events goes where.
    ///
    /// # Errors
    ///
    /// As of any call.
    pub async fn subscriptions(&self, project: &ProjectId) -> Result<Vec<Subscription>> {
        let call = Call::read("GET /api/projects/{projectId}/notificationSubscriptions", &[project.as_str()]);
        Ok(self.call::<Items<Subscription>>(&call).await?.items)
    }

    /// Has the job events of a project go to a channel.
    ///
    /// # Errors
    ///
    /// As of any call; it may have been made all the same where that is said.
    pub async fn subscribe(&self, project: &ProjectId, channel: &str) -> Result<Subscription> {
        let subscription =
            NewSubscription { enabled: true, event_code: JOB_EVENTS, notification_channel_id: channel };
        let call =
            Call::effect("POST /api/projects/{projectId}/notificationSubscriptions", &[project.as_str()]);
        self.call(&call.json(&subscription)?).await
    }

    /// How many projects we see, at least: those of the first page.
    ///
    /// # Errors
    ///
    /// As of any call.
    pub async fn count_projects(&self) -> Result<usize> {
        let call = Call::read("GET /api/projects", &[]).with("pageSize", "1000");
        Ok(self.call::<Items<serde::de::IgnoredAny>>(&call).await?.items.len())
    }
}
