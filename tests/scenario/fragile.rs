//! A table on which one write breaks off, or that is away for a while, for showing that nothing depends on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use copy_manager::{
    embedded::store::SqliteStore,
    ports::{
        Class, Error, Result,
        store::{Action, Change, Due, Item, Key, Recent, Store, Transacted, Write, Written, item_bytes},
    },
};

/// A write that arrives later than its author believes.
#[derive(Debug, Clone)]
pub(crate) struct Late {
    /// What its key, or that of one of its transaction, holds.
    pub(crate) about: &'static str,
    pub(crate) after: Duration,
    /// Whether it arrives at once besides, as an attempt that was repeated below us; else nobody hears of it.
    pub(crate) doubled: bool,
}

/// The table, where one write breaks off, before or after it has happened, and which may be away.
#[derive(Debug)]
pub(crate) struct Fragile {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) breaks_in: Arc<AtomicI64>,
    pub(crate) breaks_after: Arc<AtomicBool>,
    pub(crate) away: Arc<AtomicBool>,
    /// Bytes of the longest answer to one question.
    pub(crate) longest_answer: Arc<AtomicUsize>,
    /// Bytes of the largest record that was written.
    pub(crate) largest_record: Arc<AtomicUsize>,
    /// How many times more a root that is woken is not.
    pub(crate) unwoken: Arc<AtomicUsize>,
    /// The next write about that arrives late.
    pub(crate) late: Arc<Mutex<Option<Late>>>,
    /// Calls by what they ask of which type of records.
    pub(crate) calls: Calls,
    /// The keys of all records that were ever written.
    pub(crate) written: Arc<Mutex<BTreeSet<Key>>>,
}

/// Calls to the table: how many, and how many bytes they have written.
pub(crate) type Calls = Arc<Mutex<BTreeMap<String, (u64, usize)>>>;

/// The type of a record without what makes it one of its kind.
fn kind_of(key: &Key) -> String {
    let kind = key.id_type.split('#').next().unwrap();
    if kind == "REQUEST" { format!("{kind} {}", key.id.split('.').next().unwrap()) } else { kind.to_owned() }
}

impl Fragile {
    fn count(&self, what: &str, key: &Key, bytes: usize) {
        let mut calls = self.calls.lock().unwrap();
        let entry = calls.entry(format!("{what} {}", kind_of(key))).or_default();
        *entry = (entry.0 + 1, entry.1 + bytes);
    }

    fn is_there(&self) -> Result<()> {
        if self.away.load(Ordering::Relaxed) {
            return Err(Error::new(Class::Transient, "table", "is away"));
        }
        Ok(())
    }

    /// Whether it wakes a root, and is to fail.
    async fn fails_to_wake(&self, write: &Write) -> Result<bool> {
        let Action::Update(changes) = &write.action else { return Ok(false) };
        let wakes = changes.iter().any(|change| matches!(change, Change::Add(name, _) if name == "wakes"));
        if !wakes || write.key.id_type != "REQUEST" || self.unwoken.load(Ordering::Relaxed) == 0 {
            return Ok(false);
        }
        let record = self.store.get(&write.key).await?;
        let is_child = record.is_some_and(|it| it.text("root").is_some_and(|root| root != write.key.id));
        Ok(!is_child && self.unwoken.fetch_sub(1, Ordering::Relaxed) > 0)
    }

    /// Whether writes of these keys arrive late now.
    fn is_late(&self, writes: &[Write]) -> Option<Late> {
        let mut late = self.late.lock().unwrap();
        let mut puts = writes.iter().filter(|write| matches!(write.action, Action::Put(_)));
        late.take_if(|late| puts.any(|put| put.key.to_string().contains(late.about)))
    }

    /// Has writes arrive later; whether they arrive now, too.
    fn put_off(&self, writes: &[Write]) -> Result<()> {
        let Some(late) = self.is_late(writes) else { return Ok(()) };
        let (store, writes) = (self.store.clone(), writes.to_vec());
        #[expect(clippy::disallowed_methods, reason = "what is under way outlives the instance")]
        tokio::spawn(async move {
            tokio::time::sleep(late.after).await;
            store.transact(writes).await.unwrap();
        });
        if late.doubled {
            return Ok(());
        }
        Err(Error::new(Class::Transient, "write", "no answer in time").ambiguous())
    }

    fn told(&self, items: &[Item]) {
        self.longest_answer.fetch_max(items.iter().map(item_bytes).sum(), Ordering::Relaxed);
    }

    async fn break_off<T>(&self, write: impl Future<Output = Result<T>>) -> Result<T> {
        if self.breaks_in.load(Ordering::Relaxed) >= 0 && self.breaks_in.fetch_sub(1, Ordering::Relaxed) == 0
        {
            if self.breaks_after.load(Ordering::Relaxed) {
                write.await?;
            }
            return Err(Error::new(Class::Transient, "write", "broke off").ambiguous());
        }
        write.await
    }
}

/// What a write does.
fn told_of(write: &Write) -> &'static str {
    let Action::Update(changes) = &write.action else {
        return if matches!(write.action, Action::Put(_)) { "put" } else { "delete" };
    };
    let sets =
        |wanted: &str| changes.iter().any(|change| matches!(change, Change::Set(name, _) if name == wanted));
    let adds =
        |wanted: &str| changes.iter().any(|change| matches!(change, Change::Add(name, _) if name == wanted));
    if adds("epoch") {
        "acquire"
    } else if adds("wakes") {
        "wake"
    } else if sets("owner") {
        "release"
    } else {
        "update"
    }
}

#[async_trait]
impl Store for Fragile {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        self.is_there()?;
        self.count("get", key, 0);
        self.store.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        self.is_there()?;
        keys.first().into_iter().for_each(|key| self.count("get many", key, 0));
        self.store.get_many(keys).await.inspect(|items| self.told(items))
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        self.is_there()?;
        self.count("query", &Key::new(id, prefix), 0);
        self.store.query(id, prefix).await.inspect(|items| self.told(items))
    }

    async fn write(&self, write: Write) -> Result<Written> {
        self.is_there()?;
        if self.fails_to_wake(&write).await? {
            return Err(Error::new(Class::Transient, "wake", "no answer"));
        }
        self.put_off(std::slice::from_ref(&write))?;
        self.written.lock().unwrap().insert(write.key.clone());
        let (what, key) = (told_of(&write), write.key.clone());
        let written = self.break_off(self.store.write(write)).await?;
        let bytes = if let Written::Done(Some(item)) = &written { item_bytes(item) } else { 0 };
        self.count(what, &key, bytes);
        if let Written::Done(Some(item)) = &written {
            self.largest_record.fetch_max(item_bytes(item), Ordering::Relaxed);
        }
        Ok(written)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
        self.is_there()?;
        self.put_off(&writes)?;
        self.written.lock().unwrap().extend(writes.iter().map(|write| write.key.clone()));
        let changed =
            writes.iter().filter(|write| matches!(write.action, Action::Put(_) | Action::Update(_)));
        let (keys, first) =
            (changed.map(|write| write.key.clone()).collect::<Vec<_>>(), writes.first().cloned());
        let done = self.break_off(self.store.transact(writes)).await;
        if let Some(first) = first {
            let bytes = self.store.get_many(&keys).await?.iter().map(item_bytes).sum();
            self.count("transact", &first.key, bytes);
        }
        done
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        self.is_there()?;
        self.store.due(shard, until, limit).await
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        self.is_there()?;
        self.store.due_after(shard, after, limit).await
    }

    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
        self.is_there()?;
        self.store.recent(day, before, limit).await
    }
}
