//! The `copy` kind: named files and folders into one destination folder.
//!
//! A file lands as `destination/{name}`, a folder as `destination/{folder name}/…`. Everything that
//! can be refused is refused here, before anything is copied.

use crate::{
    domain::{
        file::DataKind,
        ids::RequestId,
        request::{CopyRequest, FolderRequest},
    },
    engine::kind::PlanError,
    kinds::{
        folders::staging,
        sources::{
            bring::bring,
            checks,
            external::{self, ExternalSource},
            find::find_sources,
            landings, limits,
            obstacles::{self, Top},
            places::Projects,
            planner::Planner,
            renames, trees, whole,
        },
    },
};

/// The children that a copy needs. `event_source` is the source that asked.
pub(crate) async fn plan(
    with: Planner<'_>,
    id: &RequestId,
    event_source: &str,
    request: &CopyRequest,
) -> Result<Vec<FolderRequest>, PlanError> {
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
    let objects = outside.iter().map(ExternalSource::len).sum();
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
