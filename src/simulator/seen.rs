//! Files and folders as the platform writes them: typed, because listings are most of what it writes.

use http::header::HeaderValue;
use serde::Serialize;

use super::{
    faults::Told,
    notes::{NOTHING, Notes, Tags},
    select::status,
    tree::{Node, Tree},
    wire::{OTHER_USER_ID, REGION_ID, USER_ID, tenant_id, time},
};

/// A file or folder with all that is needed to write it, away from the lock, because its `ETag` may
/// take a while to make.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) node: Node,
    non_indexed: bool,
    of_others: bool,
    project_id: String,
    owner_id: String,
    owner_name: String,
    tenant: String,
    told: Told,
}

impl Seen {
    pub(super) fn new(tree: &Tree, node: &Node) -> Self {
        let (project, owner) = (tree.project(node.project), tree.project(node.owner));
        Self {
            node: node.clone(),
            non_indexed: tree.non_indexed.contains(&node.id),
            of_others: tree.of_others.contains(&node.id),
            project_id: project.map(|project| project.id.clone()).unwrap_or_default(),
            owner_id: owner.map(|owner| owner.id.clone()).unwrap_or_default(),
            owner_name: owner.map(|owner| owner.name.clone()).unwrap_or_default(),
            tenant: owner.map(|owner| owner.tenant.clone()).unwrap_or_default(),
            told: tree.told.get(&node.path).cloned().unwrap_or_default(),
        }
    }

    /// Its `objectETag`, once its bytes are in.
    pub(super) fn etag(&self) -> Option<String> {
        self.node.stored().map(|content| content.etag(&self.node.parts))
    }

    fn notes(&self) -> &Notes {
        self.node.notes.as_deref().unwrap_or(&NOTHING)
    }

    pub(super) fn urn(&self) -> String {
        format!("urn:ilmn:ica:region:{REGION_ID}:data:{}#{}", self.node.id, self.node.path)
    }

    /// `Data`.
    pub(super) fn data(&self) -> Data<'_> {
        let node = &self.node;
        let stored = node.stored();
        let notes = self.notes();
        let kind = if node.is_folder() { "FOLDER" } else { "FILE" };
        Data {
            id: &node.id,
            urn: self.urn(),
            details: Details {
                time_created: time(node.created),
                time_modified: time(node.modified),
                creator_id: if self.of_others { OTHER_USER_ID } else { USER_ID },
                tenant_id: tenant_id(&self.tenant),
                tenant_name: &self.tenant,
                owning_project_id: &self.owner_id,
                owning_project_name: &self.owner_name,
                name: &node.name,
                path: (!self.told.no_path).then_some(node.path.as_str()),
                // The real platform was seen to write null for empty files.
                file_size_in_bytes: stored.map(|content| content.size()).filter(|size| *size > 0),
                status: self.told.status.as_deref().unwrap_or_else(|| status(node)),
                tags: &notes.tags,
                data_type: self.told.data_type.as_deref().unwrap_or(kind),
                object_e_tag: self.etag(),
                stored_for_the_first_time_at: stored.map(|_| time(node.created)),
                will_be_archived_at: notes.will_be_archived_at.map(time),
                will_be_deleted_at: notes.will_be_deleted_at.map(time),
            },
            folder_details: node.is_folder().then_some(FolderDetails { non_indexed: self.non_indexed }),
        }
    }

    /// `ProjectData`.
    pub(super) fn project_data(&self) -> ProjectData<'_> {
        ProjectData { data: self.data(), project_id: &self.project_id }
    }

    /// The `ETag` header: another one whenever the object has changed.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let Node { id, path, status, modified, .. } = &self.node;
        let changing = format!("{status:?} {modified} {:?}", self.notes());
        let tag = crate::domain::ids::digest(&[id, path, &changing]);
        HeaderValue::from_str(&format!("\"{tag}\"")).ok()
    }
}

/// `ProjectData`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProjectData<'a> {
    data: Data<'a>,
    project_id: &'a str,
}

/// `Data`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Data<'a> {
    id: &'a str,
    urn: String,
    details: Details<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder_details: Option<FolderDetails>,
}

/// `DataDetails`, without what our client does not read: region, format, application.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    time_created: String,
    time_modified: String,
    creator_id: &'a str,
    tenant_id: String,
    tenant_name: &'a str,
    owning_project_id: &'a str,
    owning_project_name: &'a str,
    name: &'a str,
    path: Option<&'a str>,
    file_size_in_bytes: Option<u64>,
    status: &'a str,
    tags: &'a Tags,
    data_type: &'a str,
    #[serde(rename = "objectETag")]
    object_e_tag: Option<String>,
    stored_for_the_first_time_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    will_be_archived_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    will_be_deleted_at: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FolderDetails {
    non_indexed: bool,
}
