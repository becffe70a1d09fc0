//! The end of a step: when all children so far have settled, the next step begins, or the root ends with one
//! outcome out of theirs.

use std::collections::HashMap;

use super::{
    FolderKind, Own,
    late::{Late, replace},
    plan::Needed,
    staging,
    tree::FolderTree,
};
use crate::{
    domain::outcome::{Counters, Failure, Outcome},
    engine::{
        lease::{Leased, RoundResult, id_of},
        records::{self, Phase, RootState, attr, set, started_at},
        tree::End,
    },
    signals,
};

/// Children have not settled; they wake the root when they do.
const OPEN: End = End::NotBefore(i64::MAX);

impl<K: FolderKind> FolderTree<'_, K> {
    /// Goes on to the next step, or to the end, when all children so far have settled.
    pub(super) async fn end_step(&self, held: &mut Leased) -> RoundResult<End> {
        let core = &self.folders.core;
        let mut state: RootState = records::required(&held.item, attr::STATE)?;
        let own: Own = state.own()?;
        let plan = self.plan(held).await?;
        let next = plan.iter().map(|(_, spec)| spec.step).filter(|step| *step > state.step).min();
        let Needed { children: so_far, all_trees, .. } = self.folders.needed(plan, state.step).await?;
        let so_far: Vec<_> = so_far.into_iter().cloned().collect();
        let keys: Vec<_> = so_far.iter().map(|(id, _)| records::request_key(id)).collect();
        let items = core.ports.store.get_many(&keys).await?;
        let settled: HashMap<_, _> = items
            .iter()
            .filter(|item| Phase::of(item) == Some(Phase::Settled))
            .map(|item| (&item.key, item))
            .collect();
        if settled.len() < keys.len() {
            return Ok(OPEN);
        }
        if let Some(next) = next {
            state.step = next;
            let phase = set(attr::PHASE, Phase::Planned.as_str());
            core.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await?;
            return Ok(End::Reached);
        }
        let mut outcomes = Vec::with_capacity(so_far.len());
        for ((_, spec), key) in so_far.iter().zip(&keys) {
            let Some(item) = settled.get(key) else { return Ok(OPEN) };
            let mut outcome: Outcome = core.read_document(item, attr::OUTCOME).await?;
            if spec.staging || (spec.sends_trees() && (all_trees || outcome.failure.is_some())) {
                // The children that came after tell all of it.
                outcome.counters = Counters::default();
                outcome.failure = None;
            }
            outcomes.push(outcome);
        }
        if !own.listed_again {
            match self.folders.late(held, own.planned_at, plan, &so_far, &outcomes).await? {
                Late::Nothing => {}
                Late::At(at) => return Ok(End::NotBefore(at)),
                Late::More(more) => {
                    self.folders.plan_more(held, state, &more).await?;
                    return Ok(End::Reached);
                }
                Late::Refused(failure) => {
                    core.fail(held, failure).await?;
                    return Ok(End::Reached);
                }
            }
        }
        replace(&so_far, &mut outcomes);
        let specs = so_far.iter().map(|(_, spec)| spec);
        let cleared = staging::clear(core.ports.platform.as_ref(), &id_of(held), specs).await;
        if let Err(error) = cleared {
            if !core.lasts_too_long(held).await? {
                return Err(error.into());
            }
            signals::engine::staging_left(held.item.text(attr::DESTINATION).unwrap_or_default(), &error);
        }
        let receipt = if own.receipt {
            let plan = self.plan(held).await?;
            self.folders.receipt(held, plan, &so_far, &outcomes).await?
        } else {
            None
        };
        let merged = merge(&outcomes, started_at(&held.item), core.ports.clock.now());
        let merged = Outcome { receipt, ..merged };
        let outcome = self.kind.outcome(held, own.most_in_piece, &so_far, &outcomes, merged).await?;
        core.conclude(held, &outcome).await?;
        Ok(End::Reached)
    }
}

/// How many jobs an outcome lists; more are only in the log.
const MOST_JOBS: usize = 200;

/// One outcome out of the children's.
fn merge(outcomes: &[Outcome], started_at: jiff::Timestamp, finished_at: jiff::Timestamp) -> Outcome {
    let counters = outcomes.iter().fold(Counters::default(), |sum, outcome| sum.plus(&outcome.counters));
    let mut jobs: Vec<_> = outcomes.iter().flat_map(|outcome| outcome.jobs.iter().cloned()).collect();
    let mut seen = std::collections::HashSet::new();
    jobs.retain(|job| seen.insert(job.job_id.clone()));
    jobs.truncate(MOST_JOBS);
    let failures: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).collect();
    let failure = failures.first().map(|first| {
        let message = if outcomes.len() == 1 {
            first.message.clone()
        } else {
            format!("{} of {} folders failed; the first: {}", failures.len(), outcomes.len(), first.message)
        };
        let mut merged = Failure::new(first.error, message)
            .naming(failures.iter().flat_map(|failure| failure.culprits.iter().cloned()));
        merged.culprits_total = failures.iter().map(|failure| failure.culprits_total).sum();
        merged
    });
    Outcome { failure, counters, jobs, preview: None, ..Outcome::between(started_at, finished_at) }
}
