//! An account of AWS, from empty, with the stacks of `deploy/`: on an emulator that checks rights, with a daemon that
//! has those of the task role and no others.
//!
//! What the emulator cannot do, its copy of a template leaves out: it takes `DesiredCount: !Ref` for a text and then
//! fails, and it knows neither scaling nor alarms on more than one metric.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use copy_manager::aws::clients::Clients;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    binary::Process,
    emulator::{Emulator, between, process::free_port},
    gate::Gate,
    lab::Platform,
    within,
};

const BOOTSTRAP: &str = include_str!("../../deploy/bootstrap.yaml");
pub(crate) const STATEFUL: &str = include_str!("../../deploy/stateful.yaml");
const FACADE: &str = include_str!("../../deploy/facade.yaml");
pub(crate) const SERVICE: &str = include_str!("../../deploy/service.yaml");
const DOCKERFILE: &str = include_str!("../../Dockerfile");

static IMAGES: AtomicUsize = AtomicUsize::new(0);

/// How long a daemon may take until it is ready.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// The account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) emulator: Emulator,
    /// The way of daemons, and of what must have TLS, to it.
    pub(crate) gate: Gate,
    pub(crate) aws: Clients,
    pub(crate) platform: Platform,
    pub(crate) directory: TempDir,
    /// The access key of the daemon, whose rights are those of the task role.
    key: (String, String),
}

/// The service as it is deployed.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) container: Value,
    /// What the task role allows.
    pub(crate) policy: Value,
}

/// The template as the emulator takes it.
pub(crate) fn for_emulator(template: &str) -> String {
    let unknown = |part: &&str| {
        part.contains("    Type: AWS::ApplicationAutoScaling::")
            || part.contains("    Type: AWS::CloudWatch::Alarm\n") && part.contains("      Metrics:\n")
    };
    let known: Vec<_> = template.split("\n\n").filter(|part| !unknown(part)).collect();
    let count = "DesiredCount: !If [Scales, !Ref AWS::NoValue, !Ref DesiredCount]";
    known.join("\n\n").replace(count, "DesiredCount: 1")
}

impl Account {
    /// With nothing but a key for the daemon, which has no rights yet, and an ICAv2.
    pub(crate) async fn empty(world: &Value, options: &[&str]) -> Option<Self> {
        let emulator = Emulator::start_strict().await?;
        let gate = Gate::open(&emulator.endpoint).await;
        let through = emulator.config().await.into_builder().endpoint_url(&gate.endpoint).build();
        let aws = Clients::from_config(&through);
        emulator.query("iam", "CreateUser", &[("UserName", "task")]).await;
        let made = emulator.query("iam", "CreateAccessKey", &[("UserName", "task")]).await;
        let part =
            |name: &str| between(&made, &format!("<{name}>"), &format!("</{name}>")).unwrap().to_owned();
        let key = (part("AccessKeyId"), part("SecretAccessKey"));
        let directory = tempfile::tempdir().unwrap();
        // ICAv2 sends job events with rights of its own.
        let mut environment = emulator.environment().to_vec();
        environment.push(("AWS_ENDPOINT_URL", gate.endpoint.clone()));
        let environment: Vec<_> =
            environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let queue = format!("{}/000000000000/copy-manager-dev-ica-events", gate.endpoint);
        let options = [&["--events-queue-url", &queue], options].concat();
        let platform = Platform::start(&directory, world, &options, &environment).await;
        Some(Self { emulator, gate, aws, platform, directory, key })
    }

    /// With all stacks but that of the service, and a token.
    pub(crate) async fn open(world: &Value, options: &[&str]) -> Option<Self> {
        let account = Self::empty(world, options).await?;
        account.emulator.create_stack("copy-manager", BOOTSTRAP, &[]).await;
        let token = account.aws.secrets.put_secret_value().secret_id("copy-manager/icav2-token");
        token.secret_string(json!({ "token": "any" }).to_string()).send().await.unwrap();
        account.emulator.create_stack("copy-manager-dev-stateful", STATEFUL, &[]).await;
        account.emulator.create_stack("copy-manager-dev-facade", FACADE, &[]).await;
        Some(account)
    }

