//! Both stores make the same items of the same writes, whatever these are.

use std::sync::atomic::{AtomicU32, Ordering};

use copy_manager::{
    aws::store::DynamoStore,
    embedded::{database::Database, store::SqliteStore},
    ports::store::{Action, Change, Condition, Item, Key, Store, Value, Write},
};
use proptest::{
    prelude::*,
    sample::{select, subsequence},
    test_runner::{Config, TestRunner},
};

use crate::{chance, clock, emulator::Emulator};

/// Writes to few items with few attributes, so that they meet.
#[derive(Debug, Clone)]
enum Step {
    One(Write),
    Together(Vec<Write>),
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-c ü]{0,3}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        subsequence(vec!["a", "b", "c"], 1..=3)
            .prop_map(|members| Value::TextSet(members.into_iter().map(str::to_owned).collect())),
    ]
}

/// Each attribute keeps to one kind of change: of type mistakes both stores say `Invalid`, but the
/// emulator does not find all of them.
fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (select(vec!["v", "status"]), value()).prop_map(|(name, value)| Change::Set(name.into(), value)),
        Just(Change::Remove("v".into())),
        (-5..5_i64).prop_map(|by| Change::Add("n".into(), by)),
        select(vec!["a", "b"]).prop_map(|member| Change::Include("set".into(), member.into())),
        select(vec!["a", "b"]).prop_map(|member| Change::Exclude("set".into(), [member.into()].into())),
    ]
}

fn attribute(change: &Change) -> &str {
    match change {
        Change::Set(name, _)
        | Change::Add(name, _)
        | Change::Remove(name)
        | Change::Include(name, _)
        | Change::Exclude(name, _) => name,
    }
}

/// Every attribute at most once, and always an addition: an update of nothing but removals makes an
/// absent item in one store and not in the other.
fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), 0..4).prop_map(|mut changes| {
        changes.push(Change::Set("always".into(), 1.into()));
        changes.sort_by(|a, b| attribute(a).cmp(attribute(b)));
        changes.dedup_by(|a, b| attribute(a) == attribute(b));
        changes
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Absent),
        Just(Condition::Present),
        Just(Condition::Has("v".into())),
        Just(Condition::Lacks("v".into())),
        (select(vec!["v", "n"]), value()).prop_map(|(name, value)| Condition::Equals(name.into(), value)),
        select(vec!["v", "n", "none"]).prop_map(|name| Condition::Free(name.into())),
        (select(vec!["v", "n", "none"]), -3..3_i64)
            .prop_map(|(name, most)| Condition::AtMost(name.into(), most)),
        (0..3_i64).prop_map(|limit| Condition::Room { set: "set".into(), member: "a".into(), limit }),
    ]
}

fn write(key: &'static str) -> impl Strategy<Value = Write> {
    let put = |(n, v): (i64, Value)| Action::Put([("n".to_owned(), n.into()), ("v".to_owned(), v)].into());
    let action = prop_oneof![
        2 => ((-5..5_i64), value()).prop_map(put),
        5 => changes().prop_map(Action::Update),
        1 => Just(Action::Delete),
        1 => Just(Action::Check),
    ];
    (action, prop::collection::vec(condition(), 0..2)).prop_map(move |(action, mut conditions)| {
        if matches!(action, Action::Check) && conditions.is_empty() {
            conditions.push(Condition::Present);
        }
        Write { key: Key::new(key, "X"), action, conditions }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop_oneof![write("a"), write("b")].prop_map(Step::One),
        1 => (write("a"), write("b")).prop_map(|(a, b)| Step::Together(vec![a, b])),
    ];
    prop::collection::vec(step, 1..25)
}

/// The same write on an item of this case alone.
fn moved(write: &Write, case: u32) -> Write {
    Write { key: Key::new(format!("{case}-{}", write.key.id), "X"), ..write.clone() }
}

/// What a step did, and the items after it.
async fn run(store: &dyn Store, steps: &[Step], case: u32) -> Vec<(String, Vec<Option<Item>>)> {
    let mut history = Vec::new();
    for step in steps {
        let said = match step {
            Step::One(write) => format!("{:?}", store.write(moved(write, case)).await.unwrap()),
            Step::Together(writes) => {
                let writes = writes.iter().map(|write| moved(write, case)).collect();
                format!("{:?}", store.transact(writes).await.unwrap())
            }
        };
        let mut items = Vec::new();
        for id in ["a", "b"] {
            items.push(store.get(&Key::new(format!("{case}-{id}"), "X")).await.unwrap());
        }
        history.push((said, items));
    }
    history
}

#[test]
fn in_sqlite_and_in_dynamodb() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(emulator) = runtime.block_on(Emulator::start()) else { return };
    let dynamo = runtime.block_on(async {
        let table = emulator.deploy("same-items").await.table_name;
        DynamoStore::new(emulator.clients().await.dynamodb, table, chance())
    });
    let sqlite = SqliteStore::new(Database::in_memory().unwrap(), clock());
    let cases = AtomicU32::new(0);
    let mut runner = TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() });
    let same = runner.run(&steps(), |steps| {
        let case = cases.fetch_add(1, Ordering::Relaxed);
        let here = runtime.block_on(run(&sqlite, &steps, case));
        let there = runtime.block_on(run(&dynamo, &steps, case));
        prop_assert_eq!(here, there);
        Ok(())
    });
    if let Err(difference) = same {
        panic!("{difference}");
    }
}
