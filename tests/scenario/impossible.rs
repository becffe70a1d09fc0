//! What cannot be done is refused before anything is copied, and whoever only asks is told the same: one table of
//! requests, each asked of `plan`, as a dry run, and as a copy.

use std::time::Duration;

use copy_manager::{
    domain::outcome::{ErrorName, Failure},
    events::intake::{Incoming, Refusal, read_request},
    kinds::copy::Copy,
};
use serde_json::{Value, json};

use crate::house::{House, TO, text};

const SOON: Duration = Duration::from_mins(10);
const LAB: &str = "11111111-1111-4111-8111-111111111111";

/// A name of so many bytes.
fn long(bytes: usize) -> String {
    "x".repeat(bytes)
}

async fn house() -> House {
    let file = |path: &str| json!({"path": path, "size": 10, "parts": 2});
    let deep = format!("/d/{}/{}/{}/", long(250), long(250), long(250));
    let world = json!({
        "projects": [
            {"id": LAB, "name": "lab", "age": "1h", "byob": {"bucket": "lab-data", "prefix": "top/"}, "nonIndexed": ["/dark/"],
             "folders": ["/void/"],
             "files": [file("/one.txt"), file("/run/one.txt"), file("/run/s.txt"), file("/run/deep/c.txt"),
                file("/blocked/x"), file(&format!("{deep}{}", long(200))), file("/cold/fine"),
                {"path": "/cold/torn", "size": 10, "parts": 1, "status": "PARTIAL"}]},
            {"id": "22222222-2222-4222-8222-222222222222", "name": TO,
             "byob": {"bucket": "archive-data", "prefix": ""}, "folders": ["/in/one.txt/"],
             "files": [file("/in/file"), file("/in/blocked"), file("/late/run/deep")],
             "links": [{"project": "lab", "path": "/run/", "to": "/shared/"}]},
            {"id": "33333333-3333-4333-8333-333333333333", "name": "far",
             "byob": {"bucket": "far-data", "prefix": format!("{}/", long(300))}},
        ],
        "buckets": [
            {"name": "src", "objects": [
                {"key": "odd/a.txt", "size": 3}, {"key": "odd/b/", "size": 25}, {"key": "odd/c/", "size": 0},
                {"key": "same/x", "size": 3}, {"key": "same/x/y/z", "size": 4},
                {"key": "marked/x", "size": 3}, {"key": "marked/x/", "size": 0},
                {"key": "ctl/a\u{1}b", "size": 3}, {"key": "ctl/ok", "size": 3},
                {"key": "hollow//x", "size": 3}, {"key": format!("k/{}/{}", long(500), long(400)), "size": 3},
                {"key": "other/s.txt", "size": 7}, {"key": "other/c.txt", "size": 7}, {"key": "other/one", "size": 7},
                {"key": "more/deep", "size": 7}, {"key": "lone", "size": 9}, {"key": long(256), "size": 9},
                {"key": "cold/x", "size": 3, "storageClass": "GLACIER"}]},
            {"name": "dst"},
        ],
    });
    House::of(world, |_| {}).await
}

/// A request that cannot be done, and what is said of it.
struct Row {
    sources: Vec<String>,
    to: String,
    more: Value,
    error: ErrorName,
    words: &'static [&'static str],
}

fn row(sources: &[&str], to: impl Into<String>, error: ErrorName, words: &'static [&'static str]) -> Row {
    let sources = sources.iter().map(|uri| (*uri).to_owned()).collect();
    Row { sources, to: to.into(), more: json!({}), error, words }
}

impl Row {
    fn with(mut self, more: Value) -> Self {
        self.more = more;
        self
    }

    fn payload(&self) -> Value {
        let mut payload = json!({"sourceUriList": self.sources, "destinationUri": self.to});
        payload.as_object_mut().unwrap().extend(self.more.as_object().unwrap().clone());
        payload
    }
}

const IN: &str = "icav2://archive/in/";
const OUT: &str = "s3://dst/in/";
const ARN: &str = "s3://arn:aws:s3:us-east-1:111122223333:accesspoint/shared";

