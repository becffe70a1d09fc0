//! What a copy would do, said without doing it (`dryRun`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{request::OnConflict, route::Route};

/// What a copy would do, file by file and in sum.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Preview {
    /// The files, those first that stand in the way of success. Where there are too many to be told,
    /// only the first; the totals are of all.
    pub files: Vec<PreviewFile>,
    /// The sums.
    pub totals: PreviewTotals,
}

/// One file that the request wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewFile {
    /// Its URI.
    pub source: String,
    /// The URI that it would get.
    pub destination: String,
    /// How it would be brought; absent where it would not be.
    pub route: Option<Route>,
    /// Why so, or why it would not be brought.
    pub reason: String,
    /// Its bytes.
    pub size: u64,
    /// Another file, or something else, that stands at the destination.
    pub conflict: Option<Conflict>,
    /// The file itself, where it is there: for receipts, not for callers.
    #[serde(skip)]
    pub there: Option<There>,
}

/// A file that is where it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// Its tag.
    pub etag: Option<String>,
    /// When it was made.
    pub made_at: Timestamp,
    /// How such a file is brought.
    pub route: Route,
    /// Whether only its size was compared.
    pub by_size: bool,
}

/// What stands where a file has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// What it is, in words.
    pub there: String,
    /// What would be done about it.
    pub then: OnConflict,
}

/// The sums of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PreviewTotals {
    /// Files that the request wants.
    pub files: u64,
    /// Of these: would be brought, by route.
    pub by_route: BTreeMap<String, u64>,
    /// Bytes that would be brought.
    pub bytes: u64,
    /// Copy jobs that would be made.
    pub jobs: u64,
    /// Destination folders that would be made.
    pub new_folders: u64,
    /// API calls that would be made for it, about.
    pub api_calls: u64,
    /// Files that are there already, and equal.
    pub skipped: u64,
    /// Files for which something is on its way, or on its way out.
    pub in_flight: u64,
    /// Files in whose place something else stands.
    pub conflicts: u64,
    /// Of these: would make the request fail.
    pub failing: u64,
    /// Files that cannot be read as they are.
    pub unready: u64,
}

impl PreviewTotals {
    /// Whether nothing is seen that would make the request fail.
    #[must_use]
    pub const fn would_succeed(&self) -> bool {
        self.failing == 0 && self.unready == 0
    }
}
