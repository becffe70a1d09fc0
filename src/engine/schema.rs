//! Which layout records have that this version writes, and that it leaves those alone which a newer one wrote.
//!
//! All of an instance goes to the table through [`Guarded`]. It marks what is written with the schema in which it is
//! written, has no write happen to an item of a newer schema than this version reads, and answers with an error
//! ([`Error::is_newer`]) where such an item is read. The rules are in `docs/upgrading.md`.
//!
//! Attributes that mean the same in all schemas ([`COMMON`]) may be changed without a mark, so that a record that
//! a newer version has only held, and not written anew, is still one that an older version reads.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::records::attr;
use crate::{
    ports::{
        Class, Error, Result,
        error::NEWER_SCHEMA,
        store::{
            Action, Change, Condition, DUE_AT, DUE_SHARD, Due, EXPIRE_AT, FIRST, Item, Key, READS, Recent,
            SCHEMA, Store, Transacted, Write, Written, schema_of,
        },
    },
    signals,
};

/// Attributes whose meaning no schema changes: those of leases, wakes, due times and expiry.
const COMMON: [&str; 16] = [
    DUE_AT,
    DUE_SHARD,
    EXPIRE_AT,
    attr::OWNER,
    attr::EPOCH,
    attr::GRIP,
    attr::LEASE_UNTIL,
    attr::STARTS,
    attr::SURVIVED,
    attr::WAKES,
    attr::WAKE_ALL,
    attr::AWAITED_BY,
    attr::UPDATED_AT,
    attr::FAILURES,
    attr::DEFECTS,
    attr::TROUBLE,
];

/// For how long a record is not tried again that a newer version has to go on with.
const LEFT_FOR: Duration = Duration::from_secs(30);

/// How many records are remembered as told.
const MOST_TOLD: usize = 10_000;

/// What a version writes and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The newest schema that it reads.
    pub reads: i64,
    /// The types of records (what their `id_type` begins with) whose layout has changed since the first schema, and
    /// the schema since which it is as it is written now.
    pub changed: &'static [(&'static str, i64)],
}

impl Schema {
    /// That of this version.
    pub const OURS: Self = Self { reads: READS, changed: &[] };

    /// The schema in which a record of that type is written.
    fn of(&self, id_type: &str) -> i64 {
        self.changed.iter().find(|(of, _)| id_type.starts_with(of)).map_or(FIRST, |(_, schema)| *schema)
    }
}

/// The table as a version may use it.
#[derive(Debug)]
pub struct Guarded {
    store: Arc<dyn Store>,
    schema: Schema,
    /// The records that were told of.
    told: Mutex<HashSet<Key>>,
}

impl Guarded {
    /// The table as this version may use it.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::with(store, Schema::OURS)
    }

    /// The table as another version may use it.
    pub fn with(store: Arc<dyn Store>, schema: Schema) -> Self {
        Self { store, schema, told: Mutex::default() }
    }

    /// An error, if a newer version wrote the item.
    fn check(&self, item: &Item) -> Result<()> {
        let (schema, reads) = (schema_of(item), self.schema.reads);
        if schema <= reads {
            return Ok(());
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST_TOLD && told.insert(item.key.clone()) {
            signals::fleet::newer_record(&item.key, schema, reads);
        }
        let message = format!(
            "{} has schema {schema}, and this version reads schemas up to {reads}: an instance of a newer version goes on with it",
            item.key
        );
        let mut error = Error::new(Class::Transient, "read record", message);
        error.code = Some(NEWER_SCHEMA.to_owned());
        Err(error)
    }

    fn check_all(&self, items: Vec<Item>) -> Result<Vec<Item>> {
        items.iter().try_for_each(|item| self.check(item))?;
        Ok(items)
    }

    /// Marks a write, and has it happen only to an item of a schema that is known. An item that is changed in place
    /// keeps a higher schema than that in which it is written: what is not changed of it has that layout.
    fn mark(&self, write: &mut Write, keeps: bool) {
        let own = self.schema.of(&write.key.id_type);
        let mut most = self.schema.reads;
        match &mut write.action {
            Action::Put(attributes) => drop(attributes.insert(SCHEMA.to_owned(), own.into())),
            Action::Update(changes) if marks(changes, &write.conditions) && !keeps => {
                changes.push(Change::Set(SCHEMA.to_owned(), own.into()));
                most = own;
            }
            Action::Update(_) | Action::Delete | Action::Check => {}
        }
        if !write.conditions.contains(&Condition::Absent) {
            write.conditions.push(Condition::AtMost(SCHEMA.to_owned(), most));
        }
    }

    /// Whether this version reads schemas that it does not write, as one does to which a newer one may be taken back.
    fn may_keep(&self, write: &Write) -> bool {
        self.schema.of(&write.key.id_type) < self.schema.reads
    }
}

