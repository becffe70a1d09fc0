//! Lists that meet crashes, outages, wrong keys and many restores at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use copy_manager::{
    engine::settings::Tags,
    ports::store::{Change, Key, Store as _, Value as Attribute, Write},
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    asking::{self, calls},
    doubles::Said,
    house::House,
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MIB: u64 = 1 << 20;

async fn house(buckets: Value) -> House {
    House::beside(&[], &[], &[], buckets, |_| {}).await
}

async fn plain(objects: Value) -> House {
    house(json!([{"name": "src", "objects": objects}, {"name": "dest"}])).await
}

/// The same for scenarios of hours, in which hardly anything happens.
async fn slow(objects: Value) -> House {
    let mut house = plain(objects).await;
    slow_down(&mut house);
    house
}

fn slow_down(house: &mut House) {
    house.settings.service.tick = Duration::from_secs(30);
    house.settings.service.lease = Duration::from_secs(90);
}

/// Asks for a list of which what goes wrong with single objects is told in the summary.
async fn ask(house: &House, token: &str, key: &str, list: &str, more: Value) {
    let mut payload = json!({"continueOnError": true});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    asking::ask(house, token, key, list, payload).await;
}

/// The request that was told about last.
fn root(house: &House) -> String {
    let told = house.buses.told.lock().unwrap();
    told.last().unwrap()["requestId"].as_str().unwrap().to_owned()
}

/// The sum of a number of the tallies.
async fn tallied(house: &House, root: &str, name: &str) -> i64 {
    let items = house.store().query(root, "TALLY#").await.unwrap();
    items.iter().filter_map(|item| item.number(name)).sum()
}

fn statuses(summary: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in summary.lines().skip(1) {
        *counts.entry(line.split(',').nth(1).unwrap().to_owned()).or_default() += 1;
    }
    counts
}

fn objects(summary: &str) -> Vec<String> {
    summary.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
}

