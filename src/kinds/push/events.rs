//! Pushes that events ask for: `DataPushSync`, whose caller waits on a task token.

use super::Push;
use crate::{
    domain::share::{destination::Destination, ids::Shared, request::PushOrder},
    engine::{Order, kind::NoOrder},
    events::{
        intake::OtherEvent,
        share::{asked, in_words},
    },
    kinds::{
        cards::Card,
        orders::{self, Given},
    },
};

/// The order that an event asks for.
pub(super) async fn order_of(push: &Push, event: &OtherEvent) -> Result<Order, NoOrder> {
    let payload = event.payload.as_ref().map_err(Clone::clone)?;
    let (package, asked) = asked::push_of(payload).map_err(|wrong| in_words(&wrong))?;
    let destination = Destination::read(&asked.destination)?;
    destination.takes(asked.thaw.as_ref())?;
    let cards = push.cards();
    // What is told of the package is not part of what is compared when the event comes again: it may be deleted
    // meanwhile. That it is not known is found when the push begins.
    let card = cards.of(&package).await?.unwrap_or_else(|| Card::unknown(push.core.ports.clock.now()));
    let order = PushOrder {
        package_id: package.to_string(),
        package_name: String::new(),
        destination: destination.uri(),
        on_conflict: asked.on_conflict,
        deliver: asked.deliver.unwrap_or_else(|| push.settings.deliver.clone()),
        thaw: asked.thaw,
        dry_run: asked.dry_run,
        requested_by: String::new(),
        asked_at: None,
        by_event: true,
        public_url: String::new(),
    };
    let id = Shared::Push.named(&event.seed());
    let at = push.core.ports.clock.now();
    let (source, who, token) = (event.source.clone(), event.who().to_owned(), event.token.clone());
    let given = Given { source, at, who, token };
    Ok(orders::push(&cards, given, &id, &order, card)?)
}
