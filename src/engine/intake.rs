//! From the queue to a stored request: parse, check, store, delete the message, first heartbeat.
//!
//! Storing comes before deleting, so nothing is lost; deleting comes before working, so no
//! visibility timeout ever bounds a copy. A message that cannot be understood fails its task token
//! at once, is told to the bus and leaves a record; without a token it is left to the dead letters, where a
//! person can see it.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    Engine, concurrent::join_unordered, core::Core, dispatch::Priority, join::Arrival, names::Names,
    payload::Unread, records, refused::RejectedMessage, registry::Registry,
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Culprit, ErrorName, Failure},
        request::Kind,
        token::TaskToken,
    },
    events::intake::{Incoming, Refusal, read_request_within},
    ports::{
        queue::{Message, Queue},
        store::Key,
    },
    signals::{self, outage::Outage},
};

/// Wait after a queue could not be read.
const PAUSE: Duration = Duration::from_secs(2);

/// Messages handled at a time; a receive brings at most ten.
const WIDTH: usize = 10;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
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
        let queue = Arc::clone(&self.core.ports.requests);
        let outage = Outage::default();
        while !self.core.stop.is_cancelled() {
            // The receive is waited for even when stopping: messages that a dropped one has taken would stay
            // invisible.
            match queue.receive().await {
                Ok(messages) if self.core.stop.is_cancelled() => {
                    self.core.hand_back(queue.as_ref(), &messages).await;
                }
                Ok(messages) => {
                    if let Some(trouble) = outage.works(Duration::ZERO) {
                        signals::intake::receives_again("copy-requests", trouble);
                    }
                    self.core.take(&self.registry, &messages).await;
                }
                Err(error) => {
                    if let Some(trouble) = outage.fails() {
                        signals::intake::receive_failed("copy-requests", trouble, &error);
                    }
                    self.core.sleep_unless_stopped(PAUSE).await;
                }
            }
        }
    }
}

impl Core {
    /// Makes messages visible again, for another instance.
    pub(crate) async fn hand_back(&self, queue: &dyn Queue, messages: &[Message]) {
        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
        if !receipts.is_empty()
            && let Err(error) = queue.release(&receipts).await
        {
            signals::intake::not_handed_back(receipts.len(), &error);
        }
    }

