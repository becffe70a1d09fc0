//! The table, in SQLite. What a write means is [`crate::ports::store::apply`]; this is where the
//! item is found and kept.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use rusqlite::{Connection, Row, Transaction, params};

use super::{
    database::{Database, failed},
    rows,
};
use crate::ports::{
    Class, Error, Result,
    clock::Clock,
    store::{Action, Due, Item, Key, Recent, Store, Transacted, Write, Written, apply},
};

/// How often expired items are looked for, in seconds.
const SWEEP_EVERY: i64 = 60;
/// How many writes a transaction may have (DynamoDB).
const MAX_WRITES: usize = 100;

/// The table in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    database: Database,
    clock: Arc<dyn Clock>,
    swept_at: AtomicI64,
}

impl SqliteStore {
    /// The table of that database.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, swept_at: AtomicI64::new(i64::MIN) }
    }

    /// The moment up to which expired items are to be dropped now, once in a while.
    fn sweep_until(&self) -> Option<i64> {
        let now = self.clock.now().as_second();
        let last = self.swept_at.load(Ordering::Relaxed);
        let is_mine = now.saturating_sub(last) >= SWEEP_EVERY
            && self.swept_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        is_mine.then_some(now)
    }

    /// Entries of the index that a statement finds for a shard and a time.
    async fn entries(&self, sql: &'static str, shard: u8, at: i64, limit: usize) -> Result<Vec<Due>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| {
            Ok(Due { key: Key::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?), due_at: row.get(2)? })
        };
        let look = move |connection: &Connection| {
            select(connection, "query due", sql, params![shard, at, limit], read)
        };
        self.database.read("query due", look).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        let key = key.clone();
        self.database.read("get item", move |connection| rows::find(connection, &key)).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let mut keys = keys.to_vec();
        keys.sort();
        keys.dedup();
        let find_all = move |connection: &Connection| {
            keys.iter().filter_map(|key| rows::find(connection, key).transpose()).collect()
        };
        self.database.read("get items", find_all).await
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        let (id, prefix) = (id.to_owned(), prefix.to_owned());
        let sql = format!(
            "SELECT {} FROM items WHERE id = ?1 AND substr(id_type, 1, length(?2)) = ?2 ORDER BY id_type",
            rows::COLUMNS
        );
        let look = move |connection: &Connection| {
            let found = select(connection, "query items", &sql, params![id, prefix], rows::item)?;
            found.into_iter().map(rows::decode).collect()
        };
        self.database.read("query items", look).await
    }

    async fn write(&self, write: Write) -> Result<Written> {
        let sweep = self.sweep_until();
        let work = move |transaction: &Transaction<'_>| {
            drop_expired(transaction, sweep)?;
            write_one(transaction, &write)
        };
        self.database.write("write item", work).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
        check_transaction(&writes)?;
        let work = move |transaction: &Transaction<'_>| {
            // Nothing may be written before every condition has been looked at.
            let mut refused = Vec::new();
            for (position, write) in writes.iter().enumerate() {
                let current = rows::find(transaction, &write.key)?;
                if matches!(apply(current.as_ref(), write)?, Written::Refused(_)) {
                    refused.push(position);
                }
            }
            if !refused.is_empty() {
                return Ok(Transacted::Refused(refused));
            }
            writes.iter().try_for_each(|write| write_one(transaction, write).map(drop))?;
            Ok(Transacted::Done)
        };
        self.database.write("write items", work).await
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        let sql = "SELECT id, id_type, due_at FROM items
                   WHERE due_shard = ?1 AND due_at <= ?2 ORDER BY due_at, id, id_type LIMIT ?3";
        self.entries(sql, shard, until, limit).await
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        let sql = "SELECT id, id_type, due_at FROM items
                   WHERE due_shard = ?1 AND due_at > ?2 ORDER BY due_at DESC, id, id_type LIMIT ?3";
        self.entries(sql, shard, after, limit).await
    }

    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
        let sql = "SELECT id, id_type, created_at FROM items
                   WHERE day = ?1 AND created_at < ?2 AND created_at >= IFNULL(
                       (SELECT created_at FROM items WHERE day = ?1 AND created_at < ?2
                        ORDER BY created_at DESC LIMIT 1 OFFSET ?3), -1)
                   ORDER BY created_at DESC, id, id_type";
        let last = i64::try_from(limit.saturating_sub(1)).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| {
            let key = Key::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?);
            Ok(Recent { key, created_at: row.get(2)? })
        };
        let look = move |connection: &Connection| {
            select(connection, "query recent", sql, params![day, before, last], read)
        };
        self.database.read("query recent", look).await
    }
}

/// One write, in a transaction that is open.
fn write_one(connection: &Connection, write: &Write) -> Result<Written> {
    let current = rows::find(connection, &write.key)?;
    let written = apply(current.as_ref(), write)?;
    match (&written, &write.action) {
        (Written::Refused(_), _) => Ok(written),
        (Written::Done(_), Action::Check) => Ok(Written::Done(None)),
        (Written::Done(Some(item)), _) => rows::save(connection, item).map(|()| written),
        (Written::Done(None), _) => rows::remove(connection, &write.key).map(|()| written),
    }
}

/// Refuses what DynamoDB would refuse, so that no code gets used to it here.
fn check_transaction(writes: &[Write]) -> Result<()> {
    let wrong = |message| Err(Error::new(Class::Invalid, "write items", message));
    let mut keys: Vec<&Key> = writes.iter().map(|write| &write.key).collect();
    keys.sort();
    keys.dedup();
    if keys.len() < writes.len() {
        return wrong("a transaction writes each item once");
    }
    if writes.len() > MAX_WRITES {
        return wrong("a transaction has at most 100 writes");
    }
    if writes.iter().any(|write| matches!(&write.action, Action::Update(changes) if changes.is_empty())) {
        return wrong("an update in a transaction changes something");
    }
    Ok(())
}

fn drop_expired(connection: &Connection, until: Option<i64>) -> Result<()> {
    let Some(until) = until else { return Ok(()) };
    connection
        .execute("DELETE FROM items WHERE expire_at <= ?1", [until])
        .map(drop)
        .map_err(|error| failed("drop expired items", error))
}

fn select<T>(
    connection: &Connection,
    operation: &'static str,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let look = || connection.prepare_cached(sql)?.query_map(parameters, read)?.collect();
    let found: rusqlite::Result<Vec<T>> = look();
    found.map_err(|error| failed(operation, error))
}
