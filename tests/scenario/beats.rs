//! Heartbeats are sent on signs of life; what does not move ends as `Stalled`; what nobody wants any
//! more is stopped.

use std::time::Duration;

use copy_manager::{
    engine::{Cancel, settings::OnCallerGone},
    ports::store::{Change, Item, Key, Store as _, Write},
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    doubles::Said,
    house::{House, TO},
};

const BATCH: &str = "POST /api/projects/{projectId}/dataCopyBatch";
const FILES: [(&str, u64, u32); 3] =
    [("/run/a.bam", 100, 2), ("/run/sub/b.bam", 200, 2), ("/run/sub/c.txt", 300, 1)];

/// A house whose jobs take that long, and whose timers are slow, so that hours pass quickly.
async fn slow_house(jobs_take: Duration) -> House {
    let mut house = House::new(&FILES, &[], &[], |platform| platform.job_duration = jobs_take).await;
    house.settings.service.tick = Duration::from_secs(45);
    house
}

/// The longest time that a token was left alone until `end`, counted from its request.
fn longest_silence(house: &House, token: &str, end: Duration) -> Duration {
    let mut times = vec![Duration::ZERO];
    times.extend(house.callers.beats(token).into_iter().filter(|at| *at < end));
    times.push(end);
    times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap()
}

/// Every call that a copy makes answers `status`, until `responses` are set anew.
fn outage(house: &House, status: u16) {
    let calls = [
        "GET /api/projects/{projectId}",
        "GET /api/projects",
        "GET /api/projects/{projectId}/data",
        "GET /api/projects/{projectId}/data/{dataId}",
        "GET /api/projects/{projectId}/data/{dataId}/children",
        "GET /api/jobs",
        "GET /api/jobs/{jobId}",
        "GET /api/projects/{projectId}/dataCopyBatch/{batchId}",
        "GET /api/projects/{projectId}/dataCopyBatch/{batchId}/items",
        "POST /api/projects/{projectId}/data:createFolder",
        "POST /api/projects/{projectId}/data:createFileWithUploadUrl",
        "POST /api/projects/{projectId}/data:createDownloadUrls",
        "POST /api/projects/{projectId}/data/{dataId}:createUploadUrl",
        BATCH,
    ];
    let script = |call: &&str| json!({"call": call, "times": u32::MAX, "status": status});
    house.faults(json!({"responses": calls.iter().map(script).collect::<Vec<_>>()}));
}

fn slots() -> Key {
    Key::new("slots.22222222-2222-4222-8222-222222222222", "SLOTS")
}

fn exclude(set: String, member: String) -> Change {
    Change::Exclude(set, [member].into())
}

async fn change_slots(
    house: &House,
    change: fn(String, String) -> Change,
    members: impl Iterator<Item = u32>,
) {
    for n in members {
        let change = change("running".into(), format!("other-{n}"));
        house.store().write(Write::update(slots(), vec![change])).await.unwrap();
    }
}

/// Jobs of others hold every place of the destination project.
async fn fill_slots(house: &House) {
    change_slots(house, Change::Include, 0..house.settings.jobs.max_running_jobs).await;
    for n in 0..house.settings.jobs.express_slots {
        let change = Change::Include("express".into(), format!("small-{n}"));
        house.store().write(Write::update(slots(), vec![change])).await.unwrap();
    }
}

/// How requests ended, as it was told on the bus: the error, or that there was none.
fn ends(house: &House) -> Vec<String> {
    let told = house.buses.told.lock().unwrap();
    let end = |event: &serde_json::Value| match event["status"].as_str().unwrap() {
        "FAILED" => Some(event["outcome"]["error"].as_str().unwrap().to_owned()),
        "SUCCEEDED" => Some("SUCCEEDED".to_owned()),
        _ => None,
    };
    told.iter().filter_map(end).collect()
}

async fn assert_settles(house: &House, within: Duration) {
    sleep(within).await;
    assert_eq!(house.unsettled().await, [], "nothing is owed to anyone");
}

#[tokio::test(start_paused = true)]
async fn a_long_job_is_a_sign_of_life_all_the_time() {
    let house = slow_house(Duration::from_hours(3)).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (answered, _) = house.answer("t", Duration::from_hours(4)).await;
    house.success("t", Duration::ZERO).await;
    assert!(longest_silence(&house, "t", answered) <= Duration::from_mins(5));
    assert_settles(&house, Duration::from_mins(1)).await;
}

