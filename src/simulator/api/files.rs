//! Creating files and folders, and the ways to their bytes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Asked, credentials::Credentials, data_id, routes::Call};
use crate::{
    domain::file::{DataKind, DataStatus},
    simulator::{
        Simulator,
        problem::Problem,
        seen::Seen,
        state::{Grant, State},
        tree::{Node, NodeKey, ProjectKey},
        wire,
        world::is_path,
    },
};

/// `CreateFileData`, `CreateFolder`, and what there is besides: `fileType` and `hash` belong to
/// upload URLs, `temporaryCredentials` to credentials, `nonIndexed` to folders with them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    name: String,
    folder_id: Option<String>,
    folder_path: Option<String>,
    #[serde(rename = "formatCode")]
    _format_code: Option<String>,
    file_type: Option<String>,
    hash: Option<String>,
    temporary_credentials: Option<Credentials>,
    non_indexed: Option<bool>,
}

pub(super) fn create(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let wanted: Create = asked.read()?;
    if wanted.name.is_empty() || wanted.name.contains('/') {
        return Err(Problem::parameter("name", &wanted.name, "must not be empty or hold a /"));
    }
    let with_url = asked.call == Call::CreateFileWithUploadUrl;
    if !with_url && (wanted.file_type.is_some() || wanted.hash.is_some()) {
        return Err(Problem::invalid("fileType and hash belong to data:createFileWithUploadUrl"));
    }
    let folder_with = asked.call == Call::CreateFolderWithTemporaryCredentials;
    let with = folder_with || asked.call == Call::CreateFileWithTemporaryCredentials;
    if !with && wanted.temporary_credentials.is_some() || !folder_with && wanted.non_indexed.is_some() {
        return Err(Problem::invalid("temporaryCredentials and nonIndexed belong to other calls"));
    }
    if wanted.non_indexed == Some(true) {
        return Err(Problem::invalid("The simulator has no folders that are not indexed"));
    }
    let credentials = wanted.temporary_credentials.clone().unwrap_or_default();
    credentials.check()?;
    let folder_wanted = folder_with || asked.call == Call::CreateFolder;
    let kind = if folder_wanted { DataKind::Folder } else { DataKind::File };
    simulator.with(|state| {
        let project = asked.project(state)?;
        let now = state.now();
        let folder = folder(state, project, &wanted)?;
        let key = state.tree.create(folder, &wanted.name, kind, now, &mut state.rng)?;
        let mut json = project_data(state, key);
        if with_url {
            wire::put(&mut json, "uploadUrl", url(simulator, state, Grant::Write(key)));
        }
        if with {
            wire::put(&mut json, "tempCredentials", credentials.issue(state, key));
        }
        Ok(Answer::created(&json))
    })
}

fn project_data(state: &State, key: NodeKey) -> Value {
    state.tree.node(key).map_or(Value::Null, |node| json!(Seen::new(&state.tree, node).project_data()))
}

fn folder(state: &mut State, project: ProjectKey, wanted: &Create) -> Result<NodeKey, Problem> {
    match (wanted.folder_id.as_deref(), wanted.folder_path.as_deref()) {
        (Some(id), Some(_)) => Err(Problem::parameter("folderId", id, "not together with folderPath")),
        (Some(id), None) => {
            let found = state.tree.by_id(data_id("folderId", id)?);
            let found = found.filter(|(_, node)| node.project == project && node.is_folder());
            found.map(|(key, _)| key).ok_or_else(|| Problem::not_found("folderId", id))
        }
        (None, Some(path)) if is_path(path) && path.ends_with('/') => {
            let now = state.now();
            Ok(state.tree.ensure_folder(project, path, now, &mut state.rng)?)
        }
        (None, Some(path)) => Err(Problem::parameter("folderPath", path, "must start and end with /")),
        (None, None) => Ok(state.tree.root(project)),
    }
}

fn url(simulator: &Simulator, state: &mut State, grant: Grant) -> Value {
    format!("{}/sim/bytes/{}", simulator.public_url(), state.grant(grant)).into()
}

pub(super) fn upload_url(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    simulator.with(|state| {
        let key = asked.data(state)?;
        match state.tree.node(key) {
            Some(node) if node.is_folder() => Err(not_a_file(&node.id)),
            Some(node) if node.is_linked() => {
                Err(Problem::parameter("dataId", &node.id, "it is linked, and is written where it belongs"))
            }
            Some(node) if node.status == DataStatus::Partial => {
                Ok(Answer::ok(&json!({"url": url(simulator, state, Grant::Write(key))})))
            }
            Some(node) => {
                Err(Problem::parameter("dataId", &node.id, "only PARTIAL files can be overwritten"))
            }
            None => Err(Problem::no_route()),
        }
    })
}

fn not_a_file(id: &str) -> Problem {
    Problem::parameter("dataId", id, "is not a file")
}

fn readable(node: &Node) -> Result<(), Problem> {
    if node.is_folder() {
        return Err(not_a_file(&node.id));
    }
    match node.readable() {
        Some(_) => Ok(()),
        None => Err(Problem::parameter("dataId", &node.id, "the file is not AVAILABLE")),
    }
}

pub(super) fn download_url(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    simulator.with(|state| {
        let key = asked.data(state)?;
        state.tree.node(key).map_or_else(|| Err(Problem::no_route()), readable)?;
        Ok(Answer::ok(&json!({"url": url(simulator, state, Grant::Read(key))})))
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IdsOrPaths {
    data_ids: Option<Vec<String>>,
    data_paths: Option<Vec<String>>,
}

pub(super) fn download_urls(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let wanted: IdsOrPaths = asked.read()?;
    simulator.with(|state| {
        let project = asked.project(state)?;
        let mut files = Vec::new();
        for id in wanted.data_ids.iter().flatten() {
            let found = state.tree.seen_in(project, data_id("dataIds", id)?);
            files.push(found.map(|(key, _)| key).ok_or_else(|| Problem::not_found("dataIds", id))?);
        }
        for path in wanted.data_paths.iter().flatten() {
            let lower = path.to_lowercase();
            let found = state.tree.below(project, &lower, None).find(|(_, node)| node.path == *path);
            files.push(found.map(|(key, _)| key).ok_or_else(|| Problem::not_found("dataPaths", path))?);
        }
        let mut items = Vec::with_capacity(files.len());
        for key in files {
            let node = state.tree.node(key).ok_or_else(Problem::no_route)?;
            readable(node)?;
            let seen = Seen::new(&state.tree, node);
            items.push(json!({
                "dataId": seen.node.id,
                "dataUrn": seen.urn(),
                "dataPath": seen.node.path,
                "url": url(simulator, state, Grant::Read(key)),
            }));
        }
        Ok(Answer::ok(&json!({"items": items})))
    })
}
