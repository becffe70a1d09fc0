//! Copies to places in no project: files of projects and objects of S3 into a bucket.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use copy_manager::{
    domain::policy::{Glob, Rules},
    ports::{
        chance::Dice,
        objects::{Access, ObjectLocation, ObjectStore as _},
        platform::{DataPlatform as _, Destination},
    },
    simulator::ObjectEntry,
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    asking::calls,
    house::{House, TO, text},
};

const MIB: u64 = 1 << 20;
const SOON: Duration = Duration::from_mins(5);
const LAB: &str = "11111111-1111-4111-8111-111111111111";

const RUN: [(&str, u64, u32); 5] = [
    ("/run/a.bam", 30 * MIB, 3),
    ("/run/none.txt", 0, 1),
    ("/run/deep/b c+ü.txt", 700, 1),
    ("/run/deep/er/c.txt", 12 * MIB, 1),
    ("/two/d.txt", 9, 1),
];

/// A house beside a bucket `dest` that holds these objects, and `src`.
async fn house(src: Value, dest: Value) -> House {
    let buckets = json!([{"name": "src", "objects": src}, {"name": "dest", "objects": dest}]);
    House::beside(&RUN, &["/run/empty/"], &[("/in/there.txt", 9, 1)], buckets, |_| {}).await
}

/// Asks for a copy.
async fn ask(house: &House, token: &str, sources: &[&str], to: &str, more: Value) {
    let mut body = json!({
        "payload": {"sourceUriList": sources, "destinationUri": to}, "taskToken": token, "requestId": token,
    });
    for (name, value) in more.as_object().unwrap() {
        body["payload"][name] = value.clone();
    }
    house.queue.push(body.to_string()).await.unwrap();
}

async fn objects(house: &House, bucket: &str) -> BTreeMap<String, ObjectEntry> {
    let objects = house.simulator.objects(bucket, "").await;
    objects.into_iter().map(|object| (object.key.clone(), object)).collect()
}

async fn keys(house: &House) -> Vec<String> {
    objects(house, "dest").await.into_keys().collect()
}

/// What a bucket was asked for but to be read.
fn writes(house: &House, bucket: &str) -> BTreeSet<String> {
    let stats = house.simulator.stats();
    let calls = stats.buckets.get(bucket).map(|bucket| bucket.calls.clone()).unwrap_or_default();
    calls
        .into_keys()
        .filter(|call| !["HeadObject", "GetObject", "ListObjectsV2"].contains(&call.as_str()))
        .collect()
}

fn first(cause: &Value) -> (&str, &str) {
    let file = &cause["files"][0];
    (file["what"].as_str().unwrap_or_default(), file["why"].as_str().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn files_and_folders_of_a_project_are_streamed_to_a_bucket() {
    let mut house = house(json!([]), json!([])).await;
    house.settings.copy_out.multipart_threshold = 6 * MIB;
    house.settings.copy_out.part_size = 5 * MIB;
    let _instance = house.instance();
    let sources = ["icav2://lab/run/", "icav2://lab/two/d.txt"];
    ask(&house, "t", &sources, "s3://dest/some//where/", json!({})).await;
    let output = house.success("t", SOON).await;
    assert_eq!(output["files"]["copied"], 5, "{}", text(&output));
    assert_eq!((&output["bytes"], &output["jobs"]), (&json!(42 * MIB + 709), &json!([])));
    assert_eq!(output["destinationUri"], "s3://dest/some//where/");
    assert!(output.get("objects").is_none() && output.get("summaryCsvKey").is_none(), "{output}");
    let there = objects(&house, "dest").await;
    let source: BTreeMap<_, _> = house
        .simulator
        .tree("lab", "/")
        .await
        .unwrap()
        .into_iter()
        .map(|file| (file.path.clone(), file))
        .collect();
    let expected = [
        ("some//where/d.txt", "/two/d.txt"),
        ("some//where/run/a.bam", "/run/a.bam"),
        ("some//where/run/deep/b c+ü.txt", "/run/deep/b c+ü.txt"),
        ("some//where/run/deep/er/c.txt", "/run/deep/er/c.txt"),
        ("some//where/run/none.txt", "/run/none.txt"),
    ];
    assert_eq!(there.keys().map(String::as_str).collect::<Vec<_>>(), expected.map(|(key, _)| key));
    for (key, path) in expected {
        let (object, file) = (&there[key], &source[path]);
        assert_eq!((object.size, Some(&object.md5)), (file.size.unwrap_or(0), file.md5.as_ref()), "{key}");
    }
    // What was uploaded in parts keeps them, and so its tag; what is too large for one call has some.
    assert_eq!(Some(&there["some//where/run/a.bam"].etag), source["/run/a.bam"].etag.as_ref());
    assert!(there["some//where/run/deep/er/c.txt"].etag.ends_with("-3"));
    assert!(house.simulator.uploads("dest").is_empty());
    assert_eq!(house.unsettled().await, []);

    // Once more: nothing is brought. One file was cut by us, and only its size tells.
    let before = house.simulator.stats().buckets["dest"].calls.clone();
    ask(&house, "again", &sources, "s3://dest/some//where/", json!({})).await;
    let output = house.success("again", SOON).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["skipped"]), (&json!(0), &json!(5)));
    assert_eq!(output["files"]["skippedBySize"], 1);
    let after = house.simulator.stats().buckets["dest"].calls.clone();
    assert_eq!(
        (before.get("PutObject"), before.get("UploadPart")),
        (after.get("PutObject"), after.get("UploadPart"))
    );
}

