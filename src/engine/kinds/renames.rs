//! The renaming map of a copy: which file each entry means, found before anything is copied.
//!
//! A renamed file is always streamed, under its new name, straight from its source: a job can only
//! keep names, and what it brought would have to go through us anyway to get another one.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Refused,
    copy::{Found, Projects, culprit},
};
use crate::{
    domain::{
        file::{Data, DataKind},
        ids::{DataId, ProjectId},
        location::DataPath,
        outcome::ErrorName,
        renaming::{RenameEntry, RenameSource, SourceRef, resolve},
        request::{FolderRequest, Want},
    },
    engine::folder::MOST_STREAMED,
    ports::{
        Class,
        platform::{DataPlatform, Folder},
    },
};

/// A file that may be renamed, with what decides whether it can be.
struct Candidate {
    source: SourceRef,
    size: u64,
}

/// Resolves the map and notes in each child what its files are called there.
pub(super) async fn apply(
    projects: &mut Projects<'_>,
    entries: &[RenameEntry],
    found: &[Found],
    children: &mut [FolderRequest],
) -> Result<(), Refused> {
    if entries.is_empty() {
        return Ok(());
    }
    let (entries, mut levels) = canonical(projects, entries).await?;
    levels.extend(levels_of_ids(projects.platform, &entries, found).await?);
    let mut candidates = Vec::new();
    for child in children.iter() {
        for want in &child.wants {
            match want {
                Want::Files { project, files } => {
                    let named = files
                        .iter()
                        .map(|file| candidate(project, &file.id, &file.path, file.size, &child.path));
                    candidates.extend(named);
                }
                Want::Level { project, id, path } if levels.contains(&(project.clone(), path.clone())) => {
                    let folder = id.clone().map_or_else(|| Folder::Path(path.clone()), Folder::Id);
                    for data in files_in(projects.platform, project, &folder).await? {
                        candidates.push(candidate(project, &data.id, &data.path, data.size, &child.path));
                    }
                }
                Want::Level { .. } => {}
            }
        }
    }
    let sources: Vec<_> = candidates.iter().map(|candidate| candidate.source.clone()).collect();
    let renames = resolve(&entries, &sources)?;
    for candidate in &candidates {
        if renames.name_of(&candidate.source.data_id).is_some() && candidate.size > MOST_STREAMED {
            let why =
                format!("has {} bytes; files over {MOST_STREAMED} bytes cannot be renamed", candidate.size);
            let message = "a file is too large to be renamed by this version";
            return Err(culprit(ErrorName::InvalidRequest, message, &candidate.source.uri, &why).into());
        }
    }
    for child in children {
        let here: BTreeSet<&DataId> = candidates
            .iter()
            .filter(|candidate| candidate.source.destination_folder == child.path)
            .map(|candidate| &candidate.source.data_id)
            .collect();
        child.renames = renames.only(|id| here.contains(id));
    }
    Ok(())
}

/// The entries with their URIs by project id, and the folders that these lie in.
async fn canonical(
    projects: &mut Projects<'_>,
    entries: &[RenameEntry],
) -> Result<(Vec<RenameEntry>, BTreeSet<(ProjectId, DataPath)>), Refused> {
    let mut canonical = Vec::with_capacity(entries.len());
    let mut folders = BTreeSet::new();
    for entry in entries {
        let mut entry = entry.clone();
        if let RenameSource::Uri(uri) = &entry.source {
            let what = "an entry of the renaming map";
            let (project, path) = projects.place(uri, what, ErrorName::InvalidRequest).await?;
            folders.insert((project.id.clone(), path.parent()));
            entry.source = RenameSource::Uri(shown(&project.id, &path));
        }
        canonical.push(entry);
    }
    Ok((canonical, folders))
}

/// The source folders that hold the files which the map names by id.
async fn levels_of_ids(
    platform: &dyn DataPlatform,
    entries: &[RenameEntry],
    found: &[Found],
) -> Result<BTreeSet<(ProjectId, DataPath)>, Refused> {
    let named: BTreeSet<&str> = found.iter().map(|found| found.data.id.as_str()).collect();
    let folders = found.iter().filter(|found| found.data.kind == DataKind::Folder);
    let projects: BTreeSet<&ProjectId> = folders.map(|found| &found.project).collect();
    let mut levels = BTreeSet::new();
    for entry in entries {
        let RenameSource::DataId(id) = &entry.source else { continue };
        if named.contains(id.as_str()) {
            continue;
        }
        for project in &projects {
            match platform.get(project, &DataId::new(id.as_str())).await {
                Ok(data) => {
                    levels.insert(((*project).clone(), data.path.parent()));
                }
                // Of no file that is copied; resolving the map will say so.
                Err(error) if matches!(error.class, Class::NotFound | Class::Invalid | Class::Forbidden) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(levels)
}

pub(super) async fn files_in(
    platform: &dyn DataPlatform,
    project: &ProjectId,
    folder: &Folder,
) -> Result<Vec<Data>, Refused> {
    let mut files = BTreeMap::new();
    let mut from = None;
    loop {
        let page = platform.children(project, folder, from.as_deref()).await?;
        let page_files = page.items.into_iter().filter(|data| data.kind == DataKind::File);
        files.extend(page_files.map(|data| (data.path.clone(), data)));
        from = page.next;
        if from.is_none() {
            return Ok(files.into_values().collect());
        }
    }
}

fn candidate(project: &ProjectId, id: &DataId, path: &DataPath, size: u64, to: &DataPath) -> Candidate {
    let source = SourceRef {
        uri: shown(project, path),
        data_id: id.clone(),
        destination_folder: to.clone(),
        name: path.name().to_owned(),
    };
    Candidate { source, size }
}

fn shown(project: &ProjectId, path: &DataPath) -> String {
    format!("icav2://{project}{path}")
}
