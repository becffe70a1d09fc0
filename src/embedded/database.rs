//! One SQLite connection, shared by the store, the queues and the callbacks.
//!
//! Writes are durable when they are answered (WAL, `synchronous=FULL`). A file is worked on in
//! `spawn_blocking`; a database in memory is worked on in place, which takes microseconds and keeps
//! the order of things in simulations the same for the same seed.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::ports::{Class, Error, Result};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS items (
        id TEXT NOT NULL,
        id_type TEXT NOT NULL,
        attributes TEXT NOT NULL,
        due_shard INTEGER,
        due_at INTEGER,
        root_id TEXT,
        expire_at INTEGER,
        PRIMARY KEY (id, id_type)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS items_due ON items (due_shard, due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX IF NOT EXISTS items_tree ON items (root_id, id, id_type) WHERE root_id IS NOT NULL;
    CREATE INDEX IF NOT EXISTS items_expire ON items (expire_at) WHERE expire_at IS NOT NULL;

    CREATE TABLE IF NOT EXISTS messages (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        id TEXT NOT NULL UNIQUE,
        body TEXT NOT NULL,
        receives INTEGER NOT NULL DEFAULT 0,
        visible_at INTEGER NOT NULL DEFAULT 0,
        dead INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX IF NOT EXISTS messages_visible ON messages (queue, dead, visible_at);

    CREATE TABLE IF NOT EXISTS answers (
        token_hash TEXT PRIMARY KEY,
        answered_at INTEGER NOT NULL
    ) STRICT;
";

/// A handle on the database; clones share the connection.
#[derive(Debug, Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    in_memory: bool,
}

impl Database {
    /// Opens a file, made when it is not there. Blocks for as long as SQLite recovers the file.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path).map_err(|error| failed("open database", error))?;
        Self::prepare(connection, false)
    }

    /// A database that lives as long as its handles.
    pub fn in_memory() -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(|error| failed("open database", error))?;
        Self::prepare(connection, true)
    }

    fn prepare(connection: Connection, in_memory: bool) -> Result<Self> {
        let set_up = || {
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.set_prepared_statement_cache_capacity(64);
            connection.execute_batch(SCHEMA)
        };
        set_up().map_err(|error| failed("open database", error))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), in_memory })
    }

    /// Does `work` in one transaction (`BEGIN IMMEDIATE`), committed only if it ends well.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.with(operation, move |connection| {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(|error| failed(operation, error))?;
            let done = work(&transaction)?;
            transaction.commit().map_err(|error| failed(operation, error).ambiguous())?;
            Ok(done)
        })
        .await
    }

    /// Looks at the database.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.with(operation, move |connection| look(connection)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.connection);
        let locked = move || work(&mut shared.lock().unwrap_or_else(PoisonError::into_inner));
        if self.in_memory {
            return locked();
        }
        let ended = tokio::task::spawn_blocking(locked).await;
        ended.unwrap_or_else(|error| {
            Err(Error::new(Class::Transient, operation, "the work was cut short")
                .caused_by(error)
                .ambiguous())
        })
    }
}

/// Classifies what SQLite says. `operation` names what was tried.
pub(super) fn failed(operation: &'static str, error: rusqlite::Error) -> Error {
    let class = match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted,
        ) => Class::Transient,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => Class::Forbidden,
        _ => Class::Invalid,
    };
    Error::new(class, operation, "SQLite refused").caused_by(error)
}
