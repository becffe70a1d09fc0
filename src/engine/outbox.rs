//! How a root ends: the outcome is stored once, then every caller that waits for it is told
//! ([`super::debts`]).

use std::time::Duration;

use super::{
    concurrent::join_unordered,
    core::Core,
    lease::{Leased, RoundError, RoundResult},
    records::{self, Phase, attr, set, started_at},
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Counters, Failure, Outcome},
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
        store::{Condition, EXPIRE_AT, Item, Key, Transacted, Write},
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

impl Core {
    /// Stores the outcome of a root. From here on it cannot change.
    pub(crate) async fn conclude(&self, held: &mut Leased, outcome: &Outcome) -> RoundResult<()> {
        held.lease.check()?;
        let id = RequestId::new(held.lease.key.id.as_str());
        if self.store_outcome(held, &id, outcome).await? {
            let kind = held.item.text(attr::KIND).unwrap_or_default();
            signals::engine::concluded(id.as_str(), kind, outcome);
        }
        self.liveness.forget(&id);
        self.save(held, vec![set(attr::PHASE, Phase::Finishing.as_str())]).await
    }

    /// Stores an outcome, if there is none and the lease still holds: a holder that stood still on the way
    /// has been followed by the next holder, which may have found something else. False: there was an
    /// outcome.
    pub(crate) async fn store_outcome(
        &self,
        held: &Leased,
        id: &RequestId,
        outcome: &Outcome,
    ) -> RoundResult<bool> {
        let stored = self.stored_outcome(id, outcome).await?;
        held.lease.check()?;
        match self.ports.store.transact(vec![held.lease.still_held(), stored]).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(which) if which.contains(&0) => {
                held.lease.lost.cancel();
                Err(RoundError::Lost)
            }
            Transacted::Refused(_) => Ok(false),
        }
    }

    /// The write of an outcome, which happens once.
    async fn stored_outcome(&self, id: &RequestId, outcome: &Outcome) -> Result<Write, Error> {
        let item = Item::new(Key::new(id.as_str(), records::OUTCOME));
        Ok(Write::put_new(self.with_document(item, attr::OUTCOME, outcome).await?))
    }

    /// Tells the external bus where a root stands.
    pub(crate) async fn tell(
        &self,
        held: &Leased,
        status: Status,
        counters: Counters,
        outcome: Option<&Outcome>,
    ) -> Result<(), Error> {
        let kind = held.item.text(attr::KIND).unwrap_or_default();
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
        let event = Event {
            bus: Bus::External,
            source: None,
            detail_type: STATE_CHANGE,
            detail: outgoing::state_change(&change),
        };
        let refused = self.ports.bus.publish(&[event]).await?;
        refused.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// The same for news on the way, on which no caller depends: a bus that does not take them must not hold
    /// up a copy.
    pub(crate) async fn tell_if_possible(&self, held: &Leased, status: Status, counters: Counters) {
        if let Err(error) = self.tell(held, status, counters, None).await {
            signals::engine::publish_failed(&held.lease.key.id, &error);
        }
    }

    /// Lets records expire after that time, those that are there.
    pub(crate) async fn expire(&self, keys: Vec<Key>, after: Duration) -> Result<(), Error> {
        let at = records::after(self.ports.clock.now(), after) / 1000;
        for keys in keys.chunks(BLOCK) {
            let writes = keys.iter().map(|key| {
                let update = Write::update(key.clone(), vec![set(EXPIRE_AT, at)]);
                self.ports.store.write(update.when(Condition::Present))
            });
            for written in join_unordered(WIDTH, writes).await {
                written?;
            }
        }
        Ok(())
    }
}

impl Core {
    pub(crate) async fn fail(&self, held: &mut Leased, failure: Failure) -> RoundResult<()> {
        let outcome = Outcome {
            failure: Some(failure),
            counters: Counters::default(),
            jobs: Vec::new(),
            preview: None,
            ..Outcome::between(started_at(&held.item), self.ports.clock.now())
        };
        self.conclude(held, &outcome).await
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
