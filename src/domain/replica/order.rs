//! What is asked for: a run over the tables of a namespace, and what each of its tables is to do.

use serde::{Deserialize, Serialize};

use super::names::TableName;

/// What a run is to do with its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Brings them up to date; a table that is not there is made.
    #[default]
    Sync,
    /// Loads them anew. A table that is there is merged with the new snapshot.
    Init,
    /// Drops them.
    Drop,
    /// Brings them up to date, and compares them with a new snapshot.
    Audit,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Sync, Self::Init, Self::Drop, Self::Audit];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Init => "init",
            Self::Drop => "drop",
            Self::Audit => "audit",
        }
    }
}

/// A run, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaOrder {
    /// Whose settings hold.
    pub instance: String,
    /// The namespace.
    pub namespace: String,
    /// Its tables; none: all that the settings name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// What is done.
    pub mode: Mode,
    /// Whether what an audit finds is mended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heal: bool,
    /// Whether it is only said what would be done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What one table is to do, as its child stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableOrder {
    /// Whose settings hold.
    pub instance: String,
    /// The table.
    pub table: TableName,
    /// What is done.
    pub mode: Mode,
    /// Whether what an audit finds is mended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heal: bool,
    /// Whether it is only said what would be done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Its place in the order of its run: those that are behind come first.
    pub number: u64,
}
