//! An AWS of one's own: `MiniStack` on a free port, with stacks made from `deploy/stateful.yaml`.
//!
//! It is taken from `$COPY_MANAGER_VENV` (default: `.venv` of the project; see
//! `tests/requirements.txt`). Tests of one process that run at the same time share one; it ends with
//! the last of them.

pub(crate) mod process;

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use copy_manager::aws::clients::{Clients, configured};
use serde_json::Value;
use tokio::{sync::Mutex, time::sleep};

use self::process::{Guarded, free_port, program, wait_until_healthy};

const REGION: &str = "ap-southeast-2";
const TEMPLATE: &str = include_str!("../../deploy/stateful.yaml");

static SHARED: Mutex<Weak<Emulator>> = Mutex::const_new(Weak::new());

/// A running emulator.
#[derive(Debug)]
pub(crate) struct Emulator {
    /// Where all its services are.
    pub(crate) endpoint: String,
    _process: Guarded,
}

/// What a stack made.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    pub(crate) copy_requests_queue_url: String,
    pub(crate) ica_events_queue_url: String,
    pub(crate) table_name: String,
    pub(crate) internal_bus_name: String,
    pub(crate) external_bus_name: String,
}

impl Emulator {
    /// The emulator of this process; `None`, said loudly, where it is not installed.
    pub(crate) async fn start() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(Self::launch(false).await?);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    /// One that nobody else has, and that checks signatures and rights, as AWS does.
    pub(crate) async fn start_strict() -> Option<Self> {
        Self::launch(true).await
    }

    async fn launch(checks_rights: bool) -> Option<Self> {
        let port = free_port();
        let process = Guarded::spawn(
            &program("ministack")?,
            &[],
            &[
                ("BIND_HOST", "127.0.0.1".to_owned()),
                ("GATEWAY_PORT", port.to_string()),
                ("IOT_MTLS_ENABLED", "0".to_owned()),
                ("AUTH", checks_rights.to_string()),
            ],
        );
        let started = Self { endpoint: format!("http://127.0.0.1:{port}"), _process: process };
        wait_until_healthy(&format!("{}/_ministack/health", started.endpoint)).await;
        Some(started)
    }

    /// `LocalStack`, for the few things that only it does: heartbeats of Step Functions that time
    /// out. It has queues, buses and state machines, but neither tables nor stacks.
    pub(crate) async fn start_localstack() -> Option<Self> {
        let port = free_port();
        let process = Guarded::spawn(
            &program("python")?,
            &["-m", "localstack.runtime.main"],
            &[
                ("GATEWAY_LISTEN", format!("127.0.0.1:{port}")),
                ("GATEWAY_SERVER", "hypercorn".to_owned()),
                ("LOCALSTACK_HOST", format!("localhost:{port}")),
                ("SQS_ENDPOINT_STRATEGY", "path".to_owned()),
                ("SERVICES", "sqs,events,stepfunctions,iam,sts".to_owned()),
                ("DNS_ADDRESS", "0".to_owned()),
                ("DISABLE_EVENTS", "1".to_owned()),
                ("SKIP_SSL_CERT_DOWNLOAD", "1".to_owned()),
            ],
        );
        let started = Self { endpoint: format!("http://127.0.0.1:{port}"), _process: process };
        wait_until_healthy(&format!("{}/_localstack/health", started.endpoint)).await;
        Some(started)
    }

    /// What the SDK needs to know.
    pub(crate) async fn config(&self) -> SdkConfig {
        configured(aws_config::defaults(BehaviorVersion::latest()))
            .endpoint_url(&self.endpoint)
            .region(Region::from_static(REGION))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .load()
            .await
    }

    /// The product's own clients.
    pub(crate) async fn clients(&self) -> Clients {
        Clients::from_config(&self.config().await)
    }

    /// What a process needs in its environment to find this emulator.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Deploys `deploy/stateful.yaml` as that stage, with an external bus of its own.
    pub(crate) async fn deploy(&self, stage: &str) -> Stack {
        let (name, external) = (format!("copy-manager-{stage}"), format!("external-{stage}"));
        self.clients().await.eventbridge.create_event_bus().name(&external).send().await.unwrap();
        let parameters = [("Stage", stage), ("ExternalBusName", external.as_str())];
        let outputs = self.create_stack(&name, TEMPLATE, &parameters).await;
        let output = |key: &str| outputs.get(key).unwrap_or_else(|| panic!("no {key}: {outputs:?}")).clone();
        Stack {
            copy_requests_queue_url: output("CopyRequestsQueueUrl"),
            ica_events_queue_url: output("IcaEventsQueueUrl"),
            table_name: output("TableName"),
            internal_bus_name: output("InternalBusName"),
            external_bus_name: external,
        }
    }

