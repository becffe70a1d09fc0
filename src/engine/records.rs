//! The records of the one table: their keys, their attributes, their small documents.
//!
//! No item has two kinds of writer. Of the leased records (`REQUEST`, `FOLDER`) only the holder
//! writes, except that any instance may add to `wakes`, and set `due_at` to now and `wake_all` while doing so: a
//! holder overwrites them when it releases. And a child that no instance holds is settled by the holder of the
//! folder that it waits for.

pub(crate) mod attr;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

use super::debts::Debts;
use crate::{
    domain::{
        ids::{RequestId, digest},
        outcome::{Counted, Counters},
    },
    ports::{
        Class, Error, Result,
        store::{Change, Condition, DUE_AT, DUE_SHARD, EXPIRE_AT, Item, Key, SHARDS, Value, Write},
    },
};

pub(crate) const REQUEST: &str = "REQUEST";
pub(crate) const SCHEDULE: &str = "SCHEDULE";
pub(crate) const PAYLOAD: &str = "PAYLOAD";
pub(crate) const OUTCOME: &str = "OUTCOME";
pub(crate) const TOKEN: &str = "TOKEN#";
pub(crate) const TALLY: &str = "TALLY#";
/// The signs of life of a root; named so that they are read with its tallies.
pub(crate) const SIGNS: &str = "TALLY#evidence";
/// The children that wait for a turn; read with its tallies too, and before them.
pub(crate) const TURNS: &str = "TALLY##turns";
pub(crate) const STOP: &str = "STOP";
pub(crate) const PLAN: &str = "PLAN#";

/// Milliseconds of a day.
pub(crate) const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// How many tallies a root has, so that a thousand children do not queue for one item.
pub(crate) const TALLIES: u8 = 16;

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Stored; nothing done yet.
    Received,
    /// The plan is stored; children are being put.
    Planned,
    /// Children (or, for a child, the folder) are at work.
    Running,
    /// The outcome is stored; answers are owed.
    Finishing,
    /// Nothing is owed any more.
    Settled,
}

impl Phase {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Received, "RECEIVED"),
        (Self::Planned, "PLANNED"),
        (Self::Running, "RUNNING"),
        (Self::Finishing, "FINISHING"),
        (Self::Settled, "SETTLED"),
    ];

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(phase, _)| *phase == self).map_or("", |(_, text)| text)
    }

    pub(crate) fn of(item: &Item) -> Option<Self> {
        let text = item.text(attr::PHASE)?;
        Self::ALL.into_iter().find(|(_, name)| *name == text).map(|(phase, _)| phase)
    }
}

/// The document of a root: the state that its holder keeps between rounds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RootState {
    /// Epoch of the lease under which the plan was made; part of the children's ids.
    pub generation: u32,
    /// Items that hold the plan.
    pub chunks: u32,
    /// Children planned.
    pub children: u64,
    /// The step that is under way.
    pub step: u32,
    /// Children put so far.
    pub spread: u64,
    /// When RUNNING was last told, milliseconds since 1970.
    pub told_at: i64,
    /// When it was first without a sign of life and had a look begun; 0 while there are signs.
    pub look_since: i64,
    /// When it was first known that all its children have been looked at since; 0 before.
    pub looked_at: i64,
    /// Since when something that may pass has kept it from being begun, or ended; milliseconds since
    /// 1970; 0: nothing does.
    pub trouble_since: i64,
    /// When it last did, milliseconds since 1970.
    pub trouble_at: i64,
    /// Stopped; when its children were last looked at. 0 before.
    pub children_at: i64,
    /// Its debts other than to tokens, once it has an outcome.
    pub debts: Debts,
    /// What its kind remembers besides, in fields of its own.
    #[serde(flatten)]
    pub of_kind: Map<String, Json>,
}

impl RootState {
    /// What its kind remembers, as far as it stands in the fields of `T`.
    pub(crate) fn own<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(Json::Object(self.of_kind.clone())).map_err(|error| {
            Error::new(Class::Invalid, "read record", "what a kind remembers cannot be read").caused_by(error)
        })
    }

    /// Remembers that, in the place of the fields of `T`.
    pub(crate) fn set_own<T: Serialize + DeserializeOwned>(&mut self, own: &T) -> Result<()> {
        for name in fields(&self.own::<T>()?)?.keys() {
            self.of_kind.remove(name);
        }
        self.of_kind.extend(fields(own)?);
        Ok(())
    }
}

