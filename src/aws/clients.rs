//! The SDK's clients, made once per process from the standard environment: region, credentials, and
//! endpoints by `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, SdkConfig, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::TimeoutConfig,
};

/// How long an SQS receive waits for messages.
pub(super) const LONG_POLL: Duration = Duration::from_secs(20);

pub(super) const CONNECT: Duration = Duration::from_secs(3);
const ATTEMPT: Duration = Duration::from_secs(5);
const OPERATION: Duration = Duration::from_secs(15);

/// One client per service.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Queues.
    pub sqs: aws_sdk_sqs::Client,
    /// The table.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Buses.
    pub eventbridge: aws_sdk_eventbridge::Client,
    /// Topics.
    pub sns: aws_sdk_sns::Client,
    /// Task tokens.
    pub sfn: aws_sdk_sfn::Client,
    /// Secrets, the ICAv2 token among them.
    pub secrets: aws_sdk_secretsmanager::Client,
    /// Parameters.
    pub ssm: aws_sdk_ssm::Client,
}

impl Clients {
    /// Reads the environment and makes the clients. Nothing is called yet, except where credentials
    /// need it.
    pub async fn load() -> Self {
        Self::from_config(&configured(aws_config::defaults(BehaviorVersion::latest())).load().await)
    }

    /// Clients of a configuration, for tests against an emulator.
    #[must_use]
    pub fn from_config(config: &SdkConfig) -> Self {
        Self {
            sqs: aws_sdk_sqs::Client::from_conf(
                aws_sdk_sqs::config::Builder::from(config).timeout_config(long_polls()).build(),
            ),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            eventbridge: aws_sdk_eventbridge::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
            sfn: aws_sdk_sfn::Client::new(config),
            secrets: aws_sdk_secretsmanager::Client::new(config),
            ssm: aws_sdk_ssm::Client::new(config),
        }
    }
}

/// What is the same for all clients: three attempts, seconds in total, and no stalled-stream
/// protection, which takes a long poll for a stalled stream.
pub fn configured(loader: aws_config::ConfigLoader) -> aws_config::ConfigLoader {
    loader
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(3)
                .with_initial_backoff(Duration::from_millis(200))
                .with_max_backoff(Duration::from_secs(2)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(ATTEMPT)
                .operation_timeout(OPERATION)
                .build(),
        )
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

fn long_polls() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(LONG_POLL + ATTEMPT)
        .operation_timeout(LONG_POLL + OPERATION)
        .build()
}
