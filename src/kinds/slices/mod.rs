//! The life of roots whose children are slices: some objects of a list each, which go into one bucket. The
//! plan is written in chunks, and slices are put a window at a time: a list may have a million objects, and
//! no more of it is held in memory than that.

mod chunks;

use std::collections::HashMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub(crate) use self::chunks::{Chunk, ChunkWriter};
use crate::{
    domain::{
        copy_out::{SliceItem, SliceOptions, SliceRequest},
        ids::RequestId,
        outcome::Outcome,
        request,
    },
    engine::{
        core::Core,
        lease::{Leased, RoundResult, id_of},
        liveness::RootRef,
        records::{self, Phase, RootState, after, attr},
        tree::{Child, End, Roster, Tree, Window},
    },
    ports,
};

/// When slices are looked at again whose tallies were ahead of them.
const AHEAD: std::time::Duration = std::time::Duration::from_secs(5);

/// In how many goes a slice is worked off, where there are more slices than can be under way.
const WAVES: u32 = 4;

/// The fields that all slices of a root have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Common {
    /// The bucket that objects go to.
    pub bucket: String,
    /// Objects in a slice.
    pub per_slice: u32,
    /// Objects in flight, over the fleet.
    pub in_flight: u32,
    /// Objects of one slice in flight.
    pub width: u32,
    /// The options of all objects.
    pub options: SliceOptions,
}

impl Common {
    /// How many objects of a slice are in flight at a time, where there are so many slices. Between two
    /// slices nothing is copied, so of many slices more are under way, each with a part of its objects.
    fn spread_over(self, slices: u64) -> Self {
        let whole = self.per_slice.min(self.in_flight).max(1);
        let all_at_once = u64::from(self.in_flight) / slices.max(1);
        let width = u32::try_from(all_at_once).unwrap_or(whole).clamp(whole.div_ceil(WAVES), whole);
        Self { width, ..self }
    }

    /// How many slices are under way at a time.
    fn window(&self) -> u64 {
        u64::from((self.in_flight / self.width.max(1)).max(1))
    }
}

/// Where the putting of slices has got to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Cursor {
    /// The chunk of the next slice.
    chunk: u32,
    /// Slices of that chunk that have been put.
    slices: u32,
}

/// The state that such a root keeps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    /// The fields that its slices have in common. None: it has no slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    slices: Option<Common>,
    /// Which slice is put next.
    cursor: Cursor,
}

/// The decisions of a kind whose children are slices.
#[async_trait]
pub(crate) trait SliceKind: std::fmt::Debug + Send + Sync {
    /// Stores the outcome, once all slices have settled; false while one has not.
    async fn end(&self, held: &mut Leased, slices: &Slices<'_>) -> RoundResult<bool>;
}

/// Where a slice stands.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It was not begun.
    NotPut,
    /// It is worked on.
    UnderWay,
    /// It has ended so.
    Settled(Box<Outcome>),
}

/// The slices of a root.
#[derive(Debug)]
pub(crate) struct Slices<'a> {
    core: &'a Core,
    kind: &'a dyn SliceKind,
    generation: u32,
    /// Chunks of the plan.
    pub chunks: u32,
    pub common: Common,
}

impl<'a> Slices<'a> {
    /// The slices of a root; `None` where it has none.
    pub(crate) fn of(
        core: &'a Core,
        kind: &'a dyn SliceKind,
        state: &RootState,
    ) -> RoundResult<Option<Self>> {
        let (generation, chunks) = (state.generation, state.chunks);
        let common = state.own::<Own>()?.slices;
        Ok(common.map(|common| Self { core, kind, generation, chunks, common }))
    }

    /// None at all: of a root that has ended without a plan.
    pub(crate) fn none(core: &'a Core, kind: &'a dyn SliceKind) -> Self {
        Self { core, kind, generation: 0, chunks: 0, common: Common::default() }
    }

    fn id(&self, root: &RequestId, number: u64) -> RequestId {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        RequestId::child(root, self.generation, self.plane(), &self.common.bucket, number)
    }

