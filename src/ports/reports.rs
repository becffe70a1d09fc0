//! Where reports on requests are kept: receipts, and outputs that are too long for a task.
//!
//! # Contract
//! - A report is seen whole or not at all. One of the same name takes its place.
//! - A writer that is dropped leaves nothing that can be seen.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    error::Result,
    objects::{ByteStream, Presigned},
};

/// A place for reports.
#[async_trait]
pub trait Reports: Send + Sync + fmt::Debug {
    /// Begins a report of that name, which may have folders in it; its ending says what it is ([`kind_of`]).
    async fn begin(&self, name: &str) -> Result<Box<dyn ReportWriter>>;
}

/// A report that is read.
pub struct Opened {
    /// Its bytes.
    pub size: Option<u64>,
    /// What it is, as browsers say it.
    pub kind: &'static str,
    /// Its content.
    pub bytes: ByteStream,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("size", &self.size).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A place whose reports are read again.
#[async_trait]
pub trait Artifacts: Reports {
    /// Opens a report; `None` where there is none of that name.
    async fn open(&self, name: &str) -> Result<Option<Opened>>;

    /// A link by which it can be read from elsewhere for so long; `None` where it can be read here alone.
    async fn link(&self, name: &str, now: Timestamp, lasts: Duration) -> Result<Option<Presigned>>;

    /// Removes all reports of a folder, whose name ends with `/`; that there are none is fine.
    async fn remove(&self, folder: &str) -> Result<()>;
}

/// What a report of that name is, as browsers say it.
#[must_use]
pub fn kind_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("jsonl") => "application/x-ndjson",
        Some("html") => "text/html; charset=utf-8",
        Some("csv") => "text/csv; charset=utf-8",
        Some("sh") => "text/x-shellscript; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/json",
    }
}

/// A report that is being written.
#[async_trait]
pub trait ReportWriter: Send {
    /// Adds to it.
    async fn write(&mut self, text: &str) -> Result<()>;

    /// Ends it; where it is.
    async fn finish(self: Box<Self>) -> Result<String>;

    /// Drops it, with what was written so far, as far as that can be done.
    async fn abandon(self: Box<Self>);
}
