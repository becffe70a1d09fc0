//! How packages and pushes are shown: by the API, and in the events that tell of their changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::domain::{
    outcome::{ErrorName, Outcome},
    receipt::Receipt,
    share::outcome::{Delivered, IngestIds, PushPreview},
};

/// Where a package or a push stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// It is known, and nothing more.
    Pending,
    /// It is worked on.
    Running,
    /// It has failed.
    Failed,
    /// It was ended.
    Aborted,
    /// It is whole.
    Succeeded,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Failed, Self::Aborted, Self::Succeeded];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
            Self::Succeeded => "SUCCEEDED",
        }
    }

    /// Where something stands that has ended so.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        match &outcome.failure {
            None => Self::Succeeded,
            Some(failure) if failure.error == ErrorName::Cancelled => Self::Aborted,
            Some(_) => Self::Failed,
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// The files of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct FilesShown {
    /// How many.
    pub total: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that must be restored before they can be read.
    pub archived: u64,
}

impl FilesShown {
    /// The files of a package that has ended so.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let package = outcome.package.as_deref().filter(|_| outcome.failure.is_none())?;
        Some(Self { total: package.files, bytes: package.bytes, archived: package.archived })
    }
}

/// Where it is told what became of each file of a push, if that is told anywhere.
#[must_use]
pub fn log_uri(outcome: &Outcome) -> Option<String> {
    outcome.push.as_deref().and_then(|push| push.log.clone()).or_else(|| summary_uri(outcome))
}

/// What was put beside the files of a push.
#[must_use]
pub fn delivered(outcome: &Outcome) -> Vec<Delivered> {
    outcome.push.as_deref().map(|push| push.delivered.clone()).unwrap_or_default()
}

/// What became of the ids that reads keep, where somebody was told of their copies.
#[must_use]
pub fn ingest_ids(outcome: &Outcome) -> Option<IngestIds> {
    outcome.push.as_deref()?.ingest_ids.clone()
}

/// What a push would do, where that was all that was asked for.
#[must_use]
pub fn preview(outcome: &Outcome) -> Option<PushPreview> {
    if let Some(plan) = outcome.copy_out.as_deref().and_then(|list| list.dry_run.as_ref()) {
        let restores = outcome.push.as_deref().map(|push| push.restores.clone()).unwrap_or_default();
        let said = PushPreview {
            would_succeed: plan.missing + plan.changed + plan.failing == 0 && plan.closed.is_none(),
            writable: plan.probed.then_some(plan.closed.is_none()),
            refusal: plan.closed.clone(),
            files: outcome.counters.files,
            to_copy: plan.to_copy,
            bytes: plan.bytes,
            already_there: plan.already_copied,
            conflicts: plan.conflicts,
            missing: plan.missing + plan.changed,
            archived: plan.to_thaw,
            archived_bytes: plan.thaw_bytes,
            ..PushPreview::default()
        };
        return Some(said.with_restores(restores));
    }
    let totals = &outcome.preview.as_deref()?.totals;
    Some(PushPreview {
        would_succeed: totals.would_succeed(),
        files: totals.files,
        to_copy: totals.by_route.values().sum(),
        bytes: totals.bytes,
        already_there: totals.skipped,
        conflicts: totals.conflicts,
        missing: totals.unready,
        ..PushPreview::default()
    })
}

/// The summary of a push at its destination, if it was written.
#[must_use]
pub fn summary_uri(outcome: &Outcome) -> Option<String> {
    let list = outcome.copy_out.as_deref().filter(|list| list.working.is_some())?;
    Some(format!("s3://{}/{}{}", list.destination_bucket, list.destination_prefix, list.summary))
}

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Files that are there.
    pub files_done: u64,
    /// Bytes that were copied.
    pub bytes_done: u64,
    /// How many of them in a second, so far.
    pub bytes_per_second: u64,
    /// How long it will take at that rate, in seconds.
    pub seconds_left: Option<u64>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageShown {
    /// Its id.
    pub id: String,
    /// The name that its caller gave it.
    pub package_name: String,
    /// Where more is told of it.
    pub steps_execution_arn: String,
    /// Where it stands.
    pub status: JobStatus,
    /// When it was asked for.
    #[serde(serialize_with = "micros")]
    pub request_time: Timestamp,
    /// When it has succeeded.
    #[serde(serialize_with = "micros_if_any")]
    pub completion_time: Option<Timestamp>,
    /// Whether it is too old to be shared.
    pub has_expired: bool,
    /// From when on it is.
    #[serde(serialize_with = "micros")]
    pub expires_at: Timestamp,
    /// Why it has failed.
    pub error_message: Option<String>,
    /// Who asked.
    pub requested_by: String,
    /// Its files, once they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesShown>,
    /// Texts of its caller, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A push.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushShown {
    /// Its id.
    pub id: String,
    /// Where more is told of it.
    pub step_functions_execution_arn: String,
    /// Where it stands.
    pub status: JobStatus,
    /// When it was asked for.
    #[serde(serialize_with = "micros")]
    pub start_time: Timestamp,
    /// The package.
    pub package_id: String,
    /// Where to.
    pub share_destination: String,
    /// Where it is told what became of each file.
    pub log_uri: Option<String>,
    /// When it ended.
    #[serde(serialize_with = "micros_if_any")]
    pub end_time: Option<Timestamp>,
    /// Why it has failed.
    pub error_messages: Option<String>,
    /// The name of the package.
    pub package_name: String,
    /// Who asked.
    pub requested_by: String,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Its receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptShown>,
    /// What was put beside its files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<Delivered>,
    /// What became of the ids that reads keep wherever they lie, where the destination is one that keeps account of
    /// them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest_ids: Option<IngestIds>,
    /// Whether it only says what it would do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What it would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<PushPreview>,
}

/// The receipt of a push: a line of JSON for each file that has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ReceiptShown {
    /// Where it is.
    pub uri: String,
    /// The SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Its lines.
    pub files: u64,
}

impl From<Receipt> for ReceiptShown {
    fn from(Receipt { uri, sha256, files }: Receipt) -> Self {
        Self { uri, sha256, files }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PageShown<T> {
    /// The pages beside it.
    pub links: Links,
    /// Which page it is.
    pub pagination: Pagination,
    /// What is on it.
    pub results: Vec<T>,
}

/// The pages beside a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Links {
    /// The one before.
    pub previous: Option<String>,
    /// The one behind.
    pub next: Option<String>,
}

/// Which page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pagination {
    /// From 1.
    pub page: usize,
    /// How many are on a page.
    pub rows_per_page: usize,
    /// How many there are on all pages.
    pub count: usize,
}

/// A time that sorts as a text: in UTC, with six decimals.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

pub(super) fn micros<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&moment(*at))
}

#[expect(clippy::ref_option, reason = "serde hands it over so")]
pub(super) fn micros_if_any<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => micros(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_texts() {
        let at: Timestamp = "2026-11-30T09:05:00Z".parse().unwrap();
        assert_eq!(moment(at), "2026-11-30T09:05:00.000000Z");
        let at: Timestamp = "2026-11-30T09:05:00.1234567Z".parse().unwrap();
        assert_eq!(moment(at), "2026-11-30T09:05:00.123456Z");
    }
}
