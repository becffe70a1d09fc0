//! From the queue to a stored request: parse, check, store, delete the message, first heartbeat.
//!
//! Storing comes before deleting, so nothing is lost; deleting comes before working, so no
//! visibility timeout ever bounds a copy. A message that cannot be understood fails its task token
//! at once; without a token it is left to the dead letters, where a person can see it.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    Engine,
    dispatch::Lane,
    outbox,
    payload::Unread,
    records::{self, attr, millis},
    several::several,
};
use crate::{
    domain::{
        ids::{RequestId, digest},
        outcome::{Culprit, ErrorName, Failure, Outcome},
        token::TaskToken,
    },
    events::intake::{Incoming, Refusal, Submission, read_request_within},
    ports::{
        Error,
        queue::{Message, Queue},
        store::{Action, Condition, DUE_AT, DUE_SHARD, EXPIRE_AT, Item, Key, ROOT_ID, Transacted, Write},
    },
    signals,
};

/// Wait after a queue could not be read.
const PAUSE: Duration = Duration::from_secs(2);

/// Messages handled at a time; a receive brings at most ten.
const WIDTH: usize = 10;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its content is safe with us.
    Delete,
    /// Back to the queue at once.
    Release,
    /// Back to the queue after its visibility timeout.
    Leave,
}

impl Engine {
    /// Receives requests until stopped.
    pub async fn intake(self: Arc<Self>) {
        let queue = Arc::clone(&self.ports.requests);
        while !self.stop.is_cancelled() {
            // Waited for even when stopping: what a dropped receive has taken would stay invisible.
            match queue.receive().await {
                Ok(messages) if self.stop.is_cancelled() => self.hand_back(queue.as_ref(), &messages).await,
                Ok(messages) => self.take(&messages).await,
                Err(error) => {
                    signals::engine::receive_failed("copy-requests", &error);
                    self.nap(PAUSE).await;
                }
            }
        }
    }

    /// Makes messages visible again, for another instance.
    pub(crate) async fn hand_back(&self, queue: &dyn Queue, messages: &[Message]) {
        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
        if !receipts.is_empty()
            && let Err(error) = queue.release(&receipts).await
        {
            signals::engine::receive_failed("release", &error);
        }
    }

