//! ICAv2, as the engine sees it.
//!
//! # Contract
//! - Names and paths are exact and case-sensitive, although the API's filters are not: an
//!   implementation filters again.
//! - Listings may be stale by the API's indexing delay; `get` by id is not.
//! - An entry of a listing of data that cannot be understood is shown with an unknown status: it hides
//!   no other, and it is not left out.
//! - Reads and calls with an idempotency key are tried again inside for a few seconds; `submit`
//!   never is, because the API has no key for it.

use std::num::NonZeroU32;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::{error::Result, objects::BucketAccess, store::Page, transfers::PresignedUrl};
use crate::domain::{
    file::Data,
    ids::{BatchId, DataId, JobId, ProjectId},
    job::JobStatus,
    location::DataPath,
};

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
}

/// What to list: the direct children of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// By id: works for linked folders too.
    Id(DataId),
    /// By path; the only way for a project's root.
    Path(DataPath),
}

/// A folder of a project that something is put into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The root, which is always there, has no id and cannot be made.
    Root,
    /// Any other.
    Folder(DataId),
}

impl Destination {
    /// Its id, where it has one.
    #[must_use]
    pub fn id(&self) -> Option<&DataId> {
        match self {
            Self::Root => None,
            Self::Folder(id) => Some(id),
        }
    }

    /// What to list to see what is in it.
    #[must_use]
    pub fn folder(&self) -> Folder {
        self.id().map_or_else(|| Folder::Path(DataPath::root()), |id| Folder::Id(id.clone()))
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its status.
    pub status: JobStatus,
    /// What it works on: for copy jobs the batch.
    pub subject: String,
    /// When it was made.
    pub created: Timestamp,
    /// Why it is in this status, in ICAv2's words.
    pub reason: Option<String>,
    /// The user who made it, where that is told.
    pub owner: Option<Uuid>,
}

/// A copy batch just submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The batch.
    pub batch: BatchId,
    /// Its job.
    pub job: Job,
}

/// One item of a copy batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchItem {
    /// The source file.
    pub data: DataId,
    /// `QUEUED`, `COPYING`, `COPIED`, `PARTIALLY_COPIED` or `FAILED`.
    pub status: String,
    /// Why, in ICAv2's words.
    pub reason: Option<String>,
    /// What it made at the destination, where the API says.
    pub created: Option<DataId>,
}

/// A file just created, with where to put its bytes.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Its id.
    pub id: DataId,
    /// Where its bytes go.
    pub upload: PresignedUrl,
}

/// How much is asked of the platform at present.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// Calls that are made a second while some wait.
    pub per_second: f64,
}

/// ICAv2.
#[async_trait]
pub trait DataPlatform: Send + Sync + std::fmt::Debug {
    /// The project of that id or exact name. `NotFound` names what was looked for.
    async fn project(&self, reference: &str) -> Result<Project>;

    /// One file or folder by id, past every index.
    async fn get(&self, project: &ProjectId, id: &DataId) -> Result<Data>;

    /// The file or folder at that exact path, from the index, also inside a folder that another
    /// project owns; `None` when there is none. What is linked has another [`Data::owner`] than
    /// `project`.
    async fn find(&self, project: &ProjectId, path: &DataPath) -> Result<Option<Data>>;

    /// The files and folders at those exact paths, from the index, those among them that are linked; not
    /// those inside a folder that another project owns. As many calls as their paths are long.
    async fn standing(&self, project: &ProjectId, paths: &[DataPath]) -> Result<Vec<Data>>;

    /// The direct children of a folder, files and folders, a page at a time. Nothing (not an error)
    /// for a path that is not there.
    async fn children(&self, project: &ProjectId, folder: &Folder, from: Option<&str>) -> Result<Page<Data>>;

    /// All folders below a path, at any depth, a page at a time.
    async fn folders_below(
        &self,
        project: &ProjectId,
        path: &DataPath,
        from: Option<&str>,
    ) -> Result<Page<Data>>;

    /// Everything below a path, files and folders, at any depth, a page at a time. What is linked from
    /// other projects is shown, but not what is inside it.
    async fn everything_below(
        &self,
        project: &ProjectId,
        path: &DataPath,
        from: Option<&str>,
    ) -> Result<Page<Data>>;

