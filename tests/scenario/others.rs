//! What a list or a copy between buckets must leave alone, and what it must not leave out.

use std::time::Duration;

use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    asking::{ask, calls},
    house::House,
};

const MINUTE: Duration = Duration::from_mins(1);
const MIB: u64 = 1 << 20;

async fn house(src: Value) -> House {
    let buckets = json!([{"name": "src", "objects": src}, {"name": "dest"}]);
    House::beside(&[("/run/a.bam", 12 * MIB, 2)], &[], &[], buckets, |_| {}).await
}

/// Begins an upload that is not ours, with one part, and returns its id.
async fn others_upload(house: &House, bucket: &str, key: &str) -> String {
    let client = house.s3_client();
    let begun = client.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    let id = begun.upload_id().unwrap().to_owned();
    let part = client.upload_part().bucket(bucket).key(key).upload_id(&id).part_number(1);
    part.body(b"theirs".to_vec().into()).send().await.unwrap();
    id
}

/// The ids of uploads that have parts.
fn with_parts(house: &House, bucket: &str) -> Vec<String> {
    let uploads = house.simulator.uploads(bucket).into_iter();
    uploads.filter(|upload| !upload.parts.is_empty()).map(|upload| upload.upload_id).collect()
}

#[tokio::test(start_paused = true)]
async fn uploads_of_others_to_the_same_key_live_on() {
    let mut house = house(json!([{"key": "large", "size": 40 * MIB, "parts": 8}])).await;
    house.settings.copy_out.concurrent_parts = 1;
    // An answer is lost, and the process dies in the middle of parts.
    house.faults(json!({"s3": [
        {"calls": ["CreateMultipartUpload"], "bucket": "dest", "times": 1, "status": 500, "after": true},
        {"calls": ["UploadPartCopy"], "delay": "5s"},
    ]}));
    let first = house.instance();
    ask(&house, "t", "l.csv", "src,large\n", json!({})).await;
    sleep(Duration::from_secs(2)).await;
    let theirs = others_upload(&house, "dest", "large").await;
    sleep(Duration::from_secs(10)).await;
    drop(first);
    let _second = house.instance();
    assert_eq!(house.success("t", 10 * MINUTE).await["objects"]["copied"], 1);
    assert_eq!(with_parts(&house, "dest"), [theirs]);
}

#[tokio::test(start_paused = true)]
async fn uploads_of_others_into_a_projects_bucket_live_on() {
    let mut house = house(json!([{"key": "large", "size": 40 * MIB, "parts": 8}])).await;
    house.settings.copy.largest_put = 5 * MIB;
    let theirs = others_upload(&house, "dest", "in/run/a.bam").await;
    let _instance = house.instance();
    let payload = json!({"sourceUriList": ["icav2://lab/run/"], "destinationUri": "s3://dest/in/"});
    let body = json!({"payload": payload, "taskToken": "t", "requestId": "t"});
    house.queue.push(body.to_string()).await.unwrap();
    assert_eq!(house.success("t", 5 * MINUTE).await["files"]["copied"], 1);
    assert_eq!(with_parts(&house, "dest"), [theirs]);
}

async fn rows(house: &House, key: &str) -> Vec<String> {
    let summary = house.object("dest", key).await;
    let row = |line: &str| line.split(',').take(2).collect::<Vec<_>>().join(" ");
    summary.lines().skip(1).map(row).collect()
}

