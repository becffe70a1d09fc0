//! What a system test works in: an AWS, a simulated ICAv2, and daemons that know both.

use std::{net::SocketAddr, path::Path, sync::Arc};

use copy_manager::aws::clients::Clients;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    binary::Process,
    emulator::{Emulator, Stack},
};

/// Settings under which nothing waits longer than it must. The lease is the shortest that a slow
/// machine can keep; another instance takes over after it and five seconds.
const QUICK: &[(&str, &str)] = &[
    ("ADMIN__LISTEN", "127.0.0.1:0"),
    ("ICAV2__REQUESTS_PER_SECOND", "200"),
    ("ICAV2__BATCH_WINDOW", "300ms"),
    ("ICAV2__MAX_ATTEMPTS", "8"),
    ("ICAV2__POLL_INTERVAL", "1s"),
    ("ICAV2__SETTLE", "1s"),
    ("ICAV2__ABANDONED_AFTER", "3s"),
    ("ICAV2__SUBMIT_SETTLE", "2s"),
    ("ICAV2__RETRY_BASE", "200ms"),
    ("ICAV2__RETRY_CAP", "2s"),
    ("HEARTBEAT__PROMISE", "5s"),
    ("HEARTBEAT__INTERVAL", "1s"),
    ("SERVICE__TICK", "500ms"),
    ("SERVICE__LEASE", "4s"),
    ("SERVICE__DRAIN_TIMEOUT", "20s"),
];

/// Settings of these that have come since the first version that others are tried with.
const SINCE: [&str; 1] = ["ICAV2__ABANDONED_AFTER"];

/// `copy-manager simulate`.
#[derive(Debug)]
pub(crate) struct Platform {
    process: Process,
    address: SocketAddr,
    http: reqwest::Client,
}

/// All that there is around the daemons.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) aws: Clients,
    pub(crate) stack: Stack,
    pub(crate) platform: Platform,
    pub(crate) environment: Vec<(String, String)>,
    directory: TempDir,
    emulators: Vec<Arc<Emulator>>,
}

impl Platform {
    /// A simulator with that world in that directory.
    pub(crate) async fn start(
        directory: &TempDir,
        world: &Value,
        options: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let file = directory.path().join("world.json");
        std::fs::write(&file, world.to_string()).unwrap();
        let mut arguments = vec!["simulate", "--listen", "127.0.0.1:0", "--world", file.to_str().unwrap()];
        arguments.extend(options);
        let mut process = Process::spawn("simulate", directory.path(), &arguments, environment);
        let address = process.ready().await;
        Self { process, address, http: reqwest::Client::new() }
    }

    /// What `ICAV2_BASE_URL` must be.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/ica/rest", self.address)
    }

    /// Where its S3 is; started with `--s3-listen`.
    pub(crate) fn s3_url(&self) -> String {
        let said = self.process.said("simulated S3 is ready");
        format!("http://{}", said[0]["address"].as_str().unwrap())
    }

    /// `GET /sim/stats`.
    pub(crate) async fn stats(&self) -> Value {
        self.http.get(self.control("stats")).send().await.unwrap().json().await.unwrap()
    }

    /// `POST /sim/faults`.
    pub(crate) async fn faults(&self, changes: &Value) {
        let answer = self.http.post(self.control("faults")).json(changes).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// `GET /sim/tree`.
    pub(crate) async fn tree(&self, project: &str, path: &str) -> Vec<Value> {
        let call = self.http.get(self.control("tree")).query(&[("project", project), ("path", path)]);
        call.send().await.unwrap().json().await.unwrap()
    }

    /// `GET /sim/objects`.
    pub(crate) async fn objects(&self, bucket: &str) -> Vec<Value> {
        self.shown("objects", bucket).await
    }

    /// `GET /sim/uploads`.
    pub(crate) async fn uploads(&self, bucket: &str) -> Vec<Value> {
        self.shown("uploads", bucket).await
    }

    async fn shown(&self, what: &str, bucket: &str) -> Vec<Value> {
        let call = self.http.get(self.control(what)).query(&[("bucket", bucket)]);
        call.send().await.unwrap().json().await.unwrap()
    }

    fn control(&self, name: &str) -> String {
        format!("http://{}/sim/{name}", self.address)
    }
}

