//! Submissions that were never answered: their jobs are looked for among the jobs created since, for
//! at least `submit_settle`, before anything is submitted again; late doubles are adopted too.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    FolderPlane, jobs::ADOPT_EVERY, place::place_of, snapshot::Snapshot, state::FolderState,
    submitted::Intent, waiter::Waiter,
};
use crate::{
    domain::ids::{BatchId, ProjectId},
    engine::{
        lease::{Leased, RoundResult},
        records::{as_millis, millis},
    },
    ports::{
        Class, Result,
        platform::{Destination, Job, Submitted},
    },
    signals,
};

/// Clocks of the platform and ours may differ by this much.
const SKEW: Duration = Duration::from_mins(1);

/// How often, and for how long, a submission that was given up is still looked for.
const GHOST_EVERY: Duration = Duration::from_mins(1);
const GHOST_FOR: Duration = Duration::from_mins(10);

/// How many jobs are remembered with their folders, about 150 bytes each.
const MOST_KNOWN: usize = 10_000;

/// Into which folder each batch copies that this instance has asked for, which never changes: a holder that
/// looks for a job of its own passes by all the jobs of the others.
#[derive(Debug, Default)]
pub(crate) struct JobFolders {
    /// `None` where there is no such batch, or none that we may see.
    folders: Mutex<HashMap<BatchId, Option<Destination>>>,
}

fn lock<T>(known: &Mutex<T>) -> MutexGuard<'_, T> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FolderPlane {
    /// Into which folder a batch of that project is copied; `None` where there is no such batch.
    async fn folder_of(&self, project: &ProjectId, job: &Job) -> Result<Option<Destination>> {
        let batch = BatchId::new(job.subject.as_str());
        if let Some(folder) = lock(&self.job_folders.folders).get(&batch) {
            return Ok(folder.clone());
        }
        let folder = match self.core.ports.platform.batch_folder(project, &batch).await {
            Ok(folder) => Some(folder),
            // Another kind of job, or one into another project.
            Err(error) if matches!(error.class, Class::NotFound | Class::Forbidden | Class::Invalid) => None,
            Err(error) => return Err(error),
        };
        let is_settled = millis(job.created) < millis(self.core.ports.clock.now()) - as_millis(SKEW);
        if folder.is_some() || is_settled {
            let mut known = lock(&self.job_folders.folders);
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(batch, folder.clone());
        }
        Ok(folder)
    }

    /// Looks for the jobs of submissions that were never answered.
    pub(super) async fn adopt(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        waiters: &[Waiter],
    ) -> RoundResult<()> {
        let now = millis(self.core.ports.clock.now());
        let Some(oldest) = state.intents.iter().map(|intent| intent.at).min() else { return Ok(()) };
        if state.intents.iter().all(|intent| now < intent.look_at) {
            return Ok(());
        }
        let Some((project, path)) = place_of(held, waiters) else { return Ok(()) };
        let folder = state.destination(&path);
        let known = state.jobs.iter().map(|job| job.job.to_string());
        let past = state.history.iter().map(|past| past.job.job_id.clone());
        let mut known: BTreeSet<String> = known.chain(past).collect();
        let mut from = None;
        'pages: loop {
            let page = self.core.ports.platform.jobs(from.as_deref()).await?;
            for job in page.items {
                if millis(job.created) < oldest - as_millis(SKEW) {
                    break 'pages;
                }
                if known.insert(job.id.to_string())
                    && let Some(intent) = self.intent_of(state, &project, folder.as_ref(), &job).await?
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
        let settle = as_millis(self.core.settings.jobs.submit_settle);
        let mut lost = Vec::new();
        for intent in &mut state.intents {
            let due = now >= intent.at + settle;
            if due && !intent.ghost {
                signals::engine::submission_lost(&held.lease.key.id, intent.names.len());
                lost.push(intent.slot().to_owned());
                state.look_at = now;
            }
            intent.ghost |= due;
            intent.look_at = now + as_millis(if intent.ghost { GHOST_EVERY } else { ADOPT_EVERY });
        }
        for slot in lost {
            self.give_back(&project, &slot).await?;
        }
        let over = |intent: &&Intent| now >= intent.at + settle + as_millis(GHOST_FOR);
        for ghost in state.intents.iter().filter(over) {
            // An instance that stood still on the way to its slot may have taken it after it was given up.
            self.give_back(&project, ghost.slot()).await?;
        }
        state.intents.retain(|intent| !over(&intent));
        Ok(())
    }

    /// Whether a copy job that is not known here is at work in this folder.
    pub(super) async fn foreign_job(&self, state: &FolderState, snapshot: &Snapshot) -> Result<bool> {
        let mut from = None;
        loop {
            let page = self.core.ports.platform.running_jobs(from.as_deref()).await?;
            for job in page.items.iter().filter(|job| !job.status.is_terminal()) {
                if state.jobs.iter().any(|known| known.job == job.id) {
                    continue;
                }
                match self.folder_of(&snapshot.project, job).await? {
                    Some(folder) if Some(&folder) == snapshot.folder.as_ref() => return Ok(true),
                    Some(folder) if self.is_above(&snapshot.project, &folder, snapshot).await? => {
                        return Ok(true);
                    }
                    Some(_) | None => {}
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(false);
            }
        }
    }

    /// Whether a folder holds ours, so that a job that brings whole folders there may be at work in it.
    async fn is_above(&self, project: &ProjectId, folder: &Destination, snapshot: &Snapshot) -> Result<bool> {
        let Some((waiter, ..)) = snapshot.waiters.first() else { return Ok(false) };
        let Some(id) = folder.id() else { return Ok(true) };
        match self.core.ports.platform.get(project, id).await {
            Ok(data) => Ok(waiter.spec.path.inside(&data.path).is_some()),
            Err(error) if error.is_passing() => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// The intent that a job answers: the same files into this folder.
    async fn intent_of(
        &self,
        state: &FolderState,
        project: &ProjectId,
        folder: Option<&Destination>,
        job: &Job,
    ) -> RoundResult<Option<Intent>> {
        let batch = BatchId::new(job.subject.as_str());
        let its = self.folder_of(project, job).await?;
        if its.is_none() || its.as_ref() != folder {
            return Ok(None);
        }
        let mut ids = Vec::new();
        let mut from = None;
        loop {
            let page = self.core.ports.platform.batch_items(project, &batch, from.as_deref()).await?;
            ids.extend(page.items.into_iter().map(|item| item.data));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        ids.sort();
        // A ghost only where no live submission has these files.
        let mut matching: Vec<_> = state.intents.iter().filter(|intent| intent.is_of(&ids)).collect();
        matching.sort_by_key(|intent| intent.ghost);
        Ok(matching.first().map(|intent| (*intent).clone()))
    }
}
