//! Has ICAv2 send the job events of a project to our queue.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{Misconfigured, adapters, doctor::leads_to};
use crate::{config, icav2::notifications::JOB_EVENTS, ports::platform::DataPlatform as _};

/// Which project, and where to.
#[derive(Debug, Clone, Default)]
pub struct SubscribeOptions {
    /// The settings file, over the defaults and under the environment.
    pub config: Option<PathBuf>,
    /// The project that copies go to.
    pub project: String,
    /// The URL of the queue; `aws.ica_events_queue_url` where none is given.
    pub queue: Option<String>,
}

/// What was there, and what was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    /// The channel to the queue.
    pub channel: String,
    /// The subscription of the project.
    pub subscription: String,
    /// Whether each was there before.
    pub was_there: (bool, bool),
}

/// Has the job events of a project go to the queue. What is there is used; doing it again makes nothing twice.
pub async fn subscribe(options: SubscribeOptions) -> anyhow::Result<Subscribed> {
    let settings = config::load(options.config.as_deref(), config::environment())
        .map_err(|problems| Misconfigured(Box::new(problems)))?;
    let queue = options.queue.or_else(|| settings.aws.ica_events_queue_url.clone());
    let queue = queue.context("no queue is known: set aws.ica_events_queue_url, or give --queue")?;
    let client = adapters::client(&settings).await?;
    let project = client.project(&options.project).await?;
    let known =
        client.channels().await?.into_iter().find(|channel| channel.enabled && leads_to(channel, &queue));
    let had_channel = known.is_some();
    let channel = match known {
        Some(channel) => channel,
        None => client.make_channel(&queue, region(&queue)).await.context("the channel was not made")?,
    };
    let known = client.subscriptions(&project.id).await?.into_iter();
    let known = known.filter(|it| it.enabled && it.event_code == JOB_EVENTS);
    let known = known.into_iter().find(|it| it.notification_channel.id == channel.id);
    let had_subscription = known.is_some();
    let subscription = match known {
        Some(subscription) => subscription,
        None => client.subscribe(&project.id, &channel.id).await.context("the subscription was not made")?,
    };
    Ok(Subscribed {
        channel: channel.id,
        subscription: subscription.id,
        was_there: (had_channel, had_subscription),
    })
}

/// The region of a queue of AWS, by its URL.
fn region(queue: &str) -> Option<&str> {
    queue.split_once("://sqs.")?.1.split('.').next().filter(|region| region.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_the_url_of_a_queue() {
        assert_eq!(region("https://sqs.ap-southeast-2.amazonaws.com/1/q"), Some("ap-southeast-2"));
        assert_eq!(region("http://127.0.0.1:4566/1/q"), None);
    }
}
