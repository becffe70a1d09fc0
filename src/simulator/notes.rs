//! What can be said of a file or folder without touching its bytes: tags, and when it is to go.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// What is said of a file or folder. Nothing here acts on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) tags: Tags,
    pub(super) will_be_archived_at: Option<Timestamp>,
    pub(super) will_be_deleted_at: Option<Timestamp>,
}

/// Nothing is said.
pub(super) static NOTHING: Notes =
    Notes { tags: Tags::NONE, will_be_archived_at: None, will_be_deleted_at: None };

impl Notes {
    /// What a copy keeps of it.
    pub(super) fn copied(&self, user: bool, technical: bool) -> Self {
        let kept = |keep: bool, tags: &[String]| if keep { tags.to_vec() } else { Vec::new() };
        let tags = Tags {
            user_tags: kept(user, &self.tags.user_tags),
            technical_tags: kept(technical, &self.tags.technical_tags),
            ..Tags::NONE
        };
        Self { tags, ..Self::default() }
    }
}

/// `DataTag`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "as ICAv2 calls them")]
pub(super) struct Tags {
    #[serde(deserialize_with = "or_none")]
    technical_tags: Vec<String>,
    #[serde(deserialize_with = "or_none")]
    user_tags: Vec<String>,
    #[serde(deserialize_with = "or_none")]
    connector_tags: Vec<String>,
    #[serde(deserialize_with = "or_none")]
    run_in_tags: Vec<String>,
    #[serde(deserialize_with = "or_none")]
    run_out_tags: Vec<String>,
    #[serde(deserialize_with = "or_none")]
    reference_tags: Vec<String>,
}

impl Tags {
    const NONE: Self = Self {
        technical_tags: Vec::new(),
        user_tags: Vec::new(),
        connector_tags: Vec::new(),
        run_in_tags: Vec::new(),
        run_out_tags: Vec::new(),
        reference_tags: Vec::new(),
    };
}

/// `null` is no tags.
fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
