//! The children of a root: put, watched, waited for when it was stopped, and given their expiry.

use std::{sync::Arc, time::Duration};

use super::{Advance, Child, End, Tree, Window, plan, stall::Judgement, turns};
use crate::{
    engine::{
        concurrent::join_unordered,
        core::Core,
        dispatch::Priority,
        lease::{Leased, RoundError, RoundResult, id_of},
        liveness::RootRef,
        records::{self, Phase, RootState, as_millis, attr, millis, set},
        round::AfterRound,
    },
    events::{
        CHILD_REQUEST,
        outgoing::{self, Status},
    },
    ports::{
        Result,
        bus::{Bus, Event},
        store::{Change, EXPIRE_AT, Item, Key, Write},
    },
    signals,
};

/// How often the children of a root that was stopped are looked at, unless they all say that they have
/// settled.
const LOOK: Duration = Duration::from_mins(1);

/// Records read or written at a time.
const WIDTH: usize = 16;

impl Core {
    /// Puts children and watches them; when all of a step have settled, their tree says how it goes on.
    pub(in crate::engine) async fn drive(&self, held: &mut Leased, tree: &dyn Tree) -> RoundResult<Advance> {
        let id = id_of(held);
        let mut state: RootState = records::required(&held.item, attr::STATE)?;
        let tallies = self.ports.store.query(id.as_str(), records::TALLY).await?;
        let (settled, counters) = records::sum_tallies(&tallies);
        let mut room = match tree.window() {
            Window::All if Phase::of(&held.item) == Some(Phase::Planned) => u64::MAX,
            Window::All => 0,
            Window::InFlight(most) => {
                let at_work = state.spread.saturating_sub(settled).saturating_sub(turns::parked(&tallies));
                most.saturating_sub(at_work + turns::given(&tallies))
            }
        };
        // A child that waited may have to go on soon, so it goes before those that have not begun.
        room -= self.give_turns(held, tree, &state, &tallies, room).await?;
        let is_woken = held.item.number(attr::WAKE_ALL).is_some();
        if is_woken {
            self.wake_open(held, tree, &state).await?;
        }
        let has_more = tree.window() == Window::All || state.spread < state.children;
        let mut is_news = room > 0 && has_more;
        if is_news {
            let children = tree.next(held, &mut state, room).await?;
            self.put_children(held, tree, children).await?;
        }
        let awaited = if tree.window() == Window::All { state.spread } else { state.children };
        let mut due_at = i64::MAX;
        // The tally is a hint; only the children's records decide.
        if settled >= awaited {
            if is_news {
                self.save(held, running(&state)?).await?;
                is_news = false;
            }
            match tree.end(held).await? {
                End::Reached => return Ok(Advance::On),
                End::NotBefore(at) => due_at = at,
            }
            state = records::required(&held.item, attr::STATE)?;
        }
        let before = (state.look_since, state.looked_at);
        match self.judge(held, &mut state, tree, &tallies).await? {
            Judgement::Stalled(failure) => return Ok(Advance::Stalled(failure)),
            Judgement::Open(at) => due_at = due_at.min(at),
        }
        is_news |= (state.look_since, state.looked_at) != before;
        let now = millis(self.ports.clock.now());
        let every = as_millis(self.settings.heartbeat.every());
        let mut told_at = now.saturating_add(every);
        if self.settings.heartbeat.publish {
            if now >= state.told_at.saturating_add(every) {
                self.tell_if_possible(held, Status::Running, counters).await;
                state.told_at = now;
                is_news = true;
            }
            told_at = state.told_at.saturating_add(every);
        }
        let mut changes = if is_news { running(&state)? } else { Vec::new() };
        changes.extend(is_woken.then(|| Change::Remove(attr::WAKE_ALL.to_owned())));
        let due_at = due_at.min(told_at).max(now + 1);
        Ok(Advance::Wait(AfterRound::Due { changes, due_at }))
    }

