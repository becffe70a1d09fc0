//! Copy-outs from their event to their answer, between the buckets of the simulator.

use std::{collections::BTreeSet, time::Duration};

use copy_manager::ports::store::{Key, Store as _};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    asking::{ask, calls},
    house::House,
};

const MINUTE: Duration = Duration::from_mins(1);
const HEADER: &str = "OBJECTNAME,TRANSFERSTATUS,MBPERSEC,MESSAGE";

async fn house(buckets: Value) -> House {
    House::beside(&[], &[], &[], buckets, |_| {}).await
}

/// Three buckets: what is copied, where to, and nothing else.
async fn plain(objects: Value) -> House {
    house(json!([{"name": "src", "objects": objects}, {"name": "dest"}])).await
}

async fn keys(house: &House) -> BTreeSet<String> {
    house.simulator.objects("dest", "").await.into_iter().map(|object| object.key).collect()
}

/// The request that was told about last.
fn root(house: &House) -> String {
    let told = house.buses.told.lock().unwrap();
    told.last().unwrap()["requestId"].as_str().unwrap().to_owned()
}

fn set(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(ToString::to_string).collect()
}

/// Object and status of each row of a summary, below its header.
fn rows(summary: &str) -> Vec<(String, String)> {
    let mut lines = summary.lines();
    assert!(lines.next().unwrap().starts_with(HEADER));
    let row = |line: &str| {
        let mut fields = line.split(',');
        (fields.next().unwrap().to_owned(), fields.next().unwrap().to_owned())
    };
    lines.map(row).collect()
}

fn row(object: &str, status: &str) -> (String, String) {
    (object.to_owned(), status.to_owned())
}

