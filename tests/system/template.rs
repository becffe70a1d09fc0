//! The service as `deploy/service.yaml` starts it: with exactly the environment of its task definition, as the
//! emulator gives it back, for the defaults and for every parameter, and with the rights of its task role.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use serde_norway::Value as Yaml;

use crate::{
    account::{Account, SERVICE, STATEFUL, Service},
    binary::Process,
    emulator::process::free_port,
    lab::Platform,
    within,
};

/// Parameters that are not changed alone: each change has an image of its own, and the emulator cannot move a service to
/// another cluster, so that one is tried with another stage.
const NOT_ALONE: [&str; 2] = ["Image", "ClusterName"];

/// Another value of each parameter that has a default and no list of allowed values.
pub(crate) const OTHER: [(&str, &str); 35] = [
    ("CopyOutAcl", "bucket-owner-full-control"),
    ("Stage", "prod"),
    ("ClusterName", "another"),
    ("SubnetIds", "/another/subnets"),
    ("SecurityGroupIds", "/another/groups"),
    ("DesiredCount", "1"),
    ("MaxCount", "4"),
    ("RunbookUrl", "https://example.org/runbook.md"),
    ("IcaTokenSecretArn", "/another/parameter"),
    ("IcaTokenKeyArn", "arn:aws:kms:ap-southeast-2:123456789012:key/1"),
    ("ReadableBuckets", "arn:aws:s3:::source-data,arn:aws:s3:::lists,arn:aws:s3:::tables"),
    ("ReadableKeyArns", "arn:aws:kms:ap-southeast-2:123456789012:key/3"),
    ("WritableBuckets", "arn:aws:s3:::dest-data,arn:aws:s3:::lists"),
    ("WritableKeyArns", "arn:aws:kms:ap-southeast-2:123456789012:key/4"),
    ("BucketSecretArns", "arn:aws:secretsmanager:ap-southeast-2:000000000000:secret:keys/*"),
    ("SecretKeyArns", "arn:aws:kms:ap-southeast-2:123456789012:key/5"),
    ("BucketSecrets", "keys/*,other"),
    ("EndpointHosts", "s3.example.org,*.s3.example.net"),
    ("ReportPrefix", "s3://reports/copies/"),
    ("SettingsName", "/copy-manager/dev/settings"),
    ("ExternalBusName", "Another"),
    ("CallerKeyArns", "arn:aws:kms:ap-southeast-2:123456789012:key/2"),
    ("ShareArtifacts", "s3://sharing/artifacts/"),
    ("SharePublicUrl", "https://share.example.org"),
    ("ShareTokens", "ann:admin:a771cb1d697146d6def337d9f224be2dec41366276af4138832187b8310e35e2"),
    ("ShareCatalogue", "s3://tables/files.csv"),
    ("ShareLims", "s3://tables/lims.csv"),
    ("ShareAutoJobs", "s3://tables/jobs.json"),
    ("CanvasCredentialsPath", "/prod/canvas_data_2"),
    ("CanvasDatabaseSecretArn", "arn:aws:secretsmanager:ap-southeast-2:000000000000:secret:canvas"),
    ("CanvasSchedule", "rate(3 hours)"),
    ("CanvasZone", "America/New_York"),
    ("CanvasColumns", "users.name=null"),
    ("CanvasMoreSecretArn", "arn:aws:secretsmanager:ap-southeast-2:000000000000:secret:more"),
    ("CanvasNotify", "log,sns:arn:aws:sns:ap-southeast-2:000000000000:canvas"),
];
/// The topic of `CanvasNotify`.
pub(crate) const TOPIC: (&str, &str) = ("CanvasTopicArn", "arn:aws:sns:ap-southeast-2:000000000000:canvas");

