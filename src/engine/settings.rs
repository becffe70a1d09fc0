//! What can be set about the engine. Keys and defaults are explained in `config/default.toml`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    duration_text,
    policy::{Glob, Rules},
    request::OnConflict,
    route::{Folders, SinglePart},
};

/// How copies are made (`[copy]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopySettings {
    /// What is done with single-part files.
    pub single_part: SinglePart,
    /// How source folders are brought.
    pub folders: Folders,
    /// What is done about conflicts where the request does not say.
    pub on_conflict: OnConflict,
    /// How deep a source folder may nest.
    pub max_depth: u32,
    /// How many files one request may have.
    pub max_files: u64,
    /// How many folders one request may write to.
    pub max_folders: u64,
    /// How many files this instance streams at a time.
    pub concurrent_streams: usize,
    /// Bytes of the largest file that is uploaded with one PUT; larger ones are uploaded in parts.
    pub largest_put: u64,
    /// Whether empty source folders are made at the destination.
    pub empty_folders: bool,
}

/// How objects are copied between buckets (`[copy_out]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CopyOutSettings {
    /// The bucket of lists that are given without one; empty: there is none.
    #[serde(default)]
    pub working_bucket: String,
    /// What the keys of such lists start with; empty, or ends with `/`.
    #[serde(default)]
    pub working_prefix: String,
    /// Buckets that nothing is copied to.
    #[serde(default)]
    pub deny_destination_buckets: Vec<Glob>,
    /// Hosts of endpoints that a request may name; none where empty.
    #[serde(default)]
    pub endpoint_hosts: Vec<Glob>,
    /// Secrets that a request may name; none where empty.
    #[serde(default)]
    pub secrets: Vec<Glob>,
    /// The canned ACL of what is written; empty: none.
    #[serde(default)]
    pub acl: String,
    /// The account that destination buckets must belong to; empty: any.
    #[serde(default)]
    pub expected_bucket_owner: String,
    /// What is done about tags.
    pub tags: Tags,
    /// Bytes of the largest object that is copied with one call, unless it has parts of its own.
    pub multipart_threshold: u64,
    /// Bytes of a part of larger objects.
    pub part_size: u64,
    /// Parts of one object that are copied at a time.
    pub concurrent_parts: usize,
    /// Calls that copy to one bucket at a time, at most.
    pub max_concurrency: usize,
    /// Objects that one list may stand for.
    pub max_objects: u64,
    /// Objects that one wildcard may stand for.
    pub max_expansion: usize,
    /// The wait before a destination that refuses us is tried again.
    #[serde(with = "duration_text")]
    pub access_retry: Duration,
    /// How long a destination may refuse us before the request ends.
    #[serde(with = "duration_text")]
    pub access_deadline: Duration,
    /// The first wait before an object that is being restored is looked at again; doubled each time.
    #[serde(with = "duration_text")]
    pub thaw_check: Duration,
    /// The longest such wait.
    #[serde(with = "duration_text")]
    pub thaw_check_cap: Duration,
    /// How long a restore may take.
    #[serde(with = "duration_text")]
    pub thaw_deadline: Duration,
    /// Tries for one object before it counts as failed.
    pub max_attempts: u32,
}

impl Default for CopyOutSettings {
    /// As in `config/default.toml`.
    fn default() -> Self {
        Self {
            working_bucket: String::new(),
            working_prefix: String::new(),
            deny_destination_buckets: Vec::new(),
            endpoint_hosts: Vec::new(),
            secrets: Vec::new(),
            acl: String::new(),
            expected_bucket_owner: String::new(),
            tags: Tags::BestEffort,
            multipart_threshold: 5 << 30,
            part_size: 512 << 20,
            concurrent_parts: 16,
            max_concurrency: 256,
            max_objects: 10_000_000,
            max_expansion: 256,
            access_retry: Duration::from_mins(10),
            access_deadline: Duration::from_hours(14 * 24),
            thaw_check: Duration::from_mins(5),
            thaw_check_cap: Duration::from_mins(30),
            thaw_deadline: Duration::from_hours(72),
            max_attempts: 5,
        }
    }
}

/// What is done about the tags of objects (`copy_out.tags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tags {
    /// They are copied, or nothing is.
    Copy,
    /// They are copied where both ends permit it.
    #[default]
    BestEffort,
    /// They are left out.
    Suppress,
}

/// What is done about copies inside one project (`icav2.same_project_copies`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SameProject {
    /// They are made.
    #[default]
    Allow,
    /// The request is refused.
    Refuse,
}

/// How ICAv2 is used (the scheduling part of `[icav2]`).
#[derive(Debug, Clone, PartialEq)]
pub struct JobSettings {
    /// Running copy jobs per destination project, over the fleet.
    pub max_running_jobs: u32,
    /// As many more for small requests alone.
    pub express_slots: u32,
    /// Files in one copy job.
    pub max_items_per_job: usize,
    /// How long a batch stays open for more files.
    pub batch_window: Duration,
    /// What is done about copies inside one project.
    pub same_project_copies: SameProject,
    /// Charged rounds before the files that do not arrive are given up.
    pub max_attempts: u32,
    /// The longest time between two looks at a running job.
    pub poll_interval: Duration,
    /// How long the API may take to show what has happened.
    pub settle: Duration,
    /// How old a PARTIAL file that is not ours must be before it is taken for abandoned.
    pub abandoned_after: Duration,
    /// How long an unanswered submission is looked for before it is made again.
    pub submit_settle: Duration,
}

