//! What is told of ICAv2 copy jobs.

use std::{error::Error, time::Duration};

use metrics::{counter, gauge, histogram};
use tracing::{debug, info, warn};

use super::{chain, counted, journal::note, millis};
use crate::domain::{ids::JobId, job::JobStatus};

/// Metrics of copy jobs: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    ("copy_manager_jobs_submitted_total", "ICAv2 copy jobs submitted"),
    ("copy_manager_jobs_ended_total", "ICAv2 copy jobs that ended, by status"),
    ("copy_manager_jobs_adopted_total", "Jobs whose submission was never answered, found again"),
    ("copy_manager_ica_events_total", "ICAv2 events received, by relevance"),
    (
        "copy_manager_job_duration_seconds",
        "From the submission of an ICAv2 copy job until its end is known, by status",
    ),
    ("copy_manager_jobs_running", "ICAv2 copy jobs that this instance watches"),
    ("copy_manager_job_oldest_seconds", "For how long the oldest of them has been watched, in seconds"),
    ("copy_manager_job_slots_used", "Job slots of a project that are taken, by project"),
];

/// ICAv2 events were received.
pub fn job_events(jobs: usize, others: u32) {
    counter!("copy_manager_ica_events_total", "relevance" => "job").increment(jobs as u64);
    counter!("copy_manager_ica_events_total", "relevance" => "other").increment(u64::from(others));
    debug!(code = "job.events", jobs, others, "ica events received");
}

/// A copy job was submitted.
pub fn job_submitted(folder: &str, job: &JobId, files: usize, attempt: u32) {
    note("job.submitted", || format!("{job} with {}, attempt {attempt}", counted(files, "file")));
    counter!("copy_manager_jobs_submitted_total").increment(1);
    info!(
        code = "job.submitted",
        folder_id = folder,
        job_id = job.as_str(),
        files,
        attempts = attempt,
        "copy job submitted"
    );
}

/// A copy job has ended.
pub fn job_ended(folder: &str, job: &JobId, status: JobStatus, attempt: u32, files: usize, took: Duration) {
    histogram!("copy_manager_job_duration_seconds", "status" => status.as_str()).record(took);
    note("job.ended", || format!("{job} {} with {}", status.as_str(), counted(files, "file")));
    counter!("copy_manager_jobs_ended_total", "status" => status.as_str()).increment(1);
    let (job_id, job_status, took_ms) = (job.as_str(), status.as_str(), millis(took));
    if matches!(status, JobStatus::Succeeded) {
        info!(
            code = "job.ended",
            folder_id = folder,
            job_id,
            job_status,
            files,
            attempts = attempt,
            took_ms,
            "copy job ended"
        );
        return;
    }
    let next = "what has not arrived is looked for and sent again";
    warn!(
        code = "job.ended",
        folder_id = folder,
        job_id,
        job_status,
        files,
        attempts = attempt,
        took_ms,
        next,
        "copy job ended"
    );
}

/// A submission got no answer; its job is looked for.
pub fn submission_unanswered(folder: &str, why: &dyn Error) {
    note("job.unanswered", || chain(why));
    warn!(
        code = "job.unanswered",
        folder_id = folder,
        error = chain(why),
        "copy job submission unanswered, looking for the job"
    );
}

/// Files whose job failed are submitted apart from others.
pub fn set_cut(folder: &str, files: usize, pieces: usize) {
    note("job.split", || format!("{} in {}", counted(files, "file"), counted(pieces, "job")));
    info!(code = "job.split", folder_id = folder, files, pieces, "failed copy job split");
}

/// The platform refuses to make a job.
pub fn submission_refused(folder: &str, why: &dyn Error) {
    note("job.refused", || chain(why));
    warn!(code = "job.refused", folder_id = folder, error = chain(why), "copy job submission refused");
}

/// A job could not be asked for.
pub fn poll_failed(folder: &str, job: &JobId, why: &dyn Error) {
    note("job.unread", || format!("{job}: {}", chain(why)));
    warn!(
        code = "job.unread",
        folder_id = folder,
        job_id = job.as_str(),
        error = chain(why),
        "copy job cannot be read"
    );
}

/// The job of an unanswered submission was found.
pub fn job_adopted(folder: &str, job: &JobId) {
    note("job.adopted", || job.to_string());
    counter!("copy_manager_jobs_adopted_total").increment(1);
    info!(code = "job.adopted", folder_id = folder, job_id = job.as_str(), "copy job adopted");
}

/// The job of an unanswered submission was not found; it is made again.
pub fn submission_lost(folder: &str, files: usize) {
    note("job.lost", || counted(files, "file"));
    warn!(code = "job.lost", folder_id = folder, files, "copy job submission not found, submitted again");
}

/// The project runs as many jobs as it may.
pub fn no_slot(folder: &str, limit: i64) {
    debug!(code = "job.no_slot", folder_id = folder, limit, "no free job slot");
}

/// How many jobs are watched, and for how long the oldest has been.
pub fn jobs_watched(jobs: usize, oldest: Duration) {
    gauge!("copy_manager_jobs_running").set(u32::try_from(jobs).unwrap_or(u32::MAX));
    gauge!("copy_manager_job_oldest_seconds").set(oldest.as_secs_f64());
}

/// How many job slots of a project are taken.
pub fn slots_used(project: &str, slots: usize) {
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    gauge!("copy_manager_job_slots_used", "project" => project.to_owned()).set(slots);
}
