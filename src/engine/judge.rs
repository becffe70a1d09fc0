//! The verdict on an event while its sender still waits for the answer.
//!
//! It is the same as for a message on the queue, by the same code; only that the sender hears it.

use super::{
    Engine,
    core::Core,
    join::{Arrival, Before},
    names::Names,
    refused::RejectedMessage,
};
use crate::{
    domain::request::Kind,
    events::intake::{Incoming, Refusal, read_request_within, refusal_of},
    ports::Error,
};

/// The verdict on an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventVerdict {
    /// It may go on the queue. Its request will be found under that id.
    Welcome(String),
    /// It will never be taken.
    Refused {
        /// The id under which the refusal is found.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Engine {
    /// A new id for an event.
    #[must_use]
    pub fn event_id(&self) -> String {
        self.core.ports.chance.uuid().to_string()
    }

    /// Judges an event of that id. Of one that is refused, the token has been answered and the bus told
    /// when this returns.
    pub async fn judge_event(&self, event: &str, own: &str) -> Result<EventVerdict, Error> {
        let refusal = match read_request_within(event, self.core.settings.service.max_payload) {
            Ok(Incoming::Child(id)) => return Ok(EventVerdict::Welcome(id.to_string())),
            Ok(Incoming::Request(submission)) => {
                return self.core.judge_request(Arrival::new(*submission, own)).await;
            }
            Err(refusal @ Refusal::UnknownKind { .. }) => match self.judge_other(event, own).await? {
                Some(verdict) => return Ok(verdict),
                None => refusal_of(event, refusal.to_string()),
            },
            Err(malformed @ Refusal::Malformed { .. }) => malformed,
        };
        let Refusal::Malformed { token, request_id, event_source: source, kind, reason, .. } = refusal else {
            return Ok(EventVerdict::Refused { id: own.to_owned(), reason: refusal.to_string() });
        };
        let source = source.as_deref().unwrap_or_default();
        let refused = RejectedMessage {
            names: Names { own, source, name: request_id.as_deref(), caller: None },
            kind: kind.unwrap_or(Kind::Copy).as_str(),
            destination: "",
            token: token.as_ref(),
            contradicts: None,
            reason: &reason,
        };
        let id = self.core.refuse(&refused).await?.to_string();
        Ok(EventVerdict::Refused { id, reason })
    }
}

impl Core {
    /// A payload that is elsewhere is fetched later, when no sender waits for it on a line.
    async fn judge_request(&self, arrival: Arrival) -> Result<EventVerdict, Error> {
        let before = if arrival.is_whole() { self.before(&arrival).await? } else { Before::Nothing };
        match before {
            Before::Other { id: there, with_token, reason } => {
                let token = arrival.submission.token.as_ref().filter(|_| !with_token);
                let id = self.refuse(&arrival.refused(token, Some(&there), &reason)).await?.to_string();
                Ok(EventVerdict::Refused { id, reason })
            }
            Before::Same { id, .. } => Ok(EventVerdict::Welcome(id.to_string())),
            Before::Nothing => Ok(EventVerdict::Welcome(arrival.id.to_string())),
        }
    }
}
