//! What a version reads and writes of records of its own schema, older ones and newer ones.

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{
    embedded::{database::Database, store::SqliteStore},
    engine::records::set,
    ports::{clock::SystemClock, store::Value},
};

/// A newer version, which writes requests and no other records otherwise.
const NEWER: Schema = Schema { reads: READS + 1, changed: &[("REQUEST", READS + 1)] };
/// One that reads that, and does not write it.
const BETWEEN: Schema = Schema { reads: READS + 1, changed: &[] };

fn tables() -> (Arc<dyn Store>, Guarded, Guarded, Guarded) {
    let clock = Arc::new(SystemClock::new());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::new(Database::in_memory().unwrap(), clock));
    let [ours, between, newer] =
        [Schema::OURS, BETWEEN, NEWER].map(|schema| Guarded::with(store.clone(), schema));
    (store, ours, between, newer)
}

fn key(id: &str) -> Key {
    Key::new(id, "REQUEST")
}

async fn schema_at(store: &Arc<dyn Store>, key: &Key) -> Option<i64> {
    store.get(key).await.unwrap().unwrap().number(SCHEMA)
}

fn is_newer<T: std::fmt::Debug>(answer: Result<T>) {
    let error = answer.unwrap_err();
    assert!(error.is_newer() && error.is_passing() && !error.may_have_happened, "{error}");
}

