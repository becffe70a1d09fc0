//! ICAv2 copy jobs: submitted by intent, polled, adopted when their answer was lost.
//!
//! The API has no idempotency key for a submission and no way to cancel one. So the intent is
//! stored first; an intent without a job is looked for ([`super::adopt`]) before anything is
//! submitted again.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{
    FolderPlane, LONGEST,
    batches::Batch,
    document,
    job_status_cache::POLL_ALIGNMENT,
    made::{COPIED, LEFT, Made},
    names::Names,
    place::project_of,
    slot_request::SlotRequest,
    snapshot::Snapshot,
    state::FolderState,
    submitted::{Intent, RunningJob, digest_of},
    waiter::{self, Waiter},
};
use crate::{
    domain::{ids::DataId, job::JobStatus},
    engine::{
        lease::{Leased, RoundResult},
        records::{self, as_millis, attr, millis},
    },
    ports::{
        Class,
        platform::Submitted,
        store::{EXPIRE_AT, Item, Write},
    },
    signals,
};

/// The time between two looks after jobs, in milliseconds for each page of the listing: jobs of a
/// large folder end one after the other, and one listing shows the files of several.
const LOOK_PER_PAGE: i64 = 50;

/// How often an unanswered submission is looked for.
pub(super) const ADOPT_EVERY: Duration = Duration::from_secs(5);

/// How much of a reason is kept, in characters.
const LONGEST_REASON: usize = 300;

/// The report on a job that has ended badly.
#[derive(Debug, Default)]
pub(super) struct JobEnd {
    /// Why files did not arrive, by name.
    pub reasons: BTreeMap<String, String>,
    /// The files that it has left at the destination.
    pub leftovers: Vec<DataId>,
    /// The files that were copied all the same.
    copied: Names,
}

impl FolderPlane {
    /// When a folder is due at the latest that has nothing to see to: nothing has come, it waits for nothing but
    /// its jobs, and they are known to run. `None` where it has. When it asks for its jobs is noted.
    pub(super) fn only_waits(&self, held: &Leased, state: &mut FolderState) -> Option<i64> {
        let now = millis(self.core.ports.clock.now());
        let news = held.item.number(attr::WAKES) != state.last_wakes;
        let has_more = state.wish.is_some() || !state.intents.is_empty() || !state.late.is_empty();
        // Roots that stand in line move with those that are served, which a whole round notes.
        let others = state.unserved > 0 || !state.seen.is_empty();
        // A look that was put off for as long as can be was put off for want of a reason.
        let no_look = state.look_at >= state.looked_at.saturating_add(as_millis(LONGEST));
        if news || has_more || others || state.is_streaming() || (now >= state.look_at && !no_look) {
            return None;
        }
        let within = 2 * self.core.settings.jobs.poll_interval;
        let runs = |job: &RunningJob| job.ended_at.is_none() && self.job_watch.runs(&job.job, within);
        if state.jobs.is_empty() || !state.jobs.iter().all(runs) {
            return None;
        }
        for job in &mut state.jobs {
            job.next_poll = self.next_poll(now, job.made_at);
            self.job_watch.refresh(&job.job);
        }
        if no_look {
            state.look_at = state.look_at.max(now + as_millis(LONGEST));
        }
        Some(state.look_at)
    }

