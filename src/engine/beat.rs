//! Task tokens: a heartbeat while the request runs, an answer when it has ended.
//!
//! The beat is sent first and the next one noted afterwards: an instance that dies in between costs
//! a second beat, never a missing one. Beats are honest: sent while the request shows signs of life
//! ([`super::liveness`]), and not for longer. A token whose request has an outcome is answered here too,
//! which is how a token that came late gets its answer.

use std::time::Duration;

use tracing::Instrument as _;

use super::{
    core::Core,
    dispatch::Priority,
    outbox,
    records::{self, as_millis, attr, set},
    settings::OnCallerGone,
};
use crate::{
    domain::{ids::RequestId, outcome::Outcome, token::TaskToken},
    ports::{
        Error,
        callbacks::Delivery,
        store::{Change, Condition, DUE_AT, Item, Key, Value, Write},
    },
    signals::{self, engine::Work},
};

/// How soon a beat is tried again that could not be sent.
const RETRY: Duration = Duration::from_secs(10);

/// How a token has ended: its caller is gone, it was answered, or it could not be.
const GONE: &str = "gone";
const ANSWERED: &str = "answered";
pub(crate) const UNANSWERED: &str = "unanswered";

impl Core {
    /// Looks after one token that is due, and gives back its key.
    pub(crate) async fn beat(&self, key: Key) -> Key {
        let outcome_key = Key::new(key.id.as_str(), records::OUTCOME);
        let signs_key = records::signs_key(&RequestId::new(key.id.as_str()));
        match self.ports.store.get_many(&[key.clone(), outcome_key, signs_key]).await {
            Ok(items) => {
                if let Some(item) = items.iter().find(|item| item.key == key) {
                    let destination = item.text(attr::DESTINATION).unwrap_or_default();
                    let work = Work { request: Some(&key.id), destination, ..Work::default() };
                    let look_after = async {
                        if let Err(error) = self.try_beat(item, &items).await {
                            self.beat_later(&key, &error).await;
                        }
                    };
                    look_after.instrument(work.span()).await;
                }
            }
            Err(error) => self.beat_later(&key, &error).await,
        }
        key
    }

    async fn beat_later(&self, key: &Key, error: &Error) {
        if error.is_newer() {
            // It stays due, for an instance that can tell.
            return self.left.leave(key);
        }
        signals::engine::callback_failed(signals::engine::Callback::Heartbeat, &key.id, error);
        let wait =
            RETRY.mul_f64(0.5 + self.ports.chance.unit() / 2.0).min(self.settings.heartbeat.promise / 10);
        // A token that cannot be put off is due, and found again.
        drop(self.put_off(key, wait).await);
    }

    /// One token, by what was read of its request: itself, the outcome, and the signs of life.
    async fn try_beat(&self, item: &Item, items: &[Item]) -> Result<(), Error> {
        let key = &item.key;
        let now = self.ports.clock.now();
        match item.number(DUE_AT) {
            Some(due_at) if due_at <= records::millis(now) => {}
            _ => return Ok(()),
        }
        let Some(token) = token_of(item) else {
            let gone = item.text(attr::SETTLED) == Some(GONE);
            return if gone { self.let_go(item).await } else { self.drop_token(item, ANSWERED).await };
        };
        if let Some(outcome) = items.iter().find(|item| item.key.id_type == records::OUTCOME) {
            if self.is_being_delivered(&key.id).await? {
                return self.put_off(key, RETRY).await;
            }
            let outcome = self.outcome_to_tell(item, Some(outcome)).await?;
            return self.pay_token(item, &token, &outcome).await.map(drop);
        }
        let made = item.number(attr::CREATED_AT);
        let signs = self.signs(&key.id, items, made);
        let now = records::millis(now);
        let since = |at: Option<i64>| now.saturating_sub(at.unwrap_or(now));
        signals::ages::request_seen(since(made), since(signs.moved));
        if !self.is_alive(&signs) {
            match self.ports.store.get(&records::request_key(&RequestId::new(key.id.as_str()))).await? {
                Some(root) if root.number(DUE_AT).is_some() => {
                    if !self.waits_for_a_place(&root) {
                        return self.withhold(item).await;
                    }
                }
                // No root will ever answer it.
                root => return self.orphaned(item, &token, root.as_ref()).await,
            }
        }
        self.callbacks.ready().await;
        if self.ports.callbacks.heartbeat(&token).await? == Delivery::Gone {
            signals::engine::caller_gone(&key.id);
            return self.let_go(item).await;
        }
        let sent_at = records::millis(self.ports.clock.now());
        // One that an older version has beaten does not say when.
        let promise = as_millis(self.settings.heartbeat.promise);
        let young = made.filter(|made| sent_at.saturating_sub(*made) <= promise.saturating_mul(2));
        let before = item.number(attr::BEAT_AT).or(young).unwrap_or(sent_at);
        let gap = Duration::from_millis(u64::try_from(sent_at.saturating_sub(before)).unwrap_or(0));
        signals::engine::beat_sent(&key.id, gap, self.settings.heartbeat.promise);
        // Smeared, so that a thousand requests of one second do not beat in one second for ever.
        let wait = self.settings.heartbeat.every().mul_f64(1.0 - 0.1 * self.ports.chance.unit());
        let mut next =
            vec![set(DUE_AT, records::after(self.ports.clock.now(), wait)), set(attr::BEAT_AT, sent_at)];
        if item.number(attr::WITHHELD_AT).is_some() {
            next.push(Change::Remove(attr::WITHHELD_AT.into()));
        }
        self.come_back(item, next).await
    }

