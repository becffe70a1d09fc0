//! What cannot be done is said, with names; what cannot be understood holds nobody up.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    lab::{Lab, payload},
    machine::{self, Machine},
    watch::{assert_shape, drain},
    within,
    worlds::{assert_same, regular},
};

const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_job_that_fails_every_time_ends_the_execution_with_the_names_of_its_files() {
    let options = ["--job-duration", "500ms", "--job-failure-rate", "1"];
    let Some(lab) = Lab::start("failing", &regular(2, 2), &options).await else { return };
    let _daemon = lab.serve("serve", &[("ICAV2__MAX_ATTEMPTS", "3")]).await;
    let task = machine::jsonata(&lab.stack.external_bus_name, &machine::jsonata_detail());
    let machine = Machine::create(&lab.aws.sfn, "failing", task).await;
    let execution = machine.start(&payload(&["icav2://lab/run/"], "icav2://archive/in/")).await;
    let (error, cause) = execution.failed(PATIENCE).await;
    assert_eq!((error.as_str(), execution.answers().await), ("CopyJobFailed", 1), "{cause:#}");
    assert_shape("outcome", &cause);
    let named = cause["files"].as_array().unwrap().iter().map(|file| file["what"].as_str().unwrap());
    let mut named: Vec<&str> = named.map(|path| path.split_once("/in/run/").unwrap().1).collect();
    named.sort_unstable();
    assert_eq!(named, ["00/000.bam", "00/001.bam", "01/000.bam", "01/001.bam"], "{cause:#}");
    // What no job carries is there, and once jobs work again the same request brings the rest.
    let there = lab.platform.tree("archive", "/in/run/").await;
    let is_there = |entry: &&Value| entry["type"] == "FILE" && entry["status"] == "AVAILABLE";
    assert_eq!(there.iter().filter(is_there).count(), 2, "{there:#?}");
    lab.platform.faults(&json!({ "jobFailureRate": 0.0 })).await;
    let execution = machine.start(&payload(&["icav2://lab/run/"], "icav2://archive/in/")).await;
    let output = execution.succeeded(PATIENCE).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["skipped"]), (&json!(4), &json!(2)));
    assert_same(&lab.platform, "/run/", "/in/run/").await;
}

#[tokio::test]
async fn malformed_requests_are_answered_or_set_aside_and_no_other_is_lost() {
    let options = ["--job-duration", "500ms"];
    let Some(lab) = Lab::start("malformed", &regular(2, 2), &options).await else { return };
    let bus = &lab.stack.external_bus_name;
    let wrong = json!({
        "taskToken.$": "$$.Task.Token",
        "payload": { "sourceUriList": "icav2://lab/run/", "destinationUri.$": "$.destinationUri" },
    });
    let right =
        Machine::create(&lab.aws.sfn, "right", machine::jsonpath(bus, &machine::jsonpath_detail())).await;
    let wrong = Machine::create(&lab.aws.sfn, "wrong", machine::jsonpath(bus, &wrong)).await;
    // Everything is on the queue before the daemon is there, so that it all arrives together.
    let input = |name: &str| payload(&["icav2://lab/run/"], &format!("icav2://archive/{name}/"));
    let first = right.start(&input("first")).await;
    let refused = wrong.start(&input("refused")).await;
    lab.put_event(&json!({ "payload": { "sourceUriList": [], "destinationUri": "icav2://archive/in/" } }))
        .await;
    let queue = &lab.stack.copy_requests_queue_url;
    lab.aws.sqs.send_message().queue_url(queue).message_body("no { json").send().await.unwrap();
    let second = right.start(&input("second")).await;
    let _daemon = lab.serve("serve", &[]).await;

    let (error, cause) = refused.failed(Duration::from_secs(10)).await;
    assert_eq!(error, "InvalidRequest");
    assert_shape("outcome", &cause);
    assert!(cause["message"].as_str().unwrap().contains("sourceUriList"), "{cause:#}");
    assert_eq!(refused.answers().await, 1);
    let mut dead: Vec<Value> = Vec::new();
    within(PATIENCE, "both messages in the dead letters", async || {
        dead.extend(drain(&lab.aws.sqs, &lab.dead_letters_url().await).await);
        (dead.len() >= 2).then_some(())
    })
    .await;
    let bodies: Vec<String> = dead.iter().map(Value::to_string).collect();
    assert!(bodies.iter().any(|body| body.contains("no { json")), "{bodies:?}");
    assert!(bodies.iter().any(|body| body.contains("archive/in/")), "{bodies:?}");

    let third = right.start(&input("third")).await;
    for (name, execution) in [("first", first), ("second", second), ("third", third)] {
        execution.succeeded(PATIENCE).await;
        assert_eq!(execution.answers().await, 1);
        assert_same(&lab.platform, "/run/", &format!("/{name}/run/")).await;
    }
    assert_eq!(dead.len() + drain(&lab.aws.sqs, &lab.dead_letters_url().await).await.len(), 2);
}
