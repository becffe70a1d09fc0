//! Finding the files and folders that a request names in projects.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    checks,
    external::{self, ExternalSource},
    places::{Projects, ResolvedSource},
};
use crate::{
    domain::{
        file::Data,
        ids::ProjectId,
        location::DataPath,
        outcome::{Culprit, ErrorName, culprit},
    },
    engine::{kind::PlanError, settings::CopySettings},
    ports::{
        objects::ObjectStore,
        platform::{DataPlatform, Folder},
    },
};

/// From this many named files of one folder on, the folder is listed instead of asking for each.
const LIST_FROM: usize = 4;

/// A source that was found in a project.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) uri: String,
    pub(crate) project: ProjectId,
    pub(crate) data: Data,
}

/// Named paths of one folder of a project, each with its place among the sources.
type Wanted = BTreeMap<(ProjectId, DataPath), Vec<(usize, DataPath)>>;

/// Finds every source, in projects and outside, in the order of the request.
pub(crate) async fn find_sources(
    projects: &mut Projects<'_>,
    objects: &dyn ObjectStore,
    settings: &CopySettings,
    uris: &[String],
) -> Result<(Vec<Found>, Vec<ExternalSource>), PlanError> {
    let mut wanted = Wanted::new();
    let mut places = Vec::new();
    for (n, uri) in uris.iter().enumerate() {
        match projects.place(uri, "a source", ErrorName::SourceNotFound).await? {
            ResolvedSource::Inside(project, path) => {
                if path.is_root() {
                    let why = "name the folders in it instead";
                    let message = "the root of a project cannot be copied";
                    return Err(culprit(ErrorName::InvalidRequest, message, uri, why).into());
                }
                projects.check_source(&project.id, &project.name, uri)?;
                wanted.entry((project.id, path.parent())).or_default().push((n, path));
            }
            ResolvedSource::ExternalSource(at) => {
                external::check(projects.rules, &at, uri)?;
                places.push((n, uri, at));
            }
        }
    }
    let mut found: Vec<(usize, Found)> = Vec::with_capacity(uris.len());
    let mut missing = Vec::new();
    for ((project, parent), paths) in wanted {
        let data = look_up(projects.platform, &project, &parent, &paths).await?;
        for ((n, path), data) in paths.into_iter().zip(data) {
            let uri = uris.get(n).cloned().unwrap_or_default();
            match data {
                Some(data) => found.push((n, Found { uri, project: project.clone(), data })),
                None => missing.push((n, Culprit { what: uri, why: format!("there is no {path}") })),
            }
        }
    }
    let is_hidden = missing.len();
    let mut outside = Vec::new();
    for (n, uri, looked) in external::look(objects, settings, places).await {
        match looked? {
            Ok(source) => outside.push((n, source)),
            Err(why) => missing.push((n, Culprit { what: uri, why })),
        }
    }
    if !missing.is_empty() {
        missing.sort_by_key(|(n, _)| *n);
        let all_hidden = missing.len() == is_hidden;
        let failure = checks::missing(missing.into_iter().map(|(_, culprit)| culprit).collect(), uris.len());
        // S3 shows at once what there is.
        return Err(if all_hidden { PlanError::NotYet(failure) } else { failure.into() });
    }
    Ok((in_order(found), in_order(outside)))
}

fn in_order<T>(mut numbered: Vec<(usize, T)>) -> Vec<T> {
    numbered.sort_by_key(|(n, _)| *n);
    numbered.into_iter().map(|(_, thing)| thing).collect()
}

/// Finds several paths of one folder: one by one, or by listing it when there are many.
pub(super) async fn look_up(
    platform: &dyn DataPlatform,
    project: &ProjectId,
    parent: &DataPath,
    paths: &[(usize, DataPath)],
) -> Result<Vec<Option<Data>>, PlanError> {
    if paths.len() < LIST_FROM {
        let mut found = Vec::with_capacity(paths.len());
        for (_, path) in paths {
            found.push(platform.find(project, path).await?);
        }
        return Ok(found);
    }
    let mut left: BTreeSet<&DataPath> = paths.iter().map(|(_, path)| path).collect();
    let mut seen: BTreeMap<DataPath, Data> = BTreeMap::new();
    let mut from = None;
    while !left.is_empty() {
        let page = platform.children(project, &Folder::Path(parent.clone()), from.as_deref()).await?;
        for data in page.items {
            if left.remove(&data.path) {
                seen.insert(data.path.clone(), data);
            }
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    Ok(paths.iter().map(|(_, path)| seen.get(path).cloned()).collect())
}