/// Whether an update writes something whose layout a schema decides. One that takes nothing but common attributes,
/// on conditions, finds the item there.
fn marks(changes: &[Change], conditions: &[Condition]) -> bool {
    let is_common = |change: &Change| COMMON.contains(&change.name());
    let removes = |change: &Change| matches!(change, Change::Remove(_) | Change::Exclude(..));
    !changes.iter().all(removes) && (conditions.is_empty() || !changes.iter().all(is_common))
}

#[async_trait]
impl Store for Guarded {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        let item = self.store.get(key).await?;
        item.iter().try_for_each(|item| self.check(item))?;
        Ok(item)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        self.check_all(self.store.get_many(keys).await?)
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        self.check_all(self.store.query(id, prefix).await?)
    }

    async fn write(&self, mut write: Write) -> Result<Written> {
        let again = self.may_keep(&write).then(|| write.clone());
        self.mark(&mut write, false);
        let mut written = self.store.write(write).await?;
        if let (Written::Refused(Some(item)), Some(mut again)) = (&written, again)
            && schema_of(item) <= self.schema.reads
        {
            self.mark(&mut again, true);
            written = self.store.write(again).await?;
        }
        if let Written::Refused(Some(item)) = &written {
            self.check(item)?;
        }
        Ok(written)
    }

    async fn transact(&self, mut writes: Vec<Write>) -> Result<Transacted> {
        let keys: Vec<Key> = writes.iter().map(|write| write.key.clone()).collect();
        let again = writes.iter().any(|write| self.may_keep(write)).then(|| writes.clone());
        for write in &mut writes {
            self.mark(write, false);
        }
        let mut done = self.store.transact(writes).await?;
        let mut retried = again.is_none();
        while let Transacted::Refused(which) = &done {
            // A transaction does not say why: whether it was for a schema, the items tell.
            let keys: Vec<Key> = which.iter().filter_map(|n| keys.get(*n)).cloned().collect();
            let items = self.check_all(self.store.get_many(&keys).await?)?;
            let above: HashSet<Key> = items
                .into_iter()
                .filter(|item| schema_of(item) > self.schema.of(&item.key.id_type))
                .map(|item| item.key)
                .collect();
            if std::mem::replace(&mut retried, true) || above.is_empty() {
                break;
            }
            let mut writes = again.clone().unwrap_or_default();
            for write in &mut writes {
                self.mark(write, above.contains(&write.key));
            }
            done = self.store.transact(writes).await?;
        }
        Ok(done)
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        self.store.due(shard, until, limit).await
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        self.store.due_after(shard, after, limit).await
    }

    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
        self.store.recent(day, before, limit).await
    }
}

/// The records that this instance leaves to newer ones for now.
#[derive(Debug, Default)]
pub(super) struct Left(Mutex<HashMap<Key, Instant>>);

impl Left {
    /// Leaves a record for a while.
    pub(super) fn leave(&self, key: &Key) {
        self.all().insert(key.clone(), Instant::now() + LEFT_FOR);
    }

    /// Whether a record is left to others now.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.all().get(key).is_some_and(|until| Instant::now() < *until)
    }

    /// How many there are. So many entries of an index are read more, lest they hide all others.
    pub(super) fn count(&self) -> usize {
        let (mut all, now) = (self.all(), Instant::now());
        all.retain(|_, until| now < *until);
        all.len()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
