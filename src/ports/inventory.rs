//! Where files and metadata come from that packages are made of.
//!
//! # Contract
//! - Pages come in an order that stays the same as long as what they are read from does.
//! - More may be given than was asked for; the caller chooses. Nothing that was asked for is left out.
//! - What cannot be read as it stands is `Invalid`, and says where: the file, and the line.
//! - An inventory that cannot find what is asked for by what it was asked by is `Invalid`, and says so; it does not
//!   give nothing.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::error::Result;
use crate::domain::share::{
    files::{DataType, Library},
    rows::Row,
};

/// What comes in pages.
#[async_trait]
pub trait Pages<T>: Send {
    /// The next page, which may be empty; `None` after the last.
    async fn next(&mut self) -> Result<Option<Vec<T>>>;
}

/// Which files are asked for. Each list that is there narrows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowQuery {
    /// Of these libraries.
    pub libraries: Option<BTreeSet<String>>,
    /// Reads of these sequencing runs.
    pub instrument_runs: Option<BTreeSet<String>>,
    /// Analyses of these runs, whatever their libraries. Where none are named, of each library the newest run of each
    /// workflow is meant that has not failed.
    pub portal_runs: Option<BTreeSet<String>>,
    /// Of these kinds.
    pub data_types: Option<BTreeSet<DataType>>,
    /// Of analyses that are not named by their runs, those of these workflows, as they are called now.
    pub workflows: Option<BTreeSet<String>>,
    /// Runs whose analyses are not wanted.
    pub excluded_runs: BTreeSet<String>,
    /// Of these kinds it is only asked which files there are, not where: no row needs a `uri`.
    pub surveyed: BTreeSet<DataType>,
}

impl RowQuery {
    /// Whether files of that kind are asked for.
    #[must_use]
    pub fn wants(&self, data_type: DataType) -> bool {
        self.data_types.as_ref().is_none_or(|types| types.contains(&data_type))
    }
}

/// What libraries are asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Their own ids.
    Libraries,
    /// Their subjects.
    Subjects,
    /// Their individuals.
    Individuals,
    /// Their projects.
    Projects,
}

impl Whose {
    /// Whether a library is that of an id.
    #[must_use]
    pub fn is(self, library: &Library, id: &str) -> bool {
        match self {
            Self::Libraries => library.library_id == id,
            Self::Subjects => library.subject_id == id,
            Self::Individuals => library.individual_id == id,
            Self::Projects => library.project_ids.iter().any(|project| project == id),
        }
    }

    /// What such an id is the id of.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Libraries => "library",
            Self::Subjects => "subject",
            Self::Individuals => "individual",
            Self::Projects => "project",
        }
    }
}

/// Files that could be in packages.
#[async_trait]
pub trait Inventory: Send + Sync + std::fmt::Debug {
    /// The files that answer.
    async fn rows(&self, query: &RowQuery) -> Result<Box<dyn Pages<Row>>>;

    /// The files of a manifest (`s3://…`).
    async fn manifest(&self, uri: &str) -> Result<Box<dyn Pages<Row>>>;

    /// The libraries that were sequenced in a run, as they are called there; `None`: only files tell.
    async fn sequenced(&self, _run: &str) -> Result<Option<BTreeSet<String>>> {
        Ok(None)
    }

    /// Whether several rows may tell of one file, each of another library, so that who asks for one library does not
    /// hear of the others.
    fn may_repeat(&self) -> bool {
        false
    }
}

/// An object that is a copy of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCopy {
    /// Its key.
    pub key: String,
    /// The id that the file keeps wherever it lies.
    pub ingest_id: String,
}

/// Keeps account of where the copies of files are, by ids that files keep wherever they lie.
#[async_trait]
pub trait Copies: Send + Sync + std::fmt::Debug {
    /// Whether account is kept of the objects of a bucket.
    async fn knows(&self, bucket: &str) -> Result<bool>;

    /// Has what lies below a prefix of a bucket looked at anew. `Conflict` while that is being done already;
    /// `Transient` where it goes on after the call has been given up.
    async fn look_again(&self, bucket: &str, prefix: &str) -> Result<()>;

    /// Notes that these objects of a bucket are copies of those files, where that is not known; those of which nothing
    /// is known yet. The same call again does the same.
    async fn adopt(&self, bucket: &str, copies: Vec<NewCopy>) -> Result<Vec<NewCopy>>;
}

/// What is known of libraries.
#[async_trait]
pub trait Metadata: Send + Sync + std::fmt::Debug {
    /// The libraries of these ids, each once; those that are not known are left out.
    async fn libraries(&self, whose: Whose, ids: &BTreeSet<String>) -> Result<Vec<Library>>;

    /// The libraries of a manifest (`s3://…`), as its lines tell of them.
    async fn manifest(&self, uri: &str) -> Result<Box<dyn Pages<Library>>>;

    /// Whether anything is known at all: where not, libraries are known by their files alone.
    fn is_there(&self) -> bool;
}

/// What is shared by itself.
#[async_trait]
pub trait AutoJobs: Send + Sync + std::fmt::Debug {
    /// The jobs as they are now, as a text of at most a megabyte.
    async fn read(&self) -> Result<String>;
}
