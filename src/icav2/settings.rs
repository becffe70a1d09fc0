//! What can be set about the client. Keys and defaults are explained in `config/default.toml`.

use std::{num::NonZeroU32, time::Duration};

/// How ICAv2 is called (the calling part of `[icav2]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the API is; what follows starts with `/api`.
    pub base_url: String,
    /// Calls this instance makes per second at most.
    pub requests_per_second: NonZeroU32,
    /// How long one call may take.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://ica.illumina.com/ica/rest".to_owned(),
            requests_per_second: NonZeroU32::MIN.saturating_add(19),
            timeout: Duration::from_secs(30),
        }
    }
}
