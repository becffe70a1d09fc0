//! The request reconciler, for roots: plan children, put them, watch them settle, finish, answer.

use std::{collections::HashMap, sync::Arc};

use super::{
    Engine,
    kinds::{self, Late},
    lease::{Held, Step},
    plan::sends_trees,
    records::{self, Phase, RootState, as_millis, attr, millis, set},
    round::Next,
    several::several,
    stall::Judgement,
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Counters, ErrorName, Failure, Outcome},
        request::Kind,
    },
    events::{
        CHILD_REQUEST,
        outgoing::{self, Status},
    },
    ports::{
        Error,
        bus::{Bus, Event},
        store::{EXPIRE_AT, Item, Write},
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

impl Engine {
    /// One round of a request record, root or child.
    pub(crate) async fn request_round(&self, held: &mut Held) -> Step<Next> {
        match kind_of(held) {
            Some(Kind::Folder) => self.child_round(held).await,
            Some(kind @ (Kind::Copy | Kind::Batch | Kind::CopyOut)) => self.root_round(held, kind).await,
            Some(Kind::Slice) => self.slice_round(held).await,
            // Of a newer version: somebody else's.
            None => Ok(Next::at(records::after(self.ports.clock.now(), self.settings.service.lease * 2))),
        }
    }

    async fn root_round(&self, held: &mut Held, kind: Kind) -> Step<Next> {
        loop {
            let has_ended = matches!(Phase::of(&held.item), Some(Phase::Finishing | Phase::Settled));
            if !has_ended && let Some(failure) = self.stop_of(&id_of(held)).await? {
                self.conclude_stopped(held, failure).await?;
            }
            match Phase::of(&held.item) {
                Some(Phase::Received) | None if kind == Kind::CopyOut => {
                    if let Some(next) = self.begin_copy_out(held).await? {
                        return Ok(next);
                    }
                }
                Some(Phase::Planned | Phase::Running) if is_list(held)? => {
                    if let Some(next) = self.advance_slices(held).await? {
                        return Ok(next);
                    }
                }
                Some(Phase::Received) | None => {
                    if let Some(next) = self.plan(held).await? {
                        return Ok(next);
                    }
                }
                Some(Phase::Planned) => self.spread(held).await?,
                Some(Phase::Running) => {
                    if let Some(next) = self.watch(held).await? {
                        return Ok(next);
                    }
                }
                Some(Phase::Finishing) => return self.deliver(held).await,
                Some(Phase::Settled) => return Ok(Next::Settled { changes: Vec::new() }),
            }
        }
    }

    /// Puts the children of the present step and tells the fleet about them. May be repeated: the ids
    /// come from the plan.
    async fn spread(&self, held: &mut Held) -> Step<()> {
        let id = id_of(held);
        let mut state: RootState = records::required(&held.item, attr::STATE)?;
        let plan = self.plan_of(held).await?;
        let later = plan.iter().filter(|(_, spec)| spec.step > state.step).count() as u64;
        let mut children = self.needed(plan, state.step).await?;
        state.spread = children.len() as u64;
        state.children = state.spread + later;
        children.retain(|(_, spec)| spec.step == state.step);
        let now = self.ports.clock.now();
        let lease = Arc::clone(&held.lease);
        let siblings = i64::try_from(children.len()).unwrap_or(i64::MAX);
        let puts = children.iter().map(|(child, spec)| {
            let (lease, id) = (&lease, &id);
            async move {
                lease.check()?;
                let destination = format!("icav2://{}{}", spec.project, spec.path);
                let item = records::new_request(child, id, Kind::Folder, &destination, now);
                // One that is put late, when its root has settled, is cleared away by nobody.
                let item = item.with(attr::SIBLINGS, siblings).with(EXPIRE_AT, self.outlives_a_root());
                let item = self.with_document(item, attr::SPEC, spec).await?;
                self.ports.store.write(Write::put_new(item)).await?;
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
        match self.ports.bus.publish(&events).await {
            Ok(refused) if refused.is_empty() => {}
            Ok(refused) => signals::engine::children_untold(id.as_str(), refused.len()),
            Err(error) => signals::engine::publish_failed(id.as_str(), &error),
        }
        let phase = set(attr::PHASE, Phase::Running.as_str());
        self.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await
    }

    /// Looks whether the children have settled; `None` when the phase has changed: the next step is to
    /// be spread, or the outcome is stored.
    async fn watch(&self, held: &mut Held) -> Step<Option<Next>> {
        let id = id_of(held);
        let mut state: RootState = records::required(&held.item, attr::STATE)?;
        let tallies = self.ports.store.query(id.as_str(), records::TALLY).await?;
        let (settled, counters) = records::sum_tallies(&tallies);
        // The tally is a hint; only the children's records decide.
        let mut again_at = i64::MAX;
        if settled >= state.spread {
            match self.end_step(held, &mut state).await? {
                StepEnd::Ended => return Ok(None),
                StepEnd::Open => {}
                StepEnd::Waits(at) => again_at = at,
            }
        }
        let every = self.settings.heartbeat.every();
        let now = self.ports.clock.now();
        let mut changes = Vec::new();
        let signs = self.signs(id.as_str(), &tallies, Some(millis(started_at(&held.item))));
        let before = (state.look_since, state.looked_at);
        let mut judged_at = i64::MAX;
        if self.is_alive(&signs) {
            (state.look_since, state.looked_at) = (0, 0);
        } else {
            match self.judge_silence(held, &mut state, &signs).await? {
                Judgement::Stalled(failure) => {
                    let failure = self.put_stop(&id, failure).await?;
                    self.conclude_stopped(held, failure).await?;
                    return Ok(None);
                }
                Judgement::Open(at) => judged_at = at,
            }
        }
        if (state.look_since, state.looked_at) != before {
            changes.push(set(attr::STATE, records::text(&state)?));
        }
        if self.settings.heartbeat.publish && millis(now) >= state.told_at.saturating_add(as_millis(every)) {
            self.tell_if_possible(held, Status::Running, counters).await;
            state.told_at = millis(now);
            changes = vec![set(attr::STATE, records::text(&state)?)];
        }
        let told_at = if self.settings.heartbeat.publish { state.told_at } else { millis(now) };
        let due_at =
            told_at.saturating_add(as_millis(every)).min(judged_at).min(again_at).max(millis(now) + 1);
        Ok(Some(Next::Due { changes, due_at }))
    }

    /// Goes on to the next step, or to the end, when all children so far have settled.
    async fn end_step(&self, held: &mut Held, state: &mut RootState) -> Step<StepEnd> {
        let plan = self.plan_of(held).await?;
        let next = plan.iter().map(|(_, spec)| spec.step).filter(|step| *step > state.step).min();
        let all = if state.listed_again { Vec::new() } else { plan.clone() };
        let so_far = self.needed(plan, state.step).await?;
        let keys: Vec<_> = so_far.iter().map(|(id, _)| records::request_key(id)).collect();
        let items = self.ports.store.get_many(&keys).await?;
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
            self.save(held, vec![phase, set(attr::STATE, records::text(state)?)]).await?;
            return Ok(StepEnd::Ended);
        }
        let mut outcomes = Vec::with_capacity(so_far.len());
        for ((_, spec), key) in so_far.iter().zip(&keys) {
            let Some(item) = settled.get(key) else { return Ok(StepEnd::Open) };
            let mut outcome: Outcome = self.read_document(item, attr::OUTCOME).await?;
            if spec.staging || (outcome.failure.is_some() && sends_trees(spec)) {
                // What did not get there was brought by those who came after.
                outcome.counters = Counters::default();
                outcome.failure = None;
            }
            outcomes.push(outcome);
        }
        if !state.listed_again {
            match self.late(held, &all, &so_far, &outcomes).await? {
                Late::Nothing => state.listed_again = true,
                Late::At(at) => return Ok(StepEnd::Waits(at)),
                Late::More(more) => {
                    self.plan_more(held, state, &more).await?;
                    return Ok(StepEnd::Ended);
                }
                Late::Refused(failure) => {
                    self.fail(held, failure).await?;
                    return Ok(StepEnd::Ended);
                }
            }
        }
        kinds::replace(&so_far, &mut outcomes);
        let specs = so_far.iter().map(|(_, spec)| spec);
        let cleared = kinds::staging::clear(self.ports.platform.as_ref(), &id_of(held), specs).await;
        if let Err(error) = cleared {
            if !self.lasts_too_long(held).await? {
                return Err(error.into());
            }
            signals::engine::staging_left(held.item.text(attr::DESTINATION).unwrap_or_default(), &error);
        }
        let mut outcome = merge(&outcomes, started_at(&held.item), self.ports.clock.now());
        if kind_of(held) == Some(Kind::Batch) {
            let children = so_far.iter().map(|(_, spec)| spec).zip(&outcomes);
            outcome = self.outcome_of_batch(held, state.most_in_piece, children, outcome).await?;
        }
        self.conclude(held, &outcome).await?;
        Ok(StepEnd::Ended)
    }

    pub(crate) async fn fail(&self, held: &mut Held, failure: Failure) -> Step<()> {
        let outcome = Outcome {
            failure: Some(failure),
            counters: Counters::default(),
            jobs: Vec::new(),
            preview: None,
            ..Outcome::between(started_at(&held.item), self.ports.clock.now())
        };
        self.conclude(held, &outcome).await
    }

    /// A request whose every run ends its instance: it is failed without being run.
    pub(crate) async fn give_up_request(&self, held: &mut Held) -> Step<Next> {
        let failure = Failure::new(ErrorName::Internal, "the request broke every process that worked on it");
        match kind_of(held) {
            Some(Kind::Slice) => self.give_up_slice(held, failure).await,
            Some(Kind::Folder) => {
                let outcome = self.failed_outcome(&held.item, failure);
                self.settle_child(held, &outcome).await
            }
            Some(Kind::Copy | Kind::Batch | Kind::CopyOut) | None => {
                if Phase::of(&held.item) != Some(Phase::Finishing) {
                    // Its children are not to go on for nobody.
                    let failure = self.put_stop(&id_of(held), failure).await?;
                    self.conclude_stopped(held, failure).await?;
                }
                self.deliver(held).await
            }
        }
    }

    pub(crate) fn failed_outcome(&self, item: &Item, failure: Failure) -> Outcome {
        Outcome {
            failure: Some(failure),
            counters: Counters::default(),
            jobs: Vec::new(),
            preview: None,
            ..Outcome::between(started_at(item), self.ports.clock.now())
        }
    }
}

pub(crate) fn id_of(held: &Held) -> RequestId {
    RequestId::new(held.lease.key.id.as_str())
}

/// Whether the children of a root are slices.
fn is_list(held: &Held) -> Result<bool, Error> {
    let state: RootState = records::document(&held.item, attr::STATE)?;
    Ok(state.slices.is_some())
}

/// The kind of a request; `None` where a newer version made it.
pub(crate) fn kind_of(held: &Held) -> Option<Kind> {
    held.item.text(attr::KIND).and_then(Kind::parse)
}

pub(crate) fn started_at(item: &Item) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(item.number(attr::CREATED_AT).unwrap_or(0)).unwrap_or_default()
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
