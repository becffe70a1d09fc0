//! Names of tables.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A table of a namespace of the source. In the replica it is the table of the same name in a schema of the
/// namespace's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// As `canvas`.
    pub namespace: String,
    /// As `courses`.
    pub table: String,
}

impl TableName {
    /// That table of that namespace.
    pub fn new(namespace: impl Into<String>, table: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), table: table.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.table)
    }
}
