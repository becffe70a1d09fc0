//! The API's JSON, as far as we use it.
//!
//! Readers are tolerant: fields we do not know are ignored, and what the API calls nullable may be
//! absent. Writers are strict. Meaning is given in the conversions below: an object that lacks what
//! we must know (a path, a size we could trust) is never left out of a listing, because a file that is
//! silently left out is a file that is silently not copied: it is shown as one of unknown status. Values
//! that we do not know are carried: the API may add to them at any time.

mod jobs;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

pub use self::jobs::Job;
use crate::{
    domain::{
        file::{self, DataKind, DataStatus, ETag},
        ids::{DataId, ProjectId},
        location::DataPath,
    },
    ports::platform::Destination,
};

/// One entry of a list. An odd one spoils no page.
#[derive(Debug)]
pub enum Entry<T> {
    /// One that could be read.
    Read(T),
    /// One that could not.
    Odd(Odd),
}

/// An entry that could not be read.
#[derive(Debug)]
pub struct Odd {
    /// The entry.
    pub entry: Value,
    /// Why.
    pub why: String,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(match serde_json::from_str(raw.get()) {
            Ok(entry) => Self::Read(entry),
            Err(error) => {
                let entry = serde_json::from_str(raw.get()).unwrap_or_default();
                Self::Odd(Odd { entry, why: error.to_string() })
            }
        })
    }
}

/// Every `*PagedList`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: DeserializeOwned")]
pub struct PagedList<T> {
    /// The entries.
    pub items: Vec<Entry<T>>,
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
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// Its id.
    pub id: String,
    /// What is known about it.
    pub details: Option<DataDetails>,
    /// What is known of it as a folder.
    pub folder_details: Option<FolderDetails>,
}

/// `FolderDetails`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FolderDetails {
    /// Whether ICAv2 does not know what is in it.
    pub non_indexed: Option<bool>,
}

/// `DataDetails`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataDetails {
    /// When it was created.
    pub time_created: Timestamp,
    /// When it was last changed.
    pub time_modified: Option<Timestamp>,
    /// The user who made it.
    pub creator_id: Option<String>,
    /// The project that owns it.
    pub owning_project_id: String,
    /// The last name of its path.
    pub name: Option<String>,
    /// Its full path; of a folder, with a slash at the end.
    pub path: Option<String>,
    /// Its size; absent for folders and for empty files.
    pub file_size_in_bytes: Option<u64>,
    /// Its status.
    pub status: DataStatus,
    /// `FILE` or `FOLDER`.
    pub data_type: String,
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
    /// Where to; without it, the root of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_folder_id: Option<String>,
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

/// `CreateFileAndUploadUrl`, and what begins `CreateFileAndTemporaryCredentials`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateFile {
    /// The new file's name.
    pub name: String,
    /// The id of its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder_id: Option<String>,
    /// The path of its parent, where that is the root, which has no id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder_path: Option<String>,
}

impl CreateFile {
    /// A file of that name in a folder.
    #[must_use]
    pub fn new(name: &str, folder: &Destination) -> Self {
        let (folder_id, folder_path) = match folder {
            Destination::Folder(id) => (Some(id.to_string()), None),
            Destination::Root => (None, Some(DataPath::root().to_string())),
        };
        Self { name: name.to_owned(), folder_id, folder_path }
    }
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
        let Data { id, details, folder_details } = data;
        let incomplete = |what: &str| Incomplete { id: id.clone(), what: what.to_owned() };
        let details = details.ok_or_else(|| incomplete("has no details"))?;
        let mut path = details.path.ok_or_else(|| incomplete("has no path"))?;
        let (kind, is_known) = match details.data_type.as_str() {
            "FILE" => (DataKind::File, true),
            "FOLDER" => (DataKind::Folder, true),
            // Its path tells which of the two it is more like.
            _ if path.ends_with('/') => (DataKind::Folder, false),
            _ => (DataKind::File, false),
        };
        if kind == DataKind::Folder && !path.ends_with('/') {
            path.push('/');
        }
        let path = DataPath::told(path).map_err(|error| incomplete(&error.to_string()))?;
        Ok(Self {
            path,
            owner: ProjectId::new(details.owning_project_id),
            kind,
            status: if is_known { details.status } else { DataStatus::Unknown },
            size: details.file_size_in_bytes.unwrap_or(0),
            etag: details.object_etag.as_deref().map(ETag::new),
            created: details.time_created,
            modified: details.time_modified.unwrap_or(details.time_created),
            creator: details.creator_id.and_then(|id| id.parse().ok()),
            unseen: folder_details.and_then(|folder| folder.non_indexed).unwrap_or(false),
            id: DataId::new(id),
        })
    }
}

impl Entry<ProjectData> {
    /// The file or folder, as a listing of `base` shows it; what is odd about it goes to `odd`.
    #[must_use]
    pub fn data(self, base: &DataPath, odd: &mut Vec<String>) -> file::Data {
        let entry = match self {
            Self::Read(ProjectData { data }) => {
                let name = data.details.as_ref().map(|details| details.name.clone());
                let entry = serde_json::json!({"data": {"id": data.id, "details": {"name": name}}});
                match file::Data::try_from(data) {
                    Ok(data) => return data,
                    Err(error) => Odd { entry, why: error.to_string() },
                }
            }
            Self::Odd(entry) => entry,
        };
        let data = entry.data(base);
        odd.push(entry.why);
        data
    }
}

impl TryFrom<ProjectData> for file::Data {
    type Error = Incomplete;

    fn try_from(project_data: ProjectData) -> Result<Self, Incomplete> {
        project_data.data.try_into()
    }
}

impl Odd {
    /// As much of a file or folder as can be told of an entry of a listing: it has a name, and nothing
    /// is known of it. `base` is the folder that was listed.
    #[must_use]
    pub fn data(&self, base: &DataPath) -> file::Data {
        let text = |at: &str| self.entry.pointer(at).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id = text("/data/id").unwrap_or("without id");
        let path = text("/data/details/path").and_then(|path| DataPath::told(path.to_owned()).ok());
        let name = || text("/data/details/name").unwrap_or(id).replace('/', " ");
        let path = path.unwrap_or_else(|| base.file(&name()));
        file::Data {
            id: DataId::new(id),
            owner: ProjectId::new(text("/data/details/owningProjectId").unwrap_or_default()),
            kind: if path.is_folder() { DataKind::Folder } else { DataKind::File },
            path,
            status: DataStatus::Unknown,
            size: 0,
            etag: None,
            created: Timestamp::UNIX_EPOCH,
            modified: Timestamp::UNIX_EPOCH,
            creator: None,
            unseen: false,
        }
    }
}
