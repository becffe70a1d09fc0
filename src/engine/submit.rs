//! Roots that a part of this program asks for, without a message: an API, a schedule, another root that has
//! ended.

use serde_json::Value as Json;

use super::{
    Engine,
    core::Core,
    dispatch::Priority,
    records::{self, attr},
};
use crate::{
    domain::{
        ids::{RequestId, digest},
        token::TaskToken,
    },
    ports::{
        Class, Error, Result,
        store::{Action, Condition, EXPIRE_AT, Item, Transacted, Write},
    },
    signals::{self, engine::Received},
};

/// A root to be made.
#[derive(Debug, Clone)]
pub struct Order {
    /// The name of its kind.
    pub kind: &'static str,
    /// Its id: the same order has the same id whenever it is given.
    pub id: RequestId,
    /// Where it goes, as it is shown.
    pub destination: String,
    /// The payload, as its kind reads it.
    pub payload: Json,
    /// The event source that asks.
    pub source: String,
    /// The token that is to be answered.
    pub token: Option<TaskToken>,
    /// Items of its kind that are put with it, or not at all.
    pub also: Vec<Item>,
}

/// The answer to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// Its root was made.
    New,
    /// The same order was given before; its token, if it is another one, is told too.
    Known,
    /// That id belongs to an order for something else, which goes on.
    Other,
}

impl Order {
    /// What another order of the same id must have to be the same.
    pub(super) fn hash(&self) -> String {
        digest(&[&self.payload.to_string()])
    }
}

impl Engine {
    /// Makes a root, or joins the one that the same order has made.
    ///
    /// # Errors
    ///
    /// Those of the table: whether the root was made is found out by giving the same order again.
    pub async fn submit(&self, order: &Order) -> Result<Submitted> {
        self.core.submit(order).await
    }
}

impl Core {
    pub(crate) async fn submit(&self, order: &Order) -> Result<Submitted> {
        let Order { kind, id, destination, payload, source, token, also } = order;
        let hash = order.hash();
        let request = records::new_request(id, id, kind, destination, self.ports.clock.now())
            .with(attr::HASH, hash.as_str())
            .with(attr::SOURCE, source.as_str());
        let mut writes = self.root_records(id, request, payload).await?;
        let token = token.as_ref().map(|token| self.token_item(id, token, destination));
        writes.extend(token.clone().map(Write::put_new));
        // What an earlier order of that id has left, which was forgotten, is written over: that there is no such root is
        // known by the rest.
        let put = |item: Item| Write {
            key: item.key,
            action: Action::Put(item.attributes),
            conditions: Vec::new(),
        };
        writes.extend(also.iter().cloned().map(put));
        let token_key = token.as_ref().map(|item| item.key.clone());
        let made = self.ports.store.transact(writes).await?;
        let what = if made == Transacted::Done {
            let received = Received {
                request: id.as_str(),
                source,
                kind,
                name: None,
                caller: None,
                sources: (&[], 0),
                destination,
                has_token: token.is_some(),
            };
            signals::engine::received(&received, &[]);
            Submitted::New
        } else {
            let there = self.ports.store.get(&records::request_key(id)).await?;
            let now = self.ports.clock.now().as_second();
            let lives = |there: &Item| there.number(EXPIRE_AT).is_none_or(|at| at > now);
            let Some(there) = there.filter(lives) else {
                // Left-overs vanish in any order. Whoever waited on one of them would wait for ever.
                for item in self.ports.store.query(id.as_str(), "").await? {
                    let expired = Write::delete(item.key).when(Condition::Has(EXPIRE_AT.into()));
                    self.ports.store.write(expired).await?;
                }
                let message = format!("what was left of an earlier order {id} had to be cleared away");
                return Err(Error::new(Class::Transient, "submit", message));
            };
            if there.text(attr::HASH) != Some(&hash) {
                return Ok(Submitted::Other);
            }
            if let Some(token) = token {
                self.ports.store.write(Write::put_new(token)).await?;
            }
            Submitted::Known
        };
        self.inbox.offer(records::request_key(id), Priority::Root);
        if let Some(token) = token_key {
            self.beat_soon(token);
        }
        Ok(what)
    }
}
