//! What can be set about the database of a replica.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;

pub use crate::domain::replica::settings::{Adopt, Refresh, Reinit};
use crate::{domain::replica::treat::Tables, ports};

/// Where the address of a database is kept.
#[async_trait]
pub trait Whereabouts: Send + Sync + fmt::Debug {
    /// The address as it is now. It is asked for again when the one at hand lets nobody in.
    async fn address(&self) -> ports::Result<SecretString>;
}

/// The database of a replica.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is, in libpq's form: an URL, or `key=value` pairs.
    pub database_url: SecretString,
    /// Where that is kept, if it may change.
    pub whereabouts: Option<Arc<dyn Whereabouts>>,
    /// The schema of what is ours alone.
    pub staging_schema: String,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// How often a change of a definition is tried while others hold the table.
    pub lock_attempts: u32,
    /// The pause after the first try; each later one is twice as long.
    pub lock_pause: Duration,
    /// What is done with a table that nobody speaks of.
    pub adopt: Adopt,
    /// How a new snapshot comes into a table that is there.
    pub reinit: Reinit,
    /// When materialised views that were made again are filled.
    pub refresh: Refresh,
    /// The tables of which former versions of rows are kept.
    pub history: Tables,
    /// How long those of logs are kept; zero: as those of other tables.
    pub retention: Duration,
}

impl Settings {
    /// That database; the rest as it is by default.
    pub fn new(database_url: SecretString) -> Self {
        Self {
            database_url,
            whereabouts: None,
            staging_schema: "copy_manager".to_owned(),
            lock_timeout: Duration::from_secs(10),
            lock_attempts: 5,
            lock_pause: Duration::from_secs(2),
            adopt: Adopt::default(),
            reinit: Reinit::default(),
            refresh: Refresh::default(),
            history: Tables::default(),
            retention: Duration::from_hours(400 * 24),
        }
    }
}
