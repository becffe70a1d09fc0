//! The one table: items with named attributes, conditional writes, and an index that only suggests.
//! # Contract
//! - `get`, `get_many` and `query` are consistent: they see every write that was answered before.
//! - A write is atomic per item, a transaction over its items. Conditions are checked at that moment.
//! - An item with both [`DUE_SHARD`] and [`DUE_AT`] is in the due index, which may lag and may name items that
//!   have changed since.
//! - An item with both [`DAY`] and [`CREATED_AT`] is in the index of what is recent, which may lag too.
//! - An item says in [`SCHEMA`] in which layout it was written. Attributes of kinds that are not known are left out
//!   of one whose schema is newer than [`READS`]; any other one with such attributes is `Invalid`.
//! - An item whose [`EXPIRE_AT`] (seconds since 1970) has passed may vanish at any time.
//! - Items hold at most 400 KB (DynamoDB); an implementation refuses more as `Invalid`.
//! - A write that failed with [`may_have_happened`](super::Error::may_have_happened) may have happened. A caller that must
//!   know reads the item again and looks for a value that only this write can have put there.

mod meaning;
mod schema;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

pub use self::{
    meaning::apply,
    schema::{FIRST, READS, SCHEMA, schema_of},
};
use super::error::Result;

/// Attribute: shard of the due index, 0 to [`SHARDS`] − 1.
pub const DUE_SHARD: &str = "due_shard";
/// Attribute: when the item next needs attention, milliseconds since 1970.
pub const DUE_AT: &str = "due_at";
/// Attribute: when the item may be dropped, seconds since 1970 (DynamoDB TTL).
pub const EXPIRE_AT: &str = "expire_at";
/// Attribute: the day on which the item was made, days since 1970.
pub const DAY: &str = "day";
/// Attribute: when it was made, milliseconds since 1970.
pub const CREATED_AT: &str = "created_at";
/// How many shards the due index has.
pub const SHARDS: u8 = 8;

/// The key of an item: partition key `id`, sort key `id_type`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is about.
    pub id: String,
    /// Which of its records: `REQUEST`, `FOLDER`, `TOKEN#…`.
    pub id_type: String,
}

impl Key {
    /// A key.
    pub fn new(id: impl Into<String>, id_type: impl Into<String>) -> Self {
        Self { id: id.into(), id_type: id_type.into() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.id, self.id_type)
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A set of texts; never empty (DynamoDB): an emptied set is an absent attribute.
    TextSet(BTreeSet<String>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: Key,
    /// Its attributes, without the key.
    pub attributes: BTreeMap<String, Value>,
}

impl Item {
    /// An item without attributes.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self { key, attributes: BTreeMap::new() }
    }

    /// The same with one more attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// The text of an attribute, if it is one.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)? {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::TextSet(_) => None,
        }
    }

    /// The number of an attribute, if it is one.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) | Value::TextSet(_) => None,
        }
    }

    /// The members of a set; empty when the attribute is absent or no set.
    #[must_use]
    pub fn members(&self, name: &str) -> BTreeSet<String> {
        match self.attributes.get(name) {
            Some(Value::TextSet(set)) => set.clone(),
            Some(Value::Text(_) | Value::Number(_)) | None => BTreeSet::new(),
        }
    }
}

/// What must hold for a write to happen. All conditions of a write must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is no such item.
    Absent,
    /// There is such an item.
    Present,
    /// The item has that attribute.
    Has(String),
    /// The item does not have that attribute.
    Lacks(String),
    /// The attribute has that value.
    Equals(String, Value),
    /// The text is empty, or absent.
    Free(String),
    /// The number is not above that, or absent.
    AtMost(String, i64),
    /// The set has fewer members than that, or is absent, or already holds that member.
    Room {
        /// The set's attribute.
        set: String,
        /// The member that wants in.
        member: String,
        /// How many may be in.
        limit: i64,
    },
}