    /// Puts children and tells the fleet. The call may be repeated: the ids come from the plan.
    async fn put_children(&self, held: &Leased, tree: &dyn Tree, children: Vec<Child>) -> RoundResult<()> {
        let (id, now, lease) = (&id_of(held), self.ports.clock.now(), &Arc::clone(&held.lease));
        let told = children.iter().map(|child| Event {
            source: None,
            bus: Bus::Internal,
            detail_type: CHILD_REQUEST,
            detail: outgoing::child_event(&child.id),
        });
        let events: Vec<_> = told.collect();
        let mark = match tree.window() {
            Window::All => (attr::SIBLINGS, i64::try_from(children.len()).unwrap_or(i64::MAX)),
            Window::InFlight(_) => (attr::IN_TURNS, 1),
        };
        let puts = children.into_iter().map(|child| async move {
            lease.check()?;
            let item = records::new_request(&child.id, id, tree.plane(), &child.destination, now);
            let (name, spec) = self.attribute(&item.key, attr::SPEC, child.spec).await?;
            // A child that is put late is not cleared away by its root, which has settled.
            let item = item.with(mark.0, mark.1).with(EXPIRE_AT, self.outlives_a_root());
            self.ports.store.write(Write::put_new(item.with(&name, spec))).await?;
            RoundResult::Ok(())
        });
        for put in join_unordered(WIDTH, puts).await {
            put?;
        }
        // A child event that is lost costs a tick: the record is due, and any instance will find it.
        match self.ports.bus.publish(&events).await {
            Ok(refused) if refused.is_empty() => {}
            Ok(refused) => signals::engine::children_untold(id.as_str(), refused.len()),
            Err(error) => signals::engine::publish_failed(id.as_str(), &error),
        }
        self.record_progress(&[RootRef::of(&held.item)]);
        Ok(())
    }

    /// Has the children of a stopped root settle; when to look again, `None` when all have.
    pub(in crate::engine) async fn await_children(
        &self,
        held: &Leased,
        state: &mut RootState,
        tree: &dyn Tree,
    ) -> RoundResult<Option<i64>> {
        let now = self.ports.clock.now();
        let first = state.children_at == 0;
        let next_look = state.children_at.saturating_add(as_millis(LOOK));
        if !first && millis(now) < next_look {
            let tallies = self.ports.store.query(&held.lease.key.id, records::TALLY).await?;
            if records::sum_tallies(&tallies).0 < state.spread {
                return Ok(Some(next_look));
            }
        }
        let mut is_open = false;
        let roster = tree.roster(held, state).await?;
        for ids in roster.blocks() {
            let keys: Vec<_> = ids.iter().map(records::request_key).collect();
            let open = self.open_among(&keys).await?;
            is_open |= !open.is_empty();
            if first {
                self.wake_children(&open).await?;
            }
        }
        state.children_at = millis(now);
        Ok(is_open.then(|| records::after(now, LOOK)))
    }

    /// Has all children that have not settled looked at.
    async fn wake_open(&self, held: &Leased, tree: &dyn Tree, state: &RootState) -> RoundResult<()> {
        let roster = tree.roster(held, state).await?;
        for ids in roster.blocks() {
            let keys: Vec<_> = ids.iter().map(records::request_key).collect();
            let open = self.open_among(&keys).await?;
            held.lease.check()?;
            self.wake_children(&open).await?;
        }
        Ok(())
    }

    /// The records of children that are there and have not settled.
    pub(super) async fn open_among(&self, keys: &[Key]) -> RoundResult<Vec<Item>> {
        let mut items = self.ports.store.get_many(keys).await?;
        items.retain(|item| Phase::of(item) != Some(Phase::Settled));
        Ok(items)
    }

    pub(super) async fn wake_children(&self, children: &[Item]) -> RoundResult<()> {
        let woken = children.iter().map(|item| self.wake(item.key.clone(), Priority::Begun));
        for woken in join_unordered(WIDTH, woken).await {
            woken?;
        }
        Ok(())
    }

    /// Clears away what a root leaves, and gives the records of its children and of its plan their expiry.
    pub(in crate::engine) async fn expire_tree(
        &self,
        held: &Leased,
        state: &RootState,
        tree: &dyn Tree,
    ) -> RoundResult<()> {
        let keep = self.settings.service.keep;
        let roster = tree.roster(held, state).await?;
        for ids in roster.blocks() {
            held.lease.check()?;
            if self.stop.is_cancelled() {
                return Err(RoundError::Stopping);
            }
            self.expire(ids.iter().flat_map(|id| tree.records_of(id)).collect(), keep).await?;
        }
        // Last: as long as there is a plan it can be done again.
        self.expire(plan::keys(&id_of(held), state), keep).await?;
        Ok(())
    }
}

/// That the children of a root are at work. Each attribute once: DynamoDB refuses to set one twice.
fn running(state: &RootState) -> Result<Vec<Change>> {
    Ok(vec![set(attr::PHASE, Phase::Running.as_str()), set(attr::STATE, records::text(state)?)])
}
