//! Signs of life: heartbeats are sent on them.
//!
//! A task that sees a request move notes it here, in memory; the timers write it down, at most once in a
//! while for each root and only where there is something new, so that any instance may beat. That a request
//! was made counts as a sign too, so a short one costs no write at all. A platform that answers with faults
//! is noted apart: it is believed for longer than silence, but not for ever.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use super::{
    concurrent::join_unordered,
    core::Core,
    lease::Leased,
    records::{self, as_millis, attr, millis, set, started_at},
};
use crate::{
    domain::ids::{ProjectId, RequestId},
    ports::{
        Class, Error, Result,
        store::{DUE_AT, EXPIRE_AT, Item, Write},
    },
    signals,
};

/// Roots whose signs are known at a time, about 150 bytes each; far more than one instance works for.
const MOST_ROOTS: usize = 100_000;

/// Projects whose queue for places is watched at a time.
const MOST_QUEUES: usize = 10_000;

/// Signs written in one tick, and how many of them at a time.
const MOST_WRITES: usize = 500;
const WIDTH: usize = 16;

/// How often a sign of life must be able to be written before its absence means something.
const WRITES_BEFORE_A_STALL: u32 = 6;

/// Nothing that we wait for goes on for that long without having moved: calls and transfers that are
/// stuck are given up before.
const STUCK_AFTER: Duration = Duration::from_mins(2);

/// A record that has been due for that long, and that no instance holds, waits for a place on one.
const OVERDUE: Duration = Duration::from_mins(1);

/// A root on whose behalf something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootRef {
    pub root: RequestId,
    /// When it began to wait, milliseconds since 1970.
    pub since: i64,
}

impl RootRef {
    /// The root of a request record, itself or its parent.
    pub(crate) fn of(record: &Item) -> Self {
        let root = RequestId::new(record.text(attr::ROOT).unwrap_or(&record.key.id));
        Self { root, since: millis(started_at(record)) }
    }
}

/// The signs of one root, milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
struct NotedProgress {
    moved: i64,
    outage: i64,
    told_moved: i64,
    told_outage: i64,
}

impl NotedProgress {
    const fn is_news(&self) -> bool {
        self.moved > self.told_moved || self.outage > self.told_outage
    }

    /// Whether there is news of what is stored as older than `period`. One kind of sign never waits
    /// for the other.
    fn is_due(&self, now: i64, period: i64) -> bool {
        let due = |seen: i64, told: i64| seen > told && now >= told.saturating_add(period);
        due(self.moved, self.told_moved) || due(self.outage, self.told_outage)
    }

    fn is_silent(&self, now: i64, period: i64) -> bool {
        !self.is_news() && now >= self.told_moved.max(self.told_outage).saturating_add(2 * period)
    }
}

/// The signs of life that this instance has seen.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    // In an order that is the same every time: so are the histories of the simulation.
    roots: Mutex<BTreeMap<RequestId, NotedProgress>>,
    /// The jobs that held the places of a project when it was last looked at, and since when.
    queues: Mutex<HashMap<ProjectId, (u64, i64)>>,
    /// When a record that had to wait was last given a place on this instance.
    runs_moved: AtomicI64,
    /// When a file was last given one of its streams.
    streams_moved: AtomicI64,
    /// When the platform was last found in trouble, and when it last answered a look.
    platform_outage: AtomicI64,
    platform_answered: AtomicI64,
}

