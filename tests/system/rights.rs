//! The rights of the task role of `deploy/service.yaml`, beside the calls that a daemon makes: none is refused, each is
//! allowed by a statement, and no statement allows what nothing calls.
//!
//! The emulator checks signatures and rights as AWS does, queue policies included. Which right a call needs is said here
//! once more, so that what is never called is seen.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    account::Account,
    binary::Process,
    emulated::{create_bucket, put_parts},
    gate::Call,
    shore::{get, put},
    template::{OTHER, TOPIC},
    within,
};

const PATIENCE: Duration = Duration::from_mins(2);
/// The token whose sum `ShareTokens` has.
const TOKEN: &str = "s3cr3t-of-sharing";
const ACCOUNT: &str = "ap-southeast-2:000000000000";

/// What is allowed and not called here, with the reason. Conditions of keys are none of the emulator's.
const UNUSED: [(&str, &str, &str); 12] = [
    ("IcaTokenKey", "kms:Decrypt", "Secrets Manager calls it for us"),
    ("CallerKeys", "kms:GenerateDataKey", "Step Functions calls it for us"),
    ("CallerKeys", "kms:Decrypt", "Step Functions calls it for us"),
    ("SecretKeys", "kms:Decrypt", "Secrets Manager, the Parameter Store and SNS call it for us"),
    ("SecretKeys", "kms:GenerateDataKey", "SNS calls it for us"),
    ("ReadableKeys", "kms:Decrypt", "S3 calls it for us"),
    ("WritableKeys", "kms:GenerateDataKey", "S3 calls it for us"),
    ("WritableKeys", "kms:Decrypt", "S3 calls it for us"),
    (
        "CopyOuts",
        "s3:ListMultipartUploadParts",
        "after a crash alone: system::interruptions, scenario::pieces",
    ),
    ("Reports", "s3:AbortMultipartUpload", "reports of many parts that fail alone: aws::objects::tests"),
    (
        "ShareArtifacts",
        "s3:AbortMultipartUpload",
        "reports of many parts that fail alone: aws::objects::tests",
    ),
    (
        "CanvasTopic",
        "sns:Publish",
        "at the end of a run, which needs a database: announce::tests, aws::scripted",
    ),
];

fn objects() -> Value {
    json!({ "projects": [
        { "id": "5b1d1b36-9d2c-4a53-8f0e-6f3f6f2d1c01", "name": "lab", "age": "1h", "files": [
            { "path": "/run/a.bam", "size": 90_000, "parts": 3 },
        ] },
        { "id": "c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f02", "name": "archive", "age": "1h" },
    ] })
}

/// Which right each call needs, and for what. Where nothing else is said it is named as the call is.
fn needs(call: &Call) -> Vec<(String, String)> {
    let asked = &call.asked;
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let one = |resource: String| {
        let operation = call.operation.trim_end_matches("Batch");
        vec![(format!("{}:{operation}", call.service), resource)]
    };
    match call.service.as_str() {
        "sqs" => one(format!("arn:aws:sqs:{ACCOUNT}:{}", text("QueueUrl").rsplit('/').next().unwrap())),
        "dynamodb" => in_table(call),
        "events" => {
            let entries = asked["Entries"].as_array().into_iter().flatten();
            let buses = entries.map(|entry| entry["EventBusName"].as_str().unwrap_or("default"));
            buses.flat_map(|bus| one(format!("arn:aws:events:{ACCOUNT}:event-bus/{bus}"))).collect()
        }
        "secretsmanager" if text("SecretId").starts_with("arn:") => one(text("SecretId").to_owned()),
        "secretsmanager" => {
            one(format!("arn:aws:secretsmanager:{ACCOUNT}:secret:{}-AbCdEf", text("SecretId")))
        }
        "ssm" => one(format!("arn:aws:ssm:{ACCOUNT}:parameter{}", text("Name"))),
        "sns" => one(text("TopicArn").to_owned()),
        "s3" => in_s3(call),
        _ => one("*".to_owned()),
    }
}

/// A transaction is no action of its own: each of its items is.
fn in_table(call: &Call) -> Vec<(String, String)> {
    let table = |name: &Value| format!("arn:aws:dynamodb:{ACCOUNT}:table/{}", name.as_str().unwrap());
    let asked = &call.asked;
    match call.operation.as_str() {
        "TransactWriteItems" => {
            let items =
                asked["TransactItems"].as_array().unwrap().iter().flat_map(|item| item.as_object().unwrap());
            let right = |kind: &str| match kind {
                "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
                kind => format!("dynamodb:{kind}Item"),
            };
            items.map(|(kind, item)| (right(kind), table(&item["TableName"]))).collect()
        }
        "BatchGetItem" => {
            let tables = asked["RequestItems"].as_object().unwrap().keys();
            tables.map(|name| ("dynamodb:BatchGetItem".to_owned(), table(&json!(name)))).collect()
        }
        operation => {
            let index = asked["IndexName"].as_str().map_or_else(String::new, |name| format!("/index/{name}"));
            vec![(format!("dynamodb:{operation}"), table(&asked["TableName"]) + &index)]
        }
    }
}

