//! What lists of objects must do, with the built binary: what their callers have always relied on, and
//! what S3 asks of whoever copies in it. `docs/acceptance.md` says which sentence is shown where.

use std::{collections::BTreeSet, io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    shore::{MARKER, Shore, rows, totals},
    within,
};

const PATIENCE: Duration = Duration::from_mins(1);
const MIB: u64 = 1 << 20;

/// The operations that a bucket has been asked for.
async fn asked_of(shore: &Shore, bucket: &str) -> BTreeSet<String> {
    let stats = shore.platform.stats().await;
    let calls = stats["buckets"][bucket]["calls"].as_object();
    calls.into_iter().flat_map(|calls| calls.keys().cloned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn counts(request: &Value) -> &Value {
    assert_eq!(request["status"], "SUCCEEDED", "{request:#}");
    &request["output"]["objects"]
}

/// An object of a bucket as the simulator shows it.
async fn shown(shore: &Shore, bucket: &str, key: &str) -> Value {
    let objects = shore.platform.objects(bucket).await;
    objects.into_iter().find(|object| object["key"] == key).unwrap_or_else(|| panic!("no {bucket}/{key}"))
}

/// Asserts that nothing was begun in a bucket that has not ended.
async fn assert_no_uploads(shore: &Shore, bucket: &str) {
    assert_eq!(shore.platform.uploads(bucket).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_mixed_list_gets_its_rows_and_only_asks_when_it_is_a_dry_run() {
    let buckets = json!([
        { "name": "src", "objects": [
            { "key": "existing-a", "size": 40 }, { "key": "existing-b", "size": 50 },
            { "key": "summed", "size": 3000, "parts": 3, "sha256": true },
        ] },
        { "name": "other", "objects": [{ "key": "k/one", "size": 3 }, { "key": "k/two", "size": 4 }] },
        { "name": "lists" },
        { "name": "dest", "objects": [
            { "key": "in/existing-a", "size": 40, "sameAs": "src/existing-a" },
            // Of one size, and other bytes.
            { "key": "in/existing-b", "size": 50 },
            // The same bytes under another tag: only the checksum tells.
            { "key": "in/summed", "size": 3000, "sameAs": "src/summed", "partSizes": [2000, 1000], "sha256": true },
        ] },
    ]);
    // What is done about conflicts elsewhere is no matter here.
    let settings = [
        ("COPY__ON_CONFLICT", "skip"),
        ("COPY_OUT__WORKING_BUCKET", "lists"),
        ("COPY_OUT__WORKING_PREFIX", "work/"),
    ];
    let shore = Shore::with(buckets, &[], &settings).await;
    let list = "src,existing-a\nsrc,existing-b\nsrc,summed\nother,k/one\nother,k/two\nsrc,missing\nno-such-bucket,x\n";

    let dry = json!({ "destinationPrefixKey": "in/", "dryRun": true });
    let dry = shore.brought("x.csv", list, &dry).await;
    let plan = json!({ "toCopy": 3, "toThaw": 0, "alreadyCopied": 2, "missing": 2, "bytes": 57 });
    assert_eq!((&dry["output"]["dryRun"], &dry["output"]["plan"]), (&json!(true), &plan), "{dry:#}");
    for bucket in ["src", "other", "dest"] {
        assert_eq!(asked_of(&shore, bucket).await, set(&["HeadObject"]), "{bucket}");
    }
    // The list itself was put there by this test.
    assert_eq!(shore.calls("lists", "PutObject").await, 1);

    let before = shore.contents("dest").await;
    let going_on = json!({ "destinationPrefixKey": "in/", "maxItemsPerBatch": 2, "continueOnError": true });
    let ended = shore.brought("x.csv", list, &going_on).await;
    assert_eq!(*counts(&ended), json!({ "total": 7, "copied": 3, "alreadyCopied": 2, "errors": 2 }));
    let summary = shore.get("dest", "in/ENDED_COPY.csv").await;
    let expected = [
        ("existing-a", "ALREADYCOPIED"),
        ("existing-b", "COPIED"),
        ("summed", "ALREADYCOPIED"),
        ("one", "COPIED"),
        ("two", "COPIED"),
        ("missing", "ERROR"),
        ("x", "ERROR"),
    ];
    assert_eq!(rows(&summary), expected);
    for missing in ["s3://src/missing", "s3://no-such-bucket/x"] {
        assert!(summary.contains(&format!("{missing} does not exist or is not accessible")), "{summary}");
    }
    let (from, to) = (shore.contents("src").await, shore.contents("dest").await);
    assert_eq!(to["in/existing-b"], from["existing-b"]);
    assert_ne!(to["in/existing-b"], before["in/existing-b"]);
    assert_eq!(to["in/summed"], before["in/summed"]);

    // Unless it was asked to go on, one that fails fails all, in whatever spelling it was asked for.
    let line = |key: &str| format!("{}\n", json!({ "sourceBucket": "other", "sourceKey": key }));
    let list = [line("k/one"), line("gone"), line("k/two")].concat();
    for key in ["work/a/INSTRUCTIONS.jsonl", "work/b.jsonl"] {
        shore.put("lists", key, list.clone()).await;
    }
    shore.put("lists", "plain.csv", "other,k/one\nother,gone\nother,k/two\n".to_owned()).await;
    let spellings = [
        json!({ "sourceFilesCsvBucket": "lists", "sourceFilesCsvKey": "plain.csv", "destinationPrefixKey": "1/" }),
        json!({ "copyInstructionsKey": "b.jsonl", "destinationFolderKey": "2/" }),
        json!({ "instructionsPrefix": "a/", "destinationPrefix": "3/" }),
    ];
    for (n, mut payload) in (1..).zip(spellings) {
        payload["destinationBucket"] = "dest".into();
        let ended = shore.asked(&payload).await;
        assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("CopyError")), "{ended:#}");
        let cause = &ended["cause"];
        let why = "s3://other/gone does not exist or is not accessible";
        assert_eq!(
            json!([cause["message"], cause["failedCount"], cause["totalCount"], cause["errors"]]),
            json!(["1 of 3 copies failed", 1, 3, [{ "source": "s3://other/gone", "error": why }]]),
        );
        // The others were brought all the same.
        let to = shore.contents("dest").await;
        let from = shore.contents("other").await;
        assert_eq!((&to[&format!("{n}/one")], &to[&format!("{n}/two")]), (&from["k/one"], &from["k/two"]));
        let summary = shore.get("dest", &format!("{n}/ENDED_COPY.csv")).await;
        assert_eq!(summary.lines().count(), 4, "{summary}");
    }
}

#[tokio::test]
async fn a_shell_need_not_wait_and_learns_of_failures_when_it_does() {
    let buckets = json!([
        { "name": "src", "objects": [{ "key": "a", "size": 5 }, { "key": "b", "size": 6 }] },
        { "name": "lists" }, { "name": "dest" },
    ]);
    let shore = Shore::start(buckets, &[]).await;
    let md5 = shown(&shore, "src", "a").await["md5"].as_str().unwrap().to_owned();
    let line = |key: &str, sums: &str| {
        format!("{}\n", json!({ "sourceBucket": "src", "sourceKey": key, "sums": sums }))
    };
    let right = format!("md5:{md5}");
    shore.put("lists", "good.jsonl", line("a", &right)).await;
    // What the list says of one object is true of another.
    shore.put("lists", "bad.jsonl", line("a", &right) + &line("b", &right)).await;

    let left = shore.leave(&["s3://lists/good.jsonl", "dest", "--prefix", "P/"]).output().await.unwrap();
    assert!(left.status.success(), "{left:?}");
    let id = String::from_utf8(left.stdout).unwrap();
    assert_eq!(*counts(&shore.ended(id.trim()).await), totals(1, 0));
    let waited = shore.submit(&["s3://lists/bad.jsonl", "dest", "--prefix", "P/"]).output().await.unwrap();
    assert_eq!(waited.status.code(), Some(1), "{waited:?}");
    let shown: Value = serde_json::from_slice(&waited.stdout).unwrap();
    assert_eq!(
        (&shown["error"], &shown["cause"]["failedCount"]),
        (&json!("CopyError"), &json!(1)),
        "{shown}"
    );
    let why = shown["cause"]["errors"][0]["error"].as_str().unwrap();
    assert!(why.contains("s3://src/b is not what the list says: its MD5 is"), "{why}");
    let going_on = ["s3://lists/bad.jsonl", "dest", "--prefix", "P/", "--continue-on-error"];
    let output = shore.submitted(&going_on).await;
    assert_eq!(output["objects"], json!({ "total": 2, "copied": 0, "alreadyCopied": 1, "errors": 1 }));
    assert!(!shore.contents("dest").await.contains_key("P/b"));
}

#[tokio::test]
async fn names_come_out_as_the_table_of_names_says() {
    let key = |key: &str, size: u64| json!({ "key": key, "size": size });
    let buckets = json!([
        { "name": "src", "objects": [
            key("abcd/file.bam", 5), key("abcd/bc/de/file.bam", 6), key("a..b.txt", 3),
            key("w/é 試料/a b+c.txt", 7), key("w/say \"so\".txt", 8), key("w/empty", 0), key("w/marker/", 0),
            key("w/50%41", 9), key("w//double", 4),
        ] },
        { "name": "lists" }, { "name": "dest" },
    ]);
    let shore = Shore::start(buckets, &[]).await;
    let (file, deep) = ("abcd/file.bam", "abcd/bc/de/file.bam");
    let line = |key: &str, more: Value| {
        let mut line = json!({ "sourceBucket": "src", "sourceKey": key });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let cases = [
        ("1/", line(file, json!({})), &["file.bam"][..]),
        ("2/", line(deep, json!({ "destinationRelativeFolderKey": null })), &["file.bam"]),
        ("3/", line(deep, json!({ "destinationRelativeFolderKey": "" })), &["file.bam"]),
        ("a-folder/", line(deep, json!({})), &["file.bam"]),
        ("b-folder/", line(file, json!({ "destinationRelativeFolderKey": "sub/" })), &["sub/file.bam"]),
        (
            "c-folder/",
            line(deep, json!({ "destinationRelativeFolderKey": "sub/more-sub/" })),
            &["sub/more-sub/file.bam"],
        ),
        (
            "d-folder/",
            line("abcd/*", json!({ "destinationRelativeFolderKey": "sub/more-sub/" })),
            &["sub/more-sub/bc/de/file.bam", "sub/more-sub/file.bam"],
        ),
        ("e-folder/", line(deep, json!({ "sourceRootFolderKey": "abcd/bc/" })), &["de/file.bam"]),
        ("./f-folder/", line("a..b.txt", json!({})), &["a..b.txt"]),
        (
            "g-folder/",
            line("w/*", json!({})),
            &["/double", "50%41", "empty", "say \"so\".txt", "é 試料/a b+c.txt"],
        ),
    ];
    let mut asked = Vec::new();
    for (n, (prefix, line, _)) in cases.iter().enumerate() {
        // Every other one is packed.
        let text = format!("{line}\n");
        let key = if n % 2 == 0 { format!("{n}/x.jsonl") } else { format!("{n}/x.jsonl.gz") };
        let mut body = text.clone().into_bytes();
        if n % 2 == 1 {
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            packer.write_all(text.as_bytes()).unwrap();
            body = packer.finish().unwrap();
        }
        shore.s3.put_object().bucket("lists").key(&key).body(body.into()).send().await.unwrap();
        let payload = json!({
            "sourceFilesCsvBucket": "lists", "sourceFilesCsvKey": key, "destinationBucket": "dest",
            "destinationPrefix": prefix,
        });
        asked.push(shore.ask(&payload).await);
    }
    for ((_, _, names), id) in cases.iter().zip(&asked) {
        assert_eq!(*counts(&shore.ended(id).await), totals(names.len(), 0));
    }
    let to = shore.contents("dest").await;
    for (prefix, _, names) in &cases {
        let prefix = prefix.strip_prefix("./").unwrap_or(prefix);
        let there: Vec<_> = to.keys().filter_map(|key| key.strip_prefix(prefix)).collect();
        let there: Vec<_> = there
            .into_iter()
            .filter(|name| !name.ends_with("ED_COPY.csv") && !name.ends_with("ED_COPY.txt"))
            .collect();
        assert_eq!(there, *names, "{prefix}");
    }
    // What has no bytes was copied, too.
    let summary = shore.get("dest", "g-folder/ENDED_COPY.csv").await;
    assert!(summary.lines().any(|line| line.starts_with("empty,COPIED,")), "{summary}");
    assert_eq!(to["g-folder/empty"].0, 0);
}

#[tokio::test]
async fn what_is_over_the_boundary_is_copied_in_its_own_parts_with_all_that_belongs_to_it() {
    let rich = |key: &str, size: u64| {
        json!({
            "key": key, "size": size, "contentType": "text/x", "metadata": { "run": "7", "note": "a b" },
            "tags": { "k": "v", "é": "ü 1+1" },
        })
    };
    let mut own = rich("own", 23 * MIB);
    own["partSizes"] = json!([5 * MIB, 7 * MIB, 6 * MIB, 5 * MIB]);
    // From the first and the last of these, those between seem to be like the first.
    let odd = json!({ "key": "odd", "size": 23 * MIB, "partSizes": [6 * MIB, 5 * MIB, 7 * MIB, 5 * MIB] });
    let buckets = json!([
        { "name": "src", "objects": [
            own, odd, rich("small", 9), rich("none", 0), { "key": "at", "size": 10 * MIB },
            { "key": "over", "size": 10 * MIB + 1 },
        ] },
        { "name": "lists" },
        { "name": "dest", "owner": "111122223333" },
    ]);
    let settings = [
        ("COPY_OUT__MULTIPART_THRESHOLD", "10485760"),
        ("COPY_OUT__PART_SIZE", "5242880"),
        ("COPY_OUT__ACL", "bucket-owner-full-control"),
        ("COPY_OUT__EXPECTED_BUCKET_OWNER", "111122223333"),
        ("COPY_OUT__ACCESS_RETRY", "1s"),
    ];
    let mut shore = Shore::with(buckets, &[], &settings).await;
    let list = "src,own\nsrc,odd\nsrc,small\nsrc,none\nsrc,at\nsrc,over\n";
    let ended = shore.brought("x.csv", list, &json!({ "destinationPrefixKey": "P/" })).await;
    assert_eq!(*counts(&ended), totals(6, 0));
    let (from, to) = (shore.contents("src").await, shore.contents("dest").await);
    for key in ["own", "odd", "small", "none", "at"] {
        assert_eq!(to[&format!("P/{key}")], from[key], "{key}");
    }
    let over = shown(&shore, "dest", "P/over").await;
    assert!(over["etag"].as_str().unwrap().ends_with("-3"), "{over}");
    assert_eq!(over["md5"], shown(&shore, "src", "over").await["md5"]);
    let made = [shore.calls("dest", "UploadPartCopy").await, shore.calls("dest", "CopyObject").await];
    assert_eq!(made, [4 + 2 * 4 + 3, 3]);
    assert_eq!(shore.calls("src", "GetObject").await, 0, "no byte has passed here");
    assert_no_uploads(&shore, "dest").await;

    for key in ["own", "small", "none"] {
        let (source, copy) =
            (shown(&shore, "src", key).await, shown(&shore, "dest", &format!("P/{key}")).await);
        for what in ["headers", "metadata", "tags", "md5"] {
            assert_eq!(copy[what], source[what], "{key}: {what}");
        }
        assert_eq!(copy["tags"]["é"], "ü 1+1");
    }
    // The owner of the bucket may read whatever is written there.
    for object in shore.platform.objects("dest").await {
        assert_eq!(object["acl"], "bucket-owner-full-control", "{object}");
    }
    let ours = shown(&shore, "lists", "x.csv.ENDED_COPY.csv").await;
    assert_eq!(ours["acl"], Value::Null, "our own bucket needs none");

    // Where the bucket is somebody else's, nothing is written.
    shore.replace(&[("COPY_OUT__EXPECTED_BUCKET_OWNER", "999999999999")]).await;
    let id = shore.begun("y.csv", list, &json!({ "destinationPrefixKey": "Q/" })).await;
    shore.daemon.says("the destination refuses to be written to, waiting").await;
    let waiting = shore.request(&id).await.unwrap();
    assert_eq!(waiting["waitingFor"], "waiting_for_access", "{waiting}");
    assert!(shore.contents("dest").await.keys().all(|key| key.starts_with("P/")));
}

#[tokio::test]
async fn tags_are_copied_left_out_or_demanded_as_the_settings_say() {
    let tagged = |count: usize| json!([{ "key": "o{n}", "size": 9, "count": count, "tags": { "k": "v" } }]);
    let buckets = json!([
        { "name": "open", "objects": tagged(3) },
        { "name": "shut", "deny": ["GetObjectTagging"], "objects": tagged(2) },
        { "name": "lists" }, { "name": "dest" },
        { "name": "plain", "deny": ["PutObjectTagging"] },
    ]);
    let mut shore = Shore::start(buckets, &[]).await;
    let (open, shut) = ("open,o000000\nopen,o000001\nopen,o000002\n", "shut,o000000\nshut,o000001\n");
    let to = |bucket: &str, prefix: &str| json!({ "destinationBucket": bucket, "destinationPrefix": prefix });
    let tags = async |shore: &Shore, bucket: &str, prefix: &str| {
        let objects = shore.platform.objects(bucket).await;
        let keys = |object: &Value| {
            object["key"].as_str().unwrap().strip_prefix(prefix).map(|key| key.starts_with('o'))
        };
        let mut found: Vec<_> = objects
            .iter()
            .filter(|object| keys(object) == Some(true))
            .map(|object| object["tags"].clone())
            .collect();
        found.dedup();
        found
    };
    let (with, without) = ([json!({ "k": "v" })], [json!({})]);

    // As far as both ends permit it; each source bucket is asked once.
    assert_eq!(*counts(&shore.brought("a.csv", open, &to("dest", "a/")).await), totals(3, 0));
    assert_eq!(tags(&shore, "dest", "a/").await, with);
    assert_eq!(shore.calls("open", "GetObjectTagging").await, 1);
    assert_eq!(shown(&shore, "dest", "a/STARTED_COPY.txt").await["tags"], json!({ "testtag": "ok" }));
    assert_eq!(shore.daemon.said("tags are not copied").len(), 0);
    assert_eq!(*counts(&shore.brought("b.csv", shut, &to("dest", "b/")).await), totals(2, 0));
    assert_eq!(tags(&shore, "dest", "b/").await, without);
    assert_eq!(shore.daemon.said("tags are not copied")[0]["level"], "WARN");
    assert_eq!(*counts(&shore.brought("c.csv", open, &to("plain", "c/")).await), totals(3, 0));
    assert_eq!(tags(&shore, "plain", "c/").await, without);
    assert_eq!(shore.daemon.said("tags are not copied").len(), 2);
    assert_eq!(shore.get("plain", "c/STARTED_COPY.txt").await, MARKER);

    // Demanded: nothing is copied where one end does not permit them.
    shore.replace(&[("COPY_OUT__TAGS", "copy")]).await;
    let before = [shore.calls("dest", "CopyObject").await, shore.calls("plain", "CopyObject").await];
    for (list, bucket, words) in [
        (shut, "dest", "the source does not permit tags to be read (copy_out.tags = copy)"),
        (open, "plain", "the destination does not permit tags (copy_out.tags = copy)"),
    ] {
        let refused = shore.brought("d.csv", list, &to(bucket, "d/")).await;
        assert_eq!(
            (&refused["error"], &refused["cause"]["message"]),
            (&json!("PolicyDenied"), &json!(words))
        );
    }
    assert_eq!([shore.calls("dest", "CopyObject").await, shore.calls("plain", "CopyObject").await], before);
    assert_eq!(*counts(&shore.brought("e.csv", open, &to("dest", "e/")).await), totals(3, 0));
    assert_eq!(tags(&shore, "dest", "e/").await, with);

    // Not wanted: nobody is asked.
    shore.replace(&[("COPY_OUT__TAGS", "suppress")]).await;
    let asked = shore.calls("open", "GetObjectTagging").await;
    assert_eq!(*counts(&shore.brought("f.csv", open, &to("dest", "f/")).await), totals(3, 0));
    assert_eq!(tags(&shore, "dest", "f/").await, without);
    assert_eq!(shore.calls("open", "GetObjectTagging").await, asked);
}

#[tokio::test]
async fn nothing_is_taken_for_copied_that_was_not_and_nothing_of_others_is_written_over() {
    let objects = json!([
        { "key": "whole", "size": 9 }, { "key": "parts", "size": 900, "parts": 3 },
        { "key": "raced", "size": 11 }, { "key": "raced-parts", "size": 800, "parts": 2 },
        { "key": "slow", "size": 10 },
    ]);
    let buckets = json!([
        { "name": "src", "objects": objects }, { "name": "lists" },
        { "name": "dest", "objects": [{ "key": "raced", "size": 11 }] },
    ]);
    let shore = Shore::start(buckets, &[]).await;
    // An error that comes after the head of a good answer.
    let broken = |call: &str| json!({ "calls": [call], "bucket": "dest", "times": 1, "status": 200 });
    let rules = json!([broken("CopyObject"), broken("CompleteMultipartUpload")]);
    shore.platform.faults(&json!({ "s3": rules })).await;
    assert_eq!(*counts(&shore.brought("a.csv", "src,whole\nsrc,parts\n", &json!({})).await), totals(2, 0));
    let (from, to) = (shore.contents("src").await, shore.contents("dest").await);
    assert_eq!((&to["whole"], &to["parts"]), (&from["whole"], &from["parts"]));
    let made =
        [shore.calls("dest", "CopyObject").await, shore.calls("dest", "CompleteMultipartUpload").await];
    assert_eq!(made, [2, 2], "each was tried once more");

    // While both are on their way, somebody else writes to their places: they are looked at again,
    // and the answers that S3 gives to the first tries are those of conditions that do not hold.
    let late = |call: &str, key: &str| json!({ "calls": [call], "bucket": "dest", "key": key, "times": 1, "delay": "2s" });
    // One more takes longer than a stream may stand still.
    let slow = json!({ "calls": ["CopyObject"], "key": "slow", "delay": "7s" });
    let rules = json!([late("CopyObject", "raced"), late("CompleteMultipartUpload", "raced-parts"), slow]);
    shore.platform.faults(&json!({ "s3": rules })).await;
    let id = shore.begun("b.csv", "src,raced\nsrc,raced-parts\nsrc,slow\n", &json!({})).await;
    within(PATIENCE, "both on their way", async || {
        let copies = shore.calls("dest", "CopyObject").await;
        let completions = shore.calls("dest", "CompleteMultipartUpload").await;
        (copies >= made[0] + 2 && completions > made[1]).then_some(())
    })
    .await;
    for key in ["raced", "raced-parts"] {
        shore.put("dest", key, "somebody else's".to_owned()).await;
    }
    assert_eq!(*counts(&shore.ended(&id).await), totals(3, 0));
    let to = shore.contents("dest").await;
    for key in ["raced", "raced-parts", "slow"] {
        assert_eq!(to[key], from[key], "{key}");
    }
    let again =
        [shore.calls("dest", "CopyObject").await, shore.calls("dest", "CompleteMultipartUpload").await];
    assert_eq!(
        again,
        [made[0] + 3, made[1] + 2],
        "the first tries were refused, and what is slow was not repeated"
    );
    assert_no_uploads(&shore, "dest").await;
}

#[tokio::test]
async fn archived_objects_are_asked_back_once_while_their_siblings_go_on() {
    let object = |key: &str, class: &str| json!({ "key": key, "size": 9, "storageClass": class });
    let buckets = json!([
        { "name": "src", "objects": [
            object("standard", "STANDARD"), object("glacier", "GLACIER"), object("instant", "GLACIER_IR"),
            object("deep", "DEEP_ARCHIVE"),
        ] },
        { "name": "lists" }, { "name": "dest" },
    ]);
    let settings = [("COPY_OUT__THAW_CHECK", "1s"), ("COPY_OUT__THAW_CHECK_CAP", "1s")];
    let shore = Shore::with(buckets, &[], &settings).await;
    shore.platform.faults(&json!({ "restoreDelay": "5s" })).await;
    let thaw = json!({ "thawParams": {
        "glacierFlexibleRetrievalThawDays": 3, "glacierFlexibleRetrievalThawSpeed": "Expedited",
    } });
    let id = shore.begun("x.csv", "src,glacier\nsrc,standard\nsrc,deep\nsrc,instant\n", &thaw).await;
    within(Duration::from_secs(4), "the siblings", async || {
        let there = shore.contents("dest").await;
        (there.contains_key("standard") && there.contains_key("instant")).then_some(())
    })
    .await;
    assert!(!shore.contents("dest").await.contains_key("glacier"), "it is still being restored");
    assert_eq!(*counts(&shore.ended(&id).await), totals(4, 0));
    assert_eq!(shore.calls("src", "RestoreObject").await, 2, "once for each");
    let restored = async |key: &str| shown(&shore, "src", key).await["restore"].clone();
    assert_eq!(restored("glacier").await, json!({ "tier": "Expedited", "days": 3 }));
    assert_eq!(restored("deep").await, json!({ "tier": "Bulk", "days": 1 }));
    assert_eq!(restored("instant").await, Value::Null);
    let (from, to) = (shore.contents("src").await, shore.contents("dest").await);
    for key in ["standard", "glacier", "instant", "deep"] {
        assert_eq!(to[key], from[key], "{key}");
    }
}

#[tokio::test]
async fn public_objects_are_asked_for_without_a_signature_and_written_with_one() {
    let buckets = json!([
        { "name": "public", "objects": [{ "key": "a", "size": 9 }] },
        // Open to everybody's eyes, and to no key of ours.
        { "name": "theirs", "keys": ["THEIRS"], "objects": [
            { "key": "b", "size": 9 }, { "key": "c", "size": 12_000, "parts": 2 },
        ] },
        { "name": "lists" },
        { "name": "dest", "keys": ["own", "test"] },
    ]);
    let shore = Shore::start(buckets, &[]).await;
    let line = |bucket: &str, key: &str| {
        format!("{}\n", json!({ "sourceBucket": bucket, "sourceKey": key, "sourceNoSignRequest": true }))
    };
    let list = [line("public", "a"), line("theirs", "*")].concat();
    let ended = shore.brought("x.jsonl", &list, &json!({ "destinationPrefix": "P/" })).await;
    assert_eq!(*counts(&ended), totals(3, 0));
    let (public, theirs) = (shore.contents("public").await, shore.contents("theirs").await);
    let to = shore.contents("dest").await;
    assert_eq!((&to["P/a"], &to["P/b"], &to["P/c"]), (&public["a"], &theirs["b"], &theirs["c"]));
    let stats = shore.platform.stats().await;
    for bucket in ["public", "theirs"] {
        let calls = stats["buckets"][bucket]["calls"].as_object().unwrap();
        let all: u64 = calls.values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(stats["buckets"][bucket]["unsigned"], all, "{bucket}: {calls:?}");
    }
    assert_eq!(stats["buckets"]["dest"]["unsigned"], 0);
}