#[tokio::test]
async fn what_is_written_says_its_schema_however_it_is_written() {
    let (store, ours, _, newer) = tables();
    ours.write(Write::put_new(Item::new(key("put")).with("state", "{}"))).await.unwrap();
    ours.write(Write::update(key("made"), vec![set("state", "{}")])).await.unwrap();
    let both = [key("one"), key("two")].map(|key| Write::put_new(Item::new(key)));
    assert_eq!(ours.transact(both.into()).await.unwrap(), Transacted::Done);
    for id in ["put", "made", "one", "two"] {
        assert_eq!(schema_at(&store, &key(id)).await, Some(1), "{id}");
    }
    newer.write(Write::put_new(Item::new(key("new")))).await.unwrap();
    newer.write(Write::put_new(Item::new(Key::new("new", "SLOTS")))).await.unwrap();
    assert_eq!(schema_at(&store, &key("new")).await, Some(2));
    assert_eq!(schema_at(&store, &Key::new("new", "SLOTS")).await, Some(1), "only what has changed");
    // Taking something out of what is not there makes nothing.
    let removal = Write::update(key("none"), vec![Change::Remove("state".into())]);
    ours.write(removal).await.unwrap();
    assert_eq!(store.get(&key("none")).await.unwrap(), None);
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_neither_read_nor_changed() {
    let (store, ours, _, newer) = tables();
    newer.write(Write::put_new(Item::new(key("n")).with(DUE_AT, 5).with("state", "new"))).await.unwrap();
    ours.write(Write::put_new(Item::new(key("o")))).await.unwrap();
    let before = store.get(&key("n")).await.unwrap();
    is_newer(ours.get(&key("n")).await);
    is_newer(ours.get_many(&[key("o"), key("n")]).await);
    is_newer(ours.query("n", "REQ").await);
    let wake = Write::update(key("n"), vec![set(DUE_AT, 1)]).when(Condition::Has(DUE_AT.into()));
    let put = Write { key: key("n"), action: Action::Put(BTreeMap::new()), conditions: Vec::new() };
    for write in [wake.clone(), put, Write::delete(key("n")), Write::put_new(Item::new(key("n")))] {
        is_newer(ours.write(write.clone()).await);
        is_newer(ours.transact(vec![Write::put_new(Item::new(key("beside"))), write]).await);
    }
    is_newer(ours.transact(vec![Write { action: Action::Check, ..wake }]).await);
    assert_eq!(store.get(&key("n")).await.unwrap(), before);
    assert_eq!(store.get(&key("beside")).await.unwrap(), None);
}

#[tokio::test]
async fn a_condition_that_does_not_hold_is_still_an_answer() {
    let (_, ours, between, _) = tables();
    for table in [&ours, &between] {
        table.write(Write::put_new(Item::new(key("x")).with("n", 1))).await.unwrap_or(Written::Done(None));
        let two = Condition::Equals("n".into(), Value::Number(2));
        let write = Write::update(key("x"), vec![set("n", 3)]).when(two);
        assert!(matches!(table.write(write.clone()).await.unwrap(), Written::Refused(Some(_))));
        assert_eq!(table.transact(vec![write]).await.unwrap(), Transacted::Refused(vec![0]));
    }
}

#[tokio::test]
async fn a_record_that_a_newer_version_only_holds_is_still_read_by_the_older() {
    let (store, ours, _, newer) = tables();
    ours.write(Write::put_new(Item::new(key("x")).with(DUE_AT, 5))).await.unwrap();
    let hold = vec![set(attr::OWNER, "newer"), Change::Add(attr::EPOCH.into(), 1), set(DUE_AT, 9)];
    newer.write(Write::update(key("x"), hold).when(Condition::Has(DUE_AT.into()))).await.unwrap();
    assert_eq!(schema_at(&store, &key("x")).await, Some(1));
    assert!(ours.get(&key("x")).await.unwrap().is_some());
    newer.write(Write::update(key("x"), vec![set(attr::STATE, "{}")])).await.unwrap();
    is_newer(ours.get(&key("x")).await);
}

/// Part of such a record has the newer layout still.
#[tokio::test]
async fn whoever_writes_the_older_schema_into_a_newer_record_does_not_call_it_older() {
    let (store, ours, between, newer) = tables();
    newer.write(Write::put_new(Item::new(key("x")).with("n", 1))).await.unwrap();
    let change =
        || Write::update(key("x"), vec![Change::Add("n".into(), 1)]).when(Condition::Has("n".into()));
    assert!(matches!(between.write(change()).await.unwrap(), Written::Done(Some(_))));
    let beside = Write::put_new(Item::new(key("beside")));
    assert_eq!(between.transact(vec![beside, change()]).await.unwrap(), Transacted::Done);
    assert_eq!(store.get(&key("x")).await.unwrap().unwrap().number("n"), Some(3));
    assert_eq!(schema_at(&store, &key("x")).await, Some(2));
    assert_eq!(schema_at(&store, &key("beside")).await, Some(1));
    is_newer(ours.get(&key("x")).await);
    // Whole, it is of the older one again.
    let whole = Write { key: key("x"), action: Action::Put(BTreeMap::new()), conditions: Vec::new() };
    between.write(whole).await.unwrap();
    assert!(ours.get(&key("x")).await.unwrap().is_some());
}

#[tokio::test]
async fn records_of_before_there_were_schemas_are_read_and_marked() {
    let (store, ours, ..) = tables();
    store.write(Write::put_new(Item::new(key("old")).with("n", 1))).await.unwrap();
    assert!(ours.get(&key("old")).await.unwrap().is_some());
    let change = Write::update(key("old"), vec![Change::Add("n".into(), 1)]).when(Condition::Present);
    assert!(matches!(ours.write(change).await.unwrap(), Written::Done(Some(_))));
    assert_eq!(schema_at(&store, &key("old")).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_record_is_left_for_a_while_and_not_for_ever() {
    let left = Left::default();
    left.leave(&key("x"));
    assert!(left.has(&key("x")) && !left.has(&key("y")));
    assert_eq!(left.count(), 1);
    tokio::time::sleep(LEFT_FOR).await;
    assert!(!left.has(&key("x")));
    assert_eq!(left.count(), 0);
}

#[test]
fn nothing_is_written_that_is_not_read() {
    assert!(Schema::OURS.changed.iter().all(|(_, schema)| (FIRST..=READS).contains(schema)));
}
