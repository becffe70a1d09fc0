//! The request reconciler, for roots: plan children, put them, watch them settle, finish, answer.

use std::sync::Arc;

use super::{
    Engine, kinds,
    lease::{Held, Step},
    records::{self, Phase, RootState, attr, millis, set},
    round::Next,
    several::several,
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Counters, ErrorName, Failure, Outcome},
        request::{FolderRequest, Kind},
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

/// Bytes of plan in one item; an item holds at most 400 KB.
const CHUNK_BYTES: usize = 300_000;

/// Records read or written at a time.
const WIDTH: usize = 16;

impl Engine {
    /// One round of a request record, root or child.
    pub(crate) async fn request_round(&self, held: &mut Held) -> Step<Next> {
        match held.item.text(attr::KIND).and_then(Kind::parse) {
            Some(Kind::Folder) => self.child_round(held).await,
            Some(Kind::Copy) => self.root_round(held).await,
            // Of a newer version: somebody else's.
            None => Ok(Next::at(records::after(self.ports.clock.now(), self.settings.service.lease * 2))),
        }
    }

    async fn root_round(&self, held: &mut Held) -> Step<Next> {
        loop {
            match Phase::of(&held.item) {
                Some(Phase::Received) | None => self.plan(held).await?,
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

    /// Resolves the request and stores what its children will be.
    async fn plan(&self, held: &mut Held) -> Step<()> {
        let id = id_of(held);
        let key = crate::ports::store::Key::new(id.as_str(), records::PAYLOAD);
        let payload = self.ports.store.get(&key).await?;
        self.tell_if_possible(held, Status::Received, Counters::default()).await;
        let Some(payload) = payload else {
            let failure = Failure::new(ErrorName::Internal, "the payload of the request is gone");
            return self.fail(held, failure).await;
        };
        let request = records::required(&payload, attr::SPEC)?;
        let children = match kinds::copy::plan(
            self.ports.platform.as_ref(),
            &self.settings.copy,
            &self.settings.policy,
            held.item.text(attr::SOURCE).unwrap_or_default(),
            &request,
        )
        .await
        {
            Ok(children) => children,
            Err(kinds::Refused::Port(error)) => return Err(error.into()),
            Err(kinds::Refused::Failed(failure)) => return self.fail(held, failure).await,
        };
        let generation = u32::try_from(held.lease.epoch).unwrap_or(u32::MAX);
        let chunks = chunks(&children)?;
        let expire_at = records::after(self.ports.clock.now(), self.settings.service.keep * 2) / 1000;
        for (n, chunk) in (0_u32..).zip(&chunks) {
            held.lease.check()?;
            let item = Item::new(records::plan_key(&id, generation, n))
                .with(attr::SPEC, chunk.as_str())
                .with(EXPIRE_AT, expire_at);
            self.ports.store.write(Write::put_new(item)).await?;
        }
        let state = RootState {
            generation,
            chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
            children: children.len() as u64,
            told_at: millis(self.ports.clock.now()),
        };
        signals::engine::planned(id.as_str(), children.len());
        let phase = set(attr::PHASE, Phase::Planned.as_str());
        self.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await
    }

    /// Puts the children of the plan and tells the fleet about them. May be repeated: the ids come
    /// from the plan.
    async fn spread(&self, held: &mut Held) -> Step<()> {
        let id = id_of(held);
        let children = self.plan_of(held).await?;
        let now = self.ports.clock.now();
        let lease = Arc::clone(&held.lease);
        let siblings = i64::try_from(children.len()).unwrap_or(i64::MAX);
        let puts = children.iter().map(|(child, spec)| {
            let (lease, id) = (&lease, &id);
            async move {
                lease.check()?;
                let destination = format!("icav2://{}{}", spec.project, spec.path);
                let item = records::new_request(child, id, Kind::Folder, &destination, now)
                    .with(attr::SPEC, records::text(spec)?)
                    .with(attr::SIBLINGS, siblings);
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
        self.save(held, vec![set(attr::PHASE, Phase::Running.as_str())]).await
    }

    /// Looks whether the children have settled; `None` once the outcome is stored.
    async fn watch(&self, held: &mut Held) -> Step<Option<Next>> {
        let id = id_of(held);
        let mut state: RootState = records::required(&held.item, attr::STATE)?;
        let tallies = self.ports.store.query(id.as_str(), records::TALLY).await?;
        let (settled, counters) = records::sum_tallies(&tallies);
        // The tally is a hint; only the children's records decide.
        if settled >= state.children
            && let Some(outcome) = self.outcome_of_children(held).await?
        {
            self.conclude(held, &outcome).await?;
            return Ok(None);
        }
        let every = self.settings.heartbeat.every();
        let now = self.ports.clock.now();
        let mut changes = Vec::new();
        if self.settings.heartbeat.publish && millis(now) >= state.told_at.saturating_add(as_millis(every)) {
            self.tell_if_possible(held, Status::Running, counters).await;
            state.told_at = millis(now);
            changes.push(set(attr::STATE, records::text(&state)?));
        }
        let told_at = if self.settings.heartbeat.publish { state.told_at } else { millis(now) };
        let due_at = told_at.saturating_add(as_millis(every)).max(millis(now) + 1);
        Ok(Some(Next::Due { changes, due_at }))
    }

    /// The outcome of a root whose children have all settled; `None` while one has not.
    async fn outcome_of_children(&self, held: &Held) -> Step<Option<Outcome>> {
        let ids = self.planned_children(held).await?;
        let keys: Vec<_> = ids.iter().map(records::request_key).collect();
        let items = self.ports.store.get_many(&keys).await?;
        let mut outcomes = Vec::with_capacity(ids.len());
        for key in &keys {
            let Some(item) = items.iter().find(|item| item.key == *key) else { return Ok(None) };
            if Phase::of(item) != Some(Phase::Settled) {
                return Ok(None);
            }
            outcomes.push(records::required::<Outcome>(item, attr::OUTCOME)?);
        }
        Ok(Some(merge(&outcomes, started_at(&held.item), self.ports.clock.now())))
    }

    /// The ids of the planned children; none before there is a plan.
    pub(crate) async fn planned_children(&self, held: &Held) -> Result<Vec<RequestId>, Error> {
        Ok(self.plan_of(held).await?.into_iter().map(|(id, _)| id).collect())
    }

    async fn plan_of(&self, held: &Held) -> Result<Vec<(RequestId, FolderRequest)>, Error> {
        let id = id_of(held);
        let state: RootState = records::document(&held.item, attr::STATE)?;
        let mut children = Vec::new();
        for chunk in 0..state.chunks {
            let item = self.ports.store.get(&records::plan_key(&id, state.generation, chunk)).await?;
            let item = item.ok_or_else(|| {
                Error::new(crate::ports::Class::Invalid, "read plan", format!("the plan of {id} is gone"))
            })?;
            let specs: Vec<FolderRequest> = records::required(&item, attr::SPEC)?;
            for spec in specs {
                let slice = u32::try_from(children.len()).unwrap_or(u32::MAX);
                let place = format!("{}{}", spec.project, spec.path);
                let child = RequestId::child(&id, state.generation, Kind::Folder.as_str(), &place, slice);
                children.push((child, spec));
            }
        }
        Ok(children)
    }

    async fn fail(&self, held: &mut Held, failure: Failure) -> Step<()> {
        let outcome = Outcome {
            failure: Some(failure),
            counters: Counters::default(),
            jobs: Vec::new(),
            started_at: started_at(&held.item),
            finished_at: self.ports.clock.now(),
        };
        self.conclude(held, &outcome).await
    }

    /// A request whose every run ends its instance: it is failed without being run.
    pub(crate) async fn give_up_request(&self, held: &mut Held) -> Step<Next> {
        let failure = Failure::new(ErrorName::Internal, "the request broke every process that worked on it");
        match held.item.text(attr::KIND).and_then(Kind::parse) {
            Some(Kind::Folder) => {
                let outcome = self.failed_outcome(&held.item, failure);
                self.settle_child(held, &outcome).await
            }
            Some(Kind::Copy) | None => {
                if Phase::of(&held.item) != Some(Phase::Finishing) {
                    self.fail(held, failure).await?;
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
            started_at: started_at(item),
            finished_at: self.ports.clock.now(),
        }
    }
}

pub(crate) fn id_of(held: &Held) -> RequestId {
    RequestId::new(held.lease.key.id.as_str())
}

pub(crate) fn started_at(item: &Item) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(item.number(attr::CREATED_AT).unwrap_or(0)).unwrap_or_default()
}

fn as_millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
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
    Outcome { failure, counters, jobs, started_at, finished_at }
}
