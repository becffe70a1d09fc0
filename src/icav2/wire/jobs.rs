//! What the JSON of projects, jobs and batches means.

use jiff::Timestamp;
use serde::Deserialize;

use super::{CopyBatch, CopyBatchItem, Project};
use crate::{
    domain::{
        ids::{BatchId, DataId, JobId, ProjectId},
        job::JobStatus,
    },
    ports::platform,
};

impl From<Project> for platform::Project {
    fn from(project: Project) -> Self {
        Self { id: ProjectId::new(project.id), name: project.name }
    }
}

/// `Job`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: JobStatus,
    /// Why.
    pub additional_status_information: Option<String>,
    /// What it works on.
    pub subject_id: String,
    /// When it was created.
    pub time_created: Timestamp,
    /// When it ended.
    pub time_finished: Option<Timestamp>,
    /// Who made it.
    pub owner: Option<User>,
}

/// `User`.
#[derive(Debug, Deserialize)]
pub struct User {
    /// Its id.
    pub id: Option<String>,
}

impl From<Job> for platform::Job {
    fn from(job: Job) -> Self {
        Self {
            id: JobId::new(job.id),
            status: match job.status {
                // It has ended, and not with the one that means success.
                JobStatus::Unknown if job.time_finished.is_some() => JobStatus::Failed,
                status => status,
            },
            subject: job.subject_id,
            created: job.time_created,
            reason: job.additional_status_information,
            owner: job.owner.and_then(|owner| owner.id?.parse().ok()),
        }
    }
}

impl From<CopyBatch> for platform::Submitted {
    fn from(batch: CopyBatch) -> Self {
        Self { batch: BatchId::new(batch.id), job: batch.job.into() }
    }
}

impl From<CopyBatchItem> for platform::BatchItem {
    fn from(item: CopyBatchItem) -> Self {
        Self {
            data: DataId::new(item.request.data_id),
            status: item.processing.status,
            reason: item.processing.additional_status_information,
            created: item.created_project_data.map(|made| DataId::new(made.data.id)),
        }
    }
}
