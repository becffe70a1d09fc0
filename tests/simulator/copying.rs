//! Copy jobs.

use std::time::Duration;

use copy_manager::simulator::{Settings, faults::FaultChanges};
use http::StatusCode;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{ARCHIVE, Lab};

const MULTI: [&str; 2] = ["/run/a.fastq.gz", "/run/b.fastq.gz"];

fn settings() -> Settings {
    Settings { job_duration: Duration::from_secs(10), ..Settings::default() }
}

fn tree(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, status)| ((*path).to_owned(), (*status).to_owned())).collect()
}

async fn items(lab: &Lab, batch: &Value) -> Vec<Value> {
    let id = batch["id"].as_str().unwrap();
    let page = lab.get(&format!("/api/projects/{ARCHIVE}/dataCopyBatch/{id}/items")).await;
    page.body["items"].as_array().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_job_passes_through_its_states_with_one_event_each() {
    let mut lab = Lab::new(settings());
    let batch = lab.copy(&MULTI, "/in/", "SKIP").await;
    assert_eq!(batch.status, StatusCode::CREATED);
    let (start, id) = (Instant::now(), batch.body["job"]["id"].clone());
    let mut previous = Value::Null;
    for (status, after) in
        [("INITIALIZED", 0), ("WAITING_FOR_RESOURCES", 1), ("RUNNING", 2), ("SUCCEEDED", 10)]
    {
        let event = lab.events.recv().await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(after), "{status}");
        assert_eq!(event["eventCode"], "ICA_JOB_001");
        assert_eq!(event["projectId"], ARCHIVE);
        let parameters = json!({"jobId": id, "jobPreviousStatus": previous, "jobStatus": status});
        assert_eq!(event["eventParameters"], parameters);
        assert_eq!((&event["payload"]["id"], &event["payload"]["status"]), (&id, &json!(status)));
        assert_eq!(event["payload"]["subjectId"], batch.body["id"]);
        assert_eq!(lab.job(&batch.body).await, status);
        previous = status.into();
    }
    sleep(Duration::from_hours(1)).await;
    assert!(lab.events.try_recv().is_err(), "nothing more is told");
    let (sources, copies) =
        (lab.simulator.tree("lab", "/run/").await, lab.simulator.tree("archive", "/in/").await);
    let md5 = |entry: &copy_manager::simulator::Entry| (entry.md5.clone(), entry.etag.clone());
    let sources: Vec<_> =
        sources.unwrap().iter().filter(|entry| MULTI.contains(&entry.path.as_str())).map(md5).collect();
    assert_eq!(copies.unwrap().iter().map(md5).collect::<Vec<_>>(), sources);
}

