//! Source folders that go as one item of a copy job (`copy.folders = "whole"`).
//!
//! One child asks a job for the folders and compares every file that arrived; the children that would bring
//! the same folders one by one wait, and those whose folders are complete are never needed. So a good job
//! costs a handful of calls, and a bad one loses nothing.

use std::collections::BTreeMap;

use super::find::Found;
use crate::{
    domain::{
        file::DataKind,
        ids::DataId,
        location::DataPath,
        request::{FolderRequest, Want},
    },
    ports::platform::Project,
};

/// Lets the children of folders that can go whole wait for that, and adds the child that sends them.
/// Folders with renamed files or with linked ones inside are brought one by one. `now`: milliseconds
/// since 1970.
pub(crate) fn send(
    found: &[Found],
    target: &Project,
    path: &DataPath,
    children: &mut Vec<FolderRequest>,
    now: i64,
) {
    // The API tells times in whole seconds.
    let now = now - now % 1000;
    let mut whole: BTreeMap<&DataId, bool> = BTreeMap::new();
    for child in children.iter() {
        if let Some(tree) = &child.of_tree {
            *whole.entry(tree).or_insert(true) &= child.renames.is_empty();
        }
    }
    let goes = |id: &DataId| whole.get(id) == Some(&true);
    let folders = found.iter().filter(|found| found.data.kind == DataKind::Folder && goes(&found.data.id));
    let wants: Vec<_> = folders
        .map(|found| Want::Tree {
            project: found.project.clone(),
            id: found.data.id.clone(),
            path: found.data.path.clone(),
        })
        .collect();
    let going: Vec<_> = wants
        .iter()
        .filter_map(|want| if let Want::Tree { id, .. } = want { Some(id.clone()) } else { None })
        .collect();
    for child in children.iter_mut() {
        match &child.of_tree {
            Some(tree) if going.contains(tree) => {
                child.step = 1;
                child.since = Some(now);
            }
            _ => child.of_tree = None,
        }
    }
    if !wants.is_empty() {
        let mut sender = FolderRequest::at(target.id.clone(), path.clone()).wanting(wants);
        sender.since = Some(now);
        children.push(sender);
    }
}
