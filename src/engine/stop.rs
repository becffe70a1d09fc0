//! The order to end a request before its children have: cancelled, deserted or stalled.
//!
//! It is given once, by whoever is first, in an item of its own, and never changes an outcome. The
//! root ends with it at once; its children read it when they are acquired and give up their places;
//! folders read it before they begin anything. The root settles when its children have. Jobs cannot
//! be cancelled: a folder keeps them until they are over.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Engine,
    beat::token_of,
    dispatch::Lane,
    lease::{Held, Step},
    records::{self, Phase, RootState, attr, millis, set},
    request::id_of,
    round::Next,
    several::several,
};
use crate::{
    domain::{
        ids::{FolderId, ProjectId, RequestId},
        outcome::{ErrorName, Failure},
        request::FolderRequest,
    },
    ports::{
        Result,
        store::{EXPIRE_AT, Item, Key, Write, Written},
    },
    signals,
};

/// Children woken at a time.
const WIDTH: usize = 16;

/// How often the children of a root that was stopped are looked at, unless they all say that they
/// have settled.
const LOOK: Duration = Duration::from_mins(1);

/// What became of a wish to end a request.
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
    /// Ends a request made by a caller. What has arrived stays; `reason` becomes part of the failure's
    /// message.
    pub async fn cancel(&self, id: &str, reason: &str) -> Result<Cancel> {
        let root = RequestId::new(id);
        let keys = [records::request_key(&root), Key::new(id, records::OUTCOME)];
        let items = self.ports.store.get_many(&keys).await?;
        let request = items.iter().find(|item| item.key.id_type == records::REQUEST);
        if request.is_none_or(|item| item.text(attr::ROOT) != Some(id)) {
            return Ok(Cancel::Unknown);
        }
        if items.iter().any(|item| item.key.id_type == records::OUTCOME) {
            return Ok(Cancel::Ended);
        }
        let failure = Failure::new(ErrorName::Cancelled, format!("the request was cancelled: {reason}"));
        self.stop_root(&root, failure).await?;
        Ok(Cancel::Stopping)
    }

    /// Stops a root that no caller waits for any more.
    pub(crate) async fn stop_if_deserted(&self, root: &RequestId) -> Result<()> {
        let tokens = self.ports.store.query(root.as_str(), records::TOKEN).await?;
        if tokens.iter().any(|item| token_of(item).is_some()) {
            return Ok(());
        }
        let message = "nobody waits for the request any more (heartbeat.on_caller_gone = stop)";
        self.stop_root(root, Failure::new(ErrorName::Cancelled, message)).await
    }

    async fn stop_root(&self, root: &RequestId, failure: Failure) -> Result<()> {
        self.put_stop(root, failure).await?;
        self.wake(records::request_key(root), Lane::Root).await
    }

    /// Gives the order; returns the one that stands, which may be an earlier one.
    pub(crate) async fn put_stop(&self, root: &RequestId, failure: Failure) -> Result<Failure> {
        // It may come when the root has just settled, and nobody would clear it away.
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

    /// Ends a root with this failure; what had arrived is counted.
    pub(crate) async fn conclude_stopped(&self, held: &mut Held, failure: Failure) -> Step<()> {
        let id = id_of(held);
        self.drop_summary_if_possible(held).await?;
        let tallies = self.ports.store.query(id.as_str(), records::TALLY).await?;
        let mut outcome = self.failed_outcome(&held.item, failure);
        (_, outcome.counters) = records::sum_tallies(&tallies);
        self.conclude(held, &outcome).await
    }

    /// Settles a child whose root was stopped; its folder learns that nobody waits.
    pub(crate) async fn settle_stopped(&self, held: &mut Held, why: &Failure) -> Step<Next> {
        let folder = folder_of(&held.item);
        let failure = Failure::new(ErrorName::Cancelled, why.message.clone());
        let outcome = self.failed_outcome(&held.item, failure);
        let next = self.settle_child(held, &outcome).await?;
        if let Some(folder) = folder {
            self.wake(records::folder_key(&folder), Lane::Begun).await?;
        }
        Ok(next)
    }

    /// Has the children of a stopped root settle; `None` when all have.
    pub(crate) async fn wait_for_children(&self, held: &Held, state: &mut RootState) -> Step<Option<Next>> {
        if state.slices.is_some() {
            return self.wait_for_slices(held, state).await;
        }
        let now = self.ports.clock.now();
        let look = records::as_millis(LOOK);
        let first = state.children_at == 0;
        if !first && millis(now) < state.children_at.saturating_add(look) {
            let tallies = self.ports.store.query(&held.lease.key.id, records::TALLY).await?;
            if records::sum_tallies(&tallies).0 < state.children {
                return Ok(Some(Next::at(state.children_at.saturating_add(look))));
            }
        }
        let open = self.open_children(held).await?;
        if open.is_empty() {
            return Ok(None);
        }
        if first {
            let children = open.iter().map(|(child, _)| self.wake(child.key.clone(), Lane::Begun));
            for woken in several(WIDTH, children).await {
                woken?;
            }
        }
        state.children_at = millis(now);
        let changes = vec![set(attr::STATE, records::text(state)?)];
        Ok(Some(Next::Due { changes, due_at: records::after(now, LOOK) }))
    }

    /// The children of a root that are there and have not settled, with what each wants.
    pub(crate) async fn open_children(&self, held: &Held) -> Result<Vec<(Item, FolderRequest)>> {
        let planned = self.plan_of(held).await?;
        let keys: Vec<_> = planned.iter().map(|(id, _)| records::request_key(id)).collect();
        let records = self.ports.store.get_many(&keys).await?;
        let mut records: std::collections::BTreeMap<_, _> =
            records.into_iter().map(|item| (item.key.id.clone(), item)).collect();
        let there = planned
            .into_iter()
            .filter_map(|(id, spec)| records.remove(id.as_str()).map(|record| (record, spec)));
        Ok(there.filter(|(record, _)| Phase::of(record) != Some(Phase::Settled)).collect())
    }
}

/// The folder that a child waits for.
fn folder_of(child: &Item) -> Option<FolderId> {
    let place = child.text(attr::DESTINATION)?.strip_prefix("icav2://")?;
    let (project, path) = place.split_at(place.find('/')?);
    Some(FolderId::of(&ProjectId::new(project), path))
}
