//! What the routes answer with, as it is written in JSON and described in `/openapi.json`.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A request as it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Its id.
    pub request_id: String,
    /// The name of its kind: `copy`, `batch`, `copy_out`.
    pub kind: String,
    /// `RECEIVED`, `RUNNING`, `SUCCEEDED` or `FAILED`.
    pub status: &'static str,
    /// The source of the event that asked.
    pub source: String,
    /// The first of what is copied, as the caller wrote it.
    pub source_uris: Vec<String>,
    /// How many sources there are.
    pub sources_total: usize,
    /// Where it goes.
    pub destination_uri: String,
    /// Files: `files`, `copied`, `skipped`, `skippedBySize`, `skippedConflict`, `renamed`, `failed`; and `bytes`.
    #[schema(value_type = Object)]
    pub counters: Value,
    /// Files that are said to have arrived and were not seen at the destination yet.
    pub unverified: u64,
    /// Its folders, or parts.
    pub children: Parts,
    /// Whether nothing is owed any more to anybody.
    pub settled: bool,
    /// When it was accepted (RFC 3339).
    pub started_at: String,
    /// When its record last changed hands.
    pub updated_at: String,
    /// When something of it last moved.
    pub last_progress_at: String,
    /// The name that its caller gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The event that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// What its caller calls itself: the ARN of an execution, as a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// What it waits for before it can begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What keeps it, as it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When it is next looked at, where it has trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<String>,
    /// What its task got, where it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub output: Option<Value>,
    /// The name of its failure, where it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// The cause that its task got.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub cause: Option<Value>,
}

/// How many folders, or parts, a request has.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Parts {
    /// Planned so far.
    pub total: u64,
    /// Ended.
    pub settled: u64,
}

/// Requests, newest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page {
    /// The requests; a page may be short, or empty, and not the last.
    pub requests: Vec<Request>,
    /// The `cursor` of the next page; null on the last.
    pub next: Option<String>,
}

/// A folder, or a part of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Folder {
    /// Its id, `child_id` in log lines.
    pub folder_id: String,
    /// Where it goes.
    pub destination_uri: String,
    /// `FAILED`, `RUNNING`, `RECEIVED` or `SUCCEEDED`.
    pub status: &'static str,
    /// The name of its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// Why it has failed, or what keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it is next looked at, where it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<String>,
    /// As in a request, once it has ended.
    #[schema(value_type = Object)]
    pub counters: Value,
    /// The copy jobs that were made for it, once it has ended.
    pub jobs: usize,
}

/// The folders of a request, those that need attention first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Folders {
    /// Some of them.
    pub folders: Vec<Folder>,
    /// How many are planned.
    pub total: u64,
}

/// Something that has happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When (RFC 3339).
    pub at: String,
    /// What: the `code` of its log line.
    pub code: String,
    /// The particulars, in words.
    pub note: String,
    /// The folder; absent where it is the request itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_uri: Option<String>,
    /// How often in a row, where more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// When it last happened, where more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
}

/// What has happened to a request, oldest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    /// The last 50 entries of each of its records.
    pub journal: Vec<Entry>,
    /// Whether older ones were left out of this answer.
    pub is_cut: bool,
}

/// What has become of a request, why, and what is next.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The request.
    pub request: Request,
    /// Why it has not succeeded, a sentence each.
    pub why: Vec<String>,
    /// What happens next, or what to do.
    pub next: Vec<String>,
    /// Its folders.
    pub folders: FolderSummary,
    /// What has happened, oldest first.
    pub journal: Vec<Entry>,
    /// Whether older entries were left out.
    pub is_cut: bool,
}

/// Folders, counted, and the first that have not succeeded.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FolderSummary {
    /// How many are planned.
    pub total: u64,
    /// How many there are of each status.
    #[schema(value_type = Object)]
    pub by_status: Value,
    /// The first that need attention.
    pub first: Vec<Folder>,
}

/// What came of something that was done to a request.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// The request; after a retry, the one that was made in its place.
    pub request_id: String,
    /// The request that was made again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
}

/// An error (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// What kind it is: an address below this service, where it is explained.
    #[serde(rename = "type")]
    pub of_type: String,
    /// The HTTP status, in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in one sentence.
    pub detail: String,
}
