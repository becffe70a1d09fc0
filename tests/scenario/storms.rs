//! What would keep a caller waiting after everything is well again.

use std::{sync::atomic::Ordering, time::Duration};

use copy_manager::ports::store::{Change, Key, Store as _, Write};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::house::{House, TO};

const DELETE: &str = "POST /api/projects/{projectId}/data/{dataId}:delete";
const FILES: [(&str, u64, u32); 2] = [("/run/a.bam", 100, 2), ("/run/b.bam", 200, 2)];

/// The documents of all folders that are not settled.
async fn folders(house: &House) -> Vec<Value> {
    let mut documents = Vec::new();
    for key in house.unsettled().await {
        let item = house.store().get(&key).await.unwrap();
        if let Some(text) =
            item.as_ref().filter(|_| key.id_type == "FOLDER").and_then(|item| item.text("state"))
        {
            documents.push(serde_json::from_str(text).unwrap());
        }
    }
    documents
}

fn has_condemned(document: &Value) -> bool {
    document["condemned"].as_object().is_some_and(|condemned| !condemned.is_empty())
}

/// A house whose jobs fail until told otherwise, and leave PARTIAL files.
async fn house_of_failing_jobs() -> House {
    House::new(&FILES, &[], &[], |platform| {
        platform.job_failure_rate = 1.0;
        platform.latency = Duration::from_millis(100);
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn who_dies_on_the_way_to_a_deletion_costs_a_lease() {
    let house = house_of_failing_jobs().await;
    let first = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    while !folders(&house).await.iter().any(has_condemned) {
        sleep(Duration::from_millis(10)).await;
    }
    drop(first);
    house.faults(json!({"jobFailureRate": 0.0}));
    let _second = house.instance();
    house.success("t", Duration::from_mins(3)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_without_an_answer_costs_a_pause() {
    for after in [false, true] {
        let house = house_of_failing_jobs().await;
        let _instance = house.instance();
        let lost = json!({"call": DELETE, "times": 2, "status": "close", "after": after});
        house.faults(json!({"responses": [lost]}));
        house.ask(&["/run/"], "/in/", "t").await;
        while house.calls(Some(DELETE)) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        house.faults(json!({"jobFailureRate": 0.0}));
        house.success("t", Duration::from_mins(3)).await;
        assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    }
}

/// Waits until a folder is held that has not been before, or not as often; how often it has been.
async fn until_held_again(house: &House, before: i64) -> i64 {
    for _ in 0..4 * 60 * 10 {
        for key in house.unsettled().await.into_iter().filter(|key| key.id_type == "FOLDER") {
            let Some(item) = house.store().get(&key).await.unwrap() else { continue };
            let epoch = item.number("epoch").unwrap_or(0);
            if epoch > before && item.text("owner").is_some_and(|owner| !owner.is_empty()) {
                return epoch;
            }
        }
        sleep(Duration::from_millis(250)).await;
    }
    panic!("nobody has held the folder for ten minutes");
}

/// A house in which every call takes its time, and one instance after the other was killed while it held
/// the folder of a request.
async fn house_of_the_dead(killed: u32) -> House {
    let house = House::new(&FILES, &[], &[], |platform| platform.latency = Duration::from_secs(1)).await;
    house.ask(&["/run/"], "/in/", "t").await;
    let mut held = 0;
    for _ in 0..killed {
        let _instance = house.instance();
        held = until_held_again(&house, held).await;
    }
    house
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_away_for_seconds_costs_seconds() {
    // From when the request has been stored until it has ended.
    for at in (5..40).map(|n| n * 200) {
        let house = House::new(&FILES, &[], &[], |platform| {
            platform.latency = Duration::from_millis(100);
            platform.job_duration = Duration::from_secs(3);
        })
        .await;
        let _instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        sleep(Duration::from_millis(at)).await;
        house.away.store(true, Ordering::Relaxed);
        sleep(Duration::from_secs(4)).await;
        house.away.store(false, Ordering::Relaxed);
        let (took, _) = house.answer("t", Duration::from_mins(10)).await;
        // Less than the rest of a lease would take.
        assert!(took < Duration::from_secs(40), "away after {at} ms: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whose_instances_were_killed_again_and_again_is_copied_all_the_same() {
    let house = house_of_the_dead(8).await;
    let _instance = house.instance();
    house.success("t", Duration::from_mins(5)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn what_kills_every_instance_is_given_up() {
    let house = house_of_the_dead(9).await;
    let _instance = house.instance();
    let (error, cause) = house.failure("t", Duration::from_mins(5)).await;
    assert_eq!(error, "Internal");
    assert!(cause["message"].as_str().unwrap().contains("broke every process"), "{cause}");
}

/// How often the folder with that destination has been held, once it is held more often than before; `None`
/// when the token has been answered.
async fn until_its_turn(house: &House, token: &str, folder: &str, before: i64) -> Option<i64> {
    for _ in 0..30 * 60 * 4 {
        if house.callers.answer(token).is_some() {
            return None;
        }
        for key in house.unsettled().await.into_iter().filter(|key| key.id_type == "FOLDER") {
            let Some(item) = house.store().get(&key).await.unwrap() else { continue };
            let is_meant = item.text("destination").is_some_and(|at| at.ends_with(folder));
            let epoch = item.number("epoch").unwrap_or(0);
            if is_meant && epoch > before && item.text("owner").is_some_and(|owner| !owner.is_empty()) {
                return Some(epoch);
            }
        }
        sleep(Duration::from_millis(250)).await;
    }
    panic!("nobody has held {folder} for half an hour");
}

#[tokio::test(start_paused = true)]
async fn who_works_beside_a_killer_is_not_given_up_with_it() {
    let calm: Vec<_> = (0..8).map(|n| format!("/calm/{n}.txt")).collect();
    let mut files = FILES.to_vec();
    // Streams that take longer than any instance lives.
    files.extend(calm.iter().map(|path| (path.as_str(), 5 << 20, 1)));
    let mut house = House::new(&files, &[], &[], |platform| platform.latency = Duration::from_secs(1)).await;
    house.chunk_takes = Duration::from_secs(10);
    house.ask(&["/run/"], "/in/", "killer").await;
    for (n, path) in calm.iter().enumerate() {
        house.ask(&[path], &format!("/calm/{n}/"), &format!("t{n}")).await;
    }
    let (mut held, mut killed) = (0, 0);
    loop {
        let _instance = house.instance();
        match until_its_turn(&house, "killer", "/in/run/", held).await {
            Some(epoch) => held = epoch,
            None => break,
        }
        // The others are at work by then.
        sleep(Duration::from_secs(5)).await;
        killed += 1;
        assert!(killed < 20, "the killer is found in the end");
    }
    assert_eq!(house.failure("killer", Duration::ZERO).await.0, "Internal");
    assert!(killed >= 9, "{killed}");
    let _instance = house.instance();
    for n in 0..calm.len() {
        house.success(&format!("t{n}"), Duration::from_hours(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_given_up_for_a_table_that_goes_away_again_and_again() {
    let house = House::new(&FILES, &[], &[], |platform| {
        platform.latency = Duration::from_secs(1);
        platform.job_duration = Duration::from_mins(30);
    })
    .await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let mut held = 0;
    for _ in 0..12 {
        held = until_held_again(&house, held).await;
        house.away.store(true, Ordering::Relaxed);
        sleep(Duration::from_secs(70)).await;
        house.away.store(false, Ordering::Relaxed);
    }
    house.success("t", Duration::from_hours(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_taken_late_by_the_dead_comes_back() {
    let mut house = House::new(&FILES, &[], &[], |_| {}).await;
    (house.settings.jobs.max_running_jobs, house.settings.jobs.express_slots) = (1, 0);
    let change_slots = async |change: Change| {
        let slots = Key::new("slots.22222222-2222-4222-8222-222222222222", "SLOTS");
        house.store().write(Write::update(slots, vec![change])).await.unwrap();
    };
    change_slots(Change::Include("running".into(), "other".into())).await;
    let first = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(Duration::from_secs(30)).await;
    let wish =
        folders(&house).await.iter().find_map(|folder| Some(folder["wish"]["member"].as_str()?.to_owned()));
    drop(first);
    let second = house.instance();
    sleep(Duration::from_secs(90)).await;
    let id = house.buses.told.lock().unwrap()[0]["requestId"].as_str().unwrap().to_owned();
    second.engine.cancel(&id, "not needed").await.unwrap();
    house.failure("t", Duration::from_secs(10)).await;
    sleep(Duration::from_secs(30)).await;
    // Only now what the first one asked for arrives.
    change_slots(Change::Include("running".into(), wish.unwrap())).await;
    change_slots(Change::Exclude("running".into(), ["other".to_owned()].into())).await;
    sleep(Duration::from_mins(11)).await;
    assert_eq!((house.slots().await, house.unsettled().await), (0, vec![]));
}
