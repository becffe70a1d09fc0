//! ICAv2 copy jobs: submitted by intent, polled, adopted when their answer was lost (DESIGN §6.5).
//!
//! The API has no idempotency key for a submission and no way to cancel one. So the intent is
//! stored first; an intent without a job is looked for among the jobs created since, for at least
//! `submit_settle`, before anything is submitted again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    document,
    look::{Picture, as_millis},
    sources::Source,
    state::{FolderState, Intent, RunningJob},
};
use crate::{
    domain::{
        ids::{BatchId, DataId, JobId, ProjectId},
        job::JobStatus,
    },
    engine::{
        Engine,
        backoff::jittered,
        lease::{Halt, Held, Step},
        records::{self, Waiter, attr, millis},
    },
    ports::{
        Class, Error,
        platform::{Job, Submitted},
        store::{Change, Condition, EXPIRE_AT, Item, Write, Written},
    },
    signals,
};

/// When a job is asked for after its submission: soon at first, then at the poll interval.
const POLLS: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30)];

/// How often an unanswered submission is looked for.
const ADOPT_EVERY: Duration = Duration::from_secs(5);

/// Clocks of the platform and ours may differ by this much.
const SKEW: Duration = Duration::from_mins(1);

/// A job that has just been seen to have ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub job: RunningJob,
    /// What its failed items said, by name.
    pub reasons: BTreeMap<String, String>,
    /// What it has left at the destination.
    pub leftovers: Vec<DataId>,
}

impl Engine {
    /// Asks for running jobs that are due, or for all of them when there may be news.
    pub(super) async fn poll_jobs(
        &self,
        held: &Held,
        state: &mut FolderState,
        woken: bool,
        waiters: &[Waiter],
    ) -> Step<Vec<Ended>> {
        let now = millis(self.ports.clock.now());
        let mut ended = Vec::new();
        for n in 0..state.jobs.len() {
            let Some(job) = state.jobs.get_mut(n) else { break };
            if job.ended_at.is_some() || !(woken || now >= job.next_poll) {
                continue;
            }
            let seen = self.ports.platform.job(&job.job).await?;
            job.polls += 1;
            job.status = seen.status;
            job.next_poll = now + self.next_poll(job.polls);
            if seen.status.is_terminal() {
                ended.push(self.end_of(held, job.clone(), seen, waiters).await?);
            }
        }
        for end in &ended {
            state.remember(&end.job);
            self.free_slot(held, waiters, &end.job.slot).await?;
            if end.job.status == JobStatus::Succeeded {
                let mark = |job: &mut RunningJob| job.ended_at = Some(now);
                state.jobs.iter_mut().filter(|job| job.job == end.job.job).for_each(mark);
            } else {
                state.jobs.retain(|job| job.job != end.job.job);
            }
        }
        Ok(ended)
    }

    fn next_poll(&self, polls: u32) -> i64 {
        let longest = self.settings.jobs.poll_interval;
        let wait = POLLS.get(polls as usize).copied().unwrap_or(longest).min(longest);
        as_millis(wait)
    }

