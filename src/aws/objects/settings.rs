//! What can be set about S3 (`[s3]`). Keys and defaults are explained in `config/default.toml`.

use serde::{Deserialize, Serialize};

use crate::domain::policy::Glob;

/// `[s3]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether what is written goes with a checksum, beside the MD5s that are compared.
    pub checksums: bool,
    /// Buckets whose calls this service pays for, where their owners want that.
    pub requester_pays: Vec<Glob>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { checksums: true, requester_pays: Glob::try_from("*".to_owned()).into_iter().collect() }
    }
}
