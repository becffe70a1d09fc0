//! How packages and pushes have ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
