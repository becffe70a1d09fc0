//! Source folders that go as one item of a job (`copy.folders = "whole"`).

use std::time::Duration;

use copy_manager::{
    domain::route::{Folders, SinglePart},
    simulator,
};
use serde_json::json;
use tokio::time::sleep;

use crate::house::{House, TO};

const SUBMIT: &str = "POST /api/projects/{projectId}/dataCopyBatch";

async fn house(
    files: &[(&str, u64, u32)],
    folders: &[&str],
    there: &[(&str, u64, u32)],
    change: impl FnOnce(&mut simulator::Settings),
) -> House {
    let mut house = House::new(files, folders, there, change).await;
    house.settings.copy.folders = Folders::Whole;
    house.settings.copy.single_part = SinglePart::Job;
    house.faults(json!({"tagDefect": false}));
    house
}

/// Twelve folders, two of them inside another, with 2,000 multi-part files.
fn run() -> Vec<(String, u64, u32)> {
    let folder = |n: usize| match n % 12 {
        0 => "/run/".to_owned(),
        1 => "/run/sub/deep/".to_owned(),
        2 => "/run/sub/".to_owned(),
        n => format!("/run/lane {n}/"),
    };
    (0..2000).map(|n| (format!("{}{n:04}.bam", folder(n)), 10 + n as u64, 2)).collect()
}

