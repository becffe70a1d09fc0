//! Objects of one list that would have the same key at the destination. Unless the request allows it, the
//! list is refused; else the last of them is brought, and the rows of the others say that it took their
//! place. A list that would write over its own sources is always refused.
//!
//! A line costs 16 bytes here, in runs of a fixed length, so that nothing has to be moved and doubled when
//! more come. An apparent collision is looked up in the plan, so that no two keys are ever called the same
//! that are not.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use super::{List, Lists, NotBegun, named};
use crate::{
    domain::{
        copy_out::{CopyOutRequest, Origin, SliceItem},
        outcome::{Culprit, ErrorName, Failure},
    },
    engine::{
        large,
        lease::{Leased, RoundError, id_of},
    },
    kinds::slices::{Chunk, ChunkWriter},
};

/// Collisions that are named.
const MOST: usize = 25;

/// Keys that may each be that of several objects, where that is allowed, and bytes of their names.
const MOST_SHARED: usize = 100_000;
const MOST_SHARED_BYTES: usize = 32 << 20;

/// Lines in a run: a run is a megabyte.
const RUN: usize = 64 * 1024;

/// Hashes of key and source.
type Line = (u64, u64);

/// The part of a list that has gone by.
#[derive(Debug, Default)]
pub(super) struct Collisions {
    /// Sorted.
    runs: Vec<Vec<Line>>,
    /// The one that is being filled.
    open: Vec<Line>,
    /// Hashes of the keys of sources that lie where the list is copied to.
    sources: Vec<u64>,
}

/// Hashes of keys of which something is the matter.
#[derive(Debug, Default)]
struct Doubts {
    /// Keys that seem to be those of different objects.
    shared: BTreeSet<u64>,
    /// Keys that seem to be written to, and to be sources.
    overwritten: BTreeSet<u64>,
}

impl Collisions {
    pub(super) fn note(&mut self, item: &SliceItem, request: &CopyOutRequest) {
        if let Some(key) = source_there(item, request) {
            self.sources.push(hash(key));
        }
        if self.open.capacity() == 0 {
            self.open.reserve_exact(RUN);
        }
        self.open.push((hash(&item.to), hash(&item.from.to_string())));
        if self.open.len() == RUN {
            self.close();
        }
    }

    fn close(&mut self) {
        let mut run = std::mem::take(&mut self.open);
        run.sort_unstable();
        self.runs.push(run);
    }

    /// Bytes that are held.
    fn bytes(&self) -> usize {
        let runs = self.runs.iter().chain([&self.open]).map(|run| run.capacity() * size_of::<Line>());
        runs.sum::<usize>() + self.sources.capacity() * size_of::<u64>()
    }

    /// Refuses a list with collisions, or marks in the plan the objects that are not brought. The same object
    /// twice is no collision.
    pub(super) async fn judge(
        self,
        engine: &Lists,
        held: &Leased,
        request: &CopyOutRequest,
        chunks: &ChunkWriter,
    ) -> Result<(), NotBegun> {
        let most = if request.allow_collisions { MOST_SHARED + 1 } else { MOST };
        let Doubts { shared, overwritten } =
            large::spawn_blocking_if_large(self.bytes(), move || self.doubts(most)).await?;
        if shared.is_empty() && overwritten.is_empty() {
            return Ok(());
        }
        let plan = Plan { engine, held, generation: chunks.generation, chunks: chunks.chunks };
        plan.refuse_overwrites(&overwritten, request).await?;
        if shared.is_empty() {
            return Ok(());
        }
        if !request.allow_collisions {
            return plan.refuse(&shared).await;
        }
        if shared.len() > MOST_SHARED {
            return Err(too_many(request).into());
        }
        let last = plan.last_ones(&shared, request).await?;
        plan.mark(&shared, &last).await
    }

    /// Refuses a list with collisions that was only looked through, by reading it once more.
    pub(super) async fn judge_unplanned(
        self,
        list: &dyn List,
        request: &CopyOutRequest,
    ) -> Result<(), NotBegun> {
        let Doubts { mut shared, overwritten } =
            large::spawn_blocking_if_large(self.bytes(), move || self.doubts(MOST)).await?;
        if request.allow_collisions {
            shared.clear();
        }
        if shared.is_empty() && overwritten.is_empty() {
            return Ok(());
        }
        let (mut colliding_sources, mut overwrites) = (Sharers::default(), Overwrites::default());
        let mut listed = list.open(request).await?;
        while let Some(items) = listed.next().await? {
            overwrites.note(&items, &overwritten, request);
            colliding_sources.note(items, &shared);
        }
        overwrites.refuse()?;
        Ok(colliding_sources.refuse()?)
    }

