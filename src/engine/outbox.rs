//! How a root ends: the outcome is stored once, then every token is answered, then the bus is told,
//! and only then is the record settled. Each part may be repeated; none may be skipped.

use super::{
    Engine,
    beat::token_of,
    kinds,
    lease::{Halt, Held, Step},
    records::{self, Phase, RootState, attr, set},
    round::Next,
    several::several,
    slices::slice_keys,
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Counters, Outcome},
        request::Kind,
        token::TaskToken,
    },
    events::{
        STATE_CHANGE,
        outgoing::{self, Report, StateChange, Status},
    },
    ports::{
        Error,
        bus::{Bus, Event},
        callbacks::{Delivery, TaskCallbacks},
        store::{Condition, EXPIRE_AT, Item, Key, Write, Written},
    },
    signals,
};

/// Records given their expiry at a time, and together.
const WIDTH: usize = 16;
const BLOCK: usize = 1000;

/// Answers one token.
pub(crate) async fn answer(
    callbacks: &dyn TaskCallbacks,
    root: &RequestId,
    destination: &str,
    token: &TaskToken,
    outcome: &Outcome,
) -> Result<Delivery, Error> {
    let report = Report { request_id: root.as_str(), destination_uri: destination, outcome };
    match &outcome.failure {
        None => callbacks.succeed(token, &outgoing::success_output(&report)).await,
        Some(failure) => {
            callbacks.fail(token, failure.error.as_str(), &outgoing::failure_cause(&report)).await
        }
    }
}

impl Engine {
    /// Stores the outcome of a root. From here on it cannot change.
    pub(crate) async fn conclude(&self, held: &mut Held, outcome: &Outcome) -> Step<()> {
        held.lease.check()?;
        let id = RequestId::new(held.lease.key.id.as_str());
        match self.ports.store.write(self.stored_outcome(&id, outcome).await?).await? {
            Written::Done(_) => signals::engine::concluded(id.as_str(), outcome),
            Written::Refused(_) => {}
        }
        self.evidence.forget(&id);
        self.save(held, vec![set(attr::PHASE, Phase::Finishing.as_str())]).await
    }

    /// The write of an outcome, which happens once.
    pub(crate) async fn stored_outcome(&self, id: &RequestId, outcome: &Outcome) -> Result<Write, Error> {
        let item = Item::new(Key::new(id.as_str(), records::OUTCOME));
        Ok(Write::put_new(self.with_document(item, attr::OUTCOME, outcome).await?))
    }

    /// Delivers the outcome of a root to whoever waits for it, then settles the root.
    pub(crate) async fn deliver(&self, held: &mut Held) -> Step<Next> {
        let id = RequestId::new(held.lease.key.id.as_str());
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        let told = state.children_at > 0;
        if told && let Some(next) = self.wait_for_children(held, &mut state).await? {
            return Ok(next);
        }
        // By name: the plan of a long list is below the same id.
        let outcome = Key::new(id.as_str(), records::OUTCOME);
        let stop = records::stop_key(&id);
        let ends = self.ports.store.get_many(&[outcome.clone(), stop.clone()]).await?;
        let stopped = ends.iter().any(|item| item.key == stop);
        let Some(stored) = ends.iter().find(|item| item.key == outcome) else {
            // The phase says that it is stored, and reads are consistent.
            return Err(missing(&id).into());
        };
        let outcome: Outcome = self.read_document(stored, attr::OUTCOME).await?;
        let mut trouble = None;
        for item in &self.ports.store.query(id.as_str(), records::TOKEN).await? {
            if let Some(token) = token_of(item) {
                held.lease.check()?;
                if let Err(error) = self.answer(item, &token, &outcome).await {
                    signals::engine::beat_failed(&item.key.id, &error);
                    trouble = Some(error);
                }
            }
        }
        if let Some(error) = trouble {
            return Err(error.into());
        }
        let status = if outcome.failure.is_none() { Status::Succeeded } else { Status::Failed };
        if !told {
            self.tell(held, status, outcome.counters, Some(&outcome)).await?;
            if stopped && let Some(next) = self.wait_for_children(held, &mut state).await? {
                return Ok(next);
            }
        }
        let tallies = self.ports.store.query(id.as_str(), records::TALLY).await?;
        let own = tallies.into_iter().chain(ends).map(|item| item.key);
        self.expire(own.chain([Key::new(id.as_str(), records::PAYLOAD)]).collect()).await?;
        let plan = |chunk| records::plan_key(&id, state.generation, chunk);
        self.expire((0..state.chunks).map(plan).collect()).await?;
        if state.slices.is_some() {
            for keys in slice_keys(&id, &state) {
                held.lease.check()?;
                if self.stop.is_cancelled() {
                    return Err(Halt::Stopping);
                }
                self.expire(keys).await?;
            }
            return Ok(Next::Settled { changes: vec![set(attr::PHASE, Phase::Settled.as_str())] });
        }
        let plan = self.plan_of(held).await?;
        if outcome.failure.is_some() {
            // It may have ended in the middle of a step.
            let specs = plan.iter().map(|(_, spec)| spec);
            kinds::staging::clear(self.ports.platform.as_ref(), &id, specs).await?;
        }
        let children = self.needed_ids(plan).await?;
        let theirs = children
            .iter()
            .flat_map(|child| [records::request_key(child), Key::new(child.as_str(), records::OUTCOME)]);
        self.expire(theirs.collect()).await?;
        Ok(Next::Settled { changes: vec![set(attr::PHASE, Phase::Settled.as_str())] })
    }

    /// Tells the external bus where a root stands.
    pub(crate) async fn tell(
        &self,
        held: &Held,
        status: Status,
        counters: Counters,
        outcome: Option<&Outcome>,
    ) -> Result<(), Error> {
        let kind = held.item.text(attr::KIND).and_then(Kind::parse).unwrap_or(Kind::Copy);
        let change = StateChange {
            request_id: &held.lease.key.id,
            kind,
            status,
            destination_uri: held.item.text(attr::DESTINATION).unwrap_or_default(),
            counters,
            outcome,
            waiting_for: held.item.text(attr::WAITING_FOR),
            at: self.ports.clock.now(),
        };
        let event =
            Event { bus: Bus::External, detail_type: STATE_CHANGE, detail: outgoing::state_change(&change) };
        let refused = self.ports.bus.publish(&[event]).await?;
        refused.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// The same for news on the way, which nobody depends on: a bus that does not take them must not
    /// hold up a copy.
    pub(crate) async fn tell_if_possible(&self, held: &Held, status: Status, counters: Counters) {
        if let Err(error) = self.tell(held, status, counters, None).await {
            signals::engine::publish_failed(&held.lease.key.id, &error);
        }
    }

    async fn expire(&self, keys: Vec<Key>) -> Result<(), Error> {
        let at = records::after(self.ports.clock.now(), self.settings.service.keep) / 1000;
        for keys in keys.chunks(BLOCK) {
            let writes = keys.iter().map(|key| {
                let update = Write::update(key.clone(), vec![set(EXPIRE_AT, at)]);
                self.ports.store.write(update.when(Condition::Present))
            });
            for written in several(WIDTH, writes).await {
                written?;
            }
        }
        Ok(())
    }
}

fn missing(id: &RequestId) -> Error {
    Error::new(crate::ports::Class::Invalid, "deliver", format!("the outcome of {id} is not there"))
}
