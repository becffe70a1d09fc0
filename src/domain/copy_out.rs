//! What a caller of the `copy_out` kind asks for, what its children are for, and what became of each
//! object.

mod dry_run;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::dry_run::{Archive, DryCopyOut, Thawed};
use super::{
    file::ETag,
    ids::{DataId, ProjectId},
    location::DataPath,
    outcome::{Counters, Failure},
    request::OnConflict,
};

/// A list of objects and the bucket that they go to, as received; what was not given has its default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is what a caller says yes or no to")]
pub struct CopyOutRequest {
    /// The bucket of the list; none: `copy_out.working_bucket`.
    pub list_bucket: Option<String>,
    /// The key of the list: whole where the bucket is given, else below `copy_out.working_prefix`.
    pub list_key: String,
    /// The bucket that objects go to.
    pub destination_bucket: String,
    /// What their keys there start with; empty, or ends with `/`.
    pub destination_prefix: String,
    /// The key of the start marker, below the prefix.
    pub start_marker: String,
    /// The key of the summary, below the prefix.
    pub summary: String,
    /// Whether the summary has the four columns of the first form, and not those that came later.
    pub brief_summary: bool,
    /// Objects in one child, where the caller says how many; else what an older version takes.
    pub max_items_per_batch: u32,
    /// Whether they are as many as suits the number of all.
    #[serde(default)]
    pub fitting_batches: bool,
    /// Objects in flight, over the fleet.
    pub copy_concurrency: u32,
    /// Whether objects that could not be copied leave the request a success.
    pub continue_on_error: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Whether a dry run also asks whether the destination may be written to, with an upload that is begun and
    /// dropped.
    #[serde(skip_serializing_if = "is_default")]
    pub probe: bool,
    /// Whether the last of several objects with one key at the destination is meant; else they are refused.
    pub allow_collisions: bool,
    /// The region that the destination must be in.
    pub required_region: Option<String>,
    /// How archived objects are restored, and where buckets are that are not simply ours.
    pub options: SliceOptions,
    /// Why it cannot be done, where that has a name of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Failure>,
}

impl CopyOutRequest {
    /// Where it copies to, as it is shown.
    #[must_use]
    pub fn destination(&self) -> String {
        format!("s3://{}/{}", self.destination_bucket, self.destination_prefix)
    }
}

/// What holds for all objects of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each holds for a slice or does not")]
pub struct SliceOptions {
    /// How archived objects are restored.
    #[serde(skip_serializing_if = "is_default")]
    pub thaw: ThawParams,
    /// Buckets that are elsewhere, or are reached with other credentials.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub buckets: BTreeMap<String, BucketDefinition>,
    /// Whether tags are left out although they are wanted as far as possible: one of the two ends does
    /// not permit them.
    #[serde(skip_serializing_if = "is_default")]
    pub without_tags: bool,
    /// Whether nothing was at the destination when the request began, so that objects are looked for
    /// only where the condition of a copy says that something is there.
    #[serde(skip_serializing_if = "is_default")]
    pub unwritten: bool,
    /// Whether archived objects are not restored, because the request does not ask for it.
    #[serde(skip_serializing_if = "is_default")]
    pub without_thaw: bool,
    /// Whether objects have only to become readable where they are: nothing is copied.
    #[serde(skip_serializing_if = "is_default")]
    pub only_restore: bool,
    /// What is done where another object stands. None: a list overwrites what is not surely equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
}

/// How archived objects are restored (`thawParams`), by the class that they are in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ThawParams {
    /// `GLACIER`.
    pub glacier: Thaw,
    /// `DEEP_ARCHIVE`.
    pub deep_archive: Thaw,
    /// `INTELLIGENT_TIERING` in its archive tier.
    pub tiering_archive: Thaw,
    /// `INTELLIGENT_TIERING` in its deep archive tier.
    pub tiering_deep_archive: Thaw,
}

/// One restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thaw {
    /// How long the restored copy stays; intelligent tiering takes none.
    pub days: u32,
    /// How fast.
    pub speed: ThawSpeed,
}

impl Default for Thaw {
    fn default() -> Self {
        Self { days: 1, speed: ThawSpeed::Bulk }
    }
}

/// How fast an object is restored; S3's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThawSpeed {
    /// Hours, up to two days.
    Bulk,
    /// Hours.
    Standard,
    /// Minutes; not for the deep archives.
    Expedited,
}

impl ThawSpeed {
    /// S3's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bulk => "Bulk",
            Self::Standard => "Standard",
            Self::Expedited => "Expedited",
        }
    }
}

