//! The controls: counters, the tree as it is, faults, and back to the start.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Query, State as Extract},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::{
    HASHED_AT_ONCE, Simulator,
    faults::FaultChanges,
    others::{Harm, Others},
    seen::Seen,
    state::Stats,
};
use crate::domain::file::{DataKind, DataStatus};

/// A file or folder as `/sim/tree` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Full path in the project; folders end with `/`.
    pub path: String,
    /// File or folder.
    #[serde(rename = "type")]
    pub kind: DataKind,
    /// Bytes; null for folders and for files whose bytes are not in.
    pub size: Option<u64>,
    /// Status.
    pub status: DataStatus,
    /// MD5 of the content, for multi-part files too.
    pub md5: Option<String>,
    /// `objectETag`.
    pub etag: Option<String>,
}

/// There is no such project.
#[derive(Debug, thiserror::Error)]
#[error("there is no project `{0}` here")]
pub struct NoProject(String);

impl Simulator {
    /// Everything below a folder of a project (by name or id), at any depth, sorted by path.
    ///
    /// Hashes all content it shows that was not hashed before.
    pub async fn tree(&self, project: &str, path: &str) -> Result<Vec<Entry>, NoProject> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let found: Vec<Seen> = self.with(|state| {
            let key =
                state.tree.projects.iter().position(|known| known.name == project || known.id == project);
            let key = key.ok_or_else(|| NoProject(project.to_owned()))?;
            let lower = prefix.to_lowercase();
            let below = state.tree.below(key, &lower, None);
            let below = below.filter(|(_, node)| node.path.starts_with(&prefix) && node.path != prefix);
            Ok(below.map(|(_, node)| Seen::new(&state.tree, node)).collect())
        })?;
        let bytes: u64 = found.iter().filter_map(|seen| Some(seen.node.readable()?.size())).sum();
        let show = move || found.iter().map(entry).collect::<Vec<_>>();
        let mut shown = if bytes <= HASHED_AT_ONCE {
            show()
        } else {
            tokio::task::spawn_blocking(show).await.unwrap_or_default()
        };
        shown.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(shown)
    }
}

fn entry(seen: &Seen) -> Entry {
    let content = seen.node.stored();
    Entry {
        path: seen.node.path.clone(),
        kind: seen.node.kind,
        size: content.map(|content| content.size()),
        status: seen.node.status,
        md5: content.map(|content| content.md5_text()),
        etag: seen.etag(),
    }
}

/// `GET /sim/stats`.
pub(super) async fn stats(Extract(simulator): Extract<Arc<Simulator>>) -> Json<Stats> {
    Json(simulator.stats())
}

/// `GET /sim/tree?project=&path=`.
pub(super) async fn tree(
    Extract(simulator): Extract<Arc<Simulator>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(project) = query.get("project") else {
        return refuse(StatusCode::BAD_REQUEST, "the query must name a project");
    };
    match simulator.tree(project, query.get("path").map_or("/", String::as_str)).await {
        Ok(entries) => Json(entries).into_response(),
        Err(error) => refuse(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

/// `GET /sim/objects?bucket=&prefix=`.
pub(super) async fn objects(
    Extract(simulator): Extract<Arc<Simulator>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(bucket) = query.get("bucket") else {
        return refuse(StatusCode::BAD_REQUEST, "the query must name a bucket");
    };
    Json(simulator.objects(bucket, query.get("prefix").map_or("", String::as_str)).await).into_response()
}

/// `GET /sim/uploads?bucket=`.
pub(super) async fn uploads(
    Extract(simulator): Extract<Arc<Simulator>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(bucket) = query.get("bucket") else {
        return refuse(StatusCode::BAD_REQUEST, "the query must name a bucket");
    };
    Json(simulator.uploads(bucket)).into_response()
}

/// `POST /sim/faults`.
pub(super) async fn faults(Extract(simulator): Extract<Arc<Simulator>>, body: Bytes) -> Response {
    let mut json = serde_json::Deserializer::from_slice(&body);
    match serde_path_to_error::deserialize::<_, FaultChanges>(&mut json) {
        Ok(changes) => {
            simulator.set_faults(changes);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// `POST /sim/others`.
pub(super) async fn others(Extract(simulator): Extract<Arc<Simulator>>, body: Bytes) -> Response {
    let mut json = serde_json::Deserializer::from_slice(&body);
    let others: Others = match serde_path_to_error::deserialize(&mut json) {
        Ok(others) => others,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match simulator.others(&others) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// `GET /sim/harm`.
pub(super) async fn harm(Extract(simulator): Extract<Arc<Simulator>>) -> Json<Vec<Harm>> {
    Json(simulator.harm())
}

/// `POST /sim/reset`.
pub(super) async fn reset(Extract(simulator): Extract<Arc<Simulator>>) -> Response {
    match simulator.reset() {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"error": why}))).into_response()
}
