//! Copies into the root of a project, which has no id and cannot be made.

use std::time::Duration;

use copy_manager::{
    domain::{request::OnConflict, route::Folders},
    simulator::Settings,
};
use serde_json::{Value, json};

use crate::house::{House, TO, text};

const SOON: Duration = Duration::from_mins(5);
const MIB: u64 = 1 << 20;
const BATCH: &str = "POST /api/projects/{projectId}/dataCopyBatch";
const MAKE_FOLDER: &str = "POST /api/projects/{projectId}/data:createFolder";
const DELETE: &str = "POST /api/projects/{projectId}/data/{dataId}:delete";

const FILES: [(&str, u64, u32); 4] = [
    ("/run/a.bam", 12 * MIB, 2),
    ("/run/deep/b.bam", 9 * MIB, 2),
    ("/two/x.bam", 10 * MIB, 2),
    ("/two/x.txt", 30, 1),
];
const SOURCES: [&str; 3] = ["/run/", "/two/x.bam", "/two/x.txt"];

async fn ask(house: &House, sources: &[&str], destination: &str, token: &str, more: Value) {
    let sources: Vec<_> = sources
        .iter()
        .map(|path| if path.starts_with('/') { format!("icav2://lab{path}") } else { (*path).into() })
        .collect();
    let mut payload = json!({"sourceUriList": sources, "destinationUri": destination});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    house.queue.push(json!({"payload": payload, "taskToken": token}).to_string()).await.unwrap();
}

