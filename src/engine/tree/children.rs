//! Children of a list (`Kind::Slice`): planned in chunks, put a window at a time, gathered in the order
//! of the list. A list may have a million objects; no more of it is held in memory than a chunk.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    stall::{Driven, Judgement},
    turns,
};
use crate::{
    domain::{
        copy_out::{SliceItem, SliceOptions, SliceRequest},
        ids::RequestId,
        outcome::Outcome,
        request::Kind,
    },
    engine::{
        core::Core,
        dispatch::Lane,
        evidence::Party,
        lease::{Halt, Held, Step, id_of},
        records::{self, Phase, RootState, as_millis, attr, millis, set},
        round::Next,
        several::several,
    },
    events::{
        CHILD_REQUEST,
        outgoing::{self, Status},
    },
    ports::{
        bus::{Bus, Event},
        store::{EXPIRE_AT, Key, Write},
    },
    signals,
};

/// When slices are looked at again whose tallies were ahead of them.
const AHEAD: Duration = Duration::from_secs(5);

/// How often the slices of a root that was stopped are looked at, unless they all say that they have
/// settled.
const LOOK: Duration = Duration::from_mins(1);

/// Records read or written at a time.
const WIDTH: usize = 16;

/// In how many goes a slice is worked off, where there are more slices than can be under way.
const WAVES: u32 = 4;

/// Slices that are asked for together.
const BLOCK: usize = 100;

/// What all slices of a root have in common.
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
    /// What holds for all objects.
    pub options: SliceOptions,
}

