//! Task tokens: a heartbeat while the request runs, an answer when it has ended (DESIGN §5).
//!
//! The beat is sent first and the next one noted afterwards: an instance that dies in between costs
//! a second beat, never a missing one. A token whose request has an outcome is answered here too,
//! which is how a token that came late gets its answer.

use std::time::Duration;

use super::{
    Engine, outbox,
    records::{self, attr, set},
};
use crate::{
    domain::{ids::RequestId, outcome::Outcome, token::TaskToken},
    ports::{
        Error,
        callbacks::Delivery,
        store::{Change, Condition, DUE_AT, Item, Key, Value, Write},
    },
    signals,
};

/// How soon a beat is tried again that could not be sent.
const RETRY: Duration = Duration::from_secs(10);

impl Engine {
    /// Looks after one token that is due. True when it needs nothing for now.
    pub(crate) async fn beat(&self, key: Key) -> bool {
        match self.try_beat(&key).await {
            Ok(()) => true,
            Err(error) => {
                signals::engine::beat_failed(&key.id, &error);
                let wait = RETRY
                    .mul_f64(0.5 + self.ports.chance.unit() / 2.0)
                    .min(self.settings.heartbeat.promise / 10);
                self.put_off(&key, wait).await.is_ok()
            }
        }
    }

    async fn try_beat(&self, key: &Key) -> Result<(), Error> {
        let outcome_key = Key::new(key.id.as_str(), records::OUTCOME);
        let items = self.ports.store.get_many(&[key.clone(), outcome_key.clone()]).await?;
        let find = |wanted: &Key| items.iter().find(|item| item.key == *wanted);
        let Some(item) = find(key) else { return Ok(()) };
        let now = self.ports.clock.now();
        match item.number(DUE_AT) {
            Some(due_at) if due_at <= records::millis(now) => {}
            _ => return Ok(()),
        }
        let Some(token) = token_of(item) else { return self.drop_token(item, false).await };
        if let Some(outcome) = find(&outcome_key) {
            if self.is_being_delivered(&key.id).await? {
                return self.put_off(key, RETRY).await;
            }
            let outcome: Outcome = self.read_document(outcome, attr::OUTCOME).await?;
            return self.answer(item, &token, &outcome).await;
        }
        if self.settings.heartbeat.enabled {
            self.callbacks.ready().await;
            if self.ports.callbacks.heartbeat(&token).await? == Delivery::Gone {
                signals::engine::caller_gone(&key.id);
                return self.drop_token(item, true).await;
            }
            signals::engine::beat_sent(&key.id);
        }
        // Smeared, so that a thousand requests of one second do not beat in one second for ever.
        let wait = self.settings.heartbeat.every().mul_f64(1.0 - 0.1 * self.ports.chance.unit());
        let next = set(DUE_AT, records::after(self.ports.clock.now(), wait));
        let seen = item.attributes.get(DUE_AT).cloned().unwrap_or(Value::Number(0));
        self.ports
            .store
            .write(Write::update(key.clone(), vec![next]).when(Condition::Equals(DUE_AT.into(), seen)))
            .await?;
        Ok(())
    }

    /// Whether the holder of the root is at work on the answers itself; two would only be told that
    /// the other was first.
    async fn is_being_delivered(&self, root: &str) -> Result<bool, Error> {
        let request = self.ports.store.get(&records::request_key(&RequestId::new(root))).await?;
        let now = records::millis(self.ports.clock.now());
        Ok(request.is_some_and(|item| {
            item.text(attr::OWNER).is_some_and(|owner| !owner.is_empty())
                && item.number(attr::LEASE_UNTIL).is_some_and(|until| now < until)
        }))
    }

    async fn put_off(&self, key: &Key, wait: Duration) -> Result<(), Error> {
        let due_at = records::after(self.ports.clock.now(), wait);
        let write = Write::update(key.clone(), vec![set(DUE_AT, due_at)]).when(Condition::Has(DUE_AT.into()));
        self.ports.store.write(write).await.map(drop)
    }

    /// Answers one token with the outcome of its root, and owes it nothing more.
    pub(crate) async fn answer(
        &self,
        item: &Item,
        token: &TaskToken,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let root = RequestId::new(item.key.id.as_str());
        let request = self.ports.store.get(&records::request_key(&root)).await?;
        let destination = request.as_ref().and_then(|item| item.text(attr::DESTINATION)).unwrap_or_default();
        let delivery =
            outbox::answer(self.ports.callbacks.as_ref(), &root, destination, token, outcome).await?;
        signals::engine::answered(root.as_str(), outcome.failure.as_ref(), delivery == Delivery::Gone);
        self.drop_token(item, delivery == Delivery::Gone).await
    }

    /// Takes a token out of the due index; the token itself is forgotten.
    async fn drop_token(&self, item: &Item, gone: bool) -> Result<(), Error> {
        let mut changes = records::retire(self.ports.clock.now(), self.settings.service.keep);
        changes.push(Change::Remove(attr::TOKEN.into()));
        changes.push(set(attr::SETTLED, if gone { "gone" } else { "answered" }));
        let write = Write::update(item.key.clone(), changes).when(Condition::Present);
        self.ports.store.write(write).await.map(drop)
    }
}

/// The token of a token item that is still owed something.
pub(crate) fn token_of(item: &Item) -> Option<TaskToken> {
    item.text(attr::TOKEN).map(TaskToken::new)
}
