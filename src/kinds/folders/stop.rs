//! How such a root is left: its children settle, and nothing of it stays behind.

use std::time::Duration;

use super::{Folders, staging};
use crate::{
    domain::{outcome::Outcome, request::FolderRequest},
    engine::{
        dispatch::Lane,
        lease::{Held, Step, id_of},
        records::{self, Phase, RootState, attr, millis, set},
        round::Next,
        several::several,
        tree::children::plan_keys,
    },
    ports::{
        Result,
        store::{Item, Key},
    },
};

/// Children woken at a time.
const WIDTH: usize = 16;

/// How often the children of a root that was stopped are looked at, unless they all say that they
/// have settled.
const LOOK: Duration = Duration::from_mins(1);

impl Folders {
    /// Has the children of a stopped root settle; `None` when all have.
    pub(crate) async fn wait_for_children(&self, held: &Held, state: &mut RootState) -> Step<Option<Next>> {
        let now = self.core.ports.clock.now();
        let look = records::as_millis(LOOK);
        let first = state.children_at == 0;
        if !first && millis(now) < state.children_at.saturating_add(look) {
            let tallies = self.core.ports.store.query(&held.lease.key.id, records::TALLY).await?;
            if records::sum_tallies(&tallies).0 < state.children {
                return Ok(Some(Next::at(state.children_at.saturating_add(look))));
            }
        }
        let open = self.open_children(held).await?;
        if open.is_empty() {
            return Ok(None);
        }
        if first {
            let children = open.iter().map(|(child, _)| self.core.wake(child.key.clone(), Lane::Begun));
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
        let records = self.core.ports.store.get_many(&keys).await?;
        let mut records: std::collections::BTreeMap<_, _> =
            records.into_iter().map(|item| (item.key.id.clone(), item)).collect();
        let there = planned
            .into_iter()
            .filter_map(|(id, spec)| records.remove(id.as_str()).map(|record| (record, spec)));
        Ok(there.filter(|(record, _)| Phase::of(record) != Some(Phase::Settled)).collect())
    }

    /// Gives the records of the plan and of its children their expiry, and clears staging.
    pub(crate) async fn clear_up(&self, held: &Held, state: &RootState, outcome: &Outcome) -> Step<()> {
        let (id, keep) = (id_of(held), self.core.settings.service.keep);
        let children = self.plan_of(held).await?;
        if outcome.failure.is_some() {
            // It may have ended in the middle of a step.
            let specs = children.iter().map(|(_, spec)| spec);
            staging::clear(self.core.ports.platform.as_ref(), &id, specs).await?;
        }
        let children = self.needed_ids(children).await?;
        let theirs = children
            .iter()
            .flat_map(|child| [records::request_key(child), Key::new(child.as_str(), records::OUTCOME)]);
        self.core.expire(theirs.collect(), keep).await?;
        // Last: as long as there is a plan it can be done again.
        self.core.expire(plan_keys(&id, state), keep).await?;
        Ok(())
    }
}
