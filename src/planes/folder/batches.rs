//! Which files travel together, and in which order: those of small requests first, the others by
//! turns, so that no request waits behind the whole of another's folder.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use super::{
    claims::slot_owner_tag,
    names::Names,
    snapshot::{Snapshot, TreeStatus},
    state::FolderState,
    waiter::Waiter,
    wanted::{Resolved, Source},
};
use crate::domain::{diff::Verdict, route::Route};

/// A root of at most so many files is small.
const SMALL: u64 = 100;

/// The bytes that a job takes of the record besides its names.
const JOB_BYTES: usize = 1_000;

/// A file that waits for a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queued<'a> {
    pub source: &'a Source,
    /// Which waiter it travels for.
    pub waiter: usize,
}

/// The files that wait for a job, in the order in which they go.
#[derive(Debug, Default)]
pub(super) struct Line<'a> {
    /// Those of small requests.
    pub express: VecDeque<Queued<'a>>,
    pub others: VecDeque<Queued<'a>>,
}

impl<'a> Line<'a> {
    /// The next files of a job, and whether all are of small requests; they stay in line.
    pub(super) fn next(&self, most: usize) -> (Vec<Queued<'a>>, bool) {
        let batch: Vec<_> = self.express.iter().chain(&self.others).take(most).copied().collect();
        (batch, self.others.is_empty() || most <= self.express.len())
    }

    /// Takes as many files out of the line, from its front.
    pub(super) fn went(&mut self, files: usize) {
        let express = files.min(self.express.len());
        self.express.drain(..express);
        self.others.drain(..(files - express).min(self.others.len()));
    }
}

/// The files of one job.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub files: Vec<Queued<'a>>,
    pub names: Names,
    /// Whether all are of small requests.
    pub express: bool,
    /// Whether it is one piece of a set that failed.
    pub piece: bool,
}

impl<'a> Batch<'a> {
    /// Those files, without their names.
    pub(super) fn of(files: Vec<Queued<'a>>) -> Self {
        Self { files, ..Self::default() }
    }
}

impl Snapshot {
    /// Whether a waiter's root has few files, as far as one of its children can tell.
    pub(super) fn is_small(&self, waiter: usize) -> bool {
        let files = |(who, resolved, _): &(Waiter, Arc<Resolved>, _)| {
            (resolved.len() as u64).saturating_mul(who.siblings)
        };
        self.waiters.get(waiter).is_some_and(|waiter| files(waiter) <= SMALL)
    }

    /// Whether a file must be brought by a job now.
    pub(super) fn needs_job(&self, source: &Source, verdict: Verdict) -> bool {
        verdict == Verdict::Missing && self.route(source) == Route::Job
    }

    /// How many files must be, up to `most`.
    pub(super) fn count_for_jobs(&self, most: usize) -> usize {
        self.files().filter(|(_, (source, verdict))| self.needs_job(source, *verdict)).take(most).count()
    }

    /// The files that jobs have to bring now, but for those names.
    pub(super) fn line(&self, but: &HashSet<&str>) -> Line<'_> {
        let mut line = Line::default();
        let mut rushed = HashSet::new();
        for waiter in 0..self.waiters.len() {
            if !self.is_small(waiter) {
                continue;
            }
            for (source, verdict) in self.files_of(waiter) {
                let name = source.wanted.name.as_str();
                // Where two want one name with different files, the first has it.
                let is_first = || self.get(name).is_some_and(|(first, _)| first.id() == source.id());
                if self.needs_job(source, verdict) && !but.contains(name) && is_first() && rushed.insert(name)
                {
                    line.express.push_back(Queued { source, waiter });
                }
            }
        }
        let mut turns: Vec<VecDeque<Queued<'_>>> = vec![VecDeque::new(); self.waiters.len()];
        for (waiter, name, (source, verdict)) in self.owned() {
            let waits = self.needs_job(source, verdict) && !but.contains(name) && !rushed.contains(name);
            if waits && let Some(turn) = turns.get_mut(waiter) {
                turn.push_back(Queued { source, waiter });
            }
        }
        turns.retain(|turn| !turn.is_empty());
        while turns.len() > 1 {
            line.others.extend(turns.iter_mut().filter_map(VecDeque::pop_front));
            turns.retain(|turn| !turn.is_empty());
        }
        line.others.extend(turns.into_iter().flatten());
        line
    }

    /// The trees that a job is to be asked for.
    pub(super) fn trees_missing(&self) -> Vec<Queued<'_>> {
        let mut names = BTreeSet::new();
        let mut missing = Vec::new();
        for (waiter, (who, resolved, _)) in self.waiters.iter().enumerate() {
            for tree in &resolved.trees {
                let is_missing = self.standing(who, tree) == Some(&TreeStatus::Missing);
                if names.insert(&tree.item.wanted.name) && is_missing {
                    missing.push(Queued { source: &tree.item, waiter });
                }
            }
        }
        missing
    }

    /// Those of the names that must be brought by a job now.
    pub(super) fn queued(&self, names: &Names) -> Vec<Queued<'_>> {
        if names.is_empty() {
            return Vec::new();
        }
        let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
        let needed = |(waiter, name, (source, verdict))| {
            (wanted.contains(name) && self.needs_job(source, verdict)).then_some(Queued { source, waiter })
        };
        self.owned().filter_map(needed).collect()
    }

    /// The roots that a batch is for.
    pub(super) fn roots(&self, batch: &[Queued<'_>]) -> BTreeSet<String> {
        let waiters: BTreeSet<usize> = batch.iter().map(|queued| queued.waiter).collect();
        let root = |waiter: usize| self.waiters.get(waiter).map(|(waiter, ..)| slot_owner_tag(&waiter.root));
        waiters.into_iter().filter_map(root).collect()
    }
}

