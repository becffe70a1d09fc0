//! One SQLite database, shared by the store, the queues and the callbacks.
//!
//! Writes are durable when they are answered (WAL, `synchronous=FULL`); those that come at the same time
//! share a commit. A file is worked on in `spawn_blocking`, and read through a connection of its own, so that
//! no reader waits for the disk; a database in memory is worked on in place, which takes microseconds and
//! keeps the order of things in simulations the same for the same seed.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::commits::Commits;
use crate::{
    ports::{Class, Error, Result},
    signals,
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS items (
        id TEXT NOT NULL,
        id_type TEXT NOT NULL,
        attributes TEXT NOT NULL,
        due_shard INTEGER,
        due_at INTEGER,
        expire_at INTEGER,
        PRIMARY KEY (id, id_type)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS items_due ON items (due_shard, due_at) WHERE due_at IS NOT NULL;
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

/// What came later, for files that were made before as well.
const RECENT: &str = "
    ALTER TABLE items ADD COLUMN day INTEGER;
    ALTER TABLE items ADD COLUMN created_at INTEGER;
    CREATE INDEX items_recent ON items (day, created_at) WHERE day IS NOT NULL;
";

/// A handle on the database; clones share the connections.
#[derive(Debug, Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    /// The same one where the database is in memory.
    reader: Arc<Mutex<Connection>>,
    commits: Arc<Commits>,
    in_memory: bool,
}

impl Database {
    /// Opens a file, made when it is not there. Blocks for as long as SQLite recovers the file.
    pub fn open(path: &Path) -> Result<Self> {
        keep_to_ourselves(path)?;
        let open = || Connection::open(path).map_err(|error| failed("open database", error));
        let connection = prepared(open()?)?;
        Ok(Self { reader: prepared(open()?)?, ..Self::of(connection, false) })
    }

    /// A database that lives as long as its handles.
    pub fn in_memory() -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(|error| failed("open database", error))?;
        Ok(Self::of(prepared(connection)?, true))
    }

    fn of(connection: Arc<Mutex<Connection>>, in_memory: bool) -> Self {
        let reader = Arc::clone(&connection);
        Self { connection, reader, commits: Arc::default(), in_memory }
    }

    /// Does `work`, all of it or nothing. Other tasks may do theirs in the same transaction.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.in_memory {
            let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction().map_err(|error| failed(operation, error))?;
            let done = work(&transaction)?;
            transaction.commit().map_err(|error| failed(operation, error).ambiguous())?;
            return Ok(done);
        }
        let (answered, must_serve) = self.commits.ask(operation, work);
        if must_serve {
            let (commits, connection) = (Arc::clone(&self.commits), Arc::clone(&self.connection));
            drop(tokio::task::spawn_blocking(move || commits.serve(&connection)));
        }
        answered.await.unwrap_or_else(|_| Err(cut_short(operation).ambiguous()))
    }

    /// Looks at the database.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.reader);
        let locked = move || look(&shared.lock().unwrap_or_else(PoisonError::into_inner));
        if self.in_memory {
            return locked();
        }
        let ended = tokio::task::spawn_blocking(locked).await;
        ended.unwrap_or_else(|error| Err(cut_short(operation).caused_by(error)))
    }
}

/// Sees to it that only the owner may read the file: it holds task tokens. What SQLite puts beside it, it
/// gives the same mode. A file that is there already is its owner's to close.
fn keep_to_ourselves(path: &Path) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            let why = format!("`{}` cannot be made", path.display());
            return Err(Error::new(Class::Forbidden, "open database", why).caused_by(error));
        }
    }
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let file = PathBuf::from(name);
        if let Ok(mode) = fs::metadata(&file).map(|found| found.mode() & 0o777)
            && mode & 0o077 != 0
        {
            signals::queue::database_is_open(&file, mode);
        }
    }
    Ok(())
}

fn prepared(connection: Connection) -> Result<Arc<Mutex<Connection>>> {
    let set_up = || {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(SCHEMA)?;
        // As a whole, and by one process alone.
        let change = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        if !change.prepare("SELECT name FROM pragma_table_info('items') WHERE name = 'day'")?.exists([])? {
            change.execute_batch(RECENT)?;
        }
        change.commit()
    };
    set_up().map_err(|error| failed("open database", error))?;
    Ok(Arc::new(Mutex::new(connection)))
}

fn cut_short(operation: &'static str) -> Error {
    Error::new(Class::Transient, operation, "the work was cut short")
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

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[tokio::test]
    async fn nobody_else_may_read_the_file_or_what_is_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.sqlite");
        let database = Database::open(&path).unwrap();
        let write = |transaction: &Transaction<'_>| {
            let insert = "INSERT INTO answers VALUES ('hash', 1)";
            transaction.execute(insert, []).map_err(|error| failed("insert", error))
        };
        database.write("insert", write).await.unwrap();
        for ending in ["", "-wal", "-shm"] {
            let file = folder.path().join(format!("new.sqlite{ending}"));
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
    }

    #[test]
    fn a_file_that_was_there_before_is_opened_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.sqlite");
        drop(Database::open(&path).unwrap());
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(Database::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(Database::open(&folder.path().join("none/new.sqlite")).is_err());
    }
}
