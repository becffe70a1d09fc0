//! The news of jobs that ended about their files, and how a bad file is found.
//!
//! A job that fails may be bad luck (one in five is) or hold a poisoned file, with which every job
//! fails. So what a job did not bring goes again together and at once; a set that has failed three times is cut
//! into pieces, each submitted on its own. Where some pieces arrive and others do not, the poison is in those,
//! which are cut again, down to one file, which is streamed instead. Where every piece fails, nothing is
//! poisoned: back off, charge the round, keep the size.
//!
//! How often and into how many: with one job in five failing and twenty folders of a thousand files, the slowest
//! folder takes 2.8 rounds if nothing is ever cut; cut into ten at the first failure 4.9 rounds and 334 jobs, at
//! the second 4.2 and 91, at the third 3.1 and 39; into four at the third 3.0 and 28. A poisoned file is found
//! after 5, 6, 7 and 9 rounds. The last is the rule: poison is rare.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    FolderPlane,
    names::Names,
    snapshot::Snapshot,
    state::{BisectGroup, FolderState},
    submitted::{Past, RunningJob},
};
use crate::{
    engine::{
        backoff::jittered,
        records::{as_millis, millis},
    },
    signals,
};

/// Into how many pieces a set is cut.
const CUT: usize = 4;

/// Failures of a set before it is cut, if a request has that many attempts and one for the pieces.
const PATIENCE: u32 = 3;

/// Files that go again together at most: their names are in the record twice while they do.
const MOST_TOGETHER: usize = 1000;

/// Failures as a single, isolated file before it is streamed.
const ALONE: u32 = 2;

impl FolderState {
    /// The pieces that have no job now and have not failed in the present cut.
    pub(super) fn pieces_to_submit(&self) -> Vec<Names> {
        if self.pieces.is_empty() {
            return Vec::new();
        }
        let busy = self.under_way();
        let free = |piece: &&BisectGroup| {
            !piece.failed && !piece.names.iter().any(|name| busy.contains(name.as_str()))
        };
        self.pieces.iter().filter(free).map(|piece| piece.names.clone()).collect()
    }

    /// The pieces that have not failed, have no job, and none of whose files needs one now.
    fn resting(&self, snapshot: &Snapshot) -> Vec<Names> {
        let unsent = self.pieces_to_submit();
        unsent.into_iter().filter(|names| snapshot.queued(names).is_empty()).collect()
    }

    /// Puts files aside as pieces of about equal size; not those that are in one already, because the
    /// late double of a job has failed with the same files: in two pieces they would travel twice.
    fn cut(&mut self, names: &[String], parts: usize, isolated: bool) {
        let apart: HashSet<&String> = self.pieces.iter().flat_map(|piece| &piece.names).collect();
        let names: Vec<String> = names.iter().filter(|name| !apart.contains(name)).cloned().collect();
        let size = names.len().div_ceil(parts.max(1)).max(1);
        for piece in names.chunks(size) {
            let names = piece.iter().cloned().collect();
            self.pieces.push(BisectGroup { names, isolated, ..BisectGroup::default() });
        }
    }

    /// Decides about the files that a job did not bring; true when the round is to be charged.
    fn take_apart(
        &mut self,
        folder: &str,
        snapshot: &Snapshot,
        job: &RunningJob,
        missing: &[String],
        patience: u32,
    ) -> bool {
        if missing.len() < job.names.len() {
            // Some arrived: those that did not are suspects, and no longer travel with other files.
            let known = self.pieces.len();
            for names in snapshot.by_waiter(missing).values() {
                self.cut(names, names.len().div_ceil(MOST_TOGETHER), true);
            }
            self.pieces.iter_mut().skip(known).for_each(|piece| piece.fails = 1);
            return false;
        }
        let owners = snapshot.by_waiter(missing);
        if owners.len() > 1 {
            // Requests whose shared job failed are not batched together again.
            for names in owners.values() {
                self.cut(names, 1, false);
            }
            signals::engine::set_cut(folder, missing.len(), self.pieces.len());
            return true;
        }
        if self.charged + 1 >= patience && missing.len() > 1 {
            self.cut(missing, CUT, false);
            signals::engine::set_cut(folder, missing.len(), self.pieces.len());
        }
        true
    }

    /// Has sets that have not failed often enough to be cut go again at once, and cuts the others.
    fn send_again(&mut self, patience: u32) {
        let mut cut = Vec::new();
        for piece in self.pieces.iter_mut().filter(|piece| piece.failed && piece.fails > 0) {
            piece.fails += 1;
            if piece.fails < patience {
                piece.failed = false;
            } else if piece.names.len() > 1 {
                cut.push(std::mem::take(&mut piece.names));
            } else {
                piece.fails = 0;
            }
        }
        self.pieces.retain(|piece| !piece.names.is_empty());
        for names in cut {
            self.cut(&names, CUT, true);
        }
    }

