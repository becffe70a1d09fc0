//! Refusals of S3 that pass: a clock that is off, another operation on the same key, a redirect. And those that
//! say what is wanted: a checksum, or whoever pays.

use std::time::Duration;

use copy_manager::aws::objects::Settings;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::{
    asking::{ask, calls},
    house::House,
};

const MINUTE: Duration = Duration::from_mins(1);
const MIB: u64 = 1 << 20;

async fn house(src: Value, dest: Value) -> House {
    let mut buckets = [json!({"name": "src"}), json!({"name": "dest"})];
    for (bucket, more) in buckets.iter_mut().zip([src, dest]) {
        bucket.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    House::beside(&[("/run/a.bam", 12 * MIB, 2), ("/run/b.txt", 70, 1)], &[], &[], json!(buckets), |_| {})
        .await
}

fn two() -> Value {
    json!({"objects": [{"key": "r/small", "size": 9}, {"key": "r/large", "size": 40 * MIB, "parts": 8}]})
}

async fn copy(house: &House, token: &str, sources: &[&str], to: &str) {
    let payload = json!({"sourceUriList": sources, "destinationUri": to});
    let body = json!({"payload": payload, "taskToken": token, "requestId": token});
    house.queue.push(body.to_string()).await.unwrap();
}

const BOTH: &str = "src,r/small\nsrc,r/large\n";

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_is_no_lack_of_rights() {
    let house = house(two(), json!({})).await;
    house.faults(json!({"s3Clock": 1200}));
    let _instance = house.instance();
    copy(&house, "out", &["s3://src/r/", "icav2://lab/run/"], "s3://dest/in/").await;
    assert_eq!(house.success("out", 5 * MINUTE).await["files"]["copied"], 4);
    copy(&house, "in", &["s3://src/r/"], "icav2://archive/in/").await;
    assert_eq!(house.success("in", 15 * MINUTE).await["files"]["copied"], 2);
    ask(&house, "list", "l.csv", BOTH, json!({"destinationFolderKey": "l/"})).await;
    assert_eq!(house.success("list", 5 * MINUTE).await["objects"]["copied"], 2);
}

#[tokio::test(start_paused = true)]
async fn one_call_by_a_wrong_clock_ends_nothing() {
    for call in
        ["CreateMultipartUpload", "ListObjectsV2", "CopyObject", "HeadObject", "CompleteMultipartUpload"]
    {
        let house = house(two(), json!({})).await;
        let rule = json!({"calls": [call], "times": 1, "status": 403, "code": "RequestTimeTooSkewed"});
        house.faults(json!({"s3": [rule]}));
        let _instance = house.instance();
        copy(&house, call, &["s3://src/r/"], "s3://dest/in/").await;
        assert_eq!(house.success(call, 5 * MINUTE).await["files"]["copied"], 2, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_operation_on_the_key_is_waited_for() {
    for (call, key) in [("CopyObject", "small"), ("CompleteMultipartUpload", "large")] {
        let house = house(two(), json!({})).await;
        let rule = json!({"calls": [call], "bucket": "dest", "status": 409, "lasts": "90s"});
        house.faults(json!({"s3": [rule]}));
        let _instance = house.instance();
        ask(&house, "t", "l.csv", BOTH, json!({})).await;
        let output = house.success("t", 10 * MINUTE).await;
        assert_eq!(
            output["objects"],
            json!({"total": 2, "copied": 2, "alreadyCopied": 0, "errors": 0}),
            "{key}"
        );
        // With pauses between.
        assert!(calls(&house, "dest", call) < 60, "{}", calls(&house, "dest", call));
        assert!(house.simulator.uploads("dest").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn another_operation_on_the_key_is_not_waited_for_for_ever() {
    for call in ["CopyObject", "CompleteMultipartUpload"] {
        let house = house(two(), json!({})).await;
        house.faults(json!({"s3": [{"calls": [call], "bucket": "dest", "status": 409}]}));
        let _instance = house.instance();
        copy(&house, "t", &["s3://src/r/"], "s3://dest/in/").await;
        let (error, cause) = house.failure("t", 20 * MINUTE).await;
        let why = cause["files"][0]["why"].as_str().unwrap();
        assert_eq!(error, "TransferFailed", "{cause}");
        assert!(why.contains("ConditionalRequestConflict") && why.contains("for longer than 5m"), "{why}");
        assert!(house.simulator.uploads("dest").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_that_names_no_region_is_followed_by_another_try() {
    let house = house(two(), json!({})).await;
    let rule = |call: &str| json!({"calls": [call], "bucket": "dest", "times": 1, "status": 301});
    house.faults(json!({"s3": [rule("CreateMultipartUpload"), rule("PutObject")]}));
    let _instance = house.instance();
    copy(&house, "out", &["s3://src/r/small"], "s3://dest/in/").await;
    assert_eq!(house.success("out", 5 * MINUTE).await["files"]["copied"], 1);
    ask(&house, "list", "l.csv", BOTH, json!({"destinationFolderKey": "l/"})).await;
    assert_eq!(house.success("list", 5 * MINUTE).await["objects"]["copied"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_under_object_lock_takes_what_is_written() {
    let mut house = house(two(), json!({"objectLock": true})).await;
    house.settings.copy_out.endpoint_hosts = vec!["*".to_owned().try_into().unwrap()];
    let instance = house.instance();
    copy(&house, "out", &["icav2://lab/run/"], "s3://dest/in/").await;
    assert_eq!(house.success("out", 5 * MINUTE).await["files"]["copied"], 2);
    ask(&house, "list", "l.csv", BOTH, json!({"destinationFolderKey": "l/"})).await;
    assert_eq!(house.success("list", 5 * MINUTE).await["objects"]["copied"], 2);
    drop(instance);
    // Without checksums, S3's own words say what is wanted.
    house.set_s3(&Settings { checksums: false, ..Settings::default() });
    let _instance = house.instance();
    ask(&house, "without", "l.csv", BOTH, json!({"destinationFolderKey": "m/"})).await;
    let (error, cause) = house.failure("without", 5 * MINUTE).await;
    assert_eq!(error, "CopyError");
    assert!(cause["message"].as_str().unwrap().contains("Object Lock parameters"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_whose_requesters_pay_is_read() {
    let mut src = two();
    src["requesterPays"] = true.into();
    let mut house = house(src, json!({})).await;
    let instance = house.instance();
    copy(&house, "out", &["s3://src/r/"], "s3://dest/in/").await;
    assert_eq!(house.success("out", 5 * MINUTE).await["files"]["copied"], 2);
    copy(&house, "in", &["s3://src/r/small"], "icav2://archive/in/").await;
    assert_eq!(house.success("in", 15 * MINUTE).await["files"]["copied"], 1);
    ask(&house, "list", "l.csv", BOTH, json!({"destinationFolderKey": "l/"})).await;
    assert_eq!(house.success("list", 5 * MINUTE).await["objects"]["copied"], 2);
    drop(instance);
    house.set_s3(&Settings { requester_pays: Vec::new(), ..Settings::default() });
    let _instance = house.instance();
    copy(&house, "unpaid", &["s3://src/r/small"], "s3://dest/in/").await;
    let (error, cause) = house.failure("unpaid", 5 * MINUTE).await;
    assert_eq!(error, "SourceNotFound");
    assert!(cause.to_string().contains("s3.requester_pays"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_answer_was_lost_is_this_requests_own() {
    let house = house(two(), json!({})).await;
    let rule =
        |call: &str| json!({"calls": [call], "bucket": "dest", "times": 1, "status": 500, "after": true});
    house.faults(json!({"s3": [rule("CompleteMultipartUpload"), rule("CopyObject")]}));
    let _instance = house.instance();
    ask(&house, "t", "l.csv", BOTH, json!({})).await;
    let output = house.success("t", 5 * MINUTE).await;
    assert_eq!(output["objects"], json!({"total": 2, "copied": 2, "alreadyCopied": 0, "errors": 0}));
    let summary = house.object("dest", "ENDED_COPY.csv").await;
    assert!(summary.contains("large,COPIED,") && summary.contains("small,COPIED,"), "{summary}");
    assert!(!summary.contains("nothing was transferred"), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_xml_cannot_hold_is_copied() {
    let objects =
        json!({"objects": [{"key": "ctl/a\u{1}b c+.txt", "size": 5}, {"key": "ctl/ok.txt", "size": 6}]});
    let house = house(objects, json!({})).await;
    let _instance = house.instance();
    copy(&house, "out", &["s3://src/ctl/"], "s3://dest/in/").await;
    assert_eq!(house.success("out", 5 * MINUTE).await["files"]["copied"], 2);
    let wildcard = json!({"sourceBucket": "src", "sourceKey": "ctl/*"}).to_string();
    ask(&house, "list", "l.jsonl", &wildcard, json!({"destinationFolderKey": "l/"})).await;
    assert_eq!(house.success("list", 5 * MINUTE).await["objects"]["copied"], 2);
    let keys: Vec<_> =
        house.simulator.objects("dest", "").await.into_iter().map(|object| object.key).collect();
    assert!(
        keys.contains(&"in/ctl/a\u{1}b c+.txt".to_owned()) && keys.contains(&"l/a\u{1}b c+.txt".to_owned())
    );
    copy(&house, "in", &["s3://src/ctl/"], "icav2://archive/in/").await;
    let (error, cause) = house.failure("in", 5 * MINUTE).await;
    assert_eq!(error, "InvalidRequest");
    assert!(cause.to_string().contains("holds a control character"), "{cause}");
}