    fn child(&self, held: &Leased, number: u64, items: Vec<SliceItem>) -> ports::Result<Child> {
        let Common { bucket, width, options, .. } = self.common.clone();
        let spec = SliceRequest { number, bucket, items, concurrency: width.max(1), options };
        Ok(Child {
            id: self.id(&id_of(held), number),
            destination: held.item.text(attr::DESTINATION).unwrap_or_default().to_owned(),
            spec: records::text(&spec)?,
        })
    }

    /// The outcomes of the slices of one chunk, with their items; `None` when one has not settled.
    pub(crate) async fn settled_outcomes(
        &self,
        held: &Leased,
        chunk: u32,
    ) -> RoundResult<Option<Vec<(Vec<SliceItem>, Outcome)>>> {
        let all = self.standings(held, chunk).await?.into_iter().map(|(items, standing)| match standing {
            Standing::Settled(outcome) => Some((items, *outcome)),
            Standing::NotPut | Standing::UnderWay => None,
        });
        Ok(all.collect())
    }

    /// Where the slices of one chunk stand, with their items.
    pub(crate) async fn standings(
        &self,
        held: &Leased,
        chunk: u32,
    ) -> RoundResult<Vec<(Vec<SliceItem>, Standing)>> {
        let (id, per_slice) = (id_of(held), self.common.per_slice);
        let chunk = Chunk::read(self.core, &id, self.generation, chunk).await?;
        let slices = || chunk.slices(per_slice);
        let keys: Vec<_> = slices().map(|(number, ..)| records::request_key(&self.id(&id, number))).collect();
        let found = self.core.ports.store.get_many(&keys).await?;
        let mut found: HashMap<_, _> = found.into_iter().map(|item| (item.key.clone(), item)).collect();
        let mut all = Vec::with_capacity(keys.len());
        for (key, (_, place, items)) in keys.iter().zip(slices()) {
            let standing = match found.remove(key) {
                None => Standing::NotPut,
                Some(item) if Phase::of(&item) == Some(Phase::Settled) => {
                    let mut outcome: Outcome = self.core.read_document(&item, attr::OUTCOME).await?;
                    outcome.objects = chunk.with_superseded(place, items, outcome.objects);
                    Standing::Settled(Box::new(outcome))
                }
                Some(_) => Standing::UnderWay,
            };
            all.push((items.to_vec(), standing));
        }
        self.core.record_progress(&[RootRef::of(&held.item)]);
        Ok(all)
    }
}

#[async_trait]
impl Tree for Slices<'_> {
    fn plane(&self) -> &'static str {
        request::Kind::Slice.as_str()
    }

    fn noun(&self) -> &'static str {
        "slices"
    }

    fn window(&self) -> Window {
        Window::InFlight(self.common.window())
    }

    async fn next(&self, held: &Leased, state: &mut RootState, room: u64) -> RoundResult<Vec<Child>> {
        let mut own: Own = state.own()?;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut children = Vec::new();
        while children.len() < room && own.cursor.chunk < self.chunks {
            let chunk = Chunk::read(self.core, &id_of(held), self.generation, own.cursor.chunk).await?;
            let mut slices = chunk.slices(self.common.per_slice).skip(own.cursor.slices as usize).peekable();
            while children.len() < room
                && let Some((number, place, items)) = slices.next()
            {
                children.push(self.child(held, number, chunk.brought(place, items))?);
                own.cursor.slices += 1;
            }
            if slices.peek().is_none() {
                own.cursor = Cursor { chunk: own.cursor.chunk + 1, slices: 0 };
            }
        }
        state.spread += children.len() as u64;
        state.set_own(&own)?;
        Ok(children)
    }

    async fn roster(&self, held: &Leased, state: &RootState) -> RoundResult<Roster<'_>> {
        // A crash may have kept the last ones that were put from being counted.
        let put = state.spread.saturating_add(self.common.window()).min(state.children);
        let root = id_of(held);
        Ok(Roster::new(put, move |number| Some(self.id(&root, number))))
    }

    async fn end(&self, held: &mut Leased) -> RoundResult<End> {
        if self.kind.end(held, self).await? {
            return Ok(End::Reached);
        }
        Ok(End::NotBefore(after(self.core.ports.clock.now(), AHEAD)))
    }
}