    /// Every piece of a cut has failed or arrived; true when the round is to be charged.
    fn end_of_cut(&mut self, folder: &str) -> bool {
        let arrived = std::mem::take(&mut self.piece_arrived);
        let mut charged = false;
        for mut piece in std::mem::take(&mut self.pieces) {
            piece.failed = false;
            let isolated = piece.isolated || arrived;
            match &*piece.names {
                [name] if isolated => {
                    piece.alone += 1;
                    piece.isolated = true;
                    if piece.alone >= ALONE {
                        signals::engine::file_rerouted(folder);
                        self.streamed.insert(name.clone());
                    } else {
                        charged |= !arrived;
                        self.pieces.push(piece);
                    }
                }
                names if arrived => self.cut(names, CUT, true),
                _ => {
                    charged = true;
                    self.pieces.push(piece);
                }
            }
        }
        charged
    }
}

impl FolderPlane {
    /// Takes note of jobs that have ended and whose files have been looked at since.
    pub(super) fn charge(&self, folder: &str, state: &mut FolderState, snapshot: &Snapshot) {
        let judged = self.judged(state, snapshot);
        let patience = PATIENCE.min(self.core.settings.jobs.max_attempts.saturating_sub(1)).max(1);
        let (mut bad, mut charged, mut well) = (false, false, false);
        for (job, arrived) in &judged {
            state.remember(Past::new(job, snapshot));
            let missing: Vec<String> =
                job.names.iter().filter(|name| snapshot.is_open(name)).cloned().collect();
            bad |= !arrived;
            well |= *arrived;
            if state.note_trees(&job.names, *arrived) {
                // The files that are left of it are judged by comparing, not by cutting.
            } else if job.piece {
                let brought_some = missing.len() < job.names.len();
                let missing: HashSet<&String> = missing.iter().collect();
                let mine = |piece: &&mut BisectGroup| piece.names.iter().any(|name| missing.contains(name));
                state.pieces.iter_mut().filter(mine).for_each(|piece| piece.failed = true);
                // Of a set that goes again as a whole, no cut is judged.
                let carried: HashSet<&String> = job.names.iter().collect();
                let again = |piece: &BisectGroup| {
                    piece.fails > 0 && piece.names.iter().any(|name| carried.contains(name))
                };
                let is_again = state.pieces.iter().any(again);
                charged |= is_again && !brought_some;
                state.piece_arrived |= !is_again && brought_some;
            } else if !arrived {
                charged |= state.take_apart(folder, snapshot, job, &missing, patience);
            }
        }
        // A file that is there, or will never be, is no suspect any more.
        let is_suspect = |name: &String| snapshot.is_open(name) && !snapshot.is_clash(name);
        for piece in &mut state.pieces {
            if !piece.names.iter().all(is_suspect) {
                piece.names = piece.names.iter().filter(|name| is_suspect(name)).cloned().collect();
            }
        }
        state.pieces.retain(|piece| !piece.names.is_empty());
        state.piece_arrived &= !state.pieces.is_empty();
        state.send_again(patience);
        // Other pieces are not kept waiting by those that have nothing to send now, because another writer is
        // at work on their files, for example.
        let rest = state.resting(snapshot);
        let failed = state.pieces.iter().filter(|piece| piece.failed).count();
        if failed > 0 && failed + rest.len() == state.pieces.len() {
            bad = true;
            let (rest, failed) =
                std::mem::take(&mut state.pieces).into_iter().partition(|piece| rest.contains(&piece.names));
            state.pieces = failed;
            charged |= state.end_of_cut(folder);
            state.pieces.extend::<Vec<_>>(rest);
        }
        if charged {
            state.charged += 1;
        } else if well {
            state.charged = 0;
        }
        // A job that fails once is mostly bad luck.
        if bad && state.charged > 1 {
            self.pause_jobs(state);
        }
    }

    /// The jobs that have ended for good, with whether all of their files are there; they are
    /// forgotten.
    fn judged(&self, state: &mut FolderState, snapshot: &Snapshot) -> Vec<(RunningJob, bool)> {
        let now = millis(self.core.ports.clock.now());
        let settle = as_millis(self.core.settings.jobs.settle);
        let mut judged = Vec::new();
        state.jobs.retain(|job| {
            // A file that was copied and does not show up for long enough was not copied.
            if job.ended_at.is_none() || job.may_show(|name| snapshot.is_open(name), now, settle) {
                return true;
            }
            let arrived = !job.names.iter().any(|name| snapshot.is_open(name));
            judged.push((job.clone(), arrived));
            false
        });
        for (job, _) in judged.iter().filter(|(_, arrived)| !arrived) {
            state.note_spent(job);
        }
        judged
    }

    /// No submission for a while, longer after each round that brought nothing.
    pub(super) fn pause_jobs(&self, state: &mut FolderState) {
        let service = &self.core.settings.service;
        let wait =
            jittered(service.retry_base, service.retry_cap, state.charged, self.core.ports.chance.as_ref());
        state.not_before = millis(self.core.ports.clock.now()) + as_millis(wait);
    }
}

impl Snapshot {
    /// The names by the first request that wants them.
    fn by_waiter(&self, names: &[String]) -> BTreeMap<usize, Vec<String>> {
        let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let mut owners: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut owned = BTreeSet::new();
        for (owner, (_, resolved, _)) in self.waiters.iter().enumerate() {
            for source in &resolved.files {
                let name = source.wanted.name.as_str();
                if wanted.contains(name) && owned.insert(name) {
                    owners.entry(owner).or_default().push(name.to_owned());
                }
            }
        }
        owners
    }
}
