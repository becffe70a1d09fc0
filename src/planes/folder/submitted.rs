//! Submissions and copy jobs, as a folder remembers them.

use serde::{Deserialize, Serialize};

use super::names::Names;
use crate::domain::{
    ids::{BatchId, DataId, JobId, digest},
    job::JobStatus,
    outcome::JobSummary,
};

/// A copy job that was meant to be submitted; its answer has not been seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, stored as they are")]
pub(super) struct Intent {
    /// Our own id of the submission.
    pub client: String,
    /// Its place among the project's running jobs; in records of older versions the id.
    #[serde(default)]
    pub slot: String,
    /// The source files, as [`digest_of`] has them.
    #[serde(default)]
    pub digest: String,
    /// The source files, where an older version wrote the intent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<DataId>,
    /// Their names at the destination.
    pub names: Names,
    /// When it was written.
    pub at: i64,
    /// When to look for its job.
    #[serde(default)]
    pub look_at: i64,
    /// Which try for its files this is, from 1.
    pub attempt: u32,
    /// Whether it has as many files as a job may have.
    pub full: bool,
    /// Whether it carries only files of small requests.
    #[serde(default)]
    pub express: bool,
    /// Whether it carries one piece of a set that failed.
    #[serde(default)]
    pub piece: bool,
    /// Given up after `submit_settle`: it claims nothing any more, but if its job shows up after all
    /// it is adopted.
    #[serde(default)]
    pub ghost: bool,
}

impl Intent {
    /// Its place among the project's running jobs.
    pub(super) fn slot(&self) -> &str {
        if self.slot.is_empty() { &self.client } else { &self.slot }
    }

    /// Whether these, sorted, are its source files.
    pub(super) fn is_of(&self, sorted: &[DataId]) -> bool {
        if self.digest.is_empty() { self.ids == sorted } else { self.digest == digest_of(sorted) }
    }
}

/// The digest of a set of source files, sorted by id.
pub(super) fn digest_of(sorted: &[DataId]) -> String {
    digest(&sorted.iter().map(DataId::as_str).collect::<Vec<_>>())
}

/// A copy job that is known to exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, stored as they are")]
pub(super) struct RunningJob {
    pub job: JobId,
    pub batch: BatchId,
    /// The names it brings.
    pub names: Names,
    pub attempt: u32,
    pub status: JobStatus,
    /// Its place among the project's running jobs; empty once it was given back.
    pub slot: String,
    pub full: bool,
    /// Whether it carries only files of small requests.
    #[serde(default)]
    pub express: bool,
    /// Whether it carries one piece of a set that failed.
    #[serde(default)]
    pub piece: bool,
    /// How often it has been asked for.
    pub polls: u32,
    /// When to ask again.
    pub next_poll: i64,
    /// When it was seen to have ended. It stays until a look has shown the files that it brought.
    pub ended_at: Option<i64>,
    /// When ICAv2 made it, by its own clock.
    #[serde(default)]
    pub made_at: i64,
    /// Since when its status could not be read, or is one that is not known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_since: Option<i64>,
    /// ICAv2 knows of no such job: nothing says whether it is still at work.
    #[serde(default)]
    pub lost: bool,
    /// The files that its items say were copied although the job has failed: they may show late, like those
    /// of a job that succeeded.
    /// It is not stored: every round reads the items of such a job.
    #[serde(skip)]
    pub copied: Names,
}

impl RunningJob {
    /// Ended, and without all of its files.
    pub(super) fn has_failed(&self) -> bool {
        self.ended_at.is_some() && self.status != JobStatus::Succeeded
    }

    /// The names that it still brings, or has brought unseen.
    pub(super) fn brings(&self) -> &Names {
        if self.has_failed() { &self.copied } else { &self.names }
    }

    /// Whether a file that it has brought may still show, as far as `now` and `settle` (milliseconds) tell.
    pub(super) fn may_show(&self, is_open: impl Fn(&str) -> bool, now: i64, settle: i64) -> bool {
        self.ended_at.is_none_or(|at| now < at + settle) && self.brings().iter().any(|name| is_open(name))
    }

    /// Whether nothing has been learnt of it for that long, in milliseconds.
    pub(super) fn is_mute(&self, now: i64, long: i64) -> bool {
        self.ended_at.is_none() && self.mute_since.is_some_and(|since| now >= since + long)
    }
}

/// A job that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    #[serde(flatten)]
    pub job: JobSummary,
    /// The roots whose files it carried, as [`super::claims::slot_owner_tag`] has them; empty: any root's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whose: Vec<String>,
}

/// A job of ours that has ended and did not bring all of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spent {
    pub batch: BatchId,
    /// When ICAv2 made it: files that were there before are not its work.
    pub made_at: i64,
}

/// The remains of a file that no waiter wants any more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Left {
    /// The file that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<DataId>,
    /// The nonce that it was made with, where the answer was not seen.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    pub at: i64,
}
