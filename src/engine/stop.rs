//! The order to end a request before its children have: cancelled, deserted or stalled.
//!
//! It is given once, by the instance that is first, in an item of its own, and never changes an outcome. The
//! root ends with it at once; its children read it when they are acquired and give up their places; folders
//! read it before they begin anything. The root settles when its children have. Jobs cannot be cancelled: a
//! folder keeps them until they are over.

use std::collections::BTreeSet;

use super::{
    Engine,
    beat::token_of,
    core::Core,
    dispatch::Priority,
    records::{self, attr},
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{ErrorName, Failure},
    },
    ports::{
        Result,
        store::{EXPIRE_AT, Item, Key, Write, Written},
    },
    signals,
};

/// The answer to a wish to end a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// There is no such request.
    Unknown,
    /// It has ended already, and stays as it is.
    Ended,
    /// It ends as `Cancelled` within seconds, unless it is just about to end by itself.
    Stopping,
}

impl Engine {
    /// Ends a request made by a caller. Data that has arrived stays; `reason` becomes part of the failure's
    /// message.
    pub async fn cancel(&self, id: &str, reason: &str) -> Result<Cancel> {
        let root = RequestId::new(id);
        let keys = [records::request_key(&root), Key::new(id, records::OUTCOME)];
        let items = self.core.ports.store.get_many(&keys).await?;
        let request = items.iter().find(|item| item.key.id_type == records::REQUEST);
        if request.is_none_or(|item| item.text(attr::ROOT) != Some(id)) {
            return Ok(Cancel::Unknown);
        }
        if items.iter().any(|item| item.key.id_type == records::OUTCOME) {
            return Ok(Cancel::Ended);
        }
        let failure = Failure::new(ErrorName::Cancelled, format!("the request was cancelled: {reason}"));
        self.core.stop_root(&root, failure).await?;
        Ok(Cancel::Stopping)
    }
}

impl Core {
    /// Stops a root that no caller waits for any more.
    pub(crate) async fn stop_if_deserted(&self, root: &RequestId) -> Result<()> {
        let tokens = self.ports.store.query(root.as_str(), records::TOKEN).await?;
        if tokens.iter().any(|item| token_of(item).is_some()) {
            return Ok(());
        }
        let message = "nobody waits for the request any more (heartbeat.on_caller_gone = stop)";
        self.stop_root(root, Failure::new(ErrorName::Cancelled, message)).await
    }

    /// Ends a root.
    pub(crate) async fn stop_root(&self, root: &RequestId, failure: Failure) -> Result<()> {
        self.put_stop(root, failure).await?;
        self.wake(records::request_key(root), Priority::Root).await
    }

    /// Gives the order; returns the one that stands, which may be an earlier one.
    pub(crate) async fn put_stop(&self, root: &RequestId, failure: Failure) -> Result<Failure> {
        // It may come when the root has just settled, and then no root would clear it away.
        let expire_at = self.outlives_a_root();
        let item = Item::new(records::stop_key(root))
            .with(attr::FAILURE, records::text(&failure)?)
            .with(EXPIRE_AT, expire_at);
        match self.ports.store.write(Write::put_new(item)).await? {
            Written::Refused(Some(standing)) => records::required(&standing, attr::FAILURE),
            Written::Done(_) | Written::Refused(None) => {
                signals::engine::stopped(root.as_str(), &failure);
                Ok(failure)
            }
        }
    }

    /// The order to end a root, if it was given.
    pub(crate) async fn stop_of(&self, root: &RequestId) -> Result<Option<Failure>> {
        let stop = self.ports.store.get(&records::stop_key(root)).await?;
        stop.map(|stop| records::required(&stop, attr::FAILURE)).transpose()
    }

    /// Those of the roots that are to end.
    pub(crate) async fn stopped<'a>(
        &self,
        roots: impl IntoIterator<Item = &'a RequestId>,
    ) -> Result<BTreeSet<RequestId>> {
        let roots: BTreeSet<_> = roots.into_iter().collect();
        let keys: Vec<_> = roots.into_iter().map(records::stop_key).collect();
        if keys.is_empty() {
            return Ok(BTreeSet::new());
        }
        let stops = self.ports.store.get_many(&keys).await?;
        Ok(stops.into_iter().map(|stop| RequestId::new(stop.key.id)).collect())
    }
}
