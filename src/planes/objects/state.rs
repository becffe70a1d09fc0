//! What the holder of a slice remembers between rounds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{copy_out::Copied, file::ETag};

/// The document of a slice. Objects are named by their position in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SliceState {
    /// Objects that have ended.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub done: BTreeMap<usize, Copied>,
    /// Uploads that were begun and not ended.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub uploads: BTreeMap<usize, Begun>,
    /// Archived objects that are waited for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub thawing: BTreeMap<usize, Thawing>,
    /// Failed tries that count.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tries: BTreeMap<usize, u32>,
    /// Objects of which a copy was asked for: what is equal at the destination may be ours.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub sent: BTreeSet<usize>,
    /// Whether a run ended without its state being stored, so that any object may be ours.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Objects for which a port did not answer, so that no try counted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<usize, Fault>,
}

/// An upload of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Its id.
    pub upload: String,
    /// The `ETag` of the source that it is made of.
    pub etag: Option<ETag>,
    /// Whether its parts are sent, and not copied inside S3.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub streamed: bool,
}

/// An object that is being restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Thawing {
    /// Since when it is waited for, milliseconds since 1970; so are all times here.
    pub since: i64,
    /// When to look again.
    pub check_at: i64,
    /// How often it was looked at.
    pub checks: u32,
    /// Whether the restore was asked for, by us or by another user of the bucket.
    pub asked: bool,
    /// Whether it can be read again, and waits for the turn of its slice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_back: bool,
}

/// An obstacle that is not charged to its object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Fault {
    /// Since when.
    pub since: i64,
    /// How often it was tried since.
    pub tries: u32,
    /// The last error.
    pub why: String,
    /// Whether that was another operation on the same key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_others: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::copy_out::SliceRequest,
        engine::stored::{are_kept, documents},
    };

    #[test]
    fn reads_what_earlier_versions_wrote() {
        let mut states = documents("REQUEST", "state");
        states.retain(|text| text.contains("\"doubtful\""));
        for text in &mut states {
            // Uploads whose begin was not answered: they were looked for and aborted, which might have been
            // those of another writer.
            let mut state: serde_json::Value = serde_json::from_str(text).unwrap();
            state.as_object_mut().unwrap().remove("doubtful");
            *text = state.to_string();
        }
        assert!(are_kept::<SliceState>(&states) >= 5);
        let specs = documents("REQUEST", "spec");
        let specs: Vec<_> = specs.into_iter().filter(|text| text.contains("\"items\"")).collect();
        assert!(are_kept::<SliceRequest>(&specs) >= 5);
    }
}
