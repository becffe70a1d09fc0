//! `dryRun`: the acts of a copy, told without doing them.
//!
//! The plan, the listings and the verdicts are made by the code that makes them for a copy; only
//! nothing follows from them. One folder is looked at at a time, so the memory that it takes is that
//! of the largest folder and of the files that are told.

use super::{FolderKind, Folders};
use crate::{
    domain::{
        file::DataStatus,
        outcome::{Counters, Outcome},
        preview::{Conflict, Preview, PreviewFile},
        request::{FolderRequest, OnConflict},
        route::Route,
    },
    engine::{
        lease::{Leased, RoundResult},
        records::started_at,
    },
    kinds::sources::landings::source_of,
    planes::folder::{FolderPreview, PreviewEntry},
    ports::{Error, blame::final_failure},
};

/// Bytes of files that are told to a caller; the code that tells it cuts it to what is allowed there.
pub(crate) const TOLD: usize = 256 * 1024;

/// The bytes that the names of the fields, and the signs around them, take for each file.
const FRAME: usize = 120;

/// Calls for a copy job: its submission and, about, its polls.
const CALLS_PER_JOB: u64 = 4;

/// Calls besides to list, find and make folders that go as one item of a job.
const CALLS_PER_TREE: u64 = 6;

/// Files whose download URLs come with one call.
const FILES_PER_URL_CALL: u64 = 25;

/// Entries on a page of a listing.
const PAGE: u64 = 1000;

impl Folders {
    /// Ends a request for a dry run.
    pub(crate) async fn conclude_dry_run<K: FolderKind>(
        &self,
        kind: &K,
        held: &mut Leased,
        children: &[FolderRequest],
    ) -> RoundResult<()> {
        let mut outcome = match self.preview(children, TOLD).await {
            Ok(preview) => Outcome {
                failure: None,
                counters: Counters::default(),
                jobs: Vec::new(),
                preview: Some(Box::new(preview)),
                ..Outcome::between(started_at(&held.item), self.core.ports.clock.now())
            },
            Err(error) if error.is_passing() => return self.core.not_yet_begun(held, error).await,
            Err(error) => self.core.failed_outcome(&held.item, final_failure(&error)),
        };
        kind.complete_dry_run(held, &mut outcome).await?;
        self.core.conclude(held, &outcome).await
    }

    pub(crate) async fn preview(
        &self,
        children: &[FolderRequest],
        most_bytes: usize,
    ) -> Result<Preview, Error> {
        let mut draft = Draft::new(most_bytes, self.core.settings.jobs.max_items_per_job);
        let same_folder =
            |a: &FolderRequest, b: &FolderRequest| (&a.project, &a.path) == (&b.project, &b.path);
        // A file that is only on its way through is told where it arrives.
        let told = |child: &&FolderRequest| !child.staging && !child.sends_trees();
        let children: Vec<_> = children.iter().filter(told).collect();
        let mut new = Vec::new();
        for specs in children.chunk_by(|a, b| same_folder(a, b)) {
            let folder = self.folder.preview_folder(specs).await?;
            if folder.is_new {
                new.extend(specs.first());
            }
            draft.add(folder);
        }
        self.tell_blocked(&new, &mut draft).await?;
        Ok(draft.finish())
    }

    /// Tells of folders that would have to be made where a file stands.
    async fn tell_blocked(&self, new: &[&FolderRequest], draft: &mut Draft) -> Result<(), Error> {
        let bare = |child: &FolderRequest| child.path.parent().file(child.path.name());
        for children in new.chunk_by(|a, b| a.project == b.project) {
            let Some(project) = children.first().map(|child| &child.project) else { continue };
            let paths: Vec<_> = children.iter().map(|child| bare(child)).collect();
            let there = self.core.ports.platform.standing(project, &paths).await?;
            draft.calls(1);
            let stands = |child: &&&FolderRequest| {
                let path = bare(child);
                there.iter().any(|data| data.path == path && data.status != DataStatus::Deleting)
            };
            let file = |child: &&FolderRequest| {
                let file = PreviewFile {
                    source: child.wants.first().map(source_of).unwrap_or_default(),
                    destination: format!("icav2://{project}{}", child.path),
                    route: None,
                    reason: "cannot be made".to_owned(),
                    size: 0,
                    conflict: Some(Conflict { there: "a file is there".to_owned(), then: OnConflict::Fail }),
                    there: None,
                };
                (file, PreviewEntry::Kept)
            };
            draft.tell(children.iter().filter(stands).map(file).collect());
        }
        Ok(())
    }
}

