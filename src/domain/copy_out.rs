//! What a caller of the `copy_out` kind asks for.

use serde::{Deserialize, Serialize};

/// A list of objects and the bucket that they go to, as received.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CopyOutRequest {
    /// The bucket that objects go to.
    pub destination_bucket: String,
    /// What their keys there start with; empty, or ends with `/`.
    pub destination_prefix: String,
}

impl CopyOutRequest {
    /// Where it copies to, as it is shown.
    #[must_use]
    pub fn destination(&self) -> String {
        format!("s3://{}/{}", self.destination_bucket, self.destination_prefix)
    }
}
