//! The plan of a root: what its children will be. Made once, stored before any child is put, and read
//! from there ever after.

use super::{Elsewhere, FolderKind, Folders};
use crate::{
    domain::{
        ids::{JobId, RequestId},
        outcome::{Counters, ErrorName, Failure, Outcome, Unfinished},
        request::{FolderRequest, Kind},
    },
    engine::{
        evidence::Party,
        kind::Refused,
        lease::{Held, Step, id_of},
        records::{self, Phase, RootState, attr, millis, set},
        round::Next,
    },
    events::outgoing::Status,
    ports::{
        Error,
        store::{EXPIRE_AT, Item, Key, Write},
    },
    signals,
};

/// Requests that are planned at a time. Each makes calls one after the other; with more of them, what has
/// begun would stand in line behind what has not.
pub(super) const AT_ONCE: usize = 16;

/// Bytes of plan in one item; an item holds at most 400 KB.
const CHUNK_BYTES: usize = 300_000;

impl Folders {
    /// Resolves the request and stores what its children will be; what comes next, where it has to wait.
    pub(super) async fn plan<K: FolderKind>(&self, kind: &K, held: &mut Held) -> Step<Option<Next>> {
        let id = id_of(held);
        let payload = self.core.ports.store.get(&Key::new(id.as_str(), records::PAYLOAD)).await?;
        if records::document::<RootState>(&held.item, attr::STATE)?.told_at == 0 {
            self.core.tell_if_possible(held, Status::Received, Counters::default()).await;
        }
        let Some(payload) = payload else {
            let failure = Failure::new(ErrorName::Internal, "the payload of the request is gone");
            return self.core.fail(held, failure).await.map(|()| None);
        };
        let request: K::Request = self.core.read_document(&payload, attr::SPEC).await?;
        let is_dry_run = K::is_dry_run(&request);
        let source = held.item.text(attr::SOURCE).unwrap_or_default().to_owned();
        match kind.elsewhere(held, &source, &request).await? {
            Elsewhere::No => {}
            Elsewhere::Done => return Ok(None),
            Elsewhere::Waits(next) => return Ok(Some(next)),
        }
        let party = [Party::of(&held.item)];
        let planned_at = millis(self.core.ports.clock.now());
        let planning = async {
            // The semaphore is never closed.
            let _turn = self.plans.acquire().await.ok();
            kind.children(&id, &source, &request).await
        };
        let children = match self.core.while_moving(&party, planning).await {
            Ok(children) if is_dry_run => {
                return self.conclude_dry_run(held, &children).await.map(|()| None);
            }
            Ok(children) => children,
            Err(Refused::Port(error)) => {
                return self.core.not_yet_begun(held, error).await.map(|()| None);
            }
            Err(Refused::NotYet(failure)) if !is_dry_run => {
                return self.sources_not_yet(held, failure).await;
            }
            Err(Refused::Failed(failure) | Refused::NotYet(failure)) => {
                return self.core.fail(held, failure).await.map(|()| None);
            }
        };
        let generation = u32::try_from(held.lease.epoch).unwrap_or(u32::MAX);
        let planned = self.put_plan(held, generation, 0, &children).await?;
        let state = RootState {
            generation,
            chunks: planned,
            planned_at,
            children: children.len() as u64,
            step: 0,
            spread: 0,
            told_at: millis(self.core.ports.clock.now()),
            most_in_piece: self.core.settings.jobs.max_items_per_job,
            ..RootState::default()
        };
        signals::engine::planned(id.as_str(), children.len());
        self.core.moved(&party);
        let phase = set(attr::PHASE, Phase::Planned.as_str());
        self.core.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await?;
        Ok(None)
    }

    /// Adds children to the plan, and goes on to their step.
    pub(crate) async fn plan_more(
        &self,
        held: &mut Held,
        state: &mut RootState,
        more: &[FolderRequest],
    ) -> Step<()> {
        state.chunks += self.put_plan(held, state.generation, state.chunks, more).await?;
        state.listed_again = true;
        state.step = more.iter().map(|spec| spec.step).max().unwrap_or(state.step);
        signals::engine::planned(held.lease.key.id.as_str(), more.len());
        let phase = set(attr::PHASE, Phase::Planned.as_str());
        self.core.save(held, vec![phase, set(attr::STATE, records::text(state)?)]).await
    }

