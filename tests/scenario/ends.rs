//! Everything ends: what is owed is paid or given up, what is late changes nothing, and what cannot be looked
//! at is not waited for for ever.

use std::{sync::atomic::Ordering, time::Duration};

use copy_manager::{
    domain::ids::ProjectId,
    domain::location::DataPath,
    ports::{
        chance::Dice,
        platform::DataPlatform as _,
        store::{Change, DUE_AT, Key, Store as _, Value as Stored, Write},
    },
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    asking::ask,
    doubles::Said,
    fragile::Late,
    house::{House, TO, text},
};

const FILE: [(&str, u64, u32); 1] = [("/run/a.bam", 100, 2)];
const FIND: &str = "GET /api/projects/{projectId}/data";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

async fn house_whose_jobs_take(time: Duration) -> House {
    House::new(&FILE, &[], &[], |platform| platform.job_duration = time).await
}

/// Records of requests and tokens that are still owed something.
async fn owed(house: &House) -> Vec<String> {
    let keys = house.unsettled().await.into_iter().filter(|key| key.id_type != "FOLDER");
    keys.map(|key| key.to_string()).collect()
}

/// How requests ended, as it was told on the bus.
fn ends(house: &House) -> Vec<Value> {
    let told = house.buses.told.lock().unwrap();
    let ended = |event: &&Value| event["status"] == "SUCCEEDED" || event["status"] == "FAILED";
    told.iter().filter(ended).map(|event| event["status"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_stored_late_does_not_end_what_another_has_begun() {
    let house = house_whose_jobs_take(10 * MINUTE).await;
    // The first look does not see the source.
    house.faults(json!({"responses": [{"call": FIND, "times": 1, "status": 404}]}));
    *house.late.lock().unwrap() = Some(Late { about: "OUTCOME", after: 3 * MINUTE, doubled: false });
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", HOUR).await;
    assert_eq!(output["files"]["copied"], 1);
    assert!(house.late.lock().unwrap().is_none(), "it was late");
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_written_late_does_not_bring_back_what_has_lost_its_place() {
    let objects = json!([
        {"key": "x/a", "size": 100, "tags": {"a": "b"}}, {"key": "y/a", "size": 200, "tags": {"a": "b"}},
    ]);
    let buckets = json!([{"name": "src", "objects": objects}, {"name": "dest", "objects": []}]);
    let house = House::beside(&[], &[], &[], buckets, |_| {}).await;
    // Between the marks and the slices.
    house.faults(json!({"s3": [{"calls": ["GetObjectTagging"], "delay": "4s"}]}));
    *house.late.lock().unwrap() = Some(Late { about: "PLAN#", after: Duration::from_secs(2), doubled: true });
    let _instance = house.instance();
    let more = json!({"allowCollisions": true, "maxItemsPerBatch": 1});
    ask(&house, "t", "list.csv", "src,x/a\nsrc,y/a\n", more).await;
    let output = house.success("t", 10 * MINUTE).await;
    assert_eq!(output["objects"]["superseded"], 1, "{output}");
    assert_eq!(crate::asking::calls(&house, "dest", "CopyObject"), 1, "who loses is never sent");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_answered_holds_up_nobody_and_ends() {
    let mut house = house_whose_jobs_take(MINUTE).await;
    house.settings.service.keep = 2 * HOUR;
    let _instance = house.instance();
    house.callers.refused.lock().unwrap().push("deaf".to_owned());
    house.ask_as(&["/run/"], "/in/", "deaf", Some("mine")).await;
    house.ask_as(&["/run/"], "/in/", "other", Some("mine")).await;
    house.success("other", 5 * MINUTE).await;
    sleep(MINUTE).await;
    assert_eq!(ends(&house), ["SUCCEEDED"], "the bus does not wait for a token");
    let owed_now = owed(&house).await;
    assert!(owed_now.iter().any(|key| key.contains("TOKEN#")), "it is tried again: {owed_now:?}");
    sleep(3 * HOUR).await;
    assert_eq!(owed(&house).await, [""; 0]);
    assert_eq!(house.callers.answer("deaf"), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_can_be_answered_in_the_end_is() {
    let house = house_whose_jobs_take(MINUTE).await;
    let _instance = house.instance();
    house.callers.refused.lock().unwrap().push("t".to_owned());
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(HOUR).await;
    assert_eq!(ends(&house), ["SUCCEEDED"]);
    house.callers.refused.lock().unwrap().clear();
    // Its caller's time runs, and without an answer there are no heartbeats.
    house.success("t", MINUTE).await;
    sleep(11 * MINUTE).await;
    assert_eq!(owed(&house).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_takes_nothing_holds_up_nobody_and_is_given_up() {
    let mut house = house_whose_jobs_take(MINUTE).await;
    house.settings.service.keep = 2 * HOUR;
    house.buses.refuse.store(true, Ordering::Relaxed);
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", 5 * MINUTE).await;
    sleep(HOUR).await;
    assert_eq!(owed(&house).await.len(), 1, "the news is still owed");
    sleep(2 * HOUR).await;
    assert_eq!(owed(&house).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_request_is_gone_ends() {
    let mut house = house_whose_jobs_take(10 * HOUR).await;
    house.settings.heartbeat.stalled_after = 5 * MINUTE;
    let _instance = house.instance();
    house.ask_as(&["/run/"], "/in/", "t", Some("mine")).await;
    sleep(MINUTE).await;
    let unsettled = house.unsettled().await;
    for key in unsettled.into_iter().filter(|key| !key.id_type.starts_with("TOKEN#")) {
        house.store().write(Write::delete(key)).await.unwrap();
    }
    let (error, cause) = house.failure("t", HOUR).await;
    assert_eq!(error, "Internal", "{cause}");
    assert_eq!(house.unsettled().await, []);
}

/// What a request ends with whose destination cannot be listed once it has begun.
async fn unlisted(status: Value) -> (String, Value, Duration) {
    let mut house = house_whose_jobs_take(MINUTE).await;
    house.settings.heartbeat.stalled_after = 5 * MINUTE;
    house.settings.heartbeat.outage_after = HOUR;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(Duration::from_secs(20)).await;
    house.faults(json!({"responses": [{"call": FIND, "times": u32::MAX, "status": status}]}));
    sleep(90 * MINUTE).await;
    let (answered, _) = house.answer("t", Duration::ZERO).await;
    let (error, cause) = house.failure("t", Duration::ZERO).await;
    sleep(12 * MINUTE).await;
    assert_eq!(owed(&house).await, [""; 0]);
    (error, cause, answered)
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_at_ends_stalled_with_the_error_that_stands_in_the_way() {
    for (status, why) in [(json!(500), "500"), (json!(401), "token"), (json!("close"), "no answer")] {
        let (error, cause, answered) = unlisted(status.clone()).await;
        assert_eq!(error, "Stalled", "{status}");
        assert!(cause["message"].as_str().unwrap().contains(why), "{status}: {cause}");
        assert!(cause["files"][0]["why"].as_str().unwrap().contains(why), "{status}: {cause}");
        assert!(answered > HOUR && answered < 80 * MINUTE, "{status}: {answered:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_behind_a_call_that_gets_no_answer_is_beaten() {
    let names: Vec<_> = (0..40).map(|n| format!("/run/{n:02}/a.bam")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), 100, 2)).collect();
    let mut house =
        House::new(&files, &[], &[], |platform| platform.job_duration = Duration::from_mins(30)).await;
    house.settings.jobs.max_running_jobs = 100;
    house.settings.heartbeat.stalled_after = Duration::from_secs(90);
    house.settings.heartbeat.promise = MINUTE;
    let _instance = house.instance();
    for n in 0..40 {
        house.ask(&[&format!("/run/{n:02}/")], &format!("/in/{n:02}/"), &format!("t{n}")).await;
    }
    sleep(3 * MINUTE).await;
    house.hole.store(true, Ordering::Relaxed);
    sleep(20 * MINUTE).await;
    for n in 0..40 {
        let beats = house.callers.beats(&format!("t{n}"));
        let longest = beats.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
        assert!(longest <= MINUTE && *beats.last().unwrap() > 22 * MINUTE, "t{n}: {longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_live_root_needs_outlives_what_is_kept_of_settled_ones() {
    let mut house = house_whose_jobs_take(10 * MINUTE).await;
    house.settings.service.keep = Duration::from_secs(5);
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", HOUR).await;
    assert_eq!(output["files"]["copied"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_is_made_anew_is_not_the_one_that_was_deleted() {
    let mut house = house_whose_jobs_take(Duration::from_secs(5)).await;
    house.settings.service.keep = HOUR;
    let _instance = house.instance();
    house.ask(&["/run/a.bam"], "/new/", "first").await;
    house.success("first", 5 * MINUTE).await;
    let platform = house.platform(std::sync::Arc::new(Dice::from_seed(3)));
    let project = ProjectId::new("22222222-2222-4222-8222-222222222222");
    let path = DataPath::parse("/new/").unwrap();
    let made = platform.find(&project, &path).await.unwrap().unwrap();
    platform.delete(&project, &made.id).await.unwrap();
    // What was known of it has expired: its leases begin at the first again.
    sleep(2 * HOUR).await;
    let id = copy_manager::domain::ids::FolderId::of(&project, "/new/");
    house.store().write(Write::delete(Key::new(id.as_str(), "FOLDER"))).await.unwrap();
    house.ask(&["/run/a.bam"], "/new/", "second").await;
    house.success("second", 5 * MINUTE).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/new/").await);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_cannot_be_written_is_left_out_in_the_end() {
    let mut house = house_whose_jobs_take(Duration::from_secs(5)).await;
    house.report_to("s3://outside-data/reports/");
    house.settings.heartbeat.outage_after = 10 * MINUTE;
    house.faults(json!({"s3": [{"calls": ["PutObject"], "bucket": "outside-data", "status": 500}]}));
    let _instance = house.instance();
    // More destinations than a task can be told of.
    let deep = ["x", "y", "z", "w"].map(|name| name.repeat(200)).join("/");
    let to: Vec<_> = (0..250).map(|n| format!("icav2://{TO}/in/{n}/{deep}/")).collect();
    let manifest = json!({"icav2://lab/run/a.bam": to});
    let event = json!({
        "id": "t", "source": "lab", "detail-type": "ICAv2CopyBatchSync",
        "detail": {"taskToken": "t", "payload": {"manifest": manifest}},
    });
    house.queue.push(event.to_string()).await.unwrap();
    let (_, said) = house.answer("t", 3 * HOUR).await;
    assert!(
        matches!(&said, Said::Success(output) if output["report"].is_null()),
        "{}",
        match &said {
            Said::Success(output) | Said::Failure(_, output) =>
                text(output).chars().take(500).collect::<String>(),
            Said::Beat => String::new(),
        }
    );
}

/// Nobody comes back to tell a root that its last child has settled.
#[tokio::test(start_paused = true)]
async fn a_root_that_could_not_be_woken_is_woken_again() {
    let house = house_whose_jobs_take(MINUTE).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(30 * SECOND).await;
    house.unwoken.store(3, Ordering::Relaxed);
    house.success("t", MINUTE).await;
    assert_eq!(house.unwoken.load(Ordering::Relaxed), 0);
}

/// A clock that was a day ahead wrote when to look again.
#[tokio::test(start_paused = true)]
async fn what_is_due_later_than_anything_can_be_is_found() {
    let house = house_whose_jobs_take(5 * MINUTE).await;
    let first = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(MINUTE).await;
    drop(first);
    let store = house.store();
    for key in house.unsettled().await {
        let due_at = store.get(&key).await.unwrap().unwrap().number(DUE_AT).unwrap();
        let later = Stored::Number(due_at + 24 * 3_600_000);
        store.write(Write::update(key, vec![Change::Set(DUE_AT.into(), later)])).await.unwrap();
    }
    let _second = house.instance();
    house.success("t", 10 * MINUTE).await;
    let beats = house.callers.beats("t");
    assert!(beats.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) <= 5 * MINUTE), "{beats:?}");
}

/// Neither what comes nor what is under way waits for heartbeats that get no answer.
#[tokio::test(start_paused = true)]
async fn heartbeats_without_an_answer_hold_up_nothing_else() {
    let house = house_whose_jobs_take(MINUTE).await;
    house.callers.silent.store(true, Ordering::Relaxed);
    let _instance = house.instance();
    for n in 0..3 {
        house.ask(&["/run/"], &format!("/in/{n}/"), &format!("t{n}")).await;
    }
    sleep(5 * MINUTE).await;
    assert_eq!(ends(&house), ["SUCCEEDED"; 3]);
    for n in 0..3 {
        house.success(&format!("t{n}"), Duration::ZERO).await;
    }
}
