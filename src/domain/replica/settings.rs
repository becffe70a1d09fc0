//! What can be set about replicas (`[canvas]`). Keys and defaults are explained in `config/default.toml`.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use super::lines::FarDates;
use crate::domain::{duration_text, policy::Glob};

/// `[canvas]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanvasSettings {
    /// The name of these settings, in requests and schedules.
    pub instance: String,
    /// Where the Data Access Platform is.
    #[serde(deserialize_with = "address")]
    pub base_url: Url,
    /// The client's id.
    #[serde(default)]
    pub client_id: String,
    /// The client's secret.
    #[serde(default, deserialize_with = "secret")]
    pub client_secret: Option<SecretString>,
    /// Below which name of the Parameter Store both are, as `/prod/canvas_data_2`.
    #[serde(default)]
    pub credentials_ssm_path: String,
    /// The namespaces that are replicated.
    pub namespaces: Vec<String>,
    /// The tables of them; none: all.
    pub tables: Vec<String>,
    /// Tables that are left out.
    pub skip: Vec<String>,
    /// Tables that are asked for before all others.
    pub first: Vec<String>,
    /// The database.
    #[serde(default, deserialize_with = "secret")]
    pub database_url: Option<SecretString>,
    /// The secret of Secrets Manager that says where it is.
    #[serde(default)]
    pub database_secret_id: String,
    /// When runs begin by themselves.
    #[serde(default)]
    pub schedule: String,
    /// Within which time from then on.
    #[serde(with = "duration_text")]
    pub window: Duration,
    /// The zone of the schedule.
    pub zone: String,
    /// Tables of a run that are under way at a time.
    pub concurrency: u64,
    /// Sessions of an instance at a time.
    pub connections: usize,
    /// Files that an instance reads at a time.
    pub files_at_once: usize,
    /// How soon a job is looked at, at first.
    #[serde(with = "duration_text")]
    pub poll: Duration,
    /// And at last.
    #[serde(with = "duration_text")]
    pub poll_cap: Duration,
    /// Calls a minute by endpoint, as `create_job=5`.
    pub limits: Vec<String>,
    /// How long such a minute is.
    #[serde(with = "duration_text")]
    pub minute: Duration,
    /// How often a table is tried in a run.
    pub max_attempts: u32,
    /// How long a change of a table's definition waits for its lock.
    #[serde(with = "duration_text")]
    pub lock_timeout: Duration,
    /// The schema for what is loaded beside the tables, and for what is noted.
    pub staging_schema: String,
    /// What becomes of a table that is loaded anew.
    pub reinit: Reinit,
    /// What becomes of a table that is there and was never said to be loaded.
    pub adopt: Adopt,
    /// When materialised views that were made again are filled.
    pub refresh: Refresh,
    /// What becomes of times that readers cannot hold.
    pub far_dates: FarDates,
    /// What becomes of rows that cannot be stored.
    pub bad_rows: BadRows,
    /// When a run has failed.
    pub fails_when: FailsWhen,
    /// Changes of schemas that wait for a person, as `drop=hold`.
    pub on_change: Vec<String>,
    /// Columns that never arrive, as `users.sortable_name=drop`.
    pub columns: Vec<String>,
    /// The key by which columns are hashed.
    #[serde(default, deserialize_with = "secret")]
    pub hash_key: Option<SecretString>,
    /// Tables of which former rows are kept.
    pub history: Vec<String>,
    /// How long rows of logs are kept that their source has no more.
    #[serde(with = "duration_text")]
    pub retention: Duration,
    /// Who is told.
    pub notify: Vec<String>,
    /// When.
    pub notify_when: NotifyWhen,
    /// By which targets that are called over HTTPS know that it is us.
    #[serde(default, deserialize_with = "secret")]
    pub notify_secret: Option<SecretString>,
    /// From when on a table is told to be behind.
    #[serde(with = "duration_text")]
    pub stale_after: Duration,
    /// Where files are read from: patterns of hosts.
    pub url_hosts: Vec<Glob>,
    /// A file with further instances, or its text, which may hold secrets.
    #[serde(default, deserialize_with = "secret")]
    pub more: Option<SecretString>,
}

macro_rules! words {
    ($(#[$doc:meta] $name:ident { $($(#[$said:meta])+ $word:ident),+ })+) => {$(
        #[$doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$said])+ $word),+ }
    )+};
}

words! {
    /// What becomes of a table that is loaded anew.
    Reinit {
        /// It is brought to the rows of the snapshot.
        #[default]
        Merge,
        /// It is exchanged for the snapshot.
        Swap
    }
    /// What becomes of a table that is there and was never said to be loaded.
    Adopt {
        /// It is left alone.
        #[default]
        Refuse,
        /// It gives way.
        Replace
    }
    /// When materialised views that were made again are filled.
    Refresh {
        /// With the change.
        #[default]
        Inside,
        /// After it.
        After,
        /// Not by us.
        Never
    }
    /// What becomes of rows that cannot be stored.
    BadRows {
        /// They are put aside, and the rest is stored.
        #[default]
        PutAside,
        /// Their table fails.
        Fail
    }
    /// When a run has failed.
    FailsWhen {
        /// When a table has.
        #[default]
        Any,
        /// When all tables have.
        All,
        /// Never, if the tables could be listed.
        Never
    }
    /// When people are told.
    NotifyWhen {
        /// After each run.
        #[default]
        Always,
        /// When a table is not as it should be.
        Trouble,
        /// When something has changed that people should know.
        Change
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(SecretString::from))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

impl CanvasSettings {
    /// Whether a replica is kept at all: whether there is a client, or it is said where its credentials are.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.client_id.is_empty() || !self.credentials_ssm_path.is_empty()
    }
}