    /// What can be learnt of a job that has ended badly: its items name what failed, and what they
    /// created at the destination is ours to clean up without waiting.
    async fn end_of(&self, held: &Held, job: RunningJob, seen: Job, waiters: &[Waiter]) -> Step<Ended> {
        signals::engine::job_ended(&held.lease.key.id, &job.job, seen.status, job.attempt, job.names.len());
        let mut end = Ended { job, reasons: BTreeMap::new(), leftovers: Vec::new() };
        let Some(project) = waiters.first().map(|waiter| &waiter.spec.project) else { return Ok(end) };
        if end.job.status == JobStatus::Succeeded {
            return Ok(end);
        }
        let mut names: BTreeMap<DataId, String> = BTreeMap::new();
        for waiter in waiters {
            let resolved = self.resolve(waiter).await?;
            names.extend(resolved.files.iter().map(|file| (file.id.clone(), file.wanted.name.clone())));
        }
        let overall = format!("job {} is {}", end.job.job, end.job.status.as_str());
        let overall = seen.reason.map_or(overall.clone(), |reason| format!("{overall}: {reason}"));
        for name in &end.job.names {
            end.reasons.insert(name.clone(), overall.clone());
        }
        let mut from = None;
        loop {
            let page = self.ports.platform.batch_items(project, &end.job.batch, from.as_deref()).await?;
            for item in page.items {
                if item.status != "COPIED" {
                    end.leftovers.extend(item.created);
                }
                if let (Some(name), Some(reason)) = (names.get(&item.data), item.reason) {
                    end.reasons.insert(name.clone(), format!("job {}: {reason}", end.job.job));
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(end);
            }
        }
    }

    /// Counts the rounds of jobs that brought nothing, and sets the pause after a bad one.
    pub(super) fn charge(&self, state: &mut FolderState, picture: &Picture, ended: &[Ended]) {
        let now = millis(self.ports.clock.now());
        let settle = as_millis(self.settings.jobs.settle);
        let mut bad = false;
        let mut brought = false;
        for end in ended.iter().filter(|end| end.job.status != JobStatus::Succeeded) {
            bad = true;
            brought |= picture.any_done(&end.job.names);
        }
        // A job that succeeded and whose files do not show up for long enough did not succeed.
        state.jobs.retain(|job| {
            let Some(ended_at) = job.ended_at else { return true };
            if picture.all_done(&job.names) {
                return false;
            }
            let waiting = now < ended_at + settle;
            bad |= !waiting;
            brought |= !waiting && picture.any_done(&job.names);
            waiting
        });
        if bad {
            state.charged += u32::from(!brought);
            let jobs = &self.settings.jobs;
            let wait = jittered(jobs.retry_base, jobs.retry_cap, state.charged, self.ports.chance.as_ref());
            state.not_before = now + as_millis(wait);
        } else if ended.iter().any(|end| picture.any_done(&end.job.names)) {
            state.charged = 0;
        }
    }

    /// Submits one job; false when the project has no free slot now.
    pub(super) async fn submit(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        picture: &Picture,
        files: &[&Source],
    ) -> Step<bool> {
        let Some(folder) = &picture.folder else { return Ok(false) };
        let now = self.ports.clock.now();
        let mut ids: Vec<_> = files.iter().map(|file| file.id.clone()).collect();
        ids.sort();
        let intent = Intent {
            client: self.ports.chance.uuid().to_string(),
            names: files.iter().map(|file| file.wanted.name.clone()).collect(),
            at: millis(now),
            attempt: state.charged + 1,
            full: files.len() >= self.settings.jobs.max_items_per_job,
            ids,
        };
        let slots = records::slots_key(&picture.project);
        let limit = i64::from(self.settings.jobs.max_running_jobs);
        let take = Write::update(slots, vec![Change::Include(attr::RUNNING.into(), intent.client.clone())])
            .when(Condition::Room { set: attr::RUNNING.into(), member: intent.client.clone(), limit });
        held.lease.check()?;
        if let Written::Refused(_) = self.ports.store.write(take).await? {
            signals::engine::no_slot(&held.lease.key.id, limit);
            return Ok(false);
        }
        state.intents.push(intent.clone());
        self.save(held, vec![document(state)?]).await?;
        held.lease.check()?;
        match self.ports.platform.submit(&picture.project, folder, &intent.ids).await {
            Ok(submitted) => {
                self.record(held, state, &intent, submitted).await?;
                Ok(true)
            }
            Err(error) if error.may_have_happened => {
                signals::engine::submission_unanswered(&held.lease.key.id, &error);
                state.look_at = millis(now) + as_millis(ADOPT_EVERY);
                state.not_before = state.look_at;
                Ok(true)
            }
            Err(error) => {
                state.intents.retain(|known| known.client != intent.client);
                self.give_back(&picture.project, &intent.client).await?;
                Err(error.into())
            }
        }
    }

    /// Notes a job that exists, in place of its intent.
    async fn record(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        intent: &Intent,
        submitted: Submitted,
    ) -> Step<()> {
        let now = self.ports.clock.now();
        signals::engine::job_submitted(
            &held.lease.key.id,
            &submitted.job.id,
            intent.ids.len(),
            intent.attempt,
        );
        let note = Item::new(records::job_key(&submitted.job.id))
            .with(attr::FOLDER, held.lease.key.id.as_str())
            .with(EXPIRE_AT, records::after(now, self.settings.service.keep) / 1000);
        state.intents.retain(|known| known.client != intent.client);
        state.jobs.push(RunningJob {
            job: submitted.job.id,
            batch: submitted.batch,
            names: intent.names.clone(),
            attempt: intent.attempt,
            status: submitted.job.status,
            slot: intent.client.clone(),
            full: intent.full,
            polls: 0,
            next_poll: millis(now) + self.next_poll(0),
            ended_at: None,
        });
        self.save(held, vec![document(state)?]).await?;
        // Only a hint for job events; a folder polls its own jobs.
        self.ports.store.write(Write::put_new(note)).await?;
        Ok(())
    }

    /// Looks for the jobs of submissions that were never answered.
    pub(super) async fn adopt(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        waiters: &[Waiter],
    ) -> Step<()> {
        let Some(oldest) = state.intents.iter().map(|intent| intent.at).min() else { return Ok(()) };
        let Some(spec) = waiters.first().map(|waiter| &waiter.spec) else {
            // Nobody waits: the job may run to its end, nothing more will be submitted.
            return self.drop_intents(held, state).await;
        };
        let project = spec.project.clone();
        let mut known: BTreeSet<JobId> = state.jobs.iter().map(|job| job.job.clone()).collect();
        let mut from = None;
        'pages: loop {
            let page = self.ports.platform.jobs(from.as_deref()).await?;
            for job in page.items {
                if millis(job.created) < oldest - as_millis(SKEW) {
                    break 'pages;
                }
                if known.insert(job.id.clone())
                    && let Some(intent) = self.intent_of(state, &project, &job).await?
                {
                    signals::engine::job_adopted(&held.lease.key.id, &job.id);
                    let batch = BatchId::new(job.subject.as_str());
                    self.record(held, state, &intent, Submitted { batch, job }).await?;
                }
            }
            from = page.next;
            if from.is_none() || state.intents.is_empty() {
                break;
            }
        }
        let now = millis(self.ports.clock.now());
        let settle = as_millis(self.settings.jobs.submit_settle);
        let lost: Vec<_> = state.intents.iter().filter(|intent| now >= intent.at + settle).cloned().collect();
        for intent in lost {
            signals::engine::submission_lost(&held.lease.key.id, intent.ids.len());
            state.intents.retain(|known| known.client != intent.client);
            self.give_back(&project, &intent.client).await?;
        }
        if !state.intents.is_empty() {
            state.look_at = now + as_millis(ADOPT_EVERY);
            state.not_before = state.not_before.max(state.look_at);
        }
        Ok(())
    }

