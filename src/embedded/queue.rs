//! A queue in SQLite: a message that was pushed is there after a crash, until it is deleted.
//!
//! Visibility is counted on tokio's clock from when the queue was opened. A file belongs to one
//! process, so no task holds a message when it is opened: all of them are visible then.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::database::{Database, failed};
use crate::{
    ports::{
        Class, Error, Result,
        chance::Chance,
        queue::{Depth, Message, Queue},
    },
    signals,
};

/// How many messages one receive returns (SQS).
const BATCH: i64 = 10;
/// How many dead letters are kept.
const DEAD_KEPT: i64 = 1000;

/// How a queue behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a received message stays invisible.
    pub visibility: Duration,
    /// How long a receive waits for a message.
    pub long_poll: Duration,
    /// After how many receives a message goes to the dead letters.
    pub max_receives: Option<u32>,
    /// How many messages may wait; more are refused as `Throttled`.
    pub capacity: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            visibility: Duration::from_mins(1),
            long_poll: Duration::from_secs(20),
            max_receives: Some(5),
            capacity: 100_000,
        }
    }
}

/// A queue in a SQLite file.
#[derive(Debug)]
pub struct SqliteQueue {
    database: Database,
    name: &'static str,
    options: Options,
    chance: Arc<dyn Chance>,
    opened: Instant,
    news: Notify,
}

/// What one look at the table gave.
#[derive(Debug)]
struct Taken {
    messages: Vec<Message>,
    dead: Vec<(String, u32)>,
    next_visible: Option<i64>,
}

impl SqliteQueue {
    /// Opens the queue of that name; it is made when it is not there.
    pub async fn open(
        database: Database,
        name: &'static str,
        options: Options,
        chance: Arc<dyn Chance>,
    ) -> Result<Self> {
        let show_all = move |transaction: &Transaction<'_>| {
            transaction
                .execute("UPDATE messages SET visible_at = 0 WHERE queue = ?1", [name])
                .map_err(|error| failed("open queue", error))
        };
        database.write("open queue", show_all).await?;
        Ok(Self { database, name, options, chance, opened: Instant::now(), news: Notify::new() })
    }

    /// Puts a message in and says its id. It is durable when this returns.
    pub async fn push(&self, body: impl Into<String>) -> Result<String> {
        let (name, capacity, body) = (self.name, self.options.capacity, body.into());
        let id = self.chance.uuid().to_string();
        let fresh = id.clone();
        let insert = move |transaction: &Transaction<'_>| {
            let waiting: u32 = transaction
                .prepare_cached("SELECT count(*) FROM messages WHERE queue = ?1 AND dead = 0")
                .and_then(|mut statement| statement.query_row([name], |row| row.get(0)))
                .map_err(|error| failed("push message", error))?;
            if waiting >= capacity {
                return Err(Error::new(Class::Throttled, "push message", format!("queue {name} is full")));
            }
            transaction
                .prepare_cached("INSERT INTO messages (queue, id, body) VALUES (?1, ?2, ?3)")
                .and_then(|mut statement| statement.execute(params![name, fresh, body]))
                .map_err(|error| failed("push message", error))
        };
        self.database.write("push message", insert).await?;
        self.news.notify_one();
        Ok(id)
    }

    /// The newest messages that could not be finished, oldest first.
    pub async fn dead_letters(&self) -> Result<Vec<Message>> {
        let name = self.name;
        let look = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT id, receives, body FROM messages WHERE queue = ?1 AND dead = 1 ORDER BY number",
                )
                .and_then(|mut statement| statement.query_map([name], message)?.collect())
                .map_err(|error| failed("read dead letters", error))
        };
        self.database.read("read dead letters", look).await
    }

    async fn take(&self) -> Result<Taken> {
        let (name, max_receives) = (self.name, self.options.max_receives);
        let now = millis(self.opened.elapsed());
        let until = now.saturating_add(millis(self.options.visibility));
        let work = move |transaction: &Transaction<'_>| {
            take(transaction, name, max_receives, now, until)
                .map_err(|error| failed("receive messages", error))
        };
        let taken = self.database.write("receive messages", work).await?;
        for (id, receives) in &taken.dead {
            signals::queue::dead_lettered(self.name, id, *receives);
        }
        Ok(taken)
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn receive(&self) -> Result<Vec<Message>> {
        let deadline = Instant::now() + self.options.long_poll;
        loop {
            // Listening starts before looking, so that what is pushed in between is not missed.
            let news = self.news.notified();
            let taken = self.take().await?;
            if !taken.messages.is_empty() || Instant::now() >= deadline {
                return Ok(taken.messages);
            }
            let reappears = taken.next_visible.and_then(|at| u64::try_from(at).ok());
            let reappears = reappears.map(|at| self.opened + Duration::from_millis(at));
            let wake = reappears.map_or(deadline, |at| at.min(deadline));
            timeout_at(wake, news).await.ok();
        }
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>> {
        let (name, receipts) = (self.name, receipts.to_vec());
        let work = move |transaction: &Transaction<'_>| {
            let mut kept = Vec::new();
            for receipt in receipts {
                if !delete(transaction, name, &receipt).map_err(|error| failed("delete messages", error))? {
                    kept.push(receipt);
                }
            }
            Ok(kept)
        };
        let kept = self.database.write("delete messages", work).await?;
        if !kept.is_empty() {
            signals::queue::not_deleted(self.name, "StaleReceipt", kept.len());
        }
        Ok(kept)
    }

    async fn release(&self, receipts: &[String]) -> Result<()> {
        let (name, receipts) = (self.name, receipts.to_vec());
        let work = move |transaction: &Transaction<'_>| {
            for (id, receives) in receipts.iter().filter_map(|receipt| parse(receipt)) {
                transaction
                    .prepare_cached(
                        "UPDATE messages SET visible_at = 0 WHERE queue = ?1 AND id = ?2 AND receives = ?3",
                    )
                    .and_then(|mut statement| statement.execute(params![name, id, receives]))
                    .map_err(|error| failed("release messages", error))?;
            }
            Ok(())
        };
        self.database.write("release messages", work).await?;
        self.news.notify_one();
        Ok(())
    }

    async fn depth(&self) -> Result<Depth> {
        let (name, now) = (self.name, millis(self.opened.elapsed()));
        let look = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT count(*) FILTER (WHERE dead = 0 AND visible_at <= ?2),
                            count(*) FILTER (WHERE dead = 0 AND visible_at > ?2),
                            count(*) FILTER (WHERE dead = 1)
                     FROM messages WHERE queue = ?1",
                )
                .and_then(|mut statement| statement.query_row(params![name, now], depth))
                .map_err(|error| failed("count messages", error))
        };
        self.database.read("count messages", look).await
    }

    fn max_receives(&self) -> Option<u32> {
        self.options.max_receives
    }
}

