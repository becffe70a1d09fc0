//! Daemons that end in the middle of a copy, and daemons that share one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    lab::{Lab, payload},
    machine::{self, Execution, Machine},
    worlds::{assert_same, regular},
};

/// The lease of the one that was killed has to run out first.
const PATIENCE: Duration = Duration::from_mins(1);

async fn caller(lab: &Lab, name: &str) -> Execution {
    let task = machine::jsonata(&lab.stack.external_bus_name, &machine::jsonata_detail());
    let machine = Machine::create(&lab.aws.sfn, name, task).await;
    machine.start(&payload(&["icav2://lab/run/"], "icav2://archive/in/")).await
}

async fn all_arrived(lab: &Lab, output: &Value, files: u64) {
    assert_same(&lab.platform, "/run/", "/in/run/").await;
    let counted = &output["files"];
    let arrived = ["copied", "skipped"].map(|name| counted[name].as_u64().unwrap());
    assert_eq!(arrived.iter().sum::<u64>(), files, "{output:#}");
}

#[tokio::test]
async fn a_daemon_that_is_killed_again_and_again_finishes_when_it_is_started_again() {
    let options = ["--job-duration", "2s", "--latency", "5ms"];
    let Some(lab) = Lab::start("killed", &regular(4, 5), &options).await else { return };
    let mut first = lab.serve("first", &[]).await;
    let execution = caller(&lab, "killed").await;
    first.says("request received").await;
    first.kill();
    let mut second = lab.serve("second", &[]).await;
    second.says("copy job submitted").await;
    second.kill();
    let mut third = lab.serve("third", &[]).await;
    third.says("copy job ended").await;
    third.kill();
    let fourth = lab.serve("fourth", &[]).await;
    let output = execution.succeeded(PATIENCE).await;
    all_arrived(&lab, &output, 24).await;
    fourth.says("token answered").await;
    assert_eq!(execution.answers().await, 1);
}

#[tokio::test]
async fn a_daemon_that_is_asked_to_stop_hands_over() {
    let options = ["--job-duration", "4s"];
    let Some(lab) = Lab::start("stopped", &regular(3, 4), &options).await else { return };
    let mut first = lab.serve("first", &[("SERVICE__DRAIN_TIMEOUT", "30s")]).await;
    let execution = caller(&lab, "stopped").await;
    first.says("copy job submitted").await;
    first.terminate();
    let second = lab.serve("second", &[]).await;
    let output = execution.succeeded(PATIENCE).await;
    all_arrived(&lab, &output, 15).await;
    let status = first.ended().await;
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(
        (
            first.said("shutdown complete: all work in hand has ended").len(),
            first.said("shutdown deadline near: work in hand is handed over").len()
        ),
        (1, 0)
    );
    second.says("token answered").await;
    assert_eq!((first.answers(), execution.answers().await), (0, 1));
}

#[tokio::test]
async fn two_daemons_share_the_folders_of_one_request() {
    let options = ["--job-duration", "1s"];
    let Some(lab) = Lab::start("shared", &regular(60, 2), &options).await else { return };
    lab.platform.faults(&json!({ "indexDelay": "200ms" })).await;
    let settings = [("ICAV2__MAX_RUNNING_JOBS", "30")];
    let (one, two) = tokio::join!(lab.serve("one", &settings), lab.serve("two", &settings));
    let execution = caller(&lab, "shared").await;
    let output = execution.succeeded(PATIENCE).await;
    all_arrived(&lab, &output, 180).await;
    for message in ["child settled", "copy job submitted"] {
        let shares = [one.said(message).len(), two.said(message).len()];
        assert!(shares.iter().all(|share| *share > 0), "{message}: {shares:?}");
    }
    assert_eq!(execution.answers().await, 1);
}
