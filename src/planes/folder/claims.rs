//! The roots that run jobs in a project and those that wait to, as the `SLOTS` item says and as one instance
//! knows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::slot_request::{SlotRequest, root_of};
use crate::{
    domain::ids::{ProjectId, RequestId, digest},
    engine::records::attr,
    ports::store::{Item, Key},
    signals,
};

/// How often a root that waits says so, in milliseconds.
pub(super) const REPEAT: i64 = 30_000;

/// How long it is believed after the beginning of that time.
const BELIEVED: i64 = 90_000;

/// The tag that stands for a root in a slot.
pub(super) fn slot_owner_tag(root: &RequestId) -> String {
    let mut text = digest(&[root.as_str()]);
    text.truncate(12);
    text
}

/// The content of the `SLOTS` item at one moment.
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

    /// Whether some root runs more jobs than this one.
    pub(super) fn is_below_fair_share(&self, root: &str) -> bool {
        let own = self.jobs_of(root);
        self.running.iter().any(|member| self.jobs_of(root_of(member)) > own)
    }

    /// The roots that wait, with how many jobs each runs.
    pub(super) fn contenders(&self, now: i64) -> BTreeMap<&str, usize> {
        let fresh = self.waiting.iter().filter_map(|entry| fresh(entry, now));
        fresh.map(|root| (root, self.jobs_of(root))).collect()
    }

    /// The entries of a root, and those that are not believed any more.
    pub(super) fn entries_of(&self, root: &str, now: i64) -> BTreeSet<String> {
        let its = |entry: &&String| fresh(entry, now).is_none_or(|waits| waits == root);
        self.waiting.iter().filter(its).cloned().collect()
    }

    /// The entries that are not believed any more.
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

/// The knowledge of one instance about slots: a hint of the jobs that run, and which of its folders wait.
#[derive(Debug, Default)]
pub(crate) struct Slots(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    seen: HashMap<ProjectId, View>,
    waiting: HashMap<ProjectId, Vec<(Key, SlotRequest)>>,
    called: HashSet<Key>,
}

impl Slots {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the item as it was written or read just now.
    pub(super) fn see(&self, project: &ProjectId, item: Option<&Item>) -> View {
        let view = View::of(item);
        self.known().seen.insert(project.clone(), view.clone());
        signals::engine::slots_used(project.as_str(), view.running.len());
        view
    }

    /// Whether the project had no room when it was last looked at from here.
    pub(super) fn was_full(&self, project: &ProjectId, limit: usize) -> bool {
        self.known().seen.get(project).is_some_and(|view| view.running.len() >= limit)
    }

    /// Of these roots the one that, as far as is known here, has the fewest jobs.
    pub(super) fn furthest_below_share(&self, project: &ProjectId, roots: &BTreeSet<String>) -> String {
        let known = self.known();
        let jobs = |root: &&String| known.seen.get(project).map_or(0, |view| view.jobs_of(root));
        roots.iter().min_by_key(jobs).cloned().unwrap_or_default()
    }

    /// Notes that a folder waits.
    pub(super) fn wait(&self, project: &ProjectId, folder: &Key, wish: &SlotRequest) {
        let mut known = self.known();
        known.called.remove(folder);
        let waiting = known.waiting.entry(project.clone()).or_default();
        match waiting.iter_mut().find(|(key, _)| key == folder) {
            Some((_, known)) => known.clone_from(wish),
            None => waiting.push((folder.clone(), wish.clone())),
        }
    }

