//! A type per kind of identifier, so that a job id cannot be passed where a project id is meant.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

macro_rules! text_ids {
    ($($(#[$doc:meta])+ $name:ident;)+) => {$(
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

text_ids! {
    /// An ICAv2 project (a UUID).
    ProjectId;
    /// An ICAv2 file or folder (`fil.` or `fol.` and 32 hex digits).
    DataId;
    /// An ICAv2 job (a UUID); copy jobs are the ones we make.
    JobId;
    /// An ICAv2 `dataCopyBatch` (a UUID); each has one job.
    BatchId;
    /// One of our requests, root or child: the `id` of its records.
    RequestId;
    /// A destination folder, as the `id` of its records.
    FolderId;
    /// One running process of the fleet; never used twice.
    InstanceId;
}

/// The first 32 hex digits of the SHA-256 of the parts, which cannot run into each other: each is
/// preceded by its length.
#[must_use]
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut text = hex::encode(hash.finalize());
    text.truncate(32);
    text
}

impl FolderId {
    /// The id of a destination folder: one per project and exact path.
    #[must_use]
    pub fn of(project: &ProjectId, path: &str) -> Self {
        Self(format!("folder.{}", digest(&[project.as_str(), path])))
    }
}

impl RequestId {
    /// The id of a request that its caller has named: unique within the source of its event.
    #[must_use]
    pub fn of_caller(source: &str, name: &str) -> Self {
        Self(format!("request.{}", digest(&[source, name])))
    }

    /// The id of a child: the same plan of the same root always makes the same ids.
    #[must_use]
    pub fn child(root: &Self, generation: u32, kind: &str, destination: &str, slice: u32) -> Self {
        let hash = digest(&[root.as_str(), &generation.to_string(), kind, destination, &slice.to_string()]);
        Self(format!("child.{hash}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&["a"]), digest(&["a", ""]));
        assert_eq!(digest(&["a", "b"]).len(), 32);
    }
}
