//! What every store does.

use std::collections::BTreeSet;

use copy_manager::{
    aws::store::DynamoStore,
    embedded::{database::Database, store::SqliteStore},
    ports::{
        Class,
        store::{
            Action, CREATED_AT, Change, Condition, DAY, DUE_AT, DUE_SHARD, Due, Item, Key, Recent, Store,
            Transacted, Value, Write, Written,
        },
    },
};
use futures_util::future::join_all;

use crate::{chance, clock, emulator::Emulator, file};

#[tokio::test]
async fn in_memory() {
    suite(&SqliteStore::new(Database::in_memory().unwrap(), clock())).await;
}

#[tokio::test]
async fn in_a_file() {
    let (_directory, database) = file();
    suite(&SqliteStore::new(database, clock())).await;
}

#[tokio::test]
async fn in_dynamodb() {
    let Some(emulator) = Emulator::start().await else { return };
    let table = emulator.deploy("store").await.table_name;
    suite(&DynamoStore::new(emulator.clients().await.dynamodb, table, chance())).await;
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let (directory, database) = file();
    let item = Item::new(Key::new("a", "REQUEST")).with("phase", "running");
    SqliteStore::new(database, clock()).write(Write::put_new(item.clone())).await.unwrap();
    let again = Database::open(&directory.path().join("test.sqlite")).unwrap();
    let found = SqliteStore::new(again, clock()).get(&item.key).await.unwrap();
    assert_eq!(found, Some(item));
}