    /// Ends a token whose request is over, and whose outcome is gone.
    async fn orphaned(&self, item: &Item, token: &TaskToken, root: Option<&Item>) -> Result<(), Error> {
        if self.ports.store.get(&Key::new(item.key.id.as_str(), records::OUTCOME)).await?.is_some() {
            // It has just been stored.
            return Ok(());
        }
        let outcome = self.outcome_to_tell(root.unwrap_or(item), None).await?;
        self.give_up_token(item, token, &outcome).await
    }

    async fn come_back(&self, item: &Item, changes: Vec<Change>) -> Result<(), Error> {
        let seen = item.attributes.get(DUE_AT).cloned().unwrap_or(Value::Number(0));
        let write = Write::update(item.key.clone(), changes).when(Condition::Equals(DUE_AT.into(), seen));
        self.ports.store.write(write).await.map(drop)
    }

    /// Sends no beat for want of a sign of life, and has the root look into it. Comes back soon, so
    /// that the next sign is followed by a beat; later, no caller waits for that any more.
    async fn withhold(&self, item: &Item) -> Result<(), Error> {
        let now = self.ports.clock.now();
        let since = item.number(attr::WITHHELD_AT);
        signals::engine::beat_withheld(&item.key.id, since.is_none());
        if since.is_none() {
            let root = RequestId::new(item.key.id.as_str());
            self.wake(records::request_key(&root), Priority::Root).await?;
        }
        let heartbeat = &self.settings.heartbeat;
        let since = since.unwrap_or_else(|| records::millis(now));
        let is_late = records::millis(now) >= since.saturating_add(as_millis(heartbeat.promise));
        let wait = if is_late { heartbeat.every() } else { heartbeat.promise / 10 };
        let changes = vec![set(DUE_AT, records::after(now, wait)), set(attr::WITHHELD_AT, since)];
        self.come_back(item, changes).await
    }

    /// Lets go of a token whose caller is gone, and which is perhaps the last one of its root.
    async fn let_go(&self, item: &Item) -> Result<(), Error> {
        if self.settings.heartbeat.on_caller_gone == OnCallerGone::Stop {
            // Marked first: of two callers that leave at once, one sees that the other has left.
            let later = records::after(self.ports.clock.now(), RETRY);
            let mark = vec![Change::Remove(attr::TOKEN.into()), set(attr::SETTLED, GONE), set(DUE_AT, later)];
            let mark = Write::update(item.key.clone(), mark).when(Condition::Has(attr::TOKEN.into()));
            self.ports.store.write(mark).await?;
            self.stop_if_deserted(&RequestId::new(item.key.id.as_str())).await?;
        }
        self.drop_token(item, GONE).await
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
        self.drop_token(item, if delivery == Delivery::Gone { GONE } else { ANSWERED }).await
    }

    /// Takes a token out of the due index; the token itself is forgotten.
    pub(crate) async fn drop_token(&self, item: &Item, how: &str) -> Result<(), Error> {
        let mut changes = records::retire(self.ports.clock.now(), self.settings.service.keep);
        changes.push(Change::Remove(attr::TOKEN.into()));
        changes.push(set(attr::SETTLED, how));
        let write = Write::update(item.key.clone(), changes).when(Condition::Has(DUE_AT.into()));
        self.ports.store.write(write).await.map(drop)
    }
}

/// The token of a token item that is still owed something.
pub(crate) fn token_of(item: &Item) -> Option<TaskToken> {
    item.text(attr::TOKEN).map(TaskToken::new)
}
