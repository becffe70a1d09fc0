//! Manifests, which say where each source goes.
//!
//! Every piece of it, a destination with as many sources as one job takes, becomes one child; a source
//! that is a folder adds one child for each folder below it. A source is looked up once, however many
//! destinations it has. Everything that can be refused is refused here, before anything is copied,
//! and then the whole manifest is: a delivery is never half of the one that two sources of one name would
//! make.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::{
    domain::{
        batch::BatchRequest,
        file::DataKind,
        ids::ProjectId,
        location::DataPath,
        outcome::{Culprit, ErrorName, Failure, culprit},
        request::FolderRequest,
    },
    engine::{concurrent::join_unordered, kind::PlanError},
    kinds::sources::{
        bring::bring,
        checks,
        external::{self, ExternalSource},
        find::{Found, find_sources},
        landings, limits,
        obstacles::{self, Top},
        places::Projects,
        planner::Planner,
        trees, whole,
    },
    ports::platform::Project,
};

/// Destinations looked at at a time.
const WIDTH: usize = 8;

/// A source of the manifest, as it was found.
enum Thing {
    Inside(Found),
    ExternalSource(ExternalSource),
}

impl Thing {
    /// The name that it gets at a destination.
    fn name(&self) -> &str {
        match self {
            Self::Inside(found) => found.data.name(),
            Self::ExternalSource(outside) => &outside.name,
        }
    }

    /// Its identity, however it was named.
    fn identity(&self) -> (&str, &str) {
        match self {
            Self::Inside(found) => ("", found.data.id.as_str()),
            Self::ExternalSource(outside) => (&outside.bucket, &outside.key),
        }
    }
}

/// The children that a manifest needs, each with the piece that it is for. `event_source` is the source of
/// the event that asked, if one did, and `most` how many sources a piece has.
pub(crate) async fn plan(
    with: Planner<'_>,
    event_source: Option<&str>,
    request: &BatchRequest,
    most: usize,
) -> Result<Vec<FolderRequest>, PlanError> {
    event_source.map_or(Ok(()), |source| with.rules.check_event_source(source))?;
    let mut projects = Projects::new(with.platform, with.rules);
    let mut targets = Vec::with_capacity(request.destinations.len());
    for destination in &request.destinations {
        targets.push(projects.destination(&destination.uri).await?);
    }
    let (found, outside) = find_sources(&mut projects, with.objects, with.settings, &request.sources).await?;
    checks::ready(&found, &outside)?;
    external::check_roots(with.platform, &outside).await?;
    let folders = found.iter().filter(|found| found.data.kind == DataKind::Folder);
    let trees = trees::trees_of(with.platform, with.settings, folders).await?;
    let things = in_order(request, found, outside);
    check_names(request, &targets, &things)?;
    check_places(&targets, &things)?;
    look_at(with, request, &targets, &things).await?;

    let on_conflict = request.on_conflict.unwrap_or(with.settings.on_conflict);
    let mut children = Vec::new();
    for (n, piece) in request.pieces(most).enumerate() {
        let Some((target, path)) = targets.get(piece.destination) else { continue };
        let (found, outside) = apart(&things, piece.sources);
        checks::same_project(with.same_project, &found, target)?;
        checks::places(&found, &BTreeSet::new(), target, path)?;
        let mut own = bring(with, &found, outside, target, path, &trees).await?;
        whole::send(&found, target, path, &mut own, with.now);
        if own.is_empty() {
            own.push(FolderRequest::at(target.id.clone(), path.clone()));
        }
        for child in &mut own {
            child.piece = Some(n);
            child.on_conflict = on_conflict;
        }
        children.append(&mut own);
        limits::check_folders(with.settings.max_folders, children.len(), None)?;
    }
    check_count(with, request, &things, &children).await?;
    landings::check(with.platform, &children).await?;
    Ok(children)
}

/// The sources as they were found, in their order.
fn in_order(request: &BatchRequest, found: Vec<Found>, outside: Vec<ExternalSource>) -> Vec<Thing> {
    let inside = found.into_iter().map(|found| (found.uri.clone(), Thing::Inside(found)));
    let outside = outside.into_iter().map(|outside| (outside.uri.clone(), Thing::ExternalSource(outside)));
    let mut things: HashMap<String, Thing> = inside.chain(outside).collect();
    request.sources.iter().filter_map(|uri| things.remove(uri)).collect()
}

