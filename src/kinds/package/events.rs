//! Packages that events ask for: `DataPackageSync`, whose caller waits on a task token.

use super::Package;
use crate::{
    domain::share::{
        ids::Shared,
        request::PackageOrder,
        settings::{ShareSettings, WorkflowNames},
    },
    engine::{Order, kind::NoOrder},
    events::{
        intake::OtherEvent,
        share::{asked, in_words},
    },
    kinds::orders::{self, Given},
};

/// The order that an event asks for.
pub(super) fn order_of(package: &Package, event: &OtherEvent) -> Result<Order, NoOrder> {
    let settings: &ShareSettings = &package.settings;
    let any_workflow = settings.workflow_names == WorkflowNames::Any;
    let payload = event.payload.as_ref().map_err(Clone::clone)?;
    let (name, request) = asked::package(payload, any_workflow).map_err(|wrong| in_words(&wrong))?;
    let order = PackageOrder {
        name,
        request,
        requested_by: String::new(),
        asked_at: None,
        public_url: String::new(),
        by_event: true,
    };
    let id = Shared::Package.named(&event.seed());
    let at = package.core.ports.clock.now();
    let (source, who, token) = (event.source.clone(), event.who().to_owned(), event.token.clone());
    let given = Given { source, at, who, token };
    Ok(orders::package(&package.cards(), given, &id, &order)?)
}
