//! How the simulated platform behaves when no client has asked for faults.

use std::{num::NonZeroU64, time::Duration};

use jiff::Timestamp;

/// The platform's settings. [`Default`] is a fast and faultless platform, but for the tag defect,
/// which the real one has.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Every id and every outcome is drawn from it.
    pub seed: u64,
    /// The share of copy jobs that fail, 0 to 1.
    pub job_failure_rate: f64,
    /// From the making of a job to its end.
    pub job_duration: Duration,
    /// What every API call takes.
    pub latency: Duration,
    /// Bytes a second that one call of S3 copies, besides the latency; without it a copy takes no time.
    pub s3_copy_rate: Option<NonZeroU64>,
    /// API calls a second before 429 is answered.
    pub rate_limit: Option<u32>,
    /// Wall time at the start; it goes on with tokio's clock.
    pub epoch: Timestamp,
    /// What presigned URLs start with.
    pub public_url: String,
    /// From the last byte of a file to its AVAILABLE.
    pub index_delay: Duration,
    /// From a deletion to the data being gone.
    pub delete_delay: Duration,
    /// Whether single-part files fail in a copy job.
    pub tag_defect: bool,
    /// Whether a copy job may read from the project it writes to.
    pub same_project_copies: bool,
}

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            job_failure_rate: 0.0,
            job_duration: Duration::from_secs(2),
            latency: Duration::ZERO,
            s3_copy_rate: None,
            rate_limit: None,
            epoch: EPOCH,
            public_url: "http://127.0.0.1:1234".to_owned(),
            index_delay: Duration::ZERO,
            delete_delay: Duration::from_secs(1),
            tag_defect: true,
            same_project_copies: true,
        }
    }
}
