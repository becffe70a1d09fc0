//! The `copy` kind: named files and folders into one destination folder (DESIGN §6.1, 6.2, 6.7).
//!
//! A file lands as `destination/{name}`, a folder as `destination/{folder name}/…`. Everything that
//! can be refused is refused here, before anything is copied.

use std::collections::BTreeMap;

use super::{
    Refused, checks,
    external::{self, Outside},
    find::{Found, find_sources},
    landings, limits,
    obstacles::{self, Top},
    places::Projects,
    renames, staging,
    trees::{self, Trees},
    whole,
};
use crate::{
    domain::{
        file::{DataKind, DataStatus},
        ids::{ProjectId, RequestId},
        location::DataPath,
        outcome::{Culprit, ErrorName, Failure},
        policy::Rules,
        request::{CopyRequest, FolderRequest, NamedFile, Want},
    },
    engine::settings::{CopySettings, SameProject},
    ports::{
        objects::ObjectStore,
        platform::{DataPlatform, Project},
    },
};

/// Named files in one child; more are cut into several children of the same folder.
const FILES_PER_CHILD: usize = 1000;

/// What a plan is made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planner<'a> {
    pub platform: &'a dyn DataPlatform,
    pub objects: &'a dyn ObjectStore,
    pub settings: &'a CopySettings,
    /// What is done about copies inside one project.
    pub same_project: SameProject,
    pub rules: &'a Rules,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// What children a copy needs. `event_source` is who asked.
pub(crate) async fn plan(
    with: Planner<'_>,
    id: &RequestId,
    event_source: &str,
    request: &CopyRequest,
) -> Result<Vec<FolderRequest>, Refused> {
    with.rules.check_event_source(event_source)?;
    let mut projects = Projects::new(with.platform, with.rules);
    let (target, path) = projects.destination(&request.destination).await?;
    let uris: Vec<_> = request.sources.iter().chain(&request.external).cloned().collect();
    let (found, outside) = find_sources(&mut projects, with.objects, with.settings, &uris).await?;
    let (found, outside) = checks::once(found, outside);
    checks::names(&found, &outside, !request.renaming.is_empty())?;
    checks::ready(&found, &outside)?;
    checks::same_project(with.same_project, &found, &target)?;
    let folders = found.iter().filter(|found| found.data.kind == DataKind::Folder);
    let trees = trees::trees_of(with.platform, with.settings, folders).await?;
    external::check_roots(with.platform, &outside).await?;
    // One file alone is looked at soon enough: nothing is copied before it.
    if request.dry_run
        || found.len() + outside.len() > 1
        || !trees.is_empty()
        || outside.iter().any(|one| one.is_folder)
    {
        let tops: Vec<_> = found.iter().map(Top::from).chain(outside.iter().map(Top::from)).collect();
        let tops = if request.renaming.is_empty() { &tops[..] } else { &[] };
        obstacles::check(with.platform, &target, &path, tops).await?;
    }
    let objects = outside.iter().map(Outside::len).sum();
    let mut children = bring(with, &found, outside, &target, &path, &trees).await?;
    limits::check_folders(with.settings.max_folders, children.len(), None)?;
    let once: Vec<_> = found.iter().map(|found| (found, 1)).collect();
    limits::check_files(with.platform, with.settings.max_files, &once, objects, &children).await?;
    let renamed = renames::apply(&mut projects, &request.renaming, &found, &mut children).await?;
    let ids = renamed.iter().map(|file| file.id.clone()).collect();
    checks::places(&found, &ids, &target, &path)?;
    landings::check(with.platform, &children).await?;
    whole::send(&found, &target, &path, &mut children, with.now);
    if children.is_empty() {
        children.push(FolderRequest::at(target.id, path));
    }
    let on_conflict = request.on_conflict.unwrap_or(with.settings.on_conflict);
    for child in &mut children {
        child.on_conflict = on_conflict;
    }
    staging::put_aside(with.platform, id, renamed, &mut children).await?;
    Ok(children)
}

/// The children that bring what was found into a folder.
pub(super) async fn bring(
    with: Planner<'_>,
    found: &[Found],
    outside: Vec<Outside>,
    target: &Project,
    path: &DataPath,
    trees: &Trees,
) -> Result<Vec<FolderRequest>, Refused> {
    let mut children = files_of(found, target, path);
    for folder in found.iter().filter(|found| found.data.kind == DataKind::Folder) {
        let below = trees.get(&folder.uri).map_or(&[][..], Vec::as_slice);
        children.extend(trees::levels(with.platform, with.settings, folder, target, path, below).await?);
    }
    children.extend(external::children(outside, target, path)?);
    Ok(children)
}

/// Why a file of that status cannot be copied.
pub(crate) fn status_words(status: DataStatus) -> &'static str {
    match status {
        DataStatus::Partial => "its bytes are not (all) in: it is PARTIAL",
        DataStatus::Archived | DataStatus::Archiving => "it is archived",
        DataStatus::Unarchiving => "it is on its way back from the archive",
        DataStatus::Deleting => "it is being deleted",
        DataStatus::Available => "it is available",
        DataStatus::Unknown => "ICAv2 tells a status or a type of it that is not known here",
    }
}

/// The children that bring the files named one by one.
fn files_of(found: &[Found], target: &Project, path: &DataPath) -> Vec<FolderRequest> {
    let files: Vec<_> = found.iter().filter(|found| found.data.kind == DataKind::File).collect();
    cut(files)
        .into_iter()
        .map(|files| {
            let mut by_project: BTreeMap<ProjectId, Vec<NamedFile>> = BTreeMap::new();
            for file in files {
                by_project.entry(file.project.clone()).or_default().push(NamedFile {
                    id: file.data.id.clone(),
                    path: file.data.path.clone(),
                    size: file.data.size,
                    etag: file.data.etag.clone(),
                });
            }
            let wants = by_project.into_iter().map(|(project, files)| Want::Files { project, files });
            FolderRequest::at(target.id.clone(), path.clone()).wanting(wants.collect())
        })
        .collect()
}

/// Cuts what is named one by one into pieces for one child each.
pub(super) fn cut<T>(things: Vec<T>) -> Vec<Vec<T>> {
    let mut things = things.into_iter();
    let pieces = std::iter::from_fn(|| {
        let piece: Vec<T> = things.by_ref().take(FILES_PER_CHILD).collect();
        (!piece.is_empty()).then_some(piece)
    });
    pieces.collect()
}

pub(super) fn culprit(error: ErrorName, message: impl Into<String>, what: &str, why: &str) -> Failure {
    Failure::new(error, message).naming([Culprit { what: what.to_owned(), why: why.to_owned() }])
}
