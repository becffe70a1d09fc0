//! What others write is left alone; what is ours is mended without waiting.

use std::time::Duration;

use copy_manager::{domain::route::Folders, simulator::others::Others};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::house::{House, TO, text};

const DELETE: &str = "POST /api/projects/{projectId}/data/{dataId}:delete";
const CREATE: &str = "POST /api/projects/{projectId}/data:createFileWithUploadUrl";
const FILES: [(&str, u64, u32); 3] =
    [("/run/big.bam", 100, 2), ("/run/one.txt", 30, 1), ("/run/two.txt", 20, 1)];

async fn house() -> House {
    let mut house = House::new(&FILES, &[], &[], |_| {}).await;
    house.settings.jobs.settle = Duration::from_secs(15);
    house
}

fn others(house: &House, what: Value) {
    house.simulator.others(&serde_json::from_value::<Others>(what).unwrap()).unwrap();
}

fn upload(path: &str, takes: &str) -> Value {
    json!({"uploads": [{"project": TO, "path": path, "size": 77, "takes": takes}]})
}

/// How the file at that path stands in the destination project.
async fn stands(house: &House, path: &str) -> (String, Option<u64>) {
    let entries = house.simulator.tree(TO, "/").await.unwrap();
    let entry = entries.into_iter().find(|entry| entry.path == path).unwrap();
    (format!("{:?}", entry.status), entry.size)
}

fn assert_named(error: &str, cause: &Value, path: &str) {
    assert_eq!(error, "DestinationConflict", "{cause}");
    let said = text(cause);
    assert!(said.contains(path) && said.contains("another writer may be uploading it"), "{said}");
}

/// Jobs by the hundred that are younger than all others.
fn noise(house: &House, status: &str) {
    others(house, json!({"jobs": [{"count": 110, "status": status}]}));
}

