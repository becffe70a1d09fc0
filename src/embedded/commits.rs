//! Writes that share a commit.
//!
//! A commit waits for the disk, and writes that come meanwhile are committed together with the next one. A
//! write that fails is undone alone, and none is answered before it is on disk.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::database::failed;
use crate::ports::{Class, Error, Result};

/// Writes of one commit; more wait for the next.
const MOST: usize = 256;

/// What became of a commit.
enum Fate {
    OnDisk,
    /// Nothing of it was written.
    Undone(Class, String),
    /// It is not known whether it was.
    Unknown(Class, String),
}

/// A write that waits.
trait QueuedWrite: Send {
    /// Does the work; false when it is to be undone.
    fn work(&mut self, transaction: &Transaction<'_>) -> bool;
    /// Tells the task that waits for it.
    fn answer(self: Box<Self>, fate: &Fate);
}

/// The work of one write, and later what came of it.
struct Write<T, F> {
    operation: &'static str,
    work: Option<F>,
    done: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, F> QueuedWrite for Write<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> Result<T> + Send,
{
    fn work(&mut self, transaction: &Transaction<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        // Other tasks wait in the same commit, and for those that come after it.
        self.done = catch_unwind(AssertUnwindSafe(|| work(transaction))).ok();
        matches!(self.done, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, fate: &Fate) {
        let Self { operation, done, answer, .. } = *self;
        let error = |class: Class, why: &str| Err(Error::new(class, operation, why));
        let done = match (fate, done) {
            (Fate::OnDisk, done) | (_, done @ Some(Err(_))) => done,
            (Fate::Undone(class, why), _) => Some(error(*class, why)),
            (Fate::Unknown(class, why), _) => Some(error(*class, why).map_err(Error::ambiguous)),
        };
        // A task that does not wait any more need not know; one whose work broke learns it by silence.
        done.map(|done| answer.send(done).ok());
    }
}

/// Writes that wait for the next commit.
#[derive(Default)]
pub(super) struct Commits(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    writes: VecDeque<Box<dyn QueuedWrite>>,
    /// Whether a task commits, and will come to all writes that wait.
    is_served: bool,
}

impl fmt::Debug for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commits").field("waiting", &self.waiting().writes.len()).finish_non_exhaustive()
    }
}

impl Commits {
    /// Puts a write into the next commit; its answer, and whether a task must be sent to
    /// [`serve`](Self::serve).
    pub(super) fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> (oneshot::Receiver<Result<T>>, bool) {
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.writes.push_back(Box::new(Write { operation, work: Some(work), done: None, answer }));
        let was_served = std::mem::replace(&mut waiting.is_served, true);
        (answered, !was_served)
    }

    /// Commits until no write waits. Blocks.
    pub(super) fn serve(&self, connection: &Mutex<Connection>) {
        loop {
            let writes: Vec<_> = {
                let mut waiting = self.waiting();
                waiting.is_served = !waiting.writes.is_empty();
                if !waiting.is_served {
                    return;
                }
                let count = waiting.writes.len().min(MOST);
                waiting.writes.drain(..count).collect()
            };
            commit(&mut connection.lock().unwrap_or_else(PoisonError::into_inner), writes);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn commit(connection: &mut Connection, mut writes: Vec<Box<dyn QueuedWrite>>) {
    let fate = write_all(connection, &mut writes).err().unwrap_or(Fate::OnDisk);
    for write in writes {
        write.answer(&fate);
    }
}

fn write_all(connection: &mut Connection, writes: &mut [Box<dyn QueuedWrite>]) -> Result<(), Fate> {
    let told = |error: rusqlite::Error| {
        let why = format!("SQLite refused: {error}");
        (failed("commit", error).class, why)
    };
    let undone = |error| {
        let (class, why) = told(error);
        Fate::Undone(class, why)
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(undone)?;
    for write in writes {
        write_one(&transaction, write.as_mut()).map_err(undone)?;
    }
    transaction.commit().map_err(|error| {
        let (class, why) = told(error);
        Fate::Unknown(class, why)
    })
}

/// An error is one of the whole transaction: SQLite has given it up, as it does when the disk is full.
fn write_one(transaction: &Transaction<'_>, write: &mut dyn QueuedWrite) -> rusqlite::Result<()> {
    let say = |sql| transaction.prepare_cached(sql)?.execute([]).map(drop);
    say("SAVEPOINT one")?;
    if !write.work(transaction) {
        say("ROLLBACK TO one")?;
    }
    say("RELEASE one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(connection: &Mutex<Connection>) -> i64 {
        connection.lock().unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    fn insert(n: i64) -> impl FnOnce(&Transaction<'_>) -> Result<i64> + Send + 'static {
        move |transaction| {
            transaction.execute("INSERT INTO t VALUES (?1)", [n]).map_err(|error| failed("insert", error))?;
            Ok(n)
        }
    }

    fn database() -> Mutex<Connection> {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)").unwrap();
        Mutex::new(connection)
    }

    #[test]
    fn writes_that_fail_or_break_are_undone_alone() {
        let (commits, connection) = (Commits::default(), database());
        let (first, must_serve) = commits.ask("a", insert(1));
        assert!(must_serve);
        let (double, must_serve) = commits.ask("b", |transaction: &Transaction<'_>| {
            insert(2)(transaction)?;
            insert(1)(transaction)
        });
        assert!(!must_serve, "one serves for all");
        let (broken, _) = commits.ask("c", |transaction: &Transaction<'_>| -> Result<()> {
            insert(3)(transaction)?;
            panic!("broken")
        });
        let (last, _) = commits.ask("d", insert(4));
        commits.serve(&connection);
        assert_eq!(first.blocking_recv().unwrap().unwrap(), 1);
        assert_eq!(double.blocking_recv().unwrap().unwrap_err().operation, "insert");
        assert!(broken.blocking_recv().is_err());
        assert_eq!(last.blocking_recv().unwrap().unwrap(), 4);
        assert_eq!(count(&connection), 2);
        assert!(commits.ask("e", insert(5)).1, "and is not there for ever");
    }

    #[test]
    fn a_commit_that_is_lost_is_lost_for_all() {
        let (commits, connection) = (Commits::default(), database());
        let (first, _) = commits.ask("a", insert(1));
        let (end, _) = commits.ask("b", |transaction: &Transaction<'_>| {
            // As when the disk is full.
            transaction.execute_batch("ROLLBACK").map_err(|error| failed("rollback", error))
        });
        commits.serve(&connection);
        for error in [first.blocking_recv().unwrap().unwrap_err(), end.blocking_recv().unwrap().unwrap_err()]
        {
            assert!(!error.may_have_happened, "{error}");
        }
        assert_eq!(count(&connection), 0);
    }
}
