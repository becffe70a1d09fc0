//! Where reports are kept.

use serde::{Deserialize, Serialize};

/// Where reports are kept (`[report]`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportSettings {
    /// `s3://bucket/prefix/`; empty: nowhere.
    pub s3_prefix: String,
    /// A folder of this machine, where there is no prefix; empty: nowhere.
    pub folder: String,
}