#[tokio::test(start_paused = true)]
async fn the_file_of_a_running_job_of_others_is_waited_for() {
    let house = house().await;
    let copy =
        json!({"project": TO, "folder": "/in/", "from": "lab", "paths": ["/run/big.bam"], "takes": "20m"});
    others(&house, json!({"copies": [copy]}));
    noise(&house, "SUCCEEDED");
    let _instance = house.instance();
    house.ask(&["/run/big.bam"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(25)).await;
    assert_eq!(output["files"]["copied"], 1);
    assert_eq!(stands(&house, "/in/big.bam").await, ("Available".to_owned(), Some(100)));
    assert_eq!((house.simulator.harm(), house.calls(Some(DELETE))), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn the_file_of_a_job_of_others_that_takes_too_long_is_named_and_left() {
    let house = house().await;
    let copy =
        json!({"project": TO, "folder": "/in/", "from": "lab", "paths": ["/run/big.bam"], "takes": "2h"});
    others(&house, json!({"copies": [copy]}));
    noise(&house, "SUCCEEDED");
    let _instance = house.instance();
    house.ask(&["/run/big.bam", "/run/two.txt"], "/in/", "t").await;
    let (error, cause) = house.failure("t", Duration::from_mins(40)).await;
    assert_named(&error, &cause, "/in/big.bam");
    assert_eq!(stands(&house, "/in/two.txt").await, ("Available".to_owned(), Some(20)), "the other arrives");
    sleep(Duration::from_hours(2)).await;
    assert_eq!(stands(&house, "/in/big.bam").await, ("Available".to_owned(), Some(100)));
    assert_eq!((house.simulator.harm(), house.calls(Some(DELETE))), (vec![], 0));
}

/// For a job and for a stream: in both cases the name is wanted.
#[tokio::test(start_paused = true)]
async fn an_upload_of_others_is_named_and_keeps_its_bytes() {
    for name in ["big.bam", "one.txt"] {
        let house = house().await;
        let path = format!("/in/{name}");
        others(&house, upload(&path, "2h"));
        sleep(Duration::from_mins(3)).await;
        let _instance = house.instance();
        house.ask(&[&format!("/run/{name}")], "/in/", "t").await;
        let (error, cause) = house.failure("t", Duration::from_mins(40)).await;
        assert_named(&error, &cause, &path);
        sleep(Duration::from_hours(2)).await;
        assert_eq!(stands(&house, &path).await, ("Available".to_owned(), Some(77)));
        assert_eq!((house.simulator.harm(), house.calls(Some(DELETE))), (vec![], 0), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_have_left_for_days_is_taken_for_abandoned() {
    for name in ["big.bam", "one.txt"] {
        let house = house().await;
        let path = format!("/in/{name}");
        others(&house, json!({"uploads": [{"project": TO, "path": path, "size": 77}]}));
        sleep(house.settings.jobs.abandoned_after).await;
        let _instance = house.instance();
        house.ask(&[&format!("/run/{name}")], "/in/", "t").await;
        house.success("t", Duration::from_mins(5)).await;
    }
}

/// An upload that was cut off is ours all the same: who goes on asks for it by the same key.
#[tokio::test(start_paused = true)]
async fn what_an_instance_was_uploading_when_it_died_is_written_again() {
    let mut house = House::new(&[("/run/one.txt", 4 << 20, 1)], &[], &[], |_| {}).await;
    house.chunk_takes = Duration::from_secs(10);
    let first = house.instance();
    house.ask(&["/run/one.txt"], "/in/", "t").await;
    while house.calls(Some(CREATE)) == 0 {
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_secs(1)).await;
    drop(first);
    assert_eq!(stands(&house, "/in/one.txt").await.0, "Partial");
    house.chunk_takes = Duration::ZERO;
    let _second = house.instance();
    house.success("t", Duration::from_mins(8)).await;
    assert_eq!(stands(&house, "/in/one.txt").await, ("Available".to_owned(), Some(4 << 20)));
}

/// What a request that failed has left is no stranger's to the one that is sent again.
#[tokio::test(start_paused = true)]
async fn what_a_failed_request_has_left_is_mended_by_the_next() {
    for (name, faults) in [
        ("one.txt", json!({"responses": [{"call": "PUT /sim/bytes/{token}", "times": 5, "status": 403}]})),
        ("big.bam", json!({"jobFailureRate": 1.0, "poisonPaths": []})),
    ] {
        let mut house = house().await;
        house.settings.jobs.max_attempts = 1;
        house.faults(faults);
        let _instance = house.instance();
        house.ask(&[&format!("/run/{name}")], "/in/", "t").await;
        let (error, _) = house.failure("t", Duration::from_mins(10)).await;
        assert!(error == "TransferFailed" || error == "CopyJobFailed", "{error}");
        assert_eq!(stands(&house, &format!("/in/{name}")).await.0, "Partial");
        sleep(Duration::from_hours(1)).await;
        house.faults(json!({"jobFailureRate": 0.0, "responses": []}));
        house.ask(&[&format!("/run/{name}")], "/in/", "again").await;
        house.success("again", Duration::from_mins(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_of_a_status_that_nobody_knows_holds_nobody_up() {
    let files: Vec<(String, u64, u32)> = (0..4).map(|n| (format!("/run/{n}.bam"), 100, 2)).collect();
    let files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let house =
        House::new(&files, &[], &[], |platform| platform.job_duration = Duration::from_secs(10)).await;
    others(&house, json!({"jobs": [{"status": "QUEUED"}, {"status": "SUCCEEDED", "subjectType": "X"}]}));
    let _instance = house.instance();
    for (n, (path, ..)) in files.iter().enumerate() {
        house.ask(&[path], &format!("/in/{n}/"), &format!("t{n}")).await;
    }
    for n in 0..4 {
        house.success(&format!("t{n}"), Duration::from_mins(2)).await;
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(house.slots().await, 0, "every place was given back");
}

/// Our own jobs, too, may be told of in words that are new.
#[tokio::test(start_paused = true)]
async fn a_job_of_ours_may_be_in_a_status_that_nobody_knows() {
    for told in [json!({"RUNNING": "COPYING"}), json!({"FAILED": "BROKEN"})] {
        let house =
            House::new(&FILES, &[], &[], |platform| platform.job_duration = Duration::from_mins(5)).await;
        let fails = told.get("FAILED").is_some();
        house.faults(json!({"toldJobStatus": told, "jobFailureRate": if fails { 1.0 } else { 0.0 }}));
        let _instance = house.instance();
        house.ask(&["/run/big.bam"], "/in/", "t").await;
        sleep(Duration::from_mins(8)).await;
        house.faults(json!({"jobFailureRate": 0.0}));
        house.success("t", Duration::from_mins(30)).await;
    }
}

/// A job whose status nobody can read is not asked for for ever, nor does it keep its place.
#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_can_tell_of_gives_its_place_back() {
    let house =
        House::new(&FILES, &[], &[], |platform| platform.job_duration = Duration::from_hours(48)).await;
    let told =
        ["INITIALIZED", "WAITING_FOR_RESOURCES", "RUNNING"].map(|status| (status.to_owned(), "PARKED"));
    let told: std::collections::BTreeMap<_, _> = told.into();
    house.faults(json!({"toldJobStatus": told}));
    let _instance = house.instance();
    house.ask(&["/run/big.bam"], "/in/", "t").await;
    let (error, _) = house.failure("t", Duration::from_hours(7)).await;
    assert_eq!(error, "Stalled");
    let (answered, _) = house.answer("t", Duration::ZERO).await;
    let (heartbeat, hour) = (&house.settings.heartbeat, Duration::from_hours(1));
    let silent = heartbeat.outage_after + heartbeat.stalled_after;
    assert!(answered + hour / 4 > silent && answered < silent + hour / 4, "{answered:?}");
    sleep(Duration::from_hours(2)).await;
    assert_eq!((house.slots().await, house.unsettled().await), (0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn data_of_a_status_or_type_that_nobody_knows_hold_up_only_who_wants_their_names() {
    let house =
        House::new(&FILES, &[], &[("/in/big.bam", 9, 1), ("/in/b", 1, 1), ("/in/c", 1, 1)], |_| {}).await;
    house.faults(json!({"told": {
        "/in/big.bam": {"status": "TRANSFERRING"}, "/in/b": {"dataType": "OBJECT"}, "/in/c": {"noPath": true},
    }}));
    let _instance = house.instance();
    let over = json!({"onConflict": "overwrite"});
    house.ask_with(&["/run/one.txt"], "/in/", "beside", None, over.clone()).await;
    house.success("beside", Duration::from_mins(5)).await;
    house.ask_with(&["/run/big.bam"], "/in/", "at", None, over).await;
    let (error, cause) = house.failure("at", Duration::from_mins(40)).await;
    assert_eq!(error, "DestinationConflict");
    assert!(text(&cause).contains("not known here"), "{cause}");
    assert_eq!(house.calls(Some(DELETE)), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_of_a_status_that_nobody_knows_is_not_left_out_in_silence() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    house.faults(
        json!({"told": {"/run/one.txt": {"status": "TRANSFERRING"}, "/run/two.txt": {"noPath": true}}}),
    );
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (error, cause) = house.failure("t", Duration::from_mins(5)).await;
    assert_eq!(error, "SourceNotReady");
    let said = text(&cause);
    assert!(said.contains("one.txt") && said.contains("two.txt"), "{said}");
    assert_eq!(stands(&house, "/in/run/big.bam").await.0, "Available", "the others arrive");
}

/// What is in such a folder would go to another place, and a file that is told so looks as if it lay at the top.
#[tokio::test(start_paused = true)]
async fn what_is_told_without_its_path_goes_nowhere_else_and_is_waited_for() {
    let files = [("/run/a.bam", 100, 2), ("/run/sub/deep/b.bam", 100, 2), ("/run/sub/deep/c.txt", 5, 1)];
    for folders in [Folders::PerFolder, Folders::Whole] {
        for path in ["/run/sub/", "/run/sub/deep/", "/run/sub/deep/b.bam", "/run/sub/deep/c.txt"] {
            let mut house = House::new(&files, &[], &[], |_| {}).await;
            house.settings.copy.folders = folders;
            house.faults(json!({"told": {path: {"noPath": true}}}));
            let _instance = house.instance();
            house.ask(&["/run/"], "/in/", "t").await;
            sleep(Duration::from_secs(40)).await;
            assert!(
                house.callers.answer("t").is_none(),
                "{path} {folders:?}: {:?}",
                house.callers.answer("t")
            );
            house.faults(json!({"told": {}}));
            house.success("t", Duration::from_mins(30)).await;
            let (from, to) = (house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
            assert_eq!(from, to, "{path} {folders:?}");
        }
    }
}

/// ICAv2 takes all of UTF-8 in names; what nobody here would write is copied as it is.
#[tokio::test(start_paused = true)]
async fn odd_names_are_copied_and_spoil_no_folder() {
    let long = format!("/in/{}", "n".repeat(1_100));
    let files = [
        ("/run/Icon\r", 5, 1),
        ("/run/a\tb\\c.bam", 100, 2),
        ("/run/line\nend.bam", 100, 2),
        ("/run/odd\u{7f}folder/\u{85}.txt", 7, 1),
        ("/run/plain.txt", 3, 1),
    ];
    let there = [("/in/Icon\r", 9, 1), (long.as_str(), 4, 1)];
    let house = House::new(&files, &[], &there, |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(5)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    house.ask(&["/run/plain.txt"], "/in/", "beside").await;
    house.success("beside", Duration::from_mins(5)).await;
}

/// A name that fits its own folder and not the longer one: it alone is refused, and named.
#[tokio::test(start_paused = true)]
async fn a_path_that_would_be_too_long_is_refused_alone() {
    let long = format!("/run/{}.txt", "n".repeat(1_000));
    let house = House::new(&[(long.as_str(), 5, 1), ("/run/b.txt", 3, 1)], &[], &[], |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/a-folder-of-some-length/", "t").await;
    let (error, cause) = house.failure("t", Duration::from_mins(5)).await;
    assert_eq!(error, "InvalidRequest");
    assert!(text(&cause).contains("nnnn") && text(&cause).contains("1,024 bytes"), "{cause}");
}

const JOBS: &str = "GET /api/jobs";
const JOB: &str = "GET /api/jobs/{jobId}";

/// Whoever waits for the same list of jobs waits for one call, also when it is not answered: who stood in
/// line behind others for it saw no fault of the platform for so long that its caller was left alone.
#[tokio::test(start_paused = true)]
async fn nobody_stands_in_line_for_a_list_of_jobs_that_never_comes() {
    let files: Vec<(String, u64, u32)> = (0..40).map(|n| (format!("/run/{n}.bam"), 100, 2)).collect();
    let files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let mut house =
        House::new(&files, &[], &[], |platform| platform.job_duration = Duration::from_hours(1)).await;
    house.icav2.timeout = Duration::from_secs(10);
    house.settings.jobs.max_running_jobs = 100;
    house.settings.heartbeat.promise = Duration::from_mins(1);
    house.settings.heartbeat.stalled_after = Duration::from_mins(3);
    let _instance = house.instance();
    for (n, (path, ..)) in files.iter().enumerate() {
        house.ask(&[path], &format!("/in/{n}/"), &format!("t{n}")).await;
    }
    sleep(Duration::from_mins(2)).await;
    let hang = |call: &str| json!({"call": call, "times": u32::MAX, "status": "hang"});
    house.faults(json!({"responses": [hang(JOBS), hang(JOB), hang("GET /api/projects/{projectId}/data")]}));
    sleep(Duration::from_mins(20)).await;
    house.faults(json!({"responses": []}));
    let until = house.callers.start.elapsed();
    for n in 0..files.len() {
        let mut times = house.callers.beats(&format!("t{n}"));
        times.push(until);
        let silence = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
        assert!(silence <= house.settings.heartbeat.promise, "t{n}: {silence:?}");
    }
}

/// News is answered by what was read after it came: a list from just before still says that the job runs,
/// and the next is read a minute later.
#[tokio::test(start_paused = true)]
async fn news_of_a_job_is_not_answered_with_how_it_was_before() {
    let files: Vec<(String, u64, u32)> = (0..4).map(|n| (format!("/run/{n}.bam"), 100, 2)).collect();
    let files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    // The jobs end shortly after they have been asked for, whenever that is.
    for tenths in 600..=606 {
        let takes = Duration::from_millis(tenths * 100);
        let mut house = House::new(&files, &[], &[], |platform| platform.job_duration = takes).await;
        house.hear_of_jobs().await;
        let _instance = house.instance();
        for (n, (path, ..)) in files.iter().enumerate() {
            house.ask(&[path], &format!("/in/{n}/"), &format!("t{n}")).await;
        }
        for n in 0..files.len() {
            house.success(&format!("t{n}"), Duration::from_secs(90)).await;
        }
    }
}