/// The names of as many of the files as the record of the folder has room for.
pub(super) fn what_fits(state: &FolderState, batch: &[Queued<'_>]) -> Names {
    let room = state.room().saturating_sub(JOB_BYTES);
    let mut count = batch.len();
    loop {
        let names: Names = batch.iter().take(count).map(|queued| queued.source.wanted.name.clone()).collect();
        if names.bytes() <= room || count == 0 {
            return names;
        }
        count = (count * room / names.bytes().max(1)).min(count - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planes::folder::samples::{snapshot, source};

    fn names<'a>(batch: &[Queued<'a>]) -> Vec<&'a str> {
        batch.iter().map(|queued| queued.source.wanted.name.as_str()).collect()
    }

    #[test]
    fn small_requests_go_first_and_large_ones_by_turns() {
        let snapshot = snapshot(&[("a", 500, 1), ("b", 101, 1), ("c", 2, 50), ("d", 2, 51)]);
        let mut line = snapshot.line(&HashSet::new());
        let (batch, express) = line.next(6);
        assert_eq!(names(&batch), ["c0000", "c0001", "a0000", "b0000", "d0000", "a0001"]);
        assert!(!express && line.next(2).1);
        assert_eq!(snapshot.roots(&batch).len(), 4);
        line.went(batch.len());
        assert_eq!(names(&line.next(3).0), ["b0001", "d0001", "a0002"]);
        line.went(499 + 101 + 2 - 4);
        assert_eq!(names(&line.next(9).0), ["a0499"]);
    }

    #[test]
    fn each_name_travels_once_and_small_requests_bring_it_forward() {
        let mut snapshot = snapshot(&[("a", 500, 1), ("z", 1, 1)]);
        // The small one wants a file of the large one.
        snapshot.waiters[1].1 =
            Arc::new(Resolved { files: vec![source("a0007".into())], ..Resolved::default() });
        snapshot.index();
        let line = snapshot.line(&HashSet::from(["a0000"]));
        assert_eq!(names(&line.next(2).0), ["a0007", "a0001"]);
        assert_eq!(line.next(1000).0.len(), 499);
    }

    /// Found by seed 1439: whose files had come was taken out, and what was left travelled twice.
    #[test]
    fn each_name_travels_once_when_somebody_has_been_told() {
        let mut snapshot = snapshot(&[("a", 300, 1), ("b", 300, 1), ("c", 300, 1)]);
        snapshot.waiters[2].1 = Arc::new(Resolved {
            files: (0..300).map(|n| source(format!("b{n:04}"))).collect(),
            ..Resolved::default()
        });
        snapshot.index();
        // Two waiters want the same files, and the one that came first has gone.
        snapshot.keep(|waiter| waiter.root.as_str() != "a");
        let line = snapshot.line(&HashSet::new());
        let (batch, _) = line.next(1000);
        let distinct: HashSet<&str> = names(&batch).into_iter().collect();
        assert_eq!((batch.len(), distinct.len()), (300, 300));
        snapshot.keep(|waiter| waiter.root.as_str() != "b");
        assert_eq!(snapshot.line(&HashSet::new()).next(1000).0.len(), 300, "the next one's turn");
    }

    #[test]
    fn a_record_that_is_nearly_full_takes_fewer_files() {
        let snapshot = snapshot(&[("a", 1000, 1)]);
        let (batch, _) = snapshot.line(&HashSet::new()).next(1000);
        let mut state = FolderState::default();
        assert_eq!(what_fits(&state, &batch).len(), 1000);
        state.trouble = "x".repeat(state.room() - JOB_BYTES - 200);
        let fits = what_fits(&state, &batch);
        assert!((1..1000).contains(&fits.len()) && fits.bytes() <= 200, "{}", fits.len());
    }
}
