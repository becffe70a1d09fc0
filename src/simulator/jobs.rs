//! Jobs of batches: how they stand, and who is told when that changes.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{events, state::State, tree::ProjectKey};
use crate::domain::job::JobStatus;

/// The job of a batch.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: String,
    /// The project that its batch belongs to.
    pub(super) project: ProjectKey,
    /// What kind of batch that is, and its id.
    pub(super) subject: (&'static str, String),
    pub(super) status: JobStatus,
    pub(super) reason: Option<String>,
    pub(super) created: Timestamp,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
}

impl Job {
    /// A job that has only been made.
    pub(super) const fn new(
        id: String,
        project: ProjectKey,
        subject: (&'static str, String),
        created: Timestamp,
    ) -> Self {
        let status = JobStatus::Initialized;
        Self { id, project, subject, status, reason: None, created, started: None, finished: None }
    }

    /// Goes on to a status.
    pub(super) fn turn(&mut self, status: JobStatus, reason: Option<String>, now: Timestamp) {
        self.status = status;
        self.reason = reason;
        if status == JobStatus::Running {
            self.started = Some(now);
        }
        if status.is_terminal() {
            self.finished = Some(now);
        }
    }
}

/// What a job does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    Run,
    Finish,
}

impl Step {
    /// When a job that takes so long in all does what.
    pub(super) fn all(takes: Duration) -> [(Duration, Self); 3] {
        let steps = [(0.1, Self::Wait), (0.2, Self::Run), (1.0, Self::Finish)];
        steps.map(|(share, step)| (Duration::from_secs_f64(takes.as_secs_f64() * share), step))
    }
}

impl State {
    /// The jobs of all batches.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        let moves = self.moves.iter().map(|batch| &batch.job);
        self.copies.all().iter().map(|batch| &batch.job).chain(moves)
    }

    /// A job by its id.
    pub(super) fn job(&self, id: &str) -> Option<&Job> {
        let copy = self.copies.by_job(id).map(|batch| &batch.job);
        copy.or_else(|| self.moves.iter().map(|batch| &batch.job).find(|job| job.id == id))
    }

    /// Tells of a job that has just changed from `before`.
    pub(super) fn tell(&mut self, job: &Job, before: Option<JobStatus>, at: Instant) {
        if self.faults.drop_events {
            return;
        }
        let correlation = self.uuid().to_string();
        let now = self.wall(at);
        let project = self.tree.project(job.project);
        self.events.extend(project.map(|project| events::envelope(&correlation, now, project, job, before)));
    }
}
