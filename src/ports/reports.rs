//! Where reports on requests are kept: receipts.
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
    /// Begins a report of that name, which may have folders in it; `None` where there is no place for any.
    async fn begin(&self, name: &str) -> Result<Option<Box<dyn ReportWriter>>>;

    /// Whether there is a place.
    fn is_there(&self) -> bool;
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

/// No place at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

#[async_trait]
impl Reports for Nowhere {
    async fn begin(&self, _: &str) -> Result<Option<Box<dyn ReportWriter>>> {
        Ok(None)
    }

    fn is_there(&self) -> bool {
        false
    }
}