#[tokio::test(start_paused = true)]
async fn events_have_the_shape_of_the_sample() {
    let mut lab = Lab::new(settings());
    lab.copy(&["/run/one.txt"], "/in/", "SKIP").await;
    let first = lab.events.recv().await.unwrap();
    let names = |json: &Value| {
        let mut names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(
        names(&first),
        "correlationId description eventCode eventParameters payload payloadVersion projectId timestamp"
    );
    assert_eq!(names(&first["payload"]), "id owner project status subjectId subjectType timeCreated");
    assert_eq!(first["timestamp"], "2026-01-01T00:00:00.000Z");
    let mut last = first;
    while last["payload"]["status"] != "FAILED" {
        last = lab.events.recv().await.unwrap();
    }
    assert_eq!(
        names(&last["payload"]),
        "additionalStatusInformation id owner project status subjectId subjectType timeCreated timeFinished timeStarted"
    );
    assert_eq!(last["payload"]["timeFinished"], "2026-01-01T00:00:10Z");
}

#[tokio::test(start_paused = true)]
async fn files_are_partial_while_the_job_runs() {
    let lab = Lab::new(Settings { index_delay: Duration::from_secs(5), ..settings() });
    lab.copy(&MULTI, "/in/", "SKIP").await;
    assert!(lab.tree(ARCHIVE, "/in/").await.is_empty());
    for (seconds, status) in [(2, "PARTIAL"), (8, "PARTIAL"), (5, "AVAILABLE")] {
        sleep(Duration::from_secs(seconds)).await;
        let files = tree(&[("/in/a.fastq.gz", status), ("/in/b.fastq.gz", status)]);
        assert_eq!(lab.tree(ARCHIVE, "/in/").await, files);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_leaves_partial_files_that_block_the_next() {
    let lab = Lab::new(Settings { job_failure_rate: 1.0, ..settings() });
    let left = tree(&[("/in/a.fastq.gz", "PARTIAL"), ("/in/b.fastq.gz", "PARTIAL")]);
    let batch = lab.copy(&MULTI, "/in/", "SKIP").await.body;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(lab.job(&batch).await, "FAILED");
    assert_eq!(lab.tree(ARCHIVE, "/in/").await, left);
    assert!(items(&lab, &batch).await.iter().all(|item| item["processing"]["status"] == "FAILED"));
    lab.simulator.set_faults(FaultChanges { job_failure_rate: Some(0.0), ..FaultChanges::default() });
    let batch = lab.copy(&MULTI, "/in/", "SKIP").await.body;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(lab.job(&batch).await, "SUCCEEDED", "all were skipped");
    assert_eq!(lab.tree(ARCHIVE, "/in/").await, left);
    lab.copy(&MULTI, "/in/", "OVERWRITE").await;
    lab.copy(&MULTI[..1], "/in/", "RENAME").await;
    sleep(Duration::from_secs(10)).await;
    let all = ["/in/a.fastq.gz", "/in/a_1.fastq.gz", "/in/b.fastq.gz"].map(|path| (path, "AVAILABLE"));
    assert_eq!(lab.tree(ARCHIVE, "/in/").await, tree(&all));
}

#[tokio::test(start_paused = true)]
async fn single_part_files_fail_by_the_tag_defect() {
    let lab = Lab::new(settings());
    let files = ["/run/a.fastq.gz", "/run/one.txt", "/run/nothing.txt"];
    let batch = lab.copy(&files, "/in/", "SKIP").await.body;
    let alone = lab.copy(&["/run/one.txt"], "/in/", "RENAME").await.body;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(lab.job(&batch).await, "PARTIALLY_SUCCEEDED");
    assert_eq!(lab.job(&alone).await, "FAILED");
    let items = items(&lab, &batch).await;
    let status: Vec<_> = items.iter().map(|item| item["processing"]["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["COPIED", "FAILED", "FAILED"]);
    assert!(items[1]["processing"]["additionalStatusInformation"].as_str().unwrap().contains("ermission"));
    assert_eq!(items[0]["createdProjectData"]["data"]["details"]["path"], "/in/a.fastq.gz");
    lab.simulator.set_faults(FaultChanges { tag_defect: Some(false), ..FaultChanges::default() });
    let batch = lab.copy(&files, "/in/", "OVERWRITE").await.body;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(lab.job(&batch).await, "SUCCEEDED");
    assert!(lab.tree(ARCHIVE, "/in/nothing.txt").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn folders_are_copied_without_the_empty_ones() {
    let lab = Lab::new(Settings { tag_defect: false, ..settings() });
    let batch = lab.copy(&["/run/deep/", "/empty/"], "/in/", "SKIP").await.body;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(lab.job(&batch).await, "SUCCEEDED");
    let all = ["/in/deep/", "/in/deep/er/", "/in/deep/er/c d+#%ü.bin"].map(|path| (path, "AVAILABLE"));
    assert_eq!(lab.tree(ARCHIVE, "/in/").await, tree(&all));
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_failures_is_kept_and_repeats() {
    let outcomes = |seed| async move {
        let lab = Lab::new(Settings { job_failure_rate: 0.2, seed, ..settings() });
        let mut batches = Vec::new();
        for _ in 0..100 {
            batches.push(lab.copy(&MULTI, "/in/", "RENAME").await.body);
        }
        sleep(Duration::from_secs(10)).await;
        let mut outcomes = Vec::new();
        for batch in &batches {
            outcomes.push(lab.job(batch).await);
        }
        outcomes
    };
    let first = outcomes(7).await;
    let failed = first.iter().filter(|status| *status != "SUCCEEDED").count();
    assert!((10..=30).contains(&failed), "{failed} of 100");
    assert!(first.iter().any(|status| status == "PARTIALLY_SUCCEEDED"));
    assert_eq!(first, outcomes(7).await);
    assert_ne!(first, outcomes(8).await);
}

#[tokio::test(start_paused = true)]
async fn jobs_are_listed_newest_first() {
    let lab = Lab::new(settings());
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(lab.copy(&MULTI, "/in/", "SKIP").await.body["job"]["id"].clone());
    }
    ids.reverse();
    let page = lab.get("/api/jobs?sort=timeCreated%20desc&pageOffset=0&pageSize=2").await.body;
    let shown: Vec<_> = page["items"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect();
    assert_eq!((shown, &page["totalItemCount"]), (ids[..2].to_vec(), &json!(3)));
    assert_eq!(lab.get("/api/jobs?status=FAILED").await.body["items"], json!([]));
}