    /// The apparent collisions, with at most so many keys of each kind.
    fn doubts(mut self, most: usize) -> Doubts {
        self.close();
        self.sources.sort_unstable();
        let written = self.runs.iter().flatten().map(|(to, _)| *to);
        let overwritten = written.filter(|to| self.sources.binary_search(to).is_ok()).take(MOST).collect();
        Doubts { shared: self.shared(most), overwritten }
    }

    fn shared(self, most: usize) -> BTreeSet<u64> {
        let mut runs: Vec<_> = self.runs.into_iter().map(Vec::into_iter).collect();
        let firsts = runs.iter_mut().enumerate().filter_map(|(n, run)| Some(Reverse((run.next()?, n))));
        let mut heap: BinaryHeap<Reverse<(Line, usize)>> = firsts.collect();
        let (mut shared, mut before): (_, Option<Line>) = (BTreeSet::new(), None);
        while let Some(Reverse((line, n))) = heap.pop() {
            if before.is_some_and(|(to, from)| to == line.0 && from != line.1) {
                shared.insert(line.0);
                if shared.len() >= most {
                    break;
                }
            }
            before = Some(line);
            heap.extend(runs.get_mut(n).and_then(Iterator::next).map(|line| Reverse((line, n))));
        }
        shared
    }
}

/// The plan that has just been written.
struct Plan<'a> {
    engine: &'a Lists,
    held: &'a Leased,
    generation: u32,
    chunks: u32,
}

impl Plan<'_> {
    async fn chunk(&self, n: u32) -> Result<Chunk, NotBegun> {
        self.held.lease.check()?;
        if self.engine.core.stop.is_cancelled() {
            return Err(RoundError::Stopping.into());
        }
        Ok(Chunk::read(&self.engine.core, &id_of(self.held), self.generation, n).await?)
    }

    async fn refuse_overwrites(
        &self,
        keys: &BTreeSet<u64>,
        request: &CopyOutRequest,
    ) -> Result<(), NotBegun> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut overwrites = Overwrites::default();
        for n in 0..self.chunks {
            overwrites.note(&self.chunk(n).await?.items, keys, request);
        }
        Ok(overwrites.refuse()?)
    }

    async fn refuse(&self, shared: &BTreeSet<u64>) -> Result<(), NotBegun> {
        let mut colliding_sources = Sharers::default();
        for n in 0..self.chunks {
            colliding_sources.note(self.chunk(n).await?.items, shared);
        }
        Ok(colliding_sources.refuse()?)
    }

    /// The last object of the list for each of these keys.
    async fn last_ones(
        &self,
        shared: &BTreeSet<u64>,
        request: &CopyOutRequest,
    ) -> Result<BTreeMap<String, String>, NotBegun> {
        let (mut last, mut bytes) = (BTreeMap::new(), 0);
        for n in 0..self.chunks {
            let items = self.chunk(n).await?.items;
            for item in items.into_iter().filter(|item| shared.contains(&hash(&item.to))) {
                let (source, key) = (item.from.to_string(), item.to.len());
                bytes += key + source.len();
                bytes -= last.insert(item.to, source).map_or(0, |former: String| key + former.len());
                if bytes > MOST_SHARED_BYTES {
                    return Err(too_many(request).into());
                }
            }
        }
        Ok(last)
    }

    /// Notes in the plan which objects have lost their place to a later one.
    async fn mark(&self, shared: &BTreeSet<u64>, last: &BTreeMap<String, String>) -> Result<(), NotBegun> {
        for n in 0..self.chunks {
            let mut chunk = self.chunk(n).await?;
            for (place, item) in chunk.items.iter().enumerate() {
                let winner = last.get(&item.to).filter(|_| shared.contains(&hash(&item.to)));
                if let Some(winner) = winner.filter(|winner| **winner != item.from.to_string()) {
                    let why = format!(
                        "{winner}, later in the list, has the same key at the destination and was taken"
                    );
                    chunk.superseded.insert(place, why);
                }
            }
            if !chunk.superseded.is_empty() {
                chunk.put(&self.engine.core, self.held, self.generation, n).await?;
            }
        }
        Ok(())
    }
}

