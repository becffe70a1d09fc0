//! What was held before: by the package that another one is made since, or by the last one of its name.
//!
//! A file is known by its path in the package and its `ETag`, whatever it is copied from: whoever has the packages
//! has it there. A package that was made since another one also counts as holding what it left out, so that nothing
//! is lost when that other one is not kept any more.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
};

use super::{Frozen, Package};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{ErrorName, culprit},
        share::{files::PackagedFile, ids::Shared, outcome::PackageReport, request::PackageOrder},
    },
    engine::{
        kind::{CancellationCheck, PlanError},
        large,
        lease::{Leased, RoundResult, id_of},
        liveness::RootRef,
        records::started_at,
    },
    kinds::{
        cards::Cards,
        frozen::{Dropped, PackageChunk, read_chunk, report_of},
    },
    papers::report::{GONE_PATHS, Mark, Previous},
    ports, signals,
};

/// Packages that are read back to, one since the other. With 200,000 files each they cost 27 MB.
const MOST: usize = 8;

/// The files of one package: hashes of their paths and of their `ETag`s (0: none), 17 bytes each.
#[derive(Debug, Default)]
struct Run {
    /// Sorted.
    lines: Vec<(u64, u64)>,
    /// Whether a file of that path has gone by.
    seen: Vec<bool>,
}

/// The files of packages, the newest first.
#[derive(Debug, Default)]
pub(super) struct Index {
    hasher: RandomState,
    runs: Vec<Run>,
    new: u64,
    changed: u64,
    same: u64,
}

impl Index {
    fn line(&self, file: &PackagedFile) -> (u64, u64) {
        let etag = file.etag.as_ref().map_or(0, |etag| self.hasher.hash_one(etag));
        (self.hasher.hash_one(&file.path), etag)
    }

    /// Adds all files of a package that is older than those before.
    async fn add(&mut self, mut lines: Vec<(u64, u64)>) -> ports::Result<()> {
        let bytes = lines.len().saturating_mul(size_of::<(u64, u64)>());
        let sort = move || {
            lines.sort_unstable();
            lines
        };
        let lines = large::spawn_blocking_if_large(bytes, sort).await?;
        let seen = vec![false; lines.len()];
        self.runs.push(Run { lines, seen });
        Ok(())
    }

    /// Where the newest package has a file of that path: its number, and the place there.
    fn find(&self, path: u64) -> Option<(usize, usize)> {
        let find = |run: &Run| run.lines.binary_search_by_key(&path, |line| line.0).ok();
        self.runs.iter().enumerate().find_map(|(n, run)| Some((n, find(run)?)))
    }

    /// How a file differs from what was held.
    pub(super) fn mark(&self, file: &PackagedFile) -> Mark {
        let (path, etag) = self.line(file);
        let there = self.find(path).and_then(|(n, place)| self.runs.get(n)?.lines.get(place));
        match there {
            None => Mark::New,
            Some((_, there)) if *there == etag && etag != 0 => Mark::Same,
            Some(_) => Mark::Changed,
        }
    }

    /// Notes that a file has gone by, and says how it differs.
    fn note(&mut self, file: &PackagedFile) -> Mark {
        let at = self.find(self.line(file).0);
        if let Some((n, place)) = at
            && let Some(seen) = self.runs.get_mut(n).and_then(|run| run.seen.get_mut(place))
        {
            *seen = true;
        }
        let mark = self.mark(file);
        let count = match mark {
            Mark::New => &mut self.new,
            Mark::Changed => &mut self.changed,
            Mark::Same => &mut self.same,
        };
        *count += 1;
        mark
    }

    /// Whether the file of a package is the newest of its path, and none of that path has gone by.
    fn is_gone(&self, run: usize, path: u64) -> bool {
        let at = self.find(path).filter(|(n, _)| *n == run);
        at.and_then(|(n, place)| self.runs.get(n)?.seen.get(place)).is_some_and(|seen| !seen)
    }

    /// How many are gone.
    fn gone(&self) -> u64 {
        let of = |(n, run): (usize, &Run)| run.lines.iter().filter(|line| self.is_gone(n, line.0)).count();
        self.runs.iter().enumerate().map(of).sum::<usize>() as u64
    }
}

/// What a package is compared with.
#[derive(Debug)]
pub(super) struct Before {
    index: Index,
    /// The packages of the index, the newest first.
    packages: Vec<Frozen>,
    /// Whether what they held is left out.
    is_left_out: bool,
}

