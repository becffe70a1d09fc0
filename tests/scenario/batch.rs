//! Manifests: what goes where, what is told about it, and what is refused.

use std::{io::Write as _, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use copy_manager::{
    domain::policy::{Glob, Rules},
    engine::settings::SameProject,
    ports::objects::{Access, ObjectLocation, ObjectStore as _},
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::house::{House, TO};

const MINUTES: Duration = Duration::from_mins(5);
const JOBS: &str = "POST /api/projects/{projectId}/dataCopyBatch";

const FILES: [(&str, u64, u32); 4] = [
    ("/run/a.bam", 30 << 20, 3),
    ("/run/b.bam", 20 << 20, 2),
    ("/run/c.txt", 10, 1),
    ("/two/a.bam", 12 << 20, 2),
];

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

impl House {
    /// Asks for what that payload says.
    async fn ask_batch(&self, payload: &Value, token: &str) {
        let detail = json!({"payload": payload, "taskToken": token});
        let event =
            json!({"detail-type": "ICAv2CopyBatchSync", "source": "lab", "id": token, "detail": detail});
        self.queue.push(event.to_string()).await.unwrap();
    }

    /// Asks for a manifest that must be delivered; the output.
    async fn deliver(&self, manifest: &Value, token: &str) -> Value {
        self.ask_batch(&json!({"manifest": manifest}), token).await;
        self.success(token, Duration::from_hours(3)).await
    }

    /// The end of a request as everybody is told.
    async fn told(&self, status: &str) -> Value {
        for _ in 0..100 {
            let told = self.buses.told.lock().unwrap().clone();
            if let Some(change) = told.into_iter().find(|change| change["status"] == status) {
                return change;
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("nobody was told {status}")
    }

    async fn read_object(&self, uri: &str) -> Value {
        let (bucket, key) = uri.strip_prefix("s3://").unwrap().split_once('/').unwrap();
        let at = ObjectLocation::new(bucket, key);
        let body = self.objects.get(&at, None, None, &Access::Own).await.unwrap();
        let chunks: Vec<_> = body.bytes.map(Result::unwrap).collect().await;
        serde_json::from_slice(&chunks.concat()).unwrap()
    }

    async fn names_in(&self, folder: &str) -> Vec<String> {
        self.tree(TO, folder).await.into_iter().map(|(path, ..)| path).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn each_source_arrives_wherever_the_manifest_sends_it() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let _instance = house.instance();
    let manifest = json!({
        "icav2://lab/run/b.bam": ["icav2://archive/one/"],
        "icav2://lab/run/a.bam": ["icav2://archive/one/", "icav2://archive/two/", "icav2://archive/one/"],
        "icav2://lab/run/c.txt": ["icav2://archive/text/"],
    });
    let output = house.deliver(&manifest, "t").await;
    let entries = output["job_list_with_attempt_counter"].as_array().unwrap();
    let jobs: Vec<_> = entries.iter().map(|entry| entry["job_id"].clone()).collect();
    assert!(jobs[0].is_string() && jobs[1].is_string() && jobs[0] != jobs[1], "{output}");
    let entry = |job: &Value, to: &str, from: &[&str]| {
        json!({
            "job_attempt_counter": 1, "job_id": job, "failed_jobs_list": [],
            "dest_uri": to, "source_uris": from, "job_status": true,
        })
    };
    // Byte for byte, so also in its order.
    let expected = json!({
        "job_status_iterable_parameter": {"job_status_iterable": 3},
        "wait_parameter": {"wait": true},
        "counters": {"jobs_failed": 0, "jobs_running": 0, "jobs_passed": 3},
        "job_list_with_attempt_counter": [
            entry(&jobs[0], "icav2://archive/one/", &["icav2://lab/run/b.bam", "icav2://lab/run/a.bam"]),
            entry(&jobs[1], "icav2://archive/two/", &["icav2://lab/run/a.bam"]),
            entry(&Value::Null, "icav2://archive/text/", &["icav2://lab/run/c.txt"]),
        ],
    });
    assert_eq!(output.to_string(), expected.to_string());
    assert_eq!(house.names_in("/one/").await, ["a.bam", "b.bam"]);
    assert_eq!(house.names_in("/two/").await, ["a.bam"]);
    assert_eq!(house.names_in("/text/").await, ["c.txt"]);
    assert_eq!(house.calls(Some(JOBS)), 2);

    let change = house.told("SUCCEEDED").await;
    assert_eq!((&change["kind"], &change["outcome"]), (&json!("batch"), &output), "{change}");
    assert_eq!(change["counters"]["copied"], 4);
    // A repeat finds everything there.
    let again = house.deliver(&manifest, "again").await;
    assert_eq!(again["job_list_with_attempt_counter"][0]["job_id"], Value::Null, "{again}");
    assert_eq!(house.calls(Some(JOBS)), 2);
    assert!(house.unsettled().await.iter().all(|key| key.id_type != "REQUEST"));
}

#[tokio::test(start_paused = true)]
async fn every_way_to_hand_in_a_manifest_says_the_same() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let manifest = json!({"icav2://lab/run/a.bam": ["icav2://archive/in/x/"]});
    let text = manifest.to_string();
    house.put_object("requests", "plain.json", text.clone().into_bytes()).await;
    house.put_object("requests", "packed.json.gz", gzip(text.as_bytes())).await;
    let named = json!({"manifestS3Uri": "s3://requests/plain.json"}).to_string();
    house.put_object("requests", "payload.json", named.into_bytes()).await;
    let _instance = house.instance();
    let b64 = BASE64_STANDARD.encode(gzip(text.as_bytes()));
    let event =
        |detail: Value| json!({"detail-type": "ICAv2CopyBatchSync", "source": "lab", "detail": detail});
    let bodies = [
        event(json!({"payload": {"manifest": manifest}, "taskToken": "t0"})),
        event(json!({"payload": {"manifest_b64gz": b64}, "taskToken": "t1"})),
        event(json!({"payload": {"manifestS3Uri": "s3://requests/plain.json"}, "taskToken": "t2"})),
        event(json!({"payload": {"manifestS3Uri": "s3://requests/packed.json.gz"}, "taskToken": "t3"})),
        event(json!({"manifest": manifest, "taskToken": "t4"})),
        event(json!({"manifest_b64gz": b64, "manifest": null, "taskToken": "t5"})),
        event(json!({"payloadS3Uri": "s3://requests/payload.json", "taskToken": "t6"})),
    ];
    // One id for all: they must be the same request.
    let mut outputs = Vec::new();
    for (n, mut body) in bodies.into_iter().enumerate() {
        body["detail"]["requestId"] = "one".into();
        house.queue.push(body.to_string()).await.unwrap();
        outputs.push(house.success(&format!("t{n}"), MINUTES).await);
    }
    assert_eq!(outputs[0]["job_status_iterable_parameter"]["job_status_iterable"], 1);
    assert!(outputs.iter().all(|output| *output == outputs[0]), "{outputs:#?}");
}

#[tokio::test(start_paused = true)]
async fn folders_and_what_is_outside_go_along() {
    let house = House::new(&FILES, &["/run/empty/"], &[], |_| {}).await;
    let _instance = house.instance();
    let manifest = json!({
        "icav2://lab/run/": ["icav2://archive/one/", "icav2://archive/two/"],
        "s3://outside-data/ref/sub/": ["icav2://archive/one/"],
        "s3://outside-data/reference": ["icav2://archive/two/"],
        // The project's own bucket.
        "s3://lab-data/top/two/a.bam": ["s3://archive-data/three/"],
    });
    let before = house.calls(Some("GET /api/projects/{projectId}/data"));
    let output = house.deliver(&manifest, "t").await;
    assert_eq!(output["counters"]["jobs_passed"], 3);
    assert_eq!(output["job_list_with_attempt_counter"][2]["dest_uri"], "s3://archive-data/three/");
    let run = ["run/", "run/a.bam", "run/b.bam", "run/c.txt", "run/empty/"];
    assert_eq!(house.names_in("/one/").await, [&run[..], &["sub/", "sub/a b+c.txt"]].concat());
    assert_eq!(house.names_in("/two/").await, [&["reference"], &run[..]].concat());
    assert_eq!(house.names_in("/three/").await, ["a.bam"]);
    let lists = house.calls(Some("GET /api/projects/{projectId}/data")) - before;
    assert!(lists < 40, "{lists} listings");
}

#[tokio::test(start_paused = true)]
async fn many_sources_of_one_destination_are_cut_into_pieces() {
    let files: Vec<_> = (0..25).map(|n| (format!("/run/{n:02}.bam"), 9_u64 << 20, 2_u32)).collect();
    let files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let mut house = House::new(&files, &[], &[], |_| {}).await;
    house.settings.jobs.max_items_per_job = 10;
    let _instance = house.instance();
    let manifest: serde_json::Map<String, Value> = files
        .iter()
        .map(|(path, ..)| (format!("icav2://lab{path}"), json!(["icav2://archive/in/x/"])))
        .collect();
    let output = house.deliver(&Value::Object(manifest), "t").await;
    let entries = output["job_list_with_attempt_counter"].as_array().unwrap();
    let sizes: Vec<_> = entries.iter().map(|entry| entry["source_uris"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
    for entry in entries {
        assert!(entry["job_id"].is_string() && entry["failed_jobs_list"] == json!([]), "{output:#}");
    }
    assert_eq!(house.names_in("/in/x/").await.len(), 25);
    assert_eq!(house.calls(Some(JOBS)), 3);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_fail_are_named_beside_the_one_that_carried() {
    let files: Vec<_> = (0..30).map(|n| (format!("/run/{n:02}.bam"), 9_u64 << 20, 2_u32)).collect();
    let files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let house = House::new(&files, &[], &[], |platform| platform.job_failure_rate = 0.2).await;
    let _instance = house.instance();
    let manifest: serde_json::Map<String, Value> = files
        .iter()
        .enumerate()
        .map(|(n, (path, ..))| {
            (format!("icav2://lab{path}"), json!([format!("icav2://archive/{}/", n % 15)]))
        })
        .collect();
    let output = house.deliver(&Value::Object(manifest), "t").await;
    assert_eq!(output["counters"], json!({"jobs_failed": 0, "jobs_running": 0, "jobs_passed": 15}));
    let mut failed = 0;
    let mut ids = Vec::new();
    for entry in output["job_list_with_attempt_counter"].as_array().unwrap() {
        let in_vain = entry["failed_jobs_list"].as_array().unwrap();
        failed += in_vain.len();
        assert!(!in_vain.contains(&entry["job_id"]), "{entry}");
        let attempt = entry["job_attempt_counter"].as_u64().unwrap();
        assert!((1..=5).contains(&attempt) && (attempt > 1) != in_vain.is_empty(), "{entry}");
        ids.extend(in_vain.iter().chain([&entry["job_id"]]).cloned());
    }
    assert!(failed > 0, "no job has failed: the test shows nothing");
    assert!(ids.iter().all(Value::is_string));
    // Every job is one piece's.
    let (before, jobs) = (ids.len(), house.calls(Some(JOBS)));
    ids.sort_by_key(Value::to_string);
    ids.dedup();
    assert_eq!((ids.len(), ids.len() as u64), (before, jobs));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_fails_holds_up_no_other() {
    let there = [("/one/a.bam", 7, 2), ("/three/c.txt", 11, 1)];
    let house = House::new(&FILES, &[], &there, |_| {}).await;
    let _instance = house.instance();
    let manifest = json!({
        "icav2://lab/run/a.bam": ["icav2://archive/one/", "icav2://archive/two/"],
        "icav2://lab/run/b.bam": ["icav2://archive/one/"],
        "icav2://lab/run/c.txt": ["icav2://archive/three/", "icav2://archive/four/"],
    });
    house.ask_batch(&json!({"manifest": manifest}), "t").await;
    let (error, cause) = house.failure("t", MINUTES).await;
    assert_eq!(error, "DestinationConflict", "{cause}");
    assert!(
        cause["message"].as_str().unwrap().starts_with("2 of 4 destinations were not delivered"),
        "{cause}"
    );
    let failed = cause["destinations"].as_array().unwrap();
    let uris: Vec<_> = failed.iter().map(|failed| failed["destinationUri"].as_str().unwrap()).collect();
    assert_eq!(uris, ["icav2://archive/one/", "icav2://archive/three/"]);
    assert!(failed[0]["why"].as_str().unwrap().contains("/one/a.bam"), "{cause}");
    // What fails fails by itself: its neighbour in the same folder has arrived, too.
    assert_eq!(house.names_in("/one/").await, ["a.bam", "b.bam"]);
    assert_eq!(house.names_in("/two/").await, ["a.bam"]);
    assert_eq!(house.names_in("/four/").await, ["c.txt"]);
    assert_eq!(house.told("FAILED").await["outcome"]["destinations"], cause["destinations"]);
}

#[tokio::test(start_paused = true)]
async fn what_no_job_brings_is_told_with_its_jobs() {
    // So many files that none is ever alone, and streamed.
    let files: Vec<_> = (0..60).map(|n| (format!("/run/{n:02}.bam"), 9_u64 << 20, 2_u32)).collect();
    let mut files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    files.push(("/run/small.txt", 3, 1));
    let house = House::new(&files, &[], &[], |platform| platform.job_failure_rate = 1.0).await;
    let _instance = house.instance();
    let mut manifest: serde_json::Map<String, Value> = files
        .iter()
        .map(|(path, ..)| (format!("icav2://lab{path}"), json!(["icav2://archive/one/"])))
        .collect();
    manifest.insert("icav2://lab/run/small.txt".into(), json!(["icav2://archive/two/"]));
    house.ask_batch(&json!({"manifest": manifest}), "t").await;
    let (error, cause) = house.failure("t", Duration::from_hours(6)).await;
    assert_eq!(error, "CopyJobFailed", "{cause}");
    let [failed] = cause["destinations"].as_array().unwrap().as_slice() else { panic!("{cause}") };
    assert_eq!(failed["destinationUri"], "icav2://archive/one/");
    assert!(failed["jobIds"].as_array().unwrap().len() >= 5, "{cause}");
    assert_eq!(house.names_in("/two/").await, ["small.txt"]);
}

/// So many files with long names that go to one folder by one job, and the manifest that says so.
async fn wide(count: usize) -> (House, Value) {
    let folder = "long".repeat(180);
    let paths: Vec<_> = (0..count).map(|n| format!("/{folder}/{n:04}.bam")).collect();
    let files: Vec<_> = paths.iter().map(|path| (path.as_str(), 9_u64 << 20, 2_u32)).collect();
    let house = House::new(&files, &[], &[], |_| {}).await;
    let entry = |path: &String| (format!("icav2://lab{path}"), json!(["icav2://archive/in/x/"]));
    (house, Value::Object(paths.iter().map(entry).collect()))
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_too_long_loses_its_sources_and_is_written_whole() {
    let (mut house, manifest) = wide(400).await;
    house.report_to("s3://requests/reports/");
    let _instance = house.instance();
    let output = house.deliver(&manifest, "t").await;
    assert_eq!(output["truncated"], true);
    assert_eq!(output["job_list_with_attempt_counter"][0]["source_uris"], json!([]));
    assert_eq!(output["job_list_with_attempt_counter"][0]["dest_uri"], "icav2://archive/in/x/");
    let uri = output["report"].as_str().unwrap();
    assert!(uri.starts_with("s3://requests/reports/") && uri.ends_with("/output.json"), "{uri}");
    let whole = house.read_object(uri).await;
    let sources: Vec<_> = manifest.as_object().unwrap().keys().collect();
    assert_eq!(whole["job_list_with_attempt_counter"][0]["source_uris"], json!(sources));
    assert!(whole.get("truncated").is_none());
    assert_eq!(house.told("SUCCEEDED").await["outcome"], output);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_takes_less_than_a_task_is_told_less() {
    let (mut house, manifest) = wide(290).await;
    house.report_to("s3://requests/");
    let _instance = house.instance();
    let output = house.deliver(&manifest, "t").await;
    let length = output.to_string().len();
    assert!((200 * 1024..256 * 1024).contains(&length), "{length}");
    assert!(output.get("truncated").is_none() && output.get("report").is_none());
    let change = house.told("SUCCEEDED").await;
    assert_eq!(change["outcome"]["truncated"], true);
    assert_eq!(house.read_object(change["outcome"]["report"].as_str().unwrap()).await, output);
}

#[tokio::test(start_paused = true)]
async fn without_a_place_for_reports_an_output_is_only_cut() {
    let (mut house, manifest) = wide(400).await;
    let instance = house.instance();
    let output = house.deliver(&manifest, "t").await;
    assert!(output["truncated"] == true && output.get("report").is_none());
    drop(instance);
    // And so it is where the place cannot be written to: what was copied was copied.
    house.report_to("s3://no-such-bucket/");
    let _instance = house.instance();
    let again = house.deliver(&manifest, "again").await;
    assert!(again["truncated"] == true && again.get("report").is_none());
    assert_eq!(again["counters"]["jobs_passed"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_cannot_be_done_is_refused_whole() {
    let there = [("/in/a.bam", 5, 2), ("/in/sub/x.txt", 1, 1)];
    let mut house = House::new(&FILES, &[], &there, |_| {}).await;
    house.put_object("requests", "list.json", b"[1]".to_vec()).await;
    house.put_object("requests", "empty.json", b"{}".to_vec()).await;
    house.put_object("requests", "large.json", vec![b' '; 5000]).await;
    house.settings.service.max_payload = 4000;
    let (a, to) = ("icav2://lab/run/a.bam", "icav2://archive/x/");
    let bomb = BASE64_STANDARD.encode(gzip(&vec![b' '; 1 << 20]));
    let manifest = |manifest: Value| json!({"manifest": manifest});
    let elsewhere = |key: &str| json!({"manifestS3Uri": format!("s3://requests/{key}")});
    let cases = [
        (json!({}), "InvalidRequest", "`detail.payload.manifest` is missing"),
        (json!({"manifest": {a: [to]}, "manifest_b64gz": bomb}), "InvalidRequest", "only one of them"),
        (json!({"manifest": {a: [to]}, "manifestS3Uri": "s3://bkt/k"}), "InvalidRequest", "only one of them"),
        (manifest(json!({})), "InvalidRequest", "is empty"),
        (manifest(json!({a: []})), "InvalidRequest", "at least one destination"),
        (manifest(json!({a: to})), "InvalidRequest", "must be a list of destination folders, not a string"),
        (manifest(json!({a: [7]})), "InvalidRequest", "must be a string, not a number"),
        (manifest(json!([a])), "InvalidRequest", "`detail.payload.manifest` must be an object, not a list"),
        (manifest(json!({a: ["icav2://archive/x"]})), "InvalidRequest", "must end with `/`"),
        (manifest(json!({a: ["ftp://x/"]})), "InvalidRequest", "neither an icav2:// nor an s3:// URI"),
        (manifest(json!({"a.bam": [to]})), "InvalidRequest", "has a source that is not usable"),
        (json!({"manifest_b64gz": "e30="}), "InvalidRequest", "`detail.payload.manifest_b64gz` is not gzip"),
        (json!({"manifest_b64gz": "?"}), "InvalidRequest", "`detail.payload.manifest_b64gz` is not base64"),
        (json!({"manifest_b64gz": bomb}), "InvalidRequest", "more than 4000 bytes (service.max_payload)"),
        (elsewhere("gone.json"), "InvalidRequest", "it is not there"),
        (elsewhere("list.json"), "InvalidRequest", "must hold an object, not a list"),
        (elsewhere("empty.json"), "InvalidRequest", "is empty"),
        (elsewhere("large.json"), "InvalidRequest", "more than 4000 bytes (service.max_payload)"),
        (elsewhere("folder/"), "InvalidRequest", "must name one object"),
        // Two of one name, also where the destination is named in two ways.
        (
            manifest(json!({a: [to, "icav2://archive/y/"], "icav2://lab/two/a.bam": [to]})),
            "InvalidRequest",
            "would be `a.bam` in /x/, and so would another source",
        ),
        (
            manifest(json!({a: [to], "icav2://lab/two/a.bam": ["s3://archive-data/x/"]})),
            "InvalidRequest",
            "two sources have the same name in one destination",
        ),
        (manifest(json!({"icav2://lab/gone": [to], a: [to]})), "SourceNotFound", "there is no /gone"),
        (manifest(json!({a: ["icav2://nowhere/x/"]})), "InvalidRequest", "no ICAv2 project `nowhere`"),
        (
            manifest(json!({"icav2://archive/in/": ["icav2://archive/in/sub/"]})),
            "RecursionLimit",
            "a destination lies inside a source",
        ),
        (
            manifest(json!({"icav2://archive/in/": [to], a: ["icav2://archive/in/sub/"]})),
            "RecursionLimit",
            "a destination lies inside a source",
        ),
        (
            manifest(json!({"icav2://archive/in/a.bam": ["icav2://archive/in/"]})),
            "InvalidRequest",
            "onto itself",
        ),
    ];
    let instance = house.instance();
    for (n, (payload, error, words)) in cases.iter().enumerate() {
        let token = format!("t{n}");
        house.ask_batch(payload, &token).await;
        let (name, cause) = house.failure(&token, MINUTES).await;
        assert_eq!(name, *error, "{payload}: {cause}");
        let said = cause["message"].as_str().unwrap().to_owned() + &cause["files"].to_string();
        assert!(said.contains(words), "{payload}: {cause}");
    }
    drop(instance);
    assert_eq!(house.calls(Some(JOBS)), 0);
    assert!(house.names_in("/").await.iter().all(|path| path.starts_with("in/")));
}

#[tokio::test(start_paused = true)]
async fn one_file_named_in_two_ways_is_one_file() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let _instance = house.instance();
    let manifest = json!({
        "icav2://lab/run/a.bam": ["icav2://archive/x/"],
        "s3://lab-data/top/run/a.bam": ["icav2://archive/x/", "s3://archive-data/x/"],
    });
    let output = house.deliver(&manifest, "t").await;
    assert_eq!(output["counters"]["jobs_passed"], 2);
    assert_eq!(output["job_list_with_attempt_counter"][0]["source_uris"].as_array().unwrap().len(), 2);
    assert_eq!(house.names_in("/x/").await, ["a.bam"]);
    assert_eq!(house.calls(Some(JOBS)), 1);
}

#[tokio::test(start_paused = true)]
async fn an_installation_may_refuse_what_it_does_not_want() {
    let mut house = House::new(&FILES, &[], &[("/in/x.bam", 9 << 20, 2)], |_| {}).await;
    let within = json!({
        "icav2://lab/run/a.bam": ["icav2://archive/y/"], "icav2://archive/in/x.bam": ["icav2://archive/y/"],
    });
    house.settings.jobs.same_project_copies = SameProject::Refuse;
    let instance = house.instance();
    house.ask_batch(&json!({"manifest": within}), "batch").await;
    house.queue.push(json!({
        "payload": {"sourceUriList": ["icav2://archive/in/x.bam"], "destinationUri": "icav2://archive/y/"},
        "taskToken": "copy",
    }).to_string()).await.unwrap();
    for token in ["batch", "copy"] {
        let (error, cause) = house.failure(token, MINUTES).await;
        assert_eq!(error, "PolicyDenied");
        assert!(cause["message"].as_str().unwrap().contains("icav2.same_project_copies"), "{cause}");
        assert_eq!(cause["files"][0]["what"], "icav2://archive/in/x.bam");
    }
    drop(instance);
    assert!(house.names_in("/y/").await.is_empty());
    house.settings.jobs.same_project_copies = SameProject::Allow;
    house.settings.policy =
        Rules { destination_projects: vec![Glob::try_from("other".to_owned()).unwrap()], ..Rules::default() };
    let instance = house.instance();
    house.ask_batch(&json!({"manifest": within}), "denied").await;
    let (error, cause) = house.failure("denied", MINUTES).await;
    assert!(error == "PolicyDenied" && cause.to_string().contains("policy.destination_projects"), "{cause}");
    drop(instance);
    house.settings.policy = Rules::default();
    house.settings.copy.max_files = 3;
    let _instance = house.instance();
    let twice = json!({"icav2://lab/run/": ["icav2://archive/y/", "icav2://archive/z/"]});
    house.ask_batch(&json!({"manifest": twice}), "many").await;
    let (error, cause) = house.failure("many", MINUTES).await;
    assert!(error == "InvalidRequest" && cause.to_string().contains("copy.max_files = 3"), "{cause}");
    house.deliver(&within, "fine").await;
    assert_eq!(house.names_in("/y/").await, ["a.bam", "x.bam"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_a_manifest_says_what_would_go_where() {
    let house = House::new(&FILES, &[], &[("/one/c.txt", 4, 1)], |_| {}).await;
    let _instance = house.instance();
    let manifest = json!({
        "icav2://lab/run/a.bam": ["icav2://archive/one/", "icav2://archive/two/"],
        "icav2://lab/run/c.txt": ["icav2://archive/one/"],
    });
    house.ask_batch(&json!({"manifest": manifest, "dryRun": true, "onConflict": "skip"}), "t").await;
    let output = house.success("t", MINUTES).await;
    assert_eq!(output["dryRun"], true);
    let totals = &output["plan"]["totals"];
    assert_eq!((&totals["files"], &totals["jobs"], &totals["conflicts"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(output["plan"]["wouldSucceed"], true);
    assert_eq!(house.calls(Some(JOBS)), 0);
    assert!(house.names_in("/two/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_on_where_its_instance_died() {
    for seconds in [1, 3, 6, 12, 20, 30] {
        let house = House::new(&FILES, &[], &[], |_| {}).await;
        let instance = house.instance();
        let manifest = json!({
            "icav2://lab/run/a.bam": ["icav2://archive/one/", "icav2://archive/two/"],
            "icav2://lab/run/c.txt": ["icav2://archive/one/"],
        });
        house.ask_batch(&json!({"manifest": manifest}), "t").await;
        sleep(Duration::from_secs(seconds)).await;
        drop(instance);
        let _instance = house.instance();
        let output = house.success("t", Duration::from_mins(15)).await;
        assert_eq!(output["counters"]["jobs_passed"], 2);
        assert_eq!(house.names_in("/one/").await, ["a.bam", "c.txt"]);
        assert_eq!(house.names_in("/two/").await, ["a.bam"]);
        assert_eq!(house.calls(Some(JOBS)), 2, "killed after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_lists_no_jobs_of_others_at_the_same_folder() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/a.bam"], "/in/", "first").await;
    sleep(Duration::from_secs(4)).await;
    house.ask(&["/run/b.bam"], "/in/", "second").await;
    let jobs = [house.success("first", MINUTES).await, house.success("second", MINUTES).await];
    let jobs = jobs.map(|output| output["jobs"].as_array().unwrap().clone());
    assert_eq!([jobs[0].len(), jobs[1].len()], [1, 1], "{jobs:?}");
    assert_ne!(jobs[0][0]["jobId"], jobs[1][0]["jobId"]);
}
