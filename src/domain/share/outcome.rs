//! How packages and pushes have ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::prices::{Dollars, RestorePreview};

/// The libraries that files of a package are of, each with its projects. Files of no library are under an empty
/// name.
pub type Libraries = BTreeMap<String, Vec<String>>;

/// A package that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PackageReport {
    /// Under which its files are written down.
    pub generation: u32,
    /// In how many chunks.
    pub chunks: u32,
    /// How many files are in each of them.
    pub counts: Vec<u32>,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that must be restored before they can be read.
    pub archived: u64,
    /// Those that are in ICAv2 projects.
    #[serde(skip_serializing_if = "is_zero")]
    pub in_projects: u64,
    /// Those that were asked for and are not there.
    pub missing: u64,
    /// The package that it was made since, whose files are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Files that are left out, because that one held them, or one that it was made since.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// The libraries that they are of, with their projects.
    #[serde(skip_serializing_if = "Libraries::is_empty")]
    pub libraries: Libraries,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a push has left besides files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PushReport {
    /// Where its log is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What was put beside its files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<Delivered>,
    /// Of a dry run: what the return of archived files takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<RestorePreview>,
    /// What became of the ids that reads keep wherever they lie, where somebody gives such ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest_ids: Option<IngestIds>,
}

/// Reads whose copies have, or have not, the ids that they keep wherever they lie.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngestIds {
    /// Copies that have the ids of their files now.
    pub files: u64,
    /// Copies that have others, or of which nothing is known.
    pub without: u64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A paper beside the files of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivered {
    /// Its name, below the destination.
    pub name: String,
    /// Files that it tells of.
    pub files: u64,
    /// Files that it does not tell of: their sums are not known.
    pub without_sum: u64,
}

/// What a push would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PushPreview {
    /// Whether nothing is seen that would make it fail.
    pub would_succeed: bool,
    /// Whether its destination may be written to; not told: that was not asked.
    pub writable: Option<bool>,
    /// Why it may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Files of the package.
    pub files: u64,
    /// Of these: would be brought.
    pub to_copy: u64,
    /// Bytes that would be brought.
    pub bytes: u64,
    /// Files that are there already, and equal.
    pub already_there: u64,
    /// Files in whose place something else stands.
    pub conflicts: u64,
    /// Files that are gone, have changed since they were packaged, or cannot be read as they are.
    pub missing: u64,
    /// Of those that would be brought: must be restored first.
    pub archived: u64,
    /// Bytes of these.
    pub archived_bytes: u64,
    /// How they come back, by the archive that they are in, but for those that are on their way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<RestorePreview>,
    /// After how many seconds all are back at most; not told: that is not known of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_seconds: Option<u64>,
    /// What S3 asks for their return, in dollars; not told: that is not known of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub restore_price: Option<Dollars>,
}

impl PushPreview {
    /// Adds how archived files come back.
    #[must_use]
    pub fn with_restores(self, restores: Vec<RestorePreview>) -> Self {
        if restores.is_empty() {
            return self;
        }
        let times: Option<Vec<_>> = restores.iter().map(|restore| restore.seconds_at_most).collect();
        let prices: Option<Vec<_>> = restores.iter().map(|restore| restore.price).collect();
        let sum = |prices: Vec<Dollars>| prices.iter().fold(Dollars(0), |sum, one| sum.plus(*one));
        let restore_seconds = times.and_then(|times| times.into_iter().max());
        Self { restores, restore_seconds, restore_price: prices.map(sum), ..self }
    }
}