impl Common {
    /// How many objects of a slice are in flight at a time, where there are so many slices. Between two
    /// slices nothing is copied, so of many slices more are under way, each with a part of its objects.
    pub(crate) fn spread_over(self, slices: u64) -> Self {
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
pub(crate) struct Cursor {
    /// The chunk of the next slice.
    pub chunk: u32,
    /// Slices of that chunk that have been put.
    pub slices: u32,
}

impl Core {
    /// When slices are looked at again whose tallies, which are hints, were ahead of their records.
    pub(crate) fn look_again(&self) -> Next {
        Next::at(records::after(self.ports.clock.now(), AHEAD))
    }

    /// Puts slices and watches them.
    pub(crate) async fn drive_slices(&self, held: &mut Held, common: &Common) -> Step<Driven> {
        let id = id_of(held);
        let mut state: RootState = records::required(&held.item, attr::STATE)?;
        let tallies = self.ports.store.query(id.as_str(), records::TALLY).await?;
        let (settled, counters) = records::sum_tallies(&tallies);
        if settled >= state.children {
            return Ok(Driven::Settled);
        }
        let at_work = state.spread.saturating_sub(settled).saturating_sub(turns::parked(&tallies));
        let mut room = common.window().saturating_sub(at_work + turns::given(&tallies));
        let mut is_news = false;
        // What was restored stays for a few days only, so it goes before what has not begun.
        room -= self.give_turns(held, common, &state, &tallies, room).await?;
        if room > 0 && state.spread < state.children {
            self.put_slices(held, common, &mut state, room).await?;
            is_news = true;
        }
        let before = (state.look_since, state.looked_at);
        let judged_at = match self.watch_slices(held, &mut state, common, &tallies).await? {
            Judgement::Stalled(failure) => return Ok(Driven::Stalled(failure)),
            Judgement::Open(at) => at,
        };
        is_news |= (state.look_since, state.looked_at) != before;
        let now = self.ports.clock.now();
        let every = as_millis(self.settings.heartbeat.every());
        let mut due_at = millis(now).saturating_add(every);
        if self.settings.heartbeat.publish {
            if millis(now) >= state.told_at.saturating_add(every) {
                self.tell_if_possible(held, Status::Running, counters).await;
                state.told_at = millis(now);
                is_news = true;
            }
            due_at = state.told_at.saturating_add(every);
        }
        // Each attribute once: DynamoDB refuses to set one twice.
        let changes = if is_news {
            vec![set(attr::PHASE, Phase::Running.as_str()), set(attr::STATE, records::text(&state)?)]
        } else {
            Vec::new()
        };
        Ok(Driven::On(Next::Due { changes, due_at: due_at.min(judged_at).max(millis(now) + 1) }))
    }

    /// Puts the next slices and tells the fleet. May be repeated: the ids come from the plan.
    async fn put_slices(&self, held: &Held, common: &Common, state: &mut RootState, room: u64) -> Step<()> {
        let id = id_of(held);
        let mut left = usize::try_from(room).unwrap_or(usize::MAX);
        while left > 0 && state.cursor.chunk < state.chunks {
            let chunk = self.chunk(&id, state.generation, state.cursor.chunk).await?;
            let total = chunk.slices(common.per_slice).count();
            let put = state.cursor.slices as usize;
            let slices = chunk.slices(common.per_slice).skip(put).take(left);
            let slices: Vec<_> = slices.map(|(n, place, items)| (n, chunk.brought(place, items))).collect();
            let count = slices.len();
            self.put_some(held, common, state.generation, slices).await?;
            left -= count;
            state.spread += count as u64;
            if put + count >= total {
                state.cursor = Cursor { chunk: state.cursor.chunk + 1, slices: 0 };
            } else {
                state.cursor.slices = u32::try_from(put + count).unwrap_or(u32::MAX);
            }
        }
        Ok(())
    }

    async fn put_some(
        &self,
        held: &Held,
        common: &Common,
        generation: u32,
        slices: Vec<(u64, Vec<SliceItem>)>,
    ) -> Step<()> {
        let (id, now, lease) = (&id_of(held), self.ports.clock.now(), &Arc::clone(&held.lease));
        let destination = held.item.text(attr::DESTINATION).unwrap_or_default();
        let mut events = Vec::with_capacity(slices.len());
        let mut puts = Vec::with_capacity(slices.len());
        for (number, items) in slices {
            let child = slice_id(id, generation, &common.bucket, number);
            events.push(Event {
                bus: Bus::Internal,
                detail_type: CHILD_REQUEST,
                detail: outgoing::child_event(&child),
            });
            let spec = SliceRequest {
                number,
                bucket: common.bucket.clone(),
                items,
                concurrency: common.width.max(1),
                options: common.options.clone(),
            };
            puts.push(async move {
                lease.check()?;
                let item = records::new_request(&child, id, Kind::Slice, destination, now);
                // One that is put late, when its root has settled, is cleared away by nobody.
                let item = item.with(attr::IN_TURNS, 1).with(EXPIRE_AT, self.outlives_a_root());
                let item = self.with_document(item, attr::SPEC, &spec).await?;
                self.ports.store.write(Write::put_new(item)).await?;
                Step::Ok(())
            });
        }
        for put in several(WIDTH, puts).await {
            put?;
        }
        // A child event that is lost costs a tick: the record is due, and any instance will find it.
        match self.ports.bus.publish(&events).await {
            Ok(refused) if refused.is_empty() => {}
            Ok(refused) => signals::engine::children_untold(id.as_str(), refused.len()),
            Err(error) => signals::engine::publish_failed(id.as_str(), &error),
        }
        self.moved(&[Party::of(&held.item)]);
        Ok(())
    }

    /// The outcomes of the slices of one chunk, with their items; `None` when one has not settled.
    pub(crate) async fn gathered(
        &self,
        held: &Held,
        common: &Common,
        state: &RootState,
        chunk: u32,
    ) -> Step<Option<Vec<(Vec<SliceItem>, Outcome)>>> {
        let id = id_of(held);
        let chunk = self.chunk(&id, state.generation, chunk).await?;
        let keys: Vec<_> = chunk
            .slices(common.per_slice)
            .map(|(number, ..)| {
                records::request_key(&slice_id(&id, state.generation, &common.bucket, number))
            })
            .collect();
        let found = self.ports.store.get_many(&keys).await?;
        let mut found: std::collections::HashMap<_, _> =
            found.into_iter().map(|item| (item.key.clone(), item)).collect();
        let mut all = Vec::with_capacity(keys.len());
        for (key, (_, place, items)) in keys.iter().zip(chunk.slices(common.per_slice)) {
            let settled = found.remove(key).filter(|item| Phase::of(item) == Some(Phase::Settled));
            let Some(settled) = settled else { return Ok(None) };
            let mut outcome: Outcome = self.read_document(&settled, attr::OUTCOME).await?;
            outcome.objects = chunk.with_superseded(place, items, outcome.objects);
            all.push((items.to_vec(), outcome));
        }
        self.moved(&[Party::of(&held.item)]);
        Ok(Some(all))
    }

    /// Gives the records of a plan and its slices their expiry.
    pub(crate) async fn expire_slices(&self, held: &Held, state: &RootState) -> Step<()> {
        let (id, keep) = (id_of(held), self.settings.service.keep);
        for keys in slice_keys(&id, state) {
            held.lease.check()?;
            if self.stop.is_cancelled() {
                return Err(Halt::Stopping);
            }
            self.expire(keys, keep).await?;
        }
        // Last: as long as there is a plan it can be done again.
        self.expire(plan_keys(&id, state), keep).await?;
        Ok(())
    }

    /// Has slices settle whose root was stopped; `None` when all have.
    pub(crate) async fn wait_for_slices(&self, held: &Held, state: &mut RootState) -> Step<Option<Next>> {
        let id = id_of(held);
        let now = self.ports.clock.now();
        let first = state.children_at == 0;
        let next_look = state.children_at.saturating_add(as_millis(LOOK));
        if !first && millis(now) < next_look {
            let tallies = self.ports.store.query(id.as_str(), records::TALLY).await?;
            if records::sum_tallies(&tallies).0 < state.spread {
                return Ok(Some(Next::at(next_look)));
            }
        }
        let mut is_open = false;
        for keys in slice_keys(&id, state) {
            let items = self.ports.store.get_many(&keys).await?;
            let open: Vec<_> = items.iter().filter(|item| Phase::of(item) != Some(Phase::Settled)).collect();
            is_open |= !open.is_empty();
            if first {
                let woken = open.into_iter().map(|item| self.wake(item.key.clone(), Lane::Begun));
                for woken in several(WIDTH, woken).await {
                    woken?;
                }
            }
        }
        if !is_open {
            return Ok(None);
        }
        state.children_at = millis(now);
        let changes = vec![set(attr::STATE, records::text(state)?)];
        Ok(Some(Next::Due { changes, due_at: records::after(now, LOOK) }))
    }
}

/// The keys of the chunks of a plan.
pub(crate) fn plan_keys(root: &RequestId, state: &RootState) -> Vec<Key> {
    (0..state.chunks).map(|chunk| records::plan_key(root, state.generation, chunk)).collect()
}

/// The keys of the slices of a root that may have been put, some at a time.
pub(crate) fn slice_keys(root: &RequestId, state: &RootState) -> impl Iterator<Item = Vec<Key>> {
    let common = state.slices.clone().unwrap_or_default();
    // A crash may have kept the last ones that were put from being counted.
    let put = state.spread.saturating_add(common.window()).min(state.children);
    let (root, generation) = (root.clone(), state.generation);
    let key = move |number| records::request_key(&slice_id(&root, generation, &common.bucket, number));
    let firsts = (0..put).step_by(BLOCK);
    firsts.map(move |first| (first..put).take(BLOCK).map(&key).collect())
}

pub(crate) fn slice_id(root: &RequestId, generation: u32, bucket: &str, number: u64) -> RequestId {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    RequestId::child(root, generation, Kind::Slice.as_str(), bucket, number)
}