/// The key of a source that lies where the list is copied to, unless it stays where it is.
fn source_there<'a>(item: &'a SliceItem, request: &CopyOutRequest) -> Option<&'a str> {
    let Origin::Object { bucket, key, .. } = &item.from else { return None };
    let is_there = *bucket == request.destination_bucket && key.starts_with(&request.destination_prefix);
    (is_there && *key != item.to).then_some(key)
}

/// Objects that would be written over, and those that would take their place.
#[derive(Debug, Default)]
struct Overwrites {
    sources: BTreeSet<String>,
    written: BTreeMap<String, String>,
}

impl Overwrites {
    fn note(&mut self, items: &[SliceItem], keys: &BTreeSet<u64>, request: &CopyOutRequest) {
        for item in items {
            if let Some(key) = source_there(item, request).filter(|key| keys.contains(&hash(key))) {
                self.sources.insert(key.to_owned());
            }
            if keys.contains(&hash(&item.to)) {
                self.written.insert(item.to.clone(), item.from.to_string());
            }
        }
    }

    /// Refuses them, if there are some.
    fn refuse(self) -> Result<(), Failure> {
        let Self { sources, written } = self;
        let culprits: Vec<_> = written
            .into_iter()
            .filter(|(to, _)| sources.contains(to))
            .map(|(to, what)| Culprit {
                what,
                why: format!("would be written over `{to}`, which is a source too"),
            })
            .collect();
        if culprits.is_empty() {
            return Ok(());
        }
        let message = "the list would write over its own sources";
        Err(Failure::new(ErrorName::InvokeArgumentsInvariantError, message).naming(culprits))
    }
}

/// The objects of some keys.
#[derive(Debug, Default)]
struct Sharers(BTreeMap<String, Vec<String>>);

impl Sharers {
    fn note(&mut self, items: Vec<SliceItem>, shared: &BTreeSet<u64>) {
        for item in items.into_iter().filter(|item| shared.contains(&hash(&item.to))) {
            let sources = self.0.entry(item.to).or_default();
            let source = item.from.to_string();
            if !sources.contains(&source) && sources.len() < MOST {
                sources.push(source);
            }
        }
    }

    /// Refuses them, if there is a key of different objects.
    fn refuse(self) -> Result<(), Failure> {
        let culprits: Vec<_> = self
            .0
            .into_iter()
            .filter(|(_, sources)| sources.len() > 1)
            .flat_map(|(to, sources)| {
                let why = format!("would be `{to}` at the destination, and so would another object");
                sources.into_iter().map(move |what| Culprit { what, why: why.clone() })
            })
            .collect();
        if culprits.is_empty() {
            return Ok(());
        }
        let message = "objects of the list would have the same key at the destination; give them folders of \
                       their own (destinationRelativeFolderKey, sourceRootFolderKey), or say that the last one \
                       of them is meant (allowCollisions)";
        Err(Failure::new(ErrorName::InvokeArgumentsInvariantError, message).naming(culprits))
    }
}

fn too_many(request: &CopyOutRequest) -> Failure {
    let message = format!(
        "more than {MOST_SHARED} keys, or {} MiB of them, would be those of several objects each",
        MOST_SHARED_BYTES >> 20
    );
    named(ErrorName::InvokeArgumentsInvariantError, &message, &request.destination())
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(from: u32, to: u32) -> SliceItem {
        let from = Origin::Object {
            bucket: "b".into(),
            key: from.to_string(),
            unsigned: false,
            sums: None,
            etag: None,
        };
        SliceItem { from, to: to.to_string() }
    }

    #[test]
    fn a_line_costs_sixteen_bytes_and_collisions_are_found_across_runs() {
        let (mut collisions, request) = (Collisions::default(), CopyOutRequest::default());
        let lines = 3 * u32::try_from(RUN).unwrap();
        for n in 0..lines {
            collisions.note(&item(n, n), &request);
        }
        assert_eq!(collisions.bytes(), 16 * lines as usize);
        // The same object again, and others for the first and the last key.
        for (from, to) in [(5, 5), (lines, 0), (lines, lines - 1)] {
            collisions.note(&item(from, to), &request);
        }
        assert_eq!(collisions.bytes(), 16 * (lines as usize + RUN), "and a run to come");
        let expected = [0, lines - 1].map(|to| hash(&to.to_string()));
        assert_eq!(collisions.doubts(10).shared, BTreeSet::from(expected));
    }
}
