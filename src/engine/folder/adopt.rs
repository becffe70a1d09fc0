//! Submissions that were never answered: their jobs are looked for among the jobs created since, for
//! at least `submit_settle`, before anything is submitted again; late doubles are adopted too.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    jobs::{ADOPT_EVERY, project_of},
    look::Picture,
    state::{FolderState, Intent},
};
use crate::{
    domain::ids::{BatchId, DataId, ProjectId},
    engine::{
        Engine,
        lease::{Held, Step},
        records::{Waiter, as_millis, millis},
    },
    ports::{
        Class, Result,
        platform::{Job, Submitted},
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

/// Into which folder a job copies, as far as this instance has asked: that never changes, and everybody
/// who looks for a job of his passes by all the jobs of the others.
#[derive(Debug, Default)]
pub(crate) struct JobFolders(Mutex<HashMap<BatchId, DataId>>);

impl JobFolders {
    fn known(&self) -> MutexGuard<'_, HashMap<BatchId, DataId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Into which folder a batch of that project is copied.
    async fn folder_of(&self, project: &ProjectId, batch: &BatchId) -> Result<Option<DataId>> {
        if let Some(folder) = self.job_folders.known().get(batch) {
            return Ok(Some(folder.clone()));
        }
        let folder = self.ports.platform.batch_folder(project, batch).await?;
        if let Some(folder) = &folder {
            let mut known = self.job_folders.known();
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(batch.clone(), folder.clone());
        }
        Ok(folder)
    }

    /// Looks for the jobs of submissions that were never answered.
    pub(super) async fn adopt(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        waiters: &[Waiter],
    ) -> Step<()> {
        let now = millis(self.ports.clock.now());
        let Some(oldest) = state.intents.iter().map(|intent| intent.at).min() else { return Ok(()) };
        if state.intents.iter().all(|intent| now < intent.look_at) {
            return Ok(());
        }
        let Some(project) = project_of(held, waiters) else { return Ok(()) };
        let known = state.jobs.iter().map(|job| job.job.to_string());
        let past = state.history.iter().map(|past| past.job.job_id.clone());
        let mut known: BTreeSet<String> = known.chain(past).collect();
        let mut from = None;
        'pages: loop {
            let page = self.ports.platform.jobs(from.as_deref()).await?;
            for job in page.items {
                if millis(job.created) < oldest - as_millis(SKEW) {
                    break 'pages;
                }
                if known.insert(job.id.to_string())
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
        let settle = as_millis(self.settings.jobs.submit_settle);
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
            // Whoever stood still on the way to its slot may have taken it after it was given up.
            self.give_back(&project, ghost.slot()).await?;
        }
        state.intents.retain(|intent| !over(&intent));
        Ok(())
    }

    /// Whether a copy job that is not known here is at work in this folder.
    pub(super) async fn foreign_job(&self, state: &FolderState, picture: &Picture) -> Step<bool> {
        let page = self.ports.platform.jobs(None).await?;
        for job in page.items.iter().filter(|job| !job.status.is_terminal()) {
            if state.jobs.iter().any(|known| known.job == job.id) {
                continue;
            }
            let batch = BatchId::new(job.subject.as_str());
            match self.folder_of(&picture.project, &batch).await {
                Ok(folder) if folder == picture.folder => return Ok(true),
                Ok(Some(folder)) if self.is_above(&picture.project, &folder, picture).await? => {
                    return Ok(true);
                }
                Err(error) if error.is_passing() => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(false)
    }

    /// Whether a folder holds ours, so that a job that brings whole folders there may be at work in it.
    async fn is_above(&self, project: &ProjectId, folder: &DataId, picture: &Picture) -> Step<bool> {
        let Some((waiter, ..)) = picture.waiters.first() else { return Ok(false) };
        match self.ports.platform.get(project, folder).await {
            Ok(data) => Ok(waiter.spec.path.inside(&data.path).is_some()),
            Err(error) if error.is_passing() => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// The intent that a job answers: the same files into this folder.
    async fn intent_of(&self, state: &FolderState, project: &ProjectId, job: &Job) -> Step<Option<Intent>> {
        let batch = BatchId::new(job.subject.as_str());
        let folder = match self.folder_of(project, &batch).await {
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
        // A ghost only where no live submission has these files.
        let mut matching: Vec<_> = state.intents.iter().filter(|intent| intent.is_of(&ids)).collect();
        matching.sort_by_key(|intent| intent.ghost);
        Ok(matching.first().map(|intent| (*intent).clone()))
    }
}