/// S3 names rights otherwise than calls, and copies read, too.
fn in_s3(call: &Call) -> Vec<(String, String)> {
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
    let object = |path: &str| format!("arn:aws:s3:::{}", path.trim_start_matches('/'));
    let here = |right: &str| (format!("s3:{right}"), object(&call.path));
    let mut needs = match call.operation.as_str() {
        "ListObjectsV2" | "HeadBucket" => {
            return vec![("s3:ListBucket".to_owned(), object(call.path.trim_end_matches('/')))];
        }
        "HeadObject" => vec![here("GetObject")],
        "AbortMultipartUpload" | "GetObject" | "GetObjectTagging" | "RestoreObject" | "DeleteObject" => {
            vec![here(&call.operation)]
        }
        "ListParts" => vec![here("ListMultipartUploadParts")],
        "" => panic!("a call of S3 that is not known here: {call:?}"),
        _ => vec![here("PutObject")],
    };
    if let Some(source) = header("x-amz-copy-source") {
        let source = percent_encoding::percent_decode_str(source).decode_utf8_lossy();
        let source = object(source.split('?').next().unwrap());
        // What copies an object copies its tags, unless it says otherwise.
        if call.operation == "CopyObject" && header("x-amz-tagging-directive") != Some("REPLACE") {
            needs.extend([("s3:GetObjectTagging".to_owned(), source.clone()), here("PutObjectTagging")]);
        }
        needs.push(("s3:GetObject".to_owned(), source));
    }
    if header("x-amz-tagging").is_some_and(|tags| !tags.is_empty()) {
        needs.push(here("PutObjectTagging"));
    }
    if header("x-amz-acl").is_some() {
        needs.push(here("PutObjectAcl"));
    }
    needs
}

/// Whether a pattern of a policy fits.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap()) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap()).collect(),
        one => vec![one.as_str().unwrap()],
    }
}