/// Whether both ends hold the same files.
async fn assert_arrived(house: &House) {
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/run/").await);
    let there = house.tree(TO, "/").await;
    for file in house.tree("lab", "/two/").await {
        assert!(there.contains(&file), "{file:?} in {there:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn files_and_folders_arrive_at_the_root_however_it_is_named() {
    for root in ["icav2://archive/", "icav2://archive", "s3://archive-data/"] {
        let house = House::new(&FILES, &[], &[("/in/other", 5, 1)], |_| {}).await;
        let _instance = house.instance();
        ask(&house, &SOURCES, root, "dry", json!({"dryRun": true})).await;
        let plan = house.success("dry", SOON).await;
        assert_eq!(plan["plan"]["wouldSucceed"], true, "{root}: {}", text(&plan));
        assert!(text(&plan).contains("/x.bam\""), "{}", text(&plan));
        assert_eq!(house.calls(Some(BATCH)), 0);
        ask(&house, &SOURCES, root, "t", json!({})).await;
        let output = house.success("t", SOON).await;
        assert_eq!((&output["files"]["copied"], &output["destinationUri"]), (&json!(4), &json!(root)));
        assert_arrived(&house).await;
        // `/`, `/run/` and `/run/deep/`; of these only the last two are made.
        assert_eq!((house.calls(Some(BATCH)), house.calls(Some(MAKE_FOLDER))), (3, 2), "{root}");
        let calls = house.calls(None);
        ask(&house, &SOURCES, root, "again", json!({})).await;
        assert_eq!(house.success("again", SOON).await["files"]["skipped"], 4);
        assert!(house.calls(None) - calls < 25, "{} calls for nothing", house.calls(None) - calls);
        assert_eq!(house.calls(Some(BATCH)), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_project_and_a_manifest_go_to_the_root_too() {
    let mut house = House::new(&FILES, &[], &[], |_| {}).await;
    house.hear_of_jobs().await;
    let _instance = house.instance();
    let manifest =
        json!({"icav2://lab/two/x.bam": ["icav2://archive"], "icav2://lab/two/x.txt": ["icav2://archive/"]});
    let body = json!({"detail-type": "ICAv2CopyBatchSync", "source": "s", "id": "e",
        "detail": {"payload": {"manifest": manifest}, "taskToken": "t"}});
    house.queue.push(body.to_string()).await.unwrap();
    house.success("t", SOON).await;
    let names: Vec<_> = house.tree(TO, "/").await.into_iter().map(|(path, ..)| path).collect();
    assert_eq!(names, ["in/", "x.bam", "x.txt"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_into_the_root_whose_submission_was_not_answered_is_adopted() {
    for status in [json!("close"), json!(503)] {
        // It runs for longer than a submission is looked for: whoever does not find it submits again.
        let long = |platform: &mut Settings| platform.job_duration = Duration::from_mins(10);
        let house = House::new(&FILES, &[], &[], long).await;
        house.faults(json!({"responses": [{"call": BATCH, "times": 1, "status": status, "after": true}]}));
        let _instance = house.instance();
        ask(&house, &["/two/x.bam"], "icav2://archive/", "t", json!({})).await;
        let output = house.success("t", 6 * SOON).await;
        assert_eq!(output["jobs"][0]["status"], "SUCCEEDED", "{}", text(&output));
        assert_eq!((house.calls(Some(BATCH)), house.simulator.jobs().total), (1, 1), "{status}");
    }
}

/// What is in the root and elsewhere under the same names.
const THERE: [(&str, u64, u32); 4] =
    [("/x.bam", 99, 2), ("/x.txt", 10, 1), ("/in/x.bam", 98, 2), ("/y", 1, 1)];

#[tokio::test(start_paused = true)]
async fn other_files_at_the_root_give_way_or_are_named() {
    let mut house = House::new(&FILES, &[], &THERE, |_| {}).await;
    house.settings.copy.on_conflict = OnConflict::Fail;
    let _instance = house.instance();
    ask(&house, &SOURCES, "icav2://archive", "fail", json!({})).await;
    let (error, cause) = house.failure("fail", SOON).await;
    assert_eq!(error, "DestinationConflict");
    let named: Vec<_> = cause["files"].as_array().unwrap().iter().map(|file| file["what"].clone()).collect();
    assert_eq!(named, ["/x.bam", "/x.txt"]);
    ask(&house, &SOURCES, "icav2://archive", "over", json!({"onConflict": "overwrite"})).await;
    assert_eq!(house.success("over", 2 * SOON).await["files"]["copied"], 2);
    assert_arrived(&house).await;
    let there = house.simulator.tree(TO, "/").await.unwrap();
    let size = |path: &str| there.iter().find(|entry| entry.path == path).and_then(|entry| entry.size);
    assert_eq!((size("/in/x.bam"), size("/y"), house.calls(Some(DELETE))), (Some(98), Some(1), 2));
}

#[tokio::test(start_paused = true)]
async fn what_failed_jobs_leave_at_the_root_is_cleared_and_brought() {
    let mut house = House::new(&FILES, &[], &[], |platform| platform.job_failure_rate = 1.0).await;
    house.settings.jobs.settle = Duration::from_secs(15);
    let _instance = house.instance();
    ask(&house, &["/two/x.bam"], "icav2://archive/", "t", json!({})).await;
    while house.calls(Some(BATCH)) < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house.faults(json!({"jobFailureRate": 0.0}));
    assert_eq!(house.success("t", 2 * SOON).await["files"]["copied"], 1);
    assert!(house.calls(Some(DELETE)) > 0 && house.simulator.harm().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whole_folders_new_names_and_outside_objects_reach_the_root() {
    let mut house = House::new(&FILES, &[], &[], |_| {}).await;
    house.settings.copy.folders = Folders::Whole;
    house.settings.copy.largest_put = 5 * MIB;
    let _instance = house.instance();
    let renaming = json!([{"sourceUri": "icav2://lab/two/x.bam", "outputFileName": "z.bam"}]);
    let more = json!({"renamingMapList": renaming, "externalSourceUriList": ["s3://outside-data/reference"]});
    ask(&house, &SOURCES, "icav2://archive/", "t", more).await;
    let output = house.success("t", SOON).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["renamed"]), (&json!(5), &json!(1)));
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/run/").await);
    // One job for the folder; what gets another name is streamed, for nothing at the root gives credentials.
    assert_eq!(house.calls(Some(BATCH)), 1);
    let names: Vec<_> = house.tree(TO, "/").await.into_iter().map(|(path, ..)| path).collect();
    let expected = ["in/", "reference", "run/", "run/a.bam", "run/deep/", "run/deep/b.bam", "x.txt", "z.bam"];
    assert_eq!(names, expected);
}

#[tokio::test(start_paused = true)]
async fn the_root_is_no_source() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let _instance = house.instance();
    for (source, why) in [
        ("icav2://lab", "has no path after its project"),
        ("icav2://lab/", "the root of a project cannot be copied"),
    ] {
        ask(&house, &[source], "icav2://archive/", source, json!({})).await;
        let (error, cause) = house.failure(source, SOON).await;
        assert_eq!(error, "InvalidRequest");
        assert!(text(&cause).contains(why), "{}", text(&cause));
    }
}
