//! Orders of packages and pushes, each with its card.

use jiff::Timestamp;
use serde_json::json;

use super::cards::{Card, Cards};
use crate::{
    domain::{
        ids::RequestId,
        share::request::{PackageOrder, PushOrder},
        token::TaskToken,
    },
    engine::Order,
    ports::Result,
};

/// The source of what this service asks for itself.
pub(crate) const OWN_SOURCE: &str = "orcabus.datasharing";

/// Who gives an order, and when.
#[derive(Debug)]
pub(crate) struct Given {
    /// The event source.
    pub source: String,
    /// When it is given. What an order says of that itself goes before: it must not change when it is given again.
    pub at: Timestamp,
    /// Who gives it, where the order itself does not say so: what an event says of that may differ when it comes again.
    pub who: String,
    /// Who waits for its end.
    pub token: Option<TaskToken>,
}

/// A package that is to be made.
pub(crate) fn package(cards: &Cards, given: Given, id: &RequestId, order: &PackageOrder) -> Result<Order> {
    let card = Card {
        name: order.name.clone(),
        asked_at: order.asked_at.unwrap_or(given.at),
        who: who(&order.requested_by, &given.who),
        labels: order.request.labels.clone(),
        ..Card::default()
    };
    Ok(Order {
        kind: "package",
        id: id.clone(),
        destination: format!("package {}", order.name),
        payload: json!(order),
        source: given.source,
        token: given.token,
        also: cards.items(id, &card)?,
    })
}

/// A push of a package with that card.
pub(crate) fn push(
    cards: &Cards,
    given: Given,
    id: &RequestId,
    order: &PushOrder,
    package: Card,
) -> Result<Order> {
    let card = Card {
        name: package.name,
        asked_at: order.asked_at.unwrap_or(given.at),
        who: who(&order.requested_by, &given.who),
        labels: package.labels,
        package_id: order.package_id.clone(),
        destination: order.destination.clone(),
        on_conflict: order.on_conflict,
        deliver: order.deliver.clone(),
        thaw: order.thaw.clone(),
        dry_run: order.dry_run,
        ..Card::default()
    };
    Ok(Order {
        kind: "push",
        id: id.clone(),
        destination: order.destination.clone(),
        payload: json!(order),
        source: given.source,
        token: given.token,
        also: cards.items(id, &card)?,
    })
}

/// Who is told to have asked.
fn who(said: &str, given: &str) -> String {
    if said.is_empty() { given } else { said }.to_owned()
}
