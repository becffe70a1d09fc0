//! What can be set about the client. Keys and defaults are explained in `config/default.toml`.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;

use crate::{domain::policy::Glob, ports};

/// What is called. Rates are published for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// A question for data.
    CreateJob,
    /// A look at a job.
    GetJob,
    /// The list of tables.
    List,
    /// The schema of a table.
    Schema,
    /// The address of a file.
    ObjectUrl,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::CreateJob, Self::GetJob, Self::List, Self::Schema, Self::ObjectUrl];

    /// Its name in settings and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateJob => "create_job",
            Self::GetJob => "get_job",
            Self::List => "list",
            Self::Schema => "schema",
            Self::ObjectUrl => "object_url",
        }
    }
}

/// Calls a minute for the whole account; 0: as many as one likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Questions for data.
    pub create_job: u32,
    /// Looks at jobs.
    pub get_job: u32,
    /// Lists of tables.
    pub list: u32,
    /// Schemas.
    pub schema: u32,
    /// Addresses of files.
    pub object_url: u32,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self { create_job: 0, get_job: 0, list: 0, schema: 0, object_url: 0 };

    /// The limit of an endpoint.
    #[must_use]
    pub const fn of(&self, endpoint: Endpoint) -> u32 {
        match endpoint {
            Endpoint::CreateJob => self.create_job,
            Endpoint::GetJob => self.get_job,
            Endpoint::List => self.list,
            Endpoint::Schema => self.schema,
            Endpoint::ObjectUrl => self.object_url,
        }
    }
}

impl Limits {
    /// Reads limits as settings write them, as `create_job=5`; those that no line names are as they are published.
    ///
    /// # Errors
    ///
    /// What is wrong with a line, in one sentence.
    pub fn read<S: AsRef<str>>(lines: &[S]) -> Result<Self, String> {
        let mut limits = Self::default();
        for line in lines.iter().map(AsRef::as_ref) {
            let known = || Endpoint::ALL.map(Endpoint::name).join(", ");
            let wrong = || format!("{line:?} is not NAME=count, where NAME is one of {}", known());
            let (name, count) = line.split_once('=').ok_or_else(wrong)?;
            let count = count.trim().parse().map_err(|_| wrong())?;
            let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.name() == name.trim());
            match endpoint.ok_or_else(wrong)? {
                Endpoint::CreateJob => limits.create_job = count,
                Endpoint::GetJob => limits.get_job = count,
                Endpoint::List => limits.list = count,
                Endpoint::Schema => limits.schema = count,
                Endpoint::ObjectUrl => limits.object_url = count,
            }
        }
        Ok(limits)
    }
}

impl Default for Limits {
    /// As they are published.
    fn default() -> Self {
        Self { create_job: 5, get_job: 500, list: 5, schema: 500, object_url: 200 }
    }
}

/// A client of the platform.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Its id, as `us-east-1#…`.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

/// Where a client's id and secret are kept.
#[async_trait]
pub trait Keyring: Send + Sync + fmt::Debug {
    /// Both as they are now. They are asked for again when those at hand are refused.
    async fn credentials(&self) -> ports::Result<Credentials>;
}

/// How the platform is called (the calling part of `[canvas]`).
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is; what follows starts with `/dap` or `/ids`. Over TLS, unless it is this machine.
    pub base_url: String,
    /// The client's id, as `us-east-1#…`.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Where both are kept, if they may change.
    pub keyring: Option<Arc<dyn Keyring>>,
    /// Hosts that addresses of files may lead to. Where `base_url` is this machine, this machine too.
    pub url_hosts: Vec<Glob>,
    /// Calls a minute for the whole account.
    pub limits: Limits,
    /// How long such a minute is. Tests shorten it.
    pub minute: Duration,
    /// How long a call waits for a place in the minute before it is handed back.
    pub patience: Duration,
    /// How long one call may take, and a download until its head is there.
    pub timeout: Duration,
    /// After how long without a byte a download is given up.
    pub stalled_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://api-gateway.instructure.com".to_owned(),
            client_id: String::new(),
            client_secret: SecretString::default(),
            keyring: None,
            url_hosts: Glob::try_from("*.amazonaws.com".to_owned()).into_iter().collect(),
            limits: Limits::default(),
            minute: Duration::from_mins(1),
            patience: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            stalled_after: Duration::from_mins(1),
        }
    }
}
