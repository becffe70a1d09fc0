//! The plan of a list: its items in chunks, each an item of the table, so that no more of it is held in
//! memory than a chunk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Common, Own};
use crate::{
    domain::{
        copy_out::{Copied, CopyStatus, Detail, SliceItem},
        ids::RequestId,
    },
    engine::{
        core::Core,
        lease::{Leased, RoundResult},
        records::{self, Phase, RootState, attr, millis, set},
    },
    ports::{Error, store::Change},
    signals,
};

/// Bytes of a chunk, about. Each is read again whenever some of its slices are put.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many items a slice may have where the caller does not say it. Every slice costs some calls to the table,
/// and between two of them nothing is copied.
const SIZES: [u32; 3] = [100, 50, 20];
const SMALLEST: u32 = 10;
/// How many slices a list of one chunk is cut into at least, unless they would be smaller than the smallest:
/// every instance takes some.
const SHARES: usize = 8;

/// A part of the plan: the items of some slices, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Chunk {
    /// The number of its first slice.
    pub first: u64,
    /// The items; all slices but the very last are full.
    pub items: Vec<SliceItem>,
    /// Items, by their place here, that are not brought because another one of the list is; and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub superseded: BTreeMap<usize, String>,
    /// Which write of it was read.
    #[serde(skip)]
    seen: Option<String>,
}

impl Chunk {
    /// A chunk of a plan.
    pub(crate) async fn read(core: &Core, root: &RequestId, generation: u32, n: u32) -> Result<Self, Error> {
        let (chunk, seen) = core.chunk(root, generation, n).await?;
        Ok(Self { seen, ..chunk })
    }

    /// Writes it: over the one that was read, if it was.
    pub(crate) async fn put(&self, core: &Core, held: &Leased, generation: u32, n: u32) -> RoundResult<()> {
        core.put_chunk(held, (generation, n), self, self.seen.clone()).await
    }

    /// Its slices: their numbers, where they begin, and their items.
    pub(crate) fn slices(&self, per_slice: u32) -> impl Iterator<Item = (u64, usize, &[SliceItem])> {
        let per_slice = per_slice.max(1) as usize;
        let places = (0..self.items.len()).step_by(per_slice);
        (self.first..)
            .zip(places)
            .zip(self.items.chunks(per_slice))
            .map(|((n, place), items)| (n, place, items))
    }

    /// The items of a slice that are brought.
    pub(crate) fn brought(&self, place: usize, items: &[SliceItem]) -> Vec<SliceItem> {
        let all = (place..).zip(items);
        all.filter(|(place, _)| !self.superseded.contains_key(place)).map(|(_, item)| item.clone()).collect()
    }

    /// The results of the items of a slice, with those that were not brought in their places.
    pub(crate) fn with_superseded(
        &self,
        start: usize,
        items: &[SliceItem],
        mut brought: Vec<Copied>,
    ) -> Vec<Copied> {
        for (place, why) in self.superseded.range(start..start + items.len()) {
            let (status, message) = (CopyStatus::Superseded, why.clone());
            let at = (place - start).min(brought.len());
            brought.insert(at, Copied { status, bytes: 0, elapsed: 0, message, detail: Detail::Plain });
        }
        brought
    }
}

/// Writes a plan, chunk by chunk.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    /// Part of the keys of chunks.
    pub generation: u32,
    /// Items of a slice; 0 until the first chunk shows whether there are many.
    per_slice: u32,
    chunk: Chunk,
    bytes: usize,
    /// Chunks written.
    pub chunks: u32,
    /// Items taken.
    pub items: u64,
}

impl ChunkWriter {
    /// With so many items in each slice; 0: as suits their number.
    pub(crate) fn new(held: &Leased, per_slice: u32) -> Self {
        Self {
            generation: u32::try_from(held.lease.epoch).unwrap_or(u32::MAX),
            per_slice,
            chunk: Chunk::default(),
            bytes: 0,
            chunks: 0,
            items: 0,
        }
    }

    pub(crate) async fn take(&mut self, core: &Core, held: &Leased, item: SliceItem) -> RoundResult<()> {
        self.bytes += item.to.len() * 2 + 80;
        self.items += 1;
        self.chunk.items.push(item);
        if self.bytes < CHUNK_BYTES {
            return Ok(());
        }
        if self.per_slice == 0 {
            // There are many, and no slice is to be larger than a chunk.
            self.per_slice = fitting(self.chunk.items.len() * SHARES);
        }
        let is_full = self.chunk.items.len().is_multiple_of(self.per_slice as usize);
        if is_full { self.flush(core, held).await } else { Ok(()) }
    }

    /// Writes the items that are left, and has the slices begin.
    pub(crate) async fn finish(
        mut self,
        core: &Core,
        held: &mut Leased,
        common: Common,
        more: Vec<Change>,
    ) -> RoundResult<()> {
        self.flush(core, held).await?;
        let (generation, chunks) = (self.generation, self.chunks);
        let per_slice = self.per_slice.max(1);
        let children = self.items.div_ceil(u64::from(per_slice));
        let told_at = millis(core.ports.clock.now());
        let state: RootState = records::document(&held.item, attr::STATE)?;
        let mut state =
            RootState { generation, chunks, children, spread: 0, trouble_since: 0, told_at, ..state };
        state.set_own(&Own {
            slices: Some(Common { per_slice, ..common }.spread_over(children)),
            ..Own::default()
        })?;
        signals::engine::planned(&held.lease.key.id, usize::try_from(children).unwrap_or(0));
        let mut changes = vec![set(attr::PHASE, Phase::Planned.as_str())];
        changes.push(set(attr::STATE, records::text(&state)?));
        changes.extend(more);
        core.save(held, changes).await
    }

    /// Writes the items that are left.
    pub(crate) async fn flush(&mut self, core: &Core, held: &Leased) -> RoundResult<()> {
        if self.chunk.items.is_empty() {
            return Ok(());
        }
        if self.per_slice == 0 {
            self.per_slice = fitting(self.chunk.items.len());
        }
        let chunk = std::mem::take(&mut self.chunk);
        let next = chunk.first + (chunk.items.len() as u64).div_ceil(u64::from(self.per_slice));
        chunk.put(core, held, self.generation, self.chunks).await?;
        (self.chunk.first, self.bytes) = (next, 0);
        self.chunks += 1;
        Ok(())
    }
}

/// How many items of so few go into a slice.
fn fitting(items: usize) -> u32 {
    let fits = |size: &&u32| items >= **size as usize * SHARES;
    *SIZES.iter().find(fits).unwrap_or(&SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_has_something_for_every_instance() {
        let sizes = [1, 80, 159, 160, 399, 400, 600].map(fitting);
        assert_eq!(sizes, [10, 10, 10, 20, 20, 50, 50]);
    }
}
