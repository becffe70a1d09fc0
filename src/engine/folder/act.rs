//! What a round does about what is missing: clear, batch, submit, stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{
    LONGEST, document,
    look::{Picture, as_millis},
    sources::Source,
    state::FolderState,
    trees::Standing,
};
use crate::{
    domain::{diff::Verdict, route::Route},
    engine::{
        Engine,
        lease::{Held, Step},
        records::millis,
    },
};

/// The longest wait between two looks for something that is on its way.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How long a folder waits for a free slot of its project, at least.
const SLOT_WAIT: Duration = Duration::from_secs(2);

/// Streams are not interrupted for jobs more often than this.
const STREAM_AT_LEAST: Duration = Duration::from_secs(10);

impl Engine {
    /// Does what can be done now. True when another look is needed at once.
    pub(super) async fn act(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        picture: &Picture,
    ) -> Step<bool> {
        let cleared = self.clear_leftovers(held, state, picture).await?;
        let tasks = self.stream_tasks(state, picture);
        let began = Instant::now();
        let until = self.next_interruption(state, began);
        if !tasks.is_empty() {
            // The nonces must be stored before the first file is made.
            self.save(held, vec![document(state)?]).await?;
        }
        let lease = Arc::clone(&held.lease);
        let streams = self.stream_files(&lease, picture, tasks, until);
        let jobs = self.batch_jobs(held, state, picture, began + self.settings.jobs.batch_window);
        let ((done, left), batched) = tokio::join!(streams, jobs);
        let put = self.note_streams(held, state, done)?;
        let came = batched?;
        let busy = state.running().next().is_some() || state.open_intents().next().is_some();
        let again = came || !left.is_empty() || (put > 0 && (!busy || held_back(state, picture)));
        if again || self.stop.is_cancelled() {
            // Whoever goes on, this instance or another, begins with a look.
            state.look_at = millis(self.ports.clock.now());
            return Ok(!self.stop.is_cancelled());
        }
        self.pace_looks(
            state,
            picture,
            cleared || (put > 0 && !busy) || waits_for_the_platform(state, picture),
        );
        Ok(false)
    }

