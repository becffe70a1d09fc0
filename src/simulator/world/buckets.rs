//! The part of the world file about buckets that belong to no project.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{Encryption, WorldError, has_parts, one};

/// A bucket that belongs to no project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldBucket {
    /// Its name.
    pub name: String,
    /// Its region: calls that are signed for another are sent there. Without one, it is in all.
    #[serde(default)]
    pub region: Option<String>,
    /// The account that it belongs to.
    #[serde(default = "account")]
    pub owner: String,
    /// Whether what is not signed may read in it.
    #[serde(default = "yes")]
    pub public: bool,
    /// The access keys that open it; none here: any does.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Whether callers pay for their requests, and must say so.
    #[serde(default)]
    pub requester_pays: bool,
    /// Whether objects are under a default retention, so that bytes are taken with a checksum only.
    #[serde(default)]
    pub object_lock: bool,
    /// What no caller may do in it, by the names of IAM: `ListBucket`, `PutObject`, `GetObjectTagging`.
    #[serde(default)]
    pub deny: Vec<String>,
    /// How what is written there is encrypted.
    #[serde(default)]
    pub encryption: Encryption,
    /// What is in it.
    #[serde(default)]
    pub objects: Vec<WorldObject>,
}

/// One object of such a bucket, or a series of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldObject {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// How many objects there are: `{n}` in the key (and in [`Self::same_as`]) is the number of each,
    /// from 0, in six digits or as many as it takes. A series costs no memory, however long.
    #[serde(default)]
    pub count: Option<u64>,
    /// Parts it was uploaded in, as for files.
    #[serde(default = "one")]
    pub parts: u32,
    /// The same with the size of each; there may be one alone.
    #[serde(default)]
    pub part_sizes: Option<Vec<u64>>,
    /// How it is kept.
    #[serde(default)]
    pub storage_class: StorageClass,
    /// The archive tier that an object of `INTELLIGENT_TIERING` has gone to.
    #[serde(default)]
    pub archive_tier: Option<ArchiveTier>,
    /// Bucket and key of an object with the same bytes, if both are of one size.
    #[serde(default)]
    pub same_as: Option<String>,
    /// How it is encrypted, if otherwise than what else is there.
    #[serde(default)]
    pub encryption: Option<Encryption>,
    /// Whether S3 tells its SHA-256.
    #[serde(default)]
    pub sha256: bool,
    /// Its content type.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Its own metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// How an object is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StorageClass {
    /// Ready to be read.
    #[default]
    Standard,
    /// The same, cheaper as long as it is seldom read.
    StandardIa,
    /// The same in one place.
    OnezoneIa,
    /// Ready to be read unless it went to an archive tier.
    IntelligentTiering,
    /// Archived, and ready to be read all the same.
    GlacierIr,
    /// Archived.
    Glacier,
    /// Archived deeply.
    DeepArchive,
}

/// Where objects of `INTELLIGENT_TIERING` go when no client has read them for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ArchiveTier {
    /// Restored within hours.
    ArchiveAccess,
    /// Restored within half a day.
    DeepArchiveAccess,
}

impl StorageClass {
    /// Its name at S3.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::StandardIa => "STANDARD_IA",
            Self::OnezoneIa => "ONEZONE_IA",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// The class of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Standard,
            Self::StandardIa,
            Self::OnezoneIa,
            Self::IntelligentTiering,
            Self::GlacierIr,
            Self::Glacier,
            Self::DeepArchive,
        ];
        all.into_iter().find(|class| class.name() == name)
    }
}

impl ArchiveTier {
    /// Its name at S3.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ArchiveAccess => "ARCHIVE_ACCESS",
            Self::DeepArchiveAccess => "DEEP_ARCHIVE_ACCESS",
        }
    }
}

/// What stands for the number of an object of a series.
pub(in crate::simulator) const NUMBER: &str = "{n}";

pub(in crate::simulator) fn account() -> String {
    "000000000000".to_owned()
}

const fn yes() -> bool {
    true
}

/// Checks what the types cannot say; `own` are the buckets of projects.
pub(super) fn check(buckets: &[WorldBucket], own: &HashSet<&str>) -> Result<(), WorldError> {
    let mut seen = HashSet::new();
    for bucket in buckets {
        let wrong = |why: String| Err(WorldError::Bucket { bucket: bucket.name.clone(), why });
        if !seen.insert(&bucket.name) || own.contains(bucket.name.as_str()) {
            return wrong("is there twice, or is a project's".to_owned());
        }
        let mut keys = HashSet::new();
        for object in &bucket.objects {
            let key = &object.key;
            if key.is_empty() || !keys.insert(key) || !has_parts(object.size, object.parts) {
                return wrong(format!(
                    "`{key}` is empty, or there twice, or has less than a byte for each part"
                ));
            }
            let sizes = object.part_sizes.as_ref();
            if sizes.is_some_and(|sizes| sizes.is_empty() || sizes.iter().sum::<u64>() != object.size) {
                return wrong(format!("the parts of `{key}` are not as large as it is"));
            }
            if object.archive_tier.is_some() && object.storage_class != StorageClass::IntelligentTiering {
                return wrong(format!("`{key}` has an archive tier and is not of INTELLIGENT_TIERING"));
            }
            let numbers = key.matches(NUMBER).count();
            if object.count.is_some() != (numbers == 1) {
                return wrong(format!("`{key}`: a series has a count and one `{NUMBER}` in its key"));
            }
        }
    }
    Ok(())
}
