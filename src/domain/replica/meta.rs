//! What the replica knows of a table: its row in `instructure_dap.table_sync`, which the official client reads and
//! writes too.

use jiff::Timestamp;
use serde_json::Value as Json;

/// A row of `table_sync`.
#[derive(Debug, Clone, PartialEq)]
pub struct MetaRow {
    /// The time that the table's data are of: a job's `at`, or `until`. The column holds microseconds.
    pub timestamp: Timestamp,
    /// The version of the schema by which they were loaded.
    pub schema_version: i64,
    /// That schema, as JSON Schema without `properties.meta`.
    pub schema: Json,
}
