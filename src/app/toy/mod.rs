//! A kind of work that exists only here: roots whose children are chores, a plane that does them, and what
//! becomes of both. It stands for any kind, so that what the engine promises is tested without folders and
//! buckets; it is added as `docs/adding-a-kind.md` says.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a kind for tests, and tests of it"
)]

mod fleet;
mod histories;
mod machine;
mod needs;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        ids::RequestId,
        outcome::{Counters, ErrorName, Failure, Outcome},
    },
    engine::{
        core::Core,
        dispatch::Priority,
        kind::{Kind, Plane},
        lease::{Leased, RoundResult, id_of},
        records::{self, Phase, RootState, after, attr, millis, set, started_at},
        round::AfterRound,
        tree::{
            Child, End, Roster, Tree, Window,
            turns::{Turn, is_parked},
        },
    },
    ports::store::Key,
};

/// What a caller asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Chores {
    pub count: u64,
    /// How many at a time; 0: all at once.
    pub in_flight: u64,
    /// Of so many chores one waits for a while, and leaves its place to other chores; 0: none does.
    pub one_waits_in: u64,
    /// The number of the chore that never ends, or kills the instance that does it.
    pub stuck: Option<u64>,
    pub deadly: Option<u64>,
    /// They begin when that root has settled.
    #[serde(default)]
    pub after: Option<RequestId>,
}

/// What one child is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Chore {
    number: u64,
    waits: bool,
    stuck: bool,
    deadly: bool,
}

/// What such a root remembers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    chores: Option<Chores>,
}

/// What was done in the world: how often each chore of each root, and how many were under way at most.
#[derive(Debug, Default)]
pub(super) struct World {
    pub done: Mutex<BTreeMap<(String, u64), u32>>,
    under_way: AtomicUsize,
    pub most: AtomicUsize,
}

/// One that is under way, until it is dropped: also by an instance that dies.
struct UnderWay<'a>(&'a World);

impl World {
    fn begin(&self) -> UnderWay<'_> {
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        UnderWay(self)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct ChoresKind {
    core: Arc<Core>,
}

#[derive(Debug)]
pub(super) struct ChoresPlane {
    core: Arc<Core>,
    world: Arc<World>,
}

/// How long a chore takes, and how long one waits that waits.
const TAKES: Duration = Duration::from_secs(3);
const WAITS: Duration = Duration::from_mins(2);

#[async_trait]
impl Kind for ChoresKind {
    fn name(&self) -> &'static str {
        "chores"
    }

    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        let payload = self.core.ports.store.get(&Key::new(id_of(held).as_str(), records::PAYLOAD)).await?;
        let Some(payload) = payload else {
            let failure = Failure::new(ErrorName::Internal, "the payload is gone");
            let outcome = self.core.failed_outcome(&held.item, failure);
            return self.core.conclude(held, &outcome).await.map(|()| None);
        };
        let chores: Chores = self.core.read_document(&payload, attr::SPEC).await?;
        if let Some(other) = &chores.after
            && !self.core.has_settled(other, &id_of(held)).await?
        {
            return Ok(Some(AfterRound::at(i64::MAX)));
        }
        let generation = u32::try_from(held.lease.epoch).unwrap_or(u32::MAX);
        let mut state = RootState { generation, children: chores.count, ..RootState::default() };
        state.set_own(&Own { chores: Some(chores) })?;
        let phase = set(attr::PHASE, Phase::Planned.as_str());
        self.core.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await?;
        Ok(None)
    }

    fn tree<'a>(&'a self, state: &RootState) -> RoundResult<Box<dyn Tree + 'a>> {
        let own: Own = state.own()?;
        Ok(Box::new(ChoresTree { core: &self.core, generation: state.generation, chores: own.chores }))
    }
}

#[derive(Debug)]
struct ChoresTree<'a> {
    core: &'a Core,
    generation: u32,
    /// None where the root has ended without a plan.
    chores: Option<Chores>,
}

impl ChoresTree<'_> {
    fn id(&self, root: &RequestId, number: u64) -> RequestId {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        RequestId::child(root, self.generation, self.plane(), "home", number)
    }
}

