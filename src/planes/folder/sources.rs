//! The sources of a waiter, file by file. They are resolved once per waiter and instance, and kept while it
//! waits, because every look needs it and a listing costs a call per thousand files.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    FolderPlane,
    waiter::Waiter,
    wanted::{Origin, Resolved, Source},
};
use crate::{
    domain::{
        diff::Wanted,
        file::{Data, DataKind, DataStatus, status_words},
        ids::{DataId, ProjectId, RequestId},
        outcome::{Culprit, ErrorName},
        request::{NamedFile, NamedObject, Want},
        route::{Route, route},
        seen::Seen,
    },
    engine::records::millis,
    planes::folder::reserved,
    ports::{
        Class, Error,
        objects::{Access, ObjectLocation},
        platform::Folder,
        transfers::ObjectSource,
    },
};

/// How many files may be remembered on one instance, about 300 bytes each: one folder of the size we
/// promise to bring, and other files beside it.
const MOST_FILES: usize = 400_000;

/// As many files are read from the request again at each look.
const FEW: usize = 100;

/// The resolved sources, as long as they are in use.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    resolved: HashMap<RequestId, (u64, Arc<Resolved>)>,
    files: usize,
    /// Counts the questions for sources: the entry with the lowest count was not asked for the longest.
    asked: u64,
}

impl Known {
    fn forget(&mut self, id: &RequestId) {
        if let Some((_, resolved)) = self.resolved.remove(id) {
            self.files -= resolved.len() + 1;
        }
    }
}

impl Sources {
    fn get(&self, id: &RequestId) -> Option<Arc<Resolved>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.asked += 1;
        let now = known.asked;
        known.resolved.get_mut(id).map(|(asked, resolved)| {
            *asked = now;
            Arc::clone(resolved)
        })
    }

    fn put(&self, id: RequestId, resolved: Arc<Resolved>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.forget(&id);
        known.asked += 1;
        known.files += resolved.len() + 1;
        let entry = (known.asked, resolved);
        known.resolved.insert(id, entry);
        while known.files > MOST_FILES && known.resolved.len() > 1 {
            let oldest = known.resolved.iter().min_by_key(|(_, (asked, _))| *asked);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
            known.forget(&oldest);
        }
    }

    pub(super) fn forget(&self, id: &RequestId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).forget(id);
    }
}

/// Whether these are few files that stand in the request itself: they are not worth the memory, for as long as
/// they may wait for a job.
fn is_written_out(wants: &[Want]) -> bool {
    let count = |want: &Want| match want {
        Want::Files { files, .. } => Some(files.len()),
        Want::Objects { objects, .. } => Some(objects.len()),
        Want::Level { .. } | Want::Tree { .. } => None,
    };
    wants.iter().map(count).sum::<Option<usize>>().is_some_and(|files| files <= FEW)
}

impl FolderPlane {
    /// What a waiter wants.
    pub(super) async fn resolve(&self, waiter: &Waiter) -> Result<Arc<Resolved>, Error> {
        if let Some(known) = self.sources.get(&waiter.request) {
            return Ok(known);
        }
        let mut resolved = Resolved::default();
        for want in &waiter.spec.wants {
            match want {
                Want::Files { project, files } => {
                    resolved
                        .files
                        .extend(files.iter().map(|file| self.source(waiter, project, file.clone())));
                }
                Want::Level { project, id, path } => {
                    let folder = id.clone().map_or_else(|| Folder::Path(path.clone()), Folder::Id);
                    self.list_level(waiter, project, &folder, &mut resolved).await?;
                }
                Want::Tree { project, id, path } => {
                    let mut seen = Seen::at(millis(self.core.ports.clock.now()));
                    resolved.trees.push(self.read_tree(project, id, path, &mut seen).await?);
                    resolved.seen = Some(resolved.seen.map_or(seen, |known| known.and(seen)));
                }
                Want::Objects { bucket, objects } => {
                    for object in objects {
                        add_object(waiter, bucket, object, &mut resolved);
                    }
                }
            }
        }
        let (files, too_long) = resolved
            .files
            .into_iter()
            .partition(|file| waiter.spec.path.file(&file.wanted.name).check_length().is_ok());
        let refused = |file: Source| {
            let what = waiter.spec.path.file(&file.wanted.name).to_string();
            let why = "its path at the destination would have more than 1,024 bytes".to_owned();
            (ErrorName::InvalidRequest, Culprit { what, why })
        };
        let too_long: Vec<Source> = too_long;
        resolved.files = files;
        resolved.unready.extend(too_long.into_iter().map(refused));
        let resolved = Arc::new(resolved);
        if !is_written_out(&waiter.spec.wants) {
            self.sources.put(waiter.request.clone(), Arc::clone(&resolved));
        }
        Ok(resolved)
    }

