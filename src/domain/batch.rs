//! What a caller of the `batch` kind asks for.

use serde::{Deserialize, Serialize};

/// A manifest, as received.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchRequest {}

impl BatchRequest {
    /// Where it copies to, as it is shown.
    #[must_use]
    pub fn destination(&self) -> String {
        String::new()
    }
}