fn borrowed(files: &[(String, u64, u32)]) -> Vec<(&str, u64, u32)> {
    files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tree_costs_a_handful_of_calls() {
    let files = run();
    let house = house(&borrowed(&files), &[], &[], |platform| platform.job_failure_rate = 0.0).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["skipped"]), (&json!(2000), &json!(0)));
    let calls = house.calls(None);
    assert!(calls <= 30, "{calls} calls: {:?}", house.simulator.stats().calls);
    assert_eq!(house.calls(Some(SUBMIT)), 1);
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    // A repeat compares and does nothing.
    house.ask(&["/run/"], "/in/", "again").await;
    let output = house.success("again", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["skipped"]), (&json!(0), &json!(2000)));
    assert_eq!(house.calls(Some(SUBMIT)), 1);
    assert_eq!(house.slots().await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_job_leaves_is_brought_file_by_file() {
    let files = run();
    let house = house(&borrowed(&files), &["/run/empty/inside/"], &[], |_| {}).await;
    house.faults(json!({"poisonPaths": ["/run/lane 7/0007.bam"]}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_hours(2)).await;
    assert_eq!(
        (&output["files"]["copied"], &output["files"]["skipped"]),
        (&json!(2000), &json!(0)),
        "{output}"
    );
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn empty_folders_arrive_though_jobs_do_not_bring_them() {
    let files = [("/run/a.bam", 10, 2), ("/run/s.txt", 3, 1)];
    let house = house(&files, &["/run/empty/inside/"], &[], |platform| platform.job_failure_rate = 0.0).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(5)).await;
    assert_eq!(output["files"]["copied"], 2);
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    assert_eq!(house.calls(Some(SUBMIT)), 1);
    assert_eq!(house.calls(Some("POST /api/projects/{projectId}/data:createFileWithUploadUrl")), 0);
}

#[tokio::test(start_paused = true)]
async fn files_that_jobs_mishandle_are_streamed_after_all() {
    let files = [("/run/a.bam", 10, 2), ("/run/s.txt", 3, 1), ("/run/sub/b.bam", 20, 2)];
    let mut house = house(&files, &[], &[], |platform| platform.job_failure_rate = 0.0).await;
    house.settings.copy.single_part = SinglePart::Stream;
    house.faults(json!({"tagDefect": true}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["skipped"]), (&json!(3), &json!(0)));
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    assert_eq!(house.calls(Some(SUBMIT)), 1);
}

#[tokio::test(start_paused = true)]
async fn conflicts_inside_are_named_and_the_rest_is_delivered() {
    let files = [("/run/a.bam", 10, 2), ("/run/sub/b.bam", 20, 2), ("/run/sub/c.bam", 30, 2)];
    let house = house(&files, &[], &[("/in/run/sub/b.bam", 21, 2)], |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (error, cause) = house.failure("t", Duration::from_hours(1)).await;
    assert_eq!(error, "DestinationConflict");
    assert!(cause.to_string().contains("/in/run/sub/b.bam"), "{cause}");
    let there = house.tree(TO, "/in/run/").await;
    assert!(["a.bam", "sub/c.bam"].iter().all(|path| there.iter().any(|(known, ..)| known == path)));
}

#[tokio::test(start_paused = true)]
async fn jobs_that_always_fail_name_the_files() {
    let files = [("/run/a.bam", 10, 2), ("/run/sub/b.bam", 20, 2), ("/run/sub/c.bam", 20, 2)];
    let house = house(&files, &[], &[], |platform| platform.job_failure_rate = 1.0).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (error, cause) = house.failure("t", Duration::from_hours(3)).await;
    assert_eq!(error, "CopyJobFailed");
    assert!(cause.to_string().contains("/in/run/a.bam"), "{cause}");
    assert_eq!(house.slots().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_renamed_file_inside_has_its_folder_brought_one_by_one() {
    let files = [("/run/a.bam", 10, 2), ("/run/sub/b.txt", 20, 1), ("/two/c.bam", 20, 2)];
    let house = house(&files, &[], &[], |platform| platform.job_failure_rate = 0.0).await;
    let _instance = house.instance();
    let map =
        json!({"renamingMapList": [{"sourceUri": "icav2://lab/run/sub/b.txt", "outputFileName": "x.txt"}]});
    house.ask_with(&["/run/", "/two/"], "/in/", "t", None, map).await;
    let output = house.success("t", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["renamed"]), (&json!(3), &json!(1)));
    let paths: Vec<_> = house.tree(TO, "/in/").await.into_iter().map(|(path, ..)| path).collect();
    assert_eq!(paths, ["run/", "run/a.bam", "run/sub/", "run/sub/x.txt", "two/", "two/c.bam"]);
}

#[tokio::test(start_paused = true)]
async fn a_tree_goes_on_where_its_instance_died() {
    let files = [("/run/a.bam", 10, 2), ("/run/sub/b.bam", 20, 2), ("/run/sub/c.txt", 20, 1)];
    for seconds in [1, 2, 3, 5, 20, 33, 35] {
        let house = house(&files, &["/run/empty/"], &[], |_| {}).await;
        let instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        sleep(Duration::from_secs(seconds)).await;
        drop(instance);
        let _instance = house.instance();
        let output = house.success("t", Duration::from_mins(15)).await;
        assert_eq!((&output["files"]["copied"], &output["files"]["skipped"]), (&json!(3), &json!(0)));
        assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
        assert_eq!(house.slots().await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_folder_inside_is_made_as_soon_as_the_job_has_ended() {
    let files = run();
    let ten = Duration::from_secs(10);
    let house = house(&borrowed(&files), &["/run/empty/inside/"], &[], |platform| {
        platform.job_failure_rate = 0.0;
        platform.job_duration = ten;
    })
    .await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (took, _) = house.answer("t", Duration::from_mins(5)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    assert!(took <= Duration::from_secs(2 + 10 + 10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tree_whose_job_failed_is_brought_again_without_waiting() {
    let files = run();
    let files = borrowed(&files[..240]);
    let house = house(&files, &[], &[], |platform| {
        platform.job_failure_rate = 1.0;
        platform.job_duration = Duration::from_secs(10);
    })
    .await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.lets_one_job_fail().await;
    let (took, _) = house.answer("t", Duration::from_mins(5)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    // Two jobs one after the other, and at 20 calls a second a look at every file that the first left, and its
    // deletion.
    assert!(took <= Duration::from_secs(2 + 10 + 2 * 240 / 20 + 10 + 15), "{took:?}");
    let calls = house.calls(None);
    assert!(calls <= 2 * 240 + 12 * 14, "{calls} calls: {:?}", house.simulator.stats().calls);
}
