//! Where data comes from: buckets of no project, large files, files that get another name.

use std::time::Duration;

use copy_manager::{
    domain::policy::{Glob, Rules},
    ports::objects::{Access, ObjectLocation, ObjectStore as _},
};
use futures_util::TryStreamExt as _;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::house::{House, TO};

fn ask(sources: &[&str], external: &[&str], more: &Value, token: &str) -> String {
    let mut body = json!({
        "payload": {
            "sourceUriList": sources, "externalSourceUriList": external,
            "destinationUri": format!("icav2://{TO}/in/"),
        },
        "taskToken": token,
    });
    for (name, value) in more.as_object().unwrap() {
        body["payload"][name] = value.clone();
    }
    body.to_string()
}

/// The MD5 of an object outside the projects.
async fn md5_of(house: &House, key: &str) -> String {
    let at = ObjectLocation::new("outside-data", key);
    let body = house.objects.get(&at, None, None, &Access::Own).await.unwrap().bytes;
    let hash = body.try_fold(Md5::new(), |hash, bytes| async move { Ok(hash.chain_update(bytes)) });
    hex::encode(hash.await.unwrap().finalize())
}

fn md5_at<'a>(tree: &'a [(String, String, Option<String>)], path: &str) -> Option<&'a str> {
    tree.iter().find(|(known, ..)| known == path).and_then(|(.., md5)| md5.as_deref())
}

#[tokio::test(start_paused = true)]
async fn data_in_no_project_are_streamed_from_s3() {
    let house = House::new(&[("/run/a.bam", 100, 2)], &[], &[], |_| {}).await;
    let _instance = house.instance();
    let body = ask(
        &["icav2://lab/run/a.bam", "s3://outside-data/reference"],
        &["s3://outside-data/ref/"],
        &json!({"renamingMapList": [
            {"sourceUri": "s3://outside-data/ref/sub/a b+c.txt", "outputFileName": "ü.txt"},
        ]}),
        "t",
    );
    house.queue.push(body.clone()).await.unwrap();
    let output = house.success("t", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["renamed"]), (&json!(6), &json!(1)), "{output}");
    assert_eq!(house.calls(Some("POST /api/projects/{projectId}/dataCopyBatch")), 1);
    let tree = house.tree(TO, "/in/").await;
    let paths: Vec<_> = tree.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "a.bam",
            "ref/",
            "ref/empty/",
            "ref/genome.fa",
            "ref/genome.fa.fai",
            "ref/none.txt",
            "ref/sub/",
            "ref/sub/ü.txt",
            "reference"
        ]
    );
    for (key, path) in [
        ("ref/genome.fa", "ref/genome.fa"),
        ("ref/sub/a b+c.txt", "ref/sub/ü.txt"),
        ("reference", "reference"),
    ] {
        assert_eq!(md5_at(&tree, path), Some(md5_of(&house, key).await.as_str()), "{key}");
    }
    // The parts are those of the source, so a repeat compares tags and does nothing.
    house.queue.push(body.replace("\"t\"", "\"again\"")).await.unwrap();
    let output = house.success("again", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["skipped"]), (&json!(0), &json!(6)));
    assert_eq!(output["files"]["skippedBySize"], 0, "{output}");
}