    /// Notes that it does not.
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
        let may = |(_, (_, wish)): &(usize, &(Key, SlotRequest))| room || wish.express;
        let turn = waiting.iter().enumerate().filter(may);
        let (turn, _) = turn.min_by_key(|(_, (_, wish))| view.jobs_of(wish.root()))?;
        let (folder, _) = waiting.remove(turn);
        called.insert(folder.clone());
        Some(folder)
    }

    /// Whether it is that folder's turn; true once.
    pub(super) fn is_called(&self, folder: &Key) -> bool {
        self.known().called.remove(folder)
    }

    /// Whether other folders wait here for the same root.
    pub(super) fn others_wait(&self, project: &ProjectId, folder: &Key, root: &str) -> bool {
        let known = self.known();
        let mut waiting = known.waiting.get(project).into_iter().flatten();
        waiting.any(|(key, wish)| key != folder && wish.root() == root)
    }

    /// How many folders wait here besides that one, and whether it would be called next.
    pub(super) fn place(&self, project: &ProjectId, folder: &Key, root: &str) -> (usize, bool) {
        let known = self.known();
        let Some(view) = known.seen.get(project) else { return (0, true) };
        let mut jobs: HashMap<&str, usize> = HashMap::new();
        let own = view.jobs_of(root);
        let (mut others, mut before, mut met) = (0, 0, false);
        for (key, wish) in known.waiting.get(project).into_iter().flatten() {
            if key == folder {
                met = true;
                continue;
            }
            others += 1;
            let its = *jobs.entry(wish.root()).or_insert_with(|| view.jobs_of(wish.root()));
            before += usize::from(its < own || (its == own && !met));
        }
        (others, before == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Just under a minute after the beginning of the half minute numbered 100.
    const NOW: i64 = 100 * REPEAT + 59_999;

    fn item(running: &[&str], express: &[&str], waiting: &[&str]) -> Item {
        let key = Key::new("slots.p", "SLOTS");
        [(attr::RUNNING, running), (attr::EXPRESS, express), (attr::WAITING, waiting)]
            .into_iter()
            .filter(|(_, members)| !members.is_empty())
            .fold(Item::new(key), |mut item, (name, members)| {
                let set = members.iter().map(|member| (*member).to_owned()).collect();
                item.attributes.insert(name.to_owned(), crate::ports::store::Value::TextSet(set));
                item
            })
    }

    #[test]
    fn who_waits_is_believed_for_a_while() {
        let view = View::of(Some(&item(&["a:1", "a:2", "b:3"], &["c:4"], &["c@100", "b@99", "d@98", "e@x"])));
        assert_eq!(view.contenders(NOW), BTreeMap::from([("b", 1), ("c", 1)]));
        assert_eq!(view.stale(NOW), BTreeSet::from(["d@98".into(), "e@x".into()]));
        assert_eq!(view.entries_of("c", NOW).len(), 3);
        assert!(view.is_below_fair_share("c") && !view.is_below_fair_share("a"));
        assert_eq!(View::of(None).contenders(NOW), BTreeMap::new());
    }

    #[test]
    fn slots_of_older_versions_count_for_nobody_else() {
        let view = View::of(Some(&item(&["0b8f2c1e-0000"], &[], &[])));
        assert_eq!((view.jobs_of("0b8f2c1e-0000"), view.jobs_of("a")), (1, 0));
    }

    #[test]
    fn the_poorest_root_of_an_instance_is_called_first_and_once() {
        let (slots, project) = (Slots::default(), ProjectId::new("p"));
        let folder = |name: &str| Key::new(name, "FOLDER");
        slots.see(&project, Some(&item(&["a:1", "a:2", "b:3"], &[], &[])));
        for (name, root) in [("f1", "a"), ("f2", "b"), ("f3", "b"), ("f4", "c")] {
            slots.wait(&project, &folder(name), &SlotRequest::new(root, name, name == "f3"));
        }
        let next = ["f1", "f2", "f3", "f4"].map(|name| {
            let root = if name == "f1" {
                "a"
            } else if name == "f4" {
                "c"
            } else {
                "b"
            };
            slots.place(&project, &folder(name), root)
        });
        assert_eq!(next, [(3, false), (3, false), (3, false), (3, true)]);
        assert_eq!(slots.place(&project, &folder("f5"), "c"), (4, false));
        assert!(slots.others_wait(&project, &folder("f2"), "b"));
        assert!(!slots.others_wait(&project, &folder("f4"), "c"));
        assert_eq!(slots.call(&project, 20), Some(folder("f4")));
        assert!(slots.is_called(&folder("f4")) && !slots.is_called(&folder("f4")));
        // No room but in the express lane.
        assert_eq!(slots.call(&project, 3), Some(folder("f3")));
        assert_eq!(slots.call(&project, 3), None);
        slots.leave(&project, &folder("f2"));
        assert_eq!(slots.call(&project, 20), Some(folder("f1")));
        assert_eq!(slots.furthest_below_share(&project, &["a".into(), "b".into()].into()), "b");
    }
}
