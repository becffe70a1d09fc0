//! Where reports on requests are kept: receipts, and outputs that are too long for a task.
//!
//! # Contract
//! - A report is seen whole or not at all. One of the same name takes its place.
//! - A writer that is dropped leaves nothing that can be seen.

use std::fmt;

use async_trait::async_trait;

use super::error::Result;

/// A place for reports.
#[async_trait]
pub trait Reports: Send + Sync + fmt::Debug {
    /// Begins a report of that name, which may have folders in it and ends with `.json` or `.jsonl`.
    async fn begin(&self, name: &str) -> Result<Box<dyn ReportWriter>>;
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
