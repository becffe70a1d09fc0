//! The actions that would be taken in one folder: resolved, listed and judged by the same code that does it,
//! and then only said.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    FolderPlane,
    finish::clash_words,
    listing::Listing,
    snapshot::Snapshot,
    state::FolderState,
    waiter::{self, Waiter},
    wanted::{Origin, Resolved, Source},
};
use crate::{
    domain::{
        diff::{Clash, Content, Surroundings, Verdict, verdict},
        file::{self, DataStatus, ETag},
        ids::{FolderId, RequestId},
        location::DataPath,
        outcome::Culprit,
        preview::{Conflict, PreviewFile, There},
        request::{FolderRequest, OnConflict, Want},
        route::Route,
    },
    engine::records::{self, attr},
    ports::{
        Error,
        platform::{Destination, Folder},
    },
};

/// Why a file goes with its folder.
const WHOLE: &str = "its folder goes as one item of a job (copy.folders = \"whole\")";

/// The actions that would be taken in one folder.
#[derive(Debug, Default)]
pub(crate) struct FolderPreview {
    pub files: Vec<(PreviewFile, PreviewEntry)>,
    /// Whether its source goes as part of one item of a job.
    pub of_tree: bool,
    /// Whether the folder would have to be made.
    pub is_new: bool,
    /// Files that a job puts into staging.
    pub staged: u64,
    /// Entries that the folder holds now.
    pub there: usize,
}

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PreviewEntry {
    /// It would be brought.
    Brought,
    /// It is there.
    Skipped,
    /// Something is under way.
    InFlight,
    /// It would not be brought, and the request would fail or leave it.
    Kept,
    /// It cannot be read.
    Unready,
}

impl FolderPlane {
    /// The actions that would be taken for requests that want files in one folder. Nothing is changed.
    pub(crate) async fn preview_folder(&self, specs: &[&FolderRequest]) -> Result<FolderPreview, Error> {
        let Some(FolderRequest { project, path, .. }) = specs.first() else {
            return Ok(FolderPreview::default());
        };
        let key = waiter::folder_key(&FolderId::of(project, path.as_str()));
        let mut state: FolderState = match self.core.ports.store.get(&key).await? {
            Some(item) => records::document(&item, attr::STATE)?,
            None => FolderState::default(),
        };
        let mut waiters = Vec::with_capacity(specs.len());
        for spec in specs {
            let request = RequestId::new(format!("dry-run.{}", self.core.ports.chance.uuid()));
            let since = self.core.ports.clock.now();
            let waiter = Waiter {
                root: request.clone(),
                request,
                spec: (*spec).clone(),
                since,
                siblings: 1,
                counted: None,
            };
            let resolved = self.resolve(&waiter).await;
            self.sources.forget(&waiter.request);
            waiters.push((waiter, resolved?, Vec::new()));
        }
        let folder = if path.is_root() {
            Some(Destination::Root)
        } else {
            let there = self.core.ports.platform.find(project, path).await?;
            let there = there.filter(|folder| folder.status != DataStatus::Deleting);
            there.map(|folder| Destination::Folder(folder.id))
        };
        let listing = match &folder {
            Some(folder) => self.list(project, folder).await?,
            None => Listing::default(),
        };
        let is_needed = self.core.settings.copy.empty_folders
            || waiters
                .iter()
                .any(|(waiter, resolved, _)| waiter.spec.wants.is_empty() || !resolved.files.is_empty());
        let (is_new, there) = (folder.is_none() && is_needed, listing.ids().count());
        let mut snapshot =
            Snapshot::new(project.clone(), folder, waiters, Arc::new(listing), state.streamed.clone());
        self.weigh(&state, &snapshot).await?;
        self.prove(&state, &mut snapshot).await?;
        self.judge(&mut state, &mut snapshot);
        let (mut files, mut staged) = (Vec::new(), 0);
        for (waiter, resolved, verdicts) in &snapshot.waiters {
            let origins = self.origins(waiter, resolved).await?;
            let stand = |(source, verdict): (&Source, &Verdict)| {
                let origin = match &source.origin {
                    Origin::File { id, .. } => origins.get(id.as_str()).cloned().unwrap_or_default(),
                    Origin::Object(object) => object.at.to_string(),
                };
                stands(&snapshot, waiter, source, origin, *verdict)
            };
            let aside = resolved.files.iter().zip(verdicts);
            staged += aside
                .filter(|(source, verdict)| source.staged.is_some() && **verdict == Verdict::Missing)
                .count() as u64;
            files.extend(resolved.files.iter().zip(verdicts).map(stand));
            files.extend(resolved.unready.iter().map(|(_, culprit)| unready(waiter, culprit)));
        }
        let of_tree = specs.iter().all(|spec| spec.of_tree.is_some());
        Ok(FolderPreview { files, of_tree, is_new, staged, there })
    }

