//! Children of the present step are put and watched; when all have settled, the next step begins, or the
//! root ends.

use std::{collections::HashMap, sync::Arc};

use super::{
    FolderKind, Folders,
    late::{Late, replace},
    staging,
};
use crate::{
    domain::{
        outcome::{Counters, Failure, Outcome},
        request::Kind,
    },
    engine::{
        kind::Advance,
        lease::{Held, Step, id_of},
        records::{self, Phase, RootState, as_millis, attr, millis, set, started_at},
        round::Next,
        several::several,
        tree::stall::Judgement,
    },
    events::{
        CHILD_REQUEST,
        outgoing::{self, Status},
    },
    ports::{
        bus::{Bus, Event},
        store::{EXPIRE_AT, Write},
    },
    signals,
};

/// Records read or written at a time.
const WIDTH: usize = 16;

/// What became of a step.
enum StepEnd {
    /// The phase has changed.
    Ended,
    /// Children have not settled.
    Open,
    /// Sources are to be listed once more, then.
    Waits(i64),
}

impl Folders {
    /// Puts the children of the present step and tells the fleet about them. May be repeated: the ids
    /// come from the plan.
    pub(super) async fn spread(&self, held: &mut Held) -> Step<()> {
        let id = id_of(held);
        let mut state: RootState = records::required(&held.item, attr::STATE)?;
        let plan = self.plan_of(held).await?;
        let later = plan.iter().filter(|(_, spec)| spec.step > state.step).count() as u64;
        let mut children = self.needed(plan, state.step).await?;
        state.spread = children.len() as u64;
        state.children = state.spread + later;
        children.retain(|(_, spec)| spec.step == state.step);
        let now = self.core.ports.clock.now();
        let lease = Arc::clone(&held.lease);
        let siblings = i64::try_from(children.len()).unwrap_or(i64::MAX);
        let puts = children.iter().map(|(child, spec)| {
            let (lease, id) = (&lease, &id);
            async move {
                lease.check()?;
                let destination = format!("icav2://{}{}", spec.project, spec.path);
                let item = records::new_request(child, id, Kind::Folder, &destination, now);
                // One that is put late, when its root has settled, is cleared away by nobody.
                let item = item.with(attr::SIBLINGS, siblings).with(EXPIRE_AT, self.core.outlives_a_root());
                let item = self.core.with_document(item, attr::SPEC, spec).await?;
                self.core.ports.store.write(Write::put_new(item)).await?;
                Step::Ok(())
            }
        });
        for put in several(WIDTH, puts).await {
            put?;
        }
        let events: Vec<_> = children
            .iter()
            .map(|(child, _)| Event {
                bus: Bus::Internal,
                detail_type: CHILD_REQUEST,
                detail: outgoing::child_event(child),
            })
            .collect();
        // A child event that is lost costs a tick: the record is due, and any instance will find it.
        match self.core.ports.bus.publish(&events).await {
            Ok(refused) if refused.is_empty() => {}
            Ok(refused) => signals::engine::children_untold(id.as_str(), refused.len()),
            Err(error) => signals::engine::publish_failed(id.as_str(), &error),
        }
        let phase = set(attr::PHASE, Phase::Running.as_str());
        self.core.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await
    }

