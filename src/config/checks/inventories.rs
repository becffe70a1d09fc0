//! Where files and libraries are looked up that are shared.

use url::Url;

use super::{Complaints, is_http};
use crate::{
    config::{Backend, Settings},
    domain::{
        hosts::is_loopback,
        share::settings::{InventoryChoice, MetadataChoice},
    },
};

impl Complaints {
    /// What one choice demands and another rules out: a setting that would not be used is a mistake.
    pub(super) fn inventories(&mut self, settings: &Settings) {
        let share = &settings.share;
        let (inventory, metadata) = (share.inventory, share.metadata);
        self.add_unless(
            share.templates.is_empty() == (inventory != InventoryChoice::Listing),
            "share.templates",
            "share.inventory",
            if share.templates.is_empty() {
                "must say where files lie with share.inventory = \"listing\""
            } else {
                "must be empty unless share.inventory = \"listing\": nothing else reads it"
            },
        );
        self.add_unless(
            share.catalogue.is_empty() || inventory == InventoryChoice::Catalogue,
            "share.catalogue",
            "share.inventory",
            "must be empty unless share.inventory = \"catalogue\": nothing else reads it",
        );
        self.add_unless(
            share.lims.is_empty() || metadata == MetadataChoice::Lims,
            "share.lims",
            "share.metadata",
            "must be empty unless share.metadata = \"lims\": nothing else reads it",
        );
        let by = match (inventory, metadata) {
            (InventoryChoice::Orcabus, _) => "share.inventory",
            (_, MetadataChoice::Orcabus) => "share.metadata",
            _ => return,
        };
        self.add_unless(
            !share.orcabus_token_secret_id.is_empty(),
            "share.orcabus_token_secret_id",
            by,
            "must name the secret of the token that OrcaBus is called with",
        );
        self.add_unless(
            settings.backend == Backend::Aws,
            by,
            "backend",
            "must not be \"orcabus\" without backend = \"aws\": the token is in Secrets Manager",
        );
        let is_zone = |zone: &str| zone.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c));
        self.add_unless(
            is_zone(&share.orcabus_zone)
                && (!share.orcabus_zone.is_empty() || !share.orcabus_url.contains("{zone}")),
            "share.orcabus_zone",
            by,
            "must be the name of the zone of OrcaBus's services: \"prod.umccr.org\"",
        );
        let url = share.orcabus_url.replace("{service}", "file").replace("{zone}", "example.org");
        let parsed = Url::parse(&url).ok().filter(|_| is_http(&url));
        let is_safe = |url: &Url| {
            (url.scheme() == "https" || url.host_str().is_some_and(is_loopback))
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
        };
        self.add_unless(
            share.orcabus_url.contains("{service}") && parsed.as_ref().is_some_and(is_safe),
            "share.orcabus_url",
            by,
            "must be a URL with {service} that starts with https:// (only this machine may be called without TLS)",
        );
    }
}
