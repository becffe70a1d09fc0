//! An orderly stop costs seconds, not a lease.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    lab::{Lab, payload},
    machine::{self, Machine},
    within,
    worlds::{DESTINATION, assert_same, world},
};

const LEASE: Duration = Duration::from_mins(1);
/// The other one's tick, and a machine with much to do.
const SECONDS: Duration = Duration::from_secs(10);
/// A long poll, which is waited for, and some more.
const DRAIN: &str = "40s";
const PATIENCE: Duration = Duration::from_secs(100);

async fn arrived(lab: &Lab) -> usize {
    let tree = lab.platform.tree(DESTINATION, "/in/run/").await;
    tree.iter().filter(|entry| entry["type"] == "FILE" && entry["status"] == "AVAILABLE").count()
}

#[tokio::test]
async fn a_daemon_that_stops_in_the_middle_of_a_folder_hands_it_over_within_seconds() {
    let files: Vec<_> = (0..100).map(|n| (format!("/run/{n:03}.txt"), 500, 1)).collect();
    let Some(lab) = Lab::start("handed-over", &world(&[], &files), &["--latency", "50ms"]).await else {
        return;
    };
    let lease = format!("{}s", LEASE.as_secs());
    let settings = [
        ("SERVICE__LEASE", &*lease),
        ("COPY__CONCURRENT_STREAMS", "1"),
        ("SERVICE__TICK", "1s"),
        ("SERVICE__DRAIN_TIMEOUT", DRAIN),
    ];
    let mut first = lab.serve("first", &settings).await;
    let task = machine::jsonata(&lab.stack.external_bus_name, &machine::jsonata_detail());
    let machine = Machine::create(&lab.aws.sfn, "handed-over", task).await;
    let execution = machine.start(&payload(&["icav2://lab/run/"], "icav2://archive/in/")).await;
    within(PATIENCE, "the first files", async || (arrived(&lab).await >= 5).then_some(())).await;
    let second = lab.serve("second", &settings).await;
    let asked = Instant::now();
    first.terminate();
    let left_behind = arrived(&lab).await;
    let (mut there, mut moved, mut longest) = (left_behind, asked, Duration::ZERO);
    while there < files.len() {
        assert!(moved.elapsed() < PATIENCE, "{there} of {} files have arrived", files.len());
        sleep(Duration::from_millis(50)).await;
        let now = arrived(&lab).await;
        if now > there {
            longest = longest.max(moved.elapsed());
            (there, moved) = (now, Instant::now());
        }
    }
    eprintln!("handed over at {left_behind} of {} files, longest pause {longest:.1?}", files.len());
    assert!(longest < SECONDS, "nothing moved for {longest:?}");
    execution.succeeded(PATIENCE).await;
    assert_same(&lab.platform, "/run/", "/in/run/").await;
    second.says("token answered").await;
    assert_eq!((first.answers(), execution.answers().await), (0, 1));
    assert_eq!((first.said("child settled").len(), second.said("child settled").len()), (0, 1));
    let status = first.ended().await;
    assert!(status.success(), "{status}");
}