#[tokio::test]
async fn a_file_of_an_older_version_gets_what_came_later() {
    let (directory, database) = file();
    drop(database);
    let path = directory.path().join("test.sqlite");
    let old = rusqlite::Connection::open(&path).unwrap();
    let before = "DROP INDEX items_recent; ALTER TABLE items DROP COLUMN day; ALTER TABLE items DROP COLUMN created_at;
                  INSERT INTO items (id, id_type, attributes) VALUES ('old', 'REQUEST', '{}');";
    old.execute_batch(before).unwrap();
    drop(old);
    for _ in 0..2 {
        let store = SqliteStore::new(Database::open(&path).unwrap(), clock());
        assert!(store.get(&Key::new("old", "REQUEST")).await.unwrap().is_some());
        assert_eq!(store.recent(7, i64::MAX, 10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn the_expired_vanish() {
    let database = Database::in_memory().unwrap();
    let old = Item::new(Key::new("old", "REQUEST")).with("expire_at", 1_000);
    SqliteStore::new(database.clone(), clock()).write(Write::put_new(old.clone())).await.unwrap();
    let store = SqliteStore::new(database, clock());
    store.write(Write::put_new(Item::new(Key::new("new", "REQUEST")))).await.unwrap();
    assert_eq!(store.get(&old.key).await.unwrap(), None);
}

async fn suite(store: &dyn Store) {
    an_item_is_put_once(store).await;
    named_attributes_change(store).await;
    an_update_makes_the_item(store).await;
    every_condition_is_checked(store).await;
    a_set_has_room_for_so_many(store).await;
    a_delete_needs_its_conditions_only(store).await;
    a_check_changes_nothing(store).await;
    a_transaction_is_all_or_nothing(store).await;
    a_malformed_transaction_is_refused(store).await;
    many_are_found(store).await;
    a_query_is_ordered(store).await;
    the_due_are_found(store).await;
    the_recent_are_found(store).await;
    too_large_is_refused(store).await;
    concurrent_additions_all_count(store).await;
}

fn set(members: &[&str]) -> Value {
    Value::TextSet(members.iter().map(|&member| member.to_owned()).collect())
}

async fn an_item_is_put_once(store: &dyn Store) {
    let key = Key::new("once", "REQUEST");
    assert_eq!(store.get(&key).await.unwrap(), None);
    let item = Item::new(key.clone())
        .with("text", "ünïcödé and 'quotes'")
        .with("empty", "")
        .with("number", -7)
        .with("largest", i64::MAX)
        .with("set", set(&["a", "b"]));
    let written = store.write(Write::put_new(item.clone())).await.unwrap();
    assert_eq!(written, Written::Done(Some(item.clone())));
    assert_eq!(store.get(&key).await.unwrap(), Some(item.clone()));
    let other = Item::new(key.clone()).with("text", "other");
    assert_eq!(store.write(Write::put_new(other.clone())).await.unwrap(), Written::Refused(Some(item)));
    let replace =
        Write { key: key.clone(), action: Action::Put(other.attributes.clone()), conditions: vec![] };
    assert_eq!(store.write(replace).await.unwrap(), Written::Done(Some(other.clone())));
    assert_eq!(store.get(&key).await.unwrap(), Some(other), "a put replaces all attributes");
}

async fn named_attributes_change(store: &dyn Store) {
    let key = Key::new("changes", "REQUEST");
    let item = Item::new(key.clone())
        .with("kept", "k")
        .with("status", "old")
        .with("wakes", 2)
        .with("set", set(&["a"]))
        .with("gone", "g")
        .with("last", set(&["x"]));
    store.write(Write::put_new(item)).await.unwrap();
    let changes = vec![
        Change::Set("status".into(), "new".into()),
        Change::Set("name".into(), "words of DynamoDB's".into()),
        Change::Add("wakes".into(), 3),
        Change::Add("count".into(), -1),
        Change::Remove("gone".into()),
        Change::Remove("never".into()),
        Change::Include("set".into(), "b".into()),
        Change::Include("fresh".into(), "f".into()),
        Change::Exclude("last".into(), ["x".into()].into()),
        Change::Exclude("absent".into(), ["x".into()].into()),
    ];
    let expected = Item::new(key.clone())
        .with("kept", "k")
        .with("status", "new")
        .with("name", "words of DynamoDB's")
        .with("wakes", 5)
        .with("count", -1)
        .with("set", set(&["a", "b"]))
        .with("fresh", set(&["f"]));
    let written = store.write(Write::update(key.clone(), changes)).await.unwrap();
    assert_eq!(written, Written::Done(Some(expected.clone())));
    assert_eq!(store.get(&key).await.unwrap(), Some(expected));
}

async fn an_update_makes_the_item(store: &dyn Store) {
    let key = Key::new("made", "TALLY#0");
    let written =
        store.write(Write::update(key.clone(), vec![Change::Add("files".into(), 4)])).await.unwrap();
    assert_eq!(written, Written::Done(Some(Item::new(key).with("files", 4))));
    let key = Key::new("made-of-nothing", "TALLY#0");
    let written = store.write(Write::update(key.clone(), vec![])).await.unwrap();
    assert_eq!(written, Written::Done(Some(Item::new(key.clone()))));
    let refused =
        store.write(Write::update(Key::new("absent", "X"), vec![]).when(Condition::Present)).await.unwrap();
    assert_eq!(refused, Written::Refused(None));
    assert_eq!(store.get(&Key::new("absent", "X")).await.unwrap(), None);
}

async fn every_condition_is_checked(store: &dyn Store) {
    let key = Key::new("conditions", "REQUEST");
    let item = Item::new(key.clone()).with("owner", "me").with("epoch", 7).with("set", set(&["a"]));
    let item = item.with("none", "");
    store.write(Write::put_new(item.clone())).await.unwrap();
    for (condition, holds) in [
        (Condition::Present, true),
        (Condition::Absent, false),
        (Condition::Has("owner".into()), true),
        (Condition::Has("due_at".into()), false),
        (Condition::Lacks("owner".into()), false),
        (Condition::Lacks("due_at".into()), true),
        (Condition::Equals("owner".into(), "me".into()), true),
        (Condition::Equals("owner".into(), "you".into()), false),
        (Condition::Equals("epoch".into(), 7.into()), true),
        (Condition::Equals("epoch".into(), "7".into()), false),
        (Condition::Equals("set".into(), set(&["a"])), true),
        (Condition::Equals("never".into(), "me".into()), false),
        (Condition::Free("owner".into()), false),
        (Condition::Free("never".into()), true),
        (Condition::Free("none".into()), true),
        (Condition::Free("epoch".into()), false),
        (Condition::AtMost("epoch".into(), 7), true),
        (Condition::AtMost("epoch".into(), 6), false),
        (Condition::AtMost("never".into(), 6), true),
        (Condition::AtMost("owner".into(), 6), false),
    ] {
        let write = Write::update(key.clone(), vec![Change::Set("owner".into(), "me".into())]);
        let also = Condition::Present;
        let written = store.write(write.when(also).when(condition.clone())).await.unwrap();
        let expected =
            if holds { Written::Done(Some(item.clone())) } else { Written::Refused(Some(item.clone())) };
        assert_eq!(written, expected, "{condition:?}");
    }
}

async fn a_set_has_room_for_so_many(store: &dyn Store) {
    let key = Key::new("room", "SLOTS");
    let enter = |member: &str, limit: i64| {
        let room = Condition::Room { set: "jobs".into(), member: member.into(), limit };
        Write::update(key.clone(), vec![Change::Include("jobs".into(), member.into())]).when(room)
    };
    let is_done = |written: Written| matches!(written, Written::Done(_));
    assert!(!is_done(store.write(enter("a", 0)).await.unwrap()), "no room at all");
    assert!(is_done(store.write(enter("a", 2)).await.unwrap()));
    assert!(is_done(store.write(enter("b", 2)).await.unwrap()));
    assert!(!is_done(store.write(enter("c", 2)).await.unwrap()), "full");
    assert!(is_done(store.write(enter("b", 2)).await.unwrap()), "already in");
    for member in ["a", "b"] {
        let leave = Write::update(key.clone(), vec![Change::Exclude("jobs".into(), [member.into()].into())]);
        store.write(leave).await.unwrap();
    }
    assert_eq!(store.get(&key).await.unwrap(), Some(Item::new(key.clone())));
    assert!(is_done(store.write(enter("c", 1)).await.unwrap()), "an emptied set has room");
}

async fn a_delete_needs_its_conditions_only(store: &dyn Store) {
    let key = Key::new("deleted", "WAITER#r");
    assert_eq!(store.write(Write::delete(key.clone())).await.unwrap(), Written::Done(None));
    let item = Item::new(key.clone()).with("owner", "me");
    store.write(Write::put_new(item.clone())).await.unwrap();
    let by = |owner: &str| Write::delete(key.clone()).when(Condition::Equals("owner".into(), owner.into()));
    assert_eq!(store.write(by("you")).await.unwrap(), Written::Refused(Some(item)));
    assert_eq!(store.write(by("me")).await.unwrap(), Written::Done(None));
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(store.write(by("me")).await.unwrap(), Written::Refused(None));
}

async fn a_check_changes_nothing(store: &dyn Store) {
    let key = Key::new("checked", "REQUEST");
    let check = |condition| Write { key: key.clone(), action: Action::Check, conditions: vec![condition] };
    assert_eq!(store.write(check(Condition::Absent)).await.unwrap(), Written::Done(None));
    let item = Item::new(key.clone()).with("owner", "me");
    store.write(Write::put_new(item.clone())).await.unwrap();
    assert_eq!(store.write(check(Condition::Present)).await.unwrap(), Written::Done(None));
    assert_eq!(store.write(check(Condition::Absent)).await.unwrap(), Written::Refused(Some(item)));
}

async fn a_transaction_is_all_or_nothing(store: &dyn Store) {
    let key = |n: usize| Key::new(format!("transaction-{n}"), "REQUEST");
    let put = |n: usize| Write::put_new(Item::new(key(n)).with("n", i64::try_from(n).unwrap()));
    assert_eq!(store.transact(vec![]).await.unwrap(), Transacted::Done);
    assert_eq!(store.transact(vec![put(0), put(1)]).await.unwrap(), Transacted::Done);
    let check = Write { key: key(1), action: Action::Check, conditions: vec![Condition::Absent] };
    let refused = store.transact(vec![put(2), put(0), put(3), check]).await.unwrap();
    assert_eq!(refused, Transacted::Refused(vec![1, 3]));
    assert_eq!(store.get_many(&[key(2), key(3)]).await.unwrap(), []);
    let checked = Write { key: key(0), action: Action::Check, conditions: vec![Condition::Present] };
    let add = Write::update(key(1), vec![Change::Add("n".into(), 10)]);
    let remove = Write::delete(key(4)).when(Condition::Absent);
    assert_eq!(store.transact(vec![checked, add, remove, put(2)]).await.unwrap(), Transacted::Done);
    assert_eq!(store.get(&key(1)).await.unwrap().unwrap().number("n"), Some(11));
    assert!(store.get(&key(2)).await.unwrap().is_some());
}

async fn a_malformed_transaction_is_refused(store: &dyn Store) {
    let add =
        |n: usize| Write::update(Key::new(format!("malformed-{n}"), "X"), vec![Change::Add("n".into(), 1)]);
    let empty = Write::update(Key::new("malformed", "X"), vec![]);
    for writes in [vec![add(0), add(0)], (0..101).map(add).collect(), vec![empty]] {
        let count = writes.len();
        let error = store.transact(writes).await.unwrap_err();
        assert_eq!(error.class, Class::Invalid, "{count} writes: {error}");
    }
    assert_eq!(store.get(&Key::new("malformed-0", "X")).await.unwrap(), None);
}

async fn many_are_found(store: &dyn Store) {
    let keys: Vec<Key> = (0..120).map(|n| Key::new(format!("many-{n}"), "REQUEST")).collect();
    for batch in keys.chunks(60) {
        let writes = batch.iter().map(|key| Write::put_new(Item::new(key.clone()))).collect();
        assert_eq!(store.transact(writes).await.unwrap(), Transacted::Done);
    }
    let mut asked = keys.clone();
    asked.push(keys[0].clone());
    asked.push(Key::new("many-absent", "REQUEST"));
    let found = store.get_many(&asked).await.unwrap();
    assert_eq!(found.len(), keys.len());
    let found: BTreeSet<Key> = found.into_iter().map(|item| item.key).collect();
    assert_eq!(found, keys.into_iter().collect());
    assert_eq!(store.get_many(&[]).await.unwrap(), []);
}

async fn a_query_is_ordered(store: &dyn Store) {
    for id_type in ["WAITER#b", "FOLDER", "WAITER#a", "WAITER", "waiter#c", "WAITER#%"] {
        store.write(Write::put_new(Item::new(Key::new("queried", id_type)))).await.unwrap();
    }
    store.write(Write::put_new(Item::new(Key::new("queried-too", "WAITER#z")))).await.unwrap();
    let types = |found: Vec<Item>| found.into_iter().map(|item| item.key.id_type).collect::<Vec<_>>();
    let found = store.query("queried", "WAITER#").await.unwrap();
    assert_eq!(types(found), ["WAITER#%", "WAITER#a", "WAITER#b"]);
    let found = store.query("queried", "").await.unwrap();
    assert_eq!(types(found), ["FOLDER", "WAITER", "WAITER#%", "WAITER#a", "WAITER#b", "waiter#c"]);
    assert_eq!(store.query("nobody", "WAITER#").await.unwrap(), []);
}

async fn the_due_are_found(store: &dyn Store) {
    for (id, due_at) in [("late", 300), ("early", 100), ("middle", 200)] {
        let item = Item::new(Key::new(id, "REQUEST")).with(DUE_SHARD, 3).with(DUE_AT, due_at);
        store.write(Write::put_new(item)).await.unwrap();
    }
    let unsharded = Item::new(Key::new("unsharded", "REQUEST")).with(DUE_AT, 100);
    store.write(Write::put_new(unsharded)).await.unwrap();
    let due = |id: &str, due_at| Due { key: Key::new(id, "REQUEST"), due_at };
    assert_eq!(store.due(3, 250, 10).await.unwrap(), [due("early", 100), due("middle", 200)]);
    assert_eq!(store.due(3, 300, 1).await.unwrap(), [due("early", 100)]);
    assert_eq!(store.due(3, 300, 0).await.unwrap(), []);
    assert_eq!(store.due(4, 300, 10).await.unwrap(), []);
    assert_eq!(store.due_after(3, 100, 10).await.unwrap(), [due("late", 300), due("middle", 200)]);
    assert_eq!(store.due_after(3, 100, 1).await.unwrap(), [due("late", 300)]);
    assert_eq!(store.due_after(3, 300, 10).await.unwrap(), []);
    assert_eq!(store.due_after(4, 0, 10).await.unwrap(), []);
    let later = vec![Change::Set(DUE_AT.into(), 400.into())];
    store.write(Write::update(Key::new("early", "REQUEST"), later)).await.unwrap();
    let settled = vec![Change::Remove(DUE_AT.into()), Change::Remove(DUE_SHARD.into())];
    store.write(Write::update(Key::new("middle", "REQUEST"), settled)).await.unwrap();
    assert_eq!(store.due(3, 1000, 10).await.unwrap(), [due("late", 300), due("early", 400)]);
}

async fn the_recent_are_found(store: &dyn Store) {
    for (id, day, created_at) in [("a", 7, 100), ("b", 7, 200), ("c", 7, 200), ("d", 7, 300), ("e", 8, 400)] {
        let item = Item::new(Key::new(id, "REQUEST")).with(DAY, day).with(CREATED_AT, created_at);
        store.write(Write::put_new(item)).await.unwrap();
    }
    let undated = Item::new(Key::new("child", "REQUEST")).with(CREATED_AT, 150);
    store.write(Write::put_new(undated)).await.unwrap();
    let found = async |day, before, limit| {
        let found = store.recent(day, before, limit).await.unwrap();
        assert!(found.is_sorted_by(|one, other| one.created_at >= other.created_at), "{found:?}");
        let mut ids: Vec<_> = found.into_iter().map(|Recent { key, .. }| key.id).collect();
        ids.sort();
        ids.concat()
    };
    assert_eq!(found(7, i64::MAX, 10).await, "abcd");
    assert_eq!(found(7, 300, 10).await, "abc");
    // Those of one millisecond come together.
    assert_eq!(found(7, i64::MAX, 2).await, "bcd");
    assert_eq!(found(7, i64::MAX, 1).await, "d");
    assert_eq!(found(7, 200, 10).await, "a");
    assert_eq!(found(7, 100, 10).await, "");
    assert_eq!(found(8, i64::MAX, 10).await, "e");
    assert_eq!(found(9, i64::MAX, 10).await, "");
    store.write(Write::delete(Key::new("b", "REQUEST"))).await.unwrap();
    assert_eq!(found(7, i64::MAX, 2).await, "cd");
}

async fn too_large_is_refused(store: &dyn Store) {
    let item = Item::new(Key::new("large", "PAYLOAD")).with("text", "x".repeat(400 * 1024));
    let error = store.write(Write::put_new(item.clone())).await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert_eq!(store.get(&item.key).await.unwrap(), None);
    let fits = Item::new(Key::new("large", "PAYLOAD")).with("text", "x".repeat(390 * 1024));
    store.write(Write::put_new(fits.clone())).await.unwrap();
    assert_eq!(store.get(&fits.key).await.unwrap(), Some(fits));
}

async fn concurrent_additions_all_count(store: &dyn Store) {
    let key = Key::new("counted", "TALLY#1");
    let add = || store.write(Write::update(key.clone(), vec![Change::Add("files".into(), 1)]));
    for written in join_all((0..20).map(|_| add())).await {
        written.unwrap();
    }
    assert_eq!(store.get(&key).await.unwrap().unwrap().number("files"), Some(20));
}
