//! What the holder of a table remembers between rounds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::replica::{
    counts::Counts,
    run::{Audited, TableResult, TableState as Stands},
};

/// The document of a table's child.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TableState {
    /// The question that is being answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Whether the table needs a snapshot: it is not there, or the source has no changes since its time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub needs_init: bool,
    /// Whether every field of every line is held to its type, since a line was refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// Whether the schema of the source is read anew, since a file has columns that the one at hand does not know.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fresh_schema: bool,
    /// The job whose snapshot this child has begun to load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging: Option<String>,
    /// Tries that have failed, and the last reason.
    #[serde(skip_serializing_if = "is_none")]
    pub attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How often the job was looked at.
    #[serde(skip_serializing_if = "is_none")]
    pub looks: u32,
    /// Since when another loader has the table, milliseconds since 1970; 0: none has.
    #[serde(skip_serializing_if = "is_no_time")]
    pub held_since: i64,
    /// A snapshot that is loaded beside the table and older than that: changes are to bring it forward.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<Behind>,
    /// Whether it is up to date, and only the audit is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// What was done so far.
    #[serde(flatten)]
    pub done: Done,
}

/// What was done to a table so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    /// What happened to its rows.
    pub counts: Counts,
    /// Whether it was loaded as a whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub initialised: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_of: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remade: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audited>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_no_time(at: &i64) -> bool {
    *at == 0
}

/// Notes of a table that are kept; the rest is told by their number.
const MOST_NOTES: usize = 30;

impl Done {
    /// Notes something, once.
    pub(super) fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// How the table has ended that has come so far.
    pub(super) fn result(&self, table: &str, state: Stands, error: Option<String>) -> TableResult {
        let Self { counts, initialised, data_of, remade, notes, held, statements, audit } = self.clone();
        TableResult {
            table: table.to_owned(),
            state,
            error,
            data_of,
            counts,
            initialised,
            remade,
            notes,
            held,
            statements,
            audit,
        }
    }
}

/// A question to the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// The job that answers it.
    pub job: String,
    /// Of changes: since when; none: of a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// An audit that is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Audit {
    /// The snapshot that is loaded beside the table; none: not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staged: Option<Staged>,
}

/// A snapshot that is loaded beside the table and older than that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Behind {
    /// The job that gave it.
    pub job: String,
    /// How many parts it has.
    pub parts: usize,
    /// The time that it was of when it came. What it is of now, the replica knows.
    pub data_of: Timestamp,
    /// The version of its schema.
    pub version: i64,
}

/// A snapshot that is loaded beside the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Staged {
    /// The job that gave it.
    pub job: String,
    /// The time that it is of, and the version of its schema.
    pub data_of: Timestamp,
    pub version: i64,
    /// How many parts it has.
    #[serde(default)]
    pub parts: usize,
    /// The time that the table was of when it was asked what has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_of: Option<Timestamp>,
}
