//! Places in the minute: over all instances not more than the account may have.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::world::{Fault, SECRET, Seen, Service, client_of, client_with, service, settings};
use crate::{
    dap::{
        Dap, Settings,
        places::{InStore, Rates},
    },
    domain::replica::names::TableName,
    ports::{
        Class, Error, Result,
        chance::Dice,
        source::{Format, Query, Source as _},
        store::{Due, EXPIRE_AT, Item, Key, Recent, Store, Transacted, Write, Written, apply},
    },
};

const DATA: &str = "POST /dap/query/canvas/table/";

/// A table in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<BTreeMap<Key, Item>>);

#[async_trait]
impl Store for Memory {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    async fn get_many(&self, _: &[Key]) -> Result<Vec<Item>> {
        unreachable!("not asked here")
    }

    async fn query(&self, _: &str, _: &str) -> Result<Vec<Item>> {
        unreachable!("not asked here")
    }

    async fn write(&self, write: Write) -> Result<Written> {
        let mut items = self.0.lock().unwrap();
        let written = apply(items.get(&write.key), &write)?;
        if let Written::Done(Some(item)) = &written {
            items.insert(write.key, item.clone());
        }
        Ok(written)
    }

    async fn transact(&self, _: Vec<Write>) -> Result<Transacted> {
        unreachable!("not asked here")
    }

    async fn due(&self, _: u8, _: i64, _: usize) -> Result<Vec<Due>> {
        unreachable!("not asked here")
    }

    async fn due_after(&self, _: u8, _: i64, _: usize) -> Result<Vec<Due>> {
        unreachable!("not asked here")
    }

    async fn recent(&self, _: i64, _: i64, _: usize) -> Result<Vec<Recent>> {
        unreachable!("not asked here")
    }
}

/// Instances that share a table.
fn fleet(service: &Arc<Service>, store: &Arc<Memory>, instances: u64, settings: &Settings) -> Vec<Dap> {
    let instance = |n| {
        let rates = Rates { limits: settings.limits, minute: settings.minute };
        let (store, chance) = (Arc::clone(store) as _, Arc::new(Dice::from_seed(n)));
        let places = InStore::new(store, service.clock(), chance, &settings.client_id, rates);
        client_with(service, settings, Arc::new(places)).unwrap()
    };
    (0..instances).map(instance).collect()
}

/// Asks for a table, as often as it takes.
async fn ask(dap: &Dap, table: usize) -> usize {
    let table = TableName::new("canvas", format!("t{table}"));
    for tries in 1.. {
        match dap.ask(&table, &Query::Snapshot, Format::Tsv).await {
            Ok(_) => return tries,
            Err(error) => {
                assert_eq!(error.class, Class::Throttled, "{error}");
                sleep(error.retry_after.expect("when there is a place")).await;
            }
        }
    }
    unreachable!("it takes its turn")
}

fn answered(service: &Service, tables: usize) {
    for table in 0..tables {
        service.answer(&format!("{DATA}t{table}/data"), &json!({ "id": "j", "status": "waiting" }));
    }
}

