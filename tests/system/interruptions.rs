//! Lists whose daemon is asked to stop in the middle.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    shore::{Shore, rows, totals},
    within,
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Small objects of the list, besides a large one.
const SMALL: usize = 40;
/// Objects that are in flight at a time.
const IN_FLIGHT: usize = 6;

/// Small objects that have arrived.
async fn arrived(shore: &Shore) -> usize {
    shore.contents("dest").await.keys().filter(|key| key.starts_with("P/0")).count()
}

#[tokio::test]
async fn a_daemon_that_is_asked_to_stop_ends_what_is_in_flight_and_another_brings_the_rest() {
    let buckets = json!([
        { "name": "src", "objects": [
            { "key": "in/{n}.txt", "size": 1_000, "count": SMALL }, { "key": "in/large.bam", "size": 4_000, "parts": 3 },
        ] },
        { "name": "lists" }, { "name": "dest" },
    ]);
    let mut shore = Shore::with(buckets, &[], &[("COPY_OUT__CONCURRENT_PARTS", "1")]).await;
    let slow = json!({ "calls": ["CopyObject", "UploadPartCopy"], "delay": "700ms" });
    shore.platform.faults(&json!({ "s3": [slow] })).await;
    let mut names: Vec<_> = (0..SMALL).map(|n| format!("{n:06}.txt")).collect();
    names.insert(4, "large.bam".to_owned());
    let list: Vec<_> = names.iter().map(|name| format!("src,in/{name}\n")).collect();
    let few = json!({ "maxItemsPerBatch": 3, "copyConcurrency": IN_FLIGHT, "destinationPrefixKey": "P/" });
    let id = shore.begun("x.csv", &list.concat(), &few).await;

    // In time: what was begun is ended, parts and all, and nothing more is begun.
    within(PATIENCE, "a part of the large one", async || {
        let uploads = shore.platform.uploads("dest").await;
        uploads.iter().any(|upload| upload["parts"] != json!([])).then_some(())
    })
    .await;
    shore.daemon.terminate();
    let asked = shore.calls("dest", "CopyObject").await;
    let status = shore.daemon.ended().await;
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(
        (
            shore.daemon.said("shutdown complete: all work in hand has ended").len(),
            shore.daemon.said("shutdown deadline near: work in hand is handed over").len()
        ),
        (1, 0)
    );
    let copies = shore.calls("dest", "CopyObject").await;
    // A call or two may have been on their way to the simulator when the signal was.
    assert!((asked..=asked + IN_FLIGHT as u64).contains(&copies), "{copies} after {asked}");
    let first = arrived(&shore).await;
    assert_eq!(first as u64, copies, "what was begun has ended");
    assert!(first < SMALL / 2, "{first}: the rest was to stay");
    assert!(shore.contents("dest").await.contains_key("P/large.bam"));
    assert_eq!(shore.platform.uploads("dest").await, [] as [Value; 0]);

    // With no time for that: what was under way is cut off, and is the only thing that is repeated.
    shore.revive_with(&[("SERVICE__DRAIN_TIMEOUT", "100ms")]).await;
    let request = shore.request(&id).await.unwrap();
    assert_eq!(request["status"], "RUNNING", "{request}");
    within(PATIENCE, "some more", async || (arrived(&shore).await > first + IN_FLIGHT).then_some(())).await;
    // As a terminal sends it that is closed.
    shore.daemon.send("-HUP");
    let status = shore.daemon.ended().await;
    assert!(status.code().is_some(), "it ended itself: {status}");
    shore.revive_with(&[("SERVICE__DRAIN_TIMEOUT", "20s")]).await;
    let ended = shore.ended(&id).await;
    assert_eq!(ended["output"]["objects"], totals(SMALL + 1, 0), "{ended:#}");
    let copies = usize::try_from(shore.calls("dest", "CopyObject").await).unwrap();
    assert!((SMALL..=SMALL + IN_FLIGHT).contains(&copies), "{copies}");
    assert_eq!(shore.calls("dest", "UploadPartCopy").await, 3);
    let (from, to) = (shore.contents("src").await, shore.contents("dest").await);
    for name in &names {
        assert_eq!(to[&format!("P/{name}")], from[&format!("in/{name}")], "{name}");
    }
    let summary = shore.get("dest", "P/ENDED_COPY.csv").await;
    assert!(rows(&summary).into_iter().eq(names.iter().map(|name| (name.as_str(), "COPIED"))), "{summary}");
    assert_eq!(shore.platform.uploads("dest").await, [] as [Value; 0]);
}
