//! Events that ask for runs.

use super::Replicas;
use crate::{
    domain::ids::RequestId,
    engine::{Order, kind::NoOrder},
    events::{intake::OtherEvent, replica},
};

/// The order that an event asks for.
pub(super) fn order_of(of: &Replicas, event: &OtherEvent) -> Result<Order, NoOrder> {
    let payload = event.payload.as_ref().map_err(Clone::clone)?;
    let instance = replica::instance(payload)?;
    let Some(replicated) = instance.as_ref().map_or_else(|| of.replicated.first(), |name| of.of(name)) else {
        let why = match instance {
            Some(name) => format!("`instance`: there are no settings of `{name}` here"),
            None => "no replica is kept here (canvas.client_id, canvas.database_url)".to_owned(),
        };
        return Err(NoOrder::Refused(why));
    };
    let order = replica::request(payload, &replicated.settings)?;
    let id = RequestId::new(format!("run.{}", event.seed()));
    let order = Replicas::order_for(id, &order, event.source.clone())?;
    Ok(Order { token: event.token.clone(), ..order })
}