/// What a parameter cannot do without, by the rules of the template or by what it means. The first part of its name, or
/// its name with a value, is enough.
const WITH: [(&str, &[(&str, &str)]); 11] = [
    ("Stage", &[("ClusterName", "another")]),
    ("MaxCount", &[("MetricsForCloudWatch", "true")]),
    ("Cpu=512", &[("Memory", "1024")]),
    ("Cpu=1024", &[("Memory", "2048")]),
    ("Cpu=2048", &[("Memory", "4096")]),
    ("Cpu=4096", &[("Memory", "8192")]),
    ("Memory=4096", &[("Cpu", "512")]),
    ("Memory=8192", &[("Cpu", "1024")]),
    ("Share", &[("ShareArtifacts", "s3://sharing/artifacts/")]),
    ("ShareTokens", &[("SharePublicUrl", "https://share.example.org")]),
    (
        "Canvas",
        &[
            ("CanvasCredentialsPath", "/prod/canvas_data_2"),
            ("CanvasDatabaseSecretArn", "arn:aws:secretsmanager:ap-southeast-2:000000000000:secret:canvas"),
        ],
    ),
];

fn text(yaml: &Yaml) -> String {
    match yaml {
        Yaml::String(text) => text.clone(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(value) => value.to_string(),
        other => panic!("{other:?} is no text"),
    }
}

/// A file in one part and one in two, made long ago.
pub(crate) fn world() -> serde_json::Value {
    json!({ "projects": [
        { "id": "5b1d1b36-9d2c-4a53-8f0e-6f3f6f2d1c01", "name": "lab", "age": "1h", "files": [
            { "path": "/run/a.bam", "size": 90_000, "parts": 3 }, { "path": "/run/b.txt", "size": 900 },
        ] },
        { "id": "c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f02", "name": "archive", "age": "1h" },
    ] })
}

impl Account {
    /// What the other values of parameters name.
    pub(crate) async fn furnish(&self) {
        self.aws.sns.create_topic().name("canvas").send().await.unwrap();
        let parameter = async |name: &str, value: &str| {
            let put = self.aws.ssm.put_parameter().name(name).value(value).overwrite(true);
            put.r#type(aws_sdk_ssm::types::ParameterType::String).send().await.unwrap();
        };
        let there = async |name: &str| {
            let found = self.aws.ssm.get_parameter().name(name).send().await.unwrap();
            found.parameter.unwrap().value.unwrap()
        };
        for (from, to) in [
            ("/copy-manager/subnet-ids", "/another/subnets"),
            ("/copy-manager/security-group-ids", "/another/groups"),
            ("/copy-manager/icav2-token-secret-arn", "/another/parameter"),
        ] {
            parameter(to, &there(from).await).await;
        }
        let settings = "[policy]\nsource_projects = [\"lab\"]\n";
        parameter("/copy-manager/dev/settings", settings).await;
        parameter("/prod/canvas_data_2/dap_client_id", "us-east-1#any").await;
        parameter("/prod/canvas_data_2/dap_client_secret", "any").await;
        let database = json!({ "username": "any", "password": "any", "dbname": "canvas", "host": "127.0.0.1", "port": 1 });
        let secret = self.aws.secrets.create_secret().name("canvas");
        secret.secret_string(database.to_string()).send().await.unwrap();
        let more = "[north]\nclient_id = 'us-east-1#any'\nclient_secret = 'any'\n\
            database_url = 'postgresql://any:any@127.0.0.1:1/north'\n";
        self.aws.secrets.create_secret().name("more").secret_string(more).send().await.unwrap();
        self.emulator
            .json(
                "ecs",
                "AmazonEC2ContainerServiceV20141113.CreateCluster",
                &json!({ "clusterName": "another" }),
            )
            .await;
        self.aws.eventbridge.create_event_bus().name("Another").send().await.unwrap();
        self.emulator.create_stack("copy-manager-prod-stateful", STATEFUL, &[("Stage", "prod")]).await;
    }
}

/// Every parameter with another value, or with each that it may have, each with what it needs.
fn sets(yaml: &Yaml) -> Vec<(String, Vec<(String, String)>)> {
    let mut sets = Vec::new();
    for (name, parameter) in yaml["Parameters"].as_mapping().unwrap() {
        let name = text(name);
        if NOT_ALONE.contains(&name.as_str()) {
            continue;
        }
        let allowed = parameter.get("AllowedValues").and_then(Yaml::as_sequence);
        let values: Vec<String> = if let Some(allowed) = allowed {
            allowed.iter().map(text).collect()
        } else {
            let other = OTHER.iter().chain([&TOPIC]).find(|(other, _)| *other == name);
            vec![other.unwrap_or_else(|| panic!("another value of {name} is missing here")).1.to_owned()]
        };
        for value in values {
            let title = format!("{name}={value}");
            let with = WITH.iter().filter(|(of, _)| title.starts_with(of)).flat_map(|(_, with)| *with);
            let with = with.filter(|(other, _)| *other != name);
            let mut set: Vec<_> =
                with.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            set.push((name.clone(), value));
            sets.push((title, set));
        }
    }
    sets
}

#[tokio::test]
async fn the_service_starts_with_its_defaults_and_with_every_parameter() {
    let Some(account) = Account::open(&world(), &["--job-duration", "500ms"]).await else { return };
    account.furnish().await;
    let service = account.service("CREATE", &[]).await;
    let (daemon, _) = account.serve("defaults", &service, &[]).await;
    // With nothing but what the template gives, a caller's copy is made.
    let manifest = json!({ "manifest": { "icav2://lab/run/a.bam": ["icav2://archive/in/"],
        "icav2://lab/run/b.txt": ["icav2://archive/in/"] } });
    let output = account.machine("copy-batch").start(&manifest).await.succeeded(Duration::from_mins(2)).await;
    assert_eq!(output["counters"]["jobs_passed"], 1, "{output:#}");
    assert_eq!(account.platform.tree("archive", "/in/").await.len(), 2);
    assert!(daemon.said("messages not deleted, they will be received again").is_empty());
    drop(daemon);

    let yaml: Yaml = serde_norway::from_str(SERVICE).unwrap();
    // Of those that make the same environment, one is enough.
    let given =
        |service: &Service| format!("{} {}", service.container["environment"], service.container["secrets"]);
    let mut started = BTreeSet::from([given(&service)]);
    for (title, set) in sets(&yaml) {
        // The emulator does not make another service for another name.
        let change = if title.starts_with("Stage=") { "CREATE" } else { "UPDATE" };
        let service = account.service(change, &set).await;
        if started.insert(given(&service)) {
            account.serve(title.split('=').next().unwrap(), &service, &[]).await;
        }
    }
    assert!(started.len() > 20, "{started:#?}");
    let kept = account.emulator.delete_stack("copy-manager-dev").await;
    assert_eq!(kept, ["Logs"], "nothing else of the service outlives it");
}

/// `deploy/compose.yaml`: the environment of its daemon, with a folder for its volume.
#[tokio::test]
async fn the_laboratory_starts_as_its_file_says() {
    let yaml: Yaml = serde_norway::from_str(include_str!("../../deploy/compose.yaml")).unwrap();
    let data = tempfile::tempdir().unwrap();
    let platform = Platform::start(&data, &world(), &[], &[]).await;
    let listen = format!("127.0.0.1:{}", free_port());
    let mut environment = vec![("ICAV2_BASE_URL".to_owned(), platform.url())];
    for (name, value) in yaml["services"]["copy-manager"]["environment"].as_mapping().unwrap() {
        let value = text(value).replace("${ICAV2_ACCESS_TOKEN:-}", "any");
        let value = value.replace("/data", data.path().to_str().unwrap()).replace("0.0.0.0:8080", &listen);
        // What else may stand in `.env` is not set.
        let left = value.split("${").map(|part| part.split_once(":-}").map_or(part, |(_, rest)| rest));
        environment.push((text(name), left.collect()));
    }
    let mut daemon = Process::spawn("laboratory", data.path(), &["serve"], &environment);
    let server = format!("http://{listen}");
    within(Duration::from_secs(40), "the laboratory", async || {
        assert_eq!(daemon.status(), None);
        let answer = reqwest::get(format!("{server}/readyz")).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    let requests = reqwest::Client::new().get(format!("{server}/v1/requests"));
    assert_eq!(requests.try_clone().unwrap().send().await.unwrap().status(), 401);
    let token = std::fs::read_to_string(data.path().join("token")).unwrap();
    assert_eq!(requests.bearer_auth(token.trim()).send().await.unwrap().status(), 200);
}