    /// Stores children in the items of the plan from that one on; how many items they take.
    async fn put_plan(
        &self,
        held: &Held,
        generation: u32,
        first: u32,
        children: &[FolderRequest],
    ) -> Step<u32> {
        let chunks = chunks(children)?;
        let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let expire_at = self.core.outlives_a_root();
        for (n, chunk) in (first..).zip(chunks) {
            held.lease.check()?;
            let key = records::plan_key(&id_of(held), generation, n);
            let (name, spec) = self.core.attribute(&key, attr::SPEC, chunk).await?;
            if first > 0 {
                // Of somebody who did not get so far as to have it counted.
                self.core.ports.store.write(Write::delete(key.clone())).await?;
            }
            let item = Item::new(key).with(&name, spec).with(EXPIRE_AT, expire_at);
            self.core.ports.store.write(Write::put_new(item)).await?;
        }
        Ok(count)
    }

    /// The ids of the children of a plan.
    pub(crate) async fn needed_ids(
        &self,
        plan: Vec<(RequestId, FolderRequest)>,
    ) -> Result<Vec<RequestId>, Error> {
        Ok(self.needed(plan, u32::MAX).await?.into_iter().map(|(id, _)| id).collect())
    }

    /// The children of all steps up to this one, without those whose source folders an earlier step has
    /// brought whole.
    pub(crate) async fn needed(
        &self,
        mut plan: Vec<(RequestId, FolderRequest)>,
        step: u32,
    ) -> Result<Vec<(RequestId, FolderRequest)>, Error> {
        plan.retain(|(_, spec)| spec.step <= step);
        if plan.iter().all(|(_, spec)| spec.of_tree.is_none()) {
            return Ok(plan);
        }
        let senders: Vec<_> = plan
            .iter()
            .filter(|(_, spec)| spec.sends_trees())
            .map(|(id, _)| records::request_key(id))
            .collect();
        let items = self.core.ports.store.get_many(&senders).await?;
        let mut unfinished = Unfinished::Nothing;
        let mut jobs = Vec::new();
        for key in &senders {
            let item = items.iter().find(|item| item.key == *key);
            let settled = item.filter(|item| Phase::of(item) == Some(Phase::Settled));
            let outcome = match settled {
                Some(item) => Some(self.core.read_document::<Outcome>(item, attr::OUTCOME).await?),
                None => None,
            };
            let its_jobs = outcome.iter().flat_map(|outcome| &outcome.jobs);
            jobs.extend(its_jobs.map(|job| JobId::new(job.job_id.as_str())));
            unfinished = match outcome {
                Some(outcome) if outcome.failure.is_none() => unfinished.and(&outcome.unfinished),
                // It failed before it could say what is there.
                Some(_) | None => Unfinished::Everything,
            };
        }
        plan.retain(|(_, spec)| spec.of_tree.is_none() || unfinished.holds(&spec.path));
        for (_, spec) in plan.iter_mut().filter(|(_, spec)| spec.of_tree.is_some()) {
            spec.tree_jobs.clone_from(&jobs);
        }
        Ok(plan)
    }

    pub(crate) async fn plan_of(&self, held: &Held) -> Result<Vec<(RequestId, FolderRequest)>, Error> {
        let id = id_of(held);
        let state: RootState = records::document(&held.item, attr::STATE)?;
        let mut children = Vec::new();
        for chunk in 0..state.chunks {
            let item = self.core.ports.store.get(&records::plan_key(&id, state.generation, chunk)).await?;
            let item = item.ok_or_else(|| {
                Error::new(crate::ports::Class::Invalid, "read plan", format!("the plan of {id} is gone"))
            })?;
            let specs: Vec<FolderRequest> = self.core.read_document(&item, attr::SPEC).await?;
            for spec in specs {
                let slice = u32::try_from(children.len()).unwrap_or(u32::MAX);
                let place = format!("{}{}", spec.project, spec.path);
                let child = RequestId::child(&id, state.generation, Kind::Folder.as_str(), &place, slice);
                children.push((child, spec));
            }
        }
        Ok(children)
    }
}

/// The plan as texts that each fit an item.
fn chunks(children: &[FolderRequest]) -> Result<Vec<String>, Error> {
    let mut chunks = Vec::new();
    let mut current = String::new();
    for child in children {
        let text = records::text(child)?;
        if !current.is_empty() && current.len() + text.len() > CHUNK_BYTES {
            chunks.push(format!("[{current}]"));
            current.clear();
        }
        if !current.is_empty() {
            current.push(',');
        }
        current.push_str(&text);
    }
    if !current.is_empty() {
        chunks.push(format!("[{current}]"));
    }
    Ok(chunks)
}
