//! The replica: tables in a database that others read while we write.
//!
//! # Contract
//! - Readers see a table as it was before a transaction or as it is after it, never a half or an empty one, and are
//!   not blocked but by the changes of a table's definition, which wait for a lock no longer than is set.
//! - One loader a table over all instances: [`Replica::open`] gives none while another holds it. What another program
//!   does that takes no lock is seen by the row of `table_sync`, which every transaction that writes holds to what the
//!   loader read of it: [`Trouble::Moved`].
//! - Every method may be called again after it has had its effect.
//! - Views and other things that depend on a table are as they were, or the change has not happened.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    error::{Error, Result as PortResult},
    source::ByteStream,
};
use crate::domain::replica::{
    changes::{Changes, Found},
    counts::Counts,
    meta::MetaRow,
    names::TableName,
    shape::Shape,
};

/// Why a replica has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The row of `table_sync` is not what was read of it.
    #[error("another program has written this table")]
    Moved,
    /// A line does not fit its table. The part was rolled back.
    #[error("{0}")]
    BadLine(BadLine),
    /// Other sessions held the table for longer than is waited.
    #[error("the table is held by {}", shown(.0))]
    InTheWay(Vec<Session>),
    /// What depends on the table cannot be made again as it was.
    #[error("{}", .0.join("; "))]
    Dependents(Vec<String>),
    /// What is there is not ours to touch, or cannot be done: why, in one sentence.
    #[error("{0}")]
    Refused(String),
    /// The lines did not come: the error of their source.
    #[error("{0}")]
    Source(Error),
    /// The database failed; its SQLSTATE is the error's `code`.
    #[error("{0}")]
    Port(#[from] Error),
}

/// A line that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("part {part}, line {}, column {}: {why}", .line.map_or_else(|| "?".to_owned(), |line| line.to_string()), .column.as_deref().unwrap_or("?"))]
pub struct BadLine {
    /// Which part, from 0.
    pub part: usize,
    /// Which line of it, without its header, from 1; where the database says.
    pub line: Option<u64>,
    /// Which column, where it says.
    pub column: Option<String>,
    /// What the database says, without the value.
    pub why: String,
}

/// A session that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its process id at the server.
    pub pid: i32,
    /// Whose it is.
    pub user: String,
    /// What it calls itself.
    pub application: String,
    /// Since when its transaction runs, as the server writes it.
    pub since: String,
}

fn shown(sessions: &[Session]) -> String {
    let one = |session: &Session| {
        let Session { pid, user, application, since } = session;
        format!("{user} ({application}, pid {pid}, since {since})")
    };
    if sessions.is_empty() {
        return "a session that has ended since".to_owned();
    }
    sessions.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Result of a replica's method.
pub type Result<T, E = Trouble> = std::result::Result<T, E>;

/// What is there of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    /// Its row of `table_sync`; none: it was never loaded.
    pub meta: Option<MetaRow>,
    /// The table itself.
    pub found: Option<Found>,
    /// The snapshot that is loaded beside it.
    pub staged: Option<Beside>,
    /// How columns of the rows that are there were treated, as [`Loader::treat`] was told when they were loaded as a
    /// whole.
    pub mark: Option<String>,
}

/// A snapshot that is loaded beside a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// The job that gave it.
    pub job: String,
    /// The numbers of the parts that are loaded.
    pub parts: Vec<usize>,
    /// The time that changes have brought it to ([`Loader::advance`]); none: it is as the job gave it.
    pub brought_to: Option<Timestamp>,
}

/// A row that could not be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its key, as JSON.
    pub key: String,
    /// The line as it came, bytes that are no UTF-8 replaced.
    pub line: String,
    /// Why it could not be stored.
    pub reason: String,
}

/// What was found out about lines while they were written. Complete when the lines have ended.
#[derive(Debug, Default)]
pub struct Findings {
    /// Rows that were left out.
    pub rejected: Vec<Rejected>,
    /// Values that were mended: column and what was done, with how often.
    pub mended: Vec<(String, String, u64)>,
    /// Lines that were written.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A file of a job on its way into the replica.
pub struct Part {
    /// Its number, from 0.
    pub number: usize,
    /// The columns of its lines, in their order.
    pub columns: Vec<String>,
    /// Lines in COPY's text format, each ended by a line feed, without a header; chunks end anywhere. Those of changes
    /// begin with two fields more: the time (`meta.ts`) and the action (`U`, `D`).
    pub lines: ByteStream,
    /// What is found out about them.
    pub findings: Arc<Mutex<Findings>>,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part")
            .field("number", &self.number)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

/// The files of a job, one after the other.
#[async_trait]
pub trait Parts: Send {
    /// The next one; `None` after the last.
    async fn next(&mut self) -> PortResult<Option<Part>>;
}

/// What a change of a table's definition did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evolved {
    /// The views that were dropped and made again, as `schema.name`.
    pub remade: Vec<String>,
    /// What stays as it is, one sentence each.
    pub notes: Vec<String>,
    /// The statements that were made.
    pub statements: Vec<String>,
}

/// A table as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Which.
    pub table: TableName,
    /// Its row of `table_sync`, without its schema.
    pub meta: MetaRow,
    /// How many rows there are, as the server estimates; `None`: it does not know.
    pub rows: Option<u64>,
    /// How many rows are put aside.
    pub rejected: u64,
}

