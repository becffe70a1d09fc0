//! The service as `deploy/service.yaml` starts it: with exactly the environment of its task definition,
//! for the defaults and for every parameter.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use tokio::{net::TcpListener, time::timeout};

use crate::binary::Process;

/// How long a daemon may take to call AWS.
const PATIENCE: Duration = Duration::from_secs(40);

/// What parameters without a default are given.
const GIVEN: [(&str, &str); 8] = [
    ("Image", "copy-manager:test"),
    ("ClusterName", "cluster"),
    ("SubnetIds", "subnet-1"),
    ("SecurityGroupIds", "sg-1"),
    ("CopyRequestsQueueUrl", "https://sqs.ap-southeast-2.amazonaws.com/123456789012/copy-requests"),
    ("IcaEventsQueueUrl", "https://sqs.ap-southeast-2.amazonaws.com/123456789012/ica-events"),
    ("TableName", "copy-manager"),
    ("InternalBusName", "copy-manager-internal"),
];

/// Another value of each parameter that has a default and no list of allowed values.
const OTHER: [(&str, &str); 28] = [
    ("CopyOutAcl", "bucket-owner-full-control"),
    ("Stage", "prod"),
    ("DesiredCount", "0"),
    ("IcaTokenSecretArn", "/another/parameter"),
    ("IcaTokenKeyArn", "arn:aws:kms:ap-southeast-2:123456789012:key/1"),
    ("ReadableBuckets", "arn:aws:s3:::a,arn:aws:s3:::b"),
    ("WritableBuckets", "arn:aws:s3:::c"),
    ("BucketSecretArns", "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:k"),
    ("BucketSecrets", "keys/*,other"),
    ("EndpointHosts", "s3.example.org,*.s3.example.net"),
    ("ReportPrefix", "s3://reports/copies/"),
    ("ExternalBusName", "Another"),
    ("CallerKeyArns", "arn:aws:kms:ap-southeast-2:123456789012:key/2"),
    ("ShareArtifacts", "s3://sharing/artifacts/"),
    ("SharePublicUrl", "https://share.example.org"),
    ("ShareTokens", "ann:admin:a771cb1d697146d6def337d9f224be2dec41366276af4138832187b8310e35e2"),
    ("ShareCatalogue", "s3://tables/a.csv,s3://tables/b.csv"),
    ("ShareLims", "s3://tables/lims.csv"),
    ("ShareAutoJobs", "s3://tables/jobs.json"),
    ("CanvasCredentialsPath", "/prod/canvas_data_2"),
    ("CanvasDatabaseSecretArn", "arn:aws:secretsmanager:ap-southeast-2:111122223333:secret:canvas-AbCdEf"),
    ("CanvasSchedule", "rate(3 hours)"),
    ("CanvasZone", "America/New_York"),
    ("CanvasColumns", "users.name=null"),
    ("CanvasNotify", "log,sns:arn:aws:sns:ap-southeast-2:111122223333:canvas"),
    ("CanvasTopicArn", "arn:aws:sns:ap-southeast-2:111122223333:canvas"),
    ("Cpu", "1024"),
    ("Memory", "2048"),
];

/// Where sharing listens: in a test on a port that no other one has.
const LISTEN: &str = "COPY_MANAGER__SHARE__LISTEN";

/// The template with its parameters.
struct Template {
    yaml: Yaml,
    parameters: BTreeMap<String, String>,
}

impl Template {
    fn new(yaml: &Yaml, changed: &[(String, String)]) -> Self {
        let mut parameters = BTreeMap::new();
        for (name, parameter) in yaml["Parameters"].as_mapping().unwrap() {
            let default = parameter.get("Default").map(text);
            parameters.extend(default.map(|default| (text(name), default)));
        }
        parameters.extend(GIVEN.map(|(name, value)| (name.to_owned(), value.to_owned())));
        parameters.extend(changed.iter().cloned());
        // What an SSM parameter holds takes its place.
        let secret = "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:ica-token";
        parameters.insert("IcaTokenSecretArn".to_owned(), secret.to_owned());
        Self { yaml: yaml.clone(), parameters }
    }

