//! ICAv2 jobs.

use serde::{Deserialize, Serialize};

/// Status of an ICAv2 job. The API may add to them at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// Made.
    Initialized,
    /// Queued by ICAv2.
    WaitingForResources,
    /// At work.
    Running,
    /// Stopped before it was done.
    Stopped,
    /// All items were copied.
    Succeeded,
    /// Some items were.
    PartiallySucceeded,
    /// None, or it broke.
    Failed,
    /// One that we do not know, of a job that has not ended.
    #[serde(other)]
    Unknown,
}

impl JobStatus {
    /// Whether it will not change any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Initialized | Self::WaitingForResources | Self::Running | Self::Unknown => false,
            Self::Stopped | Self::Succeeded | Self::PartiallySucceeded | Self::Failed => true,
        }
    }

    /// The name as ICAv2 writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initialized => "INITIALIZED",
            Self::WaitingForResources => "WAITING_FOR_RESOURCES",
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
            Self::Succeeded => "SUCCEEDED",
            Self::PartiallySucceeded => "PARTIALLY_SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Unknown => "UNKNOWN",
        }
    }
}
