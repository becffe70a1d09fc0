//! What the engine promises to any kind.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use super::{Chores, fleet::Fleet};
use crate::engine::{Cancel, Submitted};

pub(super) fn chores(count: u64, in_flight: u64) -> Chores {
    Chores { count, in_flight, one_waits_in: 0, stuck: None, deadly: None, after: None }
}

pub(super) const SOON: Duration = Duration::from_mins(10);

pub(super) async fn settles(fleet: &Fleet) {
    for _ in 0..200 {
        if fleet.open().await == 0 {
            return;
        }
        sleep(Duration::from_secs(5)).await;
    }
    panic!("{} records are still due", fleet.open().await);
}

#[tokio::test(start_paused = true)]
async fn an_order_is_worked_off_once_and_answered_once() {
    let fleet = Fleet::new(1);
    let instance = fleet.instance();
    let order = Fleet::order("a", &chores(40, 0));
    assert_eq!(instance.engine.submit(&order).await.unwrap(), Submitted::New);
    assert_eq!(instance.engine.submit(&order).await.unwrap(), Submitted::Known);
    let mut other = Fleet::order("a", &chores(41, 0));
    other.token = None;
    assert_eq!(instance.engine.submit(&other).await.unwrap(), Submitted::Other);
    let (_, answer) = fleet.answer("a", SOON).await;
    assert_eq!(answer.unwrap()["files"]["copied"], 40);
    assert_eq!(fleet.done(&order), [1; 40]);
    settles(&fleet).await;
    // Given again when it has ended, it is answered as it was, and nothing is done twice.
    let again = crate::engine::Order { token: Fleet::order("b", &chores(1, 0)).token, ..order.clone() };
    assert_eq!(instance.engine.submit(&again).await.unwrap(), Submitted::Known);
    assert_eq!(fleet.answer("b", SOON).await.1.unwrap()["files"]["copied"], 40);
    assert_eq!(fleet.done(&order), [1; 40]);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_under_way_than_asked_for() {
    let fleet = Fleet::new(2);
    let instance = fleet.instance();
    instance.engine.submit(&Fleet::order("a", &chores(12, 3))).await.unwrap();
    fleet.answer("a", SOON).await.1.unwrap();
    assert_eq!(fleet.world.most.load(Ordering::Relaxed), 3);
    settles(&fleet).await;
}

#[tokio::test(start_paused = true)]
async fn who_only_waits_leaves_its_place_to_others() {
    let fleet = Fleet::new(3);
    let instance = fleet.instance();
    let order = Fleet::order("a", &Chores { one_waits_in: 2, ..chores(40, 2) });
    instance.engine.submit(&order).await.unwrap();
    let (at, answer) = fleet.answer("a", Duration::from_hours(1)).await;
    assert!(answer.is_ok());
    // One after the other, twenty waits of two minutes would take twenty minutes, in two places.
    assert!(at < Duration::from_mins(15), "{at:?}");
    assert_eq!(fleet.done(&order), [1; 40]);
    settles(&fleet).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_dies_is_followed_when_its_leases_end() {
    let fleet = Fleet::new(4);
    let first = fleet.instance();
    let order = Fleet::order("a", &chores(30, 5));
    first.engine.submit(&order).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    drop(first);
    let _second = fleet.instance();
    let (at, answer) = fleet.answer("a", SOON).await;
    assert!(answer.is_ok() && at < Duration::from_mins(2), "{at:?}");
    assert_eq!(fleet.done(&order).len(), 30);
    settles(&fleet).await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_move_ends_stalled_and_is_beaten_no_longer() {
    let fleet = Fleet::new(5);
    let instance = fleet.instance();
    instance.engine.submit(&Fleet::order("a", &Chores { stuck: Some(2), ..chores(4, 0) })).await.unwrap();
    let (at, answer) = fleet.answer("a", Duration::from_hours(3)).await;
    assert_eq!(answer.unwrap_err(), "Stalled");
    let stalled = fleet.settings.heartbeat.stalled_after;
    assert!(at > stalled && at < stalled + Duration::from_mins(10), "{at:?}");
    settles(&fleet).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_ends_at_once_and_its_children_do_too() {
    let fleet = Fleet::new(6);
    let instance = fleet.instance();
    let order = Fleet::order("a", &Chores { one_waits_in: 1, ..chores(50, 4) });
    instance.engine.submit(&order).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    let cancelled = instance.engine.cancel(order.id.as_str(), "no longer wanted").await.unwrap();
    assert_eq!(cancelled, Cancel::Stopping);
    let (at, answer) = fleet.answer("a", SOON).await;
    assert_eq!(answer.unwrap_err(), "Cancelled");
    assert!(at < Duration::from_mins(1), "{at:?}");
    settles(&fleet).await;
    assert_eq!(fleet.done(&order), [0_u32; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_kills_its_instances_is_given_up_and_the_others_end() {
    let fleet = Fleet::new(7);
    let mut instance = fleet.instance();
    let order = Fleet::order("a", &Chores { deadly: Some(1), ..chores(4, 0) });
    instance.engine.submit(&order).await.unwrap();
    for _ in 0..60 {
        if !fleet.callers.answers.lock().unwrap().is_empty() {
            break;
        }
        sleep(Duration::from_secs(40)).await;
        // Its process is dead with it.
        drop(instance);
        instance = fleet.instance();
    }
    let (_, answer) = fleet.answer("a", SOON).await;
    assert_eq!(answer.unwrap()["files"]["copied"], 3);
    settles(&fleet).await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_in_time_while_there_is_life() {
    let fleet = Fleet::new(8);
    let instance = fleet.instance();
    instance.engine.submit(&Fleet::order("a", &chores(300, 1))).await.unwrap();
    let (at, answer) = fleet.answer("a", Duration::from_hours(2)).await;
    assert!(answer.is_ok() && at > Duration::from_mins(15), "{at:?}");
    let beats: Vec<_> = fleet.callers.beats.lock().unwrap().iter().map(|(at, _)| *at).collect();
    let times: Vec<_> = [Duration::ZERO].into_iter().chain(beats).chain([at]).collect();
    assert!(times.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) < fleet.settings.heartbeat.promise));
}

#[tokio::test(start_paused = true)]
async fn a_chore_costs_few_calls_of_the_table() {
    let fleet = Fleet::new(9);
    let instance = fleet.instance();
    instance.engine.submit(&Fleet::order("a", &chores(100, 0))).await.unwrap();
    fleet.answer("a", SOON).await.1.unwrap();
    let calls = fleet.table.calls.load(Ordering::Relaxed);
    assert!(calls < 100 * 12, "{calls} calls for 100 chores");
}
