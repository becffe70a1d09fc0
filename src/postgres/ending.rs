//! A staged snapshot becomes the table, or its rows become those of the table that is there.

use tokio_postgres::{Transaction, error::SqlState};

use super::{
    catalogue, constraints, evolve,
    exchange::Exchange,
    failure, guard,
    history::{self, History, Rows},
    meta::{self, Seen},
    own::Own,
    quote,
    session::{Session, as_others},
    settings::{Adopt, Reinit, Settings},
    staging::{self, Staged},
    statements::Flow,
};
use crate::{
    domain::replica::{counts::Counts, meta::MetaRow, names::TableName, shape::Shape},
    ports::replica::{Result, Trouble},
};

/// What an end is made of.
pub(super) struct End<'e> {
    pub settings: &'e Settings,
    pub own: &'e Own,
    pub table: &'e TableName,
    pub shape: &'e Shape,
    pub job: &'e str,
    pub seen: Option<&'e Seen>,
    pub meta: &'e MetaRow,
    /// Where former rows go, if they are kept.
    pub history: Option<&'e History<'e>>,
    /// Whether the rows that are there were loaded with other treatments of columns.
    pub is_retreated: bool,
}

impl End<'_> {
    fn key(&self) -> Vec<String> {
        self.shape.key().map(|column| column.name.clone()).collect()
    }

    /// Rows that came more than once.
    fn beside(&self) -> String {
        self.own.beside_quoted(self.table)
    }

    /// How many rows are staged, once each.
    async fn rows(&self, session: &Session) -> Result<u64> {
        let row = session.query_one(&format!("SELECT count(*) FROM {}", self.beside()), &[]).await;
        let rows = row.and_then(|row| row.try_get::<_, i64>(0)).map_err(failure::of("count"))?;
        Ok(rows.unsigned_abs())
    }

    /// One short transaction: the staged table becomes the table.
    pub(super) async fn put_in_place(
        &self,
        session: &mut Session,
        staged: &Staged,
    ) -> Result<(Counts, Seen)> {
        let rows = self.rows(session).await?;
        let (live, beside) = (catalogue::live(self.table), self.beside());
        let mut tx = session.begin().await?;
        meta::hold(&tx, self.table, self.seen).await?;
        let mut exchange = None;
        let is_first = self.seen.is_none() || catalogue::found(&tx, &live).await?.is_none();
        if catalogue::found(&tx, &live).await?.is_some() {
            refuse_stranger(self.settings, self.table, self.seen)?;
            if !is_first {
                let flow = self.flow(&tx).await?;
                self.carry(&mut tx, &flow).await?;
                // What did not come along goes.
                self.keep(&tx, &Flow { aside: None, ..flow }).await?;
            }
            if catalogue::is_partitioned(&tx, &live).await? {
                return Err(Trouble::Refused(format!(
                    "the table {} is partitioned, and another one in its place would not be: it can be merged into \
                     (`canvas.reinit` is `merge`), not exchanged",
                    self.table
                )));
            }
            exchange = Some(Exchange::begin(&tx, &live).await?);
            let drop = format!("DROP TABLE {live}");
            tx.batch_execute(&drop).await.map_err(|error| dependents(&error, "DROP TABLE"))?;
            self.own.note_changes(&tx, self.table, &[drop], "a new table takes its place").await?;
        }
        let TableName { namespace, table } = self.table;
        let key = quote::fitting(&format!("{}.key", Own::beside(self.table)));
        let key_to_be = self.key_name(&tx).await?;
        let between = quote::within(namespace, &Own::beside(self.table));
        let statements = [
            format!("ALTER TABLE {beside} RESET (autovacuum_enabled)"),
            format!("ALTER TABLE {beside} SET SCHEMA {}", quote::name(namespace)),
            format!("ALTER TABLE {between} RENAME TO {}", quote::name(table)),
            format!(
                "ALTER TABLE {live} RENAME CONSTRAINT {} TO {}",
                quote::name(&key),
                quote::name(&key_to_be)
            ),
        ];
        tx.batch_execute(&statements.join("; ")).await.map_err(failure::of("ALTER TABLE"))?;
        constraints::name_not_null(&tx, self.table).await?;
        let mut made = evolve::Made::default();
        if let Some(exchange) = exchange {
            made = exchange.end(&tx, self.settings.refresh).await?;
            let reason = "what depends on the table is made again";
            self.own.note_changes(&tx, self.table, &made.evolved.statements, reason).await?;
        }
        match self.history {
            Some(history) if is_first => history.begin(&tx).await?,
            Some(_) => {}
            None => history::forget(&tx, self.own, self.table).await?,
        }
        guard::set(&tx, self.own, self.table, staged.mark.as_deref()).await?;
        let seen = self.write_meta(&tx).await?;
        staging::commit(tx).await?;
        let _told = evolve::afterwards(session, made).await;
        let twice = staged.twice(rows);
        Ok((Counts { inserted: rows, twice, ..Counts::default() }, seen))
    }

    /// `pk_{table}`, as the server cuts it; with a hash where something else has that name.
    async fn key_name(&self, tx: &Transaction<'_>) -> Result<String> {
        let whole = format!("pk_{}", self.table.table);
        let name = quote::cut(&whole, crate::domain::replica::shape::LONGEST_NAME);
        if !meta::is_there(tx, &quote::within(&self.table.namespace, name)).await? {
            return Ok(name.to_owned());
        }
        let number = quote::number(&whole);
        Ok(format!("{}_{number:016x}", quote::cut(&whole, 40)))
    }

    /// The row of `table_sync`, and no more of what was staged.
    async fn write_meta(&self, tx: &Transaction<'_>) -> Result<Seen> {
        let seen = meta::write(tx, self.table, self.seen, self.meta).await?;
        self.own.bring_aside(tx, self.table, self.job).await?;
        staging::forget_notes(tx, self.own, self.table).await?;
        Ok(seen)
    }

    /// The snapshot on its way into the table that is there.
    async fn flow(&self, tx: &Transaction<'_>) -> Result<Flow> {
        let (live, key) = (catalogue::live(self.table), self.key());
        let there = catalogue::types(tx, &live).await?;
        let comes = |name: &String| !key.contains(name) && self.shape.column(name).is_some();
        let values = there.into_iter().filter(|(name, _)| comes(name)).collect();
        // What was treated otherwise may hold what is to be held nowhere any more: it does not stay.
        let aside = if self.is_retreated { None } else { self.own.staged_aside(tx, self.table).await? };
        let is_partitioned = catalogue::is_partitioned(tx, &live).await?;
        Ok(Flow { live, from: self.beside(), key, values, is_partitioned, aside })
    }

    /// Takes over the rows whose new version was put aside, as far as they fit the table that comes.
    async fn carry(&self, tx: &mut Transaction<'_>, flow: &Flow) -> Result<()> {
        let Some(statement) = flow.carry(&catalogue::types(tx, &flow.from).await?) else { return Ok(()) };
        let inner = tx.savepoint("carry").await.map_err(failure::of("SAVEPOINT"))?;
        match inner.execute(&statement, &[]).await {
            Ok(_) => inner.commit().await.map_err(failure::of("RELEASE")),
            Err(error) if failure::is_unfit(&error) => {
                inner.rollback().await.map_err(failure::of("ROLLBACK TO"))
            }
            Err(error) => Err(failure::of("INSERT")(error)),
        }
    }

    /// Keeps the rows that a snapshot changes or lacks. Of those that were treated otherwise it cannot be told
    /// whether they have changed, and they may hold what is to be held nowhere any more: their history begins
    /// anew.
    async fn keep(&self, tx: &Transaction<'_>, flow: &Flow) -> Result<()> {
        let Some(history) = self.history else {
            return history::forget(tx, self.own, self.table).await;
        };
        if self.is_retreated {
            return history.begin(tx).await;
        }
        history.keep(tx, &Rows::of_snapshot(flow)).await.map_err(|error| unkeyed(&error, 0))
    }

    /// One transaction: the rows of the table that is there become those of the snapshot.
    pub(super) async fn merge(&self, session: &mut Session, staged: &Staged) -> Result<(Counts, Seen)> {
        let rows = self.rows(session).await?;
        let beside = self.beside();
        let tx = session.begin().await?;
        meta::hold(&tx, self.table, self.seen).await?;
        let flow = self.flow(&tx).await?;
        self.keep(&tx, &flow).await?;
        as_others(&tx, &flow.live).await?;
        let deleted = tx.execute(&flow.delete_others(), &[]).await;
        let deleted = deleted.map_err(|error| failure::of_rows("DELETE", &error, 0))?;
        let (inserted, changed) = counted(&tx, &flow.merge()).await.map_err(|error| unkeyed(&error, 0))?;
        guard::set(&tx, self.own, self.table, staged.mark.as_deref()).await?;
        let seen = self.write_meta(&tx).await?;
        tx.batch_execute(&format!("DROP TABLE {beside}")).await.map_err(failure::of("DROP TABLE"))?;
        staging::commit(tx).await?;
        let unchanged = rows.saturating_sub(inserted + changed);
        let twice = staged.twice(rows);
        Ok((Counts { inserted, changed, deleted, unchanged, twice, ..Counts::default() }, seen))
    }

    /// Whether the table that is there is exchanged.
    pub(super) fn is_swap(&self) -> bool {
        self.settings.reinit == Reinit::Swap
    }
}