/// A database with a replica.
#[async_trait]
pub trait Replica: Send + Sync + std::fmt::Debug {
    /// A loader for a table; `None` while another has one.
    async fn open(&self, table: &TableName) -> Result<Option<Box<dyn Loader>>>;

    /// The tables of a namespace that were loaded.
    async fn standing(&self, namespace: &str) -> Result<Vec<Standing>>;
}

/// The one who may write a table. Gives it back when dropped.
#[async_trait]
pub trait Loader: Send {
    /// What is there. Later methods hold the row of `table_sync` to what this call saw.
    async fn look(&mut self) -> Result<Look>;

    /// Says how the columns of the snapshot are treated that is staged next; `None`, as where this is not called: not at
    /// all. A snapshot that was staged with another mark goes, and a table that becomes one with a mark is kept from
    /// programs that would load it untreated.
    fn treat(&mut self, mark: Option<String>);

    /// Makes a table beside the replica for the snapshot of a job, or leaves the one that is there for that job; one
    /// of another job goes. Gives the parts that are loaded.
    async fn stage(&mut self, job: &str, shape: &Shape) -> Result<Vec<usize>>;

    /// Whether a snapshot of that job is staged, in that shape and treated as [`Self::treat`] was told last.
    async fn is_staged(&mut self, job: &str, shape: &Shape) -> Result<bool>;

    /// Loads a part into the staged table, once: its rows and the note that it is loaded are one transaction.
    async fn load(&mut self, job: &str, shape: &Shape, part: Part) -> Result<Counts>;

    /// Brings the staged snapshot, of which all parts are loaded, to a later time by what has changed since the time
    /// that it is of: one transaction from the first line to the note of its new time. Rows of it that could not be
    /// stored are put aside with it. Who calls knows by [`Self::look`] which time that is, and by
    /// [`Self::is_staged`] that it is what is to come in.
    async fn advance(
        &mut self,
        job: &str,
        shape: &Shape,
        parts: &mut dyn Parts,
        to: Timestamp,
    ) -> Result<Counts>;

    /// Makes the staged table the table, or brings the table that is there to its rows, and writes the row of
    /// `table_sync`.
    async fn finish(&mut self, job: &str, shape: &Shape, meta: &MetaRow) -> Result<Counts>;

    /// What a table is changed by: one transaction from the first line to the row of `table_sync`.
    async fn apply(
        &mut self,
        job: &str,
        shape: &Shape,
        parts: &mut dyn Parts,
        meta: &MetaRow,
    ) -> Result<Counts>;

    /// Changes the definition of the table; each step once.
    async fn evolve(&mut self, changes: &Changes, reason: &str) -> Result<Evolved>;

    /// The statements that [`Self::evolve`] would make, and the views that it would make again.
    async fn plan(&mut self, changes: &Changes) -> Result<Evolved>;

    /// Drops the table, its enumerations, its row of `table_sync` and all that we keep of it. What is not there is
    /// none.
    async fn drop_table(&mut self) -> Result<()>;

    /// Compares the staged snapshot with the table: keys that the changes since do not explain.
    async fn compare(&mut self, job: &str, shape: &Shape, since: &mut dyn Parts) -> Result<Differences>;

    /// Forgets a staged snapshot.
    async fn unstage(&mut self) -> Result<()>;
}

/// What an audit has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// Rows that the replica lacks.
    pub missing: u64,
    /// Rows that the source has not.
    pub extra: u64,
    /// Rows that differ.
    pub different: u64,
    /// How many rows differ in a column.
    pub columns: Vec<(String, u64)>,
    /// The first keys: what is wrong with it (`missing`, `extra`, `different`), and the key as JSON.
    pub examples: Vec<(String, String)>,
}

impl Differences {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.missing == 0 && self.extra == 0 && self.different == 0
    }
}