/// One change of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Give it that value.
    Set(String, Value),
    /// Add to the number; an absent one counts as 0.
    Add(String, i64),
    /// Drop it.
    Remove(String),
    /// Add a member to the set.
    Include(String, String),
    /// Take members out of the set; at least one.
    Exclude(String, BTreeSet<String>),
}

impl Change {
    /// The attribute that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Set(name, _)
            | Self::Add(name, _)
            | Self::Remove(name)
            | Self::Include(name, _)
            | Self::Exclude(name, _) => name,
        }
    }
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Replace the whole item.
    Put(BTreeMap<String, Value>),
    /// Change attributes, each named at most once; the item is made when it is not there.
    Update(Vec<Change>),
    /// Remove the item; removing what is not there is fine.
    Delete,
    /// Only check the conditions (in transactions).
    Check,
}

/// A write with its conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which item.
    pub key: Key,
    /// What to do.
    pub action: Action,
    /// What must hold.
    pub conditions: Vec<Condition>,
}

impl Write {
    /// Puts the item if there is none.
    #[must_use]
    pub fn put_new(item: Item) -> Self {
        Self { key: item.key, action: Action::Put(item.attributes), conditions: vec![Condition::Absent] }
    }

    /// Changes attributes.
    #[must_use]
    pub fn update(key: Key, changes: Vec<Change>) -> Self {
        // The emulators and SQLite would take it; DynamoDB does not.
        debug_assert_eq!(changes.iter().map(Change::name).collect::<BTreeSet<_>>().len(), changes.len());
        Self { key, action: Action::Update(changes), conditions: Vec::new() }
    }

    /// Removes the item.
    #[must_use]
    pub fn delete(key: Key) -> Self {
        Self { key, action: Action::Delete, conditions: Vec::new() }
    }

    /// The same under one more condition.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It happened; the item as it is now, `None` after a delete or a check.
    Done(Option<Item>),
    /// A condition did not hold; the item as it is, `None` when there is none.
    Refused(Option<Item>),
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transacted {
    /// All of it happened.
    Done,
    /// None of it happened: the conditions of these writes (by position) did not hold.
    Refused(Vec<usize>),
}

/// An entry of the due index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which item.
    pub key: Key,
    /// Its [`DUE_AT`].
    pub due_at: i64,
}

/// An entry of the index of what is recent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// Which item.
    pub key: Key,
    /// Its [`CREATED_AT`].
    pub created_at: i64,
}

/// One page of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<String>,
}

/// The table.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The item, read consistently.
    async fn get(&self, key: &Key) -> Result<Option<Item>>;

    /// The items that are there, read consistently, in no particular order.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>>;

    /// All items of one `id` whose `id_type` starts with `prefix`, consistently, ordered by it.
    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>>;

    /// One conditional write.
    async fn write(&self, write: Write) -> Result<Written>;

    /// Several writes to different items, all or none; at most 100.
    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted>;

    /// Entries of one shard that are due at or before `until`, earliest first, at most `limit`.
    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>>;

    /// Entries of one shard that are due later than `after`, latest first, at most `limit`.
    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>>;

    /// Entries of one day that were made before `before`, latest first: `limit` of them, and all others that were
    /// made in the same millisecond as the last; so the next call goes on before that one.
    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>>;
}

/// How large an item may be, in bytes (DynamoDB).
pub const MAX_ITEM_BYTES: usize = 400 * 1024;

/// The size of an item, near enough as DynamoDB counts it: names and values in UTF-8, numbers as 21 bytes.
#[must_use]
pub fn item_bytes(item: &Item) -> usize {
    bytes_of(&item.key, &item.attributes)
}

/// The same of an item in two pieces.
#[must_use]
pub fn bytes_of(key: &Key, attributes: &BTreeMap<String, Value>) -> usize {
    let values = attributes.iter().map(|(name, value)| {
        name.len()
            + match value {
                Value::Text(text) => text.len(),
                Value::Number(_) => 21,
                Value::TextSet(set) => set.iter().map(|text| text.len() + 1).sum::<usize>() + 3,
            }
    });
    key.id.len() + key.id_type.len() + 9 + values.sum::<usize>()
}
