//! What callers of manifests and lists rely on, where hours must pass or thousands of calls be made.

use std::time::Duration;

use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::house::{House, TO};

const JOBS: &str = "POST /api/projects/{projectId}/dataCopyBatch";

impl House {
    /// Asks for a manifest, with the token `t`.
    async fn ask_for(&self, manifest: Value) {
        let detail = json!({ "payload": { "manifest": manifest }, "taskToken": "t" });
        let event =
            json!({ "detail-type": "ICAv2CopyBatchSync", "source": "lab", "id": "t", "detail": detail });
        self.queue.push(event.to_string()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_that_share_the_files_of_an_entry_are_no_failures() {
    let files = [("/run/a.bam", 12 << 20, 2), ("/run/x/b.bam", 12 << 20, 2), ("/run/y/c.bam", 12 << 20, 2)];
    let house = House::new(&files, &[], &[], |_| {}).await;
    let _instance = house.instance();
    house.ask_for(json!({ "icav2://lab/run/": ["icav2://archive/one/"] })).await;
    let output = house.success("t", Duration::from_hours(1)).await;
    let entry = &output["job_list_with_attempt_counter"][0];
    assert_eq!(house.calls(Some(JOBS)), 3, "a job for each folder");
    assert!(entry["job_id"].is_string() && entry["failed_jobs_list"] == json!([]), "{entry}");
    assert_eq!((&entry["job_attempt_counter"], &entry["job_status"]), (&json!(1), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn the_job_that_failed_is_named_beside_the_last_of_those_that_took_its_place() {
    let files: Vec<_> = (0..30).map(|n| format!("/run/{n:02}.bam")).collect();
    let files: Vec<_> = files.iter().map(|path| (path.as_str(), 9_u64 << 20, 2_u32)).collect();
    let house = House::new(&files, &[], &[], |platform| platform.job_failure_rate = 1.0).await;
    let _instance = house.instance();
    let manifest: serde_json::Map<_, _> = files
        .iter()
        .map(|(path, ..)| (format!("icav2://lab{path}"), json!(["icav2://archive/one/"])))
        .collect();
    house.ask_for(Value::Object(manifest)).await;
    while house.calls(Some(JOBS)) == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    house.faults(json!({ "jobFailureRate": 0.0 }));
    let output = house.success("t", Duration::from_hours(6)).await;
    let entry = &output["job_list_with_attempt_counter"][0];
    let failed = entry["failed_jobs_list"].as_array().unwrap();
    assert!(house.calls(Some(JOBS)) >= 2, "what it left over is brought by others: {output}");
    assert!(failed.len() == 1 && entry["job_id"].is_string() && failed[0] != entry["job_id"], "{entry}");
    assert!(entry["job_attempt_counter"].as_u64().unwrap() > 1 && entry["job_status"] == true, "{entry}");
    assert_eq!(house.tree(TO, "/one/").await.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_access_is_alive_for_as_long_as_it_takes() {
    let buckets = json!([{ "name": "src", "objects": [{ "key": "a", "size": 9 }] }, { "name": "dest" }]);
    let mut house = House::beside(&[], &[], &[], buckets, |_| {}).await;
    house.settings.service.tick = Duration::from_secs(30);
    house.put_object("requests", "list.csv", b"src,a\n".to_vec()).await;
    house.faults(json!({ "deny": { "dest": ["PutObject"] } }));
    let _instance = house.instance();
    let payload = json!({
        "sourceFilesCsvBucket": "requests", "sourceFilesCsvKey": "list.csv", "destinationBucket": "dest",
    });
    let event = json!({
        "id": "t", "source": "lab", "detail-type": "S3CopyOutSync",
        "detail": { "taskToken": "t", "payload": payload },
    });
    house.queue.push(event.to_string()).await.unwrap();
    // Much longer than a request may be without a sign of life, and an S3 away.
    sleep(Duration::from_hours(10)).await;
    assert_eq!(house.callers.answer("t"), None);
    let tries = house.simulator.stats().buckets["dest"].calls["PutObject"];
    assert!((2 * 55..=2 * 61).contains(&tries), "{tries}: one with a tag and one without, every ten minutes");
    let beats = house.callers.beats("t");
    let longest = beats.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
    assert!(longest <= Duration::from_mins(5) && beats.len() > 120, "{longest:?}");
    house.faults(json!({ "deny": { "dest": [] } }));
    let output = house.success("t", Duration::from_mins(12)).await;
    assert_eq!(output["objects"]["copied"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_outlasts_an_s3_that_asks_to_be_spared() {
    const COUNT: usize = 500;
    let buckets = json!([
        { "name": "src", "objects": [
            { "key": "o{n}", "size": 9, "count": COUNT - 20 }, { "key": "p{n}", "size": 400, "parts": 4, "count": 20 },
        ] },
        { "name": "dest" },
    ]);
    let house = House::beside(&[], &[], &[], buckets, |_| {}).await;
    let keys: Vec<_> =
        (0..COUNT - 20).map(|n| format!("o{n:06}")).chain((0..20).map(|n| format!("p{n:06}"))).collect();
    let list: Vec<_> = keys.iter().map(|key| format!("src,{key}\n")).collect();
    house.put_object("requests", "list.csv", list.concat().into_bytes()).await;
    // Of all calls to both ends, whatever they are for.
    let some = |bucket: &str| json!({ "bucket": bucket, "share": 0.3, "status": 503 });
    let slow = json!({ "calls": ["CopyObject"], "delay": "100ms" });
    house.faults(json!({ "s3": [some("src"), some("dest"), slow] }));
    let instance = house.instance();
    let payload = json!({
        "sourceFilesCsvBucket": "requests", "sourceFilesCsvKey": "list.csv", "destinationBucket": "dest",
        "maxItemsPerBatch": 50, "copyConcurrency": 500,
    });
    let event = json!({
        "id": "slow", "source": "lab", "detail-type": "S3CopyOutSync",
        "detail": { "taskToken": "slow", "payload": payload },
    });
    house.queue.push(event.to_string()).await.unwrap();
    let copies = || {
        let stats = house.simulator.stats();
        stats.buckets.get("dest").and_then(|dest| dest.calls.get("CopyObject")).copied().unwrap_or(0)
    };
    while copies() < 400 {
        sleep(Duration::from_millis(20)).await;
    }
    let mut most = 0;
    while house.callers.answer("slow").is_none() {
        most = most.max(house.simulator.stats().buckets["dest"].at_once);
        sleep(Duration::from_millis(20)).await;
    }
    let output = house.success("slow", Duration::from_secs(1)).await;
    assert_eq!(
        output["objects"],
        json!({ "total": COUNT, "copied": COUNT, "alreadyCopied": 0, "errors": 0 })
    );
    // So many hundreds were allowed at a time.
    assert!(most <= 40, "{most} calls at once");
    let there = house.simulator.objects("dest", "").await;
    assert_eq!(there.len(), COUNT + 2);
    let from = house.simulator.objects("src", "").await;
    for source in &from {
        let copy = there.iter().find(|object| object.key == source.key).unwrap();
        assert_eq!((&copy.etag, copy.size), (&source.etag, source.size), "{}", source.key);
    }
    assert_eq!(house.simulator.uploads("dest"), []);
    assert_eq!(house.object("dest", "ENDED_COPY.csv").await.lines().count(), COUNT + 1);
    drop(instance);
}
