//! What the platform tells about jobs, and to whom.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{jobs::Job, tree::Project, wire};
use crate::domain::job::JobStatus;

/// Why an event did not get through.
#[derive(Debug, thiserror::Error)]
#[error("an event was not taken by {sink}")]
pub struct SinkError {
    /// Who did not take it.
    pub sink: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Takes the platform's events, each a bare envelope.
#[async_trait]
pub trait EventSink: Send + Sync + std::fmt::Debug {
    /// Takes one. A failure loses it, as it does on the real platform sooner or later.
    async fn send(&self, envelope: Value) -> Result<(), SinkError>;
}

/// Posts events to an address.
#[derive(Debug, Clone)]
pub struct HttpSink {
    client: reqwest::Client,
    url: String,
}

impl HttpSink {
    /// To that address, with a client of its own.
    pub fn to(url: impl Into<String>) -> Self {
        Self::new(reqwest::Client::new(), url)
    }

    /// To that address.
    pub fn new(client: reqwest::Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }
}

#[async_trait]
impl EventSink for HttpSink {
    async fn send(&self, envelope: Value) -> Result<(), SinkError> {
        let answer = self.client.post(&self.url).json(&envelope).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        answer.map(drop).map_err(|source| SinkError { sink: self.url.clone(), source: source.into() })
    }
}

/// Sends events to an SQS queue.
#[cfg(feature = "aws")]
#[derive(Debug, Clone)]
pub struct SqsSink {
    client: aws_sdk_sqs::Client,
    queue_url: String,
}

#[cfg(feature = "aws")]
impl SqsSink {
    /// To that queue, with the credentials, region and endpoint of the environment.
    pub async fn from_env(queue_url: impl Into<String>) -> Self {
        let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
        Self { client: aws_sdk_sqs::Client::new(&config), queue_url: queue_url.into() }
    }
}

#[cfg(feature = "aws")]
#[async_trait]
impl EventSink for SqsSink {
    async fn send(&self, envelope: Value) -> Result<(), SinkError> {
        let message =
            self.client.send_message().queue_url(&self.queue_url).message_body(envelope.to_string());
        let sent = message.send().await;
        sent.map(drop).map_err(|source| SinkError { sink: self.queue_url.clone(), source: source.into() })
    }
}

/// Hands events to a channel.
#[derive(Debug, Clone)]
pub struct ChannelSink(pub tokio::sync::mpsc::UnboundedSender<Value>);

#[async_trait]
impl EventSink for ChannelSink {
    async fn send(&self, envelope: Value) -> Result<(), SinkError> {
        self.0
            .send(envelope)
            .map_err(|source| SinkError { sink: "the channel".to_owned(), source: source.into() })
    }
}

/// The event of a job that has just changed from `before`.
pub(super) fn envelope(
    correlation: &str,
    now: Timestamp,
    project: &Project,
    job: &Job,
    before: Option<JobStatus>,
) -> Value {
    let (subject_type, subject) = &job.subject;
    let mut payload = json!({
        "id": job.id,
        "status": job.status,
        "subjectType": subject_type,
        "subjectId": subject,
        "timeCreated": wire::time(job.created),
        "owner": {"id": wire::USER_ID},
        "project": {"id": project.id, "name": project.name},
    });
    for (name, time) in [("timeStarted", job.started), ("timeFinished", job.finished)] {
        if let Some(time) = time {
            wire::put(&mut payload, name, wire::time(time));
        }
    }
    if let Some(reason) = &job.reason {
        wire::put(&mut payload, "additionalStatusInformation", reason.clone());
    }
    json!({
        "correlationId": correlation,
        "timestamp": format!("{now:.3}"),
        "eventCode": "ICA_JOB_001",
        "eventParameters": {"jobId": job.id, "jobPreviousStatus": before, "jobStatus": job.status},
        "description": "Job status changed",
        "projectId": project.id,
        "payloadVersion": "v3",
        "payload": payload,
    })
}
