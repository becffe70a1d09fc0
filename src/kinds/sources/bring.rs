//! The children that bring the sources that were found into a folder.

use std::collections::BTreeMap;

use super::{
    external::{self, ExternalSource},
    find::Found,
    pieces::cut,
    planner::Planner,
    trees::{self, Trees},
};
use crate::{
    domain::{
        file::DataKind,
        ids::ProjectId,
        location::DataPath,
        request::{FolderRequest, NamedFile, Want},
    },
    engine::kind::PlanError,
    ports::platform::Project,
};

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
