//! The sources of a waiter, as they were read: files, where each comes from, and source folders that go
//! whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{
        diff::Wanted,
        file::ETag,
        ids::{DataId, ProjectId},
        outcome::{Culprit, ErrorName},
        seen::Seen,
    },
    ports::transfers::ObjectSource,
};

/// Where a file comes from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// A file of a project.
    File { project: ProjectId, id: DataId },
    /// An object in a bucket of no project, as it was when the request was planned.
    Object(Box<ObjectSource>),
}

/// One file that a waiter wants.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub wanted: Wanted,
    pub origin: Origin,
    /// Whether it gets another name than it has.
    pub renamed: bool,
    /// Where an earlier step may have put it, below the destination folder.
    pub staged: Option<String>,
}

impl Source {
    /// Its data id, where a job can carry it.
    pub(super) fn id(&self) -> Option<&DataId> {
        match &self.origin {
            Origin::File { id, .. } => Some(id),
            Origin::Object(_) => None,
        }
    }
}

/// All that one waiter wants.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub files: Vec<Source>,
    /// Folders that go as one item of a job.
    pub trees: Vec<Tree>,
    /// Files that are wanted and cannot be read.
    pub unready: Vec<(ErrorName, Culprit)>,
    /// What its source folders were seen to hold, if it has any.
    pub seen: Option<Seen>,
}

/// A source folder with everything below it.
#[derive(Debug)]
pub(super) struct Tree {
    /// The item that a job is asked for. Its name ends in `/`, unlike that of any file.
    pub item: Source,
    /// Files by their path below the folder.
    pub files: BTreeMap<String, (DataId, u64, Option<ETag>)>,
    /// Folders below it, each ending in `/`.
    pub folders: BTreeSet<String>,
    /// Folders (`""` is the folder itself) that hold files which no job can bring now.
    pub unready: BTreeSet<String>,
}

impl Tree {
    /// How many files it is.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }
}

impl Resolved {
    /// How many files it is.
    pub(super) fn len(&self) -> usize {
        self.files.len() + self.trees.iter().map(Tree::len).sum::<usize>()
    }
}
