//! Which jobs carried whose files: an outcome lists the jobs of its own request, not those of other requests
//! that were at the same folder.

use std::{collections::HashSet, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    FolderPlane,
    claims::slot_owner_tag,
    snapshot::Snapshot,
    state::FolderState,
    submitted::{Past, RunningJob},
    waiter::Waiter,
    wanted::Resolved,
};
use crate::domain::outcome::JobSummary;

/// Requests that are noted beside a job; one with more counts for all.
const MOST_NOTED: usize = 16;

/// How long is waited for news of jobs that are only told of.
const HEAR: Duration = Duration::from_secs(5);

impl Past {
    pub(super) fn new(job: &RunningJob, snapshot: &Snapshot) -> Self {
        let names: HashSet<&str> = job.names.iter().map(String::as_str).collect();
        let theirs = snapshot.waiters.iter().filter(|(_, resolved, _)| is_wanted(resolved, &names));
        let whose = theirs.map(|(waiter, ..)| slot_owner_tag(&waiter.request));
        let mut whose: Vec<_> = whose.take(MOST_NOTED + 1).collect();
        if whose.len() > MOST_NOTED {
            whose.clear();
        }
        Self { job: summary(job), whose }
    }
}

fn is_wanted(resolved: &Resolved, names: &HashSet<&str>) -> bool {
    let files = resolved.files.iter().chain(resolved.trees.iter().map(|tree| &tree.item));
    files.map(|source| source.wanted.name.as_str()).any(|name| names.contains(name))
}

fn summary(job: &RunningJob) -> JobSummary {
    JobSummary { job_id: job.job.to_string(), attempt: job.attempt, status: job.status.as_str().to_owned() }
}

impl FolderState {
    /// The jobs that carried files of a waiter, those that have ended first. Files may be seen at the
    /// destination before their job is seen to have ended.
    pub(super) fn jobs_of(
        &self,
        waiter: &Waiter,
        resolved: &Resolved,
        carried: &[(HashSet<&str>, &RunningJob)],
    ) -> Vec<JobSummary> {
        let present = carried.iter().filter(|(names, _)| is_wanted(resolved, names));
        self.past_jobs_of(waiter).chain(present.map(|(_, job)| summary(job))).collect()
    }

    /// The jobs that have ended and carried files of a waiter.
    pub(super) fn past_jobs_of(&self, waiter: &Waiter) -> impl Iterator<Item = JobSummary> {
        let who = slot_owner_tag(&waiter.request);
        let past = self.history.iter().filter(move |past| past.whose.is_empty() || past.whose.contains(&who));
        past.map(|past| past.job.clone())
    }

    /// The files that the jobs carry that are known now.
    pub(super) fn carried(&self) -> Vec<(HashSet<&str>, &RunningJob)> {
        self.jobs.iter().map(|job| (job.names.iter().map(String::as_str).collect(), job)).collect()
    }
}

impl FolderPlane {
    /// Learns how jobs have ended whose files are seen to be there, for the waiters who are told of them. Where
    /// one page does not tell, and soon, they are told what was known last.
    pub(super) async fn hear_of_ends(&self, state: &mut FolderState, wanted: &HashSet<&str>) {
        let carries = |job: &RunningJob| job.names.iter().any(|name| wanted.contains(name.as_str()));
        let mut jobs: Vec<_> =
            state.jobs.iter_mut().filter(|job| job.ended_at.is_none() && carries(job)).collect();
        if jobs.is_empty() {
            return;
        }
        let Ok(Ok(told)) = timeout(HEAR, self.newest_jobs(Instant::now())).await else { return };
        for job in &mut jobs {
            if let Some(status) = told.get(&job.job).filter(|status| status.is_terminal()) {
                job.status = *status;
            }
        }
    }
}