/// The most calls in any minute.
fn most_in(minute: Duration, seen: &[Seen]) -> usize {
    let at: Vec<_> = seen.iter().filter(|seen| seen.line.starts_with(DATA)).map(|seen| seen.at).collect();
    at.iter()
        .map(|start| at.iter().filter(|at| *at >= start && **at < *start + minute).count())
        .max()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_fleet_keeps_to_the_limit_in_every_minute() {
    let service = service();
    answered(&service, 32);
    let store = Arc::new(Memory::default());
    let fleet = fleet(&service, &store, 3, &settings());
    let start = Instant::now();
    // Some come late in a minute: what follows at once in the next one would be too much.
    let late = |table: usize| Duration::from_secs(if table < 2 { 0 } else { 48 });
    join_all((0..32).map(|table| {
        let dap = &fleet[table % 3];
        async move {
            sleep(late(table)).await;
            ask(dap, table).await
        }
    }))
    .await;
    let seen = service.seen();
    assert_eq!(seen.iter().filter(|seen| seen.line.starts_with(DATA)).count(), 32, "none was too much");
    assert_eq!(most_in(Duration::from_mins(1), &seen), 5);
    assert!(start.elapsed() < Duration::from_secs(62 * 8), "no place is left empty: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_short_minute_is_kept_too_and_alone() {
    let service = service();
    answered(&service, 23);
    let settings = Settings { minute: Duration::from_secs(6), ..settings() };
    let dap = client_of(&service, &settings);
    join_all((0..23).map(|table| ask(&dap, table))).await;
    assert_eq!(most_in(settings.minute, &service.seen()), 5);
    assert_eq!(service.count(DATA), 23);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_when_to_come_again() {
    let service = service();
    answered(&service, 9);
    let dap = client_of(&service, &settings());
    join_all((0..5).map(|table| ask(&dap, table))).await;
    let start = Instant::now();
    let error: Error =
        dap.ask(&TableName::new("canvas", "t6"), &Query::Snapshot, Format::Tsv).await.unwrap_err();
    assert_eq!(error.class, Class::Throttled);
    assert!(
        error
            .retry_after
            .is_some_and(|wait| wait > Duration::from_secs(55) && wait < Duration::from_secs(63))
    );
    assert!(error.to_string().contains("canvas.limits"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(1), "it is handed back at once");
    assert_eq!(service.count(DATA), 5);
    // One that comes when there will soon be a place waits for it.
    sleep(Duration::from_secs(59)).await;
    assert_eq!(ask(&dap, 7).await, 1);
    dap.tables("canvas").await.expect("other endpoints have places of their own");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_for_one_slows_all() {
    let service = service();
    answered(&service, 9);
    let store = Arc::new(Memory::default());
    let fleet = fleet(&service, &store, 2, &settings());
    fleet[1].tables("canvas").await.unwrap();
    service.fault(DATA, 1, Fault::Status(429, vec![("retry-after", "90".to_owned())], String::new()));
    let table = TableName::new("canvas", "t0");
    let error = fleet[0].ask(&table, &Query::Snapshot, Format::Tsv).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(90)));
    for (after, waits) in [(0, 85..=90), (50, 35..=40)] {
        sleep(Duration::from_secs(after)).await;
        let error = fleet[1].ask(&table, &Query::Snapshot, Format::Tsv).await.unwrap_err();
        assert_eq!(error.class, Class::Throttled);
        assert!(error.retry_after.is_some_and(|wait| waits.contains(&wait.as_secs())), "{error:?}");
    }
    assert_eq!(service.count(DATA), 1, "the other did not call");
    fleet[1].tables("canvas").await.expect("other endpoints are not slowed");
    sleep(Duration::from_secs(40)).await;
    assert_eq!(ask(&fleet[1], 0).await, 1);
}

#[tokio::test(start_paused = true)]
async fn records_vanish_and_do_not_tell_who_calls() {
    let service = service();
    answered(&service, 1);
    let store = Arc::new(Memory::default());
    let fleet = fleet(&service, &store, 1, &settings());
    ask(&fleet[0], 0).await;
    let items = store.0.lock().unwrap();
    assert_eq!(items.len(), 1);
    let (key, item) = items.iter().next().unwrap();
    let text = format!("{key} {item:?}");
    assert!(!text.contains("us-east-1") && !text.contains(SECRET), "{text}");
    assert!(key.id.starts_with("dap.") && key.id.contains(".create_job."), "{key}");
    let now = crate::ports::clock::Clock::now(&*service.clock()).as_second();
    let expires = item.number(EXPIRE_AT).unwrap();
    assert!(expires > now + 120 && expires < now + 3600, "{expires} at {now}");
}

#[tokio::test(start_paused = true)]
async fn a_full_minute_of_looks_at_jobs_makes_a_small_record() {
    let service = service();
    let store = Arc::new(Memory::default());
    let fleet = fleet(&service, &store, 1, &settings());
    for _ in 0..500 {
        fleet[0].job("j").await.unwrap();
    }
    assert_eq!(service.count("GET /dap/job/"), 500);
    assert_eq!(fleet[0].job("j").await.unwrap_err().class, Class::Throttled);
    let bytes: Vec<_> = store.0.lock().unwrap().values().map(crate::ports::store::item_bytes).collect();
    assert!(bytes.iter().all(|bytes| *bytes < 8000), "{bytes:?}");
}