/// What of the policy the calls have used, and what they needed that it does not allow.
fn compared(policy: &Value, calls: &[Call]) -> [BTreeSet<(String, String)>; 2] {
    let (mut used, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for (action, resource) in calls.iter().flat_map(needs).collect::<BTreeSet<_>>() {
        let statements = policy["Statement"].as_array().unwrap().iter().filter(|statement| {
            texts(&statement["Action"]).contains(&action.as_str())
                && texts(&statement["Resource"]).iter().any(|pattern| fits(pattern, &resource))
        });
        let sids: Vec<_> =
            statements.map(|statement| statement["Sid"].as_str().unwrap().to_owned()).collect();
        if sids.is_empty() {
            missing.insert((action.clone(), resource));
        }
        used.extend(sids.into_iter().map(|sid| (sid, action.clone())));
    }
    [used, missing]
}

fn owned(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Account {
    /// The S3 of the account, for a client with all rights.
    async fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.emulator.config().await);
        aws_sdk_s3::Client::from_conf(config.force_path_style(true).build())
    }

    /// Puts an event on the bus of callers.
    async fn event(&self, detail_type: &str, detail: &Value) {
        let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
            .event_bus_name("OrcaBusMain")
            .source("system.test")
            .detail_type(detail_type)
            .detail(detail.to_string())
            .build();
        let answer = self.aws.eventbridge.put_events().entries(entry).send().await.unwrap();
        assert_eq!(answer.failed_entry_count(), 0, "{answer:?}");
    }

    /// Buckets with what is copied and shared.
    async fn fill(&self) -> aws_sdk_s3::Client {
        let s3 = self.s3().await;
        for bucket in ["source-data", "dest-data", "lists", "tables", "reports", "sharing"] {
            create_bucket(&s3, bucket).await;
        }
        let tagged = s3.put_object().bucket("source-data").key("run/a.txt").tagging("k=v");
        tagged.body("text".as_bytes().to_vec().into()).send().await.unwrap();
        put_parts(&s3, "source-data", "run/parts.bam", &[5 << 20, 3]).await;
        let cold = s3.put_object().bucket("source-data").key("run/cold.bam");
        let cold = cold.storage_class(aws_sdk_s3::types::StorageClass::Glacier);
        cold.body("cold".as_bytes().to_vec().into()).send().await.unwrap();
        put(&s3, "source-data", "shelf/c.txt", "text".to_owned()).await;
        put(&s3, "lists", "warm.csv", "source-data,run/a.txt\nsource-data,run/parts.bam\n".to_owned()).await;
        put(&s3, "lists", "cold.csv", "source-data,run/cold.bam\n".to_owned()).await;
        put(&s3, "lists", "keys.csv", "source-data,run/a.txt\n".to_owned()).await;
        put(
            &s3,
            "tables",
            "files.csv",
            "uri,library_id,instrument_run_id,lane\ns3://source-data/run/a.txt,L1,R1,1\n".to_owned(),
        )
        .await;
        put(&s3, "tables", "lims.csv", "library_id\nL1\n".to_owned()).await;
        put(&s3, "tables", "jobs.json", "[]".to_owned()).await;
        let keys = json!({ "access_key_id": "test", "secret_access_key": "test" }).to_string();
        self.aws.secrets.create_secret().name("keys/dest").secret_string(keys).send().await.unwrap();
        s3
    }

    /// Lists: with parts, with archived objects, and with other keys.
    async fn copies_lists(&self) {
        let list = |key: &str, more: Value| {
            let mut input = json!({ "sourceFilesCsvBucket": "lists", "sourceFilesCsvKey": key,
                "destinationBucket": "dest-data", "destinationPrefixKey": format!("{key}/") });
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            input
        };
        let copy_out = self.machine("copy-out");
        let warm = copy_out.start(&list("warm.csv", json!({}))).await;
        copy_out
            .start(&list(
                "cold.csv",
                json!({ "thawParams": { "glacierFlexibleRetrievalThawSpeed": "Bulk" } }),
            ))
            .await;
        let definition = json!({ "credentialProvider": "aws-secret", "secret": "keys/dest" });
        copy_out.start(&list("keys.csv", json!({ "bucketDefinitions": { "dest-data": definition } }))).await;
        assert_eq!(warm.succeeded(PATIENCE).await["objects"]["copied"], 2);
        self.called("RestoreObject", "source-data/run/cold.bam").await;
    }

    /// A package is made, pushed, read as anybody reads it who has its link, and deleted.
    async fn shares(&self, daemon: &Process) {
        let payload = json!({ "packageName": "mine", "shareDestination": "s3://dest-data/shared/",
            "packageRequest": { "libraryIdList": ["L1"], "dataTypeList": ["fastq"] } });
        self.event("DataPackageSync", &json!({ "payload": payload })).await;
        daemon.says("sharing is open").await;
        let desk = daemon.said("sharing is open")[0]["address"].as_str().unwrap().to_owned();
        let desk = format!("http://{desk}/api/v1");
        let http = reqwest::Client::new();
        let package = within(PATIENCE, "the push", async || {
            let pushes = http.get(format!("{desk}/push")).bearer_auth(TOKEN).send().await.unwrap();
            let pushes: Value = pushes.json().await.unwrap();
            let done = pushes["results"][0]["status"] == "SUCCEEDED";
            done.then(|| pushes["results"][0]["packageId"].as_str().unwrap().to_owned())
        })
        .await;
        let mut report = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
        report.args(["share", "view-package-report", "--package-id", &package]).env_clear();
        report.args(["--endpoint", desk.trim_end_matches("/api/v1")]).env("COPY_MANAGER_SHARE_TOKEN", TOKEN);
        let address = String::from_utf8(report.output().await.unwrap().stdout).unwrap();
        let read = reqwest::get(address.trim().trim_matches('"')).await.unwrap();
        assert!(read.status().is_success(), "{address}: {}", read.text().await.unwrap());
        let gone = http.delete(format!("{desk}/package/{package}")).bearer_auth(TOKEN).send().await.unwrap();
        assert!(gone.status().is_success(), "{}", gone.text().await.unwrap());
    }

    /// Until the daemon has made that call.
    async fn called(&self, operation: &str, place: &str) {
        within(PATIENCE, &format!("{operation} of {place}"), async || {
            let made = |call: &Call| call.operation == operation && call.path.starts_with(place);
            self.calls().iter().any(made).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn each_call_is_allowed_and_each_right_is_used() {
    let options = ["--job-duration", "3s", "--s3-listen", "127.0.0.1:0"];
    let Some(account) = Account::open(&objects(), &options).await else { return };
    account.furnish().await;
    let s3 = account.fill().await;
    let elsewhere = ["Stage", "ClusterName", "ExternalBusName", "IcaTokenSecretArn", "EndpointHosts"];
    let mut everything: Vec<_> =
        OTHER.into_iter().filter(|(name, _)| !elsewhere.contains(name)).chain([TOPIC]).collect();
    everything.extend([("MetricsForCloudWatch", "true"), ("RestoresArchives", "true")]);
    let service = account.service("CREATE", &owned(&everything)).await;
    let (daemon, server) = account
        .serve(
            "everything",
            &service,
            &[
                ("COPY_MANAGER__HEARTBEAT__INTERVAL", "1s"),
                ("COPY_MANAGER__HEARTBEAT__PROMISE", "5s"),
                ("COPY_MANAGER__SERVICE__TICK", "500ms"),
                ("COPY_MANAGER__ICAV2__SETTLE", "1s"),
                ("COPY_MANAGER__CANVAS__BASE_URL", "http://127.0.0.1:1"),
            ],
        )
        .await;

    // IAM takes no more in the policies of a role (10,240 characters, white space apart), which the emulator does not say.
    // Some of it is left for longer names, and for more buckets and keys.
    let characters = service.policy.to_string().len();
    assert!(characters < 10_240 - 2_000, "{characters} characters");

    // Copies with a token: heartbeats, a success and a failure.
    let batch = account.machine("copy-batch");
    let good = json!({ "manifest": { "icav2://lab/run/a.bam": ["icav2://archive/in/"] } });
    let bad = json!({ "manifest": { "icav2://lab/none.bam": ["icav2://archive/in/"] } });
    let (good, bad) = (batch.start(&good).await, batch.start(&bad).await);
    assert_eq!(good.succeeded(PATIENCE).await["counters"]["jobs_passed"], 1);

    // From a bucket to a project, with a receipt, and to another bucket.
    let payload = json!({ "externalSourceUriList": ["s3://source-data/run/a.txt"],
        "destinationUri": "icav2://archive/outside/", "receipt": true });
    account.event("ICAv2DataCopySync", &json!({ "payload": payload })).await;
    let payload =
        json!({ "sourceUriList": ["s3://source-data/shelf/"], "destinationUri": "s3://dest-data/outside/" });
    account.event("ICAv2DataCopySync", &json!({ "payload": payload })).await;

    account.copies_lists().await;
    account.shares(&daemon).await;

    // What is listed for people, and the ends of what was begun above.
    let listed = reqwest::get(format!("{server}/v1/requests")).await.unwrap();
    assert!(listed.status().is_success());
    assert_eq!(bad.failed(PATIENCE).await.0, "SourceNotFound");
    within(PATIENCE, "what was copied to the bucket", async || {
        let there = s3.list_objects_v2().bucket("dest-data").prefix("outside/").send().await.unwrap();
        (there.key_count() >= Some(1)).then_some(())
    })
    .await;
    account.called("PutObject", "reports/copies/").await;
    assert_eq!(get(&s3, "dest-data", "warm.csv/a.txt").await, "text");

    // A message that comes while it stops is handed back.
    daemon.terminate();
    daemon.says("stopping: no new work is taken").await;
    account
        .event("ICAv2DataCopySync", &json!({ "payload": { "sourceUriList": [], "destinationUri": "" } }))
        .await;
    account.called("ChangeMessageVisibilityBatch", "").await;

    let calls = account.calls();
    assert!(calls.len() > 100, "{}", calls.len());
    let refused: Vec<_> = calls.iter().filter(|call| [401, 403].contains(&call.status.as_u16())).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let [mut used, missing] = compared(&service.policy, &calls);
    assert!(missing.is_empty(), "no statement allows this: {missing:#?}");
    for (sid, action, why) in UNUSED {
        assert!(used.insert((sid.to_owned(), action.to_owned())), "{sid}, {action} is used, not only: {why}");
    }
    let statements = service.policy["Statement"].as_array().unwrap();
    let allowed: BTreeSet<_> = statements
        .iter()
        .flat_map(|statement| {
            let sid = statement["Sid"].as_str().unwrap();
            texts(&statement["Action"]).into_iter().map(move |action| (sid.to_owned(), action.to_owned()))
        })
        .collect();
    let unused: Vec<_> = allowed.difference(&used).collect();
    assert!(unused.is_empty(), "nothing calls this: {unused:#?}");
}

#[test]
fn patterns_fit_as_those_of_policies_do() {
    assert!(fits("*", "any") && fits("a/*", "a/b/c") && fits("a*c", "abc") && fits("abc", "abc"));
    assert!(!fits("a/*", "b/a/") && !fits("abc", "abcd") && !fits("a*c", "abcd") && !fits("a*b*c", "acb"));
}