#[async_trait]
impl Tree for ChoresTree<'_> {
    fn plane(&self) -> &'static str {
        "chore"
    }

    fn noun(&self) -> &'static str {
        "chores"
    }

    fn window(&self) -> Window {
        match self.chores.as_ref().map_or(0, |chores| chores.in_flight) {
            0 => Window::All,
            most => Window::InFlight(most),
        }
    }

    async fn next(&self, held: &Leased, state: &mut RootState, room: u64) -> RoundResult<Vec<Child>> {
        let Some(chores) = &self.chores else { return Ok(Vec::new()) };
        let until = chores.count.min(state.spread.saturating_add(room));
        let child = |number| {
            let waits = chores.one_waits_in > 0 && number % chores.one_waits_in == 0;
            let (stuck, deadly) = (chores.stuck == Some(number), chores.deadly == Some(number));
            let spec = records::text(&Chore { number, waits, stuck, deadly })?;
            Ok(Child { id: self.id(&id_of(held), number), destination: "home".to_owned(), spec })
        };
        let children = (state.spread..until).map(child).collect();
        state.spread = until;
        children
    }

    async fn roster(&self, held: &Leased, state: &RootState) -> RoundResult<Roster<'_>> {
        let root = id_of(held);
        Ok(Roster::new(state.children, move |number| Some(self.id(&root, number))))
    }

    async fn end(&self, held: &mut Leased) -> RoundResult<End> {
        let root = id_of(held);
        let keys: Vec<_> = (0..self.chores.as_ref().map_or(0, |chores| chores.count))
            .map(|number| records::request_key(&self.id(&root, number)))
            .collect();
        let mut counters = Counters::default();
        let mut settled = 0;
        for keys in keys.chunks(100) {
            for item in self.core.ports.store.get_many(keys).await? {
                if Phase::of(&item) == Some(Phase::Settled) {
                    let outcome: Outcome = self.core.read_document(&item, attr::OUTCOME).await?;
                    counters = counters.plus(&outcome.counters);
                    settled += 1;
                }
            }
        }
        if settled < keys.len() {
            return Ok(End::NotBefore(after(self.core.ports.clock.now(), TAKES)));
        }
        let ended = Outcome::between(started_at(&held.item), self.core.ports.clock.now());
        self.core.conclude(held, &Outcome { counters, ..ended }).await?;
        Ok(End::Reached)
    }
}

impl ChoresPlane {
    async fn settle(
        &self,
        held: &mut Leased,
        root: &RequestId,
        failure: Option<Failure>,
    ) -> RoundResult<AfterRound> {
        let copied = u64::from(failure.is_none());
        let counters = Counters { files: 1, copied, failed: 1 - copied, ..Counters::default() };
        let ended = Outcome::between(started_at(&held.item), self.core.ports.clock.now());
        let outcome = Outcome { failure, counters, ..ended };
        let tally = records::tally(&outcome.counters, None);
        self.core.settle_as(held, root, &outcome, Vec::new(), tally).await
    }
}

#[async_trait]
impl Plane for ChoresPlane {
    fn name(&self) -> &'static str {
        "chore"
    }

    async fn reconcile(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let chore: Chore = self.core.read_document(&held.item, attr::SPEC).await?;
        if chore.deadly {
            // As a process dies that runs out of memory: it does not even give the record back.
            std::future::pending::<()>().await;
        }
        if let Some(failure) = self.core.stop_of(&root).await? {
            self.core.leave_queue(&root, chore.number).await?;
            return self.settle(held, &root, Some(failure)).await;
        }
        let now = self.core.ports.clock.now();
        let waited = millis(now).saturating_sub(millis(started_at(&held.item)));
        let looked = set(attr::LOOKED_AT, millis(now));
        let later = |wait| AfterRound::Due { changes: vec![looked.clone()], due_at: after(now, wait) };
        if chore.stuck {
            return Ok(later(Duration::from_mins(1)));
        }
        if chore.waits && waited < records::as_millis(WAITS) {
            if held.item.number(attr::IN_TURNS).is_some() && !is_parked(&held.item) {
                let lease = Arc::clone(&held.lease);
                self.core.park(&lease, &root).await?;
                self.core.wake(records::request_key(&root), Priority::Root).await?;
            }
            return Ok(later(WAITS));
        }
        if is_parked(&held.item) {
            match self.core.turn_of(&root, chore.number).await? {
                Turn::None => {
                    self.core.ask_for_turn(&root, chore.number).await?;
                    return Ok(later(WAITS));
                }
                Turn::Asked => return Ok(later(WAITS)),
                Turn::Given => self.core.take_turn(held, &root, chore.number).await?,
            }
        }
        held.lease.check()?;
        let under_way = self.world.begin();
        tokio::time::sleep(TAKES).await;
        drop(under_way);
        held.lease.check()?;
        *self.world.done.lock().unwrap().entry((root.to_string(), chore.number)).or_default() += 1;
        self.settle(held, &root, None).await
    }

    async fn give_up(&self, held: &mut Leased, why: Failure) -> RoundResult<AfterRound> {
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        self.settle(held, &root, Some(why)).await
    }
}
