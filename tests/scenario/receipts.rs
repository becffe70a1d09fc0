//! Receipts: a line for each file, where they can be checked.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use copy_manager::{
    domain::{
        receipt::{Fate, Line},
        route::{Folders, SinglePart},
    },
    embedded::reports::InFolder,
    ports::objects::{Access, ObjectLocation, ObjectStore as _},
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::house::House;

const SOON: Duration = Duration::from_mins(5);
const FILES: [(&str, u64, u32); 4] =
    [("/run/a.bam", 300, 2), ("/run/b.bam", 300, 2), ("/run/c.txt", 30, 1), ("/run/sub/d.bam", 300, 2)];

async fn ask(house: &House, token: &str) {
    house.ask_with(&["/run/"], "/in/", token, None, json!({ "receipt": true })).await;
}

/// The lines of the receipt that an outcome names, by the names of their destinations.
fn lines(outcome: &Value) -> BTreeMap<String, Line> {
    let receipt = &outcome["receipt"];
    let text = fs::read_to_string(Path::new(receipt["uri"].as_str().unwrap())).unwrap();
    assert_eq!(receipt["sha256"], hex::encode(Sha256::digest(text.as_bytes())));
    assert_eq!(receipt["files"], text.lines().count());
    let lines = text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
    lines.map(|line| (line.destination.rsplit('/').next().unwrap().to_owned(), line)).collect()
}

async fn house() -> (House, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(&FILES, &[], &[], |platform| {
        platform.job_duration = Duration::from_secs(3);
        platform.tag_defect = false;
    })
    .await;
    house.reports = Some(Arc::new(InFolder::new(folder.path())));
    (house, folder)
}

#[tokio::test(start_paused = true)]
async fn every_file_of_a_copy_has_its_line() {
    let (house, _folder) = house().await;
    let _instance = house.instance();
    house.ask(&["/run/c.txt"], "/in/run/", "before").await;
    house.success("before", SOON).await;
    tokio::time::sleep(SOON).await;
    ask(&house, "t").await;
    let outcome = house.success("t", SOON).await;
    let lines = lines(&outcome);
    assert_eq!(lines.keys().collect::<Vec<_>>(), ["a.bam", "b.bam", "c.txt", "d.bam"]);
    let bam = &lines["a.bam"];
    assert_eq!((bam.result, bam.size, bam.route.as_deref()), (Fate::Copied, Some(300), Some("job")));
    assert_eq!((bam.compared.as_deref(), bam.jobs.len()), (Some("tag"), 1));
    assert!(bam.etag.as_deref().is_some_and(|tag| tag.ends_with("-2")) && bam.made_at.is_some(), "{bam:?}");
    assert!(bam.source.starts_with("icav2://") && bam.source.ends_with("/run/a.bam"), "{bam:?}");
    assert!(bam.destination.ends_with("/in/run/a.bam"), "{bam:?}");
    // It was there, as an earlier request brought it.
    assert_eq!((lines["c.txt"].result, lines["c.txt"].route.as_deref()), (Fate::Skipped, None));
}

#[tokio::test(start_paused = true)]
async fn a_failed_copy_has_one_too() {
    let (mut house, _folder) = house().await;
    house.settings.jobs.max_attempts = 2;
    house.faults(json!({"jobFailureRate": 1.0}));
    let _instance = house.instance();
    ask(&house, "t").await;
    let (_, cause) = house.failure("t", 4 * SOON).await;
    let lines = lines(&cause);
    assert_eq!(lines["c.txt"].result, Fate::Copied);
    let bad = &lines["a.bam"];
    assert!(bad.result == Fate::Failed && bad.why.is_some() && bad.etag.is_none(), "{bad:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_place_for_it_a_receipt_is_refused() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let _instance = house.instance();
    ask(&house, "t").await;
    let (error, cause) = house.failure("t", SOON).await;
    assert_eq!(error, "InvalidRequest");
    assert!(cause["message"].as_str().unwrap().contains("report.s3_prefix"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn whole_folders_are_told_file_by_file() {
    let (mut house, _folder) = house().await;
    house.settings.copy.folders = Folders::Whole;
    house.settings.copy.single_part = SinglePart::Job;
    let _instance = house.instance();
    ask(&house, "t").await;
    let lines = lines(&house.success("t", SOON).await);
    assert_eq!(lines.keys().collect::<Vec<_>>(), ["a.bam", "b.bam", "c.txt", "d.bam"]);
    assert!(lines.values().all(|line| line.result == Fate::Copied), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_cannot_be_written_to_keeps_no_caller_waiting() {
    let (mut house, folder) = house().await;
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    house.reports = Some(Arc::new(InFolder::new(&file.join("below"))));
    let _instance = house.instance();
    ask(&house, "t").await;
    let outcome = house.success("t", SOON).await;
    assert!(outcome["receipt"].is_null() && outcome["files"]["copied"] == 4, "{outcome}");
}

/// S3 takes them in parts as soon as they are long, and says then too what they are.
#[tokio::test(start_paused = true)]
async fn a_long_report_is_an_object_like_any_other() {
    let mut house = House::new(&FILES, &[], &[], |_| {}).await;
    house.report_to("s3://requests/reports");
    let reports = house.reports.clone().unwrap();
    let line = format!("{}\n", "x".repeat((1 << 20) - 1));
    for (name, kind) in [("r/receipt.jsonl", "application/x-ndjson"), ("r/output.json", "application/json")] {
        for lines in [1, 20] {
            let mut writer = reports.begin(name).await.unwrap();
            for _ in 0..lines {
                writer.write(&line).await.unwrap();
            }
            assert_eq!(writer.finish().await.unwrap(), format!("s3://requests/reports/{name}"));
            let at = ObjectLocation::new("requests", format!("reports/{name}"));
            let there = house.objects.head(&at, &Access::Own).await.unwrap().unwrap();
            assert_eq!((there.size, there.headers.content_type.as_deref()), (lines << 20, Some(kind)));
        }
    }
}
