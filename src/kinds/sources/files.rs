//! Files of projects that are named one by one, looked at as they are now.

use std::collections::BTreeMap;

use super::{
    find::{Found, look_up},
    places::{Projects, ResolvedSource},
};
use crate::{
    domain::{
        ids::ProjectId,
        location::DataPath,
        outcome::{ErrorName, culprit},
    },
    engine::{concurrent::join_unordered, kind::PlanError},
    ports::platform::Project,
};

/// Folders looked into at a time.
const WIDTH: usize = 8;

/// Named paths of one folder of a project, each with its place among the files.
type Wanted = BTreeMap<(ProjectId, DataPath), Vec<(usize, DataPath)>>;

/// The project of a file, and its path there.
///
/// # Errors
///
/// `Failed` where the URI is none of a file of a project, or that cannot be seen or must not be copied from.
pub(crate) async fn check(projects: &mut Projects<'_>, uri: &str) -> Result<(Project, DataPath), PlanError> {
    let ResolvedSource::Inside(project, path) =
        projects.place(uri, "a file", ErrorName::SourceNotFound).await?
    else {
        let why = "it is in no ICAv2 project that this service sees";
        return Err(culprit(ErrorName::SourceNotFound, why, uri, why).into());
    };
    projects.check_source(&project.id, &project.name, uri)?;
    Ok((project, path))
}

/// What is at some URIs of projects, by their places; `None` where nothing is, or it is not for us.
///
/// # Errors
///
/// As those of [`check`].
pub(crate) async fn look(
    projects: &mut Projects<'_>,
    uris: impl Iterator<Item = (usize, &str)>,
) -> Result<BTreeMap<usize, Option<Found>>, PlanError> {
    let (mut wanted, mut named) = (Wanted::new(), BTreeMap::new());
    for (n, uri) in uris {
        let (project, path) = check(projects, uri).await?;
        named.insert(n, uri);
        wanted.entry((project.id, path.parent())).or_default().push((n, path));
    }
    let platform = projects.platform;
    let looks = wanted.into_iter().map(|((project, parent), paths)| async move {
        match look_up(platform, &project, &parent, &paths).await {
            Err(PlanError::Port(error)) if !error.is_passing() => {
                let nothing = vec![None; paths.len()];
                Ok((project, paths, nothing))
            }
            looked => looked.map(|data| (project, paths, data)),
        }
    });
    let mut found = BTreeMap::new();
    for looked in join_unordered(WIDTH, looks).await {
        let (project, paths, data) = looked?;
        for ((n, _), data) in paths.into_iter().zip(data) {
            let uri = named.get(&n).copied().unwrap_or_default().to_owned();
            let project = project.clone();
            found.insert(n, data.map(|data| Found { uri, project, data }));
        }
    }
    Ok(found)
}
