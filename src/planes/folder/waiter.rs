//! The records of this plane: folders, the waiters of each, jobs, and the slots of projects.

use jiff::Timestamp;

use crate::{
    domain::{
        ids::{FolderId, JobId, ProjectId, RequestId},
        outcome::{Counted, Counters},
        request::FolderRequest,
    },
    engine::{
        liveness::RootRef,
        records::{attr, millis},
    },
    ports::store::{Item, Key},
};

/// A folder: the state that its holder keeps.
pub(crate) const FOLDER: &str = "FOLDER";
/// The waiters of a folder; one item for each, followed by the child.
pub(crate) const WAITER: &str = "WAITER#";
/// The folder that runs a job.
const JOB_ID: &str = "JOB_ID";
/// The roots that run jobs in a project, and those that wait to.
const SLOTS: &str = "SLOTS";

pub(crate) fn folder_key(id: &FolderId) -> Key {
    Key::new(id.as_str(), FOLDER)
}

pub(crate) fn job_key(job: &JobId) -> Key {
    Key::new(format!("job.{job}"), JOB_ID)
}

pub(crate) fn slots_key(project: &ProjectId) -> Key {
    Key::new(format!("slots.{project}"), SLOTS)
}

/// What a folder's waiter wants; written by the request that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiter {
    /// The child that waits.
    pub request: RequestId,
    /// Its root.
    pub root: RequestId,
    /// What it wants.
    pub spec: FolderRequest,
    /// When it began to wait.
    pub since: Timestamp,
    /// How many children its root has.
    pub siblings: u64,
    /// What its root's tally holds of it.
    pub counted: Option<Counted>,
}

impl Waiter {
    pub(crate) fn key(folder: &FolderId, request: &RequestId) -> Key {
        Key::new(folder.as_str(), format!("{WAITER}{request}"))
    }

    /// Its item, to which the `spec` is still to be added.
    pub(crate) fn item(&self, folder: &FolderId) -> Item {
        Item::new(Self::key(folder, &self.request))
            .with(attr::ROOT, self.root.as_str())
            .with(attr::CREATED_AT, millis(self.since))
            .with(attr::SIBLINGS, i64::try_from(self.siblings).unwrap_or(i64::MAX))
    }

    pub(crate) fn read(item: &Item, spec: FolderRequest) -> Self {
        let request = item.key.id_type.strip_prefix(WAITER).unwrap_or_default();
        Self {
            request: RequestId::new(request),
            root: RequestId::new(item.text(attr::ROOT).unwrap_or_default()),
            spec,
            since: Timestamp::from_millisecond(item.number(attr::CREATED_AT).unwrap_or(0))
                .unwrap_or_default(),
            siblings: siblings(item),
            counted: counted(item),
        }
    }
}

/// What the tally of its root holds of a waiter.
pub(crate) fn counted(item: &Item) -> Option<Counted> {
    serde_json::from_str(item.text(attr::COUNTED)?).ok()
}

/// How far one waiter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    pub request: RequestId,
    pub root: RequestId,
    /// When it began to wait, milliseconds since 1970.
    pub since: i64,
    pub now: Counted,
    /// What its root's tally holds of it.
    pub counted: Counted,
}

impl Progress {
    pub(super) fn new(waiter: &Waiter, now: Counted) -> Self {
        let Waiter { request, root, since, counted, .. } = waiter;
        let counted = counted.unwrap_or_default();
        Self { request: request.clone(), root: root.clone(), since: millis(*since), now, counted }
    }

    /// Whether more than the number of files has become known.
    pub(super) fn has_moved(&self) -> bool {
        let but_files = |it: Counted| Counted {
            counters: Counters { files: 0, ..it.counters },
            unverified: it.unverified,
        };
        but_files(self.now) != but_files(self.counted)
    }
}

/// How many children the root of a child or a waiter has; one where it was not written down.
pub(crate) fn siblings(item: &Item) -> u64 {
    item.number(attr::SIBLINGS).and_then(|n| u64::try_from(n).ok()).unwrap_or(1).max(1)
}

/// The roots of these waiters, each once.
pub(crate) fn root_refs<'a>(waiters: impl IntoIterator<Item = &'a Waiter>) -> Vec<RootRef> {
    let mut root_refs: Vec<RootRef> = waiters
        .into_iter()
        .map(|waiter| RootRef { root: waiter.root.clone(), since: millis(waiter.since) })
        .collect();
    root_refs.sort_by(|a, b| (&a.root, a.since).cmp(&(&b.root, b.since)));
    root_refs.dedup_by(|later, first| later.root == first.root);
    root_refs
}