/// Those of the sources; one that was named in two ways comes once.
fn apart(things: &[Thing], sources: &[usize]) -> (Vec<Found>, Vec<ExternalSource>) {
    let (mut inside, mut outside): (Vec<Found>, Vec<ExternalSource>) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for thing in sources.iter().filter_map(|source| things.get(*source)) {
        if !seen.insert(thing.identity()) {
            continue;
        }
        match thing {
            Thing::Inside(found) => inside.push(found.clone()),
            Thing::ExternalSource(source) => outside.push(source.clone()),
        }
    }
    (inside, outside)
}

/// Two different sources of one name for one folder, however the manifest names it.
fn check_names(
    request: &BatchRequest,
    targets: &[(Project, DataPath)],
    things: &[Thing],
) -> Result<(), Failure> {
    let mut folders: BTreeMap<(&ProjectId, &DataPath), Vec<usize>> = BTreeMap::new();
    for ((project, path), destination) in targets.iter().zip(&request.destinations) {
        folders.entry((&project.id, path)).or_default().extend(&destination.sources);
    }
    let mut culprits = Vec::new();
    for ((_, path), sources) in folders {
        let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for source in sources {
            if let Some(thing) = things.get(source) {
                names.entry(thing.name()).or_default().push(source);
            }
        }
        for (name, mut sources) in names {
            sources.sort_unstable();
            sources.dedup();
            let first = sources.first().and_then(|source| things.get(*source)).map(Thing::identity);
            if sources.iter().all(|source| things.get(*source).map(Thing::identity) == first) {
                continue;
            }
            culprits.extend(sources.into_iter().map(|source| Culprit {
                what: request.source_at(source).to_owned(),
                why: format!("would be `{name}` in {path}, and so would another source"),
            }));
        }
    }
    if culprits.is_empty() {
        return Ok(());
    }
    let message = "two sources have the same name in one destination; nothing of the manifest is copied";
    Err(Failure::new(ErrorName::InvalidRequest, message).naming(culprits))
}

/// A destination inside a source, also inside one that goes elsewhere: files that are brought there could
/// become part of the source.
fn check_places(targets: &[(Project, DataPath)], things: &[Thing]) -> Result<(), Failure> {
    for thing in things {
        let Thing::Inside(found) = thing else { continue };
        let holds = |(project, path): &&(Project, DataPath)| {
            project.id == found.project && path.inside(&found.data.path).is_some()
        };
        if found.data.kind == DataKind::Folder
            && let Some((_, path)) = targets.iter().find(holds)
        {
            let message = "a destination lies inside a source";
            let why = format!("holds the destination {path}");
            return Err(culprit(ErrorName::RecursionLimit, message, &found.uri, &why));
        }
    }
    Ok(())
}

/// Looks at every destination once, however the manifest names it.
async fn look_at(
    with: Planner<'_>,
    request: &BatchRequest,
    targets: &[(Project, DataPath)],
    things: &[Thing],
) -> Result<(), PlanError> {
    let mut folders: BTreeMap<(&ProjectId, &DataPath), (&Project, Vec<Top<'_>>)> = BTreeMap::new();
    for ((project, path), destination) in targets.iter().zip(&request.destinations) {
        let (_, tops) = folders.entry((&project.id, path)).or_insert_with(|| (project, Vec::new()));
        let sources = destination.sources.iter().filter_map(|source| things.get(*source));
        tops.extend(sources.map(|thing| match thing {
            Thing::Inside(found) => Top::from(found),
            Thing::ExternalSource(outside) => Top::from(outside),
        }));
    }
    let looks = folders.into_iter().map(|((_, path), (project, tops))| async move {
        obstacles::check(with.platform, project, path, &tops).await
    });
    join_unordered(WIDTH, looks).await.into_iter().collect()
}

/// Whether it is too many files, each counted as often as it is copied.
async fn check_count(
    with: Planner<'_>,
    request: &BatchRequest,
    things: &[Thing],
    children: &[FolderRequest],
) -> Result<(), PlanError> {
    let mut times = vec![0_u64; things.len()];
    for source in request.destinations.iter().flat_map(|destination| &destination.sources) {
        if let Some(times) = times.get_mut(*source) {
            *times += 1;
        }
    }
    let mut inside = Vec::new();
    let mut objects = 0;
    for (thing, times) in things.iter().zip(times) {
        match thing {
            Thing::Inside(found) => inside.push((found, times)),
            Thing::ExternalSource(outside) => objects += outside.len() * times,
        }
    }
    limits::check_files(with.platform, with.settings.max_files, &inside, objects, children).await
}