    /// Makes or changes the stack of the service.
    pub(crate) async fn service(&self, change: &str, parameters: &[(String, String)]) -> Service {
        // The emulator refuses to change nothing.
        let image = format!("registry.example.org/copy-manager:{}", IMAGES.fetch_add(1, Ordering::Relaxed));
        let stack = format!("copy-manager-{}", value(parameters, "Stage").unwrap_or("dev"));
        let mut all = vec![("Image", image.as_str())];
        all.extend(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        // The ends of their ARNs are known only now.
        let arn = async |name: &str| {
            let secret = self.aws.secrets.describe_secret().secret_id(name).send().await;
            secret.ok().and_then(|secret| secret.arn)
        };
        let (canvas, more) = (arn("canvas").await, arn("more").await);
        for (name, value) in &mut all {
            match *name {
                "CanvasDatabaseSecretArn" => *value = canvas.as_deref().unwrap(),
                "CanvasMoreSecretArn" => *value = more.as_deref().unwrap(),
                _ => {}
            }
        }
        self.emulator.change_stack(change, &stack, &for_emulator(SERVICE), &all).await;
        self.deployed(&stack).await
    }

    /// The service of that stack; the daemon's key gets the rights of its task role, and no others.
    pub(crate) async fn deployed(&self, stack: &str) -> Service {
        let outputs = self.emulator.outputs(stack).await;
        let role = outputs["TaskRoleArn"].rsplit('/').next().unwrap();
        let asked = [("RoleName", role), ("PolicyName", "copy-manager")];
        let policy = self.emulator.query("iam", "GetRolePolicy", &asked).await;
        let policy = between(&policy, "<PolicyDocument>", "</PolicyDocument>").unwrap();
        let policy = percent_encoding::percent_decode_str(policy).decode_utf8().unwrap();
        let mut given = policy.clone().into_owned();
        // To the emulator batches are actions of their own; AWS has no such actions, and takes the single ones for them.
        for action in ["sqs:DeleteMessage", "sqs:ChangeMessageVisibility"] {
            given = given.replace(&format!("\"{action}\""), &format!("\"{action}\", \"{action}Batch\""));
        }
        let given = [("UserName", "task"), ("PolicyName", "role"), ("PolicyDocument", given.as_str())];
        self.emulator.query("iam", "PutUserPolicy", &given).await;
        let target = "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition";
        let described = self.emulator.json("ecs", target, &json!({ "taskDefinition": stack })).await;
        let container = described["taskDefinition"]["containerDefinitions"][0].clone();
        Service { container, policy: serde_json::from_str(&policy).unwrap() }
    }

    /// A daemon with the command and the environment of that container, once it is ready; its address. Only where AWS
    /// and ICAv2 are is changed, where it listens, and what is named.
    pub(crate) async fn serve(
        &self,
        name: &str,
        service: &Service,
        changed: &[(&str, &str)],
    ) -> (Process, String) {
        let entries = service.container["environment"].as_array().unwrap();
        // The emulator gives secrets back as the template writes them.
        let field = |entry: &Value, name: &str| {
            let fields = entry.as_object().unwrap();
            let value =
                fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            value.and_then(Value::as_str).unwrap_or_else(|| panic!("no {name} in {entry}")).to_owned()
        };
        let mut environment: Vec<_> =
            entries.iter().map(|entry| (field(entry, "name"), field(entry, "value"))).collect();
        // Which ECS reads, with the rights of the execution role.
        for entry in service.container["secrets"].as_array().unwrap_or(&Vec::new()) {
            let from = field(entry, "valueFrom");
            let text = if let Some((_, name)) = from.split_once(":parameter") {
                let parameter = self.aws.ssm.get_parameter().name(name).send().await.unwrap();
                parameter.parameter.unwrap().value
            } else {
                self.aws.secrets.get_secret_value().secret_id(from).send().await.unwrap().secret_string
            };
            environment.push((field(entry, "name"), text.unwrap()));
        }
        let listen = format!("127.0.0.1:{}", free_port());
        for (name, value) in [
            ("AWS_ENDPOINT_URL", self.gate.endpoint.as_str()),
            ("AWS_REGION", "ap-southeast-2"),
            ("AWS_ACCESS_KEY_ID", &self.key.0),
            ("AWS_SECRET_ACCESS_KEY", &self.key.1),
            ("ICAV2_BASE_URL", &self.platform.url()),
            ("COPY_MANAGER__ADMIN__LISTEN", &listen),
        ]
        .iter()
        .chain(changed)
        {
            environment.push(((*name).to_owned(), (*value).to_owned()));
        }
        let shares = environment.iter().any(|(name, value)| name == LISTEN && !value.is_empty());
        if shares {
            environment.push((LISTEN.to_owned(), "127.0.0.1:0".to_owned()));
        }
        let command = command(&service.container);
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        let mut daemon = Process::spawn(name, self.directory.path(), &command, &environment);
        let server = format!("http://{listen}");
        within(PATIENCE, &format!("{name} is ready"), async || {
            if let Some(status) = daemon.status() {
                panic!("{name} ended: {status}");
            }
            let answer = reqwest::get(format!("{server}/readyz")).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        (daemon, server)
    }

    /// Calls of the daemon.
    pub(crate) fn calls(&self) -> Vec<crate::gate::Call> {
        self.gate.calls_of(&self.key.0)
    }

    /// The state machine of that name.
    pub(crate) fn machine(&self, name: &str) -> crate::machine::Machine {
        let arn = format!("arn:aws:states:ap-southeast-2:000000000000:stateMachine:copy-manager-dev-{name}");
        crate::machine::Machine::at(&self.aws.sfn, &arn)
    }
}

/// Where sharing listens: in a test on a port that no other one has.
const LISTEN: &str = "COPY_MANAGER__SHARE__LISTEN";

fn value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// What the container runs, less the program: the entry point of the image, unless the task definition has another.
fn command(container: &Value) -> Vec<String> {
    let of_image = DOCKERFILE.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).unwrap();
    let of_image: Value = serde_json::from_str(of_image).unwrap();
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let own = words(&container["entryPoint"]);
    let mut all = if own.is_empty() { words(&of_image) } else { own };
    all.extend(words(&container["command"]));
    assert_eq!(Path::new(&all.remove(0)).file_name().unwrap(), "copy-manager");
    all
}
