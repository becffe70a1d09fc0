//! Looking things up by path, also where the path leads through a folder that another project owns.
//!
//! The API finds a linked folder by its path, but not what is inside it; there only ids lead on. So
//! what is not found is looked for once more below the deepest folder above it that is linked.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use futures_util::FutureExt as _;

use super::{
    call::{Call, MOST_ASKED, encoded},
    client::Client,
    gathered::Found,
    recent::Recent,
    wire,
};
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

/// What was learnt of a folder, neither below nor above which anything is linked for that reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unlinked {
    /// It is the project's own, and so is all above it.
    Own,
    /// It is not found by its path, and nothing above it is linked.
    Absent,
}

/// What was learnt of folders, by project and path.
pub(super) type Known = Recent<(ProjectId, DataPath), Unlinked>;

impl Client {
    /// What is at a path that is not the root.
    pub(super) async fn look_up(&self, project: &ProjectId, path: &DataPath) -> Result<Option<Data>> {
        let ask = |paths| self.siblings(project, paths).boxed();
        match self.gathered.find(project, path, ask).await? {
            Found::There(data) => Ok(Some(data)),
            Found::Below(linked) => self.look_below(project, linked, path).await,
            Found::Nowhere => Ok(None),
        }
    }

    /// Where paths with one parent lead.
    async fn siblings(&self, project: &ProjectId, paths: Vec<DataPath>) -> Result<Vec<Found>> {
        let Some(first) = paths.first() else { return Ok(Vec::new()) };
        let names: BTreeSet<_> = paths.iter().map(DataPath::name).collect();
        let call = Call::read(LIST, &[project.as_str()]).with("parentFolderPath", first.parent().as_str());
        let call = names
            .into_iter()
            .fold(call, |call, name| call.with("filename", name))
            .with("filenameMatchMode", "EXACT")
            .with("filePathMatchMode", "FULL_CASE_INSENSITIVE")
            .with("type", if first.is_folder() { "FOLDER" } else { "FILE" });
        let mut there = HashMap::new();
        let mut from = None;
        loop {
            let page = match self.list(call.clone(), &DataPath::root(), from.as_deref()).await {
                Err(error) if error.class == Class::NotFound => break,
                other => other?,
            };
            for data in page.items {
                there.entry(data.path.clone()).or_insert(data);
            }
            from = page.next;
            if from.is_none() || paths.iter().all(|path| there.contains_key(path)) {
                break;
            }
        }
        let all = paths.iter().all(|path| there.contains_key(path));
        let linked = if all { None } else { self.linked_above(project, first).await? };
        let elsewhere = linked.map_or(Found::Nowhere, Found::Below);
        let found = |path| there.get(path).cloned().map_or_else(|| elsewhere.clone(), Found::There);
        Ok(paths.iter().map(found).collect())
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
    ///
    /// Of the folders above a path, those down to some depth are found by their paths, and none below
    /// that. So the border is searched for, some folders at a time: a question about all of a deep
    /// path would be longer than servers take.
    async fn linked_above(&self, project: &ProjectId, path: &DataPath) -> Result<Option<Data>> {
        let above = folders_above(path);
        let known = |folder: &DataPath| self.unlinked.get(&(project.clone(), folder.clone()));
        let mut own = 0;
        let mut absent = above.len();
        for (n, folder) in above.iter().enumerate() {
            match known(folder) {
                Some(Unlinked::Own) => own = n + 1,
                Some(Unlinked::Absent) => {
                    absent = n;
                    break;
                }
                None => {}
            }
        }
        let mut learnt = Vec::new();
        while own < absent {
            let asked = some_of(own, above.get(own..absent).unwrap_or_default());
            let folders: Vec<_> = asked.iter().filter_map(|n| above.get(*n)).collect();
            let deepest = self.deepest_of(project, &folders).await?;
            if let Some(linked) = deepest.as_ref().filter(|folder| folder.owner != *project) {
                return Ok(Some(linked.clone()));
            }
            if let Some(found) =
                deepest.and_then(|folder| above.iter().position(|known| *known == folder.path))
            {
                own = found + 1;
                learnt.push((found, Unlinked::Own));
            }
            if let Some(missing) = asked.into_iter().filter(|n| *n >= own).min() {
                absent = missing;
                learnt.push((missing, Unlinked::Absent));
            }
        }
        for (n, what) in learnt {
            if let Some(folder) = above.get(n) {
                self.unlinked.put((project.clone(), folder.clone()), what);
            }
        }
        Ok(None)
    }

    /// The deepest of these folders that is there.
    async fn deepest_of(&self, project: &ProjectId, folders: &[&DataPath]) -> Result<Option<Data>> {
        let call = folders
            .iter()
            .fold(Call::read(LIST, &[project.as_str()]), |call, folder| {
                call.with("filePath", folder.as_str())
            })
            .with("filePathMatchMode", "FULL_CASE_INSENSITIVE")
            .with("type", "FOLDER");
        let mut deepest: Option<Data> = None;
        let mut from = None;
        loop {
            let page = match self.list(call.clone(), &DataPath::root(), from.as_deref()).await {
                Err(error) if error.class == Class::NotFound => return Ok(deepest),
                other => other?,
            };
            for data in page.items.into_iter().filter(|data| folders.contains(&&data.path)) {
                if deepest.as_ref().is_none_or(|other| other.path.as_str().len() < data.path.as_str().len()) {
                    deepest = Some(data);
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(deepest);
            }
        }
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

/// The folders above a path, from the top.
fn folders_above(path: &DataPath) -> Vec<DataPath> {
    let parents = std::iter::successors(Some(path.parent()), |folder| Some(folder.parent()));
    let mut above: Vec<_> = parents.take_while(|folder| !folder.is_root()).collect();
    above.reverse();
    above
}

/// Which of these folders, from the top and numbered from `first` on, to ask for together: all, the
/// deepest first, or as many as one call takes, evenly spread.
fn some_of(first: usize, folders: &[DataPath]) -> Vec<usize> {
    let bytes = |folder: &DataPath| encoded(folder.as_str()) + "&filePath=".len();
    let last = first + folders.len();
    if folders.iter().map(bytes).sum::<usize>() <= MOST_ASKED {
        return (first..last).rev().collect();
    }
    let fit = MOST_ASKED / folders.last().map_or(1, bytes).max(1);
    if fit < 2 {
        return vec![first + folders.len() / 2];
    }
    let apart = folders.len().div_ceil(fit);
    (first..last).rev().step_by(apart).collect()
}

/// A page of a folder that was asked for by path and is listed by id.
fn under(id: &str, page: Page<Data>) -> Page<Data> {
    Page { next: page.next.map(|token| format!("{BELOW}{id} {token}")), ..page }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_together_fits_a_url() {
        for name in ["a", "a folder of an honest name", "ü日本", "x%"] {
            let levels = 1000 / (name.len() + 1);
            let path = DataPath::parse(&format!("/{}", format!("{name}/").repeat(levels))).unwrap();
            let above = folders_above(&path);
            assert_eq!(above.len(), levels - 1);
            // Whatever is found or not found, the border is found with few calls.
            for there in [0, 1, levels / 3, levels - 2, levels - 1] {
                let (mut own, mut absent, mut calls) = (0, above.len(), 0);
                while own < absent {
                    let asked = some_of(own, &above[own..absent]);
                    let bytes: usize = asked.iter().map(|n| encoded(above[*n].as_str())).sum();
                    assert!(bytes <= MOST_ASKED && !asked.is_empty(), "{bytes} bytes");
                    own = asked.iter().filter(|n| **n < there).max().map_or(own, |found| found + 1);
                    absent = asked.into_iter().filter(|n| *n >= own).min().unwrap_or(absent);
                    calls += 1;
                }
                assert_eq!((own, absent), (there, there));
                assert!(calls <= 8, "{calls} calls for {there} of {name}");
            }
        }
    }
}
