//! Copy batches and their jobs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::{
    content::Content,
    jobs::{Job, Step},
    parts::Parts,
    state::{Action, State},
    tree::{Node, NodeKey, ProjectKey},
};
use crate::domain::{
    file::{DataKind, DataStatus},
    job::JobStatus,
};

/// What to do about a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum OnExist {
    /// Write over it.
    Overwrite,
    /// Leave it, whatever its status.
    Skip,
    /// Write beside it under another name.
    Rename,
}

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ItemStatus {
    Queued,
    Copying,
    Copied,
    PartiallyCopied,
    Failed,
}

/// One file or folder to copy.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) data: String,
    pub(super) status: ItemStatus,
    pub(super) reason: Option<String>,
    /// What it made (the outermost folder of a folder).
    pub(super) created: Option<NodeKey>,
    writes: Vec<Write>,
}

/// One file being written.
#[derive(Debug, Clone)]
struct Write {
    source_path: String,
    node: NodeKey,
    content: Arc<Content>,
    parts: Parts,
}

/// A batch as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) project: ProjectKey,
    pub(super) folder: NodeKey,
    pub(super) folder_id: Option<String>,
    pub(super) user_tags: bool,
    pub(super) technical_tags: bool,
    pub(super) instrument_info: bool,
    pub(super) on_exist: OnExist,
    pub(super) data: Vec<String>,
}

/// A batch with its job.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) id: String,
    pub(super) asked: Asked,
    pub(super) items: Vec<Item>,
    pub(super) job: Job,
    fate: Fate,
}

impl Batch {
    /// Whether it is to write that file.
    pub(super) fn writes(&self, node: NodeKey) -> bool {
        self.items.iter().flat_map(|item| &item.writes).any(|write| write.node == node)
    }
}

/// How a job will end, as far as chance decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    /// All files stay PARTIAL.
    Fails,
    /// About half of the items stay PARTIAL.
    FailsInPart,
}

/// All batches, oldest first.
#[derive(Debug, Default)]
pub(super) struct Copies {
    all: Vec<Batch>,
    by_batch: HashMap<String, usize>,
    by_job: HashMap<String, usize>,
}

impl Copies {
    /// The batches, oldest first.
    pub(super) fn all(&self) -> &[Batch] {
        &self.all
    }

    /// A batch by its id.
    pub(super) fn batch(&self, id: &str) -> Option<&Batch> {
        self.all.get(*self.by_batch.get(id)?)
    }

    /// A batch by the id of its job.
    pub(super) fn by_job(&self, id: &str) -> Option<&Batch> {
        self.all.get(*self.by_job.get(id)?)
    }
}

const SUBJECT_TYPE: &str = "ProjectDataCopyBatch";
const TAG_DEFECT: &str = "Access denied while copying the object: missing permission s3:PutObjectTagging";
const NOT_READABLE: &str = "The data is not available";

impl State {
    /// Makes a batch and starts its job; its number.
    pub(super) fn submit(&mut self, asked: Asked) -> usize {
        let fate = self.fate(self.copies.all.len(), asked.data.len());
        self.start(asked, fate, Step::all(self.job_duration))
    }

    /// The same for another user: it runs at once, for that long, and ends well.
    pub(super) fn submit_of_others(&mut self, asked: Asked, takes: Duration) {
        let steps = [(Duration::ZERO, Step::Wait), (Duration::ZERO, Step::Run), (takes, Step::Finish)];
        self.start(asked, Fate::Good, steps);
    }

    fn start(&mut self, asked: Asked, fate: Fate, steps: [(Duration, Step); 3]) -> usize {
        let at = Instant::now();
        let number = self.copies.all.len();
        let (batch, job) = (self.uuid().to_string(), self.uuid().to_string());
        let items: Vec<Item> = asked
            .data
            .iter()
            .map(|data| Item {
                id: self.uuid().to_string(),
                data: data.clone(),
                status: ItemStatus::Queued,
                reason: None,
                created: None,
                writes: Vec::new(),
            })
            .collect();
        let record = Job::new(job.clone(), asked.project, (SUBJECT_TYPE, batch.clone()), self.wall(at));
        self.copies.by_batch.insert(batch.clone(), number);
        self.copies.by_job.insert(job, number);
        self.copies.all.push(Batch { id: batch, asked, items, job: record, fate });
        self.tell_of(number, None, at);
        for (after, step) in steps {
            self.later(at + after, Action::Job { number, step });
        }
        number
    }

