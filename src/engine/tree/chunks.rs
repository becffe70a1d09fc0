//! The plan of a list: its items in chunks, each an item of the table, so that no more of it is held in
//! memory than a chunk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::children::Cursor;
use crate::{
    domain::{
        copy_out::{Copied, CopyStatus, Detail, SliceItem},
        ids::RequestId,
    },
    engine::{
        core::Core,
        lease::{Held, Step, id_of},
        records::{self, RootState, attr},
    },
    ports::{
        Class, Error,
        store::{Action, Condition, EXPIRE_AT, Item, Write, Written},
    },
};

/// Bytes of a chunk, about. Each is read again whenever some of its slices are put.
const CHUNK_BYTES: usize = 64 * 1024;

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

    /// What became of the items of a slice, with those that were not brought in their places.
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
    per_slice: u32,
    chunk: Chunk,
    bytes: usize,
    /// Chunks written.
    pub chunks: u32,
    /// Items taken.
    pub items: u64,
}

impl ChunkWriter {
    pub(crate) fn new(held: &Held, per_slice: u32) -> Self {
        Self {
            generation: u32::try_from(held.lease.epoch).unwrap_or(u32::MAX),
            per_slice: per_slice.max(1),
            chunk: Chunk::default(),
            bytes: 0,
            chunks: 0,
            items: 0,
        }
    }

    pub(crate) async fn take(&mut self, engine: &Core, held: &Held, item: SliceItem) -> Step<()> {
        self.bytes += item.to.len() * 2 + 80;
        self.items += 1;
        self.chunk.items.push(item);
        let is_full = self.chunk.items.len().is_multiple_of(self.per_slice as usize);
        if is_full && self.bytes >= CHUNK_BYTES { self.flush(engine, held).await } else { Ok(()) }
    }

    /// How the root goes on once all is written.
    pub(crate) fn finish(self, state: RootState) -> RootState {
        let (generation, chunks) = (self.generation, self.chunks);
        let children = self.items.div_ceil(u64::from(self.per_slice));
        RootState { generation, chunks, children, spread: 0, cursor: Cursor::default(), ..state }
    }

    /// Writes what is left.
    pub(crate) async fn flush(&mut self, engine: &Core, held: &Held) -> Step<()> {
        if self.chunk.items.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        let next = chunk.first + (chunk.items.len() as u64).div_ceil(u64::from(self.per_slice));
        engine.put_chunk(held, self.generation, self.chunks, &chunk).await?;
        (self.chunk.first, self.bytes) = (next, 0);
        self.chunks += 1;
        Ok(())
    }
}

impl Core {
    /// A chunk of a plan.
    pub(crate) async fn chunk(&self, root: &RequestId, generation: u32, n: u32) -> Result<Chunk, Error> {
        let item = self.ports.store.get(&records::plan_key(root, generation, n)).await?;
        let gone = || Error::new(Class::Invalid, "read plan", format!("the plan of {root} is gone"));
        let item = item.ok_or_else(gone)?;
        let chunk: Chunk = self.read_document(&item, attr::SPEC).await?;
        Ok(Chunk { seen: item.text(attr::REVISION).map(str::to_owned), ..chunk })
    }

    /// Writes a chunk of the plan: over the one that was read, or over what an earlier round of the same
    /// lease has left. An attempt that lands late finds another one there, and changes nothing.
    pub(crate) async fn put_chunk(&self, held: &Held, generation: u32, n: u32, chunk: &Chunk) -> Step<()> {
        held.lease.check()?;
        let key = records::plan_key(&id_of(held), generation, n);
        // Until the root settles, and for good where nobody knows of it any more.
        let expire_at = self.outlives_a_root();
        let own = self.ports.chance.uuid().to_string();
        let item = self.with_document(Item::new(key), attr::SPEC, chunk).await?;
        let item = item.with(EXPIRE_AT, expire_at).with(attr::REVISION, own.as_str());
        let mut seen = chunk.seen.clone();
        loop {
            let condition = match seen {
                Some(seen) => Condition::Equals(attr::REVISION.into(), seen.into()),
                None => Condition::Absent,
            };
            let put = Write {
                key: item.key.clone(),
                action: Action::Put(item.attributes.clone()),
                conditions: vec![condition],
            };
            let Written::Refused(there) = self.ports.store.write(put).await? else { return Ok(()) };
            seen = there.and_then(|there| there.text(attr::REVISION).map(str::to_owned));
            if seen.as_ref() == Some(&own) {
                // The answer of the first attempt was lost.
                return Ok(());
            }
            if chunk.seen.is_some() {
                let message = "somebody else has written it";
                return Err(Error::new(Class::Transient, "write plan", message).into());
            }
            held.lease.check()?;
        }
    }
}
