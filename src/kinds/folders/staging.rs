//! Files that get another name and are worth a job all the same.
//!
//! A job keeps names, and a file that it brought can only get another one by going through us, except where
//! the destination project has a bucket of its own: there S3 copies it, without its bytes passing here. So
//! such files go first, in a step of their own, into a staging folder that belongs to this request alone, and
//! from there to their place. Staging only saves bytes: a file that is not in it when its turn comes is
//! streamed from its source.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{
        diff::{Surroundings, Verdict, Wanted, verdict},
        file::{DataKind, DataStatus, ETag, FileInfo},
        ids::{ProjectId, RequestId, digest},
        location::{DataPath, MAX_PATH_BYTES},
        request::{FolderRequest, NamedFile, OnConflict, Want},
        route::Route,
    },
    engine::kind::PlanError,
    kinds::sources::renames::Renamed,
    planes::folder::reserved::PREFIX,
    ports::{
        Class, Error,
        platform::{DataPlatform, Folder},
    },
    signals,
};

/// Bytes of the longest name of a room in one, with its slash.
const LONGEST_ROOM: usize = 11;

/// Adds children that put renamed files of jobs into staging, and lets those that want them wait.
pub(crate) async fn put_aside(
    platform: &dyn DataPlatform,
    request: &RequestId,
    renamed: Vec<Renamed>,
    children: &mut Vec<FolderRequest>,
) -> Result<(), PlanError> {
    let of_jobs = renamed.into_iter().filter(|file| file.etag.as_ref().is_some_and(ETag::is_multipart));
    let mut by_child: BTreeMap<usize, Vec<Renamed>> = BTreeMap::new();
    for file in of_jobs {
        by_child.entry(file.child).or_default().push(file);
    }
    let Some(project) = children.first().map(|child| child.project.clone()) else { return Ok(()) };
    if by_child.is_empty() {
        return Ok(());
    }
    let Some((_, prefix)) = platform.storage(&project).await? else { return Ok(()) };
    let mut aside = Vec::new();
    let mut names: BTreeMap<(DataPath, String), u32> = BTreeMap::new();
    for (n, files) in by_child {
        let Some(child) = children.get_mut(n) else { continue };
        if child.path.is_root() {
            // Without an id it gives no credentials to copy there inside S3: they are streamed.
            continue;
        }
        let there = listing(platform, &project, &child.path).await?;
        let top = top(request, &child.path);
        let mut rooms: BTreeMap<u32, BTreeMap<ProjectId, Vec<NamedFile>>> = BTreeMap::new();
        for file in files.into_iter().filter(|file| is_missing(file, &there, child.on_conflict)) {
            let name = file.path.name().to_owned();
            let way = prefix.len() + top.as_str().len() + LONGEST_ROOM + name.len();
            if way > MAX_PATH_BYTES {
                // There is no room for it on the way: it is streamed.
                continue;
            }
            // Files of one name need rooms of their own.
            let alike = names.entry((child.path.clone(), name.clone())).or_default();
            let room = *alike;
            *alike += 1;
            child.staged.insert(file.id.clone(), format!("{}/{room}/{name}", top.name()));
            let Renamed { project, id, path, size, etag, .. } = file;
            let files = rooms.entry(room).or_default().entry(project).or_default();
            files.push(NamedFile { id, path, size, etag });
        }
        if rooms.is_empty() {
            continue;
        }
        child.step = 1;
        for (room, files) in rooms {
            let wants = files.into_iter().map(|(project, files)| Want::Files { project, files });
            let path = top.folder(&room.to_string());
            let mut staging = FolderRequest::at(project.clone(), path).wanting(wants.collect());
            staging.staging = true;
            aside.push(staging);
        }
    }
    children.extend(aside);
    Ok(())
}

/// The staging folder of a request in a destination folder.
fn top(root: &RequestId, destination: &DataPath) -> DataPath {
    let own = digest(&["staging", root.as_str(), destination.as_str()]);
    destination.folder(&format!("{PREFIX}{}", own.get(..32).unwrap_or(&own)))
}

/// Deletes the staging folders of a request, and only these. The call may be repeated.
pub(crate) async fn clear(
    platform: &dyn DataPlatform,
    root: &RequestId,
    children: impl Iterator<Item = &FolderRequest>,
) -> Result<(), Error> {
    let own: BTreeSet<_> = children
        .filter(|child| child.staging)
        .map(|child| (child.project.clone(), child.path.parent()))
        .filter(|(_, path)| *path == top(root, &path.parent()))
        .collect();
    for (project, path) in own {
        match delete(platform, &project, &path).await {
            Err(error) if error.is_passing() => return Err(error),
            // It costs room, but it is in the way of no request.
            Err(error) if error.class != Class::NotFound => {
                signals::engine::staging_left(path.as_str(), &error);
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

async fn delete(platform: &dyn DataPlatform, project: &ProjectId, path: &DataPath) -> Result<(), Error> {
    match platform.find(project, path).await? {
        Some(folder) if !matches!(folder.status, DataStatus::Deleting | DataStatus::Unknown) => {
            platform.delete(project, &folder.id).await
        }
        Some(_) | None => Ok(()),
    }
}

/// The entries of a folder, by name; none where there is no folder.
async fn listing(
    platform: &dyn DataPlatform,
    project: &ProjectId,
    path: &DataPath,
) -> Result<BTreeMap<String, FileInfo>, PlanError> {
    let mut there = BTreeMap::new();
    let mut from = None;
    loop {
        let page = platform.children(project, &Folder::Path(path.clone()), from.as_deref()).await?;
        let files = page.items.into_iter().filter(|data| data.kind == DataKind::File);
        there.extend(files.map(|data| (data.name().to_owned(), data.into())));
        from = page.next;
        if from.is_none() {
            return Ok(there);
        }
    }
}

/// Whether a file is to be brought, as things stand; the folder decides it again.
fn is_missing(file: &Renamed, there: &BTreeMap<String, FileInfo>, on_conflict: OnConflict) -> bool {
    let wanted =
        Wanted { name: file.name.clone(), size: file.size, etag: file.etag.clone(), route: Route::Stream };
    let verdict = verdict(&wanted, there.get(&file.name), Surroundings::default(), on_conflict);
    matches!(verdict, Verdict::Missing | Verdict::Replace)
}
