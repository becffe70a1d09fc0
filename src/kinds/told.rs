//! What others are told of packages and pushes: their state changes, with all that the API shows of them.
//!
//! The first ones are news on the way, and lost where the bus does not take them. The last one is told when the root
//! is cleared up, which is tried again for as long as its records are kept.

use std::fmt;

use async_trait::async_trait;

use crate::{
    domain::{
        ids::RequestId,
        outcome::Outcome,
        share::{ids::attempt_of, settings::ShareSettings},
    },
    engine::{
        core::Core,
        lease::{Leased, RoundResult, id_of},
        records::RootState,
        tree::{Child, End, Observed, Roster, Tree, Window},
    },
    events::share::shown::JobStatus,
    kinds::cards::{Cards, Ended},
    ports::{
        self,
        bus::{Bus, Event},
        store::{Item, Key},
    },
    signals,
};

/// A kind whose state changes are told.
#[async_trait]
pub(crate) trait Tells: fmt::Debug + Send + Sync {
    /// The event that tells of a state: its type, and what the API shows.
    async fn news(
        &self,
        held: &Leased,
        status: JobStatus,
        outcome: Option<&Outcome>,
    ) -> RoundResult<(&'static str, String)>;
}

/// Tells of a state.
async fn tell(
    (core, settings, kind): (&Core, &ShareSettings, &dyn Tells),
    held: &Leased,
    status: JobStatus,
    outcome: Option<&Outcome>,
) -> RoundResult<()> {
    let (detail_type, detail) = kind.news(held, status, outcome).await?;
    let source = Some(settings.event_source.clone());
    let event = Event { bus: Bus::External, source, detail_type, detail };
    let refused = core.ports.bus.publish(&[event]).await?;
    match refused.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(()),
    }
}

/// Tells of a state on the way: a bus that does not take it holds nothing up.
pub(crate) async fn tell_if_possible(
    teller: (&Core, &ShareSettings, &dyn Tells),
    held: &Leased,
    status: JobStatus,
) -> RoundResult<()> {
    if let Err(crate::engine::lease::RoundError::Port(error)) = tell(teller, held, status, None).await {
        signals::engine::publish_failed(&held.lease.key.id, &error);
    }
    held.lease.check()
}

/// The children of a root whose end is told.
#[derive(Debug)]
pub(crate) struct Telling<'a> {
    pub(crate) tree: Box<dyn Tree + 'a>,
    pub(crate) core: &'a Core,
    pub(crate) settings: &'a ShareSettings,
    pub(crate) kind: &'a dyn Tells,
}

#[async_trait]
impl Tree for Telling<'_> {
    fn plane(&self) -> &'static str {
        self.tree.plane()
    }

    fn noun(&self) -> &'static str {
        self.tree.noun()
    }

    fn unlooked(&self) -> Option<&'static str> {
        self.tree.unlooked()
    }

    fn window(&self) -> Window {
        self.tree.window()
    }

    async fn next(&self, held: &Leased, state: &mut RootState, room: u64) -> RoundResult<Vec<Child>> {
        self.tree.next(held, state, room).await
    }

    async fn roster(&self, held: &Leased, state: &RootState) -> RoundResult<Roster<'_>> {
        self.tree.roster(held, state).await
    }

    fn records_of(&self, child: &RequestId) -> Vec<Key> {
        self.tree.records_of(child)
    }

    async fn observe(&self, core: &Core, held: &Leased, open: &[Item]) -> RoundResult<Vec<Observed>> {
        self.tree.observe(core, held, open).await
    }

    async fn end(&self, held: &mut Leased) -> RoundResult<End> {
        self.tree.end(held).await
    }

    async fn clear_up(&self, held: &Leased, outcome: &Outcome) -> RoundResult<()> {
        self.tree.clear_up(held, outcome).await?;
        let (id, attempt) = attempt_of(&id_of(held));
        let cards = Cards::new(self.core.ports.store.clone(), self.settings.keep);
        if let Some(card) = cards.of(&id).await?.filter(|card| card.newest() <= attempt) {
            cards.end(&id, &card, &Ended::of(outcome, attempt)).await?;
        }
        let teller = (self.core, self.settings, self.kind);
        tell(teller, held, JobStatus::of(outcome), Some(outcome)).await
    }
}

/// An error of a document that cannot be written.
pub(crate) fn unwritable(error: serde_json::Error) -> ports::Error {
    ports::Error::new(ports::Class::Invalid, "write event", "a state change cannot be written")
        .caused_by(error)
}
