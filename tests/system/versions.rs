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
    Lab::start(stage, &regular(40, 3), &["--job-duration", "1s", "--job-failure-rate", "0.2", "--seed", "5"])
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
