//! How packages and pushes have ended.

use serde::{Deserialize, Serialize};

/// A package that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PackageReport {
    /// Under which its files are written down.
    pub generation: u32,
    /// In how many chunks.
    pub chunks: u32,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that must be restored before they can be read.
    pub archived: u64,
    /// Those that were asked for and are not there.
    pub missing: u64,
}