/// A table that no row of `table_sync` speaks of is somebody else's, unless it is said that it may go.
pub(super) fn refuse_stranger(settings: &Settings, table: &TableName, seen: Option<&Seen>) -> Result<()> {
    if seen.is_some() || settings.adopt == Adopt::Replace {
        return Ok(());
    }
    Err(Trouble::Refused(format!(
        "a table {table} is there of which instructure_dap.table_sync knows nothing, as a load of the \
         official client \
         that broke off leaves one; it is replaced if `canvas.adopt` is `replace`"
    )))
}

/// Runs a statement that counts: what was inserted, and what was changed.
pub(super) async fn counted(
    tx: &Transaction<'_>,
    statement: &str,
) -> Result<(u64, u64), tokio_postgres::Error> {
    let row = tx.query_one(statement, &[]).await?;
    Ok((row.try_get::<_, i64>(0)?.unsigned_abs(), row.try_get::<_, i64>(1)?.unsigned_abs()))
}

/// An upsert needs a key that nobody has dropped.
pub(super) fn unkeyed(error: &tokio_postgres::Error, part: usize) -> Trouble {
    if error.code() == Some(&SqlState::INVALID_COLUMN_REFERENCE) {
        let said = "the table has no primary key over the key of its source: somebody has dropped it";
        return Trouble::Refused(said.to_owned());
    }
    failure::of_rows("INSERT", error, part)
}

/// What stands in the way of a drop, as the server lists it.
pub(super) fn dependents(error: &tokio_postgres::Error, operation: &'static str) -> Trouble {
    let found = error.as_db_error().filter(|found| *found.code() == SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    match found.and_then(|found| found.detail()) {
        Some(detail) => Trouble::Dependents(detail.lines().map(str::to_owned).collect()),
        None => Trouble::Port(failure::port(operation, error)),
    }
}