    async fn list_level(
        &self,
        waiter: &Waiter,
        project: &ProjectId,
        folder: &Folder,
        into: &mut Resolved,
    ) -> Result<(), Error> {
        let mut from = None;
        let mut empty = true;
        let mut seen = Seen::at(millis(self.core.ports.clock.now()));
        loop {
            let page = self.core.ports.platform.children(project, folder, from.as_deref()).await?;
            empty &= page.items.is_empty();
            page.items.iter().filter(|data| !reserved::holds(&data.path)).for_each(|data| seen.add(data));
            for data in page.items.into_iter().filter(|data| data.kind == DataKind::File) {
                self.add(waiter, project, data, into);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        into.seen = Some(into.seen.map_or(seen, |known| known.and(seen)));
        match folder {
            Folder::Id(id) if empty && !self.is_there(project, id).await? => {
                Err(Error::new(Class::NotFound, "list source", "the source folder has vanished"))
            }
            Folder::Id(_) | Folder::Path(_) => Ok(()),
        }
    }

    fn add(&self, waiter: &Waiter, project: &ProjectId, data: Data, into: &mut Resolved) {
        match data.status {
            DataStatus::Available if data.lacks_size() => {
                let why = "ICAv2 does not tell its size".to_owned();
                let culprit = Culprit { what: data.path.to_string(), why };
                into.unready.push((ErrorName::SourceNotReady, culprit));
            }
            DataStatus::Available => {
                let file = NamedFile { id: data.id, path: data.path, size: data.size, etag: data.etag };
                into.files.push(self.source(waiter, project, file));
            }
            // It is on its way out: the user that deletes it does not want it copied.
            DataStatus::Deleting => {}
            DataStatus::Partial
            | DataStatus::Archiving
            | DataStatus::Archived
            | DataStatus::Unarchiving
            | DataStatus::Unknown => {
                let culprit =
                    Culprit { what: data.path.to_string(), why: status_words(data.status).to_owned() };
                into.unready.push((ErrorName::SourceNotReady, culprit));
            }
        }
    }

    fn source(&self, waiter: &Waiter, project: &ProjectId, file: NamedFile) -> Source {
        let new_name = waiter.spec.renames.name_of(&file.id);
        // A job keeps names.
        let route = if new_name.is_some() {
            Route::Stream
        } else {
            route(file.etag.as_ref(), self.core.settings.copy.single_part)
        };
        let name = new_name.unwrap_or_else(|| file.path.name()).to_owned();
        Source {
            renamed: new_name.is_some(),
            staged: waiter.spec.staged.get(&file.id).cloned(),
            wanted: Wanted { name, size: file.size, etag: file.etag, route },
            origin: Origin::File { project: project.clone(), id: file.id },
        }
    }
}

fn add_object(waiter: &Waiter, bucket: &str, object: &NamedObject, into: &mut Resolved) {
    let at = ObjectLocation::new(bucket, object.key.as_str());
    let uri = at.to_string();
    if object.archived {
        let why = status_words(DataStatus::Archived).to_owned();
        into.unready.push((ErrorName::SourceNotReady, Culprit { what: uri, why }));
        return;
    }
    let new_name = waiter.spec.renames.name_of(&DataId::new(uri));
    // A tag that only looks like an MD5 proves nothing about bytes.
    let etag = object.etag.clone().filter(|etag| !object.opaque || etag.is_multipart());
    let name = new_name.unwrap_or_else(|| object.name()).to_owned();
    into.files.push(Source {
        renamed: new_name.is_some(),
        staged: None,
        wanted: Wanted { name, size: object.size, etag, route: Route::Stream },
        origin: Origin::Object(Box::new(ObjectSource { at, access: Access::Own, etag: object.etag.clone() })),
    });
}
