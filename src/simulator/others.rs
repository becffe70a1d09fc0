//! What others do on the platform: uploads and jobs that are not the caller's and take their time
//! (`POST /sim/others`), and the harm that is done to uploads and jobs at work (`GET /sim/harm`).

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Simulator,
    content::Content,
    copies::{self, OnExist},
    faults::Delay,
    parts::Parts,
    state::{Action, State},
    tree::NodeKey,
    wire,
    world::is_path,
};
use crate::domain::{file::DataKind, job::JobStatus};

/// What others begin now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Others {
    /// Files that another user uploads.
    pub uploads: Vec<OtherUpload>,
    /// Copy jobs of another user.
    pub copies: Vec<OtherCopy>,
    /// Jobs of other kinds, for the lists of jobs alone.
    pub jobs: Vec<OtherJobs>,
}

/// A file that another user uploads: PARTIAL until its bytes are in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtherUpload {
    /// The project, by name or id.
    pub project: String,
    /// Where the file appears now; folders are made.
    pub path: String,
    /// Its bytes, made from path and size.
    pub size: u64,
    /// In how many parts they come.
    #[serde(default = "one")]
    pub parts: u32,
    /// How long it takes; without it, it never ends.
    pub takes: Option<Delay>,
}

/// A copy job of another user. It does not fail by chance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtherCopy {
    /// The project it copies to, by name or id.
    pub project: String,
    /// The folder there, which is made.
    pub folder: String,
    /// The project it copies from, by name or id.
    pub from: String,
    /// What it copies from there.
    pub paths: Vec<String>,
    /// How long it takes.
    pub takes: Delay,
}

/// Jobs that are listed and do nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtherJobs {
    /// How many.
    #[serde(default = "one")]
    pub count: u32,
    /// What is told as their status: any text.
    pub status: String,
    /// What is told as the type of what they work on.
    #[serde(default = "kind")]
    pub subject_type: String,
}

const fn one() -> u32 {
    1
}

fn kind() -> String {
    "SampleCreationBatch".to_owned()
}

/// Harm that was done to an upload or a job at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Harm {
    /// The path of the file.
    pub path: String,
    /// What was done to it while it was being written.
    pub done: Done,
    /// Who was writing it: `upload`, or the id of the job.
    pub writer: String,
}

/// What was done to a file while it was being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Done {
    /// It was deleted.
    Deleted,
    /// Other bytes were written to it.
    WrittenOver,
}

/// Why nothing was begun.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotBegun(String);

/// A job that is listed and does nothing.
#[derive(Debug, Clone)]
pub(super) struct OtherJob {
    pub(super) id: String,
    pub(super) status: String,
    subject: String,
    subject_type: String,
    pub(super) created: Timestamp,
}

impl OtherJob {
    /// Whether it has ended, as far as the simulator knows its status.
    pub(super) fn finished(&self) -> Option<Timestamp> {
        let status: Option<JobStatus> = serde_json::from_value(json!(self.status)).ok();
        status.is_some_and(JobStatus::is_terminal).then_some(self.created)
    }

    pub(super) fn json(&self) -> Value {
        let subject = (self.subject_type.as_str(), self.subject.as_str());
        let times = [Some(self.created), Some(self.created), self.finished()];
        wire::bare_job(&self.id, &self.status, subject, times)
    }
}

/// What others do.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    uploads: HashSet<NodeKey>,
    pub(super) jobs: Vec<OtherJob>,
    harm: Vec<Harm>,
}

impl Simulator {
    /// Has others begin something.
    pub fn others(&self, others: &Others) -> Result<(), NotBegun> {
        self.with(|state| state.others(others))
    }

    /// The harm that was done since the start, to others and to the callers' own jobs.
    pub fn harm(&self) -> Vec<Harm> {
        self.with(|state| state.strangers.harm.clone())
    }
}