    /// Looks whether the children have settled; `None` when the phase has changed: the next step is to
    /// be spread, or the outcome is stored.
    pub(super) async fn watch<K: FolderKind>(&self, kind: &K, held: &mut Held) -> Step<Advance> {
        let id = id_of(held);
        let mut state: RootState = records::required(&held.item, attr::STATE)?;
        let tallies = self.core.ports.store.query(id.as_str(), records::TALLY).await?;
        let (settled, counters) = records::sum_tallies(&tallies);
        // The tally is a hint; only the children's records decide.
        let mut again_at = i64::MAX;
        if settled >= state.spread {
            match self.end_step(kind, held, &mut state).await? {
                StepEnd::Ended => return Ok(Advance::On),
                StepEnd::Open => {}
                StepEnd::Waits(at) => again_at = at,
            }
        }
        let every = self.core.settings.heartbeat.every();
        let now = self.core.ports.clock.now();
        let mut changes = Vec::new();
        let signs = self.core.signs(id.as_str(), &tallies, Some(millis(started_at(&held.item))));
        let before = (state.look_since, state.looked_at);
        let mut judged_at = i64::MAX;
        if self.core.is_alive(&signs) {
            (state.look_since, state.looked_at) = (0, 0);
        } else {
            match self.judge_silence(held, &mut state, &signs).await? {
                Judgement::Stalled(failure) => return Ok(Advance::Stalled(failure)),
                Judgement::Open(at) => judged_at = at,
            }
        }
        if (state.look_since, state.looked_at) != before {
            changes.push(set(attr::STATE, records::text(&state)?));
        }
        if self.core.settings.heartbeat.publish
            && millis(now) >= state.told_at.saturating_add(as_millis(every))
        {
            self.core.tell_if_possible(held, Status::Running, counters).await;
            state.told_at = millis(now);
            changes = vec![set(attr::STATE, records::text(&state)?)];
        }
        let told_at = if self.core.settings.heartbeat.publish { state.told_at } else { millis(now) };
        let due_at =
            told_at.saturating_add(as_millis(every)).min(judged_at).min(again_at).max(millis(now) + 1);
        Ok(Advance::Wait(Next::Due { changes, due_at }))
    }

    /// Goes on to the next step, or to the end, when all children so far have settled.
    async fn end_step<K: FolderKind>(
        &self,
        kind: &K,
        held: &mut Held,
        state: &mut RootState,
    ) -> Step<StepEnd> {
        let plan = self.plan_of(held).await?;
        let next = plan.iter().map(|(_, spec)| spec.step).filter(|step| *step > state.step).min();
        let all = if state.listed_again { Vec::new() } else { plan.clone() };
        let so_far = self.needed(plan, state.step).await?;
        let keys: Vec<_> = so_far.iter().map(|(id, _)| records::request_key(id)).collect();
        let items = self.core.ports.store.get_many(&keys).await?;
        let settled: HashMap<_, _> = items
            .iter()
            .filter(|item| Phase::of(item) == Some(Phase::Settled))
            .map(|item| (&item.key, item))
            .collect();
        if settled.len() < keys.len() {
            return Ok(StepEnd::Open);
        }
        if let Some(next) = next {
            state.step = next;
            let phase = set(attr::PHASE, Phase::Planned.as_str());
            self.core.save(held, vec![phase, set(attr::STATE, records::text(state)?)]).await?;
            return Ok(StepEnd::Ended);
        }
        let mut outcomes = Vec::with_capacity(so_far.len());
        for ((_, spec), key) in so_far.iter().zip(&keys) {
            let Some(item) = settled.get(key) else { return Ok(StepEnd::Open) };
            let mut outcome: Outcome = self.core.read_document(item, attr::OUTCOME).await?;
            if spec.staging || (outcome.failure.is_some() && spec.sends_trees()) {
                // What did not get there was brought by those who came after.
                outcome.counters = Counters::default();
                outcome.failure = None;
            }
            outcomes.push(outcome);
        }
        if !state.listed_again {
            match self.late(held, state.planned_at, &all, &so_far, &outcomes).await? {
                Late::Nothing => state.listed_again = true,
                Late::At(at) => return Ok(StepEnd::Waits(at)),
                Late::More(more) => {
                    self.plan_more(held, state, &more).await?;
                    return Ok(StepEnd::Ended);
                }
                Late::Refused(failure) => {
                    self.core.fail(held, failure).await?;
                    return Ok(StepEnd::Ended);
                }
            }
        }
        replace(&so_far, &mut outcomes);
        let specs = so_far.iter().map(|(_, spec)| spec);
        let cleared = staging::clear(self.core.ports.platform.as_ref(), &id_of(held), specs).await;
        if let Err(error) = cleared {
            if !self.core.lasts_too_long(held).await? {
                return Err(error.into());
            }
            signals::engine::staging_left(held.item.text(attr::DESTINATION).unwrap_or_default(), &error);
        }
        let merged = merge(&outcomes, started_at(&held.item), self.core.ports.clock.now());
        let outcome = kind.outcome(held, state, &so_far, &outcomes, merged).await?;
        self.core.conclude(held, &outcome).await?;
        Ok(StepEnd::Ended)
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