#[tokio::test(start_paused = true)]
async fn places_outside_are_refused_with_a_reason() {
    let mut house = House::new(&[("/run/a.bam", 100, 2)], &[], &[], |_| {}).await;
    let cases = [
        ("s3://outside-data/gone", "SourceNotFound", "there is no such object"),
        ("s3://outside-data/ref/gone/", "SourceNotFound", "there is nothing below this prefix"),
        // Never by prefix.
        ("s3://outside-data/re/", "SourceNotFound", "there is nothing below this prefix"),
        ("s3://outside-data/", "InvalidRequest", "name the prefixes in it instead"),
        ("s3://no-such-bucket/a", "SourceNotFound", "s3://no-such-bucket/a"),
        ("icav2://lab/run/gone", "SourceNotFound", "there is no /run/gone"),
        ("icav2://nowhere/run/a.bam", "SourceNotFound", "no ICAv2 project `nowhere` is visible"),
    ];
    let instance = house.instance();
    for (n, (uri, error, words)) in cases.into_iter().enumerate() {
        let token = format!("t{n}");
        house.queue.push(ask(&["icav2://lab/run/a.bam", uri], &[], &json!({}), &token)).await.unwrap();
        let (name, cause) = house.failure(&token, Duration::from_mins(5)).await;
        assert_eq!(name, error, "{uri}");
        assert!(cause.to_string().contains(words), "{uri}: {cause}");
    }
    drop(instance);
    house.settings.policy =
        Rules { source_buckets: vec![Glob::try_from("public-*".to_owned()).unwrap()], ..Rules::default() };
    house.settings.copy.max_depth = 1;
    let _instance = house.instance();
    house.queue.push(ask(&[], &["s3://outside-data/reference"], &json!({}), "denied")).await.unwrap();
    let (name, cause) = house.failure("denied", Duration::from_mins(1)).await;
    assert_eq!(name, "PolicyDenied");
    assert!(cause.to_string().contains("policy.source_buckets"), "{cause}");
    assert!(house.tree(TO, "/in/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_one_put_does_not_take_is_uploaded_in_parts() {
    let files = [("/run/large.txt", 12 << 20, 1), ("/run/small.txt", 5 << 20, 1)];
    let mut house = House::new(&files, &[], &[], |_| {}).await;
    house.settings.copy.largest_put = 6 << 20;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(5)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    let names = [
        "POST /api/projects/{projectId}/data:createFileWithTemporaryCredentials",
        "POST /api/projects/{projectId}/data:createFileWithUploadUrl",
    ];
    assert_eq!(names.map(|name| house.calls(Some(name))), [1, 1]);
}

const BAMS: [(&str, u64, u32); 4] = [
    ("/run/a.bam", 30 << 20, 3),
    ("/run/b.bam", 20 << 20, 2),
    ("/run/c.txt", 10, 1),
    ("/two/a.bam", 12 << 20, 2),
];

fn new_names() -> Value {
    json!({"renamingMapList": [
        {"sourceUri": "icav2://lab/run/a.bam", "outputFileName": "b.bam"},
        {"sourceUri": "icav2://lab/run/b.bam", "outputFileName": "x.bam"},
        {"sourceUri": "icav2://lab/run/c.txt", "outputFileName": "d.txt"},
        {"sourceUri": "icav2://lab/two/a.bam", "outputFileName": "y.bam"},
    ]})
}

const NAMED: [&str; 4] = ["/run/a.bam", "/run/b.bam", "/run/c.txt", "/two/a.bam"];

/// Each renamed file is at its place, an `a.bam` that was there before is untouched, and nothing else
/// is there.
async fn check_renamed(house: &House) {
    // What is deleted is gone a little later.
    tokio::time::sleep(Duration::from_mins(1)).await;
    let (from, to) = (house.tree("lab", "/").await, house.tree(TO, "/in/").await);
    for (source, target) in
        [("run/a.bam", "b.bam"), ("run/b.bam", "x.bam"), ("run/c.txt", "d.txt"), ("two/a.bam", "y.bam")]
    {
        assert!(md5_at(&from, source).is_some());
        assert_eq!(md5_at(&from, source), md5_at(&to, target), "{source} → {target}");
    }
    let paths: Vec<_> = to.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(paths, ["a.bam", "b.bam", "d.txt", "x.bam", "y.bam"]);
}

#[tokio::test(start_paused = true)]
async fn large_renamed_files_go_by_job_and_then_inside_s3() {
    let there = [("/in/a.bam", 30 << 20, 1)];
    let house = House::new(&BAMS, &[], &there, |_| {}).await;
    let before = house.tree(TO, "/in/").await;
    let _instance = house.instance();
    house.ask_with(&NAMED, "/in/", "t", None, new_names()).await;
    let output = house.success("t", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["renamed"]), (&json!(4), &json!(4)), "{output}");
    check_renamed(&house).await;
    assert!(house.tree(TO, "/in/").await.contains(&before[0]), "what was there is untouched");
    // Only the small file went through us; the two `a.bam` need rooms of their own.
    assert_eq!(house.calls(Some("POST /api/projects/{projectId}/data:createFileWithUploadUrl")), 1);
    assert_eq!(house.calls(Some("POST /api/projects/{projectId}/dataCopyBatch")), 2);
    // The parts are kept, so a repeat compares tags; it does nothing.
    let calls = house.calls(None);
    house.ask_with(&NAMED, "/in/", "again", None, new_names()).await;
    let output = house.success("again", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["skippedBySize"]), (&json!(0), &json!(0)));
    assert!(house.calls(None) - calls < 15, "{} calls", house.calls(None) - calls);
    assert_eq!(house.slots().await, 0);
}

#[tokio::test(start_paused = true)]
async fn renamed_files_that_no_job_brings_are_streamed() {
    let house =
        House::new(&BAMS, &[], &[("/in/a.bam", 1, 1)], |platform| platform.job_failure_rate = 1.0).await;
    let _instance = house.instance();
    house.ask_with(&NAMED, "/in/", "t", None, new_names()).await;
    let output = house.success("t", Duration::from_hours(3)).await;
    assert_eq!(output["files"]["renamed"], 4);
    check_renamed(&house).await;
}

#[tokio::test(start_paused = true)]
async fn a_renaming_goes_on_where_its_instance_died() {
    for seconds in [1, 4, 8, 16, 30, 34, 40, 50] {
        let house = House::new(&BAMS, &[], &[("/in/a.bam", 1, 1)], |_| {}).await;
        let instance = house.instance();
        house.ask_with(&NAMED, "/in/", "t", None, new_names()).await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        drop(instance);
        let _instance = house.instance();
        house.success("t", Duration::from_mins(15)).await;
        check_renamed(&house).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_may_get_another_name_in_its_own_folder() {
    let house = House::new(&[], &[], &[("/in/a.bam", 9 << 20, 2), ("/in/s.txt", 3, 1)], |_| {}).await;
    let _instance = house.instance();
    let sources = ["icav2://archive/in/a.bam", "icav2://archive/in/s.txt"];
    let map = json!({"renamingMapList": [
        {"sourceUri": sources[0], "outputFileName": "b.bam"}, {"sourceUri": sources[1], "outputFileName": "t.txt"},
    ]});
    house.queue.push(ask(&sources, &[], &map, "t")).await.unwrap();
    house.success("t", Duration::from_mins(5)).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let tree = house.tree(TO, "/in/").await;
    assert_eq!(
        tree.iter().map(|(path, ..)| path.as_str()).collect::<Vec<_>>(),
        ["a.bam", "b.bam", "s.txt", "t.txt"]
    );
    house.queue.push(ask(&sources, &[], &json!({}), "itself")).await.unwrap();
    let (error, cause) = house.failure("itself", Duration::from_mins(1)).await;
    assert!(error == "InvalidRequest" && cause.to_string().contains("onto itself"), "{cause}");
}