/// What is done about tokens (`[heartbeat]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// No token ever goes longer without a heartbeat.
    #[serde(with = "duration_text")]
    pub promise: Duration,
    /// How often one is sent; empty for 60 % of the promise.
    #[serde(default)]
    pub interval: String,
    /// Whether a RUNNING event with counters goes on the bus at each beat.
    pub publish: bool,
    /// How many callbacks all instances on the table make per second together.
    pub calls_per_second: u32,
    /// Without evidence of progress for that long, beats stop and a look decides.
    #[serde(with = "duration_text")]
    pub stalled_after: Duration,
    /// A platform that answers with faults counts as evidence for that long.
    #[serde(with = "duration_text")]
    pub outage_after: Duration,
    /// What becomes of a copy whose callers have all gone.
    pub on_caller_gone: OnCallerGone,
}

/// What becomes of a copy for which no caller waits any more (`heartbeat.on_caller_gone`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCallerGone {
    /// It is finished.
    #[default]
    Finish,
    /// It is stopped; what has arrived stays.
    Stop,
}

impl HeartbeatSettings {
    /// How often a heartbeat is sent.
    #[must_use]
    pub fn every(&self) -> Duration {
        duration_text::parse(&self.interval).unwrap_or_else(|_| self.promise.mul_f64(0.6))
    }
}

/// How the process works (`[service]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// Leases this instance holds at a time.
    pub max_active: usize,
    /// How long a call to ICAv2 may wait for its turn before no more folders are begun.
    #[serde(with = "duration_text")]
    pub max_call_wait: Duration,
    /// Files of large folders that are held in memory at a time.
    pub max_files: usize,
    /// Requests for one folder that are served at a time.
    pub max_waiters: usize,
    /// Bytes of JSON that a request's payload may have.
    pub max_payload: usize,
    /// How often the due index is walked.
    #[serde(with = "duration_text")]
    pub tick: Duration,
    /// How long a lease is good for.
    #[serde(with = "duration_text")]
    pub lease: Duration,
    /// The first wait after a failed round; doubled each time, with full jitter.
    #[serde(with = "duration_text")]
    pub retry_base: Duration,
    /// The longest such wait.
    #[serde(with = "duration_text")]
    pub retry_cap: Duration,
    /// How long a stop may take.
    #[serde(with = "duration_text")]
    pub drain_timeout: Duration,
    /// How long settled records are kept.
    #[serde(with = "duration_text")]
    pub keep: Duration,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `[copy]`
    pub copy: CopySettings,
    /// `[copy_out]`
    pub copy_out: CopyOutSettings,
    /// `[icav2]`, in part
    pub jobs: JobSettings,
    /// `[policy]`
    pub policy: Rules,
    /// `[heartbeat]`
    pub heartbeat: HeartbeatSettings,
    /// `[service]`
    pub service: ServiceSettings,
}

impl Settings {
    /// As they are installed: for tests, which change what they are about.
    #[must_use]
    pub fn for_tests() -> Self {
        Self {
            copy: CopySettings {
                single_part: SinglePart::Stream,
                folders: Folders::PerFolder,
                on_conflict: OnConflict::Fail,
                max_depth: 64,
                max_files: 1_000_000,
                max_folders: 100_000,
                concurrent_streams: 16,
                largest_put: 5 << 30,
                empty_folders: true,
            },
            copy_out: CopyOutSettings::default(),
            jobs: JobSettings {
                max_running_jobs: 20,
                express_slots: 2,
                max_items_per_job: 1000,
                same_project_copies: SameProject::Allow,
                batch_window: Duration::from_secs(2),
                max_attempts: 5,
                poll_interval: Duration::from_mins(1),
                settle: Duration::from_mins(2),
                abandoned_after: Duration::from_hours(36),
                submit_settle: Duration::from_mins(1),
            },
            policy: Rules::default(),
            heartbeat: HeartbeatSettings {
                promise: Duration::from_mins(5),
                interval: String::new(),
                publish: true,
                calls_per_second: 300,
                stalled_after: Duration::from_mins(30),
                outage_after: Duration::from_hours(6),
                on_caller_gone: OnCallerGone::Finish,
            },
            service: ServiceSettings {
                max_active: 256,
                max_call_wait: Duration::from_secs(3),
                max_files: 500_000,
                max_waiters: 500,
                max_payload: 16 << 20,
                tick: Duration::from_secs(5),
                lease: Duration::from_secs(45),
                retry_base: Duration::from_secs(5),
                retry_cap: Duration::from_mins(5),
                drain_timeout: Duration::from_secs(100),
                keep: Duration::from_hours(720),
            },
        }
    }
}
