//! The result of one look at a folder: the files that are wanted there, those that stand there, and how the
//! ones compare with the others. [`super::look`] takes it; decisions read it, and to read it makes no call.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    listing::Listing,
    waiter::{self, Waiter},
    wanted::{Resolved, Source, Tree},
};
use crate::{
    domain::{
        diff::Verdict,
        file::{self, DataStatus},
        ids::{DataId, ProjectId},
        outcome::{Counters, Unfinished},
        route::Route,
    },
    engine::liveness::RootRef,
    ports::platform::Destination,
};

/// The result of one look.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub project: ProjectId,
    /// The destination folder; none where no file is wanted and empty folders are not made.
    pub folder: Option<Destination>,
    /// The waiters, with what each wants and how each of its files stands.
    pub waiters: Vec<(Waiter, Arc<Resolved>, Vec<Verdict>)>,
    /// The entries that are there, by exact name.
    pub listing: Arc<Listing>,
    /// How source folders stand that go as one item of a job, by waiter and name.
    pub standings: BTreeMap<(String, String), TreeStatus>,
    /// Names that are streamed although a job would be their route.
    pub streamed: BTreeSet<String>,
    /// Why files of ended jobs did not arrive, by name.
    pub reasons: BTreeMap<String, String>,
    /// PARTIAL files that our own ended jobs have left.
    pub leftovers: BTreeSet<DataId>,
    /// PARTIAL files that are ours, or taken for abandoned.
    pub ours: BTreeSet<DataId>,
    /// When the waiter that waits longest for a file that is not ours has waited long enough.
    pub overdue_at: Option<i64>,
    /// Every wanted name once, in order: whose it is, and which of its files. Made by each judgement.
    pub wanted: Vec<(u32, u32)>,
}

impl Snapshot {
    /// The snapshot of a look before anything is judged.
    pub(super) fn new(
        project: ProjectId,
        folder: Option<Destination>,
        waiters: Vec<(Waiter, Arc<Resolved>, Vec<Verdict>)>,
        listing: Arc<Listing>,
        streamed: BTreeSet<String>,
    ) -> Self {
        Self {
            project,
            folder,
            waiters,
            listing,
            standings: BTreeMap::new(),
            streamed,
            reasons: BTreeMap::new(),
            leftovers: BTreeSet::new(),
            ours: BTreeSet::new(),
            overdue_at: None,
            wanted: Vec::new(),
        }
    }

    /// The roots for which it was taken.
    pub(super) fn root_refs(&self) -> Vec<RootRef> {
        waiter::root_refs(self.waiters.iter().map(|(waiter, ..)| waiter))
    }

