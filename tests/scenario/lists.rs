//! Lists as their roots see them: read from S3, planned, and put away.

use std::{collections::BTreeMap, fmt::Write as _, sync::atomic::Ordering, time::Duration};

use copy_manager::ports::store::{Key, Store as _, item_bytes};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    asking::{ask, calls},
    house::House,
};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: i64 = 24 * 3600;

async fn house(source: Value, there: Value) -> House {
    let buckets = json!([{"name": "src", "objects": source}, {"name": "dest", "objects": there}]);
    House::beside(&[], &[], &[], buckets, |_| {}).await
}

/// A house where so many objects have arrived already.
async fn all_there(count: u32) -> House {
    let series = |key: &str| json!([{"key": key, "size": 5, "count": count, "sameAs": "src/o{n}"}]);
    house(series("o{n}"), series("o{n}")).await
}

fn rows(count: u32) -> String {
    (0..count).fold(String::new(), |mut list, n| {
        writeln!(list, "src,o{n:06}").unwrap();
        list
    })
}

/// Status and message of each row of the summary.
async fn summary(house: &House) -> Vec<(String, String)> {
    let summary = house.object("dest", "ENDED_COPY.csv").await;
    let row = |line: &str| {
        let fields: Vec<_> = line.splitn(4, ',').collect();
        (fields[1].to_owned(), fields[3].trim_matches('"').to_owned())
    };
    summary.lines().skip(1).map(row).collect()
}

