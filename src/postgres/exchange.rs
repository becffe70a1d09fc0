//! A table is exchanged for another: what depends on the one is made again over the other.

use tokio_postgres::Transaction;

use super::{
    dependents::{Dependents, Touched},
    evolve::{self, Made},
    failure,
    settings::Refresh,
};
use crate::ports::replica::Result;

/// What was taken away from a table that goes.
#[derive(Debug)]
pub(super) struct Exchange {
    dependents: Dependents,
    made: Made,
}

impl Exchange {
    /// Takes the views away from a table, whose name is given as a statement takes it; then it can be
    /// dropped.
    ///
    /// What cannot be made again as it was is
    /// [`Trouble::Dependents`](crate::ports::replica::Trouble::Dependents). After any error the transaction
    /// is to be rolled back: then nothing has changed.
    pub(super) async fn begin(tx: &Transaction<'_>, live: &str) -> Result<Self> {
        let failed = failure::of("SELECT pg_class");
        let row = tx.query_one("SELECT $1::text::regclass::oid", &[&live]).await.map_err(&failed)?;
        let oid: u32 = row.try_get(0).map_err(&failed)?;
        let dependents = Dependents::locked(tx, oid, live, Touched::All).await?;
        dependents.hindered()?;
        let mut made = Made::default();
        evolve::run(tx, dependents.drops(), &mut made).await?;
        Ok(Self { dependents, made })
    }

    /// Gives to the table that has taken the name what the former one had (owner, privileges, settings,
    /// indexes, statistics, triggers, rules), and makes the views again.
    pub(super) async fn end(self, tx: &Transaction<'_>, refresh: Refresh) -> Result<Made> {
        let Self { dependents, mut made } = self;
        evolve::run(tx, dependents.makes(), &mut made).await?;
        made.evolved.remade = dependents.names();
        made.evolved.notes.extend(dependents.notes.iter().cloned());
        evolve::fill(tx, &dependents, refresh, &mut made).await?;
        Ok(made)
    }
}