    /// Every wanted file with its verdict, by name, each name once: the first waiter's.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, (&Source, Verdict))> {
        self.wanted.iter().filter_map(|at| self.at(*at))
    }

    /// The files of one waiter with their verdicts.
    pub(super) fn files_of(&self, waiter: usize) -> impl Iterator<Item = (&Source, Verdict)> {
        let own = self.waiters.get(waiter);
        own.into_iter()
            .flat_map(|(_, resolved, verdicts)| resolved.files.iter().zip(verdicts.iter().copied()))
    }

    /// How the file of that name stands, if a waiter wants it.
    pub(super) fn get(&self, name: &str) -> Option<(&Source, Verdict)> {
        let name_at = |at: &(u32, u32)| self.at(*at).map(|(name, _)| name);
        let found = self.wanted.binary_search_by(|at| name_at(at).cmp(&Some(name))).ok()?;
        self.wanted.get(found).and_then(|at| self.at(*at)).map(|(_, file)| file)
    }

    /// Every wanted name with the number of the waiter whose file it is.
    pub(super) fn owned(&self) -> impl Iterator<Item = (usize, &str, (&Source, Verdict))> {
        self.wanted.iter().filter_map(|at| self.at(*at).map(|(name, file)| (at.0 as usize, name, file)))
    }

    fn at(&self, (waiter, file): (u32, u32)) -> Option<(&str, (&Source, Verdict))> {
        let (_, resolved, verdicts) = self.waiters.get(waiter as usize)?;
        let source = resolved.files.get(file as usize)?;
        Some((&source.wanted.name, (source, *verdicts.get(file as usize)?)))
    }

    /// Leaves out waiters that do not wait any more. Where two wanted one name, it is the next one's turn.
    pub(super) fn keep(&mut self, waits: impl Fn(&Waiter) -> bool) {
        self.waiters.retain(|(waiter, ..)| waits(waiter));
        self.index();
    }

    /// Puts the names in order.
    pub(super) fn index(&mut self) {
        self.wanted.clear();
        let mut wanted: Vec<(&str, u32, u32)> = Vec::new();
        for (waiter, (_, resolved, _)) in (0_u32..).zip(&self.waiters) {
            wanted.reserve(resolved.files.len());
            wanted.extend(
                (0_u32..).zip(&resolved.files).map(|(n, file)| (file.wanted.name.as_str(), waiter, n)),
            );
        }
        wanted.sort_unstable();
        wanted.dedup_by(|(b, ..), (a, ..)| a == b);
        self.wanted = wanted.into_iter().map(|(_, waiter, file)| (waiter, file)).collect();
    }

    /// Whether a PARTIAL file that is not ours stands under that name.
    pub(super) fn is_strangers(&self, name: &str) -> bool {
        let is_partial = |data: &&file::FileInfo| data.status == DataStatus::Partial;
        self.listing.get(name).filter(is_partial).is_some_and(|data| !self.ours.contains(&data.id))
    }

    /// How a file is brought.
    pub(super) fn route(&self, source: &Source) -> Route {
        if self.streamed.contains(&source.wanted.name) { Route::Stream } else { source.wanted.route }
    }

    /// Whether that name is wanted and not there.
    pub(super) fn is_open(&self, name: &str) -> bool {
        if name.ends_with('/') {
            return self.trees().get(name).is_some_and(|(_, standing)| !standing.is_complete());
        }
        let arrived = |verdict| matches!(verdict, Verdict::Done { .. } | Verdict::Skipped);
        self.get(name).is_some_and(|(_, verdict)| !arrived(verdict))
    }

    /// Whether something else stands there that stays.
    pub(super) fn is_clash(&self, name: &str) -> bool {
        self.get(name).is_some_and(|(_, verdict)| matches!(verdict, Verdict::Clash(_)))
    }

    /// Every tree with how it stands, each name once: the first waiter's.
    pub(super) fn trees(&self) -> BTreeMap<&str, (&Source, &TreeStatus)> {
        let mut trees = BTreeMap::new();
        for (waiter, resolved, _) in &self.waiters {
            for tree in &resolved.trees {
                let name = tree.item.wanted.name.as_str();
                if let Some(standing) = self.standings.get(&key(waiter, name)) {
                    trees.entry(name).or_insert((&tree.item, standing));
                }
            }
        }
        trees
    }

    /// How a waiter's tree stands.
    pub(super) fn standing(&self, waiter: &Waiter, tree: &Tree) -> Option<&TreeStatus> {
        self.standings.get(&key(waiter, &tree.item.wanted.name))
    }
}

/// How a tree stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TreeStatus {
    /// On its way.
    Coming,
    /// To be asked of a job.
    Missing,
    /// All that jobs will do is done.
    Ended {
        /// All that is complete; the rest is counted by the children that bring it.
        counters: Counters,
        /// The folders that are not complete.
        unfinished: Unfinished,
    },
}

impl TreeStatus {
    /// Whether all of it is there.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Ended { unfinished, .. } if unfinished.is_nothing())
    }
}

/// The key of a waiter's tree in [`Snapshot::standings`].
pub(super) fn key(waiter: &Waiter, name: &str) -> (String, String) {
    (waiter.request.to_string(), name.to_owned())
}