#[tokio::test(start_paused = true)]
async fn each_row_of_a_list_has_its_row_in_the_summary() {
    let src = json!([
        {"key": "r/a", "size": 9}, {"key": "r/odd/", "size": 25}, {"key": "r/mark/", "size": 0},
        {"key": "w/", "size": 7}, {"key": "w/x/", "size": 8}, {"key": "w/none/", "size": 0}, {"key": "w/y", "size": 1},
    ]);
    let house = house(src).await;
    let _instance = house.instance();
    let list = "src,r/a\nsrc,r/odd/\nsrc,r/mark/\nsrc,r/gone/\nsrc,w/*\n";
    let more = json!({"destinationFolderKey": "l/", "continueOnError": true});
    ask(&house, "t", "l.csv", list, more).await;
    let output = house.success("t", 5 * MINUTE).await;
    assert_eq!(output["objects"], json!({"total": 7, "copied": 6, "alreadyCopied": 0, "errors": 1}));
    assert_eq!(
        rows(&house, "l/ENDED_COPY.csv").await,
        ["a COPIED", "odd/ COPIED", "mark/ COPIED", "gone/ ERROR", "w/ COPIED", "x/ COPIED", "y COPIED"]
    );
    let there = house.simulator.objects("dest", "l/").await;
    let sizes: Vec<_> = there.iter().map(|object| (object.key.as_str(), object.size)).collect();
    let expected = [("l/", 7), ("l/a", 9), ("l/mark/", 0), ("l/odd/", 25), ("l/x/", 8), ("l/y", 1)];
    for object in expected {
        assert!(sizes.contains(&object), "{object:?}: {sizes:?}");
    }
    // What would have no name at all is refused, and nothing is left out.
    ask(&house, "root", "m.csv", "src,w/*\n", json!({})).await;
    let (error, cause) = house.failure("root", 5 * MINUTE).await;
    assert_eq!(
        (error.as_str(), cause["files"][0]["what"].as_str()),
        ("InvokeArgumentsInvariantError", Some("s3://src/w/"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_what_it_says_copies_nothing() {
    let house = house(json!([{"key": "r/one", "size": 9}, {"key": "r/two+words", "size": 9}])).await;
    let _instance = house.instance();
    for (n, (list, words)) in [
        ("src,r/one\n\nsrc,\"r/two\nsrc,r/three\n", "line 3 of the list has a quote that is never closed"),
        ("src,r/one\nsrc,r/\"x\"\n", "line 2 of the list has a quote inside a field without quotes"),
        ("src,r/one\nsrc,\"r/x\"y\n", "line 2 of the list has text behind a quoted field"),
    ]
    .into_iter()
    .enumerate()
    {
        let token = format!("t{n}");
        ask(&house, &token, &format!("{token}.csv"), list, json!({"continueOnError": true})).await;
        let (error, cause) = house.failure(&token, 5 * MINUTE).await;
        assert_eq!(error, "InvalidRequest");
        assert_eq!(cause["message"].as_str().unwrap().get(..words.len()), Some(words));
    }
    assert_eq!(calls(&house, "dest", "CopyObject"), 0);
    ask(&house, "encoded", "e.csv", "src,r/two%2Bwords\nsrc,r/gone\n", json!({})).await;
    let (_, cause) = house.failure("encoded", 5 * MINUTE).await;
    let errors = cause.to_string();
    assert!(
        errors.contains(
            "s3://src/r/two%2Bwords does not exist or is not accessible; its key looks URL-encoded"
        ),
        "{errors}"
    );
    assert!(!errors.contains("s3://src/r/gone does not exist or is not accessible;"), "{errors}");
    // An empty list, or a header alone, asks for nothing.
    ask(&house, "empty", "h.csv", "bucket,key\n", json!({})).await;
    assert_eq!(house.success("empty", 5 * MINUTE).await["objects"]["total"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_does_not_write_over_its_own_sources() {
    let mut house = house(json!([])).await;
    house.settings.copy_out.max_objects = 3;
    for key in ["in/a", "in/b", "in/x/c", "out/b"] {
        house.put_object("dest", key, key.as_bytes().to_vec()).await;
    }
    let _instance = house.instance();
    let folder = json!({"destinationFolderKey": "in/"});
    let cases = [
        // The first of them would be overwritten by the second, before or after it is read.
        ("dest,in/x/c\ndest,in/a\n", Value::Null, true),
        ("dest,in/b\ndest,out/b\n", folder.clone(), false),
    ];
    for (n, (list, folder, fine)) in cases.into_iter().enumerate() {
        let more = if folder.is_null() { json!({"destinationFolderKey": "new/"}) } else { folder };
        let token = format!("t{n}");
        ask(&house, &token, &format!("{token}.csv"), list, more).await;
        if fine {
            assert_eq!(house.success(&token, 5 * MINUTE).await["objects"]["copied"], 2);
        } else {
            house.failure(&token, 5 * MINUTE).await;
        }
    }
    let swap = concat!(
        r#"{"sourceBucket":"dest","sourceKey":"in/a","destinationRelativeFolderKey":"x/"}"#,
        "\n",
        r#"{"sourceBucket":"dest","sourceKey":"in/x/a"}"#
    );
    let before = calls(&house, "dest", "CopyObject");
    for dry in [false, true] {
        let (token, mut more) = (format!("swap{dry}"), folder.clone());
        more["dryRun"] = dry.into();
        ask(&house, &token, &format!("{token}.jsonl"), swap, more).await;
        let (error, cause) = house.failure(&token, 5 * MINUTE).await;
        assert_eq!(error, "InvokeArgumentsInvariantError");
        assert_eq!(cause["message"], "the list would write over its own sources");
        assert!(cause["files"][0]["why"].as_str().unwrap().contains("`in/a`"), "{cause}");
    }
    ask(&house, "inside", "w.csv", "dest,in/*\n", json!({"destinationFolderKey": "in/new/"})).await;
    let (_, cause) = house.failure("inside", 5 * MINUTE).await;
    assert_eq!(cause["message"], "the destination lies inside the wildcard");
    assert_eq!(calls(&house, "dest", "CopyObject"), before);
    ask(&house, "many", "n.csv", &"src,x\n".repeat(4), json!({})).await;
    let (error, cause) = house.failure("many", 5 * MINUTE).await;
    assert_eq!(error, "InvalidRequest");
    assert!(cause["message"].as_str().unwrap().contains("copy_out.max_objects"), "{cause}");
    ask(&house, "express", "x.csv", "data--use1-az1--x-s3,x\n", json!({})).await;
    assert_eq!(house.failure("express", 5 * MINUTE).await.0, "InvalidRequest");
}