    /// Asks for running jobs that are due, or for all of them when there may be news. Returns the ends of
    /// those that ended badly and have not been looked at since.
    pub(super) async fn poll_jobs(
        &self,
        held: &Leased,
        state: &mut FolderState,
        woken: bool,
        waiters: &[Waiter],
    ) -> RoundResult<Vec<JobEnd>> {
        let now = millis(self.core.ports.clock.now());
        let long = as_millis(self.core.settings.heartbeat.outage_after);
        let poll_interval = self.core.settings.jobs.poll_interval;
        for n in 0..state.jobs.len() {
            let Some(job) = state.jobs.get_mut(n) else { break };
            if job.ended_at.is_some() {
                continue;
            }
            let told = self.job_watch.take_end(&job.job);
            if told.is_none() && !woken && now < job.next_poll {
                continue;
            }
            job.next_poll = self.next_poll(now, job.made_at);
            if told.is_none() && !woken && self.job_watch.runs(&job.job, 2 * poll_interval) {
                continue;
            }
            let status = match told.filter(|status| status.is_terminal()) {
                Some(status) => Ok(status),
                None => self.job_status(&job.job, woken).await,
            };
            job.status = match status {
                Ok(status) => {
                    // One that we do not know is a sign of life for a while only: it may be an end.
                    if !job.is_mute(now, long) {
                        self.core.record_progress(&state.root_refs);
                    }
                    status
                }
                // ICAv2 will never tell how it ended.
                Err(error) if error.class == Class::NotFound => {
                    job.lost = true;
                    JobStatus::Failed
                }
                Err(error) if error.is_passing() => return Err(error.into()),
                Err(error) => {
                    signals::engine::poll_failed(&held.lease.key.id, &job.job, &error);
                    JobStatus::Unknown
                }
            };
            job.mute_since = (job.status == JobStatus::Unknown).then(|| job.mute_since.unwrap_or(now));
            if job.mute_since.is_some() {
                // It is not watched.
                job.next_poll = job.next_poll.min(now + as_millis(poll_interval));
            }
            if job.status.is_terminal() {
                job.ended_at = Some(now);
                if job.has_failed() {
                    state.failed_at = now;
                }
                let soon = now.max(state.looked_at + state.pages * LOOK_PER_PAGE);
                state.look_at = state.look_at.min(soon);
                let (id, attempt, files) = (&job.job, job.attempt, job.names.len());
                let took = Duration::from_millis(u64::try_from(now - job.made_at).unwrap_or(0));
                signals::engine::job_ended(&held.lease.key.id, id, job.status, attempt, files, took);
            }
        }
        self.watch_those_that_run(held, state);
        let project = project_of(held, waiters);
        let done_with = |job: &&mut RunningJob| job.ended_at.is_some() || job.is_mute(now, long);
        for job in state.jobs.iter_mut().filter(done_with).filter(|job| !job.slot.is_empty()) {
            if let Some(project) = &project {
                self.give_back(project, &job.slot).await?;
                job.slot.clear();
            }
        }
        if waiters.is_empty() {
            // No waiter needs to know how it ends, and ICAv2 does not tell.
            state.jobs.retain(|job| !job.is_mute(now, long));
        }
        let failed: Vec<RunningJob> = state.jobs.iter().filter(|job| job.has_failed()).cloned().collect();
        let mut ended = Vec::new();
        for job in &failed {
            state.note_spent(job);
            let mut end = self.end_of(job, waiters).await?;
            let copied = std::mem::take(&mut end.copied);
            state
                .jobs
                .iter_mut()
                .filter(|known| known.job == job.job)
                .for_each(|known| known.copied = copied.clone());
            ended.push(end);
        }
        Ok(ended)
    }

    /// Has the jobs watched of which a status was told that says that they run.
    fn watch_those_that_run(&self, held: &Leased, state: &FolderState) {
        let jobs = state.running().filter(|job| job.status != JobStatus::Unknown).map(|job| &job.job);
        let longest = self.core.settings.jobs.poll_interval;
        self.job_watch.watch(&held.lease.key, &state.root_refs, jobs, longest);
    }

    /// When the folder asks for a job that nothing has told of: the longer it has run, the more rarely. Jobs meet at the same instants, so that they
    /// can be asked for together.
    fn next_poll(&self, now: i64, made_at: i64) -> i64 {
        let soonest = 2 * as_millis(self.core.settings.jobs.poll_interval);
        // Where an instance dies, its roots must not seem to have stalled.
        let longest = as_millis(LONGEST.min(self.core.settings.heartbeat.stalled_after / 4));
        let wait = (now - made_at).clamp(soonest, longest.max(soonest));
        let grid = as_millis(POLL_ALIGNMENT);
        (now + wait + grid - 1).div_euclid(grid) * grid
    }

    /// The report on a job that has ended badly: its items name the files that failed, and the files that
    /// they created at the destination are ours to clean up without waiting.
    async fn end_of(&self, job: &RunningJob, waiters: &[Waiter]) -> RoundResult<JobEnd> {
        let mut end = JobEnd::default();
        let Some(project) = waiters.first().map(|waiter| &waiter.spec.project) else { return Ok(end) };
        let brought: HashSet<&String> = job.names.iter().collect();
        let mut names: HashMap<DataId, String> = HashMap::new();
        for waiter in waiters {
            if let Ok(resolved) = self.resolve(waiter).await {
                let its = resolved.files.iter().filter(|file| brought.contains(&file.wanted.name));
                names.extend(its.filter_map(|file| Some((file.id()?.clone(), file.wanted.name.clone()))));
            }
        }
        let overall = format!("job {} is {}", job.job, job.status.as_str());
        for name in &job.names {
            end.reasons.insert(name.clone(), overall.clone());
        }
        let (mut from, mut made, mut copied) = (None, Made::default(), Vec::new());
        loop {
            let page = match self.core.ports.platform.batch_items(project, &job.batch, from.as_deref()).await
            {
                Ok(page) => page,
                Err(error) if error.is_passing() => return Err(error.into()),
                // There is nothing to be learnt; leftovers are treated like those of another writer.
                Err(_) => return Ok(end),
            };
            for item in page.items {
                made.add(&item);
                // Of a job that ICAv2 does not know, only the items that say so have ended.
                let has_ended = !job.lost || LEFT.contains(&item.status.as_str());
                if item.status == COPIED {
                    copied.extend(names.get(&item.data).cloned());
                } else if has_ended {
                    end.leftovers.extend(item.created);
                }
                if let (Some(name), Some(reason)) = (names.get(&item.data), item.reason) {
                    let reason: String = reason.chars().take(LONGEST_REASON).collect();
                    end.reasons.insert(name.clone(), format!("job {}: {reason}", job.job));
                }
            }
            from = page.next;
            if from.is_none() {
                self.made.note(&job.batch, made);
                end.copied = copied.into_iter().collect();
                return Ok(end);
            }
        }
    }