async fn sources(house: &House, bucket: &str) -> BTreeMap<String, String> {
    let objects = house.simulator.objects(bucket, "").await;
    objects.into_iter().map(|object| (object.key, object.md5)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_that_breaks_off_is_gone_on_with() {
    let house = all_there(300).await;
    house.faults(json!({"s3": [{"calls": ["GetObject"], "bucket": "requests", "times": 3, "cut": 1000}]}));
    let _instance = house.instance();
    ask(&house, "list", "list.csv", &rows(300), json!({"maxItemsPerBatch": 100})).await;
    let output = house.success("list", 5 * MINUTE).await;
    assert_eq!(output["objects"], json!({"total": 300, "copied": 0, "alreadyCopied": 300, "errors": 0}));
    assert_eq!(calls(&house, "requests", "GetObject"), 4);
    // The start marker once, and the summary: what had been done was not done again.
    assert_eq!(calls(&house, "dest", "PutObject"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_breaks_off_for_ever_is_waited_for() {
    let house = all_there(300).await;
    house.faults(json!({"s3": [{"calls": ["GetObject"], "bucket": "requests", "cut": 0}]}));
    let _instance = house.instance();
    ask(&house, "list", "list.csv", &rows(300), json!({"maxItemsPerBatch": 100})).await;
    sleep(20 * MINUTE).await;
    assert_eq!(house.callers.answer("list"), None);
    assert!(calls(&house, "requests", "GetObject") < 200, "{}", calls(&house, "requests", "GetObject"));
    house.faults(json!({"s3": []}));
    assert_eq!(house.success("list", 10 * MINUTE).await["objects"]["total"], 300);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_changes_while_it_is_read_is_begun_anew() {
    let house = all_there(300).await;
    house.faults(json!({"s3": [{"calls": ["GetObject"], "bucket": "requests", "times": 1, "cut": 1000}]}));
    let _instance = house.instance();
    ask(&house, "list", "list.csv", &rows(300), json!({"maxItemsPerBatch": 100})).await;
    while calls(&house, "requests", "GetObject") == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    house.put_object("requests", "list.csv", b"src,o000007\nsrc,o000008\n".to_vec()).await;
    let output = house.success("list", 5 * MINUTE).await;
    assert_eq!(output["objects"]["total"], 2, "never some of the one and some of the other");
}

#[tokio::test(start_paused = true)]
async fn a_wildcard_is_followed_page_by_page() {
    let mut house = all_there(1001).await;
    house.settings.copy_out.max_expansion = 1001;
    // More than is tried again where the call is made.
    house.faults(json!({"s3": [{"calls": ["ListObjectsV2"], "bucket": "src", "times": 6, "status": 500}]}));
    let _instance = house.instance();
    let line = |key: &str| format!("{{\"sourceBucket\":\"src\",\"sourceKey\":\"{key}\"}}\n");
    let list = format!("{}{}", line("*"), line("o000003"));
    ask(&house, "all", "list.jsonl", &list, json!({"maxItemsPerBatch": 500})).await;
    let output = house.success("all", 5 * MINUTE).await;
    assert_eq!(output["objects"], json!({"total": 1002, "copied": 0, "alreadyCopied": 1002, "errors": 0}));
    assert_eq!(calls(&house, "src", "ListObjectsV2"), 6 + 2);
    assert_eq!(calls(&house, "dest", "PutObject"), 2, "nothing was begun anew");
    let too_many = line("o0020*").replace("o0020*", "*");
    house.put_object("src", "one-more", b"x".to_vec()).await;
    ask(&house, "more", "more.jsonl", &too_many, json!({})).await;
    assert_eq!(house.failure("more", MINUTE).await.0, "WildcardExpansionMaximumError");
}

#[tokio::test(start_paused = true)]
async fn of_objects_with_one_key_the_last_is_brought_where_that_is_allowed() {
    let objects = json!([
        {"key": "x/a", "size": 5}, {"key": "y/a", "size": 6}, {"key": "z/a", "size": 7}, {"key": "x/b", "size": 3},
    ]);
    let house = house(objects, json!([])).await;
    let _instance = house.instance();
    let list = "src,x/a\nsrc,y/a\nsrc,x/b\nsrc,z/a\n";
    let allowed = |items: u32| json!({"allowCollisions": true, "maxItemsPerBatch": items});
    ask(&house, "not", "list.csv", list, json!({})).await;
    let (error, cause) = house.failure("not", MINUTE).await;
    assert_eq!(
        (error.as_str(), &cause["files"][0]["what"]),
        ("InvokeArgumentsInvariantError", &json!("s3://src/x/a"))
    );
    for (token, items) in [("alone", 1), ("together", 2)] {
        ask(&house, token, "list.csv", list, allowed(items)).await;
        let output = house.success(token, MINUTE).await;
        assert_eq!((&output["objects"]["superseded"], &output["objects"]["total"]), (&json!(2), &json!(4)));
        assert_eq!(output["objects"]["errors"], 0);
        let summary = summary(&house).await;
        let statuses: Vec<_> = summary.iter().map(|(status, _)| status.as_str()).collect();
        let done = if token == "alone" { "COPIED" } else { "ALREADYCOPIED" };
        assert_eq!(statuses, ["SUPERSEDED", "SUPERSEDED", done, done]);
        assert!(summary[0].1.starts_with("s3://src/z/a, later in the list"), "{summary:?}");
    }
    assert_eq!(calls(&house, "dest", "CopyObject"), 2, "who loses is never sent");
    assert_eq!(sources(&house, "dest").await["a"], sources(&house, "src").await["z/a"]);
    // The last one decides, also where it stands in the list twice.
    ask(&house, "back", "list.csv", "src,x/a\nsrc,y/a\nsrc,x/a\n", allowed(1)).await;
    let output = house.success("back", MINUTE).await;
    assert_eq!(output["objects"]["superseded"], 1);
    assert_eq!(sources(&house, "dest").await["a"], sources(&house, "src").await["x/a"]);
}

#[tokio::test(start_paused = true)]
async fn the_plan_of_a_list_is_never_read_as_a_whole() {
    let house = house(json!([]), json!([])).await;
    let instance = house.instance();
    // Keys that cannot be packed much.
    let key = |n: u64| {
        let words = (0..30_u64).map(|word| (n * 31 + word + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        words.fold(String::new(), |key, word| format!("{key}{:016x}", word ^ (word >> 29)))
    };
    let list: Vec<_> = (0..800).map(|n| format!("src,{}\n", key(n))).collect();
    ask(&house, "list", "list.csv", &list.concat(), json!({"continueOnError": true})).await;
    let output = house.success("list", 5 * MINUTE).await;
    assert_eq!(output["objects"]["errors"], 800);
    sleep(MINUTE).await;
    assert_eq!(house.unsettled().await, []);
    let plan = house.store().query(&root(&house), "PLAN#").await.unwrap();
    let bytes: usize = plan.iter().map(item_bytes).sum();
    let longest = house.longest_answer.load(Ordering::Relaxed);
    assert!(bytes > 280_000 && longest < 100_000, "{longest} of {bytes}");
    // And all of it goes when the request does.
    let now = house.now().as_second();
    let is_soon = |at: Option<i64>| at.is_some_and(|at| (29 * DAY..=31 * DAY).contains(&(at - now)));
    assert!(plan.iter().all(|item| is_soon(item.number("expire_at"))), "{:?}", plan.first());
    for id_type in ["REQUEST", "PAYLOAD", "OUTCOME"] {
        let item = house.store().get(&Key::new(root(&house), id_type)).await.unwrap().unwrap();
        assert!(is_soon(item.number("expire_at")), "{id_type}");
    }
    let slices = house.slices(&root(&house)).await;
    assert_eq!(
        slices.iter().filter(|item| is_soon(item.number("expire_at"))).count(),
        16,
        "keys as long as that make small slices"
    );
    drop(instance);
}

/// The request that was told about last.
fn root(house: &House) -> String {
    let told = house.buses.told.lock().unwrap();
    told.last().unwrap()["requestId"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_refused_for_what_a_run_would_be() {
    let house = house(json!([{"key": "x/a", "size": 5}, {"key": "y/a", "size": 6}]), json!([])).await;
    let _instance = house.instance();
    let cases = [
        ("two", "src,x/a\nsrc,y/a\n", "the same key at the destination"),
        ("own", "src,x/ENDED_COPY.csv\n", "over the start marker or the summary"),
    ];
    for (token, list, words) in cases {
        ask(&house, token, &format!("{token}.csv"), list, json!({"dryRun": true})).await;
        let (error, cause) = house.failure(token, MINUTE).await;
        assert_eq!(error, "InvokeArgumentsInvariantError", "{cause}");
        assert!(cause["message"].as_str().unwrap().contains(words), "{cause}");
    }
    assert_eq!(calls(&house, "dest", "PutObject"), 0);
}
