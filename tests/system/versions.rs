//! Two versions of the daemon on one table, as while a fleet is changed, and as when the change is taken back.
//!
//! `OTHER_VERSION` names the other binary; without it there is nothing to try.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    binary::Process,
    lab::{Lab, payload},
    machine::{self, Machine},
    worlds::{assert_same, regular},
};

const PATIENCE: Duration = Duration::from_mins(2);

fn other() -> Option<PathBuf> {
    let other = env::var_os("OTHER_VERSION").map(PathBuf::from);
    if other.is_none() {
        eprintln!("left out: OTHER_VERSION names no binary of another version");
    }
    other
}

async fn lab(stage: &str) -> Option<Lab> {
    lab_of(stage, 40).await
}

async fn lab_of(stage: &str, folders: usize) -> Option<Lab> {
    Lab::start(
        stage,
        &regular(folders, 3),
        &["--job-duration", "1s", "--job-failure-rate", "0.2", "--seed", "5"],
    )
    .await
}

/// A request that the first takes and that is killed in the midst of it; the second ends it.
async fn hands_over(lab: &Lab, mut first: Process, second: impl AsyncFnOnce() -> Process, to: &str) {
    let task = machine::jsonata(&lab.stack.external_bus_name, &machine::jsonata_detail());
    let machine = Machine::create(&lab.aws.sfn, to, task).await;
    let execution = machine.start(&payload(&["icav2://lab/run/"], &format!("icav2://archive/{to}/"))).await;
    first.says("copy job ended").await;
    first.kill();
    let second = second().await;
    execution.succeeded(PATIENCE).await;
    assert_same(&lab.platform, "/run/", &format!("/{to}/run/")).await;
    second.says("token answered").await;
    assert_eq!(execution.answers().await, 1);
}

#[tokio::test]
#[ignore = "needs the binary of another version: OTHER_VERSION"]
async fn two_versions_share_the_folders_of_one_request() {
    let Some(other) = other() else { return };
    let Some(lab) = lab("versions").await else { return };
    let (ours, theirs) = tokio::join!(lab.serve("ours", &[]), lab.serve_version(&other, "theirs"));
    let task = machine::jsonata(&lab.stack.external_bus_name, &machine::jsonata_detail());
    let machine = Machine::create(&lab.aws.sfn, "versions", task).await;
    let execution = machine.start(&payload(&["icav2://lab/run/"], "icav2://archive/in/")).await;
    execution.succeeded(PATIENCE).await;
    assert_same(&lab.platform, "/run/", "/in/run/").await;
    let jobs = [&ours, &theirs].map(|daemon| daemon.said("copy job submitted").len());
    assert!(jobs.iter().all(|jobs| *jobs > 0), "{jobs:?}");
    assert_eq!(execution.answers().await, 1);
}

#[tokio::test]
#[ignore = "needs the binary of another version: OTHER_VERSION"]
async fn what_one_version_has_begun_the_other_ends_both_ways() {
    let Some(other) = other() else { return };
    let other: &Path = &other;
    let Some(lab) = lab("swapped").await else { return };
    let first = lab.serve_version(other, "old").await;
    hands_over(&lab, first, async || lab.serve("new", &[]).await, "upgraded").await;
    let Some(lab) = self::lab("back").await else { return };
    let first = lab.serve("newest", &[]).await;
    hands_over(&lab, first, async || lab.serve_version(other, "older").await, "rolledback").await;
}

/// What a daemon says about a record of a newer version.
const LEFT: &str = "record of a newer version left alone";

/// Has a daemon imitate a newer version, which writes requests, folders and outcomes in a schema that this one does not
/// read.
const NEWER: &str = "COPY_MANAGER_IMITATES_NEWER";

async fn serve_newer(lab: &mut Lab, name: &str) -> Process {
    lab.set(NEWER, "1");
    let daemon = lab.serve(name, &[]).await;
    lab.unset(NEWER);
    daemon
}

#[tokio::test]
async fn an_older_daemon_leaves_to_a_newer_one_what_it_cannot_read() {
    let Some(mut lab) = lab_of("beside", 6).await else { return };
    let newer = serve_newer(&mut lab, "newer").await;
    let ours = lab.serve("ours", &[]).await;
    let task = machine::jsonata(&lab.stack.external_bus_name, &machine::jsonata_detail());
    let machine = Machine::create(&lab.aws.sfn, "beside", task).await;
    let mut executions = Vec::new();
    for n in 0..6 {
        let to = format!("in-{n}");
        let execution =
            machine.start(&payload(&["icav2://lab/run/"], &format!("icav2://archive/{to}/"))).await;
        executions.push((to, execution));
    }
    for (to, execution) in &executions {
        execution.succeeded(PATIENCE).await;
        assert_same(&lab.platform, "/run/", &format!("/{to}/run/")).await;
        assert_eq!(execution.answers().await, 1);
    }
    assert!(!ours.said(LEFT).is_empty(), "the older one has met nothing of the newer one's");
    assert!(newer.said(LEFT).is_empty(), "a newer one reads everything");
}

#[tokio::test]
async fn after_a_rollback_new_work_is_done_and_the_rest_waits_for_the_newer_daemon() {
    let Some(mut lab) = lab_of("rollback", 12).await else { return };
    let mut newer = serve_newer(&mut lab, "newer").await;
    let task = machine::jsonata(&lab.stack.external_bus_name, &machine::jsonata_detail());
    let machine = Machine::create(&lab.aws.sfn, "rollback", task).await;
    let begun = machine.start(&payload(&["icav2://lab/run/"], "icav2://archive/begun/")).await;
    newer.says("copy job submitted").await;
    newer.kill();

    let mut ours = lab.spawn("ours", &[]);
    let address = ours.ready().await;
    ours.says(LEFT).await;
    let fresh = machine.start(&payload(&["icav2://lab/run/"], "icav2://archive/fresh/")).await;
    fresh.succeeded(PATIENCE).await;
    assert_same(&lab.platform, "/run/", "/fresh/run/").await;
    // The lease of the newer one, and the time until records are looked at again, are over.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!((begun.answers().await, begun.look().await.is_none()), (0, true), "it still waits");
    let left = ours.said(LEFT);
    let records: std::collections::BTreeSet<_> = left.iter().map(|line| line["record"].to_string()).collect();
    assert_eq!(records.len(), left.len(), "each is named once: {left:?}");
    let metrics = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    let counted = format!("copy_manager_newer_records_total {}", left.len());
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    let listed = reqwest::get(format!("http://{address}/v1/requests")).await.unwrap().text().await.unwrap();
    assert_eq!(listed.matches("it cannot be read here").count(), 1, "{listed}");
    ours.kill();

    let _newer = serve_newer(&mut lab, "again").await;
    begun.succeeded(PATIENCE).await;
    assert_same(&lab.platform, "/run/", "/begun/run/").await;
    assert_eq!((begun.answers().await, fresh.answers().await), (1, 1));
}
