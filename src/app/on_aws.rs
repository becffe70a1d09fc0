//! The adapters on AWS, as the settings say.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value as Json;

use super::{adapters::Around, versions, watched::WatchedQueue};
pub(super) use crate::aws::external::CallersBus;
use crate::{
    aws,
    config::Settings,
    ports::{
        Ports, objects::ObjectStore, parameters::Parameters, queue::Queue, secrets::Secrets,
        tokens::TokenSource,
    },
    runtime::Readiness,
};

/// The services of AWS that the environment leads to.
#[derive(Debug)]
pub(super) struct Clients(aws::clients::Clients);

/// S3. It asks for nothing before it is used, so a laptop without AWS starts all the same.
pub(super) fn objects(settings: &Settings) -> Arc<dyn ObjectStore> {
    Arc::new(aws::objects::S3Objects::new(settings.icav2.s3_endpoint_url.clone()).with(&settings.s3))
}

/// Puts one event on a bus of EventBridge and returns its id.
pub(super) async fn put_event(
    bus: &str,
    source: &str,
    detail_type: &str,
    detail: &Json,
) -> anyhow::Result<String> {
    let callers = Clients::load().await?.callers(bus);
    Ok(callers.put(source, detail_type, detail).await?)
}

impl Clients {
    /// Reads the environment.
    pub(super) async fn load() -> anyhow::Result<Self> {
        Ok(Self(aws::clients::Clients::load().await))
    }

    /// The bus that callers' events go on.
    pub(super) fn callers(&self, bus: &str) -> CallersBus {
        CallersBus::new(self.0.eventbridge.clone(), bus)
    }

    /// The bearer token in a secret.
    pub(super) fn token_in(&self, secret: &str) -> Arc<dyn TokenSource> {
        Arc::new(aws::secret::SecretToken::new(self.0.secrets.clone(), secret))
    }

    /// The secrets that our role may read.
    pub(super) fn secrets(&self) -> Arc<dyn Secrets> {
        Arc::new(aws::secret::NamedSecrets::new(self.0.secrets.clone()))
    }

    /// The topics that our role may publish to.
    #[cfg(feature = "canvas")]
    pub(super) fn topics(&self) -> Arc<dyn crate::ports::messages::Topics> {
        Arc::new(aws::topics::SnsTopics::new(self.0.sns.clone()))
    }

    /// The parameters that our role may read.
    pub(super) fn parameters(&self) -> Arc<dyn Parameters> {
        Arc::new(aws::parameters::NamedParameters::new(self.0.ssm.clone()))
    }

    /// The ports of `backend = "aws"`.
    pub(super) fn ports(
        &self,
        settings: &Settings,
        readiness: &Readiness,
        around: Around,
    ) -> anyhow::Result<Ports> {
        let Around { platform, objects, transfers, reports, sharing, clock, chance } = around;
        let (clients, of) = (&self.0, &settings.aws);
        let most = Some(of.max_receives);
        let required = |value: &Option<String>, key: &str| {
            value.clone().with_context(|| format!("`aws.{key}` is not set"))
        };
        let queue = |url: String, name| {
            let queue = aws::queue::SqsQueue::new(clients.sqs.clone(), url, most);
            let reached = readiness.condition(name);
            Arc::new(WatchedQueue { queue: Arc::new(queue), reached }) as Arc<dyn Queue>
        };
        let requests = required(&of.copy_requests_queue_url, "copy_requests_queue_url")?;
        let table = required(&of.table_name, "table_name")?;
        Ok(Ports {
            store: versions::guarded(aws::store::DynamoStore::new(
                clients.dynamodb.clone(),
                table,
                chance.clone(),
            )),
            requests: queue(requests, "requests queue"),
            job_events: of.ica_events_queue_url.clone().map(|url| queue(url, "job events queue")),
            bus: Arc::new(aws::bus::EventBridgeBus::new(clients.eventbridge.clone(), of)),
            callbacks: Arc::new(aws::callbacks::StepFunctions::new(clients.sfn.clone())),
            platform,
            objects,
            secrets: self.secrets(),
            transfers,
            reports,
            sharing,
            clock,
            chance,
        })
    }
}
