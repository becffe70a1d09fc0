//! Move batches and their jobs.
//!
//! What is moved keeps its ids and names. It is not known whether it does so on the real platform when it goes
//! to another project.

use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::{
    jobs::{Job, Step},
    state::{Action, State},
    tree::{NodeKey, ProjectKey, Tree, TreeError},
};
use crate::domain::{file::DataStatus, job::JobStatus};

const SUBJECT_TYPE: &str = "ProjectDataMoveBatch";
const NOT_AVAILABLE: &str = "The data is not available";

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum MoveStatus {
    Queued,
    Moving,
    Moved,
    /// For those who ask for it: nothing is moved in part here.
    PartiallyMoved,
    Failed,
}

/// One file or folder to move.
#[derive(Debug, Clone)]
pub(super) struct MoveItem {
    pub(super) id: String,
    pub(super) data: String,
    pub(super) status: MoveStatus,
    pub(super) reason: Option<String>,
    /// What was moved, where it is now.
    pub(super) moved: Option<NodeKey>,
}

/// A batch with its job.
#[derive(Debug, Clone)]
pub(super) struct MoveBatch {
    pub(super) id: String,
    pub(super) project: ProjectKey,
    folder: NodeKey,
    pub(super) folder_id: Option<String>,
    pub(super) items: Vec<MoveItem>,
    pub(super) job: Job,
}

impl State {
    /// Makes a batch and starts its job.
    pub(super) fn submit_move(
        &mut self,
        project: ProjectKey,
        folder: NodeKey,
        folder_id: Option<String>,
        data: Vec<String>,
    ) -> MoveBatch {
        let (id, job) = (self.uuid().to_string(), self.uuid().to_string());
        let items = data.into_iter().map(|data| MoveItem {
            id: self.uuid().to_string(),
            data,
            status: MoveStatus::Queued,
            reason: None,
            moved: None,
        });
        let items = items.collect();
        let (at, number) = (Instant::now(), self.moves.len());
        let job = Job::new(job, project, (SUBJECT_TYPE, id.clone()), self.wall(at));
        let batch = MoveBatch { id, project, folder, folder_id, items, job };
        self.moves.push(batch.clone());
        self.tell(&batch.job, None, at);
        for (after, step) in Step::all(self.job_duration) {
            self.later(at + after, Action::Move { number, step });
        }
        batch
    }

    /// A job goes on.
    pub(super) fn move_step(&mut self, number: usize, step: Step, at: Instant) {
        let now = self.wall(at);
        let Some(mut batch) = self.moves.get(number).cloned() else { return };
        let before = batch.job.status;
        match step {
            Step::Wait => batch.job.turn(JobStatus::WaitingForResources, None, now),
            Step::Run => {
                batch.job.turn(JobStatus::Running, None, now);
                batch.items.iter_mut().for_each(|item| item.status = MoveStatus::Moving);
            }
            Step::Finish => self.finish_move(number, &mut batch, now),
        }
        self.tell(&batch.job, Some(before), at);
        if let Some(kept) = self.moves.get_mut(number) {
            *kept = batch;
        }
    }

    fn finish_move(&mut self, number: usize, batch: &mut MoveBatch, now: Timestamp) {
        let number = u64::try_from(number).unwrap_or_default();
        let draw: f64 = StdRng::seed_from_u64(self.seed.rotate_left(48) ^ number).random();
        let fails = draw < self.faults.job_failure_rate;
        for item in &mut batch.items {
            let moved = if fails {
                Err("Internal error while moving the data".to_owned())
            } else {
                self.relocate(&item.data, batch.folder, now)
            };
            item.status = if moved.is_ok() { MoveStatus::Moved } else { MoveStatus::Failed };
            item.moved = moved.as_ref().ok().copied();
            item.reason = moved.err();
        }
        let failed = batch.items.iter().filter(|item| item.status == MoveStatus::Failed).count();
        let (status, reason) = match failed {
            0 => (JobStatus::Succeeded, None),
            _ if failed == batch.items.len() => {
                (JobStatus::Failed, Some("None of the items could be moved.".to_owned()))
            }
            _ => {
                let reason = format!("{failed} of {} items could not be moved.", batch.items.len());
                (JobStatus::PartiallySucceeded, Some(reason))
            }
        };
        batch.job.turn(status, reason, now);
    }

    fn relocate(&mut self, id: &str, folder: NodeKey, now: Timestamp) -> Result<NodeKey, String> {
        let (key, top) = self.tree.by_id(id).ok_or(NOT_AVAILABLE)?;
        let from = top.project;
        let all = self.tree.with_descendants(key);
        let whole = all.iter().filter_map(|key| self.tree.node(*key)).all(|node| {
            matches!(node.status, DataStatus::Available | DataStatus::Archived) && !node.is_linked()
        });
        if !whole {
            return Err(NOT_AVAILABLE.to_owned());
        }
        self.tree.relocate(key, folder, now).map_err(|refused| match refused {
            TreeError::Exists(path) => format!("There is already data at {path}"),
            TreeError::NoFolder(path) => format!("It cannot be moved to {path}"),
        })?;
        if self.tree.node(key).is_some_and(|node| node.project != from) {
            // Its bytes are written anew, as its new project encrypts them.
            for key in all {
                let Some(parts) = self.tree.node(key).map(|node| node.parts.clone()) else { continue };
                let parts = self.written_to(key, &parts);
                if let Some(node) = self.tree.node_mut(key) {
                    node.parts = parts;
                }
            }
        }
        Ok(key)
    }
}

impl Tree {
    /// Puts a file or folder, with all below it, into a folder of any project.
    fn relocate(&mut self, key: NodeKey, folder: NodeKey, now: Timestamp) -> Result<(), TreeError> {
        let all = self.with_descendants(key);
        let missing = || TreeError::NoFolder("a folder that is gone".to_owned());
        let (top, target) = (self.node(key).ok_or_else(missing)?, self.node(folder).ok_or_else(missing)?);
        if target.status == DataStatus::Deleting || target.is_linked() || all.contains(&folder) {
            return Err(TreeError::NoFolder(target.path.clone()));
        }
        if let Some((_, there)) = self.child(folder, &top.name) {
            return Err(TreeError::Exists(there.path.clone()));
        }
        let (project, base) = (target.project, target.path.clone());
        let (name, parent) = (top.name.clone(), top.parent);
        let above = top.path.len() - top.name.len() - usize::from(top.is_folder());
        if let Some(siblings) = self.children.get_mut(&parent) {
            siblings.remove(&name);
        }
        self.children.entry(folder).or_default().insert(name, key);
        for below in all {
            let Some(node) = self.nodes.get_mut(&below) else { continue };
            let to = format!("{base}{}", node.path.get(above..).unwrap_or_default());
            let from = std::mem::replace(&mut node.path, to.clone());
            let left = std::mem::replace(&mut node.project, project);
            node.owner = project;
            if below == key {
                node.parent = folder;
                node.modified = now;
            }
            if let Some(left) = self.projects.get_mut(left) {
                left.exact.remove(&from);
                left.by_path.remove(&(from.to_lowercase(), from));
            }
            if let Some(project) = self.projects.get_mut(project) {
                project.exact.insert(to.clone(), below);
                project.by_path.insert((to.to_lowercase(), to), below);
            }
        }
        Ok(())
    }
}