/// What a project cannot hold.
fn unholdable() -> Vec<Row> {
    use ErrorName::InvalidRequest as Invalid;
    let beside = &["would be `x` in /in/same/, where a folder of that name goes", "s3://src/same/x"];
    let deep = |bytes: usize| format!("icav2://archive/{}/{}/", long(bytes / 2), long(bytes - bytes / 2));
    let rename =
        |from: &str, name: &str| json!({"renamingMapList": [{"sourceUri": from, "outputFileName": name}]});
    vec![
        // What a project cannot hold.
        row(&["s3://src/odd/"], IN, Invalid, &["s3://src/odd/b/", "holds 25 bytes"]),
        row(&["s3://src/odd/b/"], IN, Invalid, &["s3://src/odd/b/", "holds 25 bytes"]),
        row(&["s3://src/same/"], IN, Invalid, beside),
        row(&["s3://src/marked/"], IN, Invalid, &["s3://src/marked/x", "where a folder of that name goes"]),
        row(&["s3://src/ctl/a\u{1}b"], IN, Invalid, &["s3://src/ctl/a\u{1}b", "holds a control character"]),
        row(&["s3://src/hollow/"], IN, Invalid, &["s3://src/hollow//x", "has an empty name"]),
        row(&["icav2://lab/dark/"], IN, Invalid, &["/dark/", "does not show what is in it"]),
        row(&["icav2://lab/dark/"], OUT, Invalid, &["/dark/", "does not show what is in it"]),
        // What is too long: of an object, of what gets another name, of what a folder of a project holds.
        row(&["s3://src/k/"], deep(120), Invalid, &["s3://src/k/", "more than 1024 bytes"]),
        row(&["s3://src/k/"], "icav2://far/in/", Invalid, &["more than 1024 bytes", "301 of them in front"]),
        row(&["s3://src/lone"], deep(800), Invalid, &["longer than 1024 bytes", "s3://src/lone"])
            .with(rename("s3://src/lone", &long(255))),
        row(
            &["icav2://lab/one.txt"],
            format!("icav2://far/{}/", long(500)),
            Invalid,
            &["301 of them in front"],
        )
        .with(rename("icav2://lab/one.txt", &long(240))),
        row(&["icav2://lab/d/"], deep(100), Invalid, &["more than 1024 bytes", "icav2://1111"]),
        row(&["icav2://lab/d/"], "icav2://far/in/", Invalid, &["more than 1024 bytes", "icav2://1111"]),
        row(&["icav2://lab/run/"], deep(1020), Invalid, &["1024 bytes"]),
        row(&["icav2://lab/run/"], format!("s3://dst/{}/", long(1020)), Invalid, &["more than 1024 bytes"]),
    ]
}

/// What is no place, cannot be written to, or is not there.
fn elsewhere() -> Vec<Row> {
    use ErrorName::{
        DestinationConflict as Conflict, InvalidRequest as Invalid, SourceNotFound, SourceNotReady,
    };
    let no_bucket = &["names no bucket", "letters, digits"];
    vec![
        // What is no bucket.
        row(
            &[&format!("{ARN}/r/one")],
            IN,
            Invalid,
            &["names no bucket: it is an ARN", "alias of the access point"],
        ),
        row(&["icav2://lab/one.txt"], format!("{ARN}/in/"), Invalid, &["names no bucket: it is an ARN"]),
        row(&["s3://my bucket/r/one"], IN, Invalid, no_bucket),
        row(&["s3://src/lone"], "s3://dst..in/x/", Invalid, &["does not hold `..`"]),
        row(&[], IN, Invalid, no_bucket).with(json!({"externalSourceUriList": ["s3://src:80/lone"]})),
        row(
            &["s3://Src_Old/lone"],
            IN,
            Invalid,
            &["S3 does not take the name of a bucket", "s3://Src_Old/lone"],
        ),
        row(&["s3://src/lone"], "s3://Dst_Old/in/", Invalid, &["S3 does not take the name"]),
        row(
            &["s3://src/lone"],
            "s3://no-such-bucket/in/",
            Invalid,
            &["the destination bucket does not exist"],
        ),
        row(&["s3://src/lone"], "s3://dst/in\r/", Invalid, &["holds a control character"]),
        // What stands at the destination, and where nothing can be written.
        row(
            &["icav2://lab/one.txt", "s3://src/lone"],
            IN,
            Conflict,
            &["a folder of that name is there", "/in/one.txt"],
        ),
        row(&["icav2://lab/blocked/"], IN, Conflict, &["a file of that name is there", "/in/blocked"]),
        row(&["icav2://lab/run/"], "icav2://archive/in/file/x/", Conflict, &["/in/file", "is a file"]),
        row(
            &["icav2://lab/run/", "s3://src/lone"],
            "icav2://archive/in/file/",
            Conflict,
            &["/in/file", "is a file"],
        ),
        row(
            &["icav2://lab/one.txt", "s3://src/lone"],
            "icav2://archive/shared/run/new/",
            Invalid,
            &["linked from another project", "/shared/run/ belongs to the project 1111"],
        ),
        // What is not there, or cannot be read.
        row(
            &["s3://src/gone", "icav2://lab/one.txt", "icav2://lab/gone/"],
            IN,
            SourceNotFound,
            &["2 of 3 sources are not there: s3://src/gone, icav2://lab/gone/"],
        ),
        row(
            &["s3://src/1", "s3://src/2", "s3://src/3", "s3://src/4", "s3://src/5/"],
            IN,
            SourceNotFound,
            &["5 of 5 sources are not there: s3://src/1, s3://src/2, s3://src/3 and 2 more"],
        ),
        row(&["s3://src/5/"], OUT, SourceNotFound, &["1 of 1 sources are not there: s3://src/5/"]),
        row(
            &["s3://src/cold/x"],
            IN,
            SourceNotReady,
            &["1 of 1 sources cannot be read now: s3://src/cold/x"],
        ),
        row(&["icav2://lab/cold/"], OUT, SourceNotReady, &["/cold/torn", "PARTIAL"]),
        row(
            &["s3://src/other/s.txt", "icav2://lab/run/s.txt"],
            IN,
            Invalid,
            &["two sources have the same name"],
        ),
    ]
}

