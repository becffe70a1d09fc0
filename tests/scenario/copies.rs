//! What a copy does when nothing goes wrong.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::house::{House, TO};

const MIB: u64 = 1024 * 1024;

const RUN: [(&str, u64, u32); 9] = [
    ("/run/top.bam", 40 * MIB, 5),
    ("/run/a/one two.fastq.gz", 20 * MIB, 3),
    ("/run/a/b+c#d%20e.txt", 1000, 1),
    ("/run/a/empty.log", 0, 1),
    ("/run/a/deep/ü.vcf", 10 * MIB, 2),
    ("/run/a/deep/Case.txt", 300, 1),
    ("/run/a/deep/case.txt", 301, 1),
    ("/other/x.bam", 30 * MIB, 4),
    ("/running/not-ours.txt", 5, 1),
];

#[tokio::test(start_paused = true)]
async fn a_tree_arrives_byte_for_byte_with_its_empty_folders() {
    let house = House::new(&RUN, &["/run/void/"], &[], |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/", "/other/x.bam"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(1)).await;
    assert_eq!(
        output["files"],
        json!({"copied": 8, "skipped": 0, "skippedBySize": 0, "skippedConflict": 0, "renamed": 0})
    );
    assert_eq!(output["bytes"], 100 * MIB + 1601);
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    assert!(house.tree(TO, "/in/").await.contains(&("run/void/".into(), "Available".into(), None)));
    assert!(house.tree(TO, "/in/").await.iter().any(|(path, ..)| path == "x.bam"));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_finished_copy_changes_nothing() {
    let house = House::new(&RUN, &[], &[], |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "first").await;
    house.success("first", Duration::from_mins(1)).await;
    let before = house.tree(TO, "/").await;
    let jobs = house.calls(Some("POST /api/projects/{projectId}/dataCopyBatch"));
    house.ask(&["/run/"], "/in/", "second").await;
    let output = house.success("second", Duration::from_mins(1)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["skipped"]), (&json!(0), &json!(7)));
    assert_eq!(output["bytes"], 0);
    assert_eq!(house.tree(TO, "/").await, before);
    assert_eq!(house.calls(Some("POST /api/projects/{projectId}/dataCopyBatch")), jobs);
}

#[tokio::test(start_paused = true)]
async fn two_requests_for_one_folder_copy_each_byte_once() {
    let house = House::new(&RUN, &[], &[], |_| {}).await;
    let _one = house.instance();
    let _two = house.instance();
    house.ask(&["/run/"], "/in/", "first").await;
    house.ask(&["/run/"], "/in/", "second").await;
    house.success("first", Duration::from_mins(2)).await;
    house.success("second", Duration::from_mins(2)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    // Three folders with multi-part files, each in one job whoever asked.
    assert_eq!(house.calls(Some("POST /api/projects/{projectId}/dataCopyBatch")), 3);
    assert_eq!(house.simulator.stats().bytes_in, 1601);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_files_cost_few_calls() {
    let names: Vec<_> = (0..1000).map(|n| format!("/run/{n:04}.fastq.gz")).collect();
    let files: Vec<_> = (0_u32..)
        .zip(&names)
        .map(|(n, name)| (name.as_str(), 1000, if n % 10 == 0 { 1 } else { 2 }))
        .collect();
    let house = House::new(&files, &[], &[], |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(2)).await;
    assert_eq!(output["files"]["copied"], 1000);
    let stats = house.simulator.stats();
    assert!(stats.total <= 140, "{} calls: {:#?}", stats.total, stats.calls);
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_job_has_left_costs_two_calls_a_file_and_no_waiting() {
    const SUBMIT: &str = "POST /api/projects/{projectId}/dataCopyBatch";
    const DELETE: &str = "POST /api/projects/{projectId}/data/{dataId}:delete";
    let names: Vec<_> = (0..900).map(|n| format!("/run/{n:04}.fastq.gz")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), 1000, 2)).collect();
    let house = House::new(&files, &[], &[], |platform| platform.job_failure_rate = 1.0).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.lets_one_job_fail().await;
    let (took, _) = house.answer("t", Duration::from_mins(10)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    let stats = house.simulator.stats();
    assert_eq!((house.calls(Some(DELETE)), house.calls(Some(SUBMIT))), (900, 2), "{:#?}", stats.calls);
    assert!(stats.total <= 2 * 900 + 60, "{} calls: {:#?}", stats.total, stats.calls);
    // Two jobs of 30 s, and at 20 calls a second a look at each file and its deletion.
    assert!(took <= Duration::from_secs(2 + 30 + 2 * 900 / 20 + 30 + 15), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn more_small_files_than_a_record_can_remember_all_arrive() {
    let names: Vec<_> = (0..1300).map(|n| format!("/run/{n:04}.txt")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), 10, 1)).collect();
    let house = House::new(&files, &[], &[], |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(10)).await;
    assert_eq!(output["files"]["copied"], 1300);
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn what_is_there_already_is_skipped_and_counted() {
    // The file at the destination was made at another path, so its bytes are others: equal in size,
    // and with multi-part tags nothing else can be compared.
    let house = House::new(&[("/run/a.bam", 100, 2)], &[], &[("/in/run/a.bam", 100, 3)], |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(1)).await;
    assert_eq!((&output["files"]["skipped"], &output["files"]["skippedBySize"]), (&json!(1), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn another_file_at_the_destination_is_left_and_named() {
    let there = [("/in/run/a.bam", 99, 2), ("/in/run/s.txt", 10, 1)];
    let house = House::new(
        &[("/run/a.bam", 100, 2), ("/run/s.txt", 10, 1), ("/run/b.bam", 50, 2)],
        &[],
        &there,
        |_| {},
    )
    .await;
    let _instance = house.instance();
    let before = house.tree(TO, "/in/run/").await;
    house.ask(&["/run/"], "/in/", "t").await;
    let (error, cause) = house.failure("t", Duration::from_mins(1)).await;
    assert_eq!(error, "DestinationConflict");
    let named: Vec<_> = cause["files"].as_array().unwrap().iter().map(|file| file["what"].clone()).collect();
    assert_eq!(named, ["/in/run/a.bam", "/in/run/s.txt"]);
    let after = house.tree(TO, "/in/run/").await;
    assert!(before.iter().all(|entry| after.contains(entry)), "what was there is untouched");
    assert!(after.iter().any(|(path, ..)| path == "b.bam"), "the others are delivered");
}

#[tokio::test(start_paused = true)]
async fn requests_that_cannot_be_done_are_refused_before_anything_is_copied() {
    let files = [("/run/a.bam", 100, 2), ("/two/a.bam", 100, 2), ("/run/sub/b.bam", 1, 1)];
    let house = House::new(&files, &[], &[], |_| {}).await;
    let _instance = house.instance();
    let cases: [(&[&str], &str, &str); 4] = [
        (&["/run/a.bam", "/two/a.bam"], "/in/", "InvalidRequest"),
        (&["/run/A.bam"], "/in/", "SourceNotFound"),
        (&["/nowhere/"], "/in/", "SourceNotFound"),
        (&["/run/a.bam", "/run/gone.bam"], "/in/", "SourceNotFound"),
    ];
    let before = house.tree(TO, "/").await;
    for (n, (sources, destination, expected)) in cases.into_iter().enumerate() {
        let token = format!("t{n}");
        house.ask(sources, destination, &token).await;
        let (error, cause) = house.failure(&token, Duration::from_mins(5)).await;
        assert_eq!(error, expected, "{sources:?}: {}", crate::house::text(&cause));
    }
    assert_eq!(house.tree(TO, "/").await, before);
}

#[tokio::test(start_paused = true)]
async fn a_destination_inside_its_source_is_refused() {
    let house = House::new(&[("/run/a.bam", 100, 2)], &[], &[("/in/x/y.bam", 5, 2)], |_| {}).await;
    let _instance = house.instance();
    let body = json!({"payload": {"sourceUriList": ["icav2://archive/in/"], "destinationUri": "icav2://archive/in/x/"}, "taskToken": "t"});
    house.queue.push(body.to_string()).await.unwrap();
    assert_eq!(house.failure("t", Duration::from_secs(30)).await.0, "RecursionLimit");
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_on_the_bus() {
    let house = House::new(&RUN, &[], &[], |platform| platform.job_duration = Duration::from_mins(10)).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(15)).await;
    sleep(Duration::from_secs(5)).await;
    let told = house.buses.told.lock().unwrap();
    let statuses: Vec<_> = told.iter().map(|event| event["status"].as_str().unwrap().to_owned()).collect();
    assert_eq!(statuses.first().map(String::as_str), Some("RECEIVED"));
    assert_eq!(statuses.last().map(String::as_str), Some("SUCCEEDED"));
    let running = statuses.iter().filter(|status| *status == "RUNNING").count();
    assert!((3..=4).contains(&running), "{statuses:?}");
}