#[tokio::test(start_paused = true)]
async fn three_objects_go_out_once() {
    let object = |key: &str| json!({"key": key, "size": 256 << 10});
    let house = plain(json!([object("x/a"), object("y/b"), object("c")])).await;
    let _instance = house.instance();
    let list = "src,x/a\nsrc,y/b\nsrc,c\n";
    let more = || json!({"maxItemsPerBatch": 1, "copyConcurrency": 1, "destinationPrefixKey": "in/"});
    ask(&house, "one", "jobs/list.csv", list, more()).await;
    let output = house.success("one", MINUTE).await;
    assert_eq!(output["objects"], json!({"total": 3, "copied": 3, "alreadyCopied": 0, "errors": 0}));
    assert_eq!(
        (&output["summaryCsvKey"], &output["workingCsvKey"]),
        (&json!("ENDED_COPY.csv"), &json!("jobs/list.csv.ENDED_COPY.csv"))
    );
    assert_eq!(output["bytes"], 3 * (256 << 10));
    assert_eq!(
        keys(&house).await,
        set(&["in/a", "in/b", "in/c", "in/STARTED_COPY.txt", "in/ENDED_COPY.csv"])
    );
    assert_eq!(
        house.object("dest", "in/STARTED_COPY.txt").await,
        "A file created by copy out to ensure correct permissions and to indicate that start of the copy process"
    );
    let summary = house.object("dest", "in/ENDED_COPY.csv").await;
    assert_eq!(summary.lines().next(), Some(HEADER));
    assert_eq!(rows(&summary), [row("a", "COPIED"), row("b", "COPIED"), row("c", "COPIED")]);
    assert_eq!(house.object("requests", "jobs/list.csv.ENDED_COPY.csv").await, summary);

    ask(&house, "two", "jobs/list.csv", list, more()).await;
    let output = house.success("two", MINUTE).await;
    assert_eq!(output["objects"], json!({"total": 3, "copied": 0, "alreadyCopied": 3, "errors": 0}));
    assert_eq!(calls(&house, "dest", "CopyObject"), 3, "what is there is not copied again");
    let summary = house.object("dest", "in/ENDED_COPY.csv").await;
    assert_eq!(rows(&summary).iter().filter(|(_, status)| status == "ALREADYCOPIED").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_told_and_the_rest_is_brought() {
    let house = house(json!([
        {"name": "src", "objects": [{"key": "existing-a", "size": 40}, {"key": "existing-b", "size": 50}]},
        {"name": "other", "objects": [{"key": "k/one", "size": 3}, {"key": "k/two", "size": 4}]},
        {"name": "dest", "objects": [
            {"key": "existing-a", "sameAs": "src/existing-a", "size": 40}, {"key": "existing-b", "size": 51},
        ]},
    ]))
    .await;
    let _instance = house.instance();
    let list = "src,existing-a\nsrc,existing-b\nother,k/one\nother,k/two\nsrc,missing\nno-such-bucket,x\n";
    ask(&house, "goes-on", "list.csv", list, json!({"maxItemsPerBatch": 2, "continueOnError": true})).await;
    let output = house.success("goes-on", MINUTE).await;
    assert_eq!(output["objects"], json!({"total": 6, "copied": 3, "alreadyCopied": 1, "errors": 2}));
    let summary = house.object("dest", "ENDED_COPY.csv").await;
    let expected = [
        row("existing-a", "ALREADYCOPIED"),
        row("existing-b", "COPIED"),
        row("one", "COPIED"),
        row("two", "COPIED"),
        row("missing", "ERROR"),
        row("x", "ERROR"),
    ];
    assert_eq!(rows(&summary), expected);
    assert!(summary.contains("s3://src/missing") && summary.contains("s3://no-such-bucket/x"), "{summary}");

    ask(&house, "stops", "list2.csv", list, json!({})).await;
    let (error, cause) = house.failure("stops", MINUTE).await;
    assert_eq!(error, "CopyError");
    assert_eq!(cause["message"], "2 of 6 copies failed");
    assert_eq!((&cause["failedCount"], &cause["totalCount"]), (&json!(2), &json!(6)));
    assert_eq!(cause["errors"][0]["source"], "s3://src/missing");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_refuses_is_waited_for() {
    let house = plain(json!([{"key": "a", "size": 9}])).await;
    house.faults(json!({"deny": {"dest": ["PutObject", "PutObjectTagging"]}}));
    let _instance = house.instance();
    ask(&house, "waits", "list.csv", "src,a\n", json!({})).await;
    sleep(15 * MINUTE).await;
    assert_eq!(house.callers.answer("waits"), None);
    let record = house.store().get(&Key::new(root(&house), "REQUEST")).await.unwrap().unwrap();
    assert_eq!(record.text("waiting_for"), Some("waiting_for_access"));
    let told = house.buses.told.lock().unwrap().clone();
    assert!(told.iter().any(|detail| detail["waitingFor"] == "waiting_for_access"), "{told:?}");
    house.faults(json!({"deny": {"dest": []}}));
    let output = house.success("waits", 11 * MINUTE).await;
    assert_eq!(output["objects"]["copied"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_has_a_name_and_nothing_is_copied() {
    let house = house(json!([
        {"name": "src", "objects": [{"key": "many/o{n}", "size": 1, "count": 300}, {"key": "a/x", "size": 1}]},
        {"name": "dest"},
        {"name": "far", "region": "eu-west-1"},
    ]))
    .await;
    let _instance = house.instance();
    let json_line =
        |key: &str, more: &str| format!("{{\"sourceBucket\":\"src\",\"sourceKey\":\"{key}\"{more}}}\n");
    let cases = [
        (
            "l1.csv",
            "src,a/x\n".into(),
            json!({"destinationPrefixKey": "in"}),
            "DestinationPrefixKeyNoTrailingSlashError",
        ),
        (
            "l2.csv",
            "src,a/x\n".into(),
            json!({"thawParams": {"glacierDeepArchiveThawSpeed": "Expedited"}}),
            "InvalidThawParamsError",
        ),
        ("l3.csv", "src,a/x\n".into(), json!({"destinationBucket": "far"}), "WrongRegionError"),
        ("l4.jsonl", json_line("many/*", ""), json!({}), "WildcardExpansionMaximumError"),
        ("l5.jsonl", json_line("none/*", ""), json!({}), "WildcardExpansionEmptyError"),
        ("l6.csv", "src,a/x\nsrc,b/x\n".into(), json!({}), "InvokeArgumentsInvariantError"),
        ("l7.csv", "src,a/x\nsrc\n".into(), json!({}), "InvalidRequest"),
        ("l8.csv", "src,../x\n".into(), json!({}), "SourceKeyFieldInvalid"),
        (
            "l9.jsonl",
            json_line("a/x", ",\"destinationRelativeFolderKey\":\"/b/\""),
            json!({}),
            "DestinationRelativeFolderKeyFieldInvalid",
        ),
    ];
    for (key, list, more, error) in cases {
        ask(&house, key, key, &list, more).await;
        let (found, cause) = house.failure(key, MINUTE).await;
        assert_eq!(found, error, "{cause}");
    }
    assert_eq!(calls(&house, "dest", "CopyObject"), 0);
    ask(&house, "no-list", "list.csv", "", json!({"sourceFilesCsvKey": "nowhere.csv"})).await;
    assert_eq!(house.failure("no-list", MINUTE).await.0, "SourceNotFound");
    // The same object twice is no contradiction.
    ask(&house, "twice", "twice.csv", "src,a/x\nsrc,a/x\n", json!({})).await;
    assert_eq!(house.success("twice", MINUTE).await["objects"]["total"], 2);
}

#[tokio::test(start_paused = true)]
async fn names_come_out_as_the_list_says() {
    let names = ["a b+%.txt", "say \"x\".txt", "é/ü.bam", "empty", "sub/deep/z", "marker/"];
    let objects: Vec<_> = names
        .iter()
        .map(|name| json!({"key": format!("w/{name}"), "size": if name.ends_with('/') || *name == "empty" { 0 } else { 5 }}))
        .collect();
    let house = plain(json!(objects)).await;
    let _instance = house.instance();
    let list = [
        json!({"sourceBucket": "src", "sourceKey": "w/*", "destinationRelativeFolderKey": "all/"}),
        json!({"sourceBucket": "src", "sourceKey": "w/sub/deep/z", "sourceRootFolderKey": "w/sub/"}),
        json!({"sourceBucket": "src", "sourceKey": "w/empty"}),
    ]
    .map(|line| format!("{line}\n"))
    .concat();
    ask(&house, "names", "list.jsonl", &list, json!({"destinationPrefix": "p/"})).await;
    let output = house.success("names", MINUTE).await;
    let expected = [
        "p/all/a b+%.txt",
        "p/all/say \"x\".txt",
        "p/all/é/ü.bam",
        "p/all/empty",
        "p/all/sub/deep/z",
        "p/deep/z",
        "p/empty",
        "p/STARTED_COPY.txt",
        "p/ENDED_COPY.csv",
    ];
    assert_eq!(keys(&house).await, set(&expected), "{output}");
    assert_eq!(output["objects"], json!({"total": 7, "copied": 7, "alreadyCopied": 0, "errors": 0}));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_only_asks() {
    let house = house(json!([
        {"name": "src", "objects": [{"key": "a", "size": 9}, {"key": "b", "size": 7}, {"key": "cold", "size": 5, "storageClass": "GLACIER"}]},
        {"name": "dest", "objects": [{"key": "b", "sameAs": "src/b", "size": 7}]},
    ]))
    .await;
    let _instance = house.instance();
    ask(&house, "dry", "list.csv", "src,a\nsrc,b\nsrc,cold\nsrc,missing\n", json!({"dryRun": true})).await;
    let output = house.success("dry", MINUTE).await;
    let plan = json!({"toCopy": 2, "toThaw": 1, "alreadyCopied": 1, "missing": 1, "bytes": 14});
    assert_eq!((&output["dryRun"], &output["plan"]), (&json!(true), &plan));
    let stats = house.simulator.stats();
    let asked: BTreeSet<_> = stats.buckets["dest"].calls.keys().map(String::as_str).collect();
    assert_eq!(asked, BTreeSet::from(["HeadObject"]));
    assert_eq!(keys(&house).await, set(&["b"]));
}

#[tokio::test(start_paused = true)]
async fn cold_objects_do_not_hold_up_the_window() {
    let house = house(json!([
        {"name": "src", "objects": [
            {"key": "cold{n}", "size": 5, "count": 20, "storageClass": "GLACIER"}, {"key": "warm{n}", "size": 5, "count": 20},
        ]},
        {"name": "dest"},
    ]))
    .await;
    let _instance = house.instance();
    let list: String = ["cold", "warm"]
        .iter()
        .flat_map(|kind| (0..20).map(move |n| format!("src,{kind}{n:06}\n")))
        .collect();
    ask(&house, "thaws", "list.csv", &list, json!({"maxItemsPerBatch": 1, "copyConcurrency": 2})).await;
    sleep(10 * MINUTE).await;
    let there = keys(&house).await.into_iter().filter(|key| key.starts_with("warm")).count();
    assert_eq!(there, 20, "the cold ones are many times as many as may be in flight");
    let output = house.success("thaws", Duration::from_hours(49)).await;
    assert_eq!(output["objects"]["copied"], 40);
    assert_eq!(calls(&house, "src", "RestoreObject"), 20);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_list_ends_at_once() {
    let house = plain(json!([{"key": "o{n}", "size": 5, "count": 400}])).await;
    house.faults(json!({"s3": [{"calls": ["CopyObject"], "delay": "5s"}]}));
    let instance = house.instance();
    let list: Vec<_> = (0..400).map(|n| format!("src,o{n:06}\n")).collect();
    ask(&house, "gone", "list.csv", &list.concat(), json!({"copyConcurrency": 10})).await;
    sleep(Duration::from_secs(30)).await;
    instance.engine.cancel(&root(&house), "no longer wanted").await.unwrap();
    assert_eq!(house.failure("gone", MINUTE).await.0, "Cancelled");
    sleep(5 * MINUTE).await;
    let copied = calls(&house, "dest", "CopyObject");
    assert!(copied < 200, "{copied}");
    assert_eq!(house.unsettled().await, []);
}
