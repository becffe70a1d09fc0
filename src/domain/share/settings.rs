//! What can be set about sharing (`[share]`). Keys and defaults are explained in `config/default.toml`.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{
    claims::ClaimScopes, deliver::Deliver, destination::Destination, filters::WorkflowFilters,
    jobs::Approval, restores::RestorePrices, rules::ShareRules, templates::Template, tokens::TokenEntry,
};
use crate::domain::{
    copy_out::{Thaw, ThawParams, ThawSpeed},
    duration_text,
    ids::RequestId,
    outcome::{ErrorName, Failure, culprit},
    policy::Glob,
};

/// `[share]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareSettings {
    /// Where the API listens; none: it does not.
    #[serde(default, deserialize_with = "unless_empty")]
    pub listen: Option<SocketAddr>,
    /// Where callers reach it, as links say.
    #[serde(default, deserialize_with = "unless_empty")]
    pub public_url: Option<Url>,
    /// How callers show who they are.
    pub auth: Auth,
    /// Those who are let in.
    pub tokens: Vec<TokenEntry>,
    /// The issuer of tokens, as its tokens name it.
    #[serde(default)]
    pub oidc_issuer: String,
    /// For whom its tokens must be.
    #[serde(default)]
    pub oidc_audience: String,
    /// What callers may do, by their claims; none: everybody may look.
    pub oidc_scopes: Vec<ClaimScopes>,
    /// Whether something in front of the API checks tokens.
    pub behind_gateway: bool,
    /// Where reports and scripts are kept: `s3://bucket/prefix/`, or a folder.
    #[serde(default)]
    pub artifacts: String,
    /// For how long a package may be pushed.
    #[serde(with = "duration_text")]
    pub expires_after: Duration,
    /// For how long packages and pushes are listed.
    #[serde(with = "duration_text")]
    pub keep: Duration,
    /// Files of one package.
    pub max_files: u64,
    /// Bytes of a sum that lies beside a file; 0: none are looked for.
    pub sum_file_bytes: u64,
    /// Files of a package that are read for their sums at a time.
    pub sum_reads: NonZeroU32,
    /// Where packages' files are looked up.
    #[serde(default)]
    pub inventory: InventoryChoice,
    /// Where files lie, for `listing`.
    #[serde(default)]
    pub templates: Vec<Template>,
    /// Where libraries are looked up.
    #[serde(default)]
    pub metadata: MetadataChoice,
    /// Where OrcaBus's services are, with `{service}` for the name of one and `{zone}` for the zone.
    pub orcabus_url: String,
    /// OrcaBus's zone.
    #[serde(default)]
    pub orcabus_zone: String,
    /// The secret that holds OrcaBus's token.
    #[serde(default)]
    pub orcabus_token_secret_id: String,
    /// Tables of the files that are known: `s3://bucket/key`, or paths.
    pub catalogue: Vec<String>,
    /// The table of what is known of libraries; empty: nothing is.
    #[serde(default)]
    pub lims: String,
    /// Files of workflows that are taken, by patterns.
    pub workflow_filters: WorkflowFilters,
    /// Names of workflows that may be asked for.
    pub workflow_names: WorkflowNames,
    /// Which projects may go where.
    pub rules: ShareRules,
    /// What the links in a script are.
    pub presign: Presign,
    /// For how long an address is good that a link of our own leads to.
    #[serde(with = "duration_text")]
    pub link_lifetime: Duration,
    /// Links of our own that a package may have.
    pub max_links: u32,
    /// For how long links in a script must be good.
    #[serde(with = "duration_text")]
    pub presign_least: Duration,
    /// For how many days the copies of archived reads stay that are restored for a package.
    pub restore_days: NonZeroU32,
    /// How fast they are restored.
    pub restore_speed: ThawSpeed,
    /// What restores cost, and how long they take.
    pub restore_prices: RestorePrices,
    /// What is put beside the files of a push that does not say it.
    pub deliver: Vec<Deliver>,
    /// Calls a minute of one address that follow links; 0: as many as come.
    pub door_rate: u32,
    /// Proxies between callers and the API, each of which adds an address to `X-Forwarded-For`.
    pub trusted_proxies: u8,
    /// Calls a minute of one address with tokens that are not known; 0: as many as come.
    pub failed_token_rate: u32,
    /// The `source` of state changes.
    pub event_source: String,
    /// The file of what is shared by itself: `s3://bucket/key`, or a path; empty: nothing is.
    #[serde(default)]
    pub auto_jobs: String,
    /// Who lets go what is shared by itself, where its job does not say so.
    pub auto_approval: Approval,
    /// Where the API of Slack is, where people are asked to approve packages: a URL that ends with a `/`.
    pub slack_url: String,
    /// The secret with the channel, and who may approve; empty: nobody is asked.
    #[serde(default)]
    pub slack_config_secret_id: String,
    /// The secret with the token of the bot that asks.
    pub slack_bot_token_secret_id: String,
    /// The secret by which it is known that an answer comes from Slack.
    pub slack_signing_secret_id: String,
    /// Where pushes may go, by patterns of their URIs; empty: wherever `[policy]` lets them.
    pub destinations: Vec<Glob>,
}

impl ShareSettings {
    /// Whether pushes may go there.
    pub fn check_destination(&self, to: &Destination) -> Result<(), Failure> {
        let uri = to.uri();
        if self.destinations.is_empty() || self.destinations.iter().any(|pattern| pattern.matches(&uri)) {
            return Ok(());
        }
        let why = "pushes may not go there (share.destinations)";
        Err(culprit(ErrorName::PolicyDenied, format!("{why}: {uri}"), &uri, why))
    }
}