    /// How many files lie below a path, at any depth, from the index: at least so many as there are,
    /// for those below a path that differs in case only may be counted too. What is inside linked
    /// folders is not counted. `None` where the API does not tell.
    async fn count_files_below(&self, project: &ProjectId, path: &DataPath) -> Result<Option<u64>>;

    /// Creates a folder with its missing parents. `Conflict` when there is one of that name.
    async fn create_folder(&self, project: &ProjectId, path: &DataPath, key: &str) -> Result<Data>;

    /// Creates a PARTIAL file in a folder and says where its bytes go. The same `key` and arguments
    /// get the same answer for 7 days. `Conflict` when there is a file of that name.
    async fn create_file(
        &self,
        project: &ProjectId,
        folder: &Destination,
        name: &str,
        key: &str,
    ) -> Result<NewFile>;

    /// Where to put the bytes of a file that is PARTIAL.
    async fn upload_url(&self, project: &ProjectId, id: &DataId) -> Result<PresignedUrl>;

    /// Where to read files, in the order asked.
    async fn download_urls(&self, project: &ProjectId, ids: &[DataId]) -> Result<Vec<PresignedUrl>>;

    /// The project that an S3 location lies in, and where in it: of the projects' roots that hold it
    /// by whole segments the longest. `None`: in no project that is visible to us, looked at within
    /// the last seconds; a project found is believed for minutes. `Invalid` when two projects share
    /// the root, or when no file can have that path in a project.
    ///
    /// What it answers says nothing about whether there is anything there.
    async fn locate(&self, bucket: &str, key: &str) -> Result<Option<(Project, DataPath)>>;

    /// Where a project keeps its data in S3: its own bucket, and the prefix of all keys, which ends
    /// in `/` or is empty; a path without its first slash follows. `None` when it has no bucket of its
    /// own. For linked data ask with [`Data::owner`].
    async fn storage(&self, project: &ProjectId) -> Result<Option<(String, String)>>;

    /// Credentials to read and write below a folder (or to write a PARTIAL file) in S3. Each call makes
    /// new ones; they last for hours.
    async fn write_access(&self, project: &ProjectId, data: &DataId) -> Result<BucketAccess>;

    /// The same, only to read.
    async fn read_access(&self, project: &ProjectId, data: &DataId) -> Result<BucketAccess>;

    /// Creates a PARTIAL file in a folder, with credentials to upload its bytes in parts: the object is
    /// [`BucketAccess::prefix`]. The same `key` and arguments get the same file for 7 days, with
    /// credentials that are still good. `Conflict` when there is a file of that name.
    async fn create_file_for_parts(
        &self,
        project: &ProjectId,
        folder: &Destination,
        name: &str,
        key: &str,
    ) -> Result<(DataId, BucketAccess)>;

    /// Schedules the deletion of a file or folder.
    async fn delete(&self, project: &ProjectId, id: &DataId) -> Result<()>;

    /// Starts a copy job: files of any project, by id, into a folder of `project`; existing names
    /// are skipped. Not tried again inside; see [`super::Error::may_have_happened`].
    async fn submit(&self, project: &ProjectId, folder: &Destination, files: &[DataId]) -> Result<Submitted>;

    /// Where a copy batch puts its files.
    async fn batch_folder(&self, project: &ProjectId, batch: &BatchId) -> Result<Destination>;

    /// The items of a batch, a page at a time.
    async fn batch_items(
        &self,
        project: &ProjectId,
        batch: &BatchId,
        from: Option<&str>,
    ) -> Result<Page<BatchItem>>;

    /// One job.
    async fn job(&self, id: &JobId) -> Result<Job>;

    /// Jobs, newest first, a page at a time. Entries that cannot be understood are left out.
    async fn jobs(&self, from: Option<&str>) -> Result<Page<Job>>;

    /// How much is asked of it through this adapter.
    fn load(&self) -> Load {
        Load { waiting: 0, per_second: f64::INFINITY }
    }

    /// So many instances share what the tenant allows: this one takes its part of the pace.
    fn share(&self, _instances: NonZeroU32) {}

    /// The jobs that have not ended, newest first, a page at a time.
    async fn running_jobs(&self, from: Option<&str>) -> Result<Page<Job>>;
}