    /// The URIs of a waiter's sources, by data id.
    async fn origins(&self, waiter: &Waiter, resolved: &Resolved) -> Result<BTreeMap<String, String>, Error> {
        let mut origins = BTreeMap::new();
        for want in &waiter.spec.wants {
            match want {
                Want::Files { project, files } => {
                    origins.extend(files.iter().map(|file| (file.id.to_string(), uri(project, &file.path))));
                }
                // Where a file has another name there, its own is only in the listing.
                Want::Level { project, id, path } if !waiter.spec.renames.is_empty() => {
                    let folder = id.clone().map_or_else(|| Folder::Path(path.clone()), Folder::Id);
                    let mut from = None;
                    loop {
                        let page =
                            self.core.ports.platform.children(project, &folder, from.as_deref()).await?;
                        let paths =
                            page.items.iter().map(|data| (data.id.to_string(), uri(project, &data.path)));
                        origins.extend(paths);
                        from = page.next;
                        if from.is_none() {
                            break;
                        }
                    }
                }
                Want::Level { project: of, path, .. } => {
                    origins.extend(resolved.files.iter().filter_map(|source| match &source.origin {
                        Origin::File { project, id } if project == of => {
                            Some((id.to_string(), uri(project, &path.file(&source.wanted.name))))
                        }
                        Origin::File { .. } | Origin::Object(_) => None,
                    }));
                }
                // Their origins say where they are; a tree is told by its levels.
                Want::Objects { .. } | Want::Tree { .. } => {}
            }
        }
        Ok(origins)
    }
}

/// The fate of one file.
fn stands(
    snapshot: &Snapshot,
    waiter: &Waiter,
    source: &Source,
    origin: String,
    found: Verdict,
) -> (PreviewFile, PreviewEntry) {
    let whole = waiter.spec.of_tree.is_some();
    let route = if whole || source.staged.is_some() { Route::Job } else { snapshot.route(source) };
    let how = || if whole { WHOLE.to_owned() } else { why(snapshot, source, route).to_owned() };
    let there = snapshot.listing.get(&source.wanted.name);
    let (standing, reason) = match found {
        Verdict::Done { by_size: false } => (PreviewEntry::Skipped, "is there already".to_owned()),
        Verdict::Done { by_size: true } => {
            (PreviewEntry::Skipped, "is there already, as far as its size tells".to_owned())
        }
        Verdict::Wait if snapshot.is_strangers(&source.wanted.name) => (
            PreviewEntry::InFlight,
            "another writer may be uploading it there, which is waited for and then told as a conflict"
                .to_owned(),
        ),
        Verdict::Wait => (
            PreviewEntry::InFlight,
            "is on its way already, or what stands there is on its way out".to_owned(),
        ),
        Verdict::Missing => (PreviewEntry::Brought, how()),
        Verdict::Overwrite | Verdict::Condemn => {
            (PreviewEntry::Brought, format!("{}; what an upload has left there gives way", how()))
        }
        Verdict::Replace => (PreviewEntry::Brought, format!("{}; what stands there is deleted first", how())),
        Verdict::Skipped => (PreviewEntry::Kept, "what stands there stays".to_owned()),
        Verdict::Clash(_) => (PreviewEntry::Kept, "cannot be brought".to_owned()),
    };
    let then = match found {
        Verdict::Replace => Some(OnConflict::Overwrite),
        Verdict::Skipped => Some(OnConflict::Skip),
        Verdict::Clash(_) => Some(OnConflict::Fail),
        _ => None,
    };
    let file = PreviewFile {
        source: origin,
        destination: uri(&waiter.spec.project, &waiter.spec.path.file(&source.wanted.name)),
        route: (standing == PreviewEntry::Brought).then_some(route),
        reason,
        size: source.wanted.size,
        conflict: then
            .zip(clash(source, there))
            .map(|(then, clash)| Conflict { there: clash_words(clash), then }),
        there: there.filter(|_| standing == PreviewEntry::Skipped).map(|there| There {
            etag: there.etag.as_ref().map(ToString::to_string),
            made_at: there.created,
            route,
            by_size: found == Verdict::Done { by_size: true },
        }),
    };
    (file, standing)
}

/// Why a file takes its route.
fn why(snapshot: &Snapshot, source: &Source, route: Route) -> &'static str {
    let in_parts = source.wanted.etag.as_ref().is_some_and(ETag::is_multipart);
    match (route == Route::Job, in_parts) {
        (true, _) if source.staged.is_some() => {
            "gets another name: a job puts it into staging, and S3 copies it from there"
        }
        (true, true) => "was uploaded in parts",
        (true, false) => "was uploaded in one part (copy.single_part = \"job\")",
        _ if source.renamed => "gets another name",
        _ if snapshot.streamed.contains(&source.wanted.name) => "no copy job would bring it",
        (false, true) => "was uploaded in parts, where no copy job can read it",
        (false, false) => "was uploaded in one part (copy.single_part = \"stream\")",
    }
}

fn unready(waiter: &Waiter, culprit: &Culprit) -> (PreviewFile, PreviewEntry) {
    let from = waiter.spec.wants.first().and_then(|want| match want {
        Want::Files { project, .. } | Want::Level { project, .. } | Want::Tree { project, .. } => {
            Some(project)
        }
        Want::Objects { .. } => None,
    });
    let name = culprit.what.rsplit('/').next().unwrap_or_default();
    let file = PreviewFile {
        source: from
            .map_or_else(|| culprit.what.clone(), |project| format!("icav2://{project}{}", culprit.what)),
        destination: uri(&waiter.spec.project, &waiter.spec.path.file(name)),
        route: None,
        reason: culprit.why.clone(),
        size: 0,
        conflict: None,
        there: None,
    };
    (file, PreviewEntry::Unready)
}

fn uri(project: &impl std::fmt::Display, path: &DataPath) -> String {
    format!("icav2://{project}{path}")
}

/// The thing that stands in the way, whatever the request wants done about it.
fn clash(source: &Source, there: Option<&file::FileInfo>) -> Option<Clash> {
    let around = Surroundings { content: Content::Other, ..Surroundings::default() };
    match verdict(&source.wanted, there, around, OnConflict::Fail) {
        Verdict::Clash(clash) => Some(clash),
        _ => None,
    }
}
