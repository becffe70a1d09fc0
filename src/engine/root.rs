//! The life of a root: its kind plans it, its children are put and watched ([`super::tree`]), then it
//! is owed an end ([`super::debts`]).

use super::{
    Engine,
    kind::Kind,
    lease::{Leased, RoundResult, id_of},
    records::{self, Phase, attr},
    round::{AfterRound, broken},
    tree::Advance,
};
use crate::domain::outcome::Failure;

impl Engine {
    /// One round of a request record, root or child.
    pub(super) async fn request_round(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        let name = held.item.text(attr::KIND).unwrap_or_default();
        if let Some(plane) = self.registry.plane(name) {
            return plane.reconcile(held).await;
        }
        let is_in_known_phase = held.item.text(attr::PHASE).is_none() || Phase::of(&held.item).is_some();
        if self.registry.kind(name).is_some() && is_in_known_phase {
            return self.root_round(held).await;
        }
        // It is of a newer version: an instance of that version works on it.
        Ok(AfterRound::at(records::after(self.core.ports.clock.now(), self.core.settings.service.lease * 2)))
    }

    async fn root_round(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        loop {
            let has_ended = matches!(Phase::of(&held.item), Some(Phase::Finishing | Phase::Settled));
            if !has_ended && let Some(failure) = self.core.stop_of(&id_of(held)).await? {
                self.conclude_stopped(held, failure).await?;
            }
            match Phase::of(&held.item) {
                Some(Phase::Received) | None => {
                    let Some(kind) = self.kind_of(held) else { return Ok(AfterRound::at(i64::MAX)) };
                    if let Some(next) = kind.plan(held).await? {
                        return Ok(next);
                    }
                }
                Some(Phase::Planned | Phase::Running) => {
                    let Some(kind) = self.kind_of(held) else { return Ok(AfterRound::at(i64::MAX)) };
                    let tree = kind.tree(&records::required(&held.item, attr::STATE)?)?;
                    match self.core.drive(held, tree.as_ref()).await? {
                        Advance::On => {}
                        Advance::Wait(next) => return Ok(next),
                        Advance::Stalled(failure) => {
                            let failure = self.core.put_stop(&id_of(held), failure).await?;
                            self.conclude_stopped(held, failure).await?;
                        }
                    }
                }
                Some(Phase::Finishing) => return self.deliver(held).await,
                Some(Phase::Settled) => {
                    // Whoever has asked between the last wake and the end has been told that it has not settled.
                    self.core.wake_those_who_wait(held).await?;
                    return Ok(AfterRound::Settled { changes: Vec::new() });
                }
            }
        }
    }

    /// A request whose every run ends its instance: it is failed without being run.
    pub(super) async fn give_up_request(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        let failure = broken();
        let name = held.item.text(attr::KIND).unwrap_or_default();
        if let Some(plane) = self.registry.plane(name) {
            return plane.give_up(held, failure).await;
        }
        if Phase::of(&held.item) != Some(Phase::Finishing) {
            // Its children are not to go on for a request that has ended.
            let failure = self.core.put_stop(&id_of(held), failure).await?;
            self.conclude_stopped(held, failure).await?;
        }
        self.deliver(held).await
    }

    /// Ends a root with this failure; the counters of its children are kept.
    async fn conclude_stopped(&self, held: &mut Leased, failure: Failure) -> RoundResult<()> {
        let id = id_of(held);
        if let Some(kind) = self.kind_of(held) {
            kind.abandon(held).await?;
        }
        let tallies = self.core.ports.store.query(id.as_str(), records::TALLY).await?;
        let mut outcome = self.core.failed_outcome(&held.item, failure);
        (_, outcome.counters) = records::sum_tallies(&tallies);
        self.core.conclude(held, &outcome).await
    }

    /// The kind of a root, if it is one that is known here.
    pub(super) fn kind_of(&self, held: &Leased) -> Option<&dyn Kind> {
        let name = held.item.text(attr::KIND).unwrap_or_default();
        self.registry.kind(name).map(AsRef::as_ref)
    }
}