/// What `copy-manager plan` says of a request.
async fn planned(copies: &Copy, payload: &Value) -> Failure {
    let mut payload = payload.clone();
    payload["dryRun"] = json!(true);
    let request = match read_request(&json!({"payload": payload}).to_string()) {
        Ok(Incoming::Request(submission)) => submission.request.into_copy().unwrap(),
        Err(Refusal::Malformed { reason, .. }) => return Failure::new(ErrorName::InvalidRequest, reason),
        other => panic!("{other:?}"),
    };
    copies.dry_run("", &request, 1 << 20).await.unwrap().unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_refused_alike_however_it_is_asked_for() {
    let house = house().await;
    let instance = house.instance();
    let before = house.tree(TO, "/").await;
    for (n, row) in unholdable().into_iter().chain(elsewhere()).enumerate() {
        let payload = row.payload();
        let plan = planned(&instance.work.copies, &payload).await;
        let mut said = vec![(plan.error.as_str().to_owned(), plan.message.clone(), format!("{plan:?}"))];
        for (way, dry) in [("dry", true), ("copy", false)] {
            let token = format!("{way}-{n}");
            let mut payload = payload.clone();
            payload["dryRun"] = json!(dry);
            house.queue.push(json!({"payload": payload, "taskToken": token}).to_string()).await.unwrap();
            let (error, cause) = house.failure(&token, SOON).await;
            said.push((error, cause["message"].as_str().unwrap().to_owned(), text(&cause)));
        }
        for (error, message, whole) in &said {
            assert_eq!(error, row.error.as_str(), "{payload}: {whole}");
            // At the door the field is named with where it stands.
            let same =
                *message == plan.message || message.ends_with(&plan.message) || plan.message.starts_with('`');
            assert!(same, "{payload}: {message} is not {}", plan.message);
            for word in row.words {
                let quoted = json!(word).to_string();
                let escaped = quoted.trim_matches('"');
                assert!(
                    whole.contains(word)
                        || whole.contains(escaped)
                        || whole.contains(&word.escape_debug().to_string()),
                    "{word}: {whole}"
                );
            }
            assert!(!whole.contains("ICAv2 said no"), "{whole}");
        }
    }
    assert_eq!(house.tree(TO, "/").await, before, "nothing is copied, and no folder made");
    assert_eq!(house.tree("far", "/").await, []);
    assert_eq!(crate::asking::calls(&house, "dst", "PutObject"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_is_refused_for_what_its_destinations_are_to_each_other() {
    let house = house().await;
    let _instance = house.instance();
    let before = house.tree(TO, "/").await;
    for (n, (manifest, error, words)) in [
        (
            json!({"icav2://lab/one.txt": ["icav2://archive/m/"], "s3://src/lone": ["icav2://archive/m/one.txt/"]}),
            "InvalidRequest",
            "would be `one.txt` in /m/, where a folder of that name goes",
        ),
        (
            json!({"icav2://lab/run/": ["icav2://archive/m/"], "s3://src/other/s.txt": ["icav2://archive/m/run/"]}),
            "InvalidRequest",
            "would be `s.txt` in /m/run/, and so would another source",
        ),
        (
            json!({"icav2://lab/run/": ["icav2://archive/m/"], "s3://src/more/deep": ["s3://archive-data/m/run/"]}),
            "InvalidRequest",
            "would be `deep` in /m/run/, where a folder of that name goes",
        ),
        (
            json!({"icav2://lab/run/": ["icav2://archive/m/"], "s3://src/lone": ["icav2://archive/m/run/s.txt/x/"]}),
            "InvalidRequest",
            "would be `s.txt` in /m/run/, where a folder of that name goes",
        ),
        (
            json!({"s3://src/lone": ["icav2://archive/m/", "icav2://archive/in/file/x/"]}),
            "DestinationConflict",
            "is a file",
        ),
        (
            json!({"s3://src/lone": ["icav2://archive/m/", "icav2://archive/shared/run/"]}),
            "InvalidRequest",
            "linked from another project",
        ),
        (json!({"s3://src/same/": ["icav2://archive/m/"]}), "InvalidRequest", "where a folder of that name goes"),
        (json!({"s3://src/odd/": ["icav2://archive/m/"]}), "InvalidRequest", "holds 25 bytes"),
        (json!({"s3://src/k/": ["icav2://far/m/"]}), "InvalidRequest", "more than 1024 bytes"),
        (json!({format!("{ARN}/x"): ["icav2://archive/m/"]}), "InvalidRequest", "it is an ARN"),
        (json!({"s3://src/lone": [format!("{ARN}/x/")]}), "InvalidRequest", "it is an ARN"),
        (json!({"s3://src/gone": ["icav2://archive/m/"]}), "SourceNotFound", "1 of 1 sources are not there: s3://src/gone"),
    ]
    .into_iter()
    .enumerate()
    {
        for dry in [true, false] {
            let token = format!("{n}-{dry}");
            let detail = json!({"payload": {"manifest": manifest, "dryRun": dry}, "taskToken": token});
            let event = json!({"id": token, "source": "x", "detail-type": "ICAv2CopyBatchSync", "detail": detail});
            house.queue.push(event.to_string()).await.unwrap();
            let (name, cause) = house.failure(&token, SOON).await;
            assert_eq!(name, error, "{manifest}: {}", text(&cause));
            assert!(cause.to_string().contains(words), "{words}: {}", text(&cause));
        }
    }
    assert_eq!(house.tree(TO, "/").await, before, "nothing is copied, and no folder made");
    // Trees that lie inside one another and do not meet are fine.
    let manifest = json!({
        "icav2://lab/run/": ["icav2://archive/m/"], "s3://src/other/one": ["icav2://archive/m/run/deep/"],
    });
    let detail = json!({"payload": {"manifest": manifest}, "taskToken": "fine"});
    let event = json!({"id": "fine", "source": "x", "detail-type": "ICAv2CopyBatchSync", "detail": detail});
    house.queue.push(event.to_string()).await.unwrap();
    house.success("fine", SOON).await;
    assert_eq!(house.tree(TO, "/m/run/").await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_same_source_twice_is_one_source() {
    let house = house().await;
    let _instance = house.instance();
    let one = "icav2://lab/one.txt";
    let by_id = format!("icav2://{LAB}/one.txt");
    for (n, (sources, external, files)) in [
        (vec![one, one], vec![], 1),
        (vec![one, "s3://lab-data/top/one.txt", &by_id], vec![], 1),
        (vec![one], vec![one, "s3://lab-data/top/one.txt"], 1),
        (vec!["s3://src/lone", "s3://src/lone"], vec!["s3://src/lone"], 1),
        (vec!["icav2://lab/run/", "s3://lab-data/top/run/"], vec!["icav2://lab/run/"], 3),
        (vec!["icav2://lab/run/", "icav2://archive/shared/run/"], vec![], 3),
        (vec!["s3://src/other/", "s3://src/other/"], vec![], 3),
        // A file, and the folder that holds it, go to two places.
        (vec!["icav2://lab/run/", "icav2://lab/run/s.txt"], vec![], 4),
    ]
    .into_iter()
    .enumerate()
    {
        let map = json!([{"sourceUri": one, "outputFileName": "two.txt"}]);
        for (to, way) in [(format!("icav2://archive/t{n}/"), "p"), (format!("s3://dst/t{n}/"), "b")] {
            let token = format!("{way}{n}");
            let renaming = if sources.contains(&one) { map.clone() } else { json!([]) };
            let payload = json!({
                "sourceUriList": sources, "externalSourceUriList": external, "destinationUri": to,
                "renamingMapList": renaming,
            });
            house.queue.push(json!({"payload": payload, "taskToken": token}).to_string()).await.unwrap();
            let output = house.success(&token, Duration::from_mins(5)).await;
            assert_eq!(output["files"]["copied"], files, "{payload}: {}", text(&output));
        }
    }
    assert_eq!(house.tree(TO, "/t0/").await[0].0, "two.txt");
}

#[tokio::test(start_paused = true)]
async fn names_that_only_s3_can_hold_are_copied_to_a_bucket() {
    let house = house().await;
    let _instance = house.instance();
    let sources = ["s3://src/odd/", "s3://src/same/", "s3://src/hollow/", "s3://src/ctl/a\u{1}b"];
    let payload = json!({"sourceUriList": sources, "destinationUri": OUT});
    house.queue.push(json!({"payload": payload, "taskToken": "t"}).to_string()).await.unwrap();
    let output = house.success("t", SOON).await;
    assert_eq!(output["files"]["copied"], 6, "{}", text(&output));
    let keys: Vec<_> =
        house.simulator.objects("dst", "").await.into_iter().map(|object| object.key).collect();
    let expected = ["a\u{1}b", "hollow//x", "odd/a.txt", "odd/b/", "same/x", "same/x/y/z"];
    assert_eq!(keys, expected.map(|key| format!("in/{key}")));
}

#[tokio::test(start_paused = true)]
async fn a_file_in_the_way_of_a_folder_further_down_ends_the_request_and_is_foreseen() {
    let house = house().await;
    let instance = house.instance();
    let payload = json!({"sourceUriList": ["icav2://lab/run/"], "destinationUri": "icav2://archive/late/"});
    let request = json!({"sources": payload["sourceUriList"], "destination": payload["destinationUri"]});
    let request = serde_json::from_value(request).unwrap();
    let plan = instance.work.copies.dry_run("", &request, 1 << 20).await.unwrap().unwrap();
    assert!(!plan.totals.would_succeed(), "{plan:?}");
    assert!(plan.files[0].destination.ends_with("/late/run/deep/"), "{plan:?}");
    house.queue.push(json!({"payload": payload, "taskToken": "t"}).to_string()).await.unwrap();
    let (error, cause) = house.failure("t", Duration::from_mins(10)).await;
    assert_eq!(error, "DestinationConflict", "{}", text(&cause));
    assert!(cause.to_string().contains("/late/run/deep is a file"), "{}", text(&cause));
}

#[tokio::test(start_paused = true)]
async fn what_is_renamed_and_has_no_room_in_staging_is_streamed() {
    let house = house().await;
    let _instance = house.instance();
    let to = format!("icav2://archive/{}/{}/{}/{}/", long(240), long(240), long(240), long(240));
    let map = json!([{"sourceUri": "icav2://lab/one.txt", "outputFileName": "two.txt"}]);
    let payload =
        json!({"sourceUriList": ["icav2://lab/one.txt"], "destinationUri": to, "renamingMapList": map});
    house.queue.push(json!({"payload": payload, "taskToken": "t"}).to_string()).await.unwrap();
    let output = house.success("t", Duration::from_mins(5)).await;
    assert_eq!(output["files"]["renamed"], 1, "{}", text(&output));
    assert_eq!(house.calls(Some("POST /api/projects/{projectId}/dataCopyBatch")), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_base_url_is_not_the_callers_fault() {
    for (n, (base, sources, to)) in [
        ("http://icav2.simulated", ["icav2://lab/one.txt"], IN),
        (
            "http://icav2.simulated",
            ["icav2://lab/one.txt"],
            "icav2://22222222-2222-4222-8222-222222222222/in/",
        ),
        ("http://icav2.simulated/rest", ["s3://src/lone"], IN),
        ("http://icav2.simulated", ["s3://src/lone"], OUT),
    ]
    .into_iter()
    .enumerate()
    {
        let mut house = house().await;
        base.clone_into(&mut house.icav2.base_url);
        let _instance = house.instance();
        let token = format!("t{n}");
        let payload = json!({"sourceUriList": sources, "destinationUri": to});
        house.queue.push(json!({"payload": payload, "taskToken": token}).to_string()).await.unwrap();
        let (error, cause) = house.failure(&token, SOON).await;
        assert_eq!(error, "Internal", "{}", text(&cause));
        let message = cause["message"].as_str().unwrap();
        assert!(message.contains(&format!("is icav2.base_url ({base}) right?")), "{message}");
    }
}