impl Lab {
    /// An emulator with the stack of that stage, and a simulator that tells of jobs on its queue.
    pub(crate) async fn start(stage: &str, world: &Value, options: &[&str]) -> Option<Self> {
        let emulator = Emulator::start().await?;
        let stack = emulator.deploy(stage).await;
        let aws = emulator.clients().await;
        let environment = owned(emulator.environment());
        Some(Self::around(vec![emulator], aws, stack, environment, world, options).await)
    }

    /// The same with all but the table on `LocalStack`, whose executions really time out.
    pub(crate) async fn on_localstack(
        localstack: &Arc<Emulator>,
        stage: &str,
        world: &Value,
        options: &[&str],
    ) -> Option<Self> {
        let tables = Emulator::start().await?;
        let aws = localstack.clients().await;
        let stack = Stack { table_name: tables.deploy(stage).await.table_name, ..by_hand(&aws, stage).await };
        let mut environment = owned(localstack.environment());
        environment.push(("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), tables.endpoint.clone()));
        let emulators = vec![tables, Arc::clone(localstack)];
        Some(Self::around(emulators, aws, stack, environment, world, options).await)
    }

    async fn around(
        emulators: Vec<Arc<Emulator>>,
        aws: Clients,
        stack: Stack,
        mut environment: Vec<(String, String)>,
        world: &Value,
        options: &[&str],
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut with_events = options.to_vec();
        if !options.contains(&"--events-http") {
            with_events.extend(["--events-queue-url", &stack.ica_events_queue_url]);
        }
        let platform = Platform::start(&directory, world, &with_events, &environment).await;
        let settings = [
            ("COPY_REQUESTS_QUEUE_URL", &stack.copy_requests_queue_url),
            ("ICA_EVENTS_QUEUE_URL", &stack.ica_events_queue_url),
            ("TABLE_NAME", &stack.table_name),
            ("EXTERNAL_BUS_NAME", &stack.external_bus_name),
            ("INTERNAL_BUS_NAME", &stack.internal_bus_name),
        ];
        let settings = settings.map(|(key, value)| (format!("COPY_MANAGER__AWS__{key}"), value.clone()));
        environment.extend(settings);
        environment.push(("COPY_MANAGER__BACKEND".to_owned(), "aws".to_owned()));
        environment.extend(credentials(&platform));
        Self { aws, stack, platform, environment, directory, emulators }
    }

    /// Starts a daemon and waits until it is ready. Settings are named without `COPY_MANAGER__`.
    pub(crate) async fn serve(&self, name: &str, settings: &[(&str, &str)]) -> Process {
        let mut daemon = self.spawn(name, settings);
        daemon.ready().await;
        daemon
    }

    /// The same without waiting.
    pub(crate) fn spawn(&self, name: &str, settings: &[(&str, &str)]) -> Process {
        let mut environment = self.environment.clone();
        environment.extend(quick(settings));
        Process::spawn(name, self.directory.path(), &["serve"], &environment)
    }

    /// The same with the binary of another version.
    pub(crate) async fn serve_version(&self, binary: &Path, name: &str) -> Process {
        let mut environment = self.environment.clone();
        environment.extend(quick(&[]));
        // Settings that have come since are not known to it.
        environment.retain(|(setting, _)| !SINCE.iter().any(|name| setting.ends_with(name)));
        let mut daemon =
            Process::spawn_version(binary, name, self.directory.path(), &["serve"], &environment);
        daemon.ready().await;
        daemon
    }

    /// The AWS itself.
    pub(crate) fn emulator(&self) -> &Emulator {
        &self.emulators[0]
    }

    /// Where AWS is.
    pub(crate) fn endpoint(&self) -> String {
        self.emulators[0].endpoint.clone()
    }

    /// Where the daemons' logs are, until the lab is dropped.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Shortens the visibility timeout of both queues.
    pub(crate) async fn messages_come_back_after(&self, seconds: &str) {
        for url in [&self.stack.copy_requests_queue_url, &self.stack.ica_events_queue_url] {
            let change = self.aws.sqs.set_queue_attributes().queue_url(url);
            let timeout = aws_sdk_sqs::types::QueueAttributeName::VisibilityTimeout;
            change.attributes(timeout, seconds).send().await.unwrap();
        }
    }

    /// Gives daemons that are started from now on another value of that variable.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.environment.push((variable.to_owned(), value.to_owned()));
    }

    /// Gives daemons that are started from now on no such variable.
    pub(crate) fn unset(&mut self, variable: &str) {
        self.environment.retain(|(name, _)| name != variable);
    }

    /// `copy-manager` with those arguments, where the daemons are.
    pub(crate) fn shell(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
        command.args(arguments).env_clear().envs(self.environment.iter().cloned()).kill_on_drop(true);
        command
    }

    /// Where requests end that nobody could understand.
    pub(crate) async fn dead_letters_url(&self) -> String {
        let requests = self.stack.copy_requests_queue_url.rsplit('/').next().unwrap();
        let queue = self.aws.sqs.get_queue_url().queue_name(format!("{requests}-dead-letters"));
        queue.send().await.unwrap().queue_url.unwrap()
    }

    /// Puts an event on the external bus.
    pub(crate) async fn put_event(&self, detail: &Value) {
        let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
            .event_bus_name(&self.stack.external_bus_name)
            .source("system.test")
            .detail_type("ICAv2DataCopySync")
            .detail(detail.to_string())
            .build();
        let answer = self.aws.eventbridge.put_events().entries(entry).send().await.unwrap();
        assert_eq!(answer.failed_entry_count(), 0, "{answer:?}");
    }
}

/// The queues, buses and rules of the stack, where there is nothing that could read its template.
async fn by_hand(aws: &Clients, stage: &str) -> Stack {
    let mut urls = Vec::new();
    for name in ["copy-requests", "ica-events"] {
        let queue = aws.sqs.create_queue().queue_name(format!("{stage}-{name}")).send().await.unwrap();
        urls.push(queue.queue_url.unwrap());
    }
    let arn = queue_arn(&aws.sqs, &urls[0]).await;
    let rules = [("external", "ICAv2DataCopySync"), ("internal", "CopyManagerChildRequest")];
    let mut buses = Vec::new();
    for (name, detail_type) in rules {
        let (bus, events) = (format!("{stage}-{name}"), &aws.eventbridge);
        events.create_event_bus().name(&bus).send().await.unwrap();
        subscribe(events, &bus, detail_type, "copy-requests", &arn).await;
        buses.push(bus);
    }
    let [copy_requests_queue_url, ica_events_queue_url] = urls.try_into().unwrap();
    let [external_bus_name, internal_bus_name] = buses.try_into().unwrap();
    let table_name = String::new();
    Stack { copy_requests_queue_url, ica_events_queue_url, table_name, internal_bus_name, external_bus_name }
}

pub(crate) async fn queue_arn(sqs: &aws_sdk_sqs::Client, url: &str) -> String {
    let attribute = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
    let attributes = sqs.get_queue_attributes().queue_url(url).attribute_names(attribute.clone());
    attributes.send().await.unwrap().attributes.unwrap().remove(&attribute).unwrap()
}

/// Sends every event of that type from that bus to that queue.
pub(crate) async fn subscribe(
    events: &aws_sdk_eventbridge::Client,
    bus: &str,
    detail_type: &str,
    rule: &str,
    queue: &str,
) {
    let pattern = json!({ "detail-type": [detail_type] }).to_string();
    events.put_rule().name(rule).event_bus_name(bus).event_pattern(pattern).send().await.unwrap();
    let target = aws_sdk_eventbridge::types::Target::builder().id(rule).arn(queue).build().unwrap();
    events.put_targets().rule(rule).event_bus_name(bus).targets(target).send().await.unwrap();
}

fn owned<const N: usize>(environment: [(&str, String); N]) -> Vec<(String, String)> {
    environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What a daemon needs to find the platform.
pub(crate) fn credentials(platform: &Platform) -> [(String, String); 2] {
    [("ICAV2_BASE_URL".to_owned(), platform.url()), ("ICAV2_ACCESS_TOKEN".to_owned(), "any".to_owned())]
}

/// The quick settings with some of them changed, as a daemon's environment.
pub(crate) fn quick(changed: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = QUICK.iter().chain(changed);
    all.map(|(key, value)| (format!("COPY_MANAGER__{key}"), (*value).to_owned())).collect()
}

/// A request's payload.
pub(crate) fn payload(sources: &[&str], destination: &str) -> Value {
    json!({ "sourceUriList": sources, "destinationUri": destination })
}
