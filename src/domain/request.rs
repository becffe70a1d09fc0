//! What is asked for, by callers and by our own roots.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    batch::BatchRequest,
    copy_out::CopyOutRequest,
    file::ETag,
    ids::{DataId, JobId, ProjectId},
    location::DataPath,
    renaming::{RenameEntry, Renames},
};

/// The kinds of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `ICAv2DataCopySync`: named files and folders into one destination folder.
    Copy,
    /// `ICAv2CopyBatchSync`: a manifest of sources and the folders that each goes to.
    Batch,
    /// `S3CopyOutSync`: a list of objects in S3 to one bucket.
    CopyOut,
    /// A child: what one destination folder has to hold.
    Folder,
    /// A child: some of the objects of a list.
    Slice,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Copy, Self::Batch, Self::CopyOut, Self::Folder, Self::Slice];

    /// The name as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Batch => "batch",
            Self::CopyOut => "copy_out",
            Self::Folder => "folder",
            Self::Slice => "slice",
        }
    }

    /// The kind of that name; `None` for a kind that a newer version made.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is done where another file stands at the destination (`payload.onConflict`,
/// `copy.on_conflict`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The request fails and what stands there stays.
    #[default]
    Fail,
    /// What stands there is deleted and the file brought.
    Overwrite,
    /// What stands there stays; the file is not brought and counts as skipped.
    Skip,
}

impl OnConflict {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Fail, Self::Overwrite, Self::Skip];

    /// The word that callers write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Overwrite => "overwrite",
            Self::Skip => "skip",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == text)
    }
}

/// What a caller asks for, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Asked {
    /// Files and folders into one folder.
    Copy(CopyRequest),
    /// What a manifest says.
    Batch(BatchRequest),
    /// A list of objects into one bucket.
    CopyOut(Box<CopyOutRequest>),
}

impl Asked {
    /// Nothing yet, of that kind of root; of any other kind, a copy.
    #[must_use]
    pub fn nothing(kind: Kind) -> Self {
        match kind {
            Kind::Batch => Self::Batch(BatchRequest::default()),
            Kind::CopyOut => Self::CopyOut(Box::default()),
            Kind::Copy | Kind::Folder | Kind::Slice => Self::Copy(CopyRequest::default()),
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Copy(_) => Kind::Copy,
            Self::Batch(_) => Kind::Batch,
            Self::CopyOut(_) => Kind::CopyOut,
        }
    }

    /// Whether it only asks what would be done.
    #[must_use]
    pub const fn is_dry_run(&self) -> bool {
        match self {
            Self::Copy(request) => request.dry_run,
            Self::Batch(request) => request.dry_run,
            // It makes its own plan.
            Self::CopyOut(_) => false,
        }
    }

    /// A copy, if it is one.
    #[must_use]
    pub fn into_copy(self) -> Option<CopyRequest> {
        match self {
            Self::Copy(request) => Some(request),
            Self::Batch(_) | Self::CopyOut(_) => None,
        }
    }

    /// Where it copies to, as it is shown; empty where there are several places.
    #[must_use]
    pub fn destination(&self) -> String {
        match self {
            Self::Copy(request) => request.destination.clone(),
            Self::Batch(request) => request.destination(),
            Self::CopyOut(request) => request.destination(),
        }
    }
}

/// What a caller of the `copy` kind asks for, as received. Fields that came later than the first
/// release may be absent in what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CopyRequest {
    /// What to copy: files and folders.
    pub sources: Vec<String>,
    /// The folder it goes to; ends with `/`.
    pub destination: String,
    /// What to copy from buckets that belong to no project.
    #[serde(default)]
    pub external: Vec<String>,
    /// Files that get another name.
    #[serde(default)]
    pub renaming: Vec<RenameEntry>,
    /// What is done about conflicts; absent: what is configured.
    #[serde(default)]
    pub on_conflict: Option<OnConflict>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// Keep a receipt of every file.
    #[serde(default, skip_serializing_if = "is_false")]
    pub receipt: bool,
}

/// A source file as it was when it was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFile {
    /// Its data id.
    pub id: DataId,
    /// Its path in the source project.
    pub path: DataPath,
    /// Its bytes.
    pub size: u64,
    /// Its `objectETag`.
    pub etag: Option<ETag>,
}

