//! The `copy` kind: named files and folders into one destination folder (DESIGN §6.1, 6.2, 6.7).
//!
//! A file lands as `destination/{name}`, a folder as `destination/{folder name}/…`. Everything that
//! can be refused is refused here, before anything is copied.

use std::collections::{BTreeMap, BTreeSet};

use super::{Refused, limits, renames};
use crate::{
    domain::{
        file::{Data, DataKind, DataStatus},
        ids::ProjectId,
        location::{DataPath, Location},
        outcome::{Culprit, ErrorName, Failure},
        policy::{Place, Rules},
        renaming::Renames,
        request::{CopyRequest, FolderRequest, NamedFile, OnConflict, Want},
    },
    engine::settings::CopySettings,
    ports::{
        Class,
        platform::{DataPlatform, Folder, Project},
    },
};

/// Named files in one child; more are cut into several children of the same folder.
const FILES_PER_CHILD: usize = 1000;

/// From this many named files of one folder on, the folder is listed instead of asking for each.
const LIST_FROM: usize = 4;

/// A source that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) uri: String,
    pub(super) project: ProjectId,
    pub(super) data: Data,
}

/// What children a copy needs. `event_source` is who asked.
pub(crate) async fn plan(
    platform: &dyn DataPlatform,
    settings: &CopySettings,
    rules: &Rules,
    event_source: &str,
    request: &CopyRequest,
) -> Result<Vec<FolderRequest>, Refused> {
    rules.check_event_source(event_source)?;
    refuse_what_comes_later(request)?;
    let mut projects = Projects { platform, rules, known: BTreeMap::new() };
    let (target, path) = destination(&mut projects, &request.destination).await?;
    let found = find_sources(&mut projects, &request.sources).await?;
    check_names(&found, !request.renaming.is_empty())?;
    check_places(&found, &target, &path)?;
    check_ready(&found)?;
    let mut children = files_of(&found, &target, &path);
    for folder in found.iter().filter(|found| found.data.kind == DataKind::Folder) {
        children.extend(levels(platform, settings, folder, &target, &path).await?);
    }
    limits::check_files(platform, settings.max_files, &found, &children).await?;
    renames::apply(&mut projects, &request.renaming, &found, &mut children).await?;
    let on_conflict = request.on_conflict.unwrap_or(settings.on_conflict);
    if children.is_empty() {
        let renames = Renames::default();
        children.push(FolderRequest { project: target.id, path, wants: Vec::new(), on_conflict, renames });
    }
    for child in &mut children {
        child.on_conflict = on_conflict;
    }
    Ok(children)
}

/// Projects by the names that this request uses.
pub(super) struct Projects<'a> {
    pub(super) platform: &'a dyn DataPlatform,
    rules: &'a Rules,
    known: BTreeMap<String, Project>,
}

