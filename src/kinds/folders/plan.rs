//! The plan of a root: the children that it will have. It is made once, stored before any child is put, and
//! read from there ever after.

use super::{Elsewhere, FolderKind, Folders, Own};
use crate::{
    domain::{
        ids::{JobId, RequestId},
        outcome::{Counters, ErrorName, Failure, Outcome, Unfinished},
        request::FolderRequest,
    },
    engine::{
        kind::PlanError,
        lease::{Leased, RoundResult, id_of},
        liveness::RootRef,
        records::{self, Phase, RootState, attr, millis, set},
        round::AfterRound,
    },
    events::outgoing::Status,
    ports::{Error, store::Key},
    signals,
};

/// Requests that are planned at a time. Each makes calls one after the other; with more of them, requests
/// that have begun would stand in line behind those that have not.
pub(super) const AT_ONCE: usize = 16;

/// Bytes of plan in one item; an item holds at most 400 KB.
const CHUNK_BYTES: usize = 300_000;

impl Folders {
    /// Resolves the request and stores the plan of its children; returns the next round, where it has to
    /// wait.
    pub(crate) async fn plan<K: FolderKind>(
        &self,
        kind: &K,
        held: &mut Leased,
    ) -> RoundResult<Option<AfterRound>> {
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
        let receipt = K::wants_receipt(&request) && !is_dry_run;
        if receipt && self.core.ports.reports.is_none() {
            let why = "there is no place for receipts: neither `report.s3_prefix` nor `report.folder` is set";
            return self.core.fail(held, Failure::new(ErrorName::InvalidRequest, why)).await.map(|()| None);
        }
        let source = held.item.text(attr::SOURCE).unwrap_or_default().to_owned();
        match kind.elsewhere(held, &source, &request).await? {
            Elsewhere::No => {}
            Elsewhere::Done => return Ok(None),
            Elsewhere::Waits(next) => return Ok(Some(next)),
        }
        let party = [RootRef::of(&held.item)];
        let planned_at = millis(self.core.ports.clock.now());
        let planning = async {
            // The semaphore is never closed.
            let _turn = self.plans.acquire().await.ok();
            kind.children(&id, &source, &request).await
        };
        let children = match self.core.while_moving(&party, planning).await {
            Ok(children) if is_dry_run => {
                return self.conclude_dry_run(kind, held, &children).await.map(|()| None);
            }
            Ok(children) => children,
            Err(PlanError::Port(error)) => {
                return self.core.not_yet_begun(held, error).await.map(|()| None);
            }
            Err(PlanError::NotYet(failure)) if !is_dry_run => {
                return self.sources_not_yet(held, failure).await;
            }
            Err(PlanError::Failed(failure) | PlanError::NotYet(failure)) => {
                return self.core.fail(held, failure).await.map(|()| None);
            }
        };
        let generation = u32::try_from(held.lease.epoch).unwrap_or(u32::MAX);
        let planned = self.put_plan(held, generation, 0, &children).await?;
        let told_at = millis(self.core.ports.clock.now());
        let (chunks, children) = (planned, children.len() as u64);
        let mut state = RootState { generation, chunks, children, told_at, ..RootState::default() };
        let most_in_piece = self.core.settings.jobs.max_items_per_job;
        state.set_own(&Own { planned_at, most_in_piece, listed_again: false, receipt })?;
        signals::engine::planned(id.as_str(), usize::try_from(children).unwrap_or(usize::MAX));
        self.core.record_progress(&party);
        let phase = set(attr::PHASE, Phase::Planned.as_str());
        self.core.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await?;
        Ok(None)
    }

    /// Adds children to the plan, and goes on to their step.
    pub(crate) async fn plan_more(
        &self,
        held: &mut Leased,
        mut state: RootState,
        more: &[FolderRequest],
    ) -> RoundResult<()> {
        state.chunks += self.put_plan(held, state.generation, state.chunks, more).await?;
        state.set_own(&Own { listed_again: true, ..state.own()? })?;
        state.step = more.iter().map(|spec| spec.step).max().unwrap_or(state.step);
        signals::engine::planned(held.lease.key.id.as_str(), more.len());
        let phase = set(attr::PHASE, Phase::Planned.as_str());
        self.core.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await
    }

    /// Stores children in the items of the plan from that one on; how many items they take.
    async fn put_plan(
        &self,
        held: &Leased,
        generation: u32,
        first: u32,
        children: &[FolderRequest],
    ) -> RoundResult<u32> {
        let chunks = chunks(children)?;
        for (n, chunk) in (first..).zip(&chunks) {
            self.core.put_chunk(held, (generation, n), chunk, None).await?;
        }
        Ok(u32::try_from(chunks.len()).unwrap_or(u32::MAX))
    }

    /// The children of all steps up to this one, without those whose source folders an earlier step has
    /// brought whole.
    pub(super) async fn needed<'p>(
        &self,
        plan: &'p [(RequestId, FolderRequest)],
        step: u32,
    ) -> Result<Needed<'p>, Error> {
        let mut needed: Vec<_> = plan.iter().filter(|(_, spec)| spec.step <= step).collect();
        if needed.iter().all(|(_, spec)| spec.of_tree.is_none()) {
            return Ok(Needed { children: needed, tree_jobs: Vec::new(), all_trees: false });
        }
        let senders: Vec<_> = needed
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
                // It failed before it could say which files are there.
                Some(_) | None => Unfinished::Everything,
            };
        }
        needed.retain(|(_, spec)| spec.of_tree.is_none() || unfinished.holds(&spec.path));
        Ok(Needed { children: needed, tree_jobs: jobs, all_trees: unfinished == Unfinished::Everything })
    }
}

/// The children of a plan that have something to do.
pub(super) struct Needed<'p> {
    pub(super) children: Vec<&'p (RequestId, FolderRequest)>,
    /// The jobs that had to bring whole source folders in an earlier step.
    pub(super) tree_jobs: Vec<JobId>,
    /// Whether every folder of those is gone through once more, for there are too many to name those in which
    /// something is missing.
    pub(super) all_trees: bool,
}

/// The plan in parts that each fit an item.
fn chunks(children: &[FolderRequest]) -> Result<Vec<&[FolderRequest]>, Error> {
    let (mut chunks, mut first, mut bytes) = (Vec::new(), 0, 0);
    for (n, child) in children.iter().enumerate() {
        let own = records::text(child)?.len();
        if bytes > 0 && bytes + own > CHUNK_BYTES {
            chunks.extend(children.get(first..n));
            (first, bytes) = (n, 0);
        }
        bytes += own;
    }
    chunks.extend(children.get(first..).filter(|rest| !rest.is_empty()));
    Ok(chunks)
}
