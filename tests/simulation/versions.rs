//! Two versions of the daemon on one table: side by side, as while a fleet is upgraded, and one after the other,
//! as when an upgrade is taken back and made again. The newer one is an imitation (`app::versions`).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use copy_manager::{
    app::versions::{Newer, UNKNOWN},
    engine::schema::Guarded,
    ports::{
        Result,
        store::{Due, Item, Key, Recent, Store, Transacted, Write, Written},
    },
};

use crate::{
    board::Board,
    history::{Told, live_of_versions},
    world::{Also, Plan},
};

/// Types of records and the schema in which they are written.
type Changed = &'static [(&'static str, i64)];

/// What a newer version may write otherwise, each by itself and all together.
const CHANGES: [Changed; 5] = [
    &[
        ("REQUEST", 2),
        ("PAYLOAD", 2),
        ("PLAN#", 2),
        ("FOLDER", 2),
        ("WAITER#", 2),
        ("OUTCOME", 2),
        ("STOP", 2),
        ("TALLY#", 2),
        ("TOKEN#", 2),
    ],
    &[("FOLDER", 2), ("WAITER#", 2)],
    &[("REQUEST", 2)],
    &[("OUTCOME", 2), ("STOP", 2)],
    &[("TOKEN#", 2), ("TALLY#", 2)],
];

/// A version of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// This one.
    Ours,
    /// One that reads the next schema and writes ours, with an attribute that ours does not know.
    Reads,
    /// One that writes these records in the next schema.
    Writes(Changed),
}

impl Version {
    /// The table as it uses it.
    pub(crate) fn table(self, store: Arc<dyn Store>, board: &Arc<Board>) -> Arc<dyn Store> {
        let store: Arc<dyn Store> = match self {
            Self::Ours => Arc::new(Guarded::new(store)),
            Self::Reads => Newer::table(store, &[]),
            Self::Writes(changed) => Newer::table(store, changed),
        };
        Arc::new(Counting { store, board: board.clone() })
    }

    /// Whether it reads what another one writes.
    fn reads(self, other: Self) -> bool {
        self != Self::Ours || !matches!(other, Self::Writes(_))
    }
}

/// The table as a version uses it, with somebody who counts what it is refused.
#[derive(Debug)]
struct Counting {
    store: Arc<dyn Store>,
    board: Arc<Board>,
}

impl Counting {
    fn count<T>(&self, answer: Result<T>) -> Result<T> {
        answer.inspect_err(|error| {
            self.board.left.fetch_add(usize::from(error.is_newer()), Ordering::Relaxed);
        })
    }
}

#[async_trait]
impl Store for Counting {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        self.count(self.store.get(key).await)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        self.count(self.store.get_many(keys).await)
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        self.count(self.store.query(id, prefix).await)
    }

    async fn write(&self, write: Write) -> Result<Written> {
        self.count(self.store.write(write).await)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
        self.count(self.store.transact(writes).await)
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        self.store.due(shard, until, limit).await
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        self.store.due_after(shard, after, limit).await
    }

    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
        self.store.recent(day, before, limit).await
    }
}

/// How the versions of a fleet follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Course {
    /// Both all the time.
    Beside,
    /// The newer one, from then on the older one alone, and from then on the newer one again.
    BackAndForth(Duration, Duration),
}

/// The versions of a fleet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Versions {
    pub older: Version,
    pub newer: Version,
    pub course: Course,
}

impl Versions {
    /// This version alone.
    pub(crate) const ONE: Self = Self { older: Version::Ours, newer: Version::Ours, course: Course::Beside };

    /// The version of the place `n` from now on. `n` 0 is of the newer one when it is calm, so that all ends.
    pub(crate) fn at(&self, n: usize, now: Duration, is_calm: bool, drawn: u64) -> Version {
        let newer = match self.course {
            Course::Beside => (n == 0 && is_calm) || drawn.is_multiple_of(2),
            Course::BackAndForth(back, forth) => !(back..forth).contains(&now),
        };
        if newer { self.newer } else { self.older }
    }