    /// Makes a stack of that template; its outputs.
    pub(crate) async fn create_stack(
        &self,
        name: &str,
        template: &str,
        parameters: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        self.change_stack("CREATE", name, template, parameters).await
    }

    /// Makes (`CREATE`) or changes (`UPDATE`) a stack; its outputs.
    pub(crate) async fn change_stack(
        &self,
        change: &str,
        name: &str,
        template: &str,
        parameters: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let mut fields = vec![("TemplateBody".to_owned(), template)];
        fields.push(("Capabilities.member.1".to_owned(), "CAPABILITY_IAM"));
        for (n, (key, value)) in (1..).zip(parameters) {
            fields.push((format!("Parameters.member.{n}.ParameterKey"), key));
            fields.push((format!("Parameters.member.{n}.ParameterValue"), value));
        }
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let action = if change == "CREATE" { "CreateStack" } else { "UpdateStack" };
        self.cloudformation(action, name, &fields).await;
        let (good, under_way) = (format!("{change}_COMPLETE"), "_IN_PROGRESS");
        loop {
            let described = self.cloudformation("DescribeStacks", name, &[]).await;
            match between(&described, "<StackStatus>", "</StackStatus>") {
                Some(status) if status == good => break,
                Some(status) if status.ends_with(under_way) => sleep(Duration::from_millis(100)).await,
                other => {
                    let events = self.cloudformation("DescribeStackEvents", name, &[]).await;
                    panic!("the stack {name} is {other:?}: {events}")
                }
            }
        }
        self.outputs(name).await
    }

    /// What a stack has come to.
    pub(crate) async fn outputs(&self, name: &str) -> BTreeMap<String, String> {
        let described = self.cloudformation("DescribeStacks", name, &[]).await;
        let outputs = described.split("<OutputKey>").skip(1).map(|output| {
            let (key, rest) = output.split_once("</OutputKey>").unwrap();
            let value = between(rest, "<OutputValue>", "</OutputValue>").unwrap();
            (key.to_owned(), value.to_owned())
        });
        outputs.collect()
    }

    /// Deletes a stack; what it keeps, by type.
    pub(crate) async fn delete_stack(&self, name: &str) -> Vec<String> {
        let described = self.cloudformation("DescribeStacks", name, &[]).await;
        // By its id, for a deleted stack has no name.
        let id = between(&described, "<StackId>", "</StackId>").unwrap().to_owned();
        self.cloudformation("DeleteStack", name, &[]).await;
        loop {
            let described = self.cloudformation("DescribeStacks", &id, &[]).await;
            match between(&described, "<StackStatus>", "</StackStatus>") {
                Some("DELETE_COMPLETE") => break,
                Some(status) if status.ends_with("_IN_PROGRESS") => sleep(Duration::from_millis(100)).await,
                other => panic!("the stack {name} is {other:?}: {described}"),
            }
        }
        let events = self.cloudformation("DescribeStackEvents", &id, &[]).await;
        let kept = events.split("<member>").filter(|event| event.contains("DELETE_SKIPPED"));
        let mut kept: Vec<_> =
            kept.filter_map(|event| between(event, "<LogicalResourceId>", "</").map(str::to_owned)).collect();
        kept.sort();
        kept
    }

    /// One call of `CloudFormation`.
    async fn cloudformation(&self, action: &str, stack: &str, parameters: &[(&str, &str)]) -> String {
        let parameters = [&[("StackName", stack)], parameters].concat();
        self.query("cloudformation", action, &parameters).await
    }

    /// One call of a service that takes forms, by hand: the SDK of `CloudFormation` would be the largest
    /// dependency of the project.
    pub(crate) async fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).extend_pairs(parameters);
        let form = form.finish();
        let call =
            self.signed(service).header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = call.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{action}: {text}");
        text
    }

    /// One call of a service that takes JSON, by hand.
    pub(crate) async fn json(&self, service: &str, target: &str, asked: &Value) -> Value {
        let call = self.signed(service).header("x-amz-target", target);
        let call = call.header("content-type", "application/x-amz-json-1.1").body(asked.to_string());
        let answer = call.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{target}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn signed(&self, service: &str) -> reqwest::RequestBuilder {
        let scope = format!("AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request");
        let signature = format!("{scope}, SignedHeaders=host, Signature=none");
        reqwest::Client::new().post(&self.endpoint).header("authorization", signature)
    }
}

pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}
