//! The API's JSON, as far as we use it.
//!
//! Readers are tolerant: fields we do not know are ignored, and what the API calls nullable may be
//! absent. Writers are strict. Meaning is given in the conversions below: an object that lacks what
//! we must know (a path, a size we could trust) is an error, never left out of a listing, because a
//! file that is silently left out is a file that is silently not copied.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        file::{self, DataKind, DataStatus, ETag},
        ids::{BatchId, DataId, JobId, ProjectId},
        job::JobStatus,
        location::DataPath,
    },
    ports::platform,
};

/// Every `*PagedList`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PagedList<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Cursor paging: where the next page starts; empty or absent on the last.
    pub next_page_token: Option<String>,
    /// Offset paging: how many entries there are in all.
    pub total_item_count: Option<u64>,
}

/// `ProjectData`.
#[derive(Debug, Deserialize)]
pub struct ProjectData {
    /// The file or folder.
    pub data: Data,
}

/// `Data`.
#[derive(Debug, Deserialize)]
pub struct Data {
    /// Its id.
    pub id: String,
    /// What is known about it.
    pub details: Option<DataDetails>,
}

/// `DataDetails`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataDetails {
    /// When it was created.
    pub time_created: Timestamp,
    /// When it was last changed.
    pub time_modified: Option<Timestamp>,
    /// The project that owns it.
    pub owning_project_id: String,
    /// Its full path; of a folder, with a slash at the end.
    pub path: Option<String>,
    /// Its size; absent for folders and for empty files.
    pub file_size_in_bytes: Option<u64>,
    /// Its status.
    pub status: DataStatus,
    /// File or folder.
    pub data_type: DataKind,
    /// What the cloud provider calls its content.
    #[serde(rename = "objectETag")]
    pub object_etag: Option<String>,
}

/// `Project`.
#[derive(Debug, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// `Job`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: JobStatus,
    /// Why.
    pub additional_status_information: Option<String>,
    /// What it works on.
    pub subject_id: String,
    /// When it was created.
    pub time_created: Timestamp,
}

/// `ProjectDataCopyBatch`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyBatch {
    /// Its id.
    pub id: String,
    /// Where its files go; absent for the root of a project.
    pub destination_folder_id: Option<String>,
    /// Its job.
    pub job: Job,
}

/// `ProjectDataCopyBatchItem`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyBatchItem {
    /// What was asked for.
    pub request: ItemReference,
    /// How it goes.
    pub processing: Processing,
    /// What was made.
    pub created_project_data: Option<ProjectData>,
}

/// `ProjectDataCopyBatchItemProcessing`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processing {
    /// `QUEUED`, `COPYING`, `COPIED`, `PARTIALLY_COPIED` or `FAILED`.
    pub status: String,
    /// Why.
    pub additional_status_information: Option<String>,
}

/// `ProjectDataCopyBatchItemRequest`, `CreateProjectDataCopyBatchItem`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemReference {
    /// The source file or folder.
    pub data_id: String,
}

/// `CreateProjectDataCopyBatch`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateCopyBatch {
    /// What to copy.
    pub items: Vec<ItemReference>,
    /// Where to.
    pub destination_folder_id: String,
    /// Whether user tags are copied.
    pub copy_user_tags: bool,
    /// Whether technical tags are copied.
    pub copy_technical_tags: bool,
    /// Whether instrument information is copied.
    pub copy_instrument_info: bool,
    /// `OVERWRITE`, `SKIP` or `RENAME`.
    pub action_on_exist: String,
}

/// `CreateFolder`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateFolder {
    /// The new folder's name.
    pub name: String,
    /// The path of its parent; made when missing.
    pub folder_path: String,
}

/// `CreateFileAndUploadUrl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateFile {
    /// The new file's name.
    pub name: String,
    /// Its parent.
    pub folder_id: String,
}

/// `ProjectFileAndUploadUrl`. Holds a presigned URL, so it cannot be printed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a presigned URL")]
pub struct FileAndUploadUrl {
    /// The new file.
    pub data: Data,
    /// Where its bytes go.
    pub upload_url: String,
}

/// `Upload`. Holds a presigned URL, so it cannot be printed.
#[derive(Deserialize)]
#[expect(missing_debug_implementations, reason = "holds a presigned URL")]
pub struct Upload {
    /// Where the bytes go.
    pub url: String,
}

/// `DataIdOrPathList`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataIds {
    /// Files, by id.
    pub data_ids: Vec<String>,
}

/// A list that comes whole.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    /// The entries.
    pub items: Vec<T>,
}

/// `DataUrlWithPath`. Holds a presigned URL, so it cannot be printed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a presigned URL")]
pub struct DataUrl {
    /// The file.
    pub data_id: String,
    /// Where to read it.
    pub url: String,
}

/// `Token`. Holds one, so it cannot be printed.
#[derive(Deserialize)]
#[expect(missing_debug_implementations, reason = "holds a token")]
pub struct Token {
    /// The JWT.
    pub token: String,
}

/// Why an object of the API is not one of ours.
#[derive(Debug, thiserror::Error)]
#[error("{id}: {what}")]
pub struct Incomplete {
    id: String,
    what: String,
}

impl TryFrom<Data> for file::Data {
    type Error = Incomplete;

    fn try_from(data: Data) -> Result<Self, Incomplete> {
        let Data { id, details } = data;
        let incomplete = |what: &str| Incomplete { id: id.clone(), what: what.to_owned() };
        let details = details.ok_or_else(|| incomplete("has no details"))?;
        let mut path = details.path.ok_or_else(|| incomplete("has no path"))?;
        if details.data_type == DataKind::Folder && !path.ends_with('/') {
            path.push('/');
        }
        let path = DataPath::parse(&path).map_err(|error| incomplete(&error.to_string()))?;
        Ok(Self {
            path,
            owner: ProjectId::new(details.owning_project_id),
            kind: details.data_type,
            status: details.status,
            size: details.file_size_in_bytes.unwrap_or(0),
            etag: details.object_etag.as_deref().map(ETag::new),
            created: details.time_created,
            modified: details.time_modified.unwrap_or(details.time_created),
            id: DataId::new(id),
        })
    }
}

impl TryFrom<ProjectData> for file::Data {
    type Error = Incomplete;

    fn try_from(project_data: ProjectData) -> Result<Self, Incomplete> {
        project_data.data.try_into()
    }
}

impl From<Project> for platform::Project {
    fn from(project: Project) -> Self {
        Self { id: ProjectId::new(project.id), name: project.name }
    }
}

impl From<Job> for platform::Job {
    fn from(job: Job) -> Self {
        Self {
            id: JobId::new(job.id),
            status: job.status,
            subject: job.subject_id,
            created: job.time_created,
            reason: job.additional_status_information,
        }
    }
}

impl From<CopyBatch> for platform::Submitted {
    fn from(batch: CopyBatch) -> Self {
        Self { batch: BatchId::new(batch.id), job: batch.job.into() }
    }
}

impl From<CopyBatchItem> for platform::BatchItem {
    fn from(item: CopyBatchItem) -> Self {
        Self {
            data: DataId::new(item.request.data_id),
            status: item.processing.status,
            reason: item.processing.additional_status_information,
            created: item.created_project_data.map(|made| DataId::new(made.data.id)),
        }
    }
}
