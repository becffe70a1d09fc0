//! What copy-outs cost, and that thrift changes nothing of what becomes of an object.

use std::time::Duration;

use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    asking::{self, calls},
    house::House,
};

const SOON: Duration = Duration::from_mins(1);

async fn ask(house: &House, token: &str, list: &str, more: Value) {
    let mut payload = json!({"destinationPrefixKey": "in/"});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    asking::ask(house, token, "list.csv", list, payload).await;
}

/// 400 objects, and the list of them.
async fn many() -> (House, String) {
    let series = json!([{"key": "many/{n}", "size": 10, "count": 400}]);
    let buckets = json!([{"name": "src", "objects": series}, {"name": "dest"}]);
    let list = (0..400).fold(String::new(), |list, n| list + &format!("src,many/{n:06}\n"));
    (House::beside(&[], &[], &[], buckets, |_| {}).await, list)
}

/// Objects of these keys, and the list of them.
async fn few(keys: &[&str]) -> (House, String) {
    let house = House::beside(&[], &[], &[], json!([{"name": "src"}, {"name": "dest"}]), |_| {}).await;
    for key in keys {
        house.put_object("src", key, format!("content of {key}").into_bytes()).await;
    }
    (house, keys.iter().fold(String::new(), |list, key| list + &format!("src,{key}\n")))
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_nothing_is_looked_for() {
    let (house, list) = many().await;
    let _instance = house.instance();
    ask(&house, "first", &list, json!({})).await;
    house.success("first", SOON).await;
    assert_eq!((calls(&house, "src", "HeadObject"), calls(&house, "dest", "CopyObject")), (0, 400));
    assert_eq!(calls(&house, "dest", "HeadObject"), 0);
    // One is not listed by each slice, but by the first that need it.
    let listings = calls(&house, "src", "ListObjectsV2");
    assert!((1..=6).contains(&listings), "{listings} listings");
    // A summary is there now: it may be more.
    ask(&house, "second", &list, json!({})).await;
    let output = house.success("second", SOON).await;
    assert_eq!(output["objects"]["alreadyCopied"], 400);
    assert_eq!(calls(&house, "dest", "CopyObject"), 400);
    assert_eq!(calls(&house, "dest", "HeadObject"), 400);
}

#[tokio::test(start_paused = true)]
async fn as_many_objects_are_in_flight_as_may_be() {
    let (house, list) = many().await;
    house.faults(json!({"s3": [{"calls": ["CopyObject"], "delay": "1s"}]}));
    let _instance = house.instance();
    ask(&house, "one", &list, json!({"copyConcurrency": 24, "maxItemsPerBatch": 10})).await;
    house.success("one", SOON).await;
    let most = house.simulator.stats().buckets["dest"].most_at_once;
    assert!((18..=24).contains(&most), "{most} of 24");
}

#[tokio::test(start_paused = true)]
async fn what_others_have_put_there_meanwhile_is_seen() {
    let buckets = json!([{"name": "src"}, {"name": "dest"}]);
    let house = House::beside(&[], &[], &[], buckets, |_| {}).await;
    for key in ["a", "b", "c"] {
        house.put_object("src", key, format!("content of {key}").into_bytes()).await;
    }
    house.faults(json!({"s3": [{"calls": ["HeadObject"], "bucket": "src", "times": 3, "delay": "5s"}]}));
    let _instance = house.instance();
    ask(&house, "one", "src,a\nsrc,b\nsrc,c\n", json!({})).await;
    while calls(&house, "src", "HeadObject") < 3 {
        sleep(Duration::from_millis(10)).await;
    }
    house.put_object("dest", "in/a", b"content of a".to_vec()).await;
    house.put_object("dest", "in/b", b"another content".to_vec()).await;
    let output = house.success("one", SOON).await;
    assert_eq!(output["objects"], json!({"total": 3, "copied": 2, "alreadyCopied": 1, "errors": 0}));
    assert_eq!(house.object("dest", "in/b").await, "content of b");
    // Those of `a` and `b` were refused, and `b` was copied over what it was then seen to be.
    assert_eq!((calls(&house, "dest", "CopyObject"), calls(&house, "dest", "HeadObject")), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_after_it_was_listed_is_copied_as_it_is_now() {
    let (house, _) = few(&["f/a", "f/b", "f/c", "f/d", "f/e", "f/f"]).await;
    house.faults(json!({"s3": [{"calls": ["CopyObject"], "times": 1, "delay": "5s"}]}));
    let _instance = house.instance();
    let list = "src,f/a\nsrc,f/b\nsrc,f/c\nsrc,f/d\nsrc,f/e\n";
    ask(&house, "one", list, json!({"copyConcurrency": 1})).await;
    while calls(&house, "dest", "CopyObject") < 1 {
        sleep(Duration::from_millis(10)).await;
    }
    house.put_object("src", "f/d", b"something longer than before".to_vec()).await;
    let output = house.success("one", SOON).await;
    assert_eq!(output["objects"], json!({"total": 5, "copied": 5, "alreadyCopied": 0, "errors": 0}));
    assert_eq!(house.object("dest", "in/d").await, "something longer than before");
    // The copy of what was there before was refused, and both ends were looked at.
    assert_eq!((calls(&house, "dest", "CopyObject"), calls(&house, "dest", "HeadObject")), (6, 1));
    assert_eq!((calls(&house, "src", "HeadObject"), calls(&house, "src", "ListObjectsV2")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn odd_keys_are_found_in_a_listing() {
    let keys = ["o d//a b", "o d//a+b", "o d//a%20b", "o d//a&b", "o d//Ünï", "o d//日本", "o d//~"];
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    let (house, list) = few(&keys).await;
    let _instance = house.instance();
    ask(&house, "one", &list, json!({})).await;
    let output = house.success("one", SOON).await;
    assert_eq!(output["objects"]["copied"], 7, "{output}");
    for key in &keys {
        let (_, name) = key.rsplit_once('/').unwrap();
        assert_eq!(house.object("dest", &format!("in/{name}")).await, format!("content of {key}"));
    }
    assert_eq!((calls(&house, "src", "HeadObject"), calls(&house, "src", "ListObjectsV2")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_listing_does_not_show_is_looked_for() {
    let (house, _) = few(&["f/a", "f/b", "f/c", "f/d"]).await;
    let _instance = house.instance();
    let list = "src,f/a\nsrc,f/b\nsrc,f/bb\nsrc,f/c\nsrc,f/d\n";
    ask(&house, "one", list, json!({"continueOnError": true})).await;
    let output = house.success("one", SOON).await;
    assert_eq!(output["objects"], json!({"total": 5, "copied": 4, "alreadyCopied": 0, "errors": 1}));
    assert_eq!((calls(&house, "src", "HeadObject"), calls(&house, "src", "ListObjectsV2")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn objects_far_between_are_listed_once() {
    let (house, _) = many().await;
    let _instance = house.instance();
    let list = (0..40).fold(String::new(), |list, n| list + &format!("src,many/{:06}\n", n * 10));
    ask(&house, "one", &list, json!({"copyConcurrency": 10})).await;
    let output = house.success("one", SOON).await;
    assert_eq!(output["objects"]["copied"], 40);
    assert_eq!((calls(&house, "src", "HeadObject"), calls(&house, "src", "ListObjectsV2")), (38, 1));
}

#[tokio::test(start_paused = true)]
async fn where_we_may_not_list_each_source_is_looked_at() {
    let (house, list) = many().await;
    house.faults(json!({"s3": [{"calls": ["ListObjectsV2"], "bucket": "src", "status": 403}]}));
    let _instance = house.instance();
    ask(&house, "one", &list, json!({})).await;
    let output = house.success("one", SOON).await;
    assert_eq!(output["objects"], json!({"total": 400, "copied": 400, "alreadyCopied": 0, "errors": 0}));
    assert_eq!((calls(&house, "src", "HeadObject"), calls(&house, "src", "ListObjectsV2")), (400, 1));
}

#[tokio::test(start_paused = true)]
async fn what_may_be_listed_and_not_read_is_said_to_be_so() {
    let (house, list) = few(&["f/a", "f/b", "f/c", "f/d"]).await;
    house.faults(json!({"s3": [
        {"calls": ["HeadObject"], "bucket": "src", "key": "f/c", "status": 403},
        {"calls": ["CopyObject"], "key": "in/c", "status": 403},
    ]}));
    let _instance = house.instance();
    ask(&house, "one", &list, json!({"continueOnError": true})).await;
    let output = house.success("one", SOON).await;
    assert_eq!(output["objects"], json!({"total": 4, "copied": 3, "alreadyCopied": 0, "errors": 1}));
    let summary = house.object("dest", "in/ENDED_COPY.csv").await;
    assert!(summary.contains("s3://src/f/c does not exist or is not accessible"), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn what_was_listed_keeps_its_tags_and_metadata() {
    let objects = json!([
        {"key": "f/a", "size": 9, "tags": {"k": "v"}, "metadata": {"run": "7"}}, {"key": "f/b", "size": 9},
        {"key": "f/c", "size": 9}, {"key": "f/d", "size": 9, "storageClass": "GLACIER_IR"},
        {"key": "f/e", "size": 9, "storageClass": "INTELLIGENT_TIERING"},
    ]);
    let buckets = json!([{"name": "src", "objects": objects}, {"name": "dest"}]);
    let house = House::beside(&[], &[], &[], buckets, |_| {}).await;
    let _instance = house.instance();
    ask(&house, "one", "src,f/a\nsrc,f/b\nsrc,f/c\nsrc,f/d\nsrc,f/e\n", json!({})).await;
    assert_eq!(house.success("one", SOON).await["objects"]["copied"], 5);
    // The class of the last may hide that it is archived.
    assert_eq!((calls(&house, "src", "HeadObject"), calls(&house, "src", "ListObjectsV2")), (1, 1));
    let copied = house.simulator.objects("dest", "in/a").await.remove(0);
    assert_eq!((&copied.tags["k"], &copied.metadata["run"]), (&"v".to_owned(), &"7".to_owned()));
}
