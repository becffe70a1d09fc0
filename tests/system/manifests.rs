//! Manifests, the whole way: through a caller's own state machine, through the ones of
//! `deploy/facade.yaml`, and from a shell.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use copy_manager::domain::ids::RequestId;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    lab::Lab,
    machine::Machine,
    watch::{Watch, assert_shape},
    within,
    worlds::world,
};

const PATIENCE: Duration = Duration::from_mins(1);
const FACADE: &str = include_str!("../../deploy/facade.yaml");

fn files() -> Value {
    let files = [
        ("/run/a b+c.bam", 90_000, 3),
        ("/run/50%41 #2.bam", 50_000, 2),
        ("/run/ü.txt", 700, 1),
        ("/more/a b+c.bam", 60_000, 2),
    ];
    world(&[], &files.map(|(path, size, parts)| (path.to_owned(), size, parts)))
}

/// Both large files to one folder, one of them also to another, and a small one to a third.
fn manifest(name: &str) -> Value {
    json!({
        "icav2://lab/run/a b+c.bam": [format!("icav2://archive/{name}/one/"), format!("icav2://archive/{name}/two/")],
        "icav2://lab/run/50%41 #2.bam": [format!("icav2://archive/{name}/one/")],
        "icav2://lab/run/ü.txt": [format!("icav2://archive/{name}/three/")],
    })
}

/// The output that the manifest must have, with the jobs of this one in their places.
fn expected(name: &str, output: &Value) -> Value {
    let entries = output["job_list_with_attempt_counter"].as_array().unwrap();
    let large = ["icav2://lab/run/a b+c.bam", "icav2://lab/run/50%41 #2.bam"];
    let sources: [(&str, &[&str]); 3] =
        [("one", &large), ("two", &large[..1]), ("three", &["icav2://lab/run/ü.txt"])];
    let entries: Vec<_> = sources
        .iter()
        .zip(entries)
        .map(|((folder, sources), found)| {
            let (job, failed) = (&found["job_id"], found["failed_jobs_list"].as_array().unwrap());
            if *folder == "three" {
                assert!(job.is_null() && failed.is_empty(), "a small file goes by no job: {found}");
            } else {
                assert!(job.is_string() && failed.iter().all(|id| id.is_string() && id != job), "{found}");
            }
            let attempt = found["job_attempt_counter"].as_u64().unwrap();
            assert_eq!(attempt > 1, !failed.is_empty(), "{found}");
            json!({
                "job_attempt_counter": attempt,
                "job_id": job,
                "failed_jobs_list": failed,
                "dest_uri": format!("icav2://archive/{name}/{folder}/"),
                "source_uris": sources,
                "job_status": true,
            })
        })
        .collect();
    json!({
        "job_status_iterable_parameter": {"job_status_iterable": 3},
        "wait_parameter": {"wait": true},
        "counters": {"jobs_failed": 0, "jobs_running": 0, "jobs_passed": 3},
        "job_list_with_attempt_counter": entries,
    })
}

async fn assert_delivered(lab: &Lab, name: &str, output: &Value) {
    assert_shape("outcome", output);
    pretty_assertions::assert_eq!(*output, expected(name, output));
    for (folder, names) in
        [("one", &["50%41 #2.bam", "a b+c.bam"][..]), ("two", &["a b+c.bam"]), ("three", &["ü.txt"])]
    {
        let there = format!("/{name}/{folder}/");
        let tree = lab.platform.tree("archive", &there).await;
        let sources = lab.platform.tree("lab", "/run/").await;
        let mut found = Vec::new();
        for entry in &tree {
            let name = entry["path"].as_str().unwrap().strip_prefix(&there).unwrap();
            let source = sources.iter().find(|source| source["path"] == format!("/run/{name}")).unwrap();
            assert_eq!(entry["status"], "AVAILABLE");
            assert_eq!((&entry["size"], &entry["md5"]), (&source["size"], &source["md5"]), "{entry}");
            found.push(name);
        }
        found.sort_unstable();
        assert_eq!(found, names);
    }
}

fn packed(manifest: &Value) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut encoder, manifest.to_string().as_bytes()).unwrap();
    BASE64_STANDARD.encode(encoder.finish().unwrap())
}

