//! The replica in PostgreSQL: the adapter of [`crate::ports::replica::Replica`]. The only place with
//! SQL.
//!
//! A session per loader, which holds the advisory lock of its table; no pool. Every name gets into a
//! statement by [`quote`], every value is a parameter or data of a COPY.

mod address;
mod catalogue;
mod compare;
mod constraints;
mod ddl;
#[cfg(feature = "simulator")]
pub mod demo;
mod dependents;
mod ending;
mod enumerations;
mod evolve;
mod exchange;
mod failure;
mod guard;
mod history;
mod kinds;
mod lines;
mod loader;
mod locks;
mod meta;
mod own;
mod place;
mod quote;
mod session;
pub mod settings;
mod staging;
mod statements;
mod syncing;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
pub use settings::Settings;

use self::{address::Address, loader::Loader, own::Own, session::Session};
use crate::{
    domain::replica::names::TableName,
    ports::{
        error::Class,
        replica::{self, Replica, Result, Standing, Trouble},
    },
};

/// A database with a replica.
#[derive(Clone)]
pub struct Postgres {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    /// As it was last found to be.
    address: Mutex<Arc<Address>>,
    own: Own,
}

impl Shared {
    /// Connects. Where a login is refused and the address is kept elsewhere, once more with what is there by now.
    async fn connect(&self) -> Result<Session> {
        let wait = self.settings.lock_timeout;
        let at_hand = self.address.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = match Session::connect(&at_hand, wait).await {
            Err(Trouble::Port(error)) if error.class == Class::Forbidden => error,
            connected => return connected,
        };
        let Some(whereabouts) = &self.settings.whereabouts else { return Err(refused.into()) };
        let now = address::read(&whereabouts.address().await?).map_err(Trouble::Refused)?;
        let session = Session::connect(&now, wait).await?;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
        Ok(session)
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres")
            .field("staging_schema", &self.shared.settings.staging_schema)
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// That database. Connects to nothing; an address that cannot be read is refused.
    pub fn new(settings: Settings) -> Result<Self> {
        let address = address::read(&settings.database_url).map_err(Trouble::Refused)?;
        let (address, own) = (Mutex::new(Arc::new(address)), Own::new(&settings.staging_schema));
        Ok(Self { shared: Arc::new(Shared { settings, address, own }) })
    }
}

#[async_trait]
impl Replica for Postgres {
    async fn open(&self, table: &TableName) -> Result<Option<Box<dyn replica::Loader>>> {
        let mut session = self.shared.connect().await?;
        session.refuse_unfit().await?;
        if !session.lock(table).await? {
            return Ok(None);
        }
        loader::make_ready(&mut session, &self.shared.own, &table.namespace).await?;
        Ok(Some(Box::new(Loader::new(Arc::clone(&self.shared), session, table.clone()))))
    }

    async fn standing(&self, namespace: &str) -> Result<Vec<Standing>> {
        let session = self.shared.connect().await?;
        if !meta::is_ready(&*session).await? {
            return Ok(Vec::new());
        }
        let Own { rejected, .. } = &self.shared.own;
        let rejected = meta::is_there(&*session, rejected).await?.then_some(rejected.as_str());
        meta::rows(&session, namespace, rejected).await
    }
}