    /// Whether an instance is of a version that must not be there (any more).
    pub(crate) fn is_over(&self, n: usize, version: Version, now: Duration, is_calm: bool) -> bool {
        match self.course {
            Course::Beside => n == 0 && is_calm && version != self.newer,
            Course::BackAndForth(..) => version != self.at(n, now, is_calm, 0),
        }
    }

    /// Whether an instance of that version can go on with every record.
    pub(crate) fn reads_all(&self, version: Version) -> bool {
        version.reads(self.newer)
    }

    /// Whether every instance can.
    pub(crate) fn all_read_all(&self) -> bool {
        self.reads_all(self.older)
    }
}

/// Whether a record must keep what a newer version has written into it for as long as it is there.
pub(crate) fn keeps_unknown(item: &Item) -> bool {
    let id_type = item.key.id_type.as_str();
    ["REQUEST", "FOLDER"].contains(&id_type) || ["TOKEN#", "TALLY#"].iter().any(|of| id_type.starts_with(of))
}

/// Whether a newer version has written into a record what ours does not know.
pub(crate) fn has_unknown(item: &Item) -> bool {
    item.number(UNKNOWN).is_some()
}

/// Lives through histories of two versions, and says of each that broke a rule which.
fn live_all(seeds: std::ops::Range<u64>, versions: impl Fn(u64, &Plan) -> Versions) -> Vec<Told> {
    let mut all = Vec::new();
    for seed in seeds {
        let mut plan = Plan::drawn(seed, true, Also { shares: false, replicas: true });
        plan.versions = versions(seed, &plan);
        plan.instances = plan.instances.max(2);
        plan.two_versions = false;
        let told = live_of_versions(plan, seed);
        let from = told.lines.len().saturating_sub(60);
        assert!(told.broken.is_empty(), "seed {seed}: {:#?}\n{}", told.broken, told.lines[from..].join("\n"));
        all.push(told);
    }
    all
}

fn drawn_changes(seed: u64) -> Changed {
    CHANGES[usize::try_from(seed).unwrap() % CHANGES.len()]
}

/// A release that adds attributes, beside the one before.
#[test]
fn what_is_only_added_is_in_nobodys_way_and_is_not_lost() {
    let told = live_all(1..11, |_, _| Versions {
        older: Version::Ours,
        newer: Version::Reads,
        course: Course::Beside,
    });
    assert!(told.iter().all(|told| told.left == 0), "nothing is left to the newer ones");
}

/// A release that writes a new schema, beside the one before, which reads it: the way that `docs/upgrading.md` asks for.
#[test]
fn a_version_that_reads_the_next_schema_works_beside_the_one_that_writes_it() {
    let told = live_all(31..45, |seed, plan| Versions {
        older: Version::Reads,
        newer: Version::Writes(drawn_changes(seed)),
        course: if seed.is_multiple_of(2) {
            Course::Beside
        } else {
            Course::BackAndForth(plan.calm_at / 4, plan.calm_at * 4)
        },
    });
    assert!(told.iter().all(|told| told.left == 0), "nothing is left to the newer ones");
}

/// A release that writes a new schema at once, beside one that does not read it.
#[test]
fn a_version_leaves_alone_what_it_cannot_read_beside_one_that_can() {
    let told = live_all(71..91, |seed, _| Versions {
        older: Version::Ours,
        newer: Version::Writes(drawn_changes(seed)),
        course: Course::Beside,
    });
    assert!(told.iter().any(|told| told.left > 0), "something was left to the newer ones");
}

/// The same taken back in the midst of the work, and made again when much has come to an end.
#[test]
fn after_a_rollback_the_rest_waits_for_the_newer_version_and_nothing_is_lost() {
    let told = live_all(131..151, |seed, plan| Versions {
        older: Version::Ours,
        newer: Version::Writes(drawn_changes(seed)),
        course: Course::BackAndForth(plan.calm_at / 4, plan.calm_at + Duration::from_mins(30)),
    });
    let sum = |of: fn(&Told) -> usize| told.iter().map(of).sum::<usize>();
    let (left, ended, waited) = (sum(|told| told.left), sum(|told| told.ended_back), sum(|told| told.waited));
    assert!(left > 0 && ended > 0 && waited > 0, "{left} left, {ended} ended by the older, {waited} waited");
}