    /// Sleeps, unless stopped.
    pub(crate) async fn nap(&self, wait: Duration) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = sleep(wait) => {}
        }
    }

    async fn take(&self, messages: &[Message]) {
        let accepted = messages.iter().map(|message| async move { (self.accept(message).await, message) });
        let fates = several(WIDTH, accepted).await;
        let receipts = |wanted: Fate| -> Vec<String> {
            let of_fate = fates.iter().filter(|((fate, _), _)| *fate == wanted);
            of_fate.map(|(_, message)| message.receipt.clone()).collect()
        };
        let (delete, release) = (receipts(Fate::Delete), receipts(Fate::Release));
        if !delete.is_empty() {
            match self.ports.requests.delete(&delete).await {
                Ok(failed) if failed.is_empty() => {}
                Ok(failed) => signals::engine::delete_failed(failed.len()),
                Err(error) => signals::engine::receive_failed("copy-requests", &error),
            }
        }
        if !release.is_empty()
            && let Err(error) = self.ports.requests.release(&release).await
        {
            signals::engine::receive_failed("copy-requests", &error);
        }
        // Not waited for: what callers are told must not hold up what they ask.
        fates.into_iter().filter_map(|((_, token), _)| token).for_each(|token| self.beat_soon(token));
    }

    /// Decides about one message; the key of a token that is now ours to keep alive.
    async fn accept(&self, message: &Message) -> (Fate, Option<Key>) {
        match read_request_within(&message.body, self.settings.service.max_payload) {
            Ok(Incoming::Child(id)) => {
                let offered = self.inbox.offer(records::request_key(&id), Lane::Begun);
                (if offered { Fate::Delete } else { Fate::Leave }, None)
            }
            Ok(Incoming::Request(mut submission)) => match self.fetch_payload(&mut submission).await {
                Ok(()) => match self.store(&submission, &message.id).await {
                    Ok((fate, token)) => (fate, token),
                    Err(error) => {
                        signals::engine::store_failed(&message.id, &error);
                        (self.last_words(message, &submission).await, None)
                    }
                },
                Err(Unread::Passing(error)) => {
                    signals::engine::payload_unread(&message.id, &error);
                    (self.last_words(message, &submission).await, None)
                }
                Err(Unread::Stopping) => (Fate::Release, None),
                Err(Unread::Refused(reason)) => {
                    (self.without_payload(&submission, &message.id, &reason).await, None)
                }
            },
            Err(Refusal::UnknownKind { detail_type }) => {
                signals::engine::unknown_kind(&detail_type);
                (Fate::Leave, None)
            }
            Err(Refusal::Malformed { token, request_id, event_id, reason }) => {
                signals::engine::malformed(&message.id, token.is_some(), &reason);
                let Some(token) = token else { return (Fate::Release, None) };
                let name = request_id.or(event_id).unwrap_or_else(|| message.id.clone());
                (self.refuse(&RequestId::new(name), &token, &reason).await, None)
            }
        }
    }

    /// A request whose payload cannot be had is refused, unless it is one that was stored while its
    /// payload was still there: then this is a message that could not be deleted.
    async fn without_payload(&self, submission: &Submission, message_id: &str, reason: &str) -> Fate {
        signals::engine::malformed(message_id, submission.token.is_some(), reason);
        let Some(token) = &submission.token else { return Fate::Release };
        let id = request_id(submission, message_id);
        match self.ports.store.get(&records::token_key(&id, token.expose())).await {
            Ok(Some(_)) => Fate::Delete,
            Ok(None) => self.refuse(&id, token, reason).await,
            Err(error) => {
                signals::engine::store_failed(message_id, &error);
                Fate::Leave
            }
        }
    }

    /// Answers a token `InvalidRequest`; the message may go once the answer was taken.
    async fn refuse(&self, id: &RequestId, token: &TaskToken, reason: &str) -> Fate {
        let failure = Failure::new(ErrorName::InvalidRequest, reason);
        match self.fail_now(id, token, failure).await {
            Ok(()) => Fate::Delete,
            Err(error) => {
                signals::engine::beat_failed(id.as_str(), &error);
                Fate::Leave
            }
        }
    }

    async fn fail_now(&self, id: &RequestId, token: &TaskToken, failure: Failure) -> Result<(), Error> {
        let now = self.ports.clock.now();
        let outcome = Outcome {
            failure: Some(failure),
            counters: crate::domain::outcome::Counters::default(),
            jobs: Vec::new(),
            preview: None,
            ..Outcome::between(now, now)
        };
        let delivery = outbox::answer(self.ports.callbacks.as_ref(), id, "", token, &outcome).await?;
        let gone = delivery == crate::ports::callbacks::Delivery::Gone;
        signals::engine::answered(id.as_str(), outcome.failure.as_ref(), gone);
        Ok(())
    }

    /// A message that could not be stored on its last receive has its token answered before it goes
    /// to the dead letters, so that nobody hangs on it; unless an earlier receive has stored it, or this
    /// one without hearing so: then its request lives, and answers for itself.
    async fn last_words(&self, message: &Message, submission: &Submission) -> Fate {
        let last = self.ports.requests.max_receives().is_some_and(|most| message.receives >= most);
        if let (true, Some(token)) = (last, &submission.token) {
            let id = request_id(submission, &message.id);
            let known = self.ports.store.get(&records::token_key(&id, token.expose())).await;
            if matches!(known, Ok(Some(_))) {
                return Fate::Delete;
            }
            let failure = Failure::new(
                ErrorName::Internal,
                "the request could not be stored, or its payload not be read",
            )
            .naming([Culprit { what: message.id.clone(), why: "see the dead-letter queue".into() }]);
            if let Err(error) = self.fail_now(&RequestId::new(message.id.as_str()), token, failure).await {
                signals::engine::beat_failed(&message.id, &error);
            }
        }
        Fate::Leave
    }

    /// Puts the records of a request, or joins the one that is there.
    async fn store(&self, submission: &Submission, message_id: &str) -> Result<(Fate, Option<Key>), Error> {
        let id = request_id(submission, message_id);
        let now = self.ports.clock.now();
        let hash = digest(&[&submission.payload]);
        let (kind, destination) = (submission.request.kind(), submission.request.destination());
        let request = records::new_request(&id, &id, kind, &destination, now)
            .with(attr::HASH, hash.as_str())
            .with(attr::SOURCE, submission.source.as_str());
        let payload = Item::new(Key::new(id.as_str(), records::PAYLOAD)).with(ROOT_ID, id.as_str());
        let payload = self.with_document(payload, attr::SPEC, &submission.request).await?;
        let token = submission.token.as_ref().map(|token| self.token_item(&id, token));
        let no_outcome = Write {
            key: Key::new(id.as_str(), records::OUTCOME),
            action: Action::Check,
            conditions: vec![Condition::Absent],
        };
        let mut writes = vec![Write::put_new(request), Write::put_new(payload), no_outcome];
        writes.extend(token.clone().map(Write::put_new));
        let token_key = token.as_ref().map(|item| item.key.clone());
        if self.ports.store.transact(writes).await? == Transacted::Done {
            signals::engine::received(id.as_str(), &submission.source, token.is_some(), &submission.unknown);
            self.inbox.offer(records::request_key(&id), Lane::Root);
            return Ok((Fate::Delete, token_key));
        }
        self.join(&id, &hash, submission, token).await.map(|fate| (fate, token_key))
    }

    /// A repeat of a request that is there: its token is beaten and answered like the first one.
    async fn join(
        &self,
        id: &RequestId,
        hash: &str,
        submission: &Submission,
        token: Option<Item>,
    ) -> Result<Fate, Error> {
        let mut keys = vec![records::request_key(id), Key::new(id.as_str(), records::OUTCOME)];
        keys.extend(token.iter().map(|item| item.key.clone()));
        let items = self.ports.store.get_many(&keys).await?;
        if token.as_ref().is_some_and(|token| items.iter().any(|item| item.key == token.key)) {
            // The very same message again; an object that it names may have changed since.
            signals::engine::repeated(id.as_str());
            return Ok(Fate::Delete);
        }
        let there = items.iter().find(|item| item.key.id_type == records::REQUEST);
        let has_outcome = items.iter().any(|item| item.key.id_type == records::OUTCOME);
        let Some(there) = there.filter(|item| has_outcome || item.number(DUE_AT).is_some()) else {
            // Left-overs of an expired request of the same id, which vanish in any order; once all
            // are gone, the message that comes back is a new request.
            for item in self.ports.store.query(id.as_str(), "").await? {
                let expired = Write::delete(item.key).when(Condition::Has(EXPIRE_AT.into()));
                self.ports.store.write(expired).await?;
            }
            return Ok(Fate::Release);
        };
        if there.text(attr::HASH) != Some(hash) {
            signals::engine::contradiction(id.as_str());
            let name = submission.request_id.as_deref().unwrap_or(id.as_str());
            let reason = format!("request id `{name}` was used before with another payload");
            return Ok(match &submission.token {
                Some(token) => self.refuse(id, token, &reason).await,
                None => Fate::Release,
            });
        }
        if let Some(token) = token {
            self.ports.store.write(Write::put_new(token)).await?;
        }
        signals::engine::repeated(id.as_str());
        Ok(Fate::Delete)
    }

    fn token_item(&self, root: &RequestId, token: &TaskToken) -> Item {
        let key = records::token_key(root, token.expose());
        let shard = records::shard(&key);
        Item::new(key)
            .with(ROOT_ID, root.as_str())
            .with(attr::TOKEN, token.expose())
            .with(attr::CREATED_AT, millis(self.ports.clock.now()))
            .with(DUE_SHARD, shard)
            .with(DUE_AT, millis(self.ports.clock.now()))
    }
}

/// The caller's own id within its event source, else the token, else the event, else the message.
fn request_id(submission: &Submission, message_id: &str) -> RequestId {
    if let Some(id) = &submission.request_id {
        return RequestId::of_caller(&submission.source, id);
    }
    if let Some(token) = &submission.token {
        return RequestId::new(format!("token.{}", digest(&[token.expose()])));
    }
    RequestId::new(submission.event_id.as_deref().unwrap_or(message_id))
}