/// A preview that is being made.
pub(crate) struct Draft {
    preview: Preview,
    /// Files that nothing stands in the way of, which are told last.
    rest: Vec<PreviewFile>,
    /// Files that go with their folder as one item of a job.
    by_tree: u64,
    /// Bytes of files that may still be told.
    room: usize,
    items_per_job: u64,
}

impl Draft {
    /// One with room for so many bytes of files.
    pub(crate) fn new(room: usize, items_per_job: usize) -> Self {
        let items_per_job = items_per_job.max(1) as u64;
        Self { preview: Preview::default(), rest: Vec::new(), by_tree: 0, room, items_per_job }
    }

    /// Takes files in; returns how many go by job, and how many are streamed.
    pub(crate) fn tell(&mut self, files: Vec<(PreviewFile, PreviewEntry)>) -> (u64, u64) {
        let totals = &mut self.preview.totals;
        let (mut by_job, mut apart) = (0_u64, 0_u64);
        for (file, standing) in files {
            totals.files += 1;
            totals.conflicts += u64::from(file.conflict.is_some());
            let fails = file.conflict.as_ref().is_some_and(|conflict| conflict.then == OnConflict::Fail);
            totals.failing += u64::from(fails);
            match standing {
                PreviewEntry::Skipped => totals.skipped += 1,
                PreviewEntry::InFlight => totals.in_flight += 1,
                PreviewEntry::Unready => totals.unready += 1,
                PreviewEntry::Brought | PreviewEntry::Kept => {}
            }
            if let Some(route) = file.route {
                totals.bytes = totals.bytes.saturating_add(file.size);
                *totals.by_route.entry(route.as_str().to_owned()).or_default() += 1;
                by_job += u64::from(route == Route::Job);
                apart += u64::from(route == Route::Stream);
            }
            let length = file.source.len() + file.destination.len() + file.reason.len() + FRAME;
            match self.room.checked_sub(length) {
                Some(room) => self.room = room,
                // A file with an obstacle takes the place of one without.
                None if file.conflict.is_some() || standing == PreviewEntry::Unready => {
                    if self.rest.pop().is_none() {
                        continue;
                    }
                }
                None => {
                    self.room = 0;
                    continue;
                }
            }
            if file.conflict.is_some() || standing == PreviewEntry::Unready {
                self.preview.files.push(file);
            } else {
                self.rest.push(file);
            }
        }
        (by_job, apart)
    }

    /// Notes calls of the platform's API.
    pub(crate) fn calls(&mut self, calls: u64) {
        self.preview.totals.api_calls += calls;
    }

    fn add(&mut self, folder: FolderPreview) {
        let found = folder.files.len() as u64;
        let (by_job, apart) = self.tell(folder.files);
        let totals = &mut self.preview.totals;
        if folder.of_tree {
            // Two listings tell of a thousand files, wherever they are.
            self.by_tree += by_job;
            totals.api_calls += 2 * by_job / PAGE;
            totals.new_folders += u64::from(folder.is_new);
            return;
        }
        let staged = folder.staged.min(by_job);
        let jobs = (by_job - staged).div_ceil(self.items_per_job) + staged.div_ceil(self.items_per_job);
        totals.jobs += jobs;
        totals.new_folders += u64::from(folder.is_new);
        let pages = |entries: u64| entries.div_ceil(PAGE).max(1);
        // Source and destination are listed once, and the destination again when all is there.
        let looks = 1 + pages(found) + pages(folder.there as u64);
        let again = if by_job + apart == 0 { 0 } else { pages(folder.there as u64 + by_job + apart) };
        totals.api_calls += looks
            + again
            + u64::from(folder.is_new)
            + jobs * CALLS_PER_JOB
            + apart
            + apart.div_ceil(FILES_PER_URL_CALL);
    }

    pub(crate) fn finish(mut self) -> Preview {
        if self.by_tree > 0 {
            self.preview.totals.jobs += 1;
            self.preview.totals.api_calls += CALLS_PER_JOB + CALLS_PER_TREE;
        }
        self.preview.files.append(&mut self.rest);
        self.preview
    }
}
