//! Events that ask for kinds which the intake does not know: the kind reads the order out of one, and the order is
//! given like any other.

use super::{
    Engine, EventVerdict,
    core::Core,
    intake::Fate,
    kind::NoOrder,
    names::Names,
    records::{self, attr},
    refused::RejectedMessage,
    registry::Registry,
    submit::{Order, Submitted},
};
use crate::{
    domain::{ids::RequestId, token::TaskToken},
    events::intake::OtherEvent,
    ports::{Error, queue::Message},
    signals,
};

impl Engine {
    /// Whether a kind takes events of that type.
    #[must_use]
    pub fn takes(&self, detail_type: &str) -> bool {
        self.registry.takes(detail_type)
    }

    /// The verdict on such an event; `None` where no kind takes it.
    pub(super) async fn judge_other(&self, event: &str, own: &str) -> Result<Option<EventVerdict>, Error> {
        let Some(event) = OtherEvent::read(event, own, self.core.settings.service.max_payload) else {
            return Ok(None);
        };
        let Some((kind, order)) = self.registry.order_of(&event).await else { return Ok(None) };
        let (there, reason) = match order {
            Ok(order) => match self.core.is_contradicted_by(&order).await? {
                None => return Ok(Some(EventVerdict::Welcome(order.id.to_string()))),
                Some(reason) => (Some(order.id), reason),
            },
            // Whoever asks at the door is told, also that it is of no use.
            Err(NoOrder::Refused(reason) | NoOrder::Unwanted(reason)) => (None, reason),
            Err(NoOrder::Port(error)) => return Err(error),
        };
        let token = self.core.own_token(&event, there.as_ref()).await?;
        let refused = refused(&event, kind, token, there.as_ref(), &reason);
        let id = self.core.refuse(&refused).await?.to_string();
        Ok(Some(EventVerdict::Refused { id, reason }))
    }
}

impl Core {
    /// Decides about a message with such an event.
    pub(super) async fn accept_other(
        &self,
        registry: &Registry,
        message: &Message,
        detail_type: &str,
    ) -> Fate {
        let most = self.settings.service.max_payload;
        let Some(event) = OtherEvent::read(&message.body, &message.id, most) else {
            signals::engine::unknown_kind(detail_type);
            return Fate::Leave;
        };
        let Some((kind, order)) = registry.order_of(&event).await else {
            signals::engine::unknown_kind(detail_type);
            return Fate::Leave;
        };
        let (id, taken) = match order {
            Ok(order) => (order.id.clone(), self.give(&order, &event).await),
            Err(NoOrder::Refused(reason)) => {
                let refused = refused(&event, kind, event.token.as_ref(), None, &reason);
                return self.set_aside(&refused, event.token.is_some()).await;
            }
            Err(NoOrder::Unwanted(reason)) => {
                signals::engine::unwanted(detail_type, &reason);
                return Fate::Delete;
            }
            Err(NoOrder::Port(error)) => (RequestId::new(event.own.as_str()), Err(error)),
        };
        match taken {
            Ok(None) => Fate::Delete,
            Ok(Some(reason)) => match self.own_token(&event, Some(&id)).await {
                Ok(waits_on) => {
                    let refused = refused(&event, kind, waits_on, Some(&id), &reason);
                    self.set_aside(&refused, event.token.is_some()).await
                }
                Err(error) => {
                    signals::engine::store_failed(&message.id, &error);
                    Fate::Leave
                }
            },
            Err(error) => {
                signals::engine::store_failed(&message.id, &error);
                if error.is_newer() {
                    return Fate::Leave;
                }
                self.answer_before_dead_letter(message, &id, event.token.as_ref()).await
            }
        }
    }

    /// Gives an order, and has it found by the names of its event. Why it is none, where another one was given by
    /// the same name.
    async fn give(&self, order: &Order, event: &OtherEvent) -> Result<Option<String>, Error> {
        if self.submit(order).await? == Submitted::Other {
            return Ok(Some(contradiction(order)));
        }
        for name in self.names(&names(event), &order.id) {
            self.ports.store.write(name).await?;
        }
        Ok(None)
    }

    /// The token of an event that is refused, unless the root that is there is waited for by it.
    async fn own_token<'a>(
        &self,
        event: &'a OtherEvent,
        there: Option<&RequestId>,
    ) -> Result<Option<&'a TaskToken>, Error> {
        let (Some(token), Some(id)) = (&event.token, there) else { return Ok(event.token.as_ref()) };
        let known = self.ports.store.get(&records::token_key(id, token.expose())).await?;
        Ok(Some(token).filter(|_| known.is_none()))
    }

    /// Why an order will not be taken that has the name of another one.
    async fn is_contradicted_by(&self, order: &Order) -> Result<Option<String>, Error> {
        let there = self.ports.store.get(&records::request_key(&order.id)).await?;
        let is_other = there.is_some_and(|there| there.text(attr::HASH) != Some(&order.hash()));
        Ok(is_other.then(|| contradiction(order)))
    }
}

fn contradiction(order: &Order) -> String {
    format!("its request id, or its task token, was used before with another payload, for {}", order.id)
}

fn names(event: &OtherEvent) -> Names<'_> {
    let OtherEvent { own, source, request_id, caller, .. } = event;
    Names { own, source, name: request_id.as_deref(), caller: caller.as_deref() }
}

fn refused<'a>(
    event: &'a OtherEvent,
    kind: &'a str,
    token: Option<&'a TaskToken>,
    contradicts: Option<&'a RequestId>,
    reason: &'a str,
) -> RejectedMessage<'a> {
    RejectedMessage { names: names(event), kind, destination: "", token, contradicts, reason }
}