    /// Drawn for the job alone, so that it does not depend on what else is going on. At a rate of 1
    /// every job fails whole, so that a test can rely on it.
    fn fate(&self, number: usize, items: usize) -> Fate {
        let rate = self.faults.job_failure_rate;
        let number = u64::try_from(number).unwrap_or_default();
        let draw: f64 = StdRng::seed_from_u64(self.seed.rotate_left(32) ^ number).random();
        match () {
            () if draw >= rate => Fate::Good,
            () if rate < 1.0 && items > 1 && draw < rate * 0.25 => Fate::FailsInPart,
            () => Fate::Fails,
        }
    }

    /// A job goes on.
    pub(super) fn job_step(&mut self, number: usize, step: Step, at: Instant) {
        let before = self.copies.all.get(number).map(|batch| batch.job.status);
        match step {
            Step::Wait => self.set_job(number, JobStatus::WaitingForResources, None, at),
            Step::Run => {
                self.set_job(number, JobStatus::Running, None, at);
                self.begin(number, at);
            }
            Step::Finish => self.finish(number, at),
        }
        self.tell_of(number, before, at);
    }

    fn set_job(&mut self, number: usize, status: JobStatus, reason: Option<String>, at: Instant) {
        let now = self.wall(at);
        if let Some(batch) = self.copies.all.get_mut(number) {
            batch.job.turn(status, reason, now);
        }
    }

    fn tell_of(&mut self, number: usize, before: Option<JobStatus>, at: Instant) {
        if let Some(job) = self.copies.all.get(number).map(|batch| batch.job.clone()) {
            self.tell(&job, before, at);
        }
    }

    /// The files appear at the destination, PARTIAL.
    fn begin(&mut self, number: usize, at: Instant) {
        let Some(batch) = self.copies.all.get_mut(number) else { return };
        let asked = batch.asked.clone();
        let mut items = std::mem::take(&mut batch.items);
        for item in &mut items {
            item.status = ItemStatus::Copying;
            match self.begin_item(&asked, item, at) {
                Ok(()) => {}
                Err(reason) => {
                    item.status = ItemStatus::Failed;
                    item.reason = Some(reason);
                }
            }
        }
        if let Some(batch) = self.copies.all.get_mut(number) {
            batch.items = items;
        }
    }

    fn begin_item(&mut self, asked: &Asked, item: &mut Item, at: Instant) -> Result<(), String> {
        let now = self.wall(at);
        let (key, top) = self.tree.by_id(&item.data).ok_or_else(|| NOT_READABLE.to_owned())?;
        let above = top.path.len() - top.name.len() - usize::from(top.is_folder());
        let (folder, name) = (top.is_folder(), top.name.clone());
        let target = self.tree.node(asked.folder).ok_or("The destination folder is gone")?;
        let (base, project) = (target.path.clone(), target.project);
        let all = self.tree.with_descendants(key).into_iter().filter_map(|key| self.tree.node(key));
        let files: Vec<Node> = all.filter(|node| node.kind == DataKind::File).cloned().collect();
        for file in files {
            let content = file.readable().cloned().ok_or_else(|| NOT_READABLE.to_owned())?;
            let relative = file.path.get(above..).unwrap_or_default();
            let inside = relative.strip_suffix(&file.name).unwrap_or_default();
            let made = self.tree.ensure_folder(project, &format!("{base}{inside}"), now, &mut self.rng);
            let made = made.map_err(|_| "The destination folder cannot be made".to_owned())?;
            let Some(node) = self.place(made, &file.name, asked.on_exist, now) else { continue };
            item.created.get_or_insert(node);
            if let (Some(notes), Some(made)) = (&file.notes, self.tree.node_mut(node)) {
                made.notes = Some(Arc::new(notes.copied(asked.user_tags, asked.technical_tags)));
            }
            item.writes.push(Write { source_path: file.path, node, content, parts: file.parts });
        }
        if folder {
            item.created = self.tree.child(asked.folder, &name).map(|(key, _)| key);
        }
        Ok(())
    }

