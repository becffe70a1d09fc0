//! Slices: some objects of a list into one bucket, between the buckets of the simulator.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use copy_manager::{
    domain::{
        copy_out::{
            BucketDefinition, Copied, CopyStatus, Origin, Rights, SliceItem, SliceOptions, SliceRequest,
            Thaw, ThawParams, ThawSpeed,
        },
        file::Data,
        ids::ProjectId,
        location::DataPath,
        outcome::{Counters, Outcome},
    },
    ports::{
        Class, Error, Result,
        chance::Dice,
        platform::DataPlatform as _,
        secrets::Secrets,
        store::{DUE_AT, DUE_SHARD, Item, Key, Store as _, Write, Written},
    },
    simulator::ObjectEntry,
};
use pretty_assertions::assert_eq;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{asking::calls, house::House};

const MIB: u64 = 1 << 20;
const CHILD: &str = "child.slice";
const ROOT: &str = "request.root";

async fn house(buckets: Value) -> House {
    House::beside(&[("/run/a.bam", 12 * MIB, 2), ("/run/b.txt", 70, 1)], &[], &[], buckets, |_| {}).await
}

fn bucket(name: &str, objects: Value) -> Value {
    let mut bucket = json!({"name": name});
    bucket["objects"] = objects;
    bucket
}

fn item(bucket: &str, key: &str, to: &str) -> SliceItem {
    let from =
        Origin::Object { bucket: bucket.into(), key: key.into(), unsigned: false, sums: None, etag: None };
    SliceItem { from, to: to.into() }
}

fn unsigned(bucket: &str, key: &str, to: &str) -> SliceItem {
    let from =
        Origin::Object { bucket: bucket.into(), key: key.into(), unsigned: true, sums: None, etag: None };
    SliceItem { from, to: to.into() }
}

fn items(from: &str, keys: &[&str]) -> Vec<SliceItem> {
    keys.iter().map(|key| item(from, key, key)).collect()
}

/// Puts the record of a slice, as its root does.
async fn put(house: &House, items: Vec<SliceItem>, options: SliceOptions) {
    put_with(house, items, options, 100).await;
}

async fn put_with(house: &House, items: Vec<SliceItem>, options: SliceOptions, concurrency: u32) {
    let spec = SliceRequest { number: 7, bucket: "dest".into(), items, concurrency, options };
    let now = house.now().as_millisecond();
    let record = Item::new(Key::new(CHILD, "REQUEST"))
        .with("schema", 1)
        .with("kind", "slice")
        .with("phase", "RECEIVED")
        .with("root", ROOT)
        .with("root_id", ROOT)
        .with("destination", "s3://dest/")
        .with("created_at", now)
        .with("spec", serde_json::to_string(&spec).unwrap())
        .with(DUE_SHARD, 3)
        .with(DUE_AT, now);
    assert!(matches!(house.store().write(Write::put_new(record)).await.unwrap(), Written::Done(_)));
}

async fn record(house: &House) -> Item {
    house.store().get(&Key::new(CHILD, "REQUEST")).await.unwrap().unwrap()
}

/// Waits, in virtual time, until the slice has settled.
async fn settled(house: &House, within: Duration) -> (Duration, Outcome) {
    let started = Instant::now();
    let every = (within / 5000).max(Duration::from_millis(50));
    loop {
        let record = record(house).await;
        if record.text("phase") == Some("SETTLED") {
            assert!(record.text("spec").is_none() && record.text("state").is_none());
            let outcome = serde_json::from_str(record.text("outcome").unwrap()).unwrap();
            return (started.elapsed(), outcome);
        }
        assert!(started.elapsed() < within, "not settled within {within:?}: {record:?}");
        sleep(every).await;
    }
}

fn statuses(outcome: &Outcome) -> Vec<&'static str> {
    outcome.objects.iter().map(|object| object.status.as_str()).collect()
}

