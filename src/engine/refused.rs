//! Requests that are not taken: their token is answered, the bus is told, and a caller that looks them up
//! finds out why.
//!
//! The record is written last: where it is, all of that has happened. A message that comes again is
//! then only set aside.

use super::{
    core::Core,
    names::Names,
    outbox,
    records::{self, Phase, attr, millis},
};
use crate::{
    domain::{
        ids::{RequestId, digest},
        outcome::{Counters, ErrorName, Failure, Outcome},
        token::TaskToken,
    },
    events::{
        STATE_CHANGE,
        outgoing::{self, StateChange, Status},
    },
    ports::{
        Error,
        bus::{Bus, Event},
        callbacks::Delivery,
        store::{EXPIRE_AT, Item, Key, Write},
    },
    signals,
};

/// A request that is not taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RejectedMessage<'a> {
    /// The names by which its caller knows it.
    pub names: Names<'a>,
    /// Its kind, as far as it can be made out.
    pub kind: &'a str,
    /// Where it was to go; empty where that cannot be made out.
    pub destination: &'a str,
    /// The token to fail; none where it belongs to a request that was taken.
    pub token: Option<&'a TaskToken>,
    /// The request that has the same id, name or token, and another payload.
    pub contradicts: Option<&'a RequestId>,
    /// Why, in one sentence.
    pub reason: &'a str,
}

impl Core {
    /// Refuses a request, and returns the id under which that is found.
    pub(crate) async fn refuse(&self, refused: &RejectedMessage<'_>) -> Result<RequestId, Error> {
        let own = RequestId::new(refused.names.own);
        let id = match self.ports.store.get(&records::request_key(&own)).await? {
            None => own,
            Some(item) if is_refused(&item) => return Ok(own),
            // The id of one that was taken: this one gets an id of its own.
            Some(_) => RequestId::new(format!("refused.{}", digest(&[own.as_str(), refused.reason]))),
        };
        if id.as_str() != refused.names.own {
            let there = self.ports.store.get(&records::request_key(&id)).await?;
            if there.is_some() {
                return Ok(id);
            }
        }
        let RejectedMessage { names, kind, destination, token, contradicts, reason } = *refused;
        match contradicts {
            Some(other) => signals::engine::contradiction(other.as_str(), id.as_str(), names.source),
            None => signals::engine::malformed(id.as_str(), names.source, token.is_some(), reason),
        }
        let failure = Failure::new(ErrorName::InvalidRequest, reason);
        if let Some(token) = token {
            self.fail_now(&id, token, failure.clone()).await?;
        }
        let outcome = self.failed_at_once(failure);
        self.tell_refused(&id, kind, destination, &outcome).await?;

        let now = self.ports.clock.now();
        let expire_at = records::after(now, self.settings.service.keep) / 1000;
        let request = Item::new(records::request_key(&id))
            .with(attr::KIND, kind)
            .with(attr::PHASE, Phase::Settled.as_str())
            .with(attr::ROOT, id.as_str())
            .with(attr::SOURCE, names.source)
            .with(attr::DESTINATION, destination)
            .with(attr::CREATED_AT, millis(now))
            .with(attr::DAY, records::day(millis(now)))
            .with(attr::ENDED, Status::Failed.as_str())
            .with(EXPIRE_AT, expire_at);
        let known = [(attr::NAME, names.name), (attr::CALLER, names.caller)];
        let known = known.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let request = known.fold(request, |request, (name, text)| request.with(name, text));
        let stored = Item::new(Key::new(id.as_str(), records::OUTCOME)).with(EXPIRE_AT, expire_at);
        let stored = self.with_document(stored, attr::OUTCOME, &outcome).await?;
        let mut writes = vec![Write::put_new(request), Write::put_new(stored)];
        // Where the names have led elsewhere so far, they lead to the request that was refused last.
        let own = Names { own: id.as_str(), ..names };
        let taken = match names.named() {
            Some(named) => self.ports.store.get(&records::request_key(&named)).await?.is_some(),
            None => false,
        };
        writes.extend(self.names(&Names { name: names.name.filter(|_| !taken), ..own }, &id));
        self.ports.store.transact(writes).await?;
        Ok(id)
    }

    /// Answers a token of a request that is not taken.
    pub(crate) async fn fail_now(
        &self,
        id: &RequestId,
        token: &TaskToken,
        failure: Failure,
    ) -> Result<(), Error> {
        let outcome = self.failed_at_once(failure);
        let delivery = outbox::answer(self.ports.callbacks.as_ref(), id, "", token, &outcome).await?;
        signals::engine::answered(id.as_str(), outcome.failure.as_ref(), delivery == Delivery::Gone);
        Ok(())
    }

    fn failed_at_once(&self, failure: Failure) -> Outcome {
        let now = self.ports.clock.now();
        Outcome { failure: Some(failure), ..Outcome::between(now, now) }
    }

    /// Tells the external bus; one that will never take it is no reason to refuse the request for ever.
    async fn tell_refused(
        &self,
        id: &RequestId,
        kind: &str,
        destination: &str,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let change = StateChange {
            request_id: id.as_str(),
            kind,
            status: Status::Failed,
            destination_uri: destination,
            counters: Counters::default(),
            outcome: Some(outcome),
            waiting_for: None,
            at: self.ports.clock.now(),
        };
        let event = Event {
            bus: Bus::External,
            source: None,
            detail_type: STATE_CHANGE,
            detail: outgoing::state_change(&change),
        };
        let told = self.ports.bus.publish(&[event]).await;
        match told.map(|refused| refused.into_iter().next()) {
            Ok(None) => Ok(()),
            Ok(Some((_, error))) | Err(error) if !error.is_passing() => {
                signals::engine::publish_failed(id.as_str(), &error);
                Ok(())
            }
            Ok(Some((_, error))) | Err(error) => Err(error),
        }
    }
}

/// Whether that is the record of a request that was not taken.
pub(crate) fn is_refused(request: &Item) -> bool {
    request.text(attr::HASH).is_none() && request.text(attr::PHASE) == Some(Phase::Settled.as_str())
}
