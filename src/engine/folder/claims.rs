//! Who runs jobs in a project and who waits to, as the `SLOTS` item says and as one instance knows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::slots::Wish;
use crate::{
    domain::ids::{ProjectId, RequestId, digest},
    engine::records::attr,
    ports::store::{Item, Key},
};

/// How often a root that waits says so, in milliseconds.
pub(super) const REPEAT: i64 = 30_000;

/// How long it is believed after the beginning of that time.
const BELIEVED: i64 = 90_000;

/// What stands for a root in a slot.
pub(super) fn short(root: &RequestId) -> String {
    let mut text = digest(&[root.as_str()]);
    text.truncate(12);
    text
}

pub(super) fn root_of(member: &str) -> &str {
    member.split_once(':').map_or(member, |(root, _)| root)
}

/// What the `SLOTS` item says at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub running: BTreeSet<String>,
    pub express: BTreeSet<String>,
    pub waiting: BTreeSet<String>,
}

impl View {
    fn of(item: Option<&Item>) -> Self {
        item.map_or_else(Self::default, |item| Self {
            running: item.members(attr::RUNNING),
            express: item.members(attr::EXPRESS),
            waiting: item.members(attr::WAITING),
        })
    }

    /// How many jobs of a root run.
    pub(super) fn jobs_of(&self, root: &str) -> usize {
        self.running.iter().chain(&self.express).filter(|member| root_of(member) == root).count()
    }

    /// Who waits, with how many jobs each runs.
    pub(super) fn rivals(&self, now: i64) -> BTreeMap<&str, usize> {
        let fresh = self.waiting.iter().filter_map(|entry| fresh(entry, now));
        fresh.map(|root| (root, self.jobs_of(root))).collect()
    }

    /// What a root has said, and what nobody believes any more.
    pub(super) fn entries_of(&self, root: &str, now: i64) -> BTreeSet<String> {
        let its = |entry: &&String| fresh(entry, now).is_none_or(|waits| waits == root);
        self.waiting.iter().filter(its).cloned().collect()
    }

    /// What nobody believes any more.
    pub(super) fn stale(&self, now: i64) -> BTreeSet<String> {
        self.waiting.iter().filter(|entry| fresh(entry, now).is_none()).cloned().collect()
    }
}

/// The root of an entry that is still believed.
fn fresh(entry: &str, now: i64) -> Option<&str> {
    let (root, bucket) = entry.split_once('@')?;
    let said: i64 = bucket.parse().ok()?;
    (now < said.saturating_mul(REPEAT).saturating_add(BELIEVED)).then_some(root)
}

/// What one instance knows of slots: a hint of who runs, and which of its folders wait.
#[derive(Debug, Default)]
pub(crate) struct Slots(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    seen: HashMap<ProjectId, View>,
    waiting: HashMap<ProjectId, Vec<(Key, Wish)>>,
    called: HashSet<Key>,
}

impl Slots {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn see(&self, project: &ProjectId, item: Option<&Item>) -> View {
        let view = View::of(item);
        self.known().seen.insert(project.clone(), view.clone());
        view
    }

    /// Of these roots the one that, as far as is known here, has the fewest jobs.
    pub(super) fn poorest(&self, project: &ProjectId, roots: &BTreeSet<String>) -> String {
        let known = self.known();
        let jobs = |root: &&String| known.seen.get(project).map_or(0, |view| view.jobs_of(root));
        roots.iter().min_by_key(jobs).cloned().unwrap_or_default()
    }

    pub(super) fn wait(&self, project: &ProjectId, folder: &Key, wish: &Wish) {
        let mut known = self.known();
        known.called.remove(folder);
        let waiting = known.waiting.entry(project.clone()).or_default();
        match waiting.iter_mut().find(|(key, _)| key == folder) {
            Some((_, known)) => known.clone_from(wish),
            None => waiting.push((folder.clone(), wish.clone())),
        }
    }

    pub(super) fn leave(&self, project: &ProjectId, folder: &Key) {
        let mut known = self.known();
        known.called.remove(folder);
        if let Some(waiting) = known.waiting.get_mut(project) {
            waiting.retain(|(key, _)| key != folder);
        }
    }

    /// The folder whose turn it is on this instance, now that a slot is free.
    pub(super) fn call(&self, project: &ProjectId, limit: usize) -> Option<Key> {
        let mut guard = self.known();
        let Known { seen, waiting, called } = &mut *guard;
        let (view, waiting) = (seen.get(project)?, waiting.get_mut(project)?);
        let room = view.running.len() < limit;
        let may = |(_, (_, wish)): &(usize, &(Key, Wish))| room || wish.express;
        let turn = waiting.iter().enumerate().filter(may);
        let (turn, _) = turn.min_by_key(|(_, (_, wish))| view.jobs_of(wish.root()))?;
        let (folder, _) = waiting.remove(turn);
        called.insert(folder.clone());
        Some(folder)
    }

    pub(super) fn is_called(&self, folder: &Key) -> bool {
        self.known().called.remove(folder)
    }

    pub(super) fn others_wait(&self, project: &ProjectId, folder: &Key, root: &str) -> bool {
        let known = self.known();
        let waiting = known.waiting.get(project);
        waiting.is_some_and(|waiting| {
            waiting.iter().any(|(key, wish)| key != folder && wish.root() == root)
        })
    }
}
