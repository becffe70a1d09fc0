//! The `auto` kind: what is shared by itself.
//!
//! One root for each sequencing run that is ready, which gives orders for the jobs that are for it; and one for each
//! package that is pushed once it is made, and let go where somebody has to.

mod claims;
mod events;
mod run;
mod share;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{asked::asked, cards::Cards, releases::Releases};
use crate::{
    domain::{
        ids::RequestId,
        outcome::Outcome,
        request::Kind as PlaneName,
        share::{auto::AutoOrder, ids::Shared, settings::ShareSettings},
    },
    engine::{
        Order,
        core::Core,
        kind::{Kind, NoOrder},
        lease::{Leased, RoundResult, id_of},
        liveness::RootRef,
        records::{self, Phase, RootState, after},
        round::AfterRound,
        tree::{Child, End, Roster, Tree, Window},
    },
    events::{PACKAGE_REQUEST, RUN_READY, intake::OtherEvent},
    ports::Result,
};

/// How often it is looked whether what is waited for moves.
const LOOK: Duration = Duration::from_mins(1);
/// The types of the events that are taken.
const TAKEN: [&str; 3] = [PACKAGE_REQUEST, RUN_READY[0], RUN_READY[1]];

/// What is shared by itself.
#[derive(Debug)]
pub struct Auto {
    core: Arc<Core>,
    settings: Arc<ShareSettings>,
    cards: Cards,
    releases: Releases,
}

/// The package and the push of a root: always the same ones.
fn made_by(root: &RequestId) -> (RequestId, RequestId) {
    (Shared::Package.named(root.as_str()), Shared::Push.named(root.as_str()))
}

impl Auto {
    pub(crate) fn new(core: Arc<Core>, settings: Arc<ShareSettings>) -> Self {
        let store = core.ports.store.clone();
        let cards = Cards::new(store.clone(), settings.keep);
        Self { core, settings, cards, releases: Releases::new(store) }
    }

    /// Whether a root has ended; where not, when to look again. What moves there is a sign of life here.
    async fn waits_for(&self, held: &Leased, other: &RequestId) -> RoundResult<Option<AfterRound>> {
        if self.core.has_settled(other, &id_of(held)).await? {
            return Ok(None);
        }
        let signs = self.core.ports.store.get(&records::signs_key(other)).await?;
        let signs = self.core.signs(other.as_str(), signs.as_slice(), None);
        if let Some(moved) = signs.moved {
            self.core.liveness.record_progress(&[RootRef::of(&held.item)], moved);
        }
        Ok(Some(AfterRound::at(after(self.core.ports.clock.now(), LOOK))))
    }
}

#[async_trait]
impl Kind for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        match asked(&self.core, held).await? {
            AutoOrder::Run(order) => run::plan(self, held, &order).await.map(|()| None),
            AutoOrder::Share(order) => share::plan(self, held, &order).await,
        }
    }

    fn detail_types(&self) -> &'static [&'static str] {
        &TAKEN
    }

    async fn order_of(&self, event: &OtherEvent) -> Option<std::result::Result<Order, NoOrder>> {
        events::order_of(self, event)
    }

    fn tree<'a>(&'a self, _state: &RootState) -> RoundResult<Box<dyn Tree + 'a>> {
        Ok(Box::new(NoChildren))
    }

    /// Ends what it waits for, too.
    async fn abandon(&self, held: &mut Leased) -> RoundResult<()> {
        let root = id_of(held);
        let Some(failure) = self.core.stop_of(&root).await? else { return Ok(()) };
        let (package, push) = made_by(&root);
        for other in [package, push] {
            let there = self.core.ports.store.get(&records::request_key(&other)).await?;
            if there.is_some_and(|there| Phase::of(&there) != Some(Phase::Settled)) {
                self.core.stop_root(&other, failure.clone()).await?;
            }
        }
        Ok(())
    }
}

/// What such a root has in place of children: other roots, which it does not own.
#[derive(Debug)]
struct NoChildren;

#[async_trait]
impl Tree for NoChildren {
    fn plane(&self) -> &'static str {
        PlaneName::Slice.as_str()
    }

    fn noun(&self) -> &'static str {
        "packages"
    }

    fn window(&self) -> Window {
        Window::All
    }

    async fn next(&self, _: &Leased, _: &mut RootState, _: u64) -> RoundResult<Vec<Child>> {
        Ok(Vec::new())
    }

    async fn roster(&self, _: &Leased, _: &RootState) -> RoundResult<Roster<'_>> {
        Ok(Roster::new(0, |_| None::<RequestId>))
    }

    async fn end(&self, _: &mut Leased) -> RoundResult<End> {
        // It is never planned: it has an outcome or it waits for one.
        Ok(End::Reached)
    }
}

/// How a root has ended that has done what it was to do.
fn done(auto: &Auto, held: &Leased) -> Outcome {
    Outcome::between(records::started_at(&held.item), auto.core.ports.clock.now())
}

/// An order for a root of this kind.
fn ordered(order: &AutoOrder, id: RequestId, event: &OtherEvent, destination: String) -> Result<Order> {
    let payload = serde_json::to_value(order).map_err(super::told::unwritable)?;
    let (source, token) = (event.source.clone(), event.token.clone());
    Ok(Order { kind: "auto", id, destination, payload, source, token, also: Vec::new() })
}