/// Waits until something can be seen.
async fn until(within: Duration, seen: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !seen().await {
        assert!(started.elapsed() < within, "not seen within {within:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn cold(count: u32) -> Value {
    json!({"key": "cold{n}", "size": 5, "count": count, "storageClass": "GLACIER"})
}

fn numbered(name: &str, count: u32) -> String {
    (0..count).map(|n| format!("src,{name}{n:06}\n")).collect::<Vec<_>>().concat()
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_at_once_is_copied_in_turns() {
    let house = slow(json!([cold(40), {"key": "warm{n}", "size": 5, "count": 10}])).await;
    house.faults(json!({"restoreDelay": "2h", "s3": [{"calls": ["CopyObject"], "delay": "1m"}]}));
    let first = house.instance();
    let list = numbered("cold", 40) + &numbered("warm", 10);
    ask(&house, "thaws", "list.csv", &list, json!({"maxItemsPerBatch": 1, "copyConcurrency": 3})).await;
    sleep(30 * MINUTE).await;
    assert_eq!(calls(&house, "dest", "CopyObject"), 10, "those that wait hold up nobody");
    let id = root(&house);
    assert_eq!(tallied(&house, &id, "parked_slices").await, 40);
    drop(first);
    let _second = house.instance();
    let (mut most, mut widest) = (0, 0);
    let started = Instant::now();
    while house.callers.answer("thaws").is_none() {
        assert!(started.elapsed() < 4 * HOUR, "{}", calls(&house, "dest", "CopyObject"));
        most = most.max(house.simulator.stats().buckets["dest"].at_once);
        let items = house.store().query(&id, "TALLY#").await.unwrap();
        let sets = items.iter().flat_map(|item| item.attributes.values());
        let members = sets.map(|value| if let Attribute::TextSet(set) = value { set.len() } else { 0 });
        widest = widest.max(members.max().unwrap_or(0));
        sleep(Duration::from_millis(7300)).await;
    }
    assert!((2..=3).contains(&most), "{most} at a time");
    assert!(widest <= 40);
    let summary = house.object("dest", "ENDED_COPY.csv").await;
    assert_eq!(statuses(&summary), BTreeMap::from([("COPIED".to_owned(), 50)]));
    assert_eq!((calls(&house, "src", "RestoreObject"), calls(&house, "dest", "CopyObject")), (40, 50));
    assert_eq!(tallied(&house, &id, "parked_slices").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_broke_off_counts_no_slice_twice() {
    for (breaks, after) in (8..32).step_by(4).flat_map(|n| [(n, false), (n + 2, true)]) {
        let house = slow(json!([cold(3)])).await;
        house.faults(json!({"restoreDelay": "10m"}));
        house.breaks_after.store(after, Relaxed);
        house.breaks_in.store(breaks, Relaxed);
        let _instance = house.instance();
        let more = json!({"maxItemsPerBatch": 1, "copyConcurrency": 1});
        ask(&house, "token", "list.csv", &numbered("cold", 3), more).await;
        let output = house.success("token", 2 * HOUR).await;
        assert_eq!(output["objects"]["copied"], 3, "{breaks} {after}");
        assert_eq!(tallied(&house, &root(&house), "parked_slices").await, 0, "{breaks} {after}");
        assert_eq!(calls(&house, "src", "RestoreObject"), 3, "{breaks} {after}");
    }
}

/// Rows of a list whose summary is longer than one part.
const ROWS: u32 = 2800;

/// A list of long keys, none of which is asked for: nobody knows the keys of their bucket.
async fn long_list(house: &mut House) {
    house.settings.copy_out.secrets = vec!["*".to_owned().try_into().unwrap()];
    house.settings.copy_out.tags = Tags::Suppress;
    let list: Vec<_> = (0..ROWS).map(|n| format!("src,{n:06}{}\n", "x".repeat(1010))).collect();
    let more = json!({
        "maxItemsPerBatch": 1000, "copyConcurrency": 10_000,
        "bucketDefinitions": {"src": {"credentialProvider": "aws-secret", "secret": "lost"}},
    });
    ask(house, "long", "list.csv", &list.concat(), more).await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_was_cut_off_leaves_no_upload() {
    let slow = |call: &str| json!({"s3": [{"calls": [call], "bucket": "requests", "delay": "20s"}]});
    // Both ids are stored; or only the first upload is begun.
    for faults in [slow("UploadPart"), slow("CreateMultipartUpload")] {
        let mut house = plain(json!([])).await;
        long_list(&mut house).await;
        house.faults(faults.clone());
        let first = house.instance();
        until(5 * MINUTE, async || !house.simulator.uploads("dest").is_empty()).await;
        sleep(Duration::from_secs(3)).await;
        assert_eq!(house.simulator.uploads("dest").len(), 1);
        drop(first);
        house.faults(json!({"s3": []}));
        let _second = house.instance();
        let output = house.success("long", 5 * MINUTE).await;
        assert_eq!(
            output["objects"],
            json!({"total": ROWS, "copied": 0, "alreadyCopied": 0, "errors": ROWS})
        );
        let summary = house.object("dest", "ENDED_COPY.csv").await;
        assert_eq!(statuses(&summary), BTreeMap::from([("ERROR".to_owned(), ROWS as usize)]));
        assert_eq!(house.object("requests", "list.csv.ENDED_COPY.csv").await, summary);
        for bucket in ["dest", "requests"] {
            assert_eq!(house.simulator.uploads(bucket), [], "{bucket} {faults}");
        }
        let said = house.callers.said.lock().unwrap().clone();
        assert_eq!(said.iter().filter(|(.., said)| *said != Said::Beat).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_is_not_wanted_any_more_leaves_no_upload() {
    let mut house = plain(json!([])).await;
    long_list(&mut house).await;
    house.faults(json!({"s3": [{"calls": ["UploadPart"], "delay": "20s"}]}));
    let first = house.instance();
    until(5 * MINUTE, async || !house.simulator.uploads("requests").is_empty()).await;
    sleep(Duration::from_secs(3)).await;
    first.engine.cancel(&root(&house), "no longer wanted").await.unwrap();
    drop(first);
    let _second = house.instance();
    assert_eq!(house.failure("long", 5 * MINUTE).await.0, "Cancelled");
    assert!(house.simulator.uploads("dest").is_empty() && house.simulator.uploads("requests").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_slices_do_not_move_is_stalled() {
    for looked in [false, true] {
        let house = plain(json!([{"key": "o{n}", "size": 5, "count": 4}])).await;
        house.faults(json!({"s3": [{"calls": ["CopyObject"], "delay": "10s"}]}));
        let _instance = house.instance();
        ask(&house, "still", "list.csv", &numbered("o", 4), json!({"maxItemsPerBatch": 2})).await;
        until(MINUTE, async || calls(&house, "src", "HeadObject") > 0).await;
        sleep(Duration::from_secs(1)).await;
        let id = root(&house);
        // As an instance would have them that stands still with them in hand, and has or has not looked at them.
        for slice in house.slices(&id).await {
            let late = (house.now() + 24 * HOUR).as_millisecond();
            let mut changes = vec![
                Change::Set("owner".into(), "another".into()),
                Change::Set("lease_until".into(), Attribute::Number(late)),
                Change::Set("epoch".into(), Attribute::Number(99)),
            ];
            if looked {
                changes.push(Change::Set("looked_at".into(), Attribute::Number(late)));
                changes.push(Change::Set("waits_for".into(), "2 objects".into()));
            }
            house.store().write(Write::update(slice.key, changes)).await.unwrap();
        }
        sleep(HOUR).await;
        let beats = house.callers.beats("still");
        assert!(*beats.last().unwrap() < 36 * MINUTE, "heartbeats are honest: {beats:?}");
        match house.callers.answer("still") {
            Some((at, Said::Failure(error, cause))) => {
                assert!(looked && (30 * MINUTE..40 * MINUTE).contains(&at), "{at:?} {cause}");
                assert_eq!(error, "Stalled");
                assert!(cause.to_string().contains("2 objects"), "{cause}");
            }
            None => assert!(!looked, "who cannot look decides nothing"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_s3_that_never_answers_is_tried_as_long_as_an_outage_may_last() {
    let mut house = house(json!([
        {"name": "src", "objects": [{"key": "a", "size": 5}, {"key": "b", "size": 5}]},
        {"name": "dead", "objects": [{"key": "x", "size": 5}, {"key": "y", "size": 5}]},
        {"name": "dest"},
    ]))
    .await;
    slow_down(&mut house);
    house.settings.heartbeat.outage_after = HOUR;
    house.faults(json!({"s3": [{"bucket": "dead", "status": 500, "calls": ["HeadObject"]}]}));
    let list = "src,a\nsrc,b\ndead,x\ndead,y\n";
    house.settings.copy_out.endpoint_hosts = vec!["ceph.simulated".to_owned().try_into().unwrap()];
    let elsewhere = json!({"dead": {"endpointUrl": "http://ceph.simulated"}});
    let more = json!({"maxItemsPerBatch": 2, "bucketDefinitions": elsewhere});
    let _instance = house.instance();
    ask(&house, "outage", "list.csv", list, more).await;
    sleep(50 * MINUTE).await;
    assert_eq!(house.callers.answer("outage"), None);
    let beats = house.callers.beats("outage");
    assert!(*beats.last().unwrap() > 45 * MINUTE, "an outage is a reason to wait: {beats:?}");
    let output = house.success("outage", HOUR).await;
    assert_eq!(output["objects"], json!({"total": 4, "copied": 2, "alreadyCopied": 0, "errors": 2}));
    let summary = house.object("dest", "ENDED_COPY.csv").await;
    assert_eq!(summary.matches("for longer than 1h: heartbeat.outage_after").count(), 2, "{summary}");
}

#[tokio::test(start_paused = true)]
async fn keys_that_s3_does_not_know_end_an_object_with_words() {
    let house = plain(json!([{"key": "a", "size": 5}])).await;
    house.faults(json!({"s3": [{"calls": ["CopyObject"], "status": 403, "code": "InvalidAccessKeyId"}]}));
    let _instance = house.instance();
    ask(&house, "keys", "list.csv", "src,a\n", json!({})).await;
    let output = house.success("keys", 20 * MINUTE).await;
    assert_eq!(output["objects"]["errors"], 1);
    let summary = house.object("dest", "ENDED_COPY.csv").await;
    assert!(summary.contains("InvalidAccessKeyId") && summary.contains("check the keys"), "{summary}");
    assert_eq!(calls(&house, "dest", "CopyObject"), 5);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_does_not_know_our_keys_is_waited_for() {
    let house = plain(json!([{"key": "a", "size": 5}])).await;
    house.faults(json!({"s3": [
        {"calls": ["PutObject"], "bucket": "dest", "status": 403, "code": "SignatureDoesNotMatch"},
    ]}));
    let _instance = house.instance();
    ask(&house, "keys", "list.csv", "src,a\n", json!({})).await;
    sleep(9 * MINUTE).await;
    let record = house.store().get(&Key::new(root(&house), "REQUEST")).await.unwrap().unwrap();
    assert_eq!(record.text("waiting_for"), Some("waiting_for_access"));
    assert!(record.text("waits_for").unwrap().contains("SignatureDoesNotMatch"));
    // With tags and without, and each with keys that were read anew.
    assert!(calls(&house, "dest", "PutObject") <= 4);
    sleep(2 * HOUR).await;
    assert!(*house.callers.beats("keys").last().unwrap() > 120 * MINUTE, "that is a sign of life");
    house.faults(json!({"s3": []}));
    assert_eq!(house.success("keys", 11 * MINUTE).await["objects"]["copied"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_begun_is_not_tried_for_ever() {
    let mut house = plain(json!([])).await;
    slow_down(&mut house);
    house.settings.heartbeat.outage_after = HOUR;
    house.faults(json!({"s3": [{"calls": ["GetObject"], "bucket": "requests", "status": 500}]}));
    let _instance = house.instance();
    ask(&house, "unread", "list.csv", "src,a\n", json!({})).await;
    sleep(55 * MINUTE).await;
    assert_eq!(house.callers.answer("unread"), None);
    let (error, cause) = house.failure("unread", 30 * MINUTE).await;
    assert_eq!(error, "Stalled");
    assert!(cause["message"].as_str().unwrap().contains("1h (heartbeat.outage_after): GetObject"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_list_stopped_after_a_crash_leaves_no_parts() {
    for gives_up in [false, true] {
        let house = plain(json!([{"key": "large", "size": 40 * MIB, "parts": 8}])).await;
        // Its answer is lost, and with the process everything that was known of it.
        house.faults(json!({"s3": [{"calls": ["CreateMultipartUpload"], "status": 500, "after": true}]}));
        let first = house.instance();
        ask(&house, "stops", "list.csv", "src,large\n", json!({})).await;
        until(MINUTE, async || !house.simulator.uploads("dest").is_empty()).await;
        let id = root(&house);
        if gives_up {
            for slice in house.slices(&id).await {
                let died = Change::Set("starts".into(), Attribute::Number(10));
                house.store().write(Write::update(slice.key, vec![died])).await.unwrap();
            }
        } else {
            first.engine.cancel(&id, "no longer wanted").await.unwrap();
        }
        drop(first);
        house.faults(json!({"s3": []}));
        let _second = house.instance();
        until(5 * MINUTE, async || house.callers.answer("stops").is_some()).await;
        until(5 * MINUTE, async || house.unsettled().await.is_empty()).await;
        let left = house.simulator.uploads("dest");
        assert!(left.iter().all(|upload| upload.parts.is_empty()), "gives up: {gives_up}: {left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_passing_error_does_not_begin_a_dry_run_anew() {
    let house = plain(json!([{"key": "o{n}", "size": 5, "count": 300}])).await;
    house.faults(json!({"s3": [{"calls": ["HeadObject"], "share": 0.25, "status": 500}]}));
    let _instance = house.instance();
    ask(&house, "dry", "list.csv", &numbered("o", 300), json!({"dryRun": true})).await;
    let output = house.success("dry", 10 * MINUTE).await;
    assert_eq!(output["plan"]["toCopy"], 300);
    assert_eq!(calls(&house, "requests", "GetObject"), 1, "the list was read once");
}

#[tokio::test(start_paused = true)]
async fn a_passing_error_of_tags_does_not_read_the_list_again() {
    let house = plain(json!([{"key": "a", "size": 5}])).await;
    house.faults(json!({"s3": [{"calls": ["GetObjectTagging"], "times": 8, "status": 500}]}));
    let _instance = house.instance();
    ask(&house, "tags", "list.csv", "src,a\n", json!({})).await;
    assert_eq!(house.success("tags", 5 * MINUTE).await["objects"]["copied"], 1);
    assert_eq!(calls(&house, "requests", "GetObject"), 1);
}

#[tokio::test(start_paused = true)]
async fn endpoints_and_secrets_must_be_allowed() {
    let mut house = plain(json!([{"key": "a", "size": 5}])).await;
    let define = |definition: Value| json!({"bucketDefinitions": {"src": definition}});
    let endpoint = || define(json!({"endpointUrl": "http://s3.simulated"}));
    let secret = || define(json!({"credentialProvider": "aws-secret", "secret": "icav2-token"}));
    {
        let _instance = house.instance();
        for (token, more, setting) in
            [("endpoint", endpoint(), "copy_out.endpoint_hosts"), ("secret", secret(), "copy_out.secrets")]
        {
            ask(&house, token, "list.csv", "src,a\n", more).await;
            let (error, cause) = house.failure(token, MINUTE).await;
            assert_eq!(error, "PolicyDenied");
            assert!(cause["message"].as_str().unwrap().contains(setting), "{cause}");
        }
        assert!(calls(&house, "requests", "GetObject") + calls(&house, "dest", "PutObject") == 0);
    }
    house.settings.copy_out.endpoint_hosts = vec!["*.simulated".to_owned().try_into().unwrap()];
    let _instance = house.instance();
    ask(&house, "allowed", "list.csv", "src,a\n", endpoint()).await;
    assert_eq!(house.success("allowed", MINUTE).await["objects"]["copied"], 1);
}

#[tokio::test(start_paused = true)]
async fn lists_of_one_folder_keep_their_summaries_apart() {
    let house = plain(json!([{"key": "a", "size": 5}, {"key": "b", "size": 5}])).await;
    let _instance = house.instance();
    for (token, key, list) in [("one", "jobs/one.csv", "src,a\n"), ("two", "jobs/two.csv", "src,b\n")] {
        let more = json!({"destinationPrefixKey": format!("{token}/")});
        ask(&house, token, key, list, more).await;
        let output = house.success(token, MINUTE).await;
        assert_eq!(output["workingCsvKey"], format!("{key}.ENDED_COPY.csv"));
    }
    let (one, two) = ("jobs/one.csv.ENDED_COPY.csv", "jobs/two.csv.ENDED_COPY.csv");
    assert_eq!(objects(&house.object("requests", one).await), ["a"]);
    assert_eq!(objects(&house.object("requests", two).await), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_half_read_is_read_again() {
    let house = plain(json!([{"key": "w{n}/o", "size": 5, "count": 60}])).await;
    house.faults(json!({"s3": [{"calls": ["ListObjectsV2"], "delay": "2s"}]}));
    let line = |n| {
        let (key, folder) = (format!("w{n:06}/*"), format!("r{n:02}/"));
        json!({"sourceBucket": "src", "sourceKey": key, "destinationRelativeFolderKey": folder}).to_string()
    };
    let list: Vec<String> = (0..60).map(line).collect();
    let list = list.join("\n");
    let first = house.instance();
    let more = json!({"maxItemsPerBatch": 5, "copyConcurrency": 10});
    ask(&house, "half", "list.jsonl", &list, more).await;
    until(5 * MINUTE, async || calls(&house, "src", "ListObjectsV2") == 40).await;
    drop(first);
    let second = house.instance();
    until(5 * MINUTE, async || calls(&house, "src", "ListObjectsV2") == 60).await;
    drop(second);
    let _third = house.instance();
    let output = house.success("half", 10 * MINUTE).await;
    assert_eq!(output["objects"], json!({"total": 60, "copied": 60, "alreadyCopied": 0, "errors": 0}));
    let summary = house.object("dest", "ENDED_COPY.csv").await;
    assert_eq!((objects(&summary).len(), calls(&house, "dest", "CopyObject")), (60, 60));
    assert_eq!(house.slices(&root(&house)).await.len(), 12);
    assert!(house.simulator.uploads("dest").is_empty());
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_during_a_thaw_it_asks_once() {
    let mut house = plain(json!([
        cold(6), {"key": "parts", "size": 40 * MIB, "parts": 8, "storageClass": "GLACIER"}, {"key": "warm", "size": 5},
    ]))
    .await;
    slow_down(&mut house);
    house.faults(
        json!({"restoreDelay": "2h", "s3": [{"calls": ["CopyObject", "UploadPartCopy"], "delay": "30s"}]}),
    );
    let list = numbered("cold", 6) + "src,parts\nsrc,warm\n";
    let mut instance = house.instance();
    ask(&house, "thaws", "list.csv", &list, json!({"maxItemsPerBatch": 2, "copyConcurrency": 4})).await;
    // As soon as they are asked for, while they are waited for, and when they are copied.
    until(MINUTE, async || calls(&house, "src", "RestoreObject") == 7).await;
    for wait in [Duration::ZERO, 50 * MINUTE, 75 * MINUTE] {
        sleep(wait).await;
        drop(instance);
        instance = house.instance();
    }
    let output = house.success("thaws", 3 * HOUR).await;
    assert_eq!(output["objects"], json!({"total": 8, "copied": 8, "alreadyCopied": 0, "errors": 0}));
    assert_eq!(calls(&house, "src", "RestoreObject"), 7);
    let summary = house.object("dest", "ENDED_COPY.csv").await;
    let rows: BTreeSet<_> = objects(&summary).into_iter().collect();
    assert_eq!((rows.len(), objects(&summary).len()), (8, 8));
    assert!(house.simulator.uploads("dest").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_expires_in_the_queue_is_asked_back_again() {
    let mut house = slow(json!([cold(3)])).await;
    house.settings.heartbeat.outage_after = 100 * HOUR;
    let busy = json!({"calls": ["CopyObject"], "status": 503, "code": "SlowDown"});
    house.faults(json!({"restoreDelay": "2h", "s3": [busy]}));
    let _instance = house.instance();
    let more = json!({"maxItemsPerBatch": 1, "copyConcurrency": 1});
    ask(&house, "late", "list.csv", &numbered("cold", 3), more).await;
    // A restored copy stays for a day, and all that time only one of them has its turn.
    sleep(30 * HOUR).await;
    house.faults(json!({"restoreDelay": "2h", "s3": []}));
    sleep(10 * HOUR).await;
    let output = house.success("late", HOUR).await;
    assert_eq!(output["objects"], json!({"total": 3, "copied": 3, "alreadyCopied": 0, "errors": 0}));
    assert_eq!(calls(&house, "src", "RestoreObject"), 6, "each once again");
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_cannot_be_written_holds_nobody_up_for_ever() {
    let mut house = plain(json!([{"key": "a", "size": 5}])).await;
    slow_down(&mut house);
    house.settings.heartbeat.outage_after = HOUR;
    house.faults(json!({"s3": [{"calls": ["PutObject"], "key": "ENDED", "bucket": "dest", "status": 503}]}));
    let _instance = house.instance();
    ask(&house, "mute", "list.csv", "src,a\nsrc,gone\n", json!({})).await;
    sleep(50 * MINUTE).await;
    assert_eq!(house.callers.answer("mute"), None, "an outage is waited for");
    let (error, cause) = house.failure("mute", HOUR).await;
    assert_eq!(error, "CopyError");
    let message = cause["message"].as_str().unwrap();
    assert!(message.contains("1 of 2 copies failed, and the summary could not be written"), "{message}");
    assert_eq!(calls(&house, "dest", "CopyObject"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_time_in_which_nobody_tried_is_no_outage() {
    let mut house = plain(json!([{"key": "a", "size": 5}])).await;
    slow_down(&mut house);
    house.settings.heartbeat.outage_after = HOUR;
    house.faults(json!({"s3": [{"calls": ["GetObject"], "bucket": "requests", "status": 503}]}));
    let first = house.instance();
    ask(&house, "off", "list.csv", "src,a\n", json!({})).await;
    sleep(5 * MINUTE).await;
    drop(first);
    sleep(5 * HOUR).await;
    let _second = house.instance();
    sleep(20 * MINUTE).await;
    assert_eq!(house.callers.answer("off"), None);
    house.faults(json!({"s3": []}));
    assert_eq!(house.success("off", HOUR).await["objects"]["copied"], 1);
}