/// The fields of a struct, as JSON.
fn fields<T: Serialize>(document: &T) -> Result<Map<String, Json>> {
    let fields = serde_json::to_value(document).and_then(serde_json::from_value);
    fields.map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(Class::Invalid, "write record", "a document cannot be written").caused_by(error)
}

pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

pub(crate) fn after(at: Timestamp, wait: Duration) -> i64 {
    millis(at).saturating_add(as_millis(wait))
}

/// A span in the unit of the records.
pub(crate) fn as_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The shard of an id. Tokens live in shards of their own, so that no backlog of work can keep a
/// heartbeat waiting.
pub(crate) fn shard(key: &Key) -> i64 {
    let first = u8::from_str_radix(digest(&[&key.id]).get(..2).unwrap_or("0"), 16).unwrap_or(0);
    let beats = if key.id_type.starts_with(TOKEN) { SHARDS } else { 0 };
    i64::from(first % SHARDS + beats)
}

pub(crate) fn request_key(id: &RequestId) -> Key {
    Key::new(id.as_str(), REQUEST)
}

pub(crate) fn token_key(root: &RequestId, token: &str) -> Key {
    Key::new(root.as_str(), format!("{TOKEN}{}", digest(&[token])))
}

pub(crate) fn signs_key(root: &RequestId) -> Key {
    Key::new(root.as_str(), SIGNS)
}

pub(crate) fn turns_key(root: &RequestId) -> Key {
    Key::new(root.as_str(), TURNS)
}

pub(crate) fn stop_key(root: &RequestId) -> Key {
    Key::new(root.as_str(), STOP)
}

pub(crate) fn plan_key(root: &RequestId, generation: u32, chunk: u32) -> Key {
    Key::new(root.as_str(), format!("{PLAN}{generation:08}#{chunk:06}"))
}

pub(crate) fn tally_key(root: &RequestId, child: &RequestId) -> Key {
    let first = u8::from_str_radix(digest(&[child.as_str()]).get(..2).unwrap_or("0"), 16).unwrap_or(0);
    Key::new(root.as_str(), format!("{TALLY}{}", first % TALLIES))
}

/// A new request record, due now.
pub(crate) fn new_request(
    id: &RequestId,
    root: &RequestId,
    kind: &str,
    destination: &str,
    now: Timestamp,
) -> Item {
    let key = request_key(id);
    let shard = shard(&key);
    Item::new(key)
        .with(attr::KIND, kind)
        .with(attr::PHASE, Phase::Received.as_str())
        .with(attr::ROOT, root.as_str())
        .with(attr::DESTINATION, destination)
        .with(attr::CREATED_AT, millis(now))
        .with(DUE_SHARD, shard)
        .with(DUE_AT, millis(now))
}

/// Tells a leased record that there is news: its holder will not release without another round,
/// and if no instance holds it, it is due now. Settled records (no `due_at`) stay as they are.
pub(crate) fn wake(key: Key, now: Timestamp) -> Write {
    Write::update(
        key,
        vec![Change::Add(attr::WAKES.into(), 1), Change::Set(DUE_AT.into(), Value::Number(millis(now)))],
    )
    .when(Condition::Has(DUE_AT.into()))
}

/// When the request of a record was made.
pub(crate) fn started_at(item: &Item) -> Timestamp {
    Timestamp::from_millisecond(item.number(attr::CREATED_AT).unwrap_or(0)).unwrap_or_default()
}

/// The day of a moment, as the index of what is recent counts days; it begins at midnight UTC.
pub(crate) fn day(at: i64) -> i64 {
    at.div_euclid(DAY_MILLIS)
}

/// Changes that take a record out of the due index and let it expire.
pub(crate) fn retire(now: Timestamp, keep: Duration) -> Vec<Change> {
    vec![
        Change::Remove(DUE_SHARD.into()),
        Change::Remove(DUE_AT.into()),
        Change::Set(EXPIRE_AT.into(), Value::Number(after(now, keep) / 1000)),
    ]
}

pub(crate) fn set(name: &str, value: impl Into<Value>) -> Change {
    Change::Set(name.to_owned(), value.into())
}

