//! Where the tables of a replica come from: Instructure's Data Access Platform, as far as it is needed.
//!
//! # Contract
//! - A refusal that names its type has it as `code`: `SnapshotRequiredError`, `OutOfRangeError`, `NotFoundError`,
//!   `AccountUnderMaintenance`, `ProcessingError`.
//! - Credentials and addresses of objects appear in no error and no log line.
//! - The published rates are kept over all instances; a call waits for its place, and ends as [`Class::Throttled`](crate::ports::Class::Throttled)
//!   with `retry_after` where that would take longer than some seconds.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use serde_json::Value as Json;

use super::error::Result;
use crate::domain::replica::names::TableName;

/// Bytes as they come.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// The schema of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaVersion {
    /// Its number.
    pub version: i64,
    /// As JSON Schema.
    pub schema: Json,
}

/// The format of the files of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// PostgreSQL's COPY text with a header, objects as JSON in one column: what is loaded.
    #[default]
    Tsv,
    /// The same, with objects spread over columns: what the official client downloads.
    ExpandedTsv,
    /// RFC 4180.
    Csv,
    /// A JSON object a line.
    JsonLines,
    /// Parquet, as far as the source makes it.
    Parquet,
}

/// What of a table is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// All rows as they are now.
    Snapshot,
    /// Rows that were changed or deleted from a time on.
    Changes {
        /// From then on, inclusive.
        since: Timestamp,
        /// Until then, exclusive; `None`: now.
        until: Option<Timestamp>,
    },
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// Not begun.
    Waiting,
    /// Under way.
    Running,
    /// Its objects can be read.
    Complete,
    /// It has failed.
    Failed,
}

/// A job: what a query is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// Until when it and its objects can be read.
    pub expires_at: Option<Timestamp>,
    /// The names of its files, in their order; when complete.
    pub objects: Vec<String>,
    /// The schema by which they were written; when complete.
    pub schema_version: Option<i64>,
    /// The time that the data are of: `at` of a snapshot, `until` of changes; when complete.
    pub data_of: Option<Timestamp>,
    /// Why it failed: type and message, which may be empty.
    pub error: Option<(String, String)>,
}

/// The source of a replica.
#[async_trait]
pub trait Source: Send + Sync + std::fmt::Debug {
    /// The tables of a namespace.
    async fn tables(&self, namespace: &str) -> Result<Vec<String>>;

    /// The schema of a table as it is now.
    async fn schema(&self, table: &TableName) -> Result<SchemaVersion>;

    /// Asks for data. Equal questions may be answered with the same job.
    async fn ask(&self, table: &TableName, query: &Query, format: Format) -> Result<Job>;

    /// A job, as it stands now.
    async fn job(&self, id: &str) -> Result<Job>;

    /// The bytes of a file, unpacked. A file that was cut, or whose checksum is wrong, ends with an error.
    async fn read(&self, object: &str) -> Result<ByteStream>;

    /// The bytes of a file as they are kept, packed by gzip.
    async fn packed(&self, object: &str) -> Result<ByteStream>;
}