#[tokio::test]
async fn a_state_machine_gets_the_output_of_its_manifest() {
    let options = ["--seed", "11", "--job-failure-rate", "0.2", "--job-duration", "500ms"];
    let Some(lab) = Lab::start("batch", &files(), &options).await else { return };
    let mut watch = Watch::subscribe(&lab).await;
    let mut daemon = lab.serve("serve", &[]).await;
    let entry = json!({
        "EventBusName": lab.stack.external_bus_name,
        "Source": "my.service",
        "DetailType": "ICAv2CopyBatchSync",
        "Detail": {
            "taskToken": "{% $states.context.Task.Token %}",
            "requestId": "nightly",
            "payload": {"manifest": "{% $states.input.manifest %}"},
        },
    });
    let task = json!({
        "QueryLanguage": "JSONata",
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents.waitForTaskToken",
        "Arguments": {"Entries": [entry]},
    });
    let machine = Machine::create(&lab.aws.sfn, "manifests", task).await;
    let output = machine.start(&json!({"manifest": manifest("own")})).await.succeeded(PATIENCE).await;
    assert_delivered(&lab, "own", &output).await;

    // Everybody is told the same.
    let id = RequestId::of_caller("my.service", "nightly");
    let told = within(PATIENCE, "the last state change", async || {
        let changes = watch.of(id.as_str()).await;
        changes.into_iter().find(|change| change["status"] == "SUCCEEDED")
    })
    .await;
    assert_shape("state-change", &told);
    assert_eq!((&told["kind"], &told["outcome"]), (&json!("batch"), &output));
    assert_eq!(told["counters"]["files"], 4);

    // From a shell.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest("shell").to_string()).unwrap();
    let server = format!("http://{}", daemon.ready().await);
    let path = file.path().to_str().unwrap();
    let bus = &lab.stack.external_bus_name;
    let submit = ["submit", "batch", path, "--wait", "--json", "--bus", bus, "--server", &server];
    let submitted = lab.shell(&submit).output().await.unwrap();
    assert!(submitted.status.success(), "{submitted:?}");
    let shown: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    assert_delivered(&lab, "shell", &shown["output"]).await;
}

#[tokio::test]
async fn the_machines_of_predecessors_callers_answer_as_they_are_used_to() {
    let options = ["--job-duration", "500ms"];
    let Some(lab) = Lab::start("facade", &files(), &options).await else { return };
    let _daemon = lab.serve("serve", &[]).await;
    let bus = lab.stack.external_bus_name.as_str();
    let parameters = [("Stage", "facade"), ("ExternalBusName", bus), ("HeartbeatSeconds", "600")];
    let outputs = lab.emulator().create_stack("copy-manager-facade-machines", FACADE, &parameters).await;
    // Callers look for it by the name that they have always used.
    let arn = parameter(&lab, "/icav2_copy_batch_utility/state_machine_arn").await;
    assert_eq!(arn, outputs["CopyBatchArn"]);
    assert_eq!(parameter(&lab, &outputs["CopyOutParameterName"]).await, outputs["CopyOutArn"]);

    let machine = Machine::at(&lab.aws.sfn, &arn);
    let plain = machine.start(&json!({"manifest": manifest("plain")})).await;
    let gzipped = machine.start(&json!({"manifest_b64gz": packed(&manifest("gzipped"))})).await;
    assert_delivered(&lab, "plain", &plain.succeeded(PATIENCE).await).await;
    assert_delivered(&lab, "gzipped", &gzipped.succeeded(PATIENCE).await).await;

    // A failure is handed on as it is, and what did not fail was delivered.
    let refused = machine.start(&json!({"manifest": {}})).await;
    let (error, cause) = refused.failed(PATIENCE).await;
    assert_eq!(error, "InvalidRequest", "{cause}");
    assert!(cause["message"].as_str().unwrap().contains("`detail.payload.manifest` is empty"), "{cause}");
    let clash = json!({
        "icav2://lab/more/a b+c.bam": ["icav2://archive/plain/two/", "icav2://archive/clash/"],
    });
    let (error, cause) = machine.start(&json!({"manifest": clash})).await.failed(PATIENCE).await;
    assert_eq!(error, "DestinationConflict", "{cause}");
    assert_shape("outcome", &cause);
    let failed: Vec<_> =
        cause["destinations"].as_array().unwrap().iter().map(|to| &to["destinationUri"]).collect();
    assert_eq!(failed, ["icav2://archive/plain/two/"]);
    let there = lab.platform.tree("archive", "/clash/").await;
    assert_eq!(there[0]["path"], "/clash/a b+c.bam");
}

/// `GetParameter` of SSM, by hand: nothing else of it is needed.
pub(crate) async fn parameter(lab: &Lab, name: &str) -> String {
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/ap-southeast-2/ssm/aws4_request";
    let answer = reqwest::Client::new()
        .post(lab.endpoint())
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "AmazonSSM.GetParameter")
        .header("authorization", format!("{scope}, SignedHeaders=host, Signature=none"))
        .body(json!({"Name": name}).to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["Parameter"]["Value"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}
