//! What can be set about the embedded mode (`[embedded]`).

use serde::{Deserialize, Serialize};

/// `[embedded]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The SQLite file.
    pub database: String,
    /// Where outcomes are posted; none: they are logged.
    pub outcome_url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { database: "copy-manager.sqlite".to_owned(), outcome_url: None }
    }
}
