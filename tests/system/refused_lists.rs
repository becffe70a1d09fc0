//! Lists that cannot be done: each is refused by the name that its callers know, before anything is
//! copied.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::shore::{Shore, totals};

/// A list, what its request says besides, the error, and a part of what is said.
type Case = (String, Value, &'static str, &'static str);

async fn assert_refused(shore: &Shore, cases: &[Case], name: &str) {
    let asked = cases.iter().enumerate().map(async |(n, (list, more, error, words))| {
        let kind = if list.starts_with('{') { "jsonl" } else { "csv" };
        let ended = shore.brought(&format!("{name}{n}/list.{kind}"), list, more).await;
        assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!(error)), "{ended:#}");
        let said = format!("{} {}", ended["cause"]["message"], ended["cause"]["files"]);
        assert!(said.contains(words), "{words}: {said}");
    });
    join_all(asked).await;
}

#[tokio::test]
async fn each_mistake_has_its_name_and_nothing_is_copied() {
    let buckets = json!([
        { "name": "src", "objects": [
            { "key": "many/o{n}", "size": 1, "count": 257 }, { "key": "a/x", "size": 1 }, { "key": "b/x", "size": 2 },
        ] },
        { "name": "lists" }, { "name": "dest" }, { "name": "ours-alone" }, { "name": "far", "region": "eu-west-1" },
    ]);
    let mut shore = Shore::with(buckets, &[], &[("COPY_OUT__DENY_DESTINATION_BUCKETS", "ours-*")]).await;
    let one = || "src,a/x\n".to_owned();
    let line =
        |key: &str, more: &str| format!("{{\"sourceBucket\":\"src\",\"sourceKey\":\"{key}\"{more}}}\n");
    let thaw = |name: &str, value: Value| json!({ "thawParams": { name: value } });

    // What the request says is judged before anything is asked of S3.
    let slash = "must be a slash terminated string or the empty string";
    let absolute = "cannot be an absolute path that starts with a slash";
    let cases: [Case; 8] = [
        (one(), json!({ "destinationPrefixKey": "in" }), "DestinationPrefixKeyNoTrailingSlashError", slash),
        (one(), json!({ "destinationFolderKey": "in" }), "DestinationPrefixFieldInvalid", slash),
        (one(), json!({ "destinationPrefix": "/in/" }), "DestinationPrefixFieldInvalid", absolute),
        (
            one(),
            json!({ "destinationPrefix": "../in/" }),
            "DestinationPrefixFieldInvalid",
            "cannot contain '..'",
        ),
        (
            one(),
            thaw("glacierDeepArchiveThawSpeed", json!("Expedited")),
            "InvalidThawParamsError",
            "must be one of",
        ),
        (
            one(),
            thaw("intelligentTieringDeepArchiveThawSpeed", json!("Expedited")),
            "InvalidThawParamsError",
            "must be one of `Bulk`, `Standard`",
        ),
        (one(), thaw("glacierFlexibleRetrievalThawDays", json!(0)), "InvalidThawParamsError", "whole number"),
        (
            one(),
            json!({ "destinationBucket": "ours-alone" }),
            "PolicyDenied",
            "copy_out.deny_destination_buckets",
        ),
    ];
    assert_refused(&shore, &cases, "request").await;
    let stats = shore.platform.stats().await;
    for bucket in ["src", "dest", "ours-alone"] {
        assert_eq!(stats["buckets"][bucket], Value::Null, "{bucket}");
    }

    // What the list says is judged before anything is copied.
    let relative = |folder: &str| line("a/x", &format!(",\"destinationRelativeFolderKey\":\"{folder}\""));
    let folder = "DestinationRelativeFolderKeyFieldInvalid";
    let wrong = "InvokeArgumentsInvariantError";
    let both = ",\"sourceRootFolderKey\":\"a/\",\"destinationRelativeFolderKey\":\"b/\"";
    let good_first = |wrong: &str| format!("{}{wrong}", line("a/x", ""));
    let cases: [Case; 17] = [
        (one(), json!({ "destinationBucket": "far" }), "WrongRegionError", "another region"),
        (good_first(&line("many/*", "")), json!({}), "WildcardExpansionMaximumError", "256"),
        (good_first(&line("none/*", "")), json!({}), "WildcardExpansionEmptyError", "none/"),
        ("src,a/x\nsrc,b/x\n".to_owned(), json!({}), wrong, "s3://src/b/x"),
        ("src,a/x\nsrc\n".to_owned(), json!({}), "InvalidRequest", "2"),
        ("src,../x\n".to_owned(), json!({}), "SourceKeyFieldInvalid", "cannot contain '..'"),
        ("src,\n".to_owned(), json!({}), "SourceKeyFieldInvalid", "must be specified"),
        (",a/x\n".to_owned(), json!({}), "SourceBucketFieldInvalid", "must be specified"),
        (relative("/b/"), json!({}), folder, "absolute path"),
        (relative("b"), json!({}), folder, "trailing slash"),
        (relative("b/../c/"), json!({}), folder, "cannot contain '..'"),
        (line("a/x", both), json!({}), wrong, "cannot both be specified"),
        (line("a/x", ",\"sourceRootFolderKey\":\"a\""), json!({}), wrong, "trailing slash"),
        (line("a/x", ",\"sourceRootFolderKey\":\"b/\""), json!({}), wrong, "leading portion"),
        (line("a/*", ",\"sourceRootFolderKey\":\"a/\""), json!({}), wrong, "wildcard folder"),
        (line("a/*", ",\"sums\":\"md5:00\""), json!({}), wrong, "sums"),
        (one(), json!({ "sourceFilesCsvKey": "nowhere.csv" }), "SourceNotFound", "the list cannot be read"),
    ];
    assert_refused(&shore, &cases, "list").await;
    assert_eq!(shore.calls("dest", "CopyObject").await, 0);
    let there: Vec<_> = shore.contents("dest").await.into_keys().collect();
    assert_eq!(there, ["STARTED_COPY.txt"]);

    // How many a wildcard may stand for is a setting.
    shore.replace(&[("COPY_OUT__MAX_EXPANSION", "257")]).await;
    let ended = shore.brought("many.jsonl", &line("many/*", ""), &json!({})).await;
    assert_eq!(ended["output"]["objects"], totals(257, 0), "{ended:#}");
}