impl Before {
    /// How a file differs from what was held.
    pub(super) fn mark(&self, file: &PackagedFile) -> Mark {
        self.index.mark(file)
    }

    /// Notes the files of a chunk, and drops those that were held, if they are to be left out; whether the chunk
    /// has changed.
    pub(super) fn settle(&mut self, chunk: &mut PackageChunk) -> bool {
        let mut has_changed = false;
        for (place, file) in chunk.files.iter().enumerate() {
            let is_held = match chunk.dropped.get(&place) {
                None => false,
                Some(Dropped::Held) => true,
                Some(_) => continue,
            };
            let mark = self.index.note(file);
            if self.is_left_out && mark == Mark::Same && !is_held {
                chunk.dropped.insert(place, Dropped::Held);
                has_changed = true;
            }
        }
        has_changed
    }
}

impl Package {
    /// The package that another one is to be made since.
    pub(super) async fn since(
        &self,
        order: &PackageOrder,
    ) -> Result<Option<(RequestId, PackageReport)>, PlanError> {
        let Some(text) = &order.request.since_package_id else { return Ok(None) };
        let lost = || {
            let why = "it is not there, has not succeeded, or is not kept any more";
            let what = format!("a package cannot be made since {text}: {why}");
            PlanError::from(culprit(ErrorName::SourceNotFound, what, text, why))
        };
        let id = Shared::Package.read(text).ok_or_else(lost)?;
        let report = report_of(&self.core, &id).await?.ok_or_else(lost)?;
        Ok(Some((id, report)))
    }

    /// The last package of the same name that has succeeded and is kept.
    async fn last_of_name(
        &self,
        held: &Leased,
        order: &PackageOrder,
    ) -> ports::Result<Option<(RequestId, PackageReport)>> {
        let asked_at = order.asked_at.unwrap_or_else(|| started_at(&held.item));
        let cards = Cards::new(self.core.ports.store.clone(), self.settings.keep);
        let keep = self.core.settings.service.keep;
        for id in cards.of_name(&order.name, asked_at, keep).await? {
            if id != id_of(held)
                && let Some(report) = report_of(&self.core, &id).await?
            {
                return Ok(Some((id, report)));
            }
        }
        Ok(None)
    }