/// Reads a JSON document from an attribute; absent is the default.
pub(crate) fn document<T: DeserializeOwned + Default>(item: &Item, name: &str) -> Result<T> {
    item.text(name).map_or_else(|| Ok(T::default()), |text| parse(item, name, text))
}

/// Reads a JSON document that must be there.
pub(crate) fn required<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T> {
    let text = item
        .text(name)
        .ok_or_else(|| Error::new(Class::Invalid, "read record", format!("{} has no `{name}`", item.key)))?;
    parse(item, name, text)
}

fn parse<T: DeserializeOwned>(item: &Item, name: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(Class::Invalid, "read record", format!("`{name}` of {} cannot be read", item.key))
            .caused_by(error)
    })
}

/// Writes a JSON document.
pub(crate) fn text<T: Serialize>(document: &T) -> Result<String> {
    serde_json::to_string(document).map_err(unwritable)
}

/// The changes that add a child, which has ended, and its counters to its root's tally, and take back what was
/// added for it before.
pub(crate) fn tally(counters: &Counters, counted: Option<&Counted>) -> Vec<Change> {
    let all = counters.named().map(|(name, value)| add(name, i64::try_from(value).unwrap_or(i64::MAX)));
    let back = added(&Counted::default(), &counted.copied().unwrap_or_default());
    let back = back.map(|(name, by)| add(&so_far(name), by));
    std::iter::once(add(attr::SETTLED, 1)).chain(all).chain(back).collect()
}

pub(crate) fn add(name: &str, by: i64) -> Change {
    Change::Add(name.to_owned(), by)
}

/// The name in a tally of what was added before the end. A name of its own: an older version, which does not know
/// it, adds the whole of a child at its end.
pub(crate) fn so_far(name: &str) -> String {
    format!("so_far_{name}")
}

/// What is to be added to counters to make others of them, where that is anything.
pub(crate) fn added(now: &Counted, before: &Counted) -> impl Iterator<Item = (&'static str, i64)> + use<> {
    let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let both = now.named().zip(before.named());
    let changes = both.map(move |((name, now), (_, before))| (name, whole(now) - whole(before)));
    changes.filter(|(_, by)| *by != 0)
}

/// What the children that go on have added so far.
pub(crate) fn sum_so_far(items: &[Item]) -> Counted {
    let sum = |name: &str| {
        let sum: i64 = items.iter().filter_map(|item| item.number(&so_far(name))).sum();
        u64::try_from(sum).unwrap_or(0)
    };
    Counted { counters: Counters::from_named(sum), unverified: sum(Counted::UNVERIFIED) }
}

/// The sum of tallies: settled children and their counters.
pub(crate) fn sum_tallies(items: &[Item]) -> (u64, Counters) {
    let number = |item: &Item, name: &str| item.number(name).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    items.iter().fold((0, Counters::default()), |(settled, counters), item| {
        (
            settled + number(item, attr::SETTLED),
            counters.plus(&Counters::from_named(|name| number(item, name))),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Own {
        listed_again: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        summary: Option<u32>,
    }

    fn stored() -> Json {
        json!({
            "generation": 3, "chunks": 2, "planned_at": 17, "children": 41, "step": 1, "spread": 40,
            "told_at": 5, "look_since": 0, "looked_at": 0, "cursor": { "chunk": 1, "slices": 4 },
            "slices": { "bucket": "b", "per_slice": 10 }, "refusals": 2, "access_at": 9,
            "most_in_piece": 500, "trouble_since": 0, "trouble_at": 0, "summary": 7,
            "listed_again": false, "children_at": 0,
            "debts": serde_json::to_value(Debts::default()).unwrap(),
        })
    }

    #[test]
    fn what_a_root_has_stored_is_stored_again_as_it_was() {
        let state: RootState = serde_json::from_value(stored()).unwrap();
        assert_eq!((state.generation, state.children), (3, 41));
        assert_eq!(serde_json::to_value(&state).unwrap(), stored());
    }

    #[test]
    fn a_kind_changes_its_own_fields_alone() {
        let mut state: RootState = serde_json::from_value(stored()).unwrap();
        assert_eq!(state.own::<Own>().unwrap().summary, Some(7));
        state.set_own(&Own { listed_again: true, summary: None }).unwrap();
        let mut expected = stored();
        expected["listed_again"] = json!(true);
        expected.as_object_mut().unwrap().remove("summary");
        assert_eq!(serde_json::to_value(&state).unwrap(), expected);
    }
}