    /// The intent that a job answers: the same files into this folder.
    async fn intent_of(&self, state: &FolderState, project: &ProjectId, job: &Job) -> Step<Option<Intent>> {
        let batch = BatchId::new(job.subject.as_str());
        let folder = match self.ports.platform.batch_folder(project, &batch).await {
            Ok(folder) => folder,
            // Another kind of job, or one into another project.
            Err(error) if matches!(error.class, Class::NotFound | Class::Forbidden | Class::Invalid) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if folder != state.folder {
            return Ok(None);
        }
        let mut ids = Vec::new();
        let mut from = None;
        loop {
            let page = self.ports.platform.batch_items(project, &batch, from.as_deref()).await?;
            ids.extend(page.items.into_iter().map(|item| item.data));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        ids.sort();
        Ok(state.intents.iter().find(|intent| intent.ids == ids).cloned())
    }

    async fn drop_intents(&self, held: &Held, state: &mut FolderState) -> Step<()> {
        let project = project_of(held);
        for intent in std::mem::take(&mut state.intents) {
            if let Some(project) = &project {
                self.give_back(project, &intent.client).await?;
            }
        }
        Ok(())
    }

    async fn free_slot(&self, held: &Held, waiters: &[Waiter], slot: &str) -> Step<()> {
        let project = waiters.first().map(|waiter| waiter.spec.project.clone()).or_else(|| project_of(held));
        match project {
            Some(project) => self.give_back(&project, slot).await.map_err(Halt::from),
            None => Ok(()),
        }
    }

    async fn give_back(&self, project: &ProjectId, slot: &str) -> Result<(), Error> {
        let free = Change::Exclude(attr::RUNNING.into(), slot.to_owned());
        self.ports.store.write(Write::update(records::slots_key(project), vec![free])).await.map(drop)
    }
}

/// The project of a folder record, from its destination.
fn project_of(held: &Held) -> Option<ProjectId> {
    let destination = held.item.text(attr::DESTINATION)?.strip_prefix("icav2://")?;
    destination.split_once('/').map(|(project, _)| ProjectId::new(project))
}
