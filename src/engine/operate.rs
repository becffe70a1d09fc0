//! What an operator has done with a request besides ending it: it is looked at now, or made again.

use serde_json::Value as Json;

use super::{
    Engine,
    dispatch::Priority,
    records::{self, attr, set},
};
use crate::{
    domain::ids::{RequestId, digest},
    events::outgoing::Status,
    ports::{
        Class, Error, Result,
        store::{Action, Item, Key, Transacted, Written},
    },
    signals,
};

/// How often one request is made again under names that lead back to it.
const MOST_RETRIES: u32 = 1000;

/// The answer to a wish to have a request looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// There is no such request.
    Unknown,
    /// It has ended already.
    Ended,
    /// It, and those of its children that have not settled, are looked at at once.
    Now,
}

/// The answer to a wish to have a request made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retry {
    /// There is no such request.
    Unknown,
    /// It has not failed.
    NotFailed(Status),
    /// It was made again as this one, which is new or goes on.
    As(RequestId),
    /// It was made again as this one, which has succeeded.
    Succeeded(RequestId),
}

impl Engine {
    /// Has a request of a caller, and its children, looked at now: waits after errors end.
    pub async fn wake_request(&self, id: &RequestId) -> Result<Woken> {
        let key = records::request_key(id);
        let mut wake = records::wake(key.clone(), self.core.ports.clock.now());
        if let Action::Update(changes) = &mut wake.action {
            changes.push(set(attr::WAKE_ALL, 1));
        }
        match self.core.ports.store.write(wake).await? {
            Written::Done(_) => {
                self.core.inbox.offer(key, Priority::Root);
                Ok(Woken::Now)
            }
            Written::Refused(Some(_)) => Ok(Woken::Ended),
            Written::Refused(None) => Ok(Woken::Unknown),
        }
    }

    /// Makes a request that has failed again, with the same payload: what has arrived is found there. Its task
    /// token is not told of that; it was answered.
    pub async fn retry(&self, id: &RequestId) -> Result<Retry> {
        let Some(view) = self.view_of(id.as_str(), None).await? else { return Ok(Retry::Unknown) };
        if view.status() != Status::Failed {
            return Ok(Retry::NotFailed(view.status()));
        }
        for n in 1..=MOST_RETRIES {
            // The same wish has the same id, so that a call that is repeated makes one request.
            let again = RequestId::new(format!("retry.{}", digest(&[id.as_str(), &n.to_string()])));
            match self.view_of(again.as_str(), None).await?.map(|view| view.status()) {
                Some(Status::Failed) => {}
                Some(Status::Succeeded) => return Ok(Retry::Succeeded(again)),
                Some(Status::Received | Status::Running) => return Ok(Retry::As(again)),
                None => {
                    self.make_again(id, &again).await?;
                    return Ok(Retry::As(again));
                }
            }
        }
        Err(Error::new(Class::Invalid, "retry", format!("{id} was made again {MOST_RETRIES} times")))
    }

    async fn make_again(&self, id: &RequestId, again: &RequestId) -> Result<()> {
        let keys = [records::request_key(id), Key::new(id.as_str(), records::PAYLOAD)];
        let items = self.core.ports.store.get_many(&keys).await?;
        let find = |id_type: &str| items.iter().find(|item| item.key.id_type == id_type);
        let (Some(request), Some(payload)) = (find(records::REQUEST), find(records::PAYLOAD)) else {
            let message = format!("the payload of {id} is not kept any more; send the request again");
            return Err(Error::new(Class::NotFound, "retry", message));
        };
        let asked: Json = self.core.read_document(payload, attr::SPEC).await?;
        let text = |name: &str| request.text(name).unwrap_or_default();
        let now = self.core.ports.clock.now();
        let made = records::new_request(again, again, text(attr::KIND), text(attr::DESTINATION), now);
        let kept = [attr::HASH, attr::SOURCE, attr::SOURCES, attr::CALLER, attr::NAME];
        let known = |made: Item, name: &str| match request.text(name) {
            Some(text) => made.with(name, text),
            None => made,
        };
        let made = kept.into_iter().fold(made, known).with(attr::RETRY_OF, id.as_str());
        let mut writes = self.core.root_records(again, made, &asked).await?;
        // Who asks for it by its name, or by its caller, means the newest.
        writes.extend(self.core.newest_names(
            text(attr::SOURCE),
            request.text(attr::NAME),
            request.text(attr::CALLER),
            again,
        ));
        // If it was refused, another call has made it.
        if self.core.ports.store.transact(writes).await? == Transacted::Done {
            signals::engine::made_again(id.as_str(), again.as_str());
        }
        self.core.inbox.offer(records::request_key(again), Priority::Root);
        Ok(())
    }
}