impl Projects<'_> {
    /// Where a URI leads, whether it is named `icav2://` or by the bucket that a project has for its
    /// own.
    pub(super) async fn place(
        &mut self,
        uri: &str,
        what: &str,
        missing: ErrorName,
    ) -> Result<(Project, DataPath), Refused> {
        let no_place = |why: &str| invalid(&format!("{what} is no URI of data"), uri, why);
        match Location::parse(uri) {
            Ok(Location::Icav2 { project, path }) => Ok((self.of(uri, &project, missing).await?, path)),
            Ok(Location::S3 { bucket, key }) => match self.platform.locate(&bucket, &key).await {
                Ok(Some(place)) => Ok(place),
                Ok(None) => Err(not_yet(uri).into()),
                Err(error) if error.class == Class::Invalid => Err(no_place(&error.to_string()).into()),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(no_place(&error.to_string()).into()),
        }
    }

    async fn of(&mut self, uri: &str, name: &str, error: ErrorName) -> Result<Project, Refused> {
        if let Some(project) = self.known.get(name) {
            return Ok(project.clone());
        }
        match self.platform.project(name).await {
            Ok(project) => {
                self.known.insert(name.to_owned(), project.clone());
                Ok(project)
            }
            Err(refused) if matches!(refused.class, Class::NotFound | Class::Forbidden) => {
                let message = format!("no ICAv2 project `{name}` is visible to this service");
                Err(culprit(error, message, uri, &refused.to_string()).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn destination(projects: &mut Projects<'_>, uri: &str) -> Result<(Project, DataPath), Refused> {
    let (project, path) = projects.place(uri, "the destination", ErrorName::InvalidRequest).await?;
    if !path.is_folder() {
        return Err(invalid("the destination must be a folder", uri, "it does not end with `/`").into());
    }
    if path.is_root() {
        let why = "a copy needs a folder; the root of a project has no id";
        return Err(invalid("the destination is the root of a project", uri, why).into());
    }
    projects.rules.check_destination(Place::Project { id: &project.id, name: &project.name }, uri)?;
    Ok((project, path))
}

async fn find_sources(projects: &mut Projects<'_>, uris: &[String]) -> Result<Vec<Found>, Refused> {
    let mut wanted: BTreeMap<(ProjectId, DataPath), Vec<(usize, DataPath)>> = BTreeMap::new();
    for (n, uri) in uris.iter().enumerate() {
        let (project, path) = projects.place(uri, "a source", ErrorName::SourceNotFound).await?;
        if path.is_root() {
            let why = "name the folders in it instead";
            return Err(invalid("the root of a project cannot be copied", uri, why).into());
        }
        projects.rules.check_source(Place::Project { id: &project.id, name: &project.name }, uri)?;
        wanted.entry((project.id, path.parent())).or_default().push((n, path));
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
    if !missing.is_empty() {
        missing.sort_by_key(|(n, _)| *n);
        let message = format!("{} of {} sources are not there", missing.len(), uris.len());
        let culprits = missing.into_iter().map(|(_, culprit)| culprit);
        return Err(Failure::new(ErrorName::SourceNotFound, message).naming(culprits).into());
    }
    found.sort_by_key(|(n, _)| *n);
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

/// Finds several paths of one folder: one by one, or by listing it when there are many.
async fn look_up(
    platform: &dyn DataPlatform,
    project: &ProjectId,
    parent: &DataPath,
    paths: &[(usize, DataPath)],
) -> Result<Vec<Option<Data>>, Refused> {
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

/// Two sources of one name; files that may get other names are judged with those.
fn check_names(found: &[Found], files_may_differ: bool) -> Result<(), Failure> {
    let mut names: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    let judged = |source: &&Found| !(files_may_differ && source.data.kind == DataKind::File);
    for source in found.iter().filter(judged) {
        names.entry(source.data.name()).or_default().push(source);
    }
    let twice: Vec<_> = names.into_iter().filter(|(_, sources)| sources.len() > 1).collect();
    if twice.is_empty() {
        return Ok(());
    }
    let culprits = twice.iter().flat_map(|(name, sources)| {
        sources.iter().map(move |source| Culprit {
            what: source.uri.clone(),
            why: format!("would be `{name}` at the destination, and so would another source"),
        })
    });
    Err(Failure::new(ErrorName::InvalidRequest, "two sources have the same name").naming(culprits))
}

fn check_places(found: &[Found], target: &Project, path: &DataPath) -> Result<(), Failure> {
    for source in found.iter().filter(|source| source.project == target.id) {
        if source.data.kind == DataKind::Folder && path.inside(&source.data.path).is_some() {
            let message = "the destination lies inside a source";
            let why = format!("holds the destination {path}");
            return Err(culprit(ErrorName::RecursionLimit, message, &source.uri, &why));
        }
        if source.data.path.parent() == *path {
            let why = "is in the destination folder already";
            return Err(invalid("a source would be copied onto itself", &source.uri, why));
        }
    }
    Ok(())
}

fn check_ready(found: &[Found]) -> Result<(), Failure> {
    let not_ready =
        |source: &&Found| source.data.kind == DataKind::File && source.data.status != DataStatus::Available;
    let culprits: Vec<_> = found
        .iter()
        .filter(not_ready)
        .map(|source| Culprit { what: source.uri.clone(), why: status_words(source.data.status).into() })
        .collect();
    if culprits.is_empty() {
        return Ok(());
    }
    let message = format!("{} of {} sources cannot be read now", culprits.len(), found.len());
    Err(Failure::new(ErrorName::SourceNotReady, message).naming(culprits))
}

/// Why a file of that status cannot be copied.
pub(crate) fn status_words(status: DataStatus) -> &'static str {
    match status {
        DataStatus::Partial => "its bytes are not (all) in: it is PARTIAL",
        DataStatus::Archived | DataStatus::Archiving => "it is archived",
        DataStatus::Unarchiving => "it is on its way back from the archive",
        DataStatus::Deleting => "it is being deleted",
        DataStatus::Available => "it is available",
    }
}

/// The children that bring the files named one by one.
fn files_of(found: &[Found], target: &Project, path: &DataPath) -> Vec<FolderRequest> {
    let files: Vec<_> = found.iter().filter(|found| found.data.kind == DataKind::File).collect();
    files
        .chunks(FILES_PER_CHILD)
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
            let wants =
                by_project.into_iter().map(|(project, files)| Want::Files { project, files }).collect();
            FolderRequest {
                project: target.id.clone(),
                path: path.clone(),
                wants,
                on_conflict: OnConflict::Fail,
                renames: Renames::default(),
            }
        })
        .collect()
}

/// The children that bring one folder: one per folder of its tree.
async fn levels(
    platform: &dyn DataPlatform,
    settings: &CopySettings,
    source: &Found,
    target: &Project,
    destination: &DataPath,
) -> Result<Vec<FolderRequest>, Refused> {
    let top = &source.data;
    let base = destination.folder(top.name());
    let mut children = Vec::new();
    for folder in tree_of(platform, settings, source).await? {
        let Some(inside) = folder.path.inside(&top.path) else {
            let message = "a folder below the source is shown at another place";
            let shown = folder.path.to_string();
            return Err(culprit(ErrorName::Internal, message, &source.uri, &shown).into());
        };
        let depth = inside.matches('/').count();
        if depth > settings.max_depth as usize {
            let message = format!("a source folder is deeper than copy.max_depth = {}", settings.max_depth);
            let deep = folder.path.to_string();
            return Err(culprit(ErrorName::RecursionLimit, message, &source.uri, &deep).into());
        }
        let path = DataPath::parse(&format!("{base}{inside}")).map_err(|error| {
            invalid("a folder would get a name that cannot be", &source.uri, &error.to_string())
        })?;
        let want = Want::Level { project: source.project.clone(), id: Some(folder.id), path: folder.path };
        children.push(FolderRequest {
            project: target.id.clone(),
            path,
            wants: vec![want],
            on_conflict: OnConflict::Fail,
            renames: Renames::default(),
        });
    }
    Ok(children)
}

/// A source folder with every folder below it.
///
/// One recursive listing shows them, but does not enter folders that are linked from another
/// project: those are walked level by level.
async fn tree_of(
    platform: &dyn DataPlatform,
    settings: &CopySettings,
    source: &Found,
) -> Result<Vec<Data>, Refused> {
    let linked = |folder: &Data| folder.owner != source.project;
    let mut known = BTreeMap::from([(source.data.id.clone(), source.data.clone())]);
    if !linked(&source.data) {
        let mut from = None;
        loop {
            let page = platform.folders_below(&source.project, &source.data.path, from.as_deref()).await?;
            known.extend(page.items.into_iter().map(|folder| (folder.id.clone(), folder)));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    let mut unseen: Vec<Data> = known.values().filter(|folder| linked(folder)).cloned().collect();
    while let Some(folder) = unseen.pop() {
        // Deeper than allowed is refused by the caller; here it only must not go on for ever.
        if folder.path.as_str().matches('/').count() > settings.max_depth as usize + 1024 {
            continue;
        }
        let mut from = None;
        loop {
            let page =
                platform.children(&source.project, &Folder::Id(folder.id.clone()), from.as_deref()).await?;
            for child in page.items.into_iter().filter(|child| child.kind == DataKind::Folder) {
                if known.insert(child.id.clone(), child.clone()).is_none() {
                    unseen.push(child);
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    let mut folders: Vec<_> = known.into_values().collect();
    folders.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(folders)
}

pub(super) fn culprit(error: ErrorName, message: impl Into<String>, what: &str, why: &str) -> Failure {
    Failure::new(error, message).naming([Culprit { what: what.to_owned(), why: why.to_owned() }])
}

fn invalid(message: &str, what: &str, why: &str) -> Failure {
    culprit(ErrorName::InvalidRequest, message, what, why)
}

/// What can be asked for and not be done yet is refused, not ignored.
fn refuse_what_comes_later(request: &CopyRequest) -> Result<(), Failure> {
    if let Some(uri) = request.external.first() {
        return Err(not_yet(uri));
    }
    Ok(())
}

fn not_yet(uri: &str) -> Failure {
    let why = "it is in no ICAv2 project that this service sees";
    invalid("data outside ICAv2 are not copied by this version", uri, why)
}
