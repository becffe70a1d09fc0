//! The renaming map of a copy: which file each entry means, found before anything is copied.
//!
//! A renamed file is brought under its new name from the start: streamed from its source, or copied
//! inside S3 from where a job has put it aside ([`crate::kinds::folders::staging`]).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    find::Found,
    places::{Projects, ResolvedSource},
};
use crate::{
    domain::{
        file::{Data, DataKind, ETag},
        ids::{DataId, ProjectId},
        location::DataPath,
        outcome::{Culprit, ErrorName, Failure},
        renaming::{RenameEntry, RenameSource, Renames, SourceRef, resolve},
        request::{FolderRequest, NamedFile, NamedObject, Want},
    },
    engine::kind::PlanError,
    ports::{
        Class,
        objects::ObjectLocation,
        platform::{DataPlatform, Folder},
    },
};

/// A file of a project that gets another name.
#[derive(Debug)]
pub(crate) struct Renamed {
    /// Which child wants it.
    pub child: usize,
    pub project: ProjectId,
    pub id: DataId,
    pub path: DataPath,
    pub size: u64,
    pub etag: Option<ETag>,
    /// The name it gets.
    pub name: String,
}

/// A file that may be renamed.
struct Candidate {
    child: usize,
    source: SourceRef,
    /// What it is in which project; none for an object outside.
    file: Option<(ProjectId, NamedFile)>,
}

/// Resolves the map and notes in each child what its files are called there. Returns the renamed files
/// of projects.
pub(crate) async fn apply(
    projects: &mut Projects<'_>,
    entries: &[RenameEntry],
    found: &[Found],
    children: &mut [FolderRequest],
) -> Result<Vec<Renamed>, PlanError> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let (entries, mut levels) = canonical(projects, entries).await?;
    levels.extend(levels_of_ids(projects.platform, &entries, found).await?);
    let mut candidates = Vec::new();
    for (n, child) in children.iter().enumerate() {
        for want in &child.wants {
            match want {
                Want::Files { project, files } => {
                    candidates.extend(files.iter().map(|file| inside(n, project, file.clone(), &child.path)));
                }
                Want::Objects { bucket, objects } => {
                    candidates.extend(objects.iter().map(|object| outside(n, bucket, object, &child.path)));
                }
                Want::Level { project, id, path } if levels.contains(&(project.clone(), path.clone())) => {
                    let folder = id.clone().map_or_else(|| Folder::Path(path.clone()), Folder::Id);
                    for data in files_in(projects.platform, project, &folder).await? {
                        let Data { id, path, size, etag, .. } = data;
                        let file = NamedFile { id, path, size, etag };
                        candidates.push(inside(n, project, file, &child.path));
                    }
                }
                Want::Level { .. } | Want::Tree { .. } => {}
            }
        }
    }
    let sources: Vec<_> = candidates.iter().map(|candidate| candidate.source.clone()).collect();
    let renames = resolve(&entries, &sources)?;
    beside_folders(&candidates, &renames, children)?;
    for child in children {
        let here: BTreeSet<&DataId> = candidates
            .iter()
            .filter(|candidate| candidate.source.destination_folder == child.path)
            .map(|candidate| &candidate.source.data_id)
            .collect();
        child.renames = renames.only(|id| here.contains(id));
    }
    Ok(candidates.into_iter().filter_map(|candidate| renamed(candidate, &renames)).collect())
}

/// Refuses files that would have the name of a folder that goes to the same place.
fn beside_folders(
    candidates: &[Candidate],
    renames: &Renames,
    children: &[FolderRequest],
) -> Result<(), Failure> {
    let folders: BTreeSet<&str> = children.iter().map(|child| child.path.as_str()).collect();
    let in_the_way = candidates.iter().filter_map(|Candidate { source, .. }| {
        let name = renames.name_of(&source.data_id).unwrap_or(&source.name);
        let folder = source.destination_folder.folder(name);
        let first = folders.range(folder.as_str()..).next()?;
        let to = &source.destination_folder;
        let why = format!("would be `{name}` in {to}, where a folder of that name goes");
        first.starts_with(folder.as_str()).then(|| Culprit { what: source.uri.clone(), why })
    });
    let message = "a file would have the name of a folder at the destination";
    let failure = Failure::new(ErrorName::InvalidRequest, message).naming(in_the_way);
    if failure.culprits_total == 0 { Ok(()) } else { Err(failure) }
}

fn renamed(candidate: Candidate, renames: &Renames) -> Option<Renamed> {
    let Candidate { child, source, file } = candidate;
    let name = renames.name_of(&source.data_id)?.to_owned();
    let (project, NamedFile { id, path, size, etag }) = file?;
    Some(Renamed { child, project, id, path, size, etag, name })
}

/// The entries with their URIs by project id, and the folders that these lie in.
pub(crate) async fn canonical(
    projects: &mut Projects<'_>,
    entries: &[RenameEntry],
) -> Result<(Vec<RenameEntry>, BTreeSet<(ProjectId, DataPath)>), PlanError> {
    let mut canonical = Vec::with_capacity(entries.len());
    let mut folders = BTreeSet::new();
    for entry in entries {
        let mut entry = entry.clone();
        if let RenameSource::Uri(uri) = &entry.source {
            let what = "an entry of the renaming map";
            entry.source = match projects.place(uri, what, ErrorName::InvalidRequest).await? {
                ResolvedSource::Inside(project, path) => {
                    folders.insert((project.id.clone(), path.parent()));
                    RenameSource::Uri(shown(&project.id, &path))
                }
                ResolvedSource::ExternalSource(at) => RenameSource::Uri(at.to_string()),
            };
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
) -> Result<BTreeSet<(ProjectId, DataPath)>, PlanError> {
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

pub(crate) async fn files_in(
    platform: &dyn DataPlatform,
    project: &ProjectId,
    folder: &Folder,
) -> Result<Vec<Data>, PlanError> {
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

fn inside(child: usize, project: &ProjectId, file: NamedFile, to: &DataPath) -> Candidate {
    let source = SourceRef {
        uri: shown(project, &file.path),
        data_id: file.id.clone(),
        destination_folder: to.clone(),
        name: file.path.name().to_owned(),
    };
    Candidate { child, source, file: Some((project.clone(), file)) }
}

fn outside(child: usize, bucket: &str, object: &NamedObject, to: &DataPath) -> Candidate {
    let uri = ObjectLocation::new(bucket, object.key.as_str()).to_string();
    let source = SourceRef {
        data_id: DataId::new(uri.as_str()),
        uri,
        destination_folder: to.clone(),
        name: object.name().to_owned(),
    };
    Candidate { child, source, file: None }
}

fn shown(project: &ProjectId, path: &DataPath) -> String {
    format!("icav2://{project}{path}")
}