    /// Keeps a batch open for its window, then submits it. True when somebody came meanwhile, whose
    /// other files are still to be looked at.
    async fn batch_jobs(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        picture: &Picture,
        window: Instant,
    ) -> Step<bool> {
        let patience = self.settings.jobs.max_attempts;
        let may = millis(self.ports.clock.now()) >= state.not_before && state.charged < patience;
        let items = jobs_missing(picture).len() + picture.trees_missing().len();
        if !may || state.open_intents().next().is_some() || items == 0 {
            return Ok(false);
        }
        if items < self.settings.jobs.max_items_per_job {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(false),
                () = sleep_until(window) => {}
            }
        }
        // Whoever came meanwhile travels with us.
        let merged = self.newcomers(held, state, picture).await?;
        self.submit_batches(held, state, merged.as_ref().unwrap_or(picture)).await?;
        Ok(merged.is_some())
    }

    /// The picture with those who have begun to wait since it was taken; `None` when nobody has.
    async fn newcomers(
        &self,
        held: &Held,
        state: &mut FolderState,
        picture: &Picture,
    ) -> Step<Option<Picture>> {
        let waiters = self.waiters(held).await?;
        if !state.has_not_seen(&waiters) {
            return Ok(None);
        }
        let mut merged = Picture { waiters: Vec::new(), ..picture.clone() };
        for waiter in waiters {
            let files = self.resolve(&waiter).await?;
            merged.waiters.push((waiter, files, Vec::new()));
        }
        self.judge(state, &mut merged);
        self.look_at_trees(state, &mut merged).await?;
        Ok(Some(merged))
    }

    async fn submit_batches(&self, held: &mut Held, state: &mut FolderState, picture: &Picture) -> Step<()> {
        let most = self.settings.jobs.max_items_per_job.max(1);
        for trees in picture.trees_missing().chunks(most) {
            if self.stop.is_cancelled() || what_fits(state, trees).len() < trees.len() {
                return Ok(());
            }
            if !self.submit(held, state, picture, trees, false).await? {
                self.pause_for_slot(state);
                return Ok(());
            }
        }
        let mut missing = jobs_missing(picture);
        for piece in state.pieces_to_submit() {
            let files: Vec<&Source> =
                piece.iter().filter_map(|name| missing.get(name.as_str()).copied()).collect();
            if self.stop.is_cancelled() || files.is_empty() {
                continue;
            }
            if what_fits(state, &files).len() < files.len()
                || !self.submit(held, state, picture, &files, true).await?
            {
                self.pause_for_slot(state);
                return Ok(());
            }
        }
        for name in state.pieces.iter().flat_map(|piece| &piece.names) {
            missing.remove(name.as_str());
        }
        let missing: Vec<&Source> = missing.into_values().collect();
        for batch in missing.chunks(most) {
            let unfilled = batch.len() < most && state.has_unfilled_job();
            let batch = what_fits(state, batch);
            if self.stop.is_cancelled() || unfilled || batch.is_empty() {
                return Ok(());
            }
            if !self.submit(held, state, picture, batch, false).await? {
                self.pause_for_slot(state);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits for a place among the project's jobs, longer each time there is none.
    fn pause_for_slot(&self, state: &mut FolderState) {
        state.refusals += 1;
        let wait = SLOT_WAIT * 2_u32.pow(state.refusals.min(4)).div_ceil(2);
        let wait = wait.mul_f64(0.5 + self.ports.chance.unit());
        state.not_before = millis(self.ports.clock.now()) + as_millis(wait);
    }

    /// When streaming should pause, so that jobs are not forgotten over it.
    fn next_interruption(&self, state: &FolderState, began: Instant) -> Instant {
        let now = millis(self.ports.clock.now());
        let wait = state.running().map(|job| job.next_poll).min().map_or(0, |at| at.saturating_sub(now));
        began + Duration::from_millis(u64::try_from(wait).unwrap_or(0)).max(STREAM_AT_LEAST)
    }

    /// When to look again: soon while something is on its way, at the end of a pause, or when a job
    /// or a newcomer brings news.
    fn pace_looks(&self, state: &mut FolderState, picture: &Picture, waiting: bool) {
        let now = millis(self.ports.clock.now());
        state.waits = if waiting { state.waits + 1 } else { 0 };
        let mut looks = vec![now + as_millis(LONGEST)];
        if waiting {
            let wait = Duration::from_secs(1) * 2_u32.pow(state.waits.saturating_sub(1).min(4));
            looks.push(now + as_millis(wait.min(LONGEST_WAIT)));
        }
        if state.not_before > now {
            looks.push(state.not_before);
        }
        // Only what could be streamed if its time had come; the rest waits for the platform.
        let files = picture.files();
        let could = |name: &str| matches!(files.get(name), Some((_, Verdict::Missing | Verdict::Overwrite)));
        let tries = self.settings.jobs.max_attempts;
        let retries = state
            .uploads
            .iter()
            .filter(|(name, upload)| upload.put_at.is_none() && upload.attempts < tries && could(name));
        looks.extend(retries.map(|(_, upload)| upload.retry_at.max(now + 1)));
        state.look_at = looks.into_iter().min().unwrap_or(now);
    }
}

/// Whether there are files to stream that the record had no room for yet.
fn held_back(state: &FolderState, picture: &Picture) -> bool {
    picture.files().iter().any(|(name, (source, verdict))| {
        picture.route(source) == Route::Stream
            && *verdict == Verdict::Missing
            && !state.uploads.contains_key(*name)
    })
}

/// As many of the files as the record of the folder has room for, ids and names.
fn what_fits<'a, 'b>(state: &FolderState, files: &'a [&'b Source]) -> &'a [&'b Source] {
    let mut room = state.room();
    let fits = files.iter().take_while(|file| {
        let bytes = file.id().map_or(0, |id| id.as_str().len()) + 2 * file.wanted.name.len() + 16;
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    });
    files.get(..fits.count()).unwrap_or_default()
}

/// What has to be brought by jobs now, by name.
fn jobs_missing(picture: &Picture) -> BTreeMap<&str, &Source> {
    let files = picture.files().into_iter();
    files
        .filter(|(_, (source, verdict))| picture.route(source) == Route::Job && *verdict == Verdict::Missing)
        .map(|(name, (source, _))| (name, source))
        .collect()
}

/// Whether something is on its way in or out that no job of ours will tell about.
fn waits_for_the_platform(state: &FolderState, picture: &Picture) -> bool {
    let told: BTreeSet<&str> = state
        .running()
        .flat_map(|job| &job.names)
        .chain(state.open_intents().flat_map(|intent| &intent.names))
        .map(String::as_str)
        .collect();
    let files = picture.files();
    let moving = files
        .iter()
        .filter(|(_, (_, verdict))| matches!(verdict, Verdict::Wait | Verdict::Condemn | Verdict::Replace));
    let trees = picture.trees();
    let coming = trees.iter().filter(|(_, (_, standing))| **standing == Standing::Coming);
    moving.map(|(name, _)| name).chain(coming.map(|(name, _)| name)).any(|name| !told.contains(name))
}