    /// The PARTIAL file to write to; none when the file that is there is to be left.
    fn place(&mut self, folder: NodeKey, name: &str, on_exist: OnExist, now: Timestamp) -> Option<NodeKey> {
        let (stem, end) = name.split_at(name.find('.').unwrap_or(name.len()));
        let mut name = name.to_owned();
        for copies in 1_u64.. {
            let there = self.tree.child(folder, &name).map(|(key, node)| (key, node.is_folder()));
            match (there, on_exist) {
                (None, _) => return self.tree.create(folder, &name, DataKind::File, now, &mut self.rng).ok(),
                (Some(_), OnExist::Skip) | (Some((_, true)), OnExist::Overwrite) => return None,
                (Some((key, false)), OnExist::Overwrite) => {
                    let node = self.tree.node_mut(key)?;
                    node.turn(DataStatus::Partial, now);
                    node.content = None;
                    return Some(key);
                }
                (Some(_), OnExist::Rename) => name = format!("{stem}_{copies}{end}"),
            }
        }
        None
    }

    fn finish(&mut self, number: usize, at: Instant) {
        let Some(batch) = self.copies.all.get_mut(number) else { return };
        let fate = batch.fate;
        let mut items = std::mem::take(&mut batch.items);
        let poisoned = items.iter().any(|item| self.is_poisoned(item));
        let mut chance =
            StdRng::seed_from_u64(self.seed.rotate_left(16) ^ u64::try_from(number).unwrap_or_default());
        let last = items.len().saturating_sub(1);
        for (index, item) in items.iter_mut().enumerate() {
            let broken = match fate {
                Fate::Good => poisoned,
                Fate::Fails => true,
                // The first always fails and the last never does, so that the fate is kept.
                Fate::FailsInPart => poisoned || index == 0 || (index < last && chance.random::<bool>()),
            };
            if broken {
                item.status = ItemStatus::Failed;
                item.reason.get_or_insert_with(|| "Internal error while copying the data".to_owned());
            } else if item.status == ItemStatus::Copying {
                self.finish_item(item, at);
            }
        }
        let failed = items.iter().filter(|item| item.status != ItemStatus::Copied).count();
        let none = items.iter().all(|item| item.status == ItemStatus::Failed);
        let (status, reason) = match failed {
            0 => (JobStatus::Succeeded, None),
            _ if none => (JobStatus::Failed, Some("None of the items could be copied.".to_owned())),
            _ => {
                let reason = format!("{failed} of {} items could not be copied.", items.len());
                (JobStatus::PartiallySucceeded, Some(reason))
            }
        };
        if let Some(batch) = self.copies.all.get_mut(number) {
            batch.items = items;
        }
        self.set_job(number, status, reason, at);
    }

    fn is_poisoned(&self, item: &Item) -> bool {
        let poison = &self.faults.poison_paths;
        let named = self.tree.by_id(&item.data).is_some_and(|(_, node)| poison.contains(&node.path));
        named || item.writes.iter().any(|write| poison.contains(&write.source_path))
    }

    fn finish_item(&mut self, item: &mut Item, at: Instant) {
        let writes = std::mem::take(&mut item.writes);
        let all = writes.len();
        let defect = self.faults.tag_defect;
        let mut stuck = 0;
        for write in writes {
            if defect && !write.parts.is_multipart() {
                stuck += 1;
            } else {
                let parts = self.written_to(write.node, &write.parts);
                self.bytes_are_in(write.node, write.content, parts, at);
            }
        }
        item.status = match stuck {
            0 => ItemStatus::Copied,
            _ if stuck == all => ItemStatus::Failed,
            _ => ItemStatus::PartiallyCopied,
        };
        item.reason = (stuck > 0).then(|| TAG_DEFECT.to_owned());
    }
}
