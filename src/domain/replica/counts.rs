//! What was done to a table.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Rows by what happened to them. Really happened: a row that came as it was is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// New ones.
    pub inserted: u64,
    /// Changed ones.
    pub changed: u64,
    /// Deleted ones.
    pub deleted: u64,
    /// Those that came as they were.
    pub unchanged: u64,
    /// Rows of one answer that came twice: the one that came last stays.
    pub twice: u64,
    /// Values that were mended.
    pub noted: u64,
    /// Rows that could not be stored, and were put aside.
    pub rejected: u64,
    /// Bytes of lines.
    pub bytes: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.inserted += more.inserted;
        self.changed += more.changed;
        self.deleted += more.deleted;
        self.unchanged += more.unchanged;
        self.twice += more.twice;
        self.noted += more.noted;
        self.rejected += more.rejected;
        self.bytes += more.bytes;
    }
}