fn take(
    transaction: &Transaction<'_>,
    name: &str,
    max_receives: Option<u32>,
    now: i64,
    until: i64,
) -> rusqlite::Result<Taken> {
    let mut taken = Taken { messages: Vec::new(), dead: Vec::new(), next_visible: None };
    let dead = transaction
        .prepare_cached(
            "UPDATE messages SET dead = 1 WHERE queue = ?1 AND dead = 0 AND visible_at <= ?2 AND receives >= ?3
             RETURNING id, receives",
        )?
        .query_map(params![name, now, max_receives.unwrap_or(u32::MAX)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    taken.dead = dead;
    if !taken.dead.is_empty() {
        transaction.execute(
            "DELETE FROM messages WHERE queue = ?1 AND dead = 1 AND number NOT IN
             (SELECT number FROM messages WHERE queue = ?1 AND dead = 1 ORDER BY number DESC LIMIT ?2)",
            params![name, DEAD_KEPT],
        )?;
    }
    taken.messages = transaction
        .prepare_cached(
            "UPDATE messages SET receives = receives + 1, visible_at = ?3 WHERE number IN
             (SELECT number FROM messages WHERE queue = ?1 AND dead = 0 AND visible_at <= ?2
              ORDER BY number LIMIT ?4)
             RETURNING id, receives, body",
        )?
        .query_map(params![name, now, until, BATCH], message)?
        .collect::<rusqlite::Result<_>>()?;
    taken.next_visible = transaction
        .prepare_cached("SELECT min(visible_at) FROM messages WHERE queue = ?1 AND dead = 0")?
        .query_row([name], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(taken)
}

/// Whether the message is gone now; not so when it was received again since.
fn delete(transaction: &Transaction<'_>, name: &str, receipt: &str) -> rusqlite::Result<bool> {
    let Some((id, receives)) = parse(receipt) else { return Ok(false) };
    let current: Option<u32> = transaction
        .prepare_cached("SELECT receives FROM messages WHERE queue = ?1 AND id = ?2 AND dead = 0")?
        .query_row(params![name, id], |row| row.get(0))
        .optional()?;
    let is_ours = current == Some(receives);
    if is_ours {
        transaction.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
    }
    Ok(is_ours || current.is_none())
}

fn depth(row: &Row<'_>) -> rusqlite::Result<Depth> {
    let (waiting, in_flight, dead): (u32, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(Depth { waiting: waiting.into(), in_flight: in_flight.into(), dead_letters: Some(dead.into()) })
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let (id, receives): (String, u32) = (row.get(0)?, row.get(1)?);
    Ok(Message { receipt: format!("{id}#{receives}"), id, body: row.get(2)?, receives })
}

fn parse(receipt: &str) -> Option<(&str, u32)> {
    let (id, receives) = receipt.rsplit_once('#')?;
    Some((id, receives.parse().ok()?))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