impl ShareSettings {
    /// Where callers reach the API, as far as it is set; empty where it is not.
    #[must_use]
    pub fn address(&self) -> String {
        self.public_url.as_ref().map(Url::to_string).unwrap_or_default()
    }

    /// Where more is told of a package or a push, below the address at which callers reach the API.
    #[must_use]
    pub fn link(base: &str, id: &RequestId) -> String {
        format!("{}/v1/requests/{id}", base.trim_end_matches('/'))
    }

    /// How archived reads are restored for a package.
    #[must_use]
    pub fn thaw(&self) -> ThawParams {
        let thaw = |speed| Thaw { days: self.restore_days.get(), speed };
        // Nothing comes back from the deep archives within minutes.
        let deep = match self.restore_speed {
            ThawSpeed::Expedited => ThawSpeed::Standard,
            speed @ (ThawSpeed::Bulk | ThawSpeed::Standard) => speed,
        };
        ThawParams {
            glacier: thaw(self.restore_speed),
            deep_archive: thaw(deep),
            tiering_archive: thaw(self.restore_speed),
            tiering_deep_archive: thaw(deep),
        }
    }

    /// From when on a package is too old to be shared.
    #[must_use]
    pub fn expires_at(&self, asked_at: Timestamp) -> Timestamp {
        let lasts = SignedDuration::try_from(self.expires_after).unwrap_or(SignedDuration::MAX);
        asked_at.checked_add(lasts).unwrap_or(Timestamp::MAX)
    }
}

/// How callers of the API show who they are (`share.auth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// By one of `share.tokens`.
    #[default]
    Token,
    /// By a token of `share.oidc_issuer`.
    Oidc,
    /// By a token that something in front of the API has checked.
    Gateway,
    /// Not at all; on the loopback interface alone.
    None,
}

/// What the links in a script are (`share.presign`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presign {
    /// Addresses of S3, which end with our credentials.
    #[default]
    S3,
    /// Links of our own, which can be taken back and are counted.
    Links,
}

/// Where the files of packages are looked up (`share.inventory`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InventoryChoice {
    /// In the tables of `share.catalogue`.
    #[default]
    Catalogue,
    /// In buckets, where `share.templates` says.
    Listing,
    /// In OrcaBus.
    Orcabus,
}

/// Where libraries are looked up (`share.metadata`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataChoice {
    /// In the table `share.lims`, if there is one.
    #[default]
    Lims,
    /// In OrcaBus.
    Orcabus,
}

/// Where OrcaBus's services are unless it is said.
const ORCABUS_URL: &str = "https://{service}.{zone}/api/v1";

/// Names of workflows that may be asked for (`share.workflow_names`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowNames {
    /// Those that the service knows.
    #[default]
    Known,
    /// Any.
    Any,
}

impl Default for ShareSettings {
    /// As in `config/default.toml`, without filters.
    fn default() -> Self {
        Self {
            listen: None,
            public_url: None,
            auth: Auth::Token,
            tokens: Vec::new(),
            oidc_issuer: String::new(),
            oidc_audience: String::new(),
            oidc_scopes: Vec::new(),
            behind_gateway: false,
            artifacts: String::new(),
            expires_after: Duration::from_hours(720),
            keep: Duration::from_hours(8760),
            max_files: 200_000,
            sum_file_bytes: 4096,
            sum_reads: NonZeroU32::MIN.saturating_add(3),
            inventory: InventoryChoice::Catalogue,
            templates: Vec::new(),
            metadata: MetadataChoice::Lims,
            orcabus_url: ORCABUS_URL.to_owned(),
            orcabus_zone: String::new(),
            orcabus_token_secret_id: String::new(),
            catalogue: Vec::new(),
            lims: String::new(),
            workflow_filters: WorkflowFilters::default(),
            workflow_names: WorkflowNames::Known,
            rules: ShareRules::default(),
            presign: Presign::S3,
            link_lifetime: Duration::from_hours(1),
            max_links: 1000,
            presign_least: Duration::from_hours(144),
            restore_days: NonZeroU32::MIN.saturating_add(6),
            restore_speed: ThawSpeed::Bulk,
            restore_prices: RestorePrices::default(),
            deliver: Vec::new(),
            door_rate: 6000,
            trusted_proxies: 0,
            failed_token_rate: 60,
            event_source: "orcabus.datasharing".to_owned(),
            auto_jobs: String::new(),
            auto_approval: Approval::None,
            slack_url: "https://slack.com/api/".to_owned(),
            slack_config_secret_id: String::new(),
            slack_bot_token_secret_id: "auto-data-sharing-slack-bot-token".to_owned(),
            slack_signing_secret_id: "auto-data-sharing-slack-signing-secret".to_owned(),
            destinations: Vec::new(),
        }
    }
}

/// A text that is read unless it is empty.
fn unless_empty<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_back_from_the_deep_archives_within_minutes() {
        let of = |restore_speed| ShareSettings { restore_speed, ..ShareSettings::default() }.thaw();
        let thaw = |speed| Thaw { days: 7, speed };
        let fast = of(ThawSpeed::Expedited);
        assert_eq!(
            (fast.glacier, fast.tiering_archive),
            (thaw(ThawSpeed::Expedited), thaw(ThawSpeed::Expedited))
        );
        assert_eq!(fast.deep_archive, thaw(ThawSpeed::Standard));
        assert_eq!(fast.tiering_deep_archive, thaw(ThawSpeed::Standard));
        assert_eq!(of(ThawSpeed::Bulk).deep_archive, thaw(ThawSpeed::Bulk));
    }
}
