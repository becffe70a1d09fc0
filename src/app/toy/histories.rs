//! A hundred histories of chores: the table fails, instances die and come back, orders are repeated and
//! cancelled. Whatever happens, each order has one answer, and nothing is left.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use super::{Chores, fleet::Fleet};
use crate::ports::chance::{Chance as _, Dice};

async fn lives(seed: u64) {
    let dice = Dice::from_seed(seed);
    let below = |most: u64| dice.number() % most;
    let fleet = Fleet::new(seed);
    let mut instances = vec![Some(fleet.instance()), Some(fleet.instance())];
    fleet.table.odds.store([0, 10_000, 50_000][usize::try_from(below(3)).unwrap()], Ordering::Relaxed);
    let orders: Vec<_> = (0..=below(4))
        .map(|n| {
            let (count, in_flight) = (1 + below(40), [0, 1, 3, 10][usize::try_from(below(4)).unwrap()]);
            let chores =
                Chores { count, in_flight, one_waits_in: below(5), stuck: None, deadly: None, after: None };
            (Fleet::order(&n.to_string(), &chores), chores, below(6) == 0)
        })
        .collect();
    let mut given = vec![false; orders.len()];
    for _ in 0..30 {
        for ((order, _, is_cancelled), given) in orders.iter().zip(&mut given) {
            let Some(instance) = instances.iter().flatten().next() else { continue };
            // A caller that gets no answer asks again, and some do although they have got one.
            if !*given || below(10) == 0 {
                *given |= instance.engine.submit(order).await.is_ok();
            } else if *is_cancelled && below(5) == 0 {
                drop(instance.engine.cancel(order.id.as_str(), "by chance").await);
            }
        }
        if below(4) == 0 {
            let n = usize::try_from(below(2)).unwrap();
            instances[n] = if instances[n].is_some() { None } else { Some(fleet.instance()) };
        }
        sleep(Duration::from_secs(1 + below(20))).await;
    }
    fleet.table.odds.store(0, Ordering::Relaxed);
    for instance in &mut instances {
        instance.get_or_insert_with(|| fleet.instance());
    }
    for ((order, ..), given) in orders.iter().zip(&mut given) {
        if !*given {
            instances[0].as_ref().unwrap().engine.submit(order).await.unwrap();
        }
    }
    for (n, (order, chores, is_cancelled)) in orders.iter().enumerate() {
        let (_, answer) = fleet.answer(&n.to_string(), Duration::from_hours(2)).await;
        match answer {
            Ok(output) => {
                assert_eq!(output["files"]["copied"], chores.count, "seed {seed}");
                assert_eq!(fleet.done(order).len() as u64, chores.count, "seed {seed}");
            }
            Err(error) => assert!(*is_cancelled && error.ends_with("Cancelled"), "seed {seed}: {error}"),
        }
    }
    for _ in 0..1000 {
        if fleet.open().await == 0 {
            return;
        }
        sleep(Duration::from_secs(5)).await;
    }
    panic!("seed {seed}: {} records are still due", fleet.open().await);
}

fn all(seeds: std::ops::RangeInclusive<u64>) {
    for seed in seeds {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(lives(seed));
    }
}

// In four parts, so that they can run side by side.

#[test]
fn histories_1_to_25_end_well() {
    all(1..=25);
}

#[test]
fn histories_26_to_50_end_well() {
    all(26..=50);
}

#[test]
fn histories_51_to_75_end_well() {
    all(51..=75);
}

#[test]
fn histories_76_to_100_end_well() {
    all(76..=100);
}
