//! Where files and libraries are looked up that are shared, as the settings say.

use std::sync::Arc;

use super::Misconfigured;
use crate::{
    config::Settings,
    domain::share::settings::{InventoryChoice, MetadataChoice},
    http::network::ReqwestTransport,
    inventory::{
        lims::Lims,
        listing::Listing,
        tables::{Catalogue, Place},
    },
    orcabus,
    ports::{
        chance::Chance,
        inventory::{Copies, Inventory, Metadata},
        objects::ObjectStore,
        secrets::Secrets,
    },
};

/// Bytes of an answer of OrcaBus, unpacked; a page of a thousand files has about one million.
const LARGEST_ANSWER: usize = 16 << 20;

/// Where files and libraries are looked up, and who is told of copies.
pub(super) struct Chosen {
    pub(super) inventory: Arc<dyn Inventory>,
    pub(super) metadata: Arc<dyn Metadata>,
    pub(super) copies: Option<Arc<dyn Copies>>,
}

/// `secrets`: those that may hold OrcaBus's token, where there are any.
pub(super) fn chosen(
    settings: &Settings,
    objects: &Arc<dyn ObjectStore>,
    secrets: Option<Arc<dyn Secrets>>,
    chance: &Arc<dyn Chance>,
) -> anyhow::Result<Chosen> {
    let share = &settings.share;
    let orcabus = share.inventory == InventoryChoice::Orcabus || share.metadata == MetadataChoice::Orcabus;
    let orcabus = if orcabus { Some(client(settings, secrets, chance)?) } else { None };
    let catalogue = share.catalogue.iter().map(|name| Place::of(name));
    let catalogue = Arc::new(Catalogue::new(objects.clone(), catalogue));
    let inventory: Arc<dyn Inventory> = match (share.inventory, &orcabus) {
        (InventoryChoice::Orcabus, Some(client)) => Arc::new(orcabus::Files::new(client.clone(), catalogue)),
        (InventoryChoice::Listing, _) => Arc::new(Listing::new(objects.clone(), share.templates.clone())),
        _ => catalogue,
    };
    // Who does not find files there does not know their ids.
    let copies = orcabus.clone().filter(|_| share.inventory == InventoryChoice::Orcabus);
    let copies = copies.map(|client| Arc::new(orcabus::Accounts::new(client)) as Arc<dyn Copies>);
    let lims = (!share.lims.is_empty()).then(|| Place::of(&share.lims));
    let lims = Arc::new(Lims::new(objects.clone(), lims));
    let metadata: Arc<dyn Metadata> = match (share.metadata, orcabus) {
        (MetadataChoice::Orcabus, Some(client)) => Arc::new(orcabus::Libraries::new(client, lims)),
        _ => lims,
    };
    Ok(Chosen { inventory, metadata, copies })
}

/// OrcaBus, over connections that follow no redirects.
fn client(
    settings: &Settings,
    secrets: Option<Arc<dyn Secrets>>,
    chance: &Arc<dyn Chance>,
) -> anyhow::Result<Arc<orcabus::Client>> {
    let share = &settings.share;
    let secrets = secrets.ok_or_else(|| {
        Misconfigured("OrcaBus needs backend = \"aws\": its token is in Secrets Manager".into())
    })?;
    let transport = ReqwestTransport::bounded(settings.icav2.timeout, LARGEST_ANSWER)?;
    let of = orcabus::Settings {
        url: share.orcabus_url.clone(),
        zone: share.orcabus_zone.clone(),
        token_secret_id: share.orcabus_token_secret_id.clone(),
    };
    Ok(Arc::new(orcabus::Client::new(Arc::new(transport), secrets, chance.clone(), of)))
}
