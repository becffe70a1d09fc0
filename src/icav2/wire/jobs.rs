//! What the JSON of projects, jobs and batches means.

use super::{CopyBatch, CopyBatchItem, Job, Project};
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
