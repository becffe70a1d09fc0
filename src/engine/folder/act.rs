//! What a round does about what is missing: clear, batch, submit, stream.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{
    LONGEST,
    batches::{Line, Queued, what_fits},
    document,
    jobs::Batch,
    look::{Picture, as_millis},
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
        if state.has_slot() {
            // There is no job to submit after all, or none that may have it.
            self.drop_wish(held, state, &picture.project).await?;
        }
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
        let most = self.settings.jobs.max_items_per_job;
        let may = millis(self.ports.clock.now()) >= state.not_before && state.charged < patience;
        let waiting = picture.count_for_jobs(most) + picture.trees_missing().len();
        if !may || state.open_intents().next().is_some() || waiting == 0 {
            return Ok(false);
        }
        // Who has waited for a slot was there long enough for others to come.
        if waiting < most && !state.has_slot() {
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
        let mut merged = Picture {
            project: picture.project.clone(),
            folder: picture.folder.clone(),
            waiters: Vec::new(),
            listing: Arc::clone(&picture.listing),
            streamed: picture.streamed.clone(),
            reasons: picture.reasons.clone(),
            leftovers: picture.leftovers.clone(),
            wanted: Vec::new(),
            standings: BTreeMap::new(),
        };
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
            if !self.submit_trees(held, state, picture, trees).await? {
                return Ok(());
            }
        }
        for piece in state.pieces_to_submit() {
            let files = picture.queued(&piece);
            if files.is_empty() {
                continue;
            }
            let names = what_fits(state, &files);
            let fits = names.len() == files.len();
            let batch = Batch { files: &files, names, express: false, piece: true };
            if self.stop.is_cancelled() || !fits || !self.may_ask(state, false) {
                return Ok(());
            }
            if !self.submit(held, state, picture, &batch).await? {
                return Ok(());
            }
        }
        let apart: HashSet<String> = state.pieces.iter().flat_map(|piece| &piece.names).cloned().collect();
        let mut line = picture.line(&apart.iter().map(String::as_str).collect());
        while !self.stop.is_cancelled() {
            let (files, express) = line.next(most);
            let went = self.submit_next(held, state, picture, &files, express).await?;
            if went == 0 && !express {
                // No slot for all of them: those of small requests may go by the express lane.
                let (files, _) = Line { others: VecDeque::new(), ..line }.next(most);
                self.submit_next(held, state, picture, &files, true).await?;
                return Ok(());
            }
            if went == 0 {
                return Ok(());
            }
            line.went(went);
        }
        Ok(())
    }

    /// Submits as many of the files as fit, if that is in order now; how many went.
    async fn submit_next(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        picture: &Picture,
        files: &[Queued<'_>],
        express: bool,
    ) -> Step<usize> {
        let unfilled = files.len() < self.settings.jobs.max_items_per_job.max(1);
        if files.is_empty() || (unfilled && state.has_unfilled_job(express)) || !self.may_ask(state, express)
        {
            return Ok(0);
        }
        let names = what_fits(state, files);
        let files = files.get(..names.len()).unwrap_or_default();
        let batch = Batch { files, names, express, piece: false };
        if files.is_empty() || !self.submit(held, state, picture, &batch).await? {
            return Ok(0);
        }
        Ok(files.len())
    }

    /// Whether a slot for such a job is at hand, or may be asked for: one that was asked for and not
    /// given comes in its time.
    pub(super) fn may_ask(&self, state: &FolderState, express: bool) -> bool {
        let lane = express && self.settings.jobs.express_slots > 0;
        state.wish.as_ref().is_none_or(|wish| wish.serves(express) || (lane && !wish.express))
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
        let could =
            |name: &str| matches!(picture.get(name), Some((_, Verdict::Missing | Verdict::Overwrite)));
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
    picture.files().any(|(name, (source, verdict))| {
        verdict == Verdict::Missing
            && picture.route(source) == Route::Stream
            && !state.uploads.contains_key(name)
    })
}

/// Whether something is on its way in or out that no job of ours will tell about.
fn waits_for_the_platform(state: &FolderState, picture: &Picture) -> bool {
    let told = state.under_way();
    let moving = picture
        .files()
        .filter(|(_, (_, verdict))| matches!(verdict, Verdict::Wait | Verdict::Condemn | Verdict::Replace));
    let trees = picture.trees();
    let coming = trees.iter().filter(|(_, (_, standing))| **standing == Standing::Coming);
    moving.map(|(name, _)| name).chain(coming.map(|(name, _)| *name)).any(|name| !told.contains(name))
}