    /// Submits one job, with the slot that was waited for or with one that is free now; false when
    /// there is none, which the folder then waits for.
    pub(super) async fn submit(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        snapshot: &Snapshot,
        batch: &Batch<'_>,
    ) -> RoundResult<bool> {
        let Some(folder) = &snapshot.folder else { return Ok(false) };
        if self.any_stopped(snapshot).await? {
            // The other waiters go on without the stopped ones.
            state.look_again = true;
            return Ok(false);
        }
        let now = self.core.ports.clock.now();
        let mut ids: Vec<_> = batch.files.iter().filter_map(|queued| queued.source.id().cloned()).collect();
        ids.sort();
        let client = self.core.ports.chance.uuid().to_string();
        let waited = state.wish.take_if(|wish| wish.serves(batch.express));
        let had = waited.is_some();
        let mut wish = waited.unwrap_or_else(|| {
            let root = self.slots.furthest_below_share(&snapshot.project, &snapshot.roots(&batch.files));
            SlotRequest::new(&root, &client, batch.express)
        });
        let intent = Intent {
            client,
            slot: wish.member.clone(),
            names: batch.names.clone(),
            at: millis(now),
            attempt: state.charged + 1,
            full: batch.files.len() >= self.core.settings.jobs.max_items_per_job,
            express: batch.express,
            piece: batch.piece,
            ghost: false,
            look_at: millis(now) + as_millis(ADOPT_EVERY),
            digest: digest_of(&ids),
            ids: Vec::new(),
        };
        // The intent is stored first: a slot that is taken always belongs to a stored intent, whose holder
        // gives it back.
        state.intents.push(intent.clone());
        self.core.save(held, vec![document(state)?]).await?;
        if !had && !self.take_slot(held, &snapshot.project, &mut wish, &mut state.refusals).await? {
            self.stood_in_line(state, &snapshot.project);
            state.intents.retain(|known| known.client != intent.client);
            match &mut state.wish {
                // It waits for a slot of the other kind already, and from now on for either.
                Some(known) => known.express |= wish.express,
                None => state.wish = Some(wish),
            }
            return Ok(false);
        }
        held.lease.check()?;
        match self.core.ports.platform.submit(&snapshot.project, folder, &ids).await {
            Ok(submitted) => {
                self.core.record_progress(&state.root_refs);
                self.record(held, state, &intent, submitted).await?;
                Ok(true)
            }
            Err(error) if error.may_have_happened => {
                signals::engine::submission_unanswered(&held.lease.key.id, &error);
                self.core.note_outage(&state.root_refs, &error);
                Ok(true)
            }
            Err(error) => {
                self.give_back(&snapshot.project, intent.slot()).await?;
                state.intents.retain(|known| known.client != intent.client);
                if error.is_passing() {
                    return Err(error.into());
                }
                // The same again would be refused again, but perhaps not with other files.
                signals::engine::submission_refused(&held.lease.key.id, &error);
                state.trouble = error.to_string().chars().take(LONGEST_REASON).collect();
                state.charged += 1;
                self.pause_jobs(state);
                Ok(true)
            }
        }
    }

    /// Notes a job that exists, in place of its intent.
    pub(super) async fn record(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        intent: &Intent,
        submitted: Submitted,
    ) -> RoundResult<()> {
        let now = self.core.ports.clock.now();
        signals::engine::job_submitted(
            &held.lease.key.id,
            &submitted.job.id,
            intent.names.len(),
            intent.attempt,
        );
        let note = Item::new(waiter::job_key(&submitted.job.id))
            .with(attr::FOLDER, held.lease.key.id.as_str())
            .with(attr::ROOT, state.root_refs.first().map_or("", |first| first.root.as_str()))
            .with(EXPIRE_AT, records::after(now, self.core.settings.service.keep) / 1000);
        state.intents.retain(|known| known.client != intent.client);
        state.jobs.push(RunningJob {
            job: submitted.job.id,
            batch: submitted.batch,
            names: intent.names.clone(),
            attempt: intent.attempt,
            status: submitted.job.status,
            slot: intent.slot().to_owned(),
            full: intent.full,
            express: intent.express,
            piece: intent.piece,
            polls: 0,
            next_poll: self.next_poll(millis(now), millis(now)),
            ended_at: None,
            made_at: millis(submitted.job.created),
            mute_since: None,
            lost: false,
            copied: Names::default(),
        });
        self.watch_those_that_run(held, state);
        self.core.save(held, vec![document(state)?]).await?;
        // Only a hint for job events; a folder polls its own jobs.
        self.core.ports.store.write(Write::put_new(note)).await?;
        Ok(())
    }
}
