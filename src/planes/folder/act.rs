//! What a round does about what is missing: clear, batch, submit, stream.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    FolderPlane, LONGEST, LONGEST_WAIT,
    batches::{Line, Queued, what_fits},
    document,
    jobs::Batch,
    look::Picture,
    sources::Source,
    state::FolderState,
    trees::Standing,
    watch::Watch,
};
use crate::{
    domain::{diff::Verdict, route::Route},
    engine::{
        lease::{Halt, Held, Step},
        records::{as_millis, millis},
    },
    signals,
};
use tokio::time::{Instant, sleep, sleep_until};

/// How soon a folder that has dropped a slot it could not use asks for another.
const SLOT_WAIT: Duration = Duration::from_secs(2);

/// How often a folder looks after its other business while it streams.
const MIND_EVERY: Duration = Duration::from_secs(5);

/// How many streams that take long may have come one upon another in a folder.
const DEEPEST: u32 = 16;

/// How long a folder streams that is not minded meanwhile, before it looks after its other business.
const STREAM_AT_LEAST: Duration = Duration::from_secs(10);

impl FolderPlane {
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
        if !tasks.is_empty() {
            // The nonces must be stored before the first file is made.
            self.core.save(held, vec![document(state)?]).await?;
        }
        let lease = Arc::clone(&held.lease);
        let names: Vec<String> = tasks.iter().map(|task| task.source.wanted.name.clone()).collect();
        state.set_live(&names, true);
        if !names.is_empty() {
            // What is streamed tells by itself that it has come.
            self.pace_looks(state, picture, waits_for_the_platform(state, picture));
        }
        let watch = Watch::over(picture, &names);
        let streams = async {
            let streamed = self.stream_files(&lease, picture, tasks, &watch).await;
            watch.over.cancel();
            streamed
        };
        let window = began + self.core.settings.jobs.batch_window;
        let jobs = async {
            let came = self.batch_jobs(held, state, picture, window).await;
            let minded = self.mind(held, state, picture, &watch).await;
            came.and_then(|came| minded.map(|()| came))
        };
        let ((done, left), batched) = tokio::join!(streams, jobs);
        state.set_live(&names, false);
        let brought = !done.is_empty();
        let put = self.note_streams(held, state, done)?;
        // An error on the way must not put off the next look.
        let came = batched.inspect_err(|_| state.look_at = millis(self.core.ports.clock.now()))?;
        let mut soon = None;
        if state.has_slot() {
            // There is no job to submit after all, or none that may have it.
            self.drop_wish(held, state, &picture.project).await?;
            let waits = picture.count_for_jobs(1) > 0 || !picture.trees_missing().is_empty();
            soon = waits.then_some(SLOT_WAIT);
        }
        let busy = state.running().next().is_some() || state.open_intents().next().is_some();
        let news = std::mem::take(&mut state.look_again);
        let again = came || news || !left.is_empty() || (put > 0 && (!busy || held_back(state, picture)));
        state.moved |= came || news || brought;
        if again || self.core.stop.is_cancelled() {
            // Whoever goes on, this instance or another, begins with a look.
            state.look_at = millis(self.core.ports.clock.now());
            return Ok(!self.core.stop.is_cancelled());
        }
        self.pace_looks(
            state,
            picture,
            cleared
                || (put > 0 && (!busy || waits_for_streams_alone(state, picture)))
                || waits_for_the_platform(state, picture),
        );
        if let Some(wait) = soon {
            state.look_at = state.look_at.min(millis(self.core.ports.clock.now()) + as_millis(wait));
        }
        Ok(false)
    }

    /// Goes on with everything else in the folder while its streams take long: jobs end, others come.
    /// What is being streamed counts as in flight.
    async fn mind(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        picture: &Picture,
        watch: &Watch,
    ) -> Step<()> {
        let is_deepest = state.depth >= DEEPEST;
        loop {
            tokio::select! {
                biased;
                () = watch.over.cancelled() => return Ok(()),
                () = self.core.stop.cancelled() => return Ok(()),
                () = sleep(if is_deepest { STREAM_AT_LEAST } else { MIND_EVERY }) => {}
            }
            if is_deepest {
                // Nobody minds the folder from here on: what has been begun is enough.
                watch.enough.cancel();
                return Ok(());
            }
            held.lease.check()?;
            let depth = state.depth;
            state.depth = depth + 1;
            if watch.somebody_is_done() {
                state.look_at = millis(self.core.ports.clock.now());
            }
            let minded = Box::pin(self.work(held, state)).await;
            // Where nobody waits any more, the state has begun anew.
            state.depth = depth;
            match minded {
                Ok(_) => self.core.moved(&state.parties),
                // It is tried again, here or when the streams have ended.
                Err(Halt::Port(error)) => signals::engine::round_failed(&held.lease.key, &error, 1),
                Err(halt) => return Err(halt),
            }
            watch.end_for_nobody(picture, state);
        }
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
        let patience = self.core.settings.jobs.max_attempts;
        let most = self.core.settings.jobs.max_items_per_job;
        let may = millis(self.core.ports.clock.now()) >= state.not_before && state.charged < patience;
        let waiting = picture.count_for_jobs(most) + picture.trees_missing().len();
        if !may || state.open_intents().next().is_some() || waiting == 0 {
            return Ok(false);
        }
        // Who has waited for a slot was there long enough for others to come.
        if waiting < most && !state.has_slot() {
            tokio::select! {
                biased;
                () = self.core.stop.cancelled() => return Ok(false),
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
        let waiters = self.waiters(held, state).await?;
        if !state.has_not_seen(&waiters) {
            return Ok(None);
        }
        let waiters = self.not_stopped(waiters).await?;
        let mut merged = Picture {
            project: picture.project.clone(),
            folder: picture.folder.clone(),
            waiters: Vec::new(),
            listing: Arc::clone(&picture.listing),
            streamed: picture.streamed.clone(),
            reasons: picture.reasons.clone(),
            leftovers: picture.leftovers.clone(),
            ours: BTreeSet::new(),
            overdue_at: None,
            wanted: Vec::new(),
            standings: BTreeMap::new(),
        };
        for waiter in waiters {
            match self.resolve(&waiter).await {
                Ok(files) => merged.waiters.push((waiter, files, Vec::new())),
                Err(error) if error.is_passing() => return Err(error.into()),
                // Told at the next look, and nobody else's business.
                Err(_) => {}
            }
        }
        self.weigh(state, &merged).await?;
        self.prove(state, &mut merged).await?;
        self.judge(state, &mut merged);
        self.mark_seen(held, state).await?;
        self.look_at_trees(state, &mut merged).await?;
        Ok(Some(merged))
    }

    async fn submit_batches(&self, held: &mut Held, state: &mut FolderState, picture: &Picture) -> Step<()> {
        let most = self.core.settings.jobs.max_items_per_job.max(1);
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
            if self.core.stop.is_cancelled() || !fits || !self.may_ask(state, false) {
                return Ok(());
            }
            if !self.submit(held, state, picture, &batch).await? {
                return Ok(());
            }
        }
        let apart: HashSet<String> = state.pieces.iter().flat_map(|piece| &piece.names).cloned().collect();
        let mut line = picture.line(&apart.iter().map(String::as_str).collect());
        while !self.core.stop.is_cancelled() {
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
        let unfilled = files.len() < self.core.settings.jobs.max_items_per_job.max(1);
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
        let lane = express && self.core.settings.jobs.express_slots > 0;
        state.wish.as_ref().is_none_or(|wish| wish.serves(express) || (lane && !wish.express))
    }

    /// When to look again: soon while something is on its way, at the end of a pause, or when a job
    /// or a newcomer brings news.
    fn pace_looks(&self, state: &mut FolderState, picture: &Picture, waiting: bool) {
        let now = millis(self.core.ports.clock.now());
        state.waits = if waiting { state.waits + 1 } else { 0 };
        let mut looks = Vec::new();
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
        let tries = self.core.settings.jobs.max_attempts;
        let retries = state
            .uploads
            .iter()
            .filter(|(_, upload)| !upload.live && upload.put_at.is_none() && upload.attempts < tries)
            .filter(|(name, _)| could(name));
        looks.extend(retries.map(|(_, upload)| upload.retry_at.max(now + 1)));
        looks.extend(picture.overdue_at.map(|at| at.max(now + 1)));
        // Where nothing of ours will tell and no time was set, whoever waits must not wait for long.
        let streams = state.uploads.values().any(|upload| upload.live);
        let jobs = state.running().next().is_some() || state.open_intents().next().is_some();
        let told = jobs || streams || state.wish.is_some();
        let longest = if told || !looks.is_empty() { LONGEST } else { LONGEST_WAIT };
        looks.push(now + as_millis(longest));
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

/// Whether somebody waits for nothing but files that have just been streamed: no job of ours that ends
/// will have them looked at.
fn waits_for_streams_alone(state: &FolderState, picture: &Picture) -> bool {
    let has_gone_out = |source: &Source| {
        state.uploads.get(&source.wanted.name).is_some_and(|upload| upload.put_at.is_some())
    };
    picture.waiters.iter().any(|(_, resolved, verdicts)| {
        let mut open = resolved
            .files
            .iter()
            .zip(verdicts)
            .filter(|(_, verdict)| {
                !matches!(verdict, Verdict::Done { .. } | Verdict::Skipped | Verdict::Clash(_))
            })
            .peekable();
        resolved.trees.is_empty() && open.peek().is_some() && open.all(|(source, _)| has_gone_out(source))
    })
}

/// Whether something is on its way in or out that no job and no stream of ours will tell about.
fn waits_for_the_platform(state: &FolderState, picture: &Picture) -> bool {
    let mut told = state.under_way();
    told.extend(state.uploads.iter().filter(|(_, upload)| upload.live).map(|(name, _)| name.as_str()));
    let moving = picture
        .files()
        .filter(|(_, (_, verdict))| matches!(verdict, Verdict::Wait | Verdict::Condemn | Verdict::Replace));
    let trees = picture.trees();
    let coming = trees.iter().filter(|(_, (_, standing))| **standing == Standing::Coming);
    moving.map(|(name, _)| name).chain(coming.map(|(name, _)| *name)).any(|name| !told.contains(name))
}