async fn objects(house: &House, bucket: &str) -> BTreeMap<String, ObjectEntry> {
    let objects = house.simulator.objects(bucket, "").await;
    objects.into_iter().map(|object| (object.key.clone(), object)).collect()
}

/// The root's tally.
async fn tally(house: &House) -> (i64, Counters) {
    let items = house.store().query(ROOT, "TALLY#").await.unwrap();
    let sum = |name: &str| items.iter().filter_map(|item| item.number(name)).sum::<i64>();
    let counters = Counters::from_named(|name| u64::try_from(sum(name)).unwrap());
    (sum("settled"), counters)
}

async fn state(house: &House) -> Value {
    let record = record(house).await;
    record.text("state").map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

/// Waits until something can be seen.
async fn until(within: Duration, seen: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !seen().await {
        assert!(started.elapsed() < within, "not seen within {within:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

const SOON: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn each_object_gets_its_row_and_equal_ones_are_left_alone() {
    let house = house(json!([
        bucket(
            "src",
            json!([
                {"key": "equal", "size": 9}, {"key": "other", "size": 9}, {"key": "new ü+%", "size": 300,
                 "contentType": "text/x", "metadata": {"run": "7"}, "tags": {"k": "v"}},
                {"key": "none", "size": 0},
            ])
        ),
        bucket(
            "dest",
            json!([
                {"key": "equal", "size": 9, "sameAs": "src/equal"}, {"key": "other", "size": 9},
            ])
        ),
    ]))
    .await;
    let mut wanted = items("src", &["equal", "other", "new ü+%", "none", "missing"]);
    wanted.push(item("nowhere", "x", "x"));
    let before = objects(&house, "dest").await;
    house.breaks_in.store(1_000_000, std::sync::atomic::Ordering::Relaxed);
    put(&house, wanted, SliceOptions::default()).await;
    let _instance = house.instance();
    let (_, outcome) = settled(&house, SOON).await;
    assert_eq!(statuses(&outcome), ["ALREADYCOPIED", "COPIED", "COPIED", "COPIED", "ERROR", "ERROR"]);
    let messages: Vec<_> = outcome.objects.iter().map(|object| object.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "destination file already exists with same checksum so nothing was transferred",
            "",
            "",
            "",
            "s3://src/missing does not exist or is not accessible",
            "s3://nowhere/x does not exist or is not accessible",
        ]
    );
    let counters = Counters { files: 6, copied: 3, skipped: 1, failed: 2, bytes: 309, ..Counters::default() };
    assert_eq!((outcome.failure, outcome.counters), (None, counters));
    assert_eq!(tally(&house).await, (1, counters));
    let (from, to) = (objects(&house, "src").await, objects(&house, "dest").await);
    for key in ["equal", "other", "new ü+%", "none"] {
        assert_eq!(to[key].md5, from[key].md5, "{key}");
    }
    assert_ne!(before["other"].md5, to["other"].md5);
    let new = &to["new ü+%"];
    assert_eq!((&new.metadata["run"], &new.tags["k"]), (&"7".to_owned(), &"v".to_owned()));
    assert_eq!(new.headers["content-type"], "text/x");
    assert_eq!(calls(&house, "dest", "CopyObject"), 3);
    // Taken, settled in one transaction, and the root woken, which there is none to be taken of.
    let writes = 1_000_000 - house.breaks_in.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(writes, 4);
}

#[tokio::test(start_paused = true)]
async fn what_changes_under_our_hands_is_looked_at_again() {
    let house = house(json!([
        bucket("src", json!([{"key": "a", "size": 9}])),
        bucket("dest", json!([{"key": "a", "size": 9}])),
    ]))
    .await;
    // The copy is on its way when somebody else writes.
    house.faults(json!({"s3": [{"calls": ["HeadObject"], "bucket": "src", "times": 1, "delay": "5s"}]}));
    put(&house, items("src", &["a"]), SliceOptions::default()).await;
    let _instance = house.instance();
    until(SOON, async || calls(&house, "dest", "HeadObject") == 1).await;
    house.put_object("dest", "a", b"something else".to_vec()).await;
    let (_, outcome) = settled(&house, SOON).await;
    assert_eq!(statuses(&outcome), ["COPIED"]);
    assert_eq!(calls(&house, "dest", "CopyObject"), 2, "the first was refused");
    assert_eq!(objects(&house, "dest").await["a"].md5, objects(&house, "src").await["a"].md5);
}

#[tokio::test(start_paused = true)]
async fn parts_and_with_them_the_tag_are_kept() {
    let mut house = house(json!([
        bucket("src", json!([
            {"key": "even", "size": 16 * MIB, "parts": 3},
            {"key": "uneven", "size": 17 * MIB, "partSizes": [5 * MIB, 7 * MIB, 5 * MIB], "tags": {"k": "v"}},
            {"key": "one", "size": 12 * MIB},
        ])),
        bucket("dest", json!([])),
    ]))
    .await;
    house.settings.copy_out.multipart_threshold = 10 * MIB;
    house.settings.copy_out.part_size = 5 * MIB;
    put(&house, items("src", &["even", "uneven", "one"]), SliceOptions::default()).await;
    let instance = house.instance();
    let (_, outcome) = settled(&house, SOON).await;
    assert_eq!(statuses(&outcome), ["COPIED"; 3], "{:?}", outcome.objects);
    let (from, to) = (objects(&house, "src").await, objects(&house, "dest").await);
    for key in ["even", "uneven"] {
        assert_eq!((&to[key].etag, &to[key].md5), (&from[key].etag, &from[key].md5), "{key}");
    }
    assert!(to["one"].etag.ends_with("-3") && to["one"].md5 == from["one"].md5);
    assert_eq!(to["uneven"].tags["k"], "v");
    assert_eq!((calls(&house, "dest", "UploadPartCopy"), calls(&house, "dest", "CopyObject")), (9, 0));
    assert_eq!(calls(&house, "src", "GetObject"), 0, "no byte passed here");
    assert!(house.simulator.uploads("dest").is_empty());
    drop(instance);
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_middle_of_parts_repeats_one_at_most() {
    let mut house = house(json!([
        bucket("src", json!([{"key": "large", "size": 40 * MIB, "parts": 8}, {"key": "small", "size": 9}])),
        bucket("dest", json!([])),
    ]))
    .await;
    house.settings.copy_out.concurrent_parts = 1;
    house.faults(json!({"s3": [{"calls": ["UploadPartCopy"], "delay": "10s"}]}));
    put(&house, items("src", &["large", "small"]), SliceOptions::default()).await;
    let first = house.instance();
    until(SOON, async || house.simulator.uploads("dest").iter().any(|upload| upload.parts.len() == 3)).await;
    sleep(Duration::from_secs(1)).await;
    drop(first);
    let _second = house.instance();
    let (_, outcome) = settled(&house, Duration::from_mins(5)).await;
    // The small one came before the crash, and is not said to have been there.
    assert_eq!(statuses(&outcome), ["COPIED", "COPIED"], "{:?}", outcome.objects);
    assert_eq!(calls(&house, "dest", "CreateMultipartUpload"), 1);
    assert_eq!((calls(&house, "dest", "UploadPartCopy"), calls(&house, "dest", "CopyObject")), (9, 1));
    assert_eq!(objects(&house, "dest").await["large"].etag, objects(&house, "src").await["large"].etag);
    assert!(house.simulator.uploads("dest").is_empty());
}

#[tokio::test(start_paused = true)]
async fn uploads_that_nobody_needs_any_more_do_not_stay() {
    let mut house = house(json!([
        bucket("src", json!([{"key": "large", "size": 40 * MIB, "parts": 8}])),
        bucket("dest", json!([])),
    ]))
    .await;
    house.settings.copy_out.concurrent_parts = 1;
    // The answer to the first is lost, and the second is of a source that is replaced.
    house.faults(json!({"s3": [
        {"calls": ["CreateMultipartUpload"], "times": 1, "status": 500, "after": true},
        {"calls": ["UploadPartCopy"], "delay": "10s"},
    ]}));
    put(&house, items("src", &["large"]), SliceOptions::default()).await;
    let _instance = house.instance();
    until(SOON, async || house.simulator.uploads("dest").iter().any(|upload| upload.parts.len() == 2)).await;
    house.put_object("src", "large", b"short now".to_vec()).await;
    let (_, outcome) = settled(&house, Duration::from_mins(5)).await;
    assert_eq!(statuses(&outcome), ["COPIED"]);
    // Nobody can tell whose the one is whose answer was lost; it holds nothing.
    let left = house.simulator.uploads("dest");
    assert!(left.len() == 1 && left[0].parts.is_empty(), "{left:?}");
    assert_eq!(objects(&house, "dest").await["large"].size, 9);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_root_takes_its_uploads_along() {
    let mut house = house(json!([
        bucket("src", json!([{"key": "small", "size": 9}, {"key": "large", "size": 40 * MIB, "parts": 8}])),
        bucket("dest", json!([])),
    ]))
    .await;
    house.settings.copy_out.concurrent_parts = 1;
    house.faults(json!({"s3": [{"calls": ["UploadPartCopy"], "delay": "30s"}]}));
    put(&house, items("src", &["small", "large"]), SliceOptions::default()).await;
    let _instance = house.instance();
    until(SOON, async || !house.simulator.uploads("dest").is_empty()).await;
    let stop = json!({"error": "Cancelled", "message": "enough", "culprits": [], "culprits_total": 0});
    let stop = Item::new(Key::new(ROOT, "STOP")).with("failure", stop.to_string());
    house.store().write(Write::put_new(stop)).await.unwrap();
    let (_, outcome) = settled(&house, SOON).await;
    assert_eq!(statuses(&outcome), ["COPIED", "ERROR"]);
    assert_eq!(outcome.objects[1].message, "enough");
    assert_eq!(outcome.failure.unwrap().error.as_str(), "Cancelled");
    assert!(house.simulator.uploads("dest").is_empty());
}

#[tokio::test(start_paused = true)]
async fn archived_objects_are_asked_for_once_and_hold_up_nobody() {
    let cold = |key: &str, class: &str| json!({"key": key, "size": 9, "storageClass": class});
    let house = house(json!([
        bucket("src", json!([
            cold("glacier", "GLACIER"), cold("deep", "DEEP_ARCHIVE"), cold("instant", "GLACIER_IR"),
            {"key": "tiered", "size": 9, "storageClass": "INTELLIGENT_TIERING", "archiveTier": "ARCHIVE_ACCESS"},
            {"key": "warm", "size": 9},
        ])),
        bucket("dest", json!([])),
    ]))
    .await;
    house.faults(json!({"restoreDelay": "4h"}));
    let thaw = ThawParams {
        glacier: Thaw { days: 2, speed: ThawSpeed::Standard },
        tiering_archive: Thaw { days: 9, speed: ThawSpeed::Expedited },
        ..ThawParams::default()
    };
    let options = SliceOptions { thaw, ..SliceOptions::default() };
    put(&house, items("src", &["glacier", "deep", "instant", "tiered", "warm"]), options).await;
    let started = Instant::now();
    let first = house.instance();
    until(SOON, async || objects(&house, "dest").await.len() == 2).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    // It makes no difference who waits.
    sleep(Duration::from_hours(1)).await;
    drop(first);
    let _second = house.instance();
    let (_, outcome) = settled(&house, Duration::from_hours(6)).await;
    assert_eq!(statuses(&outcome), ["COPIED"; 5], "{:?}", outcome.objects);
    let took = started.elapsed();
    assert!((Duration::from_hours(4)..Duration::from_mins(275)).contains(&took), "{took:?}");
    assert_eq!(calls(&house, "src", "RestoreObject"), 3);
    let seen = objects(&house, "src").await;
    let asked = |key: &str| seen[key].restore.as_ref().map(|asked| (asked.tier.clone(), asked.days)).unwrap();
    assert_eq!(asked("glacier"), ("Standard".to_owned(), Some(2)));
    assert_eq!(asked("deep"), ("Bulk".to_owned(), Some(1)));
    assert_eq!(asked("tiered"), ("Expedited".to_owned(), None));
    assert_eq!(tally(&house).await.0, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_restored_in_time_is_given_up() {
    let mut house = house(json!([
        bucket("src", json!([{"key": "deep", "size": 9, "storageClass": "DEEP_ARCHIVE"}])),
        bucket("dest", json!([])),
    ]))
    .await;
    house.settings.copy_out.thaw_deadline = Duration::from_hours(2);
    house.faults(json!({"restoreDelay": "100h"}));
    put(&house, items("src", &["deep"]), SliceOptions::default()).await;
    let _instance = house.instance();
    let (took, outcome) = settled(&house, Duration::from_hours(3)).await;
    assert!((Duration::from_mins(119)..Duration::from_mins(125)).contains(&took), "{took:?}");
    assert_eq!(statuses(&outcome), ["ERROR"]);
    let message = &outcome.objects[0].message;
    assert!(message.contains("s3://src/deep was not restored within 2h"), "{message}");
    assert_eq!(calls(&house, "src", "RestoreObject"), 1);
}

#[tokio::test(start_paused = true)]
async fn slowing_down_loses_nothing_and_is_nobodys_fault() {
    let house = house(json!([
        bucket("src", json!([{"key": "o{n}", "size": 9, "count": 600}])),
        bucket("dest", json!([])),
    ]))
    .await;
    house.faults(json!({"s3": [
        {"calls": ["CopyObject"], "share": 0.3, "status": 503},
        {"calls": ["CopyObject"], "delay": "100ms"},
    ]}));
    let keys: Vec<_> = (0..600).map(|n| format!("o{n:06}")).collect();
    let wanted = keys.iter().map(|key| item("src", key, key)).collect();
    put_with(&house, wanted, SliceOptions::default(), 600).await;
    let _instance = house.instance();
    until(SOON, async || calls(&house, "dest", "CopyObject") > 500).await;
    let mut most = 0;
    while record(&house).await.text("phase") != Some("SETTLED") {
        most = most.max(house.simulator.stats().buckets["dest"].at_once);
        sleep(Duration::from_millis(20)).await;
    }
    let (_, outcome) = settled(&house, SOON).await;
    assert!(outcome.objects.iter().all(|object| object.status == CopyStatus::Copied));
    assert_eq!(objects(&house, "dest").await.len(), 600);
    let stats = house.simulator.stats();
    let tried = stats.buckets["dest"].calls["CopyObject"];
    assert!((780..960).contains(&tried), "{tried}");
    // It begins wide, and is soon much narrower.
    assert!(stats.buckets["dest"].most_at_once > 100 && most <= 40, "{most}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_copied_is_a_row_and_what_is_away_is_waited_for() {
    let house = house(json!([
        bucket(
            "src",
            json!([{"key": "broken", "size": 9}, {"key": "denied", "size": 9}, {"key": "fine", "size": 9}])
        ),
        bucket("dest", json!([])),
    ]))
    .await;
    // For half an hour nothing answers at all.
    house.faults(json!({"s3": [{"status": 500}]}));
    put(&house, items("src", &["broken", "denied", "fine"]), SliceOptions::default()).await;
    let _instance = house.instance();
    sleep(Duration::from_mins(30)).await;
    assert_ne!(record(&house).await.text("phase"), Some("SETTLED"));
    assert_eq!(calls(&house, "dest", "CopyObject"), 0);
    house.faults(json!({"s3": [
        {"calls": ["CopyObject"], "key": "broken", "status": 500},
        {"calls": ["CopyObject"], "key": "denied", "status": 403},
    ]}));
    let (_, outcome) = settled(&house, Duration::from_mins(20)).await;
    assert_eq!(statuses(&outcome), ["ERROR", "ERROR", "COPIED"], "{:?}", outcome.objects);
    let [broken, denied, _] = outcome.objects.as_slice() else { panic!("{outcome:?}") };
    let said = "s3://src/broken could not be copied to s3://dest/broken: CopyObject: InternalError";
    assert!(broken.message.starts_with(said) && broken.message.contains("5 tries"), "{}", broken.message);
    assert!(
        denied.message.contains("AccessDenied") && denied.message.contains("policy"),
        "{}",
        denied.message
    );
    assert_eq!(calls(&house, "dest", "CopyObject"), 5 + 1 + 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_brought_before_a_crash_is_not_said_to_have_been_there() {
    let house = house(json!([
        bucket("src", json!([{"key": "o{n}", "size": 9, "count": 40}, {"key": "old", "size": 9}])),
        bucket("dest", json!([{"key": "old", "size": 9, "sameAs": "src/old"}])),
    ]))
    .await;
    sleep(Duration::from_hours(1)).await;
    house.faults(json!({"s3": [{"calls": ["CopyObject"], "delay": "1s"}]}));
    let keys: Vec<_> = (0..40).map(|n| format!("o{n:06}")).collect();
    let mut wanted: Vec<_> = keys.iter().map(|key| item("src", key, key)).collect();
    wanted.push(item("src", "old", "old"));
    put_with(&house, wanted, SliceOptions::default(), 4).await;
    let first = house.instance();
    until(SOON, async || objects(&house, "dest").await.len() > 13).await;
    drop(first);
    let before = calls(&house, "dest", "CopyObject");
    let there = objects(&house, "dest").await.len() as u64 - 1;
    assert!(before - there <= 4, "in flight when it was killed");
    let _second = house.instance();
    let (_, outcome) = settled(&house, Duration::from_mins(5)).await;
    let rows = statuses(&outcome);
    assert_eq!((&rows[..40], rows[40]), (["COPIED"; 40].as_slice(), "ALREADYCOPIED"));
    assert_eq!(calls(&house, "dest", "CopyObject") - before, 40 - there, "none was copied twice");
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_what_is_under_way_end_and_another_goes_on() {
    let house = house(json!([
        bucket("src", json!([{"key": "o{n}", "size": 9, "count": 40}])),
        bucket("dest", json!([])),
    ]))
    .await;
    house.faults(json!({"s3": [{"calls": ["CopyObject"], "delay": "10s"}]}));
    let keys: Vec<_> = (0..40).map(|n| format!("o{n:06}")).collect();
    let wanted = keys.iter().map(|key| item("src", key, key)).collect();
    put_with(&house, wanted, SliceOptions::default(), 4).await;
    let first = house.instance();
    until(SOON, async || objects(&house, "dest").await.len() == 4).await;
    sleep(Duration::from_secs(1)).await;
    first.stop().await;
    assert_eq!(objects(&house, "dest").await.len(), 8, "no more was begun");
    let done = state(&house).await["done"].as_object().unwrap().len();
    assert_eq!((done, record(&house).await.text("owner")), (8, Some("")));
    let _second = house.instance();
    let (_, outcome) = settled(&house, Duration::from_mins(5)).await;
    assert_eq!(statuses(&outcome), ["COPIED"; 40]);
    assert_eq!(calls(&house, "dest", "CopyObject"), 40);
}

/// One secret.
#[derive(Debug)]
struct Vault;

#[async_trait]
impl Secrets for Vault {
    async fn read(&self, id: &str) -> Result<SecretString> {
        match id {
            "ceph" => Ok(json!({"access_key_id": "CEPH", "secret_access_key": "s3cret"}).to_string().into()),
            _ => Err(Error::new(Class::NotFound, "GetSecretValue", "there is no such secret")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_s3_reaches_at_both_ends_is_streamed() {
    let mut house = house(json!([
        {"name": "far", "public": false, "keys": ["CEPH"], "objects": [
            {"key": "parts", "size": 17 * MIB, "partSizes": [5 * MIB, 7 * MIB, 5 * MIB],
             "contentType": "text/x", "metadata": {"run": "7"}},
            {"key": "whole", "size": MIB, "tags": {"k": "v"}}, {"key": "none", "size": 0},
            {"key": "large", "size": 12 * MIB},
        ]},
        {"name": "dest", "keys": ["OWN"]},
    ]))
    .await;
    house.settings.copy_out.multipart_threshold = 10 * MIB;
    house.settings.copy_out.part_size = 5 * MIB;
    house.secrets = Arc::new(Vault);
    let far = |secret: &str| BucketDefinition {
        region: None,
        endpoint_url: Some("http://ceph.simulated".into()),
        rights: Rights::Secret(secret.into()),
    };
    let buckets = BTreeMap::from([("far".to_owned(), far("ceph")), ("lost".to_owned(), far("lost"))]);
    let options = SliceOptions { buckets, ..SliceOptions::default() };
    let mut wanted = items("far", &["parts", "whole", "none", "large"]);
    wanted.push(item("lost", "x", "x"));
    put(&house, wanted, options).await;
    let _instance = house.instance();
    let (_, outcome) = settled(&house, SOON).await;
    assert_eq!(
        statuses(&outcome),
        ["COPIED", "COPIED", "COPIED", "COPIED", "ERROR"],
        "{:?}",
        outcome.objects
    );
    assert!(outcome.objects[4].message.contains("no such secret"), "{}", outcome.objects[4].message);
    let (from, to) = (objects(&house, "far").await, objects(&house, "dest").await);
    for key in ["parts", "whole", "none"] {
        assert_eq!((&to[key].etag, &to[key].md5), (&from[key].etag, &from[key].md5), "{key}");
    }
    assert_eq!((to["large"].size, &to["large"].md5), (12 * MIB, &from["large"].md5));
    assert_eq!((&to["parts"].metadata["run"], &to["whole"].tags["k"]), (&"7".into(), &"v".into()));
    assert_eq!(calls(&house, "dest", "CopyObject") + calls(&house, "dest", "UploadPartCopy"), 0);
    assert!(house.simulator.uploads("dest").is_empty());
}

#[tokio::test(start_paused = true)]
async fn public_objects_are_asked_for_without_a_signature() {
    let house = house(json!([
        {"name": "public", "objects": [{"key": "a", "size": 9}]},
        {"name": "theirs", "keys": ["THEIRS"], "objects": [{"key": "b", "size": 9}, {"key": "c", "size": 12 * MIB, "parts": 2}]},
        {"name": "dest", "keys": ["OWN"]},
    ]))
    .await;
    let wanted =
        vec![unsigned("public", "a", "a"), unsigned("theirs", "b", "b"), unsigned("theirs", "c", "c")];
    put(&house, wanted, SliceOptions::default()).await;
    let _instance = house.instance();
    let (_, outcome) = settled(&house, SOON).await;
    assert_eq!(statuses(&outcome), ["COPIED"; 3], "{:?}", outcome.objects);
    let to = objects(&house, "dest").await;
    assert_eq!(to["a"].md5, objects(&house, "public").await["a"].md5);
    let theirs = objects(&house, "theirs").await;
    assert_eq!((&to["b"].md5, &to["c"].etag), (&theirs["b"].md5, &theirs["c"].etag));
    let stats = house.simulator.stats();
    for bucket in ["public", "theirs"] {
        let asked: u64 = stats.buckets[bucket].calls.values().sum();
        assert_eq!(stats.buckets[bucket].unsigned, asked, "{bucket}");
    }
    assert_eq!(stats.buckets["dest"].unsigned, 0);
    assert_eq!(calls(&house, "public", "GetObject"), 0, "what our own rights may read is not streamed");
    assert!(house.simulator.uploads("dest").is_empty());
}

#[tokio::test(start_paused = true)]
async fn files_of_icav2_are_streamed() {
    let house = house(json!([bucket("dest", json!([]))])).await;
    let files = house.simulator.tree("lab", "/run/").await.unwrap();
    let (platform, lab) = (
        house.platform(Arc::new(Dice::from_seed(1))),
        ProjectId::new("11111111-1111-4111-8111-111111111111"),
    );
    let mut wanted = Vec::new();
    for path in ["/run/a.bam", "/run/b.txt"] {
        let Data { id, path, size, etag, .. } =
            platform.find(&lab, &DataPath::parse(path).unwrap()).await.unwrap().unwrap();
        let to = format!("in{path}");
        wanted.push(SliceItem { from: Origin::Data { project: lab.clone(), id, path, size, etag }, to });
    }
    put(&house, wanted, SliceOptions::default()).await;
    let _instance = house.instance();
    let (_, outcome) = settled(&house, SOON).await;
    assert_eq!(statuses(&outcome), ["COPIED"; 2], "{:?}", outcome.objects);
    let to = objects(&house, "dest").await;
    for file in &files {
        let there = &to[&format!("in{}", file.path)];
        assert_eq!(
            (Some(&there.etag), Some(&there.md5)),
            (file.etag.as_ref(), file.md5.as_ref()),
            "{}",
            file.path
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_not_look_at_the_destination_may_still_write_there() {
    let house = house(json!([
        bucket("src", json!([{"key": "a", "size": 9}, {"key": "b", "size": 9, "tags": {"k": "v"}}])),
        {"name": "dest", "deny": ["GetObject", "ListBucket", "PutObjectTagging"], "objects": [{"key": "a", "size": 3}]},
    ]))
    .await;
    put(&house, items("src", &["a", "b"]), SliceOptions::default()).await;
    let _instance = house.instance();
    let (_, outcome) = settled(&house, SOON).await;
    let rows: Vec<&Copied> = outcome.objects.iter().collect();
    assert_eq!(statuses(&outcome), ["COPIED"; 2], "{rows:?}");
    let (from, to) = (objects(&house, "src").await, objects(&house, "dest").await);
    assert_eq!((&to["a"].md5, &to["b"].md5), (&from["a"].md5, &from["b"].md5));
    assert!(to["b"].tags.is_empty(), "tags as far as both ends permit them");
}

#[tokio::test(start_paused = true)]
async fn a_list_is_brought_from_its_event_to_its_answer() {
    let house = house(json!([
        bucket("src", json!([{"key": "in/o{n}", "size": 9, "count": 25}])),
        bucket("dest", json!([])),
    ]))
    .await;
    let list: String =
        (0..25).map(|n| format!("src,in/o{n:06}\n")).chain(["src,in/missing\n".into()]).collect();
    house.put_object("requests", "list.csv", list.into_bytes()).await;
    let _instance = house.instance();
    for (token, copied, there) in [("first", 25, 0), ("again", 0, 25)] {
        let event = json!({
            "id": token, "source": "orcabus.test", "detail-type": "S3CopyOutSync",
            "detail": {"taskToken": token, "payload": {
                "sourceFilesCsvBucket": "requests", "sourceFilesCsvKey": "list.csv",
                "destinationBucket": "dest", "continueOnError": true,
            }},
        });
        house.queue.push(event.to_string()).await.unwrap();
        let output = house.success(token, Duration::from_mins(5)).await;
        assert_eq!(calls(&house, "dest", "CopyObject"), 25, "{output}");
        let counts = json!({"total": 26, "copied": copied, "alreadyCopied": there, "errors": 1});
        assert_eq!(output["objects"], counts);
    }
    let dest = objects(&house, "dest").await;
    assert_eq!(dest.len(), 27, "the objects, the marker and the summary: {:?}", dest.keys());
}
