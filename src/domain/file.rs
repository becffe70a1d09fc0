//! Files and folders as ICAv2 shows them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ids::{DataId, ProjectId},
    location::DataPath,
};

/// Life of a file in ICAv2: created PARTIAL, AVAILABLE when its bytes are in, DELETING until gone. The
/// API may add to them at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DataStatus {
    /// Created; the bytes are not (all) there.
    Partial,
    /// Readable.
    Available,
    /// On its way to cold storage.
    Archiving,
    /// In cold storage; cannot be read or copied.
    Archived,
    /// On its way back.
    Unarchiving,
    /// Scheduled for deletion, still listed.
    Deleting,
    /// One that we do not know, or of an entry that cannot be understood: not to be read, and never
    /// deleted.
    #[serde(other)]
    Unknown,
}

/// File or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DataKind {
    /// Bytes.
    File,
    /// A folder; has no size and no `ETag`.
    Folder,
}

/// The `objectETag` of a file, as the cloud provider gave it, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ETag(String);

impl ETag {
    /// Wraps the text, dropping the quotes that S3 puts around it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim_matches('"').to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the object was uploaded in parts: the whole text is `word characters`, `-`, digits.
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.0.rsplit_once('-').is_some_and(|(head, parts)| {
            !head.is_empty()
                && !parts.is_empty()
                && head.chars().all(|c| c.is_alphanumeric() || c == '_')
                && parts.chars().all(|c| c.is_ascii_digit())
        })
    }

    /// The MD5 of the content, when the tag can be one: 32 hex digits.
    ///
    /// Under SSE-KMS a tag of this form is *not* an MD5 (AWS): whether it is one, only S3's answer about
    /// the object tells.
    #[must_use]
    pub fn md5(&self) -> Option<&str> {
        (self.0.len() == 32 && self.0.bytes().all(|b| b.is_ascii_hexdigit())).then_some(self.0.as_str())
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Its id.
    pub id: DataId,
    /// The project that owns it (differs from the project looked through for linked data).
    pub owner: ProjectId,
    /// Full path of the object itself.
    pub path: DataPath,
    /// File or folder.
    pub kind: DataKind,
    /// Status.
    pub status: DataStatus,
    /// Bytes; ICAv2 shows null for empty files, which is 0 here.
    pub size: u64,
    /// `objectETag`, null for folders and for files whose bytes are not in.
    pub etag: Option<ETag>,
    /// When the record was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
    /// The user who made it, where that is told.
    pub creator: Option<Uuid>,
    /// Whether the platform does not show what is in it: a folder that is not indexed.
    pub unseen: bool,
}

impl Data {
    /// When it was made or changed, whichever came last.
    #[must_use]
    pub fn touched(&self) -> Timestamp {
        self.created.max(self.modified)
    }

    /// Whether its bytes are in and how many they are is not told: what was uploaded in several parts is
    /// not empty.
    #[must_use]
    pub fn lacks_size(&self) -> bool {
        lacks_size(self.status, self.size, self.etag.as_ref())
    }

    /// Whether nothing but a name was told of it, so that its path says no more than where it was looked for.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.status == DataStatus::Unknown && self.created == Timestamp::UNIX_EPOCH
    }

    /// The last name of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.name()
    }
}

/// What stands under a name: as much of a file or folder as a comparison needs, because a folder may
/// hold hundreds of thousands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Its id.
    pub id: DataId,
    /// File or folder.
    pub kind: DataKind,
    /// Status.
    pub status: DataStatus,
    /// Bytes.
    pub size: u64,
    /// `objectETag`, as in [`Data::etag`].
    pub etag: Option<ETag>,
    /// When the record was made.
    pub created: Timestamp,
    /// The user who made it, where that is told.
    pub creator: Option<Uuid>,
}

impl FileInfo {
    /// As [`Data::lacks_size`].
    #[must_use]
    pub fn lacks_size(&self) -> bool {
        lacks_size(self.status, self.size, self.etag.as_ref())
    }
}

fn lacks_size(status: DataStatus, size: u64, etag: Option<&ETag>) -> bool {
    let parts = || etag.filter(|etag| etag.is_multipart())?.as_str().rsplit_once('-')?.1.parse::<u32>().ok();
    status == DataStatus::Available && size == 0 && parts().is_some_and(|parts| parts > 1)
}

impl From<Data> for FileInfo {
    fn from(data: Data) -> Self {
        let Data { id, kind, status, size, etag, created, creator, .. } = data;
        Self { id, kind, status, size, etag, created, creator }
    }
}

/// Why a file of that status cannot be copied.
#[must_use]
pub const fn status_words(status: DataStatus) -> &'static str {
    match status {
        DataStatus::Partial => "its bytes are not (all) in: it is PARTIAL",
        DataStatus::Archived | DataStatus::Archiving => "it is archived",
        DataStatus::Unarchiving => "it is on its way back from the archive",
        DataStatus::Deleting => "it is being deleted",
        DataStatus::Available => "it is available",
        DataStatus::Unknown => "ICAv2 tells a status or a type of it that is not known here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipart_needs_the_whole_text() {
        for (text, multipart) in [
            ("d41d8cd98f00b204e9800998ecf8427e", false),
            ("d41d8cd98f00b204e9800998ecf8427e-2", true),
            ("\"d41d8cd98f00b204e9800998ecf8427e-12\"", true),
            ("abc-", false),
            ("-3", false),
            ("abc-3x", false),
            ("a b-3", false),
            ("a-b-3", false),
        ] {
            assert_eq!(ETag::new(text).is_multipart(), multipart, "{text}");
        }
    }

    #[test]
    fn only_plain_hex_is_an_md5() {
        assert!(ETag::new("d41d8cd98f00b204e9800998ecf8427e").md5().is_some());
        assert!(ETag::new("d41d8cd98f00b204e9800998ecf8427e-1").md5().is_none());
    }
}