/// Found by seed 105323: the walk of the index waited for the slowest heartbeat of each shard.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_takes_long_holds_up_no_other() {
    let house = slow_house(Duration::from_hours(1)).await;
    house.callers.slow.lock().unwrap().push("slow".to_owned());
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "slow").await;
    house.ask(&["/run/"], "/other/", "t").await;
    let (answered, _) = house.answer("t", Duration::from_hours(2)).await;
    assert!(longest_silence(&house, "t", answered) <= Duration::from_mins(5));
}

#[tokio::test(start_paused = true)]
async fn one_instance_beats_on_what_another_has_seen() {
    let mut house = slow_house(Duration::from_hours(1)).await;
    let _working = house.instance();
    // Does no work and looks for beats more often, so that it sends nearly all of them.
    house.settings.service.max_active = 0;
    house.settings.service.tick = Duration::from_secs(7);
    let _beating = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (answered, _) = house.answer("t", Duration::from_hours(2)).await;
    house.success("t", Duration::ZERO).await;
    assert!(longest_silence(&house, "t", answered) <= Duration::from_mins(5));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_hours_is_a_sign_of_life() {
    let mut house = House::new(&[("/run/a.txt", 64 << 20, 1)], &[], &[], |_| {}).await;
    house.chunk_takes = Duration::from_secs(15);
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (answered, _) = house.answer("t", Duration::from_hours(10)).await;
    house.success("t", Duration::ZERO).await;
    assert!(answered > Duration::from_hours(1), "{answered:?}");
    assert!(longest_silence(&house, "t", answered) <= Duration::from_mins(5));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_on_a_busy_instance_is_beaten() {
    let files: Vec<_> = (0..80).map(|n| format!("/run/{n}.bam")).collect();
    let files: Vec<_> = files.iter().map(|name| (name.as_str(), 1000, 2)).collect();
    let mut house = House::new(&files, &[], &[], |_| {}).await;
    house.settings.service.max_active = 1;
    house.settings.heartbeat.promise = Duration::from_mins(1);
    house.settings.heartbeat.stalled_after = Duration::from_secs(80);
    let _instance = house.instance();
    for n in 0..80 {
        house.ask(&[&format!("/run/{n}.bam")], &format!("/in/{n}/"), &format!("t{n}")).await;
    }
    let mut last = Duration::ZERO;
    for n in 0..80 {
        let token = format!("t{n}");
        let (answered, _) = house.answer(&token, Duration::from_hours(1)).await;
        house.success(&token, Duration::ZERO).await;
        let silence = longest_silence(&house, &token, answered);
        assert!(silence <= Duration::from_mins(1), "{token}: {silence:?}");
        last = last.max(answered);
    }
    assert!(last > Duration::from_secs(160), "{last:?} is too short to tell");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_two_hours_is_sat_out_with_beats() {
    for status in [503, 500, 429] {
        let house = slow_house(Duration::from_mins(10)).await;
        let _instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        sleep(Duration::from_mins(1)).await;
        outage(&house, status);
        sleep(Duration::from_hours(2)).await;
        assert_eq!(house.callers.answer("t"), None, "{status}");
        house.faults(json!({"responses": []}));
        let (answered, _) = house.answer("t", Duration::from_mins(20)).await;
        house.success("t", Duration::ZERO).await;
        assert!(longest_silence(&house, "t", answered) <= Duration::from_mins(5), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_without_end_stops_the_beats_and_then_the_request() {
    // It begins before the request, so that not even the plan can be made, or while jobs run.
    for begun in [false, true] {
        let house = slow_house(Duration::from_mins(10)).await;
        let _instance = house.instance();
        if !begun {
            outage(&house, 503);
        }
        house.ask(&["/run/"], "/in/", "t").await;
        sleep(Duration::from_mins(1)).await;
        outage(&house, 503);
        sleep(Duration::from_hours(7)).await;
        let (answered, _) = house.answer("t", Duration::ZERO).await;
        let (error, cause) = house.failure("t", Duration::ZERO).await;
        assert_eq!(error, "Stalled");
        assert!(cause["message"].as_str().unwrap().contains("503"), "{cause}");
        let within = Duration::from_hours(6)..Duration::from_mins(6 * 60 + 35);
        assert!(within.contains(&answered), "{answered:?}");
        let last = *house.callers.beats("t").last().unwrap();
        assert!(
            (Duration::from_mins(355)..Duration::from_mins(365)).contains(&last),
            "the last beat came after {last:?}"
        );
        assert!(longest_silence(&house, "t", last) <= Duration::from_mins(5));
        house.faults(json!({"responses": []}));
        house.ask(&["/run/"], "/in/", "again").await;
        house.success("again", Duration::from_mins(30)).await;
        assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
        assert_settles(&house, Duration::from_mins(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_move_is_no_longer_beaten_and_ends_stalled_with_its_reason() {
    let house = House::new(&FILES, &[], &[("/in/run/a.bam", 99, 2)], |_| {}).await;
    house.faults(json!({"deleteDelay": "1000h"}));
    let _instance = house.instance();
    house.ask_with(&["/run/"], "/in/", "t", None, json!({"onConflict": "overwrite"})).await;
    let (answered, _) = house.answer("t", Duration::from_mins(45)).await;
    let (error, cause) = house.failure("t", Duration::ZERO).await;
    assert_eq!(error, "Stalled");
    let told = &cause["files"];
    assert_eq!(told.as_array().unwrap().len(), 1, "{cause}");
    assert!(told[0]["what"].as_str().unwrap().ends_with("/in/run/"), "{cause}");
    let why = "a.bam: is being deleted at the destination";
    assert_eq!(told[0]["why"], why);
    assert!(cause["message"].as_str().unwrap().contains("1 of 2 folders"), "{cause}");
    // Not before its time, and not beaten beyond it.
    assert!(answered >= Duration::from_mins(30), "{answered:?}");
    let last = *house.callers.beats("t").last().unwrap();
    assert!((Duration::from_mins(25)..Duration::from_mins(31)).contains(&last), "{last:?}");
    // What could be brought was, and is told.
    assert!(house.tree(TO, "/in/run/sub/").await.iter().any(|(path, ..)| path == "b.bam"));
    assert_settles(&house, Duration::from_mins(5)).await;
    assert_eq!(ends(&house), ["Stalled"]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_move_stalls_those_who_stand_in_it() {
    let house = House::new(&[("/run/a.bam", 100, 2)], &[], &[], |_| {}).await;
    fill_slots(&house).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (error, cause) = house.failure("t", Duration::from_mins(45)).await;
    assert_eq!(error, "Stalled");
    assert!(crate::house::text(&cause).contains("icav2.max_running_jobs"), "{cause}");
    assert_settles(&house, Duration::from_mins(5)).await;
    assert_eq!(house.calls(Some(BATCH)), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_moves_is_a_sign_of_life() {
    let house = House::new(&[("/run/a.bam", 100, 2)], &[], &[], |_| {}).await;
    fill_slots(&house).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    for n in 0..6 {
        sleep(Duration::from_mins(20)).await;
        // One of theirs ends, and the next of theirs is first.
        let next = Change::Include("running".into(), format!("next-{n}"));
        let ended = exclude("running".into(), format!("other-{n}"));
        house.store().write(Write::update(slots(), vec![next])).await.unwrap();
        house.store().write(Write::update(slots(), vec![ended])).await.unwrap();
    }
    change_slots(&house, exclude, 6..20).await;
    let (answered, _) = house.answer("t", Duration::from_mins(5)).await;
    house.success("t", Duration::ZERO).await;
    assert!(longest_silence(&house, "t", answered) <= Duration::from_mins(5));
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_after_the_silence_is_followed_by_a_beat() {
    // Wherever between the fourth beat and the fifth the silence begins.
    for silence in (660..740).step_by(10) {
        let mut house = House::new(&[("/run/a.bam", 100, 2)], &[], &[("/in/run/a.bam", 99, 2)], |platform| {
            platform.job_duration = Duration::from_mins(10);
        })
        .await;
        house.settings.heartbeat.stalled_after = Duration::from_secs(silence);
        // Gone just after the beats have stopped, and before anything has been decided.
        house.faults(json!({"deleteDelay": silence + 10}));
        let _instance = house.instance();
        house.ask_with(&["/run/"], "/in/", "t", None, json!({"onConflict": "overwrite"})).await;
        let (answered, _) = house.answer("t", Duration::from_hours(1)).await;
        house.success("t", Duration::ZERO).await;
        let longest = longest_silence(&house, "t", answered);
        assert!(longest <= Duration::from_mins(5), "{silence}: {longest:?}");
    }
}

/// A request for ten jobs, of which two run at a time.
async fn ten_jobs() -> House {
    let files: Vec<_> = (0..10).map(|n| format!("/run/{n}.bam")).collect();
    let files: Vec<_> = files.iter().map(|name| (name.as_str(), 1000, 2)).collect();
    let mut house =
        House::new(&files, &[], &[], |platform| platform.job_duration = Duration::from_mins(4)).await;
    house.settings.jobs.max_items_per_job = 1;
    house.settings.jobs.max_running_jobs = 2;
    house.settings.jobs.express_slots = 0;
    house
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_nobody_waits_for_is_stopped_where_that_is_asked_for() {
    let mut house = ten_jobs().await;
    house.settings.heartbeat.on_caller_gone = OnCallerGone::Stop;
    let _instance = house.instance();
    house.ask_as(&["/run/"], "/in/", "one", Some("mine")).await;
    house.ask_as(&["/run/"], "/in/", "two", Some("mine")).await;
    sleep(Duration::from_secs(30)).await;
    house.callers.leave("one");
    sleep(Duration::from_mins(9)).await;
    let jobs = house.calls(Some(BATCH));
    assert!(jobs >= 4, "as long as one waits, it goes on: {jobs}");
    house.callers.leave("two");
    sleep(Duration::from_mins(5)).await;
    let jobs = house.calls(Some(BATCH));
    assert!(jobs < 10, "{jobs}");
    assert_settles(&house, Duration::from_mins(20)).await;
    assert_eq!(house.calls(Some(BATCH)), jobs, "no job is begun for nobody");
    assert_eq!(house.slots().await, 0);
    assert_eq!(ends(&house), ["Cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_nobody_waits_for_is_finished_otherwise() {
    let house = ten_jobs().await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(Duration::from_secs(30)).await;
    house.callers.leave("t");
    assert_settles(&house, Duration::from_mins(40)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_ends_at_once_and_begins_nothing_more() {
    let house = ten_jobs().await;
    let instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(Duration::from_mins(6)).await;
    let id = house.buses.told.lock().unwrap()[0]["requestId"].as_str().unwrap().to_owned();
    assert_eq!(instance.engine.cancel(&id, "not needed").await.unwrap(), Cancel::Stopping);
    assert_eq!(instance.engine.cancel(&id, "twice").await.unwrap(), Cancel::Stopping);
    let jobs = house.calls(Some(BATCH));
    let (error, cause) = house.failure("t", Duration::from_secs(10)).await;
    assert_eq!(error, "Cancelled");
    assert!(cause["message"].as_str().unwrap().ends_with("not needed"), "{cause}");
    assert_settles(&house, Duration::from_mins(10)).await;
    assert_eq!(house.calls(Some(BATCH)), jobs, "no job is begun any more");
    assert_eq!(house.slots().await, 0);
    let copied = house.tree(TO, "/in/run/").await.len();
    assert!((1..10).contains(&copied), "{copied}");
    assert_eq!(ends(&house), ["Cancelled"], "it is told once");
    assert_eq!(instance.engine.cancel(&id, "late").await.unwrap(), Cancel::Ended);
    assert_eq!(instance.engine.cancel("nobody", "?").await.unwrap(), Cancel::Unknown);
    assert_eq!(house.failure("t", Duration::ZERO).await.0, "Cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_open_when_its_request_is_cancelled_is_not_submitted() {
    let mut house = House::new(&FILES[..1], &[], &[], |_| {}).await;
    house.settings.jobs.batch_window = Duration::from_secs(10);
    let instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(Duration::from_secs(5)).await;
    let id = house.buses.told.lock().unwrap()[0]["requestId"].as_str().unwrap().to_owned();
    instance.engine.cancel(&id, "not needed").await.unwrap();
    assert_eq!(house.failure("t", Duration::from_secs(10)).await.0, "Cancelled");
    assert_settles(&house, Duration::from_mins(1)).await;
    assert_eq!(house.calls(Some(BATCH)), 0);
}

#[tokio::test(start_paused = true)]
async fn a_folder_streams_nothing_for_a_request_that_is_to_end_before_its_children_know() {
    let house = House::new(&[("/run/c.txt", 300, 1)], &[], &[], |_| {}).await;
    let put = "PUT /sim/bytes/{token}";
    house.faults(json!({"responses": [{"call": put, "times": 1000, "status": 500}]}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(Duration::from_secs(10)).await;
    let id = house.buses.told.lock().unwrap()[0]["requestId"].as_str().unwrap().to_owned();
    // Whoever gives the order dies with it, so that nobody is woken.
    let failure = json!({"error": "Cancelled", "message": "m", "culprits": [], "culprits_total": 0});
    let order = Item::new(Key::new(id, "STOP")).with("failure", failure.to_string());
    house.store().write(Write::put_new(order)).await.unwrap();
    house.faults(json!({"responses": []}));
    assert_eq!(house.failure("t", Duration::from_mins(5)).await.0, "Cancelled");
    assert_settles(&house, Duration::from_mins(5)).await;
    let there = house.tree(TO, "/in/run/").await;
    assert!(there.iter().all(|(_, status, _)| status != "Available"), "{there:?}");
}

#[tokio::test(start_paused = true)]
async fn others_who_wait_for_the_folder_of_a_cancelled_request_are_served() {
    let files = [("/one/a.bam", 100, 2), ("/one/a.txt", 9, 1), ("/two/b.bam", 200, 2)];
    let house = House::new(&files, &[], &[], |_| {}).await;
    fill_slots(&house).await;
    let instance = house.instance();
    house.ask(&["/one/a.bam"], "/in/", "one").await;
    sleep(Duration::from_secs(1)).await;
    let id = house.buses.told.lock().unwrap()[0]["requestId"].as_str().unwrap().to_owned();
    house.ask(&["/two/b.bam"], "/in/", "two").await;
    sleep(Duration::from_mins(2)).await;
    instance.engine.cancel(&id, "not needed").await.unwrap();
    assert_eq!(house.failure("one", Duration::from_secs(10)).await.0, "Cancelled");
    change_slots(&house, exclude, 0..20).await;
    house.success("two", Duration::from_mins(5)).await;
    let there = house.tree(TO, "/in/").await;
    assert_eq!(there.iter().map(|(path, ..)| path.as_str()).collect::<Vec<_>>(), ["b.bam"]);
    assert_settles(&house, Duration::from_mins(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_at_any_moment_gives_one_answer_even_if_the_instance_dies_with_it() {
    for at in [0, 20, 1000, 2500, 4000, 6000] {
        let house =
            House::new(&FILES, &[], &[], |platform| platform.job_duration = Duration::from_secs(3)).await;
        let instance = house.instance();
        house.ask_as(&["/run/"], "/in/", "t", Some("mine")).await;
        // Until it is stored.
        while house.callers.beats("t").is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(at)).await;
        let keys = house.unsettled().await;
        let root = keys.iter().find(|key| key.id_type.starts_with("TOKEN#")).map(|key| key.id.clone());
        if let Some(root) = &root {
            instance.engine.cancel(root, "not needed").await.unwrap();
        }
        drop(instance);
        let _next = house.instance();
        let (_, said) = house.answer("t", Duration::from_mins(5)).await;
        match said {
            Said::Failure(error, _) => assert_eq!(error, "Cancelled"),
            Said::Success(_) => assert!(at >= 4000, "cancelled after {at} ms"),
            Said::Beat => unreachable!(),
        }
        assert_settles(&house, Duration::from_mins(15)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_batch_with_a_cancelled_request_does_not_wait_for_long() {
    for into_the_window in [200, 1000, 1800, 2500] {
        let files = [("/one/a.bam", 100, 2), ("/two/b.bam", 200, 2)];
        let house = House::new(&files, &[], &[], |platform| platform.job_failure_rate = 0.0).await;
        let instance = house.instance();
        house.ask(&["/one/a.bam"], "/in/", "one").await;
        house.ask(&["/two/b.bam"], "/in/", "two").await;
        sleep(Duration::from_millis(into_the_window)).await;
        let id = house.buses.told.lock().unwrap()[0]["requestId"].as_str().unwrap().to_owned();
        instance.engine.cancel(&id, "not needed").await.unwrap();
        assert_eq!(house.failure("one", Duration::from_secs(10)).await.0, "Cancelled");
        house.success("two", Duration::from_mins(1)).await;
        assert_settles(&house, Duration::from_mins(2)).await;
    }
}