impl Liveness {
    fn roots(&self) -> MutexGuard<'_, BTreeMap<RequestId, NotedProgress>> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, root_refs: &[RootRef], what: impl Fn(&mut NotedProgress)) {
        let mut roots = self.roots();
        for party in root_refs {
            if let Some(noted) = roots.get_mut(&party.root) {
                what(noted);
            } else if roots.len() < MOST_ROOTS {
                // That it was made is known to all.
                let since = party.since;
                let mut noted = NotedProgress { moved: since, outage: 0, told_moved: since, told_outage: 0 };
                what(&mut noted);
                roots.insert(party.root.clone(), noted);
            }
        }
    }

    /// These roots have moved.
    pub(crate) fn record_progress(&self, root_refs: &[RootRef], at: i64) {
        self.note(root_refs, |noted| noted.moved = noted.moved.max(at));
    }

    /// When one of these roots last moved, as far as is known here.
    pub(crate) fn last_moved(&self, root_refs: &[RootRef]) -> i64 {
        let roots = self.roots();
        root_refs
            .iter()
            .filter_map(|party| roots.get(&party.root))
            .map(|noted| noted.moved)
            .max()
            .unwrap_or(0)
    }

    /// These roots met a platform that answers with faults.
    pub(crate) fn outage(&self, root_refs: &[RootRef], at: i64) {
        self.note(root_refs, |noted| noted.outage = noted.outage.max(at));
    }

    /// The platform answers with faults, or not at all. That concerns every root that needs it: most of them
    /// stand in line behind the call that has failed.
    pub(crate) fn platform_outage(&self, at: i64) {
        self.platform_outage.fetch_max(at, Ordering::Relaxed);
    }

    /// The platform has answered everything that a folder wanted to know.
    pub(crate) fn platform_answered(&self, at: i64) {
        self.platform_answered.fetch_max(at, Ordering::Relaxed);
    }

    /// When the platform was last found in trouble; 0 when it has been well since.
    fn outage_of_platform(&self) -> i64 {
        let at = self.platform_outage.load(Ordering::Relaxed);
        if at > self.platform_answered.load(Ordering::Relaxed) { at } else { 0 }
    }

    /// A root that has ended gives no more signs.
    pub(crate) fn forget(&self, root: &RequestId) {
        self.roots().remove(root);
    }

    /// The jobs that hold the places of a project now.
    pub(crate) fn queue_seen(&self, project: &ProjectId, members: &BTreeSet<String>, now: i64) {
        let mut hasher = DefaultHasher::new();
        members.hash(&mut hasher);
        let hash = hasher.finish();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= MOST_QUEUES {
            queues.clear();
        }
        let seen = queues.entry(project.clone()).or_insert((hash, now));
        if seen.0 != hash {
            *seen = (hash, now);
        }
    }

    /// When other jobs were last seen to hold the places of a project than before.
    pub(crate) fn queue_moved(&self, project: &ProjectId) -> i64 {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.get(project).map_or(0, |(_, at)| *at)
    }

    /// A record that waited was given a place.
    pub(crate) fn run_began(&self, now: i64) {
        self.runs_moved.store(now, Ordering::Relaxed);
    }

    /// A file was given a stream.
    pub(crate) fn stream_began(&self, now: i64) {
        self.streams_moved.store(now, Ordering::Relaxed);
    }

    /// When a file was last given a stream.
    pub(crate) fn streams_moved(&self) -> i64 {
        self.streams_moved.load(Ordering::Relaxed)
    }

    /// The signs that are to be written now; forgets roots that have been silent for long.
    fn due(&self, now: i64, period: i64) -> Vec<(RequestId, NotedProgress)> {
        let outage = self.outage_of_platform();
        let mut roots = self.roots();
        roots.retain(|_, noted| {
            noted.outage = noted.outage.max(outage);
            !noted.is_silent(now, period)
        });
        let due = roots.iter().filter(|(_, noted)| noted.is_due(now, period));
        due.take(MOST_WRITES).map(|(root, noted)| (root.clone(), *noted)).collect()
    }

    fn told(&self, root: &RequestId, what: NotedProgress) {
        if let Some(noted) = self.roots().get_mut(root) {
            (noted.told_moved, noted.told_outage) = (what.moved, what.outage);
        }
    }

    /// The signs of a root that this instance itself has seen.
    fn seen(&self, root: &str) -> ProgressMarks {
        let roots = self.roots();
        let noted = roots.get(&RequestId::new(root));
        let outage = noted.map_or(0, |noted| noted.outage).max(self.outage_of_platform());
        let outage = Some(outage).filter(|at| *at > 0);
        ProgressMarks { moved: noted.map(|noted| noted.moved), outage }
    }
}

/// The signs of one root as they are stored, milliseconds since 1970; `None`: none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ProgressMarks {
    pub moved: Option<i64>,
    pub outage: Option<i64>,
}

impl ProgressMarks {
    /// Whether heartbeats may be sent on them.
    pub(crate) fn are_fresh(&self, now: i64, stalled_after: i64, outage_after: i64) -> bool {
        // Nothing is known about a token of an older version: it is kept alive.
        let Some(moved) = self.moved else { return true };
        let age = now.saturating_sub(moved);
        let excused = self.outage.is_some_and(|at| now.saturating_sub(at) < stalled_after);
        age < stalled_after || (excused && age < outage_after)
    }
}

impl Core {
    /// Whether a root shows signs of life.
    pub(crate) fn is_alive(&self, signs: &ProgressMarks) -> bool {
        let heartbeat = &self.settings.heartbeat;
        let now = millis(self.ports.clock.now());
        signs.are_fresh(now, as_millis(heartbeat.stalled_after), as_millis(heartbeat.outage_after))
    }

