//! `[icav2]`: one section for those who write it, two kinds of settings for those who read it.

use std::{num::NonZeroU32, time::Duration};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use crate::{
    domain::{duration_text, hosts::UrlHosts, policy::Glob},
    engine::settings::{JobSettings, SameProject},
};

/// `[icav2]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Icav2 {
    /// Where the API is; what follows starts with `/api`.
    pub base_url: String,
    /// The secret in Secrets Manager that holds the bearer token.
    pub token_secret_id: Option<String>,
    /// A bearer token.
    #[serde(default, deserialize_with = "secret")]
    pub access_token: Option<SecretString>,
    /// A key that bearer tokens are made from.
    #[serde(default, deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// Calls per second of this instance.
    pub requests_per_second: NonZeroU32,
    /// How long one call may take.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
    /// Where S3 is, for data outside ICAv2; none: AWS.
    pub s3_endpoint_url: Option<String>,
    /// Hosts that presigned URLs may lead to, besides that of `base_url`.
    pub url_hosts: Vec<Glob>,
    /// See [`JobSettings::max_running_jobs`].
    pub max_running_jobs: u32,
    /// See [`JobSettings::express_slots`].
    pub express_slots: u32,
    /// See [`JobSettings::max_items_per_job`].
    pub max_items_per_job: usize,
    /// See [`JobSettings::same_project_copies`].
    pub same_project_copies: SameProject,
    /// See [`JobSettings::batch_window`].
    #[serde(with = "duration_text")]
    pub batch_window: Duration,
    /// See [`JobSettings::max_attempts`].
    pub max_attempts: u32,
    /// See [`JobSettings::poll_interval`].
    #[serde(with = "duration_text")]
    pub poll_interval: Duration,
    /// See [`JobSettings::settle`].
    #[serde(with = "duration_text")]
    pub settle: Duration,
    /// See [`JobSettings::abandoned_after`].
    #[serde(with = "duration_text")]
    pub abandoned_after: Duration,
    /// See [`JobSettings::submit_settle`].
    #[serde(with = "duration_text")]
    pub submit_settle: Duration,
}

impl Icav2 {
    /// The part that the engine schedules copy jobs by.
    #[must_use]
    pub const fn jobs(&self) -> JobSettings {
        JobSettings {
            max_running_jobs: self.max_running_jobs,
            express_slots: self.express_slots,
            max_items_per_job: self.max_items_per_job,
            same_project_copies: self.same_project_copies,
            batch_window: self.batch_window,
            max_attempts: self.max_attempts,
            poll_interval: self.poll_interval,
            settle: self.settle,
            abandoned_after: self.abandoned_after,
            submit_settle: self.submit_settle,
        }
    }

    /// Where presigned URLs may lead.
    #[must_use]
    pub fn url_hosts(&self) -> UrlHosts {
        UrlHosts::new(&self.url_hosts, &self.base_url)
    }

    /// Whether there is anything to call ICAv2 with.
    #[must_use]
    pub const fn has_credentials(&self) -> bool {
        self.token_secret_id.is_some() || self.access_token.is_some() || self.api_key.is_some()
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}
