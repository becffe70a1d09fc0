//! What kinds need of each other and of the fleet: roots by schedule, roots that wait for another one, a pace
//! that is shared.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Chores,
    fleet::{Fleet, Instance},
    machine::{SOON, chores, settles},
};
use crate::{
    domain::{
        ids::RequestId,
        recurrence::{Recurrence, jitter},
    },
    engine::{Submitted, schedule::Schedule},
    ports::{
        platform::DataPlatform as _,
        store::{Change, Item, Key, Store as _, Write},
    },
};

fn hourly(name: &str, count: u64) -> Schedule {
    let order = Fleet::order(name, &chores(count, 0));
    Schedule {
        name: name.to_owned(),
        when: Recurrence::parse("rate(1 hour)", TimeZone::UTC).unwrap(),
        zone: "UTC".to_owned(),
        window: Duration::ZERO,
        alone: false,
        order,
    }
}

/// How often all chores of a schedule were done, by the first of its times.
fn done_at(fleet: &Fleet, schedule: &Schedule, first: i64, n: i64) -> usize {
    let root = schedule.root_at(first + n * 3_600_000);
    let order = crate::engine::Order { id: root, ..schedule.order.clone() };
    fleet.done(&order).len()
}

/// The first time of a schedule from now on, milliseconds since 1970, and how long it is until then.
fn first(fleet: &Fleet, schedule: &Schedule) -> (i64, Duration) {
    let now = Timestamp::from_millisecond(fleet.now_ms()).unwrap();
    let first = schedule.when.next(now).unwrap();
    (first.as_millisecond(), first.duration_since(now).unsigned_abs())
}

#[tokio::test(start_paused = true)]
async fn a_schedule_makes_a_root_at_each_of_its_times_whoever_dies() {
    let fleet = Fleet::new(11);
    let schedule = hourly("nightly", 2);
    let one = fleet.instance();
    one.engine.put_schedule(&schedule).await.unwrap();
    let (first, until) = first(&fleet, &schedule);
    sleep(until.saturating_sub(Duration::from_secs(5))).await;
    assert_eq!(fleet.all_done(), 0);
    sleep(Duration::from_mins(10)).await;
    assert_eq!(done_at(&fleet, &schedule, first, 0), 2);
    // The same again changes nothing.
    one.engine.put_schedule(&schedule).await.unwrap();
    sleep(Duration::from_mins(40)).await;
    assert_eq!(fleet.all_done(), 2);
    drop(one);
    let (two, other) = (fleet.instance(), fleet.instance());
    sleep(Duration::from_mins(90)).await;
    assert_eq!((done_at(&fleet, &schedule, first, 1), done_at(&fleet, &schedule, first, 2)), (2, 2));
    assert_eq!(fleet.all_done(), 6, "two instances make no root twice");
    // Where no instance was there, one root stands for all times that have passed.
    drop((two, other));
    sleep(Duration::from_hours(5)).await;
    let three = fleet.instance();
    sleep(Duration::from_mins(10)).await;
    assert_eq!((fleet.all_done(), done_at(&fleet, &schedule, first, 7)), (8, 2), "that of the last of them");
    three.engine.remove_schedule("nightly").await.unwrap();
    sleep(Duration::from_hours(3)).await;
    assert_eq!(fleet.all_done(), 8);
    settles(&fleet).await;
}