    /// The environment of the container.
    fn environment(&self) -> Vec<(String, String)> {
        let container = &self.yaml["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0];
        let Value::Array(entries) = self.value(&container["Environment"]) else { panic!("no list") };
        let pair = |entry: &Value| {
            let field = |name: &str| entry[name].as_str().unwrap_or_else(|| panic!("{entry}")).to_owned();
            (field("Name"), field("Value"))
        };
        entries.iter().map(pair).collect()
    }

    /// A value as `CloudFormation` makes it; null where it is to be left out.
    fn value(&self, yaml: &Yaml) -> Value {
        match yaml {
            Yaml::Tagged(tagged) => self.intrinsic(&tagged.tag.to_string(), &tagged.value),
            Yaml::Sequence(items) => {
                items.iter().map(|item| self.value(item)).filter(|item| !item.is_null()).collect()
            }
            Yaml::Mapping(fields) => {
                fields.iter().map(|(name, field)| (text(name), self.value(field))).collect()
            }
            other => text(other).into(),
        }
    }

    fn intrinsic(&self, tag: &str, inner: &Yaml) -> Value {
        match tag {
            "!Ref" => match inner.as_str().unwrap() {
                "AWS::NoValue" => Value::Null,
                "AWS::Region" => "ap-southeast-2".into(),
                "AWS::AccountId" => "123456789012".into(),
                "AWS::Partition" => "aws".into(),
                name => {
                    self.parameters.get(name).unwrap_or_else(|| panic!("no parameter {name}")).as_str().into()
                }
            },
            "!If" => {
                let chosen = if self.condition(&text(&inner[0])) { 1 } else { 2 };
                self.value(&inner[chosen])
            }
            "!Sub" => {
                let mut made = text(inner);
                for (name, value) in &self.parameters {
                    made = made.replace(&format!("${{{name}}}"), value);
                }
                made.into()
            }
            "!Join" => {
                let parts = self.value(&inner[1]);
                match &parts {
                    Value::Array(parts) => {
                        let parts: Vec<_> = parts.iter().map(|part| part.as_str().unwrap()).collect();
                        parts.join(&text(&inner[0])).into()
                    }
                    one => one.clone(),
                }
            }
            "!Equals" => json!(self.value(&inner[0]) == self.value(&inner[1])),
            "!Not" => json!(!self.value(&inner[0]).as_bool().unwrap()),
            other => panic!("{other} is not known to this test"),
        }
    }

    fn condition(&self, name: &str) -> bool {
        self.value(&self.yaml["Conditions"][name]).as_bool().unwrap()
    }
}

fn text(yaml: &Yaml) -> String {
    match yaml {
        Yaml::String(text) => text.clone(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(value) => value.to_string(),
        other => panic!("{other:?} is no text"),
    }
}

/// Waits until a daemon with that environment calls AWS: beyond the reading of its settings.
async fn starts(name: &str, mut environment: Vec<(String, String)>) {
    let aws = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    // What Fargate and the task role would give, and a port that no other test has.
    for (name, value) in [
        ("AWS_ENDPOINT_URL", format!("http://{}", aws.local_addr().unwrap())),
        ("AWS_REGION", "ap-southeast-2".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("COPY_MANAGER__ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
    ] {
        environment.push((name.to_owned(), value));
    }
    let listens = environment.iter().any(|(name, value)| name == LISTEN && !value.is_empty());
    if listens {
        environment.push((LISTEN.to_owned(), "127.0.0.1:0".to_owned()));
    }
    let mut daemon = Process::spawn("serve", directory.path(), &["serve"], &environment);
    tokio::select! {
        called = timeout(PATIENCE, aws.accept()) => assert!(matches!(called, Ok(Ok(_))), "{name}: it calls nobody"),
        status = daemon.ended() => panic!("{name}: it ended before it began: {status}"),
    }
}

#[tokio::test]
async fn the_service_starts_with_its_defaults_and_with_every_parameter() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/service.yaml");
    let yaml: Yaml = serde_norway::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut sets = vec![("the defaults".to_owned(), Vec::new())];
    for (name, parameter) in yaml["Parameters"].as_mapping().unwrap() {
        let name = text(name);
        if GIVEN.iter().any(|(given, _)| *given == name) {
            continue;
        }
        let allowed = parameter.get("AllowedValues").and_then(Yaml::as_sequence);
        let values: Vec<String> = if let Some(allowed) = allowed {
            allowed.iter().map(text).collect()
        } else {
            let other = OTHER.iter().find(|(other, _)| *other == name);
            vec![other.unwrap_or_else(|| panic!("another value of {name} is missing here")).1.to_owned()]
        };
        sets.extend(values.into_iter().map(|value| (format!("{name}={value}"), vec![(name.clone(), value)])));
    }
    let all = OTHER.iter().filter(|(name, _)| yaml["Parameters"].get(*name).is_some());
    let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    sets.push(("everything".to_owned(), all.collect()));
    // Of those that make the same environment, one is enough.
    let mut started = std::collections::BTreeSet::new();
    for (name, changed) in sets {
        let environment = Template::new(&yaml, &changed).environment();
        if started.insert(environment.clone()) {
            starts(&name, environment).await;
        }
    }
    assert!(started.len() > 8, "{started:#?}");
}
