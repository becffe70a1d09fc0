//! Looking things up by path, also where the path leads through a folder that another project owns.
//!
//! The API finds a linked folder by its path, but not what is inside it; there only ids lead on. So
//! what is not found is looked for once more below the deepest folder above it that is linked.

use std::time::Duration;

use super::{call::Call, client::Client, recent::Recent, wire};
use crate::{
    domain::{
        file::{Data, DataKind},
        ids::{DataId, ProjectId},
        location::DataPath,
    },
    ports::{Class, Result, store::Page},
};

pub(super) const LIST: &str = "GET /api/projects/{projectId}/data";
/// What a cursor of ours starts with; those of the API hold no spaces.
const BELOW: &str = "below ";
/// How long it is believed that a folder is not below a linked one.
pub(super) const KEEP: Duration = Duration::from_mins(1);

/// Folders that are not below a linked one, by project and path.
pub(super) type Unlinked = Recent<(ProjectId, DataPath), ()>;

impl Client {
    /// What is at a path that is not the root.
    pub(super) async fn look_up(&self, project: &ProjectId, path: &DataPath) -> Result<Option<Data>> {
        let call = Call::read(LIST, &[project.as_str()])
            .with("parentFolderPath", path.parent().as_str())
            .with("filename", path.name())
            .with("filenameMatchMode", "EXACT")
            .with("filePathMatchMode", "FULL_CASE_INSENSITIVE")
            .with("type", if path.is_folder() { "FOLDER" } else { "FILE" });
        if let Some(data) = self.first(&call, |data| data.path == *path).await? {
            return Ok(Some(data));
        }
        let Some(linked) = self.linked_above(project, path).await? else { return Ok(None) };
        self.look_below(project, linked, path).await
    }

    /// The children of a folder, by its path. What is inside a linked folder is not listed so; it is
    /// listed by id when nothing was found, and the cursor then says by which.
    pub(super) async fn children_at(
        &self,
        project: &ProjectId,
        path: &DataPath,
        from: Option<&str>,
    ) -> Result<Page<Data>> {
        let below = from.and_then(|from| from.strip_prefix(BELOW)?.split_once(' '));
        if let Some((id, token)) = below {
            return self
                .children_of(project, &DataId::new(id), Some(token))
                .await
                .map(|page| under(id, page));
        }
        let call = Call::read(LIST, &[project.as_str()]).with("parentFolderPath", path.as_str());
        let mut page = match self.list(call, path, from).await {
            Err(error) if error.class == Class::NotFound => Page { items: Vec::new(), next: None },
            other => other?,
        };
        page.items.retain(|data| data.path.parent() == *path);
        let is_whole = from.is_none() && page.next.is_none();
        if is_whole && page.items.is_empty() && !path.is_root() {
            let linked = self.look_up(project, path).await?.filter(|folder| folder.owner != *project);
            if let Some(Data { id, .. }) = linked {
                let page = self.children_of(project, &id, None).await?;
                return Ok(under(id.as_str(), page));
            }
        }
        Ok(page)
    }

    /// How many files are below a path; only paging by offset tells.
    pub(super) async fn count_files(&self, project: &ProjectId, path: &DataPath) -> Result<Option<u64>> {
        let call = Call::read(LIST, &[project.as_str()])
            .with("filePath", path.as_str())
            .with("filePathMatchMode", "STARTS_WITH_CASE_INSENSITIVE")
            .with("type", "FILE")
            .with("pageOffset", "0")
            .with("pageSize", "1");
        let page: wire::PagedList<wire::ProjectData> = self.call(&call).await?;
        Ok(page.total_item_count)
    }

    /// The children of a folder, by its id.
    pub(super) async fn children_of(
        &self,
        project: &ProjectId,
        folder: &DataId,
        from: Option<&str>,
    ) -> Result<Page<Data>> {
        let call = Call::read(LIST, &[project.as_str()]).with("parentFolderId", folder.as_str());
        self.list(call, &DataPath::root(), from).await
    }

    /// The deepest folder above the path, if another project owns it.
    async fn linked_above(&self, project: &ProjectId, path: &DataPath) -> Result<Option<Data>> {
        let parent = path.parent();
        let asked = (project.clone(), parent.clone());
        if parent.is_root() || self.unlinked.get(&asked).is_some() {
            return Ok(None);
        }
        let mut call = Call::read(LIST, &[project.as_str()]);
        let mut folder = parent;
        while !folder.is_root() {
            call = call.with("filePath", folder.as_str());
            folder = folder.parent();
        }
        call = call.with("filePathMatchMode", "FULL_CASE_INSENSITIVE").with("type", "FOLDER");
        let mut deepest: Option<Data> = None;
        let mut from = None;
        loop {
            let page = match self.list(call.clone(), &DataPath::root(), from.as_deref()).await {
                Err(error) if error.class == Class::NotFound => break,
                other => other?,
            };
            for data in page.items.into_iter().filter(|data| path.inside(&data.path).is_some()) {
                if deepest.as_ref().is_none_or(|other| other.path.as_str().len() < data.path.as_str().len()) {
                    deepest = Some(data);
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let linked = deepest.filter(|folder| folder.owner != *project);
        if linked.is_none() {
            self.unlinked.put(asked, ());
        }
        Ok(linked)
    }

    /// Follows the path from a folder above it, name by name, by ids.
    async fn look_below(&self, project: &ProjectId, above: Data, path: &DataPath) -> Result<Option<Data>> {
        let Some(rest) = path.inside(&above.path) else { return Ok(None) };
        let mut names = rest.split_terminator('/').peekable();
        let mut at = above;
        while let Some(name) = names.next() {
            let is_folder = names.peek().is_some() || path.is_folder();
            let kind = if is_folder { DataKind::Folder } else { DataKind::File };
            let call = Call::read(LIST, &[project.as_str()])
                .with("parentFolderId", at.id.as_str())
                .with("filename", name)
                .with("filenameMatchMode", "EXACT")
                .with("type", if is_folder { "FOLDER" } else { "FILE" });
            match self.first(&call, |data| data.kind == kind && data.name() == name).await? {
                Some(data) => at = data,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The first entry of a listing that is the one wanted.
    async fn first(&self, call: &Call, wanted: impl Fn(&Data) -> bool) -> Result<Option<Data>> {
        let mut from = None;
        loop {
            let page = match self.list(call.clone(), &DataPath::root(), from.as_deref()).await {
                Err(error) if error.class == Class::NotFound => return Ok(None),
                other => other?,
            };
            if let Some(data) = page.items.into_iter().find(&wanted) {
                return Ok(Some(data));
            }
            from = page.next;
            if from.is_none() {
                return Ok(None);
            }
        }
    }
}

/// A page of a folder that was asked for by path and is listed by id.
fn under(id: &str, page: Page<Data>) -> Page<Data> {
    Page { next: page.next.map(|token| format!("{BELOW}{id} {token}")), ..page }
}