    /// Sleeps, unless stopped.
    pub(crate) async fn sleep_unless_stopped(&self, wait: Duration) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = sleep(wait) => {}
        }
    }

    async fn take(&self, registry: &Registry, messages: &[Message]) {
        let accepted =
            messages.iter().map(|message| async move { (self.accept(registry, message).await, message) });
        let fates = join_unordered(WIDTH, accepted).await;
        let receipts = |wanted: Fate| -> Vec<String> {
            let of_fate = fates.iter().filter(|((fate, _), _)| *fate == wanted);
            of_fate.map(|(_, message)| message.receipt.clone()).collect()
        };
        let (delete, release) = (receipts(Fate::Delete), receipts(Fate::Release));
        if !delete.is_empty() {
            match self.ports.requests.delete(&delete).await {
                Ok(failed) if failed.is_empty() => {}
                Ok(failed) => signals::intake::delete_failed(failed.len(), None),
                Err(error) => signals::intake::delete_failed(delete.len(), Some(&error)),
            }
        }
        if !release.is_empty()
            && let Err(error) = self.ports.requests.release(&release).await
        {
            signals::intake::not_handed_back(release.len(), &error);
        }
        // The beats are not waited for: answers to callers must not hold up their requests.
        fates.into_iter().filter_map(|((_, token), _)| token).for_each(|token| self.beat_soon(token));
    }

    /// Decides about one message; the key of a token that is now ours to keep alive.
    async fn accept(&self, registry: &Registry, message: &Message) -> (Fate, Option<Key>) {
        let token = |arrival: &Arrival| arrival.submission.token.clone();
        match read_request_within(&message.body, self.settings.service.max_payload) {
            Ok(Incoming::Child(id)) => {
                let offered = self.inbox.offer(records::request_key(&id), Priority::Begun);
                (if offered { Fate::Delete } else { Fate::Leave }, None)
            }
            Ok(Incoming::Request(submission)) => {
                let mut arrival = Arrival::new(*submission, &message.id);
                match self.fetch_payload(&mut arrival.submission).await {
                    Ok(()) => match self.store(&arrival).await {
                        Ok((fate, token)) => (fate, token),
                        Err(error) if error.is_newer() => {
                            signals::engine::store_failed(&message.id, &error);
                            (Fate::Leave, None)
                        }
                        Err(error) => {
                            signals::engine::store_failed(&message.id, &error);
                            (
                                self.answer_before_dead_letter(
                                    message,
                                    &arrival.id,
                                    token(&arrival).as_ref(),
                                )
                                .await,
                                None,
                            )
                        }
                    },
                    Err(Unread::Passing(error)) => {
                        signals::engine::payload_unread(&message.id, &error);
                        (
                            self.answer_before_dead_letter(message, &arrival.id, token(&arrival).as_ref())
                                .await,
                            None,
                        )
                    }
                    Err(Unread::Stopping) => (Fate::Release, None),
                    Err(Unread::Refused(reason)) => (self.without_payload(&arrival, &reason).await, None),
                }
            }
            Err(Refusal::UnknownKind { detail_type }) => {
                (self.accept_other(registry, message, &detail_type).await, None)
            }
            Err(Refusal::Malformed { token, request_id, event_id, event_source, kind, reason }) => {
                let own = event_id.as_deref().unwrap_or(&message.id);
                let source = event_source.as_deref().unwrap_or_default();
                let refused = RejectedMessage {
                    names: Names { own, source, name: request_id.as_deref(), caller: None },
                    kind: kind.unwrap_or(Kind::Copy).as_str(),
                    destination: "",
                    token: token.as_ref(),
                    contradicts: None,
                    reason: &reason,
                };
                (self.set_aside(&refused, token.is_some()).await, None)
            }
        }
    }

    /// A request whose payload cannot be had is refused, unless it is one that was stored while its
    /// payload was still there: then this is a message that could not be deleted.
    async fn without_payload(&self, arrival: &Arrival, reason: &str) -> Fate {
        match self.was_stored(arrival).await {
            Ok(true) => Fate::Delete,
            Ok(false) => {
                let token = arrival.submission.token.as_ref();
                self.set_aside(&arrival.refused(token, None, reason), token.is_some()).await
            }
            Err(error) => {
                signals::engine::store_failed(&arrival.own, &error);
                Fate::Leave
            }
        }
    }

    /// Refuses a request. Its message may go once its token was answered; without one it goes to the dead
    /// letters, where a person can see it whole.
    pub(crate) async fn set_aside(&self, refused: &RejectedMessage<'_>, has_token: bool) -> Fate {
        match self.refuse(refused).await {
            Ok(_) if has_token => Fate::Delete,
            Ok(_) => Fate::Release,
            Err(error) => {
                signals::engine::store_failed(refused.names.own, &error);
                Fate::Leave
            }
        }
    }

    /// A message that could not be stored on its last receive has its token answered before it goes
    /// to the dead letters, so that no caller hangs on it; unless an earlier receive has stored it, or this
    /// one without hearing so: then its request lives, and answers for itself.
    pub(super) async fn answer_before_dead_letter(
        &self,
        message: &Message,
        id: &RequestId,
        token: Option<&TaskToken>,
    ) -> Fate {
        let last = self.ports.requests.max_receives().is_some_and(|most| message.receives >= most);
        if let (true, Some(token)) = (last, token) {
            let known = self.ports.store.get(&records::token_key(id, token.expose())).await;
            match known {
                Ok(Some(_)) => return Fate::Delete,
                // An instance of a newer version has stored it, and answers.
                Err(error) if error.is_newer() => return Fate::Leave,
                Ok(None) | Err(_) => {}
            }
            let failure = Failure::new(
                ErrorName::Internal,
                "the request could not be stored, or its payload not be read",
            )
            .naming([Culprit { what: message.id.clone(), why: "see the dead-letter queue".into() }]);
            if let Err(error) = self.fail_now(&RequestId::new(message.id.as_str()), token, failure).await {
                signals::engine::callback_failed(signals::engine::Callback::Answer, &message.id, &error);
            }
        }
        Fate::Leave
    }
}
