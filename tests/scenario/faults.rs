//! What a copy does when the platform, the network or an instance fails.

use std::{sync::atomic::Ordering, time::Duration};

use http::StatusCode;
use serde_json::json;
use tokio::time::sleep;

use crate::house::{House, TO};

const BATCH: &str = "POST /api/projects/{projectId}/dataCopyBatch";
const FILES: [(&str, u64, u32); 4] =
    [("/run/a.bam", 100, 2), ("/run/b.bam", 200, 2), ("/run/c.txt", 300, 1), ("/run/sub/d.bam", 400, 2)];

#[tokio::test(start_paused = true)]
async fn failing_jobs_are_made_again_until_every_file_is_there() {
    for seed in 1..6 {
        let house = House::new(&FILES, &[], &[], |platform| {
            platform.seed = seed;
            platform.job_failure_rate = 0.4;
        })
        .await;
        let _instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        house.success("t", Duration::from_mins(30)).await;
        assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_that_fail_in_every_round_end_the_request_with_the_files_named() {
    let house = House::new(&FILES, &[], &[], |platform| platform.job_failure_rate = 1.0).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (error, cause) = house.failure("t", Duration::from_hours(1)).await;
    assert_eq!(error, "CopyJobFailed");
    let named: Vec<_> = cause["files"].as_array().unwrap().iter().map(|file| file["what"].clone()).collect();
    assert_eq!(named, ["/in/run/a.bam", "/in/run/b.bam", "/in/run/sub/d.bam"]);
    // Five rounds for each folder; after the third the two files of one are tried apart.
    assert_eq!(house.calls(Some(BATCH)), (1 + 1 + 1 + 2 + 2) + 5);
    assert_eq!(house.slots().await, 0);
    // What could be brought was.
    assert!(
        house
            .tree(TO, "/in/run/")
            .await
            .iter()
            .any(|(path, status, _)| path == "c.txt" && status == "Available")
    );
}

#[tokio::test(start_paused = true)]
async fn a_killed_instance_is_followed_by_another() {
    for at in [100, 1500, 2500, 3500, 5000] {
        let house =
            House::new(&FILES, &[], &[], |platform| platform.job_duration = Duration::from_secs(3)).await;
        let first = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        sleep(Duration::from_millis(at)).await;
        drop(first);
        let _second = house.instance();
        house.success("t", Duration::from_mins(10)).await;
        assert_eq!(
            house.tree("lab", "/run/").await,
            house.tree(TO, "/in/run/").await,
            "killed after {at} ms"
        );
        assert_eq!(house.calls(Some(BATCH)), 2, "killed after {at} ms: no job is made twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_instance_hands_over_at_once() {
    let mut house = House::new(&FILES, &[], &[], |_| {}).await;
    house.settings.jobs.batch_window = Duration::from_secs(10);
    let first = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    // Both folders are held now, with an open batch.
    sleep(Duration::from_secs(5)).await;
    let second = async {
        sleep(Duration::from_secs(1)).await;
        let _second = house.instance();
        // Well before the leases of the first would have run out.
        house.success("t", Duration::from_secs(30)).await;
    };
    tokio::join!(first.stop(), second);
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn a_submission_without_an_answer_is_found_and_not_repeated() {
    for status in [json!("close"), json!(503)] {
        let house = House::new(&FILES[..2], &[], &[], |_| {}).await;
        house.faults(json!({"responses": [{"call": BATCH, "times": 1, "status": status, "after": true}]}));
        let _instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        house.success("t", Duration::from_mins(5)).await;
        assert_eq!(house.calls(Some(BATCH)), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_never_happened_is_made_again_after_a_while() {
    let house = House::new(&FILES[..2], &[], &[], |_| {}).await;
    house.faults(json!({"responses": [{"call": BATCH, "times": 1, "status": "close", "after": false}]}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(5)).await;
    assert_eq!(house.simulator.jobs().total, 1);
}

#[tokio::test(start_paused = true)]
async fn lost_child_events_cost_a_tick() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    house.buses.lose_children.store(true, Ordering::Relaxed);
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_secs(40)).await;
    assert!(house.buses.lost.load(Ordering::Relaxed) > 0, "no event of a child was lost");
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn the_platforms_delays_are_waited_out() {
    let house = House::new(&FILES, &[], &[], |platform| platform.job_failure_rate = 0.3).await;
    house.faults(json!({"indexDelay": "20s", "deleteDelay": "10s"}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(30)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn throttling_slows_and_does_not_fail() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/fast/", "fast").await;
    let (quick, _) = house.answer("fast", Duration::from_mins(10)).await;
    house.faults(json!({"rateLimit": 2}));
    let began = tokio::time::Instant::now();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(10)).await;
    let throttled = |(_, status): &&(_, StatusCode)| *status == StatusCode::TOO_MANY_REQUESTS;
    assert!(house.answers.lock().unwrap().iter().filter(throttled).count() > 0, "no call was throttled");
    assert!(began.elapsed() > quick, "{:?} at two calls a second, {quick:?} before", began.elapsed());
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_tried_again() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    house.faults(json!({"responses": [
        {"call": "PUT /sim/bytes/{token}", "times": 2, "status": 500, "after": false},
        {"call": "GET /sim/bytes/{token}", "times": 1, "status": 503, "after": false},
    ]}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(10)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    // While the broken upload is too young to be touched, it is looked at now and then, not for ever.
    assert!(house.calls(None) < 80, "{:#?}", house.simulator.stats().calls);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_submission_costs_a_pause_and_no_more() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    house.faults(json!({"responses": [{"call": BATCH, "times": 2, "status": 429, "after": false}]}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(1)).await;
    assert_eq!(house.slots().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_after_a_job_does_not_put_off_the_next() {
    let house =
        House::new(&FILES, &[], &[], |platform| platform.job_duration = Duration::from_secs(20)).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(Duration::from_secs(12)).await;
    house.faults(json!({"responses": [
        {"call": "GET /api/projects/{projectId}/data", "times": 6, "status": 500, "after": false},
    ]}));
    house.success("t", Duration::from_mins(2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_can_tell_about_is_a_failed_one() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    house.faults(json!({"responses": [
        {"call": "GET /api/jobs/{jobId}", "times": 1, "status": 404, "after": false},
    ]}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(10)).await;
    assert_eq!(house.slots().await, 0);
    assert!(house.calls(None) < 100, "{:#?}", house.simulator.stats().calls);
}

#[tokio::test(start_paused = true)]
async fn one_poisoned_file_is_found_among_many_and_streamed() {
    let names: Vec<_> = (0..500).map(|n| format!("/run/{n:03}.bam")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), 1000, 2)).collect();
    let house = House::new(&files, &[], &[], |_| {}).await;
    house.faults(json!({"poisonPaths": ["/run/321.bam"]}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(30)).await;
    assert_eq!(output["files"]["copied"], 500);
    // 499 by jobs, one by stream.
    assert_eq!(house.simulator.stats().bytes_in, 1000);
    assert!(house.calls(Some(BATCH)) < 40, "{} jobs", house.calls(Some(BATCH)));
    assert_eq!(house.slots().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_works_is_given_up_with_its_file_named() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    house.faults(json!({"responses": [
        {"call": "PUT /sim/bytes/{token}", "times": 1000, "status": 500, "after": false},
    ]}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (error, cause) = house.failure("t", Duration::from_hours(1)).await;
    assert_eq!((error.as_str(), &cause["files"][0]["what"]), ("TransferFailed", &json!("/in/run/c.txt")));
}

#[tokio::test(start_paused = true)]
async fn a_long_stream_holds_up_nobody_else_in_its_folder() {
    let files = [("/one/long.txt", 20 << 20, 1), ("/two/short.txt", 10, 1), ("/two/a.bam", 100, 2)];
    let mut house = House::new(&files, &[], &[], |platform| platform.job_failure_rate = 0.0).await;
    house.chunk_takes = Duration::from_secs(10);
    let _instance = house.instance();
    house.ask(&["/one/long.txt"], "/in/", "long").await;
    sleep(Duration::from_mins(1)).await;
    house.ask(&["/two/short.txt", "/two/a.bam"], "/in/", "short").await;
    let output = house.success("short", Duration::from_mins(2)).await;
    assert_eq!(output["files"]["copied"], 2);
    assert_eq!(house.slots().await, 0);
    assert_eq!(house.callers.answer("long"), None);
    house.success("long", Duration::from_hours(3)).await;
    let made = house.calls(Some("POST /api/projects/{projectId}/data:createFileWithUploadUrl"));
    assert_eq!(made, 2, "each once");
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_of_a_stream_is_told_at_once() {
    let house = House::new(&[("/one/a.txt", 100, 1)], &[], &[], |_| {}).await;
    house.faults(json!({"responses": [{"call": "PUT /sim/bytes/{token}", "times": 1000, "status": 403}]}));
    let _instance = house.instance();
    house.ask(&["/one/a.txt"], "/in/", "t").await;
    let (took, said) = house.answer("t", Duration::from_mins(9)).await;
    assert!(matches!(&said, crate::doubles::Said::Failure(name, _) if name == "TransferFailed"), "{said:?}");
    assert!(took < Duration::from_mins(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_is_tried_again_though_others_keep_the_folder_awake() {
    let files = [("/one/a.txt", 100, 1), ("/two/b.bam", 100, 2)];
    let house = House::new(&files, &[], &[], |platform| {
        platform.job_failure_rate = 0.0;
        platform.job_duration = Duration::from_mins(20);
    })
    .await;
    // As often as a file is tried.
    let refuse = json!({"call": "PUT /sim/bytes/{token}", "times": 5, "status": 403});
    house.faults(json!({"responses": [refuse]}));
    let _instance = house.instance();
    house.ask(&["/two/b.bam"], "/in/", "other").await;
    house.ask(&["/one/a.txt"], "/in/", "first").await;
    assert_eq!(house.failure("first", Duration::from_mins(9)).await.0, "TransferFailed");
    house.ask(&["/one/a.txt"], "/in/", "again").await;
    house.success("again", Duration::from_mins(3)).await;
    assert_eq!(house.callers.answer("other"), None);
}