    /// What a package is compared with; `None` where there is nothing.
    pub(super) async fn before(
        &self,
        held: &Leased,
        order: &PackageOrder,
    ) -> RoundResult<Result<Option<Before>, PlanError>> {
        let since = match self.since(order).await {
            Ok(since) => since,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(since) = since {
            let read = self.read_before(held, since, true).await?;
            return Ok(read.map(Some).map_err(|unread| match unread {
                PlanError::Port(error) => error.into(),
                failed => failed,
            }));
        }
        let last = match self.last_of_name(held, order).await {
            Ok(Some(last)) => last,
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(uncompared(held, error)),
        };
        match self.read_before(held, last, false).await? {
            Err(PlanError::Port(error)) => Ok(uncompared(held, error)),
            read => Ok(read.map(Some)),
        }
    }

    /// Reads what a package held, and those that it was made since. Whatever a port says is told as it is.
    async fn read_before(
        &self,
        held: &Leased,
        first: (RequestId, PackageReport),
        is_left_out: bool,
    ) -> RoundResult<Result<Before, PlanError>> {
        let mut before = Before { index: Index::default(), packages: Vec::new(), is_left_out };
        let (mut next, mut watch) = (Some(first), CancellationCheck::new());
        while let Some((id, report)) = next.take() {
            let frozen = Frozen { id, generation: report.generation, chunks: report.chunks };
            let files = report.files.saturating_add(report.left_out).min(self.settings.max_files);
            let mut lines = Vec::with_capacity(usize::try_from(files).unwrap_or_default());
            for n in 0..frozen.chunks {
                match read_chunk(&self.core, &frozen.id, frozen.generation, n).await {
                    Ok(chunk) => lines.extend(chunk.held().map(|file| before.index.line(file))),
                    Err(error) => return Ok(Err(PlanError::Port(error))),
                }
                self.core.record_progress(&[RootRef::of(&held.item)]);
                if let Some(failure) = watch.stopped(&self.core, held).await? {
                    return Ok(Err(failure.into()));
                }
            }
            before.index.add(lines).await?;
            before.packages.push(frozen);
            if before.packages.len() < MOST
                && let Some(since) = report.since.and_then(|since| Shared::Package.read(&since))
            {
                match report_of(&self.core, &since).await {
                    // What is left of one that is not kept any more stands in the one behind it.
                    Ok(report) => next = report.map(|report| (since, report)),
                    Err(error) => return Ok(Err(PlanError::Port(error))),
                }
            }
        }
        Ok(Ok(before))
    }

    /// What differs from what was held, once all files have gone by.
    /// What is gone is named where all of its libraries are here, too: who gets this report may not be to know of others.
    pub(super) async fn difference(
        &self,
        held: &Leased,
        before: &Before,
        libraries: &BTreeSet<String>,
    ) -> ports::Result<Previous> {
        let Before { index, packages, is_left_out } = before;
        let (gone, mut gone_paths) = (index.gone(), Vec::new());
        let most = usize::try_from(gone).unwrap_or(usize::MAX).min(GONE_PATHS);
        for (run, frozen) in packages.iter().enumerate() {
            for n in 0..frozen.chunks {
                if gone_paths.len() >= most {
                    break;
                }
                let chunk = read_chunk(&self.core, &frozen.id, frozen.generation, n).await?;
                let is_known =
                    |file: &&PackagedFile| file.library_id.split("__").all(|id| libraries.contains(id));
                let gone = chunk.held().filter(|file| index.is_gone(run, index.line(file).0));
                gone_paths.extend(
                    gone.filter(is_known).take(most - gone_paths.len()).map(|file| file.path.clone()),
                );
                self.core.record_progress(&[RootRef::of(&held.item)]);
            }
        }
        Ok(Previous {
            id: packages.first().map(|first| first.id.to_string()).unwrap_or_default(),
            new: index.new,
            changed: index.changed,
            gone,
            gone_paths,
            left_out: is_left_out.then_some(index.same),
        })
    }
}

/// That a package cannot be compared with the last of its name is no reason to fail it.
fn uncompared(held: &Leased, error: ports::Error) -> Result<Option<Before>, PlanError> {
    if error.is_passing() {
        return Err(error.into());
    }
    signals::share::uncompared(&held.lease.key.id, &error);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::package::tests::file;

    async fn index(packages: &[&[(&str, &str)]]) -> Index {
        let mut index = Index::default();
        for package in packages {
            let lines = package.iter().map(|(path, etag)| index.line(&file(path, etag))).collect();
            index.add(lines).await.unwrap();
        }
        index
    }

    #[tokio::test]
    async fn the_newest_package_that_has_a_path_says_what_is_there() {
        let mut index = index(&[&[("b", "2"), ("c", "1")], &[("a", "1"), ("b", "1"), ("d", "1")]]).await;
        for (path, etag, mark) in [
            ("a", "1", Mark::Same),
            ("b", "2", Mark::Same),
            ("b", "1", Mark::Changed),
            ("c", "2", Mark::Changed),
            ("e", "1", Mark::New),
        ] {
            assert_eq!(index.note(&file(path, etag)), mark, "{path} {etag}");
        }
        assert_eq!((index.new, index.changed, index.same), (1, 2, 2));
        let hash = |path: &str| index.line(&file(path, "")).0;
        assert_eq!(index.gone(), 1);
        let gone = |run: usize| ["a", "b", "c", "d", "e"].map(|path| index.is_gone(run, hash(path)));
        assert_eq!(gone(0), [false; 5]);
        assert_eq!(gone(1), [false, false, false, true, false]);
    }

    #[tokio::test]
    async fn what_has_no_etag_is_never_surely_the_same() {
        let index = index(&[&[("a", ""), ("b", "1")]]).await;
        assert_eq!(index.mark(&file("a", "")), Mark::Changed);
        assert_eq!(index.mark(&file("a", "1")), Mark::Changed);
        assert_eq!(index.mark(&file("b", "")), Mark::Changed);
    }

    #[tokio::test]
    async fn a_file_costs_seventeen_bytes() {
        let names: Vec<String> = (0..50_000).map(|n| n.to_string()).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let index = index(&[&files]).await;
        let run = &index.runs[0];
        let bytes = run.lines.capacity() * size_of::<(u64, u64)>() + run.seen.capacity();
        assert_eq!((bytes, index.gone()), (17 * 50_000, 50_000));
    }
}
