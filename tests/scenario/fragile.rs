//! A table on which one write breaks off, or that is away for a while, for showing that nothing depends on it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use copy_manager::{
    embedded::store::SqliteStore,
    ports::{
        Class, Error, Result,
        store::{Due, Item, Key, Page, Store, Transacted, Write, Written, item_bytes},
    },
};

/// The table, where one write breaks off, before or after it has happened, and which may be away.
#[derive(Debug)]
pub(crate) struct Fragile {
    pub(crate) store: SqliteStore,
    pub(crate) breaks_in: Arc<AtomicI64>,
    pub(crate) breaks_after: Arc<AtomicBool>,
    pub(crate) away: Arc<AtomicBool>,
    /// Bytes of the longest answer to one question.
    pub(crate) longest_answer: Arc<AtomicUsize>,
    /// Bytes of the largest record that was written.
    pub(crate) largest_record: Arc<AtomicUsize>,
}

impl Fragile {
    fn is_there(&self) -> Result<()> {
        if self.away.load(Ordering::Relaxed) {
            return Err(Error::new(Class::Transient, "table", "is away"));
        }
        Ok(())
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

#[async_trait]
impl Store for Fragile {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        self.is_there()?;
        self.store.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        self.is_there()?;
        self.store.get_many(keys).await.inspect(|items| self.told(items))
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        self.is_there()?;
        self.store.query(id, prefix).await.inspect(|items| self.told(items))
    }

    async fn write(&self, write: Write) -> Result<Written> {
        self.is_there()?;
        let written = self.break_off(self.store.write(write)).await?;
        if let Written::Done(Some(item)) = &written {
            self.largest_record.fetch_max(item_bytes(item), Ordering::Relaxed);
        }
        Ok(written)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
        self.is_there()?;
        self.break_off(self.store.transact(writes)).await
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        self.is_there()?;
        self.store.due(shard, until, limit).await
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        self.is_there()?;
        self.store.due_after(shard, after, limit).await
    }

    async fn tree(&self, root: &str, from: Option<&str>) -> Result<Page<Item>> {
        self.is_there()?;
        self.store.tree(root, from).await
    }
}