#[tokio::test(start_paused = true)]
async fn a_schedule_is_changed_by_putting_it_again() {
    let fleet = Fleet::new(12);
    let instance = fleet.instance();
    let wrong = Schedule { zone: "Mars/Olympus".to_owned(), ..hourly("a", 1) };
    assert!(instance.engine.put_schedule(&wrong).await.is_err());
    instance.engine.put_schedule(&hourly("a", 1)).await.unwrap();
    let (_, until) = first(&fleet, &hourly("a", 1));
    sleep(until + Duration::from_mins(1)).await;
    assert_eq!(fleet.all_done(), 1);
    instance.engine.put_schedule(&hourly("a", 3)).await.unwrap();
    sleep(Duration::from_hours(1)).await;
    assert_eq!(fleet.all_done(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_time_is_left_out_while_the_root_before_goes_on_where_that_is_asked_for() {
    for (alone, roots) in [(true, 1), (false, 3)] {
        let fleet = Fleet::new(17);
        let instance = fleet.instance();
        // Half an hour of chores, one after the other, every ten minutes.
        let order = Fleet::order("slow", &chores(600, 1));
        let when = Recurrence::parse("rate(10 minutes)", TimeZone::UTC).unwrap();
        let schedule = Schedule { when, alone, order, ..hourly("slow", 1) };
        instance.engine.put_schedule(&schedule).await.unwrap();
        let (first, until) = first(&fleet, &schedule);
        sleep(until + Duration::from_mins(21)).await;
        let begun = |n: &i64| {
            let id = schedule.root_at(first + n * 600_000);
            !fleet.done(&crate::engine::Order { id, ..schedule.order.clone() }).is_empty()
        };
        assert_eq!((0..3).filter(begun).count(), roots, "alone: {alone}");
    }
}

#[tokio::test(start_paused = true)]
async fn roots_of_a_schedule_begin_within_its_window_the_same_at_each_instance() {
    let fleet = Fleet::new(18);
    let instances = [fleet.instance(), fleet.instance()];
    let schedule = Schedule { window: Duration::from_mins(30), ..hourly("spread", 1) };
    for instance in &instances {
        instance.engine.put_schedule(&schedule).await.unwrap();
    }
    let (at, until) = first(&fleet, &schedule);
    let late = jitter("spread", Timestamp::from_millisecond(at).unwrap(), schedule.window);
    sleep((until + late).saturating_sub(Duration::from_secs(5))).await;
    assert_eq!(fleet.all_done(), 0);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(fleet.all_done(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_root_begins_when_the_one_it_waits_for_has_settled() {
    for dies in [false, true] {
        let fleet = Fleet::new(13);
        let instance = fleet.instance();
        let before = Fleet::order("before", &chores(6, 1));
        let after = Fleet::order("after", &Chores { after: Some(before.id.clone()), ..chores(1, 0) });
        assert_eq!(instance.engine.submit(&before).await.unwrap(), Submitted::New);
        instance.engine.submit(&after).await.unwrap();
        sleep(Duration::from_secs(4)).await;
        assert!(fleet.done(&after).is_empty());
        let instance = if dies {
            drop(instance);
            fleet.instance()
        } else {
            instance
        };
        let (ended, _) = fleet.answer("before", SOON).await;
        let (began, answer) = fleet.answer("after", SOON).await;
        answer.unwrap();
        assert!(began > ended && began < ended + Duration::from_secs(30), "{ended:?} {began:?}");
        settles(&fleet).await;
        // One that waits for what has ended, or never was, waits for nothing.
        for (name, other) in [("late", &before.id), ("vain", &RequestId::new("order.x"))] {
            let order = Fleet::order(name, &Chores { after: Some(other.clone()), ..chores(1, 0) });
            instance.engine.submit(&order).await.unwrap();
            fleet.answer(name, SOON).await.1.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_asks_before_the_end_is_stored_is_woken_again() {
    let fleet = Fleet::new(15);
    let instance = fleet.instance();
    let (root, waiter) = (RequestId::new("order.root"), RequestId::new("order.waiter"));
    let key = Key::new(root.as_str(), "REQUEST");
    let root_in = |phase: &str| Write::update(key.clone(), vec![Change::Set("phase".into(), phase.into())]);
    let wakes = async || fleet.table.get(&key).await.unwrap().unwrap().number("wakes");
    for (phase, asked) in [("FINISHING", 1), ("FINISHING", 2), ("OF_A_NEWER_VERSION", 3)] {
        fleet.table.write(root_in(phase)).await.unwrap();
        assert!(!instance.core.has_settled(&root, &waiter).await.unwrap(), "{phase}");
        assert_eq!(wakes().await, Some(asked), "the holder has to look once more");
    }
    fleet.table.write(root_in("SETTLED")).await.unwrap();
    assert!(instance.core.has_settled(&root, &waiter).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_asks_between_the_wake_and_the_end_is_woken_too() {
    let fleet = Fleet::new(16);
    let instance = fleet.instance();
    let waiter = Key::new("order.waiter", "REQUEST");
    let waits = Item::new(waiter.clone()).with("due_at", i64::MAX);
    fleet.table.write(Write::put_new(waits)).await.unwrap();
    let order = Fleet::order("before", &chores(2, 0));
    let key = Key::new(order.id.as_str(), "REQUEST");
    let asks = Write::update(
        key.clone(),
        vec![Change::Include("awaited_by".into(), waiter.id.clone()), Change::Add("wakes".into(), 1)],
    );
    *fleet.table.at_the_end.lock().unwrap() = Some((key, asks));
    instance.engine.submit(&order).await.unwrap();
    fleet.answer("before", SOON).await.1.unwrap();
    sleep(SOON).await;
    assert!(fleet.table.at_the_end.lock().unwrap().is_none());
    let woken = fleet.table.get(&waiter).await.unwrap().unwrap().number("wakes");
    assert_eq!(woken, Some(1), "it was told that what it waits for had not settled");
}

/// Has an instance share its pace, until it is told to end, or dies.
#[expect(clippy::disallowed_methods, reason = "it ends with its test")]
fn shares(instance: &Instance) -> (CancellationToken, JoinHandle<()>) {
    let end = CancellationToken::new();
    let task = tokio::spawn(instance.engine.clone().share_with_fleet(end.clone()));
    (end, task)
}

#[tokio::test(start_paused = true)]
async fn instances_keep_one_pace_together_whoever_comes_goes_or_dies() {
    let fleet = Fleet::new(14);
    let (one, two, three) = (fleet.instance(), fleet.instance(), fleet.instance());
    let pace = |instance: &Instance| instance.platform.load().per_second;
    let alone = pace(&one);
    let ends = [&one, &two, &three].map(shares);
    sleep(Duration::from_secs(45)).await;
    let together: f64 = [&one, &two, &three].map(pace).iter().sum();
    assert!((together - alone).abs() < 0.001, "{together} of {alone}");
    // One ends, and tells.
    ends[2].0.cancel();
    sleep(Duration::from_secs(25)).await;
    assert!((pace(&one) - alone / 2.0).abs() < 0.001, "{}", pace(&one));
    // One dies: it counts for a minute more.
    ends[1].1.abort();
    sleep(Duration::from_secs(10)).await;
    assert!((pace(&one) - alone / 2.0).abs() < 0.001, "{}", pace(&one));
    sleep(Duration::from_secs(90)).await;
    assert!((pace(&one) - alone).abs() < 0.001, "{}", pace(&one));
}