impl State {
    fn others(&mut self, others: &Others) -> Result<(), NotBegun> {
        for upload in &others.uploads {
            self.begin_upload(upload)?;
        }
        for copy in &others.copies {
            self.begin_copy(copy)?;
        }
        for jobs in &others.jobs {
            for _ in 0..jobs.count {
                let (id, subject) = (self.uuid().to_string(), self.uuid().to_string());
                let (status, subject_type) = (jobs.status.clone(), jobs.subject_type.clone());
                let created = self.now();
                self.strangers.jobs.push(OtherJob { id, status, subject, subject_type, created });
            }
        }
        Ok(())
    }

    fn project_named(&self, name: &str) -> Result<usize, NotBegun> {
        let known = self.tree.projects.iter().position(|known| known.name == name || known.id == name);
        known.ok_or_else(|| NotBegun(format!("there is no project `{name}` here")))
    }

    fn begin_upload(&mut self, upload: &OtherUpload) -> Result<(), NotBegun> {
        let OtherUpload { project, path, size, parts, takes } = upload;
        let refused = || NotBegun(format!("`{path}` cannot be made"));
        if !is_path(path) || path.ends_with('/') {
            return Err(refused());
        }
        let (project, now) = (self.project_named(project)?, self.now());
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let folder = self.tree.ensure_folder(project, &format!("{folder}/"), now, &mut self.rng);
        let made = folder
            .and_then(|folder| self.tree.create(folder, name, DataKind::File, now, &mut self.rng))
            .map_err(|_| refused())?;
        self.strangers.uploads.insert(made);
        if let Some(node) = self.tree.node(made) {
            self.tree.of_others.insert(node.id.clone());
        }
        if let Some(Delay(takes)) = takes {
            let content = self.library.made(path, *size);
            self.later(
                Instant::now() + *takes,
                Action::Uploaded { node: made, content, parts: Parts::Equal(*parts) },
            );
        }
        Ok(())
    }

    fn begin_copy(&mut self, copy: &OtherCopy) -> Result<(), NotBegun> {
        let (project, from) = (self.project_named(&copy.project)?, self.project_named(&copy.from)?);
        let mut data = Vec::new();
        for path in &copy.paths {
            let found = self.tree.at(from, path).map(|(_, node)| node.id.clone());
            data.push(found.ok_or_else(|| NotBegun(format!("`{path}` is not there")))?);
        }
        let now = self.now();
        let folder = self.tree.ensure_folder(project, &copy.folder, now, &mut self.rng);
        let folder = folder.map_err(|_| NotBegun(format!("`{}` cannot be made", copy.folder)))?;
        let folder_id = self.tree.node(folder).map(|node| node.id.clone()).filter(|id| !id.is_empty());
        let Delay(takes) = copy.takes;
        self.submit_of_others(
            copies::Asked {
                project,
                folder,
                folder_id,
                user_tags: false,
                technical_tags: false,
                instrument_info: false,
                on_exist: OnExist::Skip,
                data,
            },
            takes,
        );
        Ok(())
    }

    /// The bytes that another user uploads are in. In S3 the last writer wins.
    pub(super) fn uploaded(&mut self, node: NodeKey, content: Arc<Content>, parts: Parts, at: Instant) {
        if self.strangers.uploads.remove(&node) {
            self.bytes_are_in(node, content, parts, at);
        }
    }

    /// What is writing a file: another user's upload, or a job that runs.
    fn writer(&self, node: NodeKey) -> Option<String> {
        if self.strangers.uploads.contains(&node) {
            return Some("upload".to_owned());
        }
        let running = self.copies.all().iter().filter(|batch| batch.job.status == JobStatus::Running);
        running.filter(|batch| batch.writes(node)).map(|batch| batch.job.id.clone()).next()
    }

    /// Notes that something is done to a file.
    pub(super) fn done_to(&mut self, node: NodeKey, done: Done) {
        let Some(writer) = self.writer(node) else { return };
        let Some(path) = self.tree.node(node).map(|node| node.path.clone()) else { return };
        self.strangers.harm.push(Harm { path, done, writer });
    }
}
