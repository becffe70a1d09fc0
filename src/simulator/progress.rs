//! How the copy jobs stand, for the demo, which shows the simulator at work.

use super::Simulator;
use crate::domain::job::JobStatus;

/// Copy jobs by how they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Jobs {
    /// All that were ever made.
    pub total: u64,
    /// Not ended.
    pub running: u64,
    /// Ended without all of their files.
    pub failed: u64,
}

impl Simulator {
    /// How the copy jobs stand now.
    pub fn jobs(&self) -> Jobs {
        self.with(|state| {
            state.copies.all().iter().fold(Jobs::default(), |mut jobs, batch| {
                jobs.total += 1;
                jobs.running += u64::from(!batch.job.status.is_terminal());
                jobs.failed +=
                    u64::from(batch.job.status.is_terminal() && batch.job.status != JobStatus::Succeeded);
                jobs
            })
        })
    }
}