    /// The signs of a root: those that are stored among these items, those that this instance has seen
    /// itself, and that the root was made, which is a sign too.
    pub(crate) fn signs(&self, root: &str, items: &[Item], made: Option<i64>) -> ProgressMarks {
        let stored = items.iter().find(|item| item.key.id_type == records::SIGNS);
        let number = |name: &str| stored.and_then(|item| item.number(name));
        let seen = self.liveness.seen(root);
        ProgressMarks {
            moved: number(attr::EVIDENCE_AT).max(made).max(seen.moved),
            outage: number(attr::OUTAGE_AT).max(seen.outage),
        }
    }

    /// Something was done for these roots.
    pub(crate) fn record_progress(&self, root_refs: &[RootRef]) {
        self.liveness.record_progress(root_refs, millis(self.ports.clock.now()));
    }

    /// Takes note of an error: only the answer of a platform in trouble is a sign.
    pub(crate) fn note_outage(&self, root_refs: &[RootRef], error: &Error) {
        if matches!(error.class, Class::Transient | Class::Throttled) {
            self.liveness.outage(root_refs, millis(self.ports.clock.now()));
        }
    }

    /// The same for all roots that need the platform.
    pub(crate) fn note_platform_outage(&self, error: &Error) {
        if matches!(error.class, Class::Transient | Class::Throttled) {
            self.liveness.platform_outage(millis(self.ports.clock.now()));
        }
    }

    /// The same for the record of a request; a folder knows the roots for which it works.
    pub(crate) fn note_outage_of(&self, held: &Leased, error: &Error) {
        if held.lease.key.id_type == records::REQUEST {
            self.note_outage(&[RootRef::of(&held.item)], error);
        }
    }

    /// When nothing can be decided any longer about a root that shows no sign of life: nothing has moved
    /// for as long as an outage is believed in, and the holders that were asked to look had the time to.
    /// Milliseconds since 1970.
    pub(crate) fn silence_ends(&self, signs: &ProgressMarks, look_since: i64) -> i64 {
        let heartbeat = &self.settings.heartbeat;
        let moved = signs.moved.unwrap_or(look_since);
        let outage = moved.saturating_add(as_millis(heartbeat.outage_after));
        outage.max(look_since.saturating_add(as_millis(heartbeat.stalled_after)))
    }

    /// Waits for work that is given up when it is stuck: as long as it goes on, it moves.
    pub(crate) async fn while_moving<T>(&self, root_refs: &[RootRef], work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep(STUCK_AFTER) => self.record_progress(root_refs),
            }
        }
    }

    /// Whether a record waits for nothing but a place on an instance, while places are given.
    pub(crate) fn waits_for_a_place(&self, record: &Item) -> bool {
        let now = millis(self.ports.clock.now());
        let moved = self.liveness.runs_moved.load(Ordering::Relaxed);
        let held = record.text(attr::OWNER).is_some_and(|owner| !owner.is_empty())
            && record.number(attr::LEASE_UNTIL).is_some_and(|until| now < until);
        let due = record.number(DUE_AT).is_some_and(|at| at.saturating_add(as_millis(OVERDUE)) < now);
        due && !held && now.saturating_sub(moved) < as_millis(self.settings.heartbeat.stalled_after)
    }

    /// Writes down the signs that are new since the last time.
    pub(crate) async fn tell_evidence(&self) {
        let heartbeat = &self.settings.heartbeat;
        let period = heartbeat.every().max(heartbeat.stalled_after / WRITES_BEFORE_A_STALL);
        let now = self.ports.clock.now();
        // Beyond the life of the root, so that a late sign of one that has ended goes too.
        let keep = self.settings.service.keep + heartbeat.outage_after;
        let expire_at = records::after(now, keep) / 1000;
        let due = self.liveness.due(millis(now), as_millis(period));
        let writes = due.into_iter().map(|(root, noted)| async move {
            let mut changes = vec![set(EXPIRE_AT, expire_at), set(attr::EVIDENCE_AT, noted.moved)];
            if noted.outage > 0 {
                changes.push(set(attr::OUTAGE_AT, noted.outage));
            }
            let written = self.ports.store.write(Write::update(records::signs_key(&root), changes)).await;
            written.map(|_| self.liveness.told(&root, noted))
        });
        let written: Vec<Result<()>> = join_unordered(WIDTH, writes).await;
        if let Some(error) = written.into_iter().find_map(Result::err) {
            signals::engine::evidence_untold(&error);
        }
    }
}

#[cfg(test)]
mod tests;