/// Where a bucket is, and with whose rights it is used (`bucketDefinitions`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BucketDefinition {
    /// Its region.
    pub region: Option<String>,
    /// The S3 that it is in, where it is not AWS's.
    pub endpoint_url: Option<String>,
    /// Whose rights.
    pub rights: Rights,
}

/// With whose rights a defined bucket is used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// Those of our own role.
    #[default]
    Own,
    /// None: requests are not signed.
    None,
    /// Those of the keys that a secret holds.
    Secret(String),
}

/// A child: some of the objects of a list, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceRequest {
    /// Which slice of the list this is, from 0.
    pub number: u64,
    /// The bucket that they go to.
    pub bucket: String,
    /// The objects.
    pub items: Vec<SliceItem>,
    /// How many of them may be in flight at a time.
    pub concurrency: u32,
    /// What holds for all of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub options: SliceOptions,
}

/// One object that must come to exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceItem {
    /// Where it comes from.
    pub from: Origin,
    /// Its key in the destination bucket.
    pub to: String,
}

impl SliceItem {
    /// Whether it gets another name than it has.
    #[must_use]
    pub fn is_renamed(&self) -> bool {
        let own = match &self.from {
            Origin::Object { key, .. } => key.as_str(),
            Origin::Data { path, .. } => path.as_str(),
        };
        last_name(own) != last_name(&self.to)
    }
}

/// Where an object comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An object in S3.
    Object {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// Whether it is asked for without a signature.
        #[serde(default, skip_serializing_if = "is_default")]
        unsigned: bool,
        /// What its content must sum up to, as the list says: `md5:…` and the like.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sums: Option<String>,
        /// The tag that it had when it was looked at: another one is another object, and not meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        etag: Option<ETag>,
    },
    /// A file of an ICAv2 project, as it was when it was looked up.
    Data {
        /// The project.
        project: ProjectId,
        /// The file.
        id: DataId,
        /// Its path.
        path: DataPath,
        /// Its bytes.
        size: u64,
        /// Its `objectETag`.
        etag: Option<ETag>,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object { bucket, key, .. } => write!(f, "s3://{bucket}/{key}"),
            Self::Data { project, path, .. } => write!(f, "icav2://{project}{path}"),
        }
    }
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// How it ended.
    pub status: CopyStatus,
    /// Its bytes, where they were copied.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes: u64,
    /// How long it took, milliseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub elapsed: u64,
    /// Why, where it was not copied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What else is to be told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub detail: Detail,
}

/// More about how an object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Nothing.
    #[default]
    Plain,
    /// It was there, as far as its size tells.
    BySize,
    /// Another one is there, and stays as the request wants it.
    Kept,
    /// Another one is there, and the request wants to fail then.
    Conflict,
    /// There is no source.
    NoSource,
    /// It would have to be restored first.
    Archived,
}

impl Copied {
    /// Counts it, as the object of that item.
    pub fn count(&self, item: &SliceItem, counters: &mut Counters) {
        counters.files += 1;
        match (self.status, self.detail) {
            (CopyStatus::Copied, _) => {
                counters.copied += 1;
                counters.bytes += self.bytes;
                counters.renamed += u64::from(item.is_renamed());
            }
            (CopyStatus::AlreadyCopied, Detail::Kept) | (CopyStatus::Superseded, _) => {
                counters.skipped_conflict += 1;
            }
            (CopyStatus::AlreadyCopied, detail) => {
                counters.skipped += 1;
                counters.skipped_by_size += u64::from(detail == Detail::BySize);
            }
            (CopyStatus::Error, _) => counters.failed += 1,
        }
    }
}

/// How a copy-out ended, as its caller is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOutReport {
    /// The bucket that objects went to.
    pub destination_bucket: String,
    /// What their keys start with.
    pub destination_prefix: String,
    /// The key of the summary, below the prefix.
    pub summary: String,
    /// Bucket and key of the summary beside the list, where it could be written.
    pub working: Option<(String, String)>,
    /// Objects of the list.
    pub total: u64,
    /// What would be done, where that was all that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryCopyOut>,
}

/// How an object ended; the words of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CopyStatus {
    /// It was brought.
    Copied,
    /// It was there and equal.
    AlreadyCopied,
    /// It could not be brought.
    Error,
    /// Another one of the list has its place.
    Superseded,
}

impl CopyStatus {
    /// The word of the summary.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copied => "COPIED",
            Self::AlreadyCopied => "ALREADYCOPIED",
            Self::Error => "ERROR",
            Self::Superseded => "SUPERSEDED",
        }
    }
}

fn last_name(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