/// An object in a bucket of no project, as it was when it was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedObject {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// Its `ETag`.
    pub etag: Option<ETag>,
    /// Whether an `ETag` that looks like an MD5 is known to be none (SSE-KMS). Where it is not known, it need
    /// not be one all the same.
    #[serde(default, skip_serializing_if = "is_false")]
    pub opaque: bool,
    /// Whether it must be restored before it can be read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub archived: bool,
}

impl NamedObject {
    /// The last name of its key.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.rsplit_once('/').map_or(&self.key, |(_, name)| name)
    }
}

/// Files that a child wants in its destination folder, by where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// Files named one by one.
    Files {
        /// Where they are.
        project: ProjectId,
        /// The files.
        files: Vec<NamedFile>,
    },
    /// Every file directly in a folder.
    Level {
        /// Where the folder is.
        project: ProjectId,
        /// The folder's data id; absent for the root of a project, which has none.
        id: Option<DataId>,
        /// Its path, for messages and for the root.
        path: DataPath,
    },
    /// A folder with everything below it, to be brought as one item of a job. What the job leaves is
    /// brought by other children, one for each folder of the tree.
    Tree {
        /// Where the folder is.
        project: ProjectId,
        /// The folder's data id.
        id: DataId,
        /// Its path.
        path: DataPath,
    },
    /// Objects of a bucket that belongs to no project.
    Objects {
        /// The bucket.
        bucket: String,
        /// The objects.
        objects: Vec<NamedObject>,
    },
}

/// What a child is for: one destination folder and the files it must come to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderRequest {
    /// The destination project.
    pub project: ProjectId,
    /// The destination folder's path; ends with `/`.
    pub path: DataPath,
    /// What it must hold. Empty: the folder has only to exist.
    pub wants: Vec<Want>,
    /// What is done where another file stands.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// Files that get another name here.
    #[serde(default, skip_serializing_if = "Renames::is_empty")]
    pub renames: Renames,
    /// When it begins: once all children of the steps before have settled.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    /// Whether its files are only on their way through: the folder is the request's own and is deleted
    /// at its end, and what happens there does not count.
    #[serde(default, skip_serializing_if = "is_false")]
    pub staging: bool,
    /// Where an earlier step may have put files that are wanted here, by source: paths below this
    /// folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub staged: BTreeMap<DataId, String>,
    /// The source folder that goes as one item of a job in an earlier step; this child is needed only if
    /// that leaves something to do here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_tree: Option<DataId>,
    /// The jobs that had to bring it with the whole of that folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tree_jobs: Vec<JobId>,
    /// When its request was planned, milliseconds since 1970: what an earlier step has brought since was
    /// not there before us. None: there is no earlier step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Which piece of its root's manifest it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piece: Option<usize>,
    /// Whether its source is gone through once more, because more has come since: it takes the place of the
    /// child that did so first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub again: bool,
}

impl FolderRequest {
    /// Whether it asks jobs for whole folders.
    #[must_use]
    pub fn sends_trees(&self) -> bool {
        self.wants.iter().any(|want| matches!(want, Want::Tree { .. }))
    }

    /// A folder that has to exist; what it must hold is added to it.
    #[must_use]
    pub fn at(project: ProjectId, path: DataPath) -> Self {
        Self {
            project,
            path,
            wants: Vec::new(),
            on_conflict: OnConflict::default(),
            renames: Renames::default(),
            step: 0,
            staging: false,
            staged: BTreeMap::new(),
            of_tree: None,
            tree_jobs: Vec::new(),
            since: None,
            piece: None,
            again: false,
        }
    }

    /// The same, wanting this.
    #[must_use]
    pub fn wanting(mut self, wants: Vec<Want>) -> Self {
        self.wants = wants;
        self
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_their_names() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("teleport"), None);
        for way in OnConflict::ALL {
            assert_eq!(OnConflict::parse(way.as_str()), Some(way));
            assert_eq!(serde_json::to_value(way).unwrap(), way.as_str());
        }
        assert_eq!(OnConflict::parse("Fail"), None);
    }

    #[test]
    fn what_an_older_version_stored_can_be_read() {
        let stored = r#"{"sources":["icav2://p/a"],"destination":"icav2://q/b/"}"#;
        let expected = CopyRequest {
            sources: vec!["icav2://p/a".into()],
            destination: "icav2://q/b/".into(),
            ..CopyRequest::default()
        };
        assert_eq!(serde_json::from_str::<CopyRequest>(stored).unwrap(), expected);
    }
}
