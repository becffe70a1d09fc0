//! The tools of plans of copies, and the children that bring the sources that were found into a folder.

use std::collections::BTreeMap;

use super::{
    external::{self, ExternalSource},
    find::Found,
    trees::{self, Trees},
};
use crate::{
    domain::{
        file::DataKind,
        ids::ProjectId,
        location::DataPath,
        policy::Rules,
        request::{FolderRequest, NamedFile, Want},
    },
    engine::{
        core::Core,
        kind::PlanError,
        records::millis,
        settings::{CopySettings, SameProject},
    },
    ports::{
        objects::ObjectStore,
        platform::{DataPlatform, Project},
    },
};

/// Named files in one child; more are cut into several children of the same folder.
const FILES_PER_CHILD: usize = 1000;

/// The tools of a plan.
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

impl<'a> Planner<'a> {
    /// A planner over these ports and settings, as of now.
    pub(crate) fn new(core: &'a Core) -> Self {
        Self {
            platform: core.ports.platform.as_ref(),
            objects: core.ports.objects.as_ref(),
            settings: &core.settings.copy,
            same_project: core.settings.jobs.same_project_copies,
            rules: &core.settings.policy,
            now: millis(core.ports.clock.now()),
        }
    }
}

/// The children that bring the sources that were found into a folder.
pub(crate) async fn bring(
    with: Planner<'_>,
    found: &[Found],
    outside: Vec<ExternalSource>,
    target: &Project,
    path: &DataPath,
    trees: &Trees,
) -> Result<Vec<FolderRequest>, PlanError> {
    let mut children = files_of(found, target, path);
    for folder in found.iter().filter(|found| found.data.kind == DataKind::Folder) {
        let below = trees.get(&folder.uri).map_or(&[][..], Vec::as_slice);
        children.extend(trees::levels(with.platform, with.settings, folder, target, path, below).await?);
    }
    children.extend(external::children(outside, target, path)?);
    Ok(children)
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

/// Cuts sources that are named one by one into pieces for one child each.
pub(crate) fn cut<T>(things: Vec<T>) -> Vec<Vec<T>> {
    let mut things = things.into_iter();
    let pieces = std::iter::from_fn(|| {
        let piece: Vec<T> = things.by_ref().take(FILES_PER_CHILD).collect();
        (!piece.is_empty()).then_some(piece)
    });
    pieces.collect()
}
