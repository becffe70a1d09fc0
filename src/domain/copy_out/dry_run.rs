//! What a list would do, where that is all that is asked for, and the archives that its objects are in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Thaw, ThawParams};

/// An archive that objects must be asked back from; S3's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Archive {
    /// The class `GLACIER`.
    Glacier,
    /// The class `DEEP_ARCHIVE`.
    DeepArchive,
    /// The archive tier of `INTELLIGENT_TIERING`.
    ArchiveAccess,
    /// Its deep archive tier.
    DeepArchiveAccess,
}

impl Archive {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Glacier, Self::DeepArchive, Self::ArchiveAccess, Self::DeepArchiveAccess];

    /// That of an archived object of that storage class, and of that tier of `INTELLIGENT_TIERING`.
    #[must_use]
    pub fn of(storage_class: Option<&str>, tier: Option<&str>) -> Self {
        match (storage_class, tier) {
            (_, Some("DEEP_ARCHIVE_ACCESS")) => Self::DeepArchiveAccess,
            (_, Some(_)) | (Some("INTELLIGENT_TIERING"), None) => Self::ArchiveAccess,
            (Some("DEEP_ARCHIVE"), None) => Self::DeepArchive,
            (_, None) => Self::Glacier,
        }
    }

    /// S3's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
            Self::ArchiveAccess => "ARCHIVE_ACCESS",
            Self::DeepArchiveAccess => "DEEP_ARCHIVE_ACCESS",
        }
    }

    /// Whether what comes back is a copy that stays for some days; from the others it comes back for good.
    #[must_use]
    pub const fn gives_copies(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }
}

impl ThawParams {
    /// How objects of that archive are restored.
    #[must_use]
    pub const fn of(&self, archive: Archive) -> &Thaw {
        match archive {
            Archive::Glacier => &self.glacier,
            Archive::DeepArchive => &self.deep_archive,
            Archive::ArchiveAccess => &self.tiering_archive,
            Archive::DeepArchiveAccess => &self.tiering_deep_archive,
        }
    }
}

/// Objects that must be asked back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Thawed {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a copy-out would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DryCopyOut {
    /// Objects that would be copied.
    pub to_copy: u64,
    /// Of these, such that must be restored first.
    pub to_thaw: u64,
    /// Objects that are there and equal.
    pub already_copied: u64,
    /// Objects that cannot be found.
    pub missing: u64,
    /// Bytes that would be copied.
    pub bytes: u64,
    /// Of these, such that must be restored first.
    #[serde(default)]
    pub thaw_bytes: u64,
    /// Objects that are not what was asked for any more.
    #[serde(default)]
    pub changed: u64,
    /// Objects in whose place another one stands.
    #[serde(default)]
    pub conflicts: u64,
    /// Of these: would make the request fail.
    #[serde(default)]
    pub failing: u64,
    /// Whether it was asked if the destination may be written to.
    #[serde(default)]
    pub probed: bool,
    /// Why it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// What must be asked back first, and was not yet, by the archive that it is in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thaws: BTreeMap<Archive, Thawed>,
}