#[tokio::test(start_paused = true)]
async fn objects_and_prefixes_are_copied_inside_s3() {
    let house = house(
        json!([
            {"key": "one/x", "size": 40, "tags": {"k": "v"}, "metadata": {"run": "7"}},
            {"key": "all/", "size": 0}, {"key": "all/empty/", "size": 0},
            {"key": "all/a b+%.txt", "size": 9}, {"key": "all//lead", "size": 8},
            {"key": "all/sub/deep/é", "size": 7}, {"key": "all/zero", "size": 0},
            {"key": "all/parts", "size": 16 * MIB, "parts": 3}, {"key": "all/marker with bytes/", "size": 3},
            {"key": "alles", "size": 5},
        ]),
        json!([]),
    )
    .await;
    let _instance = house.instance();
    ask(&house, "t", &["s3://src/one/x"], "s3://dest/", json!({"externalSourceUriList": ["s3://src/all/"]}))
        .await;
    let output = house.success("t", SOON).await;
    assert_eq!(output["files"]["copied"], 7, "{}", text(&output));
    let (from, to) = (objects(&house, "src").await, objects(&house, "dest").await);
    let expected = [
        "all//lead",
        "all/a b+%.txt",
        "all/marker with bytes/",
        "all/parts",
        "all/sub/deep/é",
        "all/zero",
        "x",
    ];
    assert_eq!(to.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    for (key, object) in &to {
        let source = &from[if key == "x" { "one/x" } else { key }];
        assert_eq!((&object.md5, &object.etag), (&source.md5, &source.etag), "{key}");
    }
    assert_eq!((&to["x"].tags["k"], &to["x"].metadata["run"]), (&"v".to_owned(), &"7".to_owned()));
    assert_eq!(calls(&house, "src", "GetObject"), 0, "no byte passed here");
    assert_eq!((calls(&house, "dest", "CopyObject"), calls(&house, "dest", "UploadPartCopy")), (6, 3));
    assert_eq!((calls(&house, "dest", "PutObject"), calls(&house, "dest", "UploadPart")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_place_in_a_project_is_that_project() {
    let house = house(json!([{"key": "a", "size": 9}]), json!([])).await;
    let _instance = house.instance();
    ask(&house, "t", &["icav2://lab/two/d.txt"], "s3://archive-data/in/", json!({})).await;
    assert_eq!(house.success("t", SOON).await["files"]["copied"], 1);
    let there: Vec<_> = house.tree(TO, "/in/").await.into_iter().map(|(path, ..)| path).collect();
    assert_eq!(there, ["d.txt", "there.txt"]);
    assert_eq!(writes(&house, "dest"), BTreeSet::new());
    // Nor does anything land in a project because of the name that it has.
    let platform = house.platform(std::sync::Arc::new(Dice::from_seed(1)));
    let project = platform.project(TO).await.unwrap();
    let top = copy_manager::domain::location::DataPath::parse("/top/").unwrap();
    platform.create_folder(&project.id, &top, "key").await.unwrap();
    ask(&house, "no", &["icav2://archive/top/"], "s3://lab-data/", json!({})).await;
    let (error, cause) = house.failure("no", SOON).await;
    assert_eq!(error, "InvalidRequest", "{}", text(&cause));
    assert_eq!(
        first(&cause),
        ("icav2://archive/top/", "would go to / of the project `lab`: name that as the destination")
    );
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_the_way_is_treated_as_the_request_says() {
    let src = json!([{"key": "r/equal", "size": 9}, {"key": "r/longer", "size": 9}, {"key": "r/other", "size": 9},
        {"key": "r/parts", "size": 12 * MIB, "parts": 2}, {"key": "r/new", "size": 9}]);
    let dest = json!([{"key": "r/equal", "size": 9, "sameAs": "src/r/equal"}, {"key": "r/longer", "size": 10},
        {"key": "r/other", "size": 9}, {"key": "r/parts", "size": 12 * MIB, "parts": 1}]);
    for (way, copied, by_size, left) in [("skip", 1, 1, 2), ("overwrite", 4, 0, 0), ("fail", 1, 1, 0)] {
        let house = house(src.clone(), dest.clone()).await;
        let before = objects(&house, "dest").await;
        let _instance = house.instance();
        ask(&house, "t", &["s3://src/r/"], "s3://dest/", json!({"onConflict": way})).await;
        let files = if way == "fail" {
            let (error, cause) = house.failure("t", SOON).await;
            assert_eq!(error, "DestinationConflict");
            assert_eq!(cause["message"], "2 of 5 files did not arrive in s3://dest/");
            let files = cause["files"].as_array().unwrap();
            assert_eq!(
                *files,
                [
                    json!({"what": "s3://dest/r/longer", "why": "another file of 10 bytes is there"}),
                    json!({"what": "s3://dest/r/other", "why": "a file of equal size and other content (MD5) is there"}),
                ]
            );
            cause["counters"].clone()
        } else {
            house.success("t", SOON).await["files"].clone()
        };
        assert_eq!(
            (&files["copied"], &files["skippedBySize"], &files["skippedConflict"]),
            (&json!(copied), &json!(by_size), &json!(left)),
            "{way}: {files}"
        );
        let (from, after) = (objects(&house, "src").await, objects(&house, "dest").await);
        for key in ["r/longer", "r/other"] {
            let stays = if way == "overwrite" { &from[key] } else { &before[key] };
            assert_eq!(after[key].md5, stays.md5, "{way} {key}");
        }
        assert_eq!(after["r/new"].md5, from["r/new"].md5);
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_it_is_copied_is_a_conflict_too() {
    let house = house(json!([{"key": "a", "size": 9}]), json!([])).await;
    house.faults(json!({"s3": [{"calls": ["HeadObject"], "bucket": "src", "times": 2, "delay": "5s"}]}));
    let _instance = house.instance();
    ask(&house, "t", &["s3://src/a"], "s3://dest/", json!({})).await;
    while calls(&house, "dest", "HeadObject") == 0 {
        sleep(Duration::from_millis(50)).await;
    }
    house.put_object("dest", "a", b"somebody else's".to_vec()).await;
    let (error, cause) = house.failure("t", SOON).await;
    assert_eq!((error.as_str(), first(&cause).0), ("DestinationConflict", "s3://dest/a"));
    assert_eq!(calls(&house, "dest", "CopyObject"), 1, "it was refused");
    assert_eq!(house.object("dest", "a").await, "somebody else's");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_look_at_the_destination_overwrites_only_when_asked_to() {
    for (way, error) in [("fail", Some("DestinationConflict")), ("skip", None), ("overwrite", None)] {
        let buckets = json!([
            {"name": "src", "objects": [{"key": "r/a", "size": 9}, {"key": "r/b", "size": 9}]},
            {"name": "dest", "deny": ["GetObject", "ListBucket"], "objects": [{"key": "r/a", "size": 3}]},
        ]);
        let house = House::beside(&[], &[], &[], buckets, |_| {}).await;
        let _instance = house.instance();
        ask(&house, "t", &["s3://src/r/"], "s3://dest/", json!({"onConflict": way})).await;
        match error {
            Some(error) => {
                let (name, cause) = house.failure("t", SOON).await;
                assert_eq!(name, error);
                let why = "an object is there that this service may not look at";
                assert_eq!(first(&cause), ("s3://dest/r/a", why));
            }
            None => drop(house.success("t", SOON).await),
        }
        let there = objects(&house, "dest").await;
        assert_eq!(there["r/a"].size, if way == "overwrite" { 9 } else { 3 }, "{way}");
        assert_eq!(there["r/b"].size, 9);
    }
}

#[tokio::test(start_paused = true)]
async fn files_get_other_names() {
    let house = house(json!([{"key": "r/a.txt", "size": 9}, {"key": "r/b.txt", "size": 8}]), json!([])).await;
    let _instance = house.instance();
    let sources = ["icav2://lab/run/", "s3://src/r/", "s3://outside-data/reference"];
    let renaming = json!([
        {"sourceUri": "icav2://lab/run/deep/b c+ü.txt", "outputFileName": "b.txt"},
        {"sourceUri": "s3://src/r/a.txt", "outputFileName": "b.txt"},
        {"sourceUri": "s3://src/r/b.txt", "outputFileName": "a.txt"},
        {"sourceUri": "s3://outside-data/reference", "outputFileName": "ref.fa"},
    ]);
    ask(&house, "t", &sources, "s3://dest/in/", json!({"renamingMapList": renaming})).await;
    let output = house.success("t", SOON).await;
    assert_eq!(
        (&output["files"]["copied"], &output["files"]["renamed"]),
        (&json!(7), &json!(4)),
        "{}",
        text(&output)
    );
    let expected = [
        "in/r/a.txt",
        "in/r/b.txt",
        "in/ref.fa",
        "in/run/a.bam",
        "in/run/deep/b.txt",
        "in/run/deep/er/c.txt",
        "in/run/none.txt",
    ];
    assert_eq!(keys(&house).await, expected);
    assert_eq!(objects(&house, "dest").await["in/r/a.txt"].size, 8);

    for (n, (uri, name, words)) in [
        (
            "s3://src/r/a.txt",
            "b.txt",
            "would be `in/r/b.txt` at the destination, and so would another source",
        ),
        ("s3://src/r/gone", "x", "is the exact name of no file that this request copies"),
        ("icav2://lab/run/deep/er/b c+ü.txt", "x", "is the exact name of no file that this request copies"),
    ]
    .into_iter()
    .enumerate()
    {
        let map = json!({"renamingMapList": [{"sourceUri": uri, "outputFileName": name}]});
        let token = format!("no{n}");
        ask(&house, &token, &sources, "s3://dest/in/", map).await;
        let (error, cause) = house.failure(&token, SOON).await;
        assert_eq!(error, "InvalidRequest");
        assert!(cause.to_string().contains(words), "{}", text(&cause));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let src =
        json!([{"key": "r/equal", "size": 9}, {"key": "r/other", "size": 9}, {"key": "r/new", "size": 5}]);
    let dest =
        json!([{"key": "in/r/equal", "size": 9, "sameAs": "src/r/equal"}, {"key": "in/r/other", "size": 7}]);
    let house = house(src, dest).await;
    let _instance = house.instance();
    let sources = ["icav2://lab/two/", "s3://src/r/"];
    for (way, succeeds, route) in
        [("fail", false, None), ("skip", true, None), ("overwrite", true, Some("s3_copy"))]
    {
        let renaming = json!([{"sourceUri": "s3://src/r/new", "outputFileName": "newer"}]);
        let more = json!({"dryRun": true, "onConflict": way, "renamingMapList": renaming});
        ask(&house, way, &sources, "s3://dest/in/", more).await;
        let output = house.success(way, SOON).await;
        let plan = &output["plan"];
        assert_eq!((&output["dryRun"], &plan["wouldSucceed"]), (&json!(true), &json!(succeeds)));
        let files = plan["files"].as_array().unwrap();
        let conflict = json!({"there": "another file of 7 bytes is there", "then": way});
        assert_eq!(
            (&files[0]["destination"], &files[0]["conflict"]),
            (&json!("s3://dest/in/r/other"), &conflict)
        );
        assert_eq!(files[0]["route"].as_str(), route);
        let rest: BTreeMap<_, _> = files[1..]
            .iter()
            .map(|file| {
                (
                    file["destination"].as_str().unwrap(),
                    (file["source"].as_str().unwrap(), file["route"].as_str()),
                )
            })
            .collect();
        let lab = format!("icav2://{LAB}/two/d.txt");
        let expected = BTreeMap::from([
            ("s3://dest/in/r/equal", ("s3://src/r/equal", None)),
            ("s3://dest/in/r/newer", ("s3://src/r/new", Some("s3_copy"))),
            ("s3://dest/in/two/d.txt", (lab.as_str(), Some("stream"))),
        ]);
        assert_eq!(rest, expected);
        let mut totals = plan["totals"].clone();
        totals.as_object_mut().unwrap().remove("apiCalls");
        let replaced = u64::from(way == "overwrite");
        assert_eq!(
            totals,
            json!({
                "files": 4, "byRoute": {"stream": 1, "s3_copy": 1 + replaced}, "bytes": 14 + 9 * replaced, "jobs": 0,
                "newFolders": 0, "skipped": 1, "inFlight": 0, "conflicts": 1, "failing": u64::from(way == "fail"),
                "unready": 0,
            })
        );
    }
    assert_eq!(writes(&house, "dest"), BTreeSet::new());
    // `copy-manager plan` says the same.
    let request =
        serde_json::from_value(json!({"sources": sources, "destination": "s3://dest/in/"})).unwrap();
    let other = house.instance();
    assert_eq!(other.work.copies.dry_run("", &request, 1 << 20).await.unwrap().unwrap().totals.files, 4);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_refused_and_nothing_is_written() {
    let src = json!([
        {"key": "r/a", "size": 9}, {"key": "s/r/a", "size": 9}, {"key": "cold", "size": 9, "storageClass": "GLACIER"},
        {"key": "mixed/warm", "size": 9}, {"key": "mixed/cold", "size": 9, "storageClass": "GLACIER"},
        {"key": "many/{n}", "size": 1, "count": 11}, {"key": "deep/1/2/3/4/x", "size": 1},
    ]);
    let mut house = house(src, json!([])).await;
    house.settings.copy.max_files = 10;
    house.settings.copy.max_depth = 3;
    let glob = |text: &str| Glob::try_from(text.to_owned()).unwrap();
    house.settings.copy_out.deny_destination_buckets = vec![glob("den*")];
    house.settings.policy = Rules {
        destination_buckets: vec![glob("de*"), glob("src"), glob("no-such-bucket")],
        ..Rules::default()
    };
    let platform = house.platform(std::sync::Arc::new(Dice::from_seed(1)));
    let lab = copy_manager::domain::ids::ProjectId::new(LAB);
    let folder = copy_manager::domain::location::DataPath::parse("/two/").unwrap();
    let folder = platform.find(&lab, &folder).await.unwrap().unwrap();
    platform.create_file(&lab, &Destination::Folder(folder.id), "late.bam", "key").await.unwrap();
    let _instance = house.instance();
    let cases: [(&[&str], &str, &str, &str); 19] = [
        (&["s3://src/gone"], "s3://dest/", "SourceNotFound", "there is no such object"),
        (&["s3://src/gone/"], "s3://dest/", "SourceNotFound", "there is nothing below this prefix"),
        (&["icav2://lab/run/gone"], "s3://dest/", "SourceNotFound", "there is no /run/gone"),
        (&["s3://src/"], "s3://dest/", "InvalidRequest", "a whole bucket cannot be copied"),
        (
            &["s3://src/r/a", "s3://src/s/r/a"],
            "s3://dest/",
            "InvalidRequest",
            "two sources have the same name",
        ),
        (&["s3://src/r/", "s3://src/s/r/"], "s3://dest/", "InvalidRequest", "two sources have the same name"),
        (&["s3://src/r/"], "s3://src/r/out/", "RecursionLimit", "the destination lies inside a source"),
        (&["s3://src/r/"], "s3://src/", "InvalidRequest", "onto itself"),
        (&["s3://src/r/a"], "s3://src/r/", "InvalidRequest", "onto itself"),
        (&["s3://src/r/a", "s3://src/s/"], "s3://src/s/", "RecursionLimit", "inside a source"),
        (&["s3://src/cold"], "s3://dest/", "SourceNotReady", "it is archived"),
        (&["s3://src/mixed/"], "s3://dest/", "SourceNotReady", "1 of 2 files cannot be read now"),
        (&["icav2://lab/two/"], "s3://dest/", "SourceNotReady", "PARTIAL"),
        (&["s3://src/many/"], "s3://dest/", "InvalidRequest", "more files than copy.max_files = 10"),
        (&["s3://src/deep/"], "s3://dest/", "RecursionLimit", "deeper than copy.max_depth = 3"),
        (&["s3://src/r/a"], "s3://denied/", "PolicyDenied", "copy_out.deny_destination_buckets"),
        (&["s3://src/r/a"], "s3://elsewhere/", "PolicyDenied", "policy.destination_buckets"),
        (
            &["s3://src/r/a"],
            "s3://no-such-bucket/",
            "InvalidRequest",
            "the destination bucket does not exist",
        ),
        (&["s3://lab-data/top/run/../x/"], "s3://dest/", "SourceNotFound", "there is no"),
    ];
    for (n, (sources, to, error, words)) in cases.into_iter().enumerate() {
        let token = format!("t{n}");
        ask(&house, &token, sources, to, json!({})).await;
        let (name, cause) = house.failure(&token, SOON).await;
        assert_eq!(name, error, "{sources:?} {to}: {}", text(&cause));
        assert!(cause.to_string().contains(words), "{sources:?} {to}: {}", text(&cause));
    }
    assert_eq!(keys(&house).await, [""; 0]);
    assert_eq!(calls(&house, "dest", "CopyObject") + calls(&house, "src", "CopyObject"), 0);
    assert_eq!(house.unsettled().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_refuses_ends_the_request_at_once() {
    let house = house(json!([{"key": "r/o{n}", "size": 9, "count": 300}]), json!([])).await;
    house.faults(json!({"deny": {"dest": ["PutObject"]}}));
    let _instance = house.instance();
    ask(&house, "t", &["s3://src/r/"], "s3://dest/in/", json!({})).await;
    let (error, cause) = house.failure("t", Duration::from_secs(30)).await;
    assert_eq!(error, "PolicyDenied", "{}", text(&cause));
    assert!(cause["message"].as_str().unwrap().starts_with("this service may not write to the destination"));
    assert_eq!(first(&cause).0, "s3://dest/in/");
    assert_eq!(calls(&house, "dest", "CopyObject"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_anywhere_loses_nothing_and_copies_nothing_again_that_is_there() {
    let src = json!([{"key": "r/o{n}", "size": 9, "count": 100}, {"key": "r/z large", "size": 40 * MIB, "parts": 8}]);
    for millis in [300, 1_500, 3_000, 6_000] {
        let mut house = house(src.clone(), json!([])).await;
        house.settings.copy_out.concurrent_parts = 2;
        house.chunk_takes = Duration::from_millis(20);
        house.faults(json!({"s3": [{"calls": ["CopyObject"], "delay": "500ms"}, {"calls": ["UploadPartCopy"], "delay": "2s"}]}));
        let first = house.instance();
        ask(&house, "t", &["s3://src/r/", "icav2://lab/run/"], "s3://dest/in/", json!({})).await;
        sleep(Duration::from_millis(millis)).await;
        drop(first);
        let _second = house.instance();
        let output = house.success("t", SOON).await;
        assert_eq!(output["files"]["copied"], 105, "{millis}: {}", text(&output));
        assert_eq!(keys(&house).await.len(), 105);
        let (from, to) = (objects(&house, "src").await, objects(&house, "dest").await);
        for (key, object) in &from {
            assert_eq!(to[&format!("in/{key}")].md5, object.md5);
        }
        let copied = calls(&house, "dest", "CopyObject");
        assert!((100..=200).contains(&copied), "{millis}: {copied}");
        assert!(house.simulator.uploads("dest").iter().all(|upload| upload.parts.is_empty()));
        assert_eq!(house.unsettled().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_first_look_has_begun_holds_nothing() {
    let house = house(json!([{"key": "a", "size": 9}]), json!([])).await;
    house.faults(json!({"s3": [{"calls": ["AbortMultipartUpload"], "delay": "10s", "times": 1}]}));
    let first = house.instance();
    ask(&house, "t", &["s3://src/a"], "s3://dest/", json!({})).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(house.simulator.uploads("dest").len(), 1);
    drop(first);
    let _second = house.instance();
    assert_eq!(house.success("t", SOON).await["files"]["copied"], 1);
    assert!(house.simulator.uploads("dest").iter().all(|upload| upload.parts.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_copy_ends_at_once_and_keeps_what_arrived() {
    let house = house(json!([{"key": "r/o{n}", "size": 9, "count": 400}]), json!([])).await;
    house.faults(json!({"s3": [{"calls": ["CopyObject"], "delay": "20s"}]}));
    let instance = house.instance();
    ask(&house, "t", &["s3://src/r/"], "s3://dest/", json!({})).await;
    sleep(Duration::from_secs(30)).await;
    let root = {
        let told = house.buses.told.lock().unwrap();
        told.last().unwrap()["requestId"].as_str().unwrap().to_owned()
    };
    instance.engine.cancel(&root, "enough").await.unwrap();
    let (error, cause) = house.failure("t", Duration::from_mins(1)).await;
    assert_eq!(error, "Cancelled");
    assert!(cause["counters"]["copied"].as_u64().unwrap() > 0, "{}", text(&cause));
    sleep(Duration::from_mins(5)).await;
    let copied = calls(&house, "dest", "CopyObject");
    assert!(copied < 300, "{copied}");
    assert!(keys(&house).await.len() as u64 <= copied);
    assert_eq!(house.unsettled().await, []);
}

#[tokio::test(start_paused = true)]
async fn files_that_do_not_arrive_are_named_and_the_others_stay() {
    let src = json!([{"key": "r/fine", "size": 9}, {"key": "r/broken", "size": 9}, {"key": "r/gone", "size": 9},
            {"key": "r/tiered", "size": 9, "storageClass": "INTELLIGENT_TIERING", "archiveTier": "ARCHIVE_ACCESS"}]);
    let house = house(src, json!([])).await;
    house.faults(json!({"s3": [
        {"calls": ["CopyObject"], "key": "in/r/broken", "status": 500},
        {"calls": ["HeadObject"], "bucket": "src", "key": "r/gone", "status": 404},
    ]}));
    let _instance = house.instance();
    ask(&house, "t", &["s3://src/r/"], "s3://dest/in/", json!({})).await;
    let (error, cause) = house.failure("t", Duration::from_hours(1)).await;
    assert_eq!(error, "SourceNotFound", "{}", text(&cause));
    assert_eq!(cause["filesTotal"], 3);
    let named: BTreeMap<_, _> = cause["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["what"].as_str().unwrap(), file["why"].as_str().unwrap()))
        .collect();
    assert_eq!(named["s3://dest/in/r/gone"], "s3://src/r/gone does not exist or is not accessible");
    assert_eq!(named["s3://dest/in/r/tiered"], "s3://src/r/tiered is archived");
    assert_eq!(calls(&house, "src", "RestoreObject"), 0);
    assert!(named["s3://dest/in/r/broken"].contains("could not be copied"), "{named:?}");
    assert_eq!(keys(&house).await, ["in/r/fine"]);
    let at = ObjectLocation::new("dest", "in/r/fine");
    assert!(house.objects.head(&at, &Access::Own).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn many_files_take_a_bounded_number_of_calls_and_writes() {
    let names: Vec<String> = (0..300).map(|n| format!("/big/{}/{n:05}", n % 5)).collect();
    let files: Vec<(&str, u64, u32)> = names.iter().map(|name| (name.as_str(), 10, 1)).collect();
    let house = House::beside(&files, &[], &[], json!([{"name": "dest"}]), |_| {}).await;
    house.breaks_in.store(1_000_000, std::sync::atomic::Ordering::Relaxed);
    let _instance = house.instance();
    ask(&house, "t", &["icav2://lab/big/"], "s3://dest/", json!({})).await;
    let output = house.success("t", Duration::from_hours(1)).await;
    assert_eq!(output["files"]["copied"], 300);
    assert_eq!(keys(&house).await.len(), 300);
    let writes = 1_000_000 - house.breaks_in.load(std::sync::atomic::Ordering::Relaxed);
    assert!(writes < 300, "{writes} writes");
    let lists = house.calls(Some("GET /api/projects/{projectId}/data"));
    assert!(lists < 20, "{lists} listings");
}
