//! What is kept of rows that change or go: their former versions, in a table of the same name in the schema
//! `{namespace}_history`, with the times between which they held.
//!
//! A version ends at the time of the data that brought its end. When it began is not to be seen from the table, which
//! is as the official client makes it: `since` of the staging schema has it, for rows that came or changed since the
//! load that history begins with. A version that was there before history was kept has no beginning.

mod months;
mod rows;
mod table;

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Transaction;

pub(super) use self::rows::Rows;
use self::table::Column;
use super::{
    catalogue, failure, locks::Patience, meta, own::Own, quote, session::Session, settings::Settings,
};
use crate::{domain::replica::names::TableName, ports::replica::Result};

/// The namespace whose source forgets rows after a while, and not because they are wrong.
const LOGS: &str = "canvas_logs";

/// How long former versions of a table are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// For ever.
    Always,
    /// In a partition a month, which goes as a whole when all of it is older.
    Months(Duration),
}

impl Keeping {
    /// As the settings say; `None`: none are kept.
    fn of(settings: &Settings, table: &TableName) -> Option<Self> {
        if table.namespace == LOGS && !settings.retention.is_zero() {
            return Some(Self::Months(settings.retention));
        }
        settings.history.holds(table).then_some(Self::Always)
    }
}

/// The history of a table, ready to be written.
#[derive(Debug)]
pub(super) struct History<'h> {
    own: &'h Own,
    table: &'h TableName,
    /// Where former versions go, quoted.
    into: String,
    /// The columns of the table that are kept.
    columns: Vec<Column>,
    /// The time of the data that are loaded, as a parameter.
    at: String,
    /// Whether it is known since when a row holds. Of a log, whose rows do not change, that would cost a row each.
    has_beginnings: bool,
}

/// The table that former versions of a table go to.
fn place(table: &TableName) -> TableName {
    TableName::new(quote::fitting(&format!("{}_history", table.namespace)), table.table.clone())
}

impl<'h> History<'h> {
    /// That of a table for what is loaded next, whose data are of `at`; `None`: none is kept. Its table is made, or
    /// follows the one that it is of, each in a transaction of its own.
    pub(super) async fn ready(
        session: &mut Session,
        settings: &Settings,
        own: &'h Own,
        table: &'h TableName,
        at: Timestamp,
    ) -> Result<Option<Self>> {
        let Some(keeping) = Keeping::of(settings, table) else { return Ok(None) };
        let place = place(table);
        let into = catalogue::live(&place);
        let mut patience = Patience::new(settings);
        let columns = loop {
            match table::ready(session, own, table, &place, keeping, settings.refresh).await {
                Ok(columns) => break columns,
                Err(trouble) => patience.after(session, &into, trouble).await?,
            }
        };
        let mut patience = Patience::new(settings);
        while let Err(trouble) = months::make(session, &place, at).await {
            patience.after(session, &into, trouble).await?;
        }
        if let Keeping::Months(retention) = keeping {
            months::drop_old(session, own, &place, at, retention).await?;
        }
        let has_beginnings = keeping == Keeping::Always;
        Ok(Some(Self { own, table, into, columns, at: meta::shown(at), has_beginnings }))
    }

    /// The table is loaded for the first time: its rows begin now.
    pub(super) async fn begin(&self, tx: &Transaction<'_>) -> Result<()> {
        forget(tx, self.own, self.table).await?;
        if !self.has_beginnings {
            return Ok(());
        }
        let statement = format!(
            "INSERT INTO {} (namespace, \"table\", key, since) VALUES ($1, $2, '{{}}', $3::text::timestamp)",
            self.own.since
        );
        let TableName { namespace, table } = self.table;
        let done = tx.execute(&statement, &[namespace, table, &self.at]).await;
        done.map(|_| ()).map_err(failure::of("note the beginning of a history"))
    }

    /// Keeps the rows that will change or go, and notes since when those hold that come. To be called before they do.
    pub(super) async fn keep(&self, tx: &Transaction<'_>, rows: &Rows) -> Result<(), tokio_postgres::Error> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let TableName { namespace, table } = self.table;
        tx.execute(&self.former(rows), &[namespace, table, &self.at]).await?;
        if self.has_beginnings {
            tx.execute(&rows.note(&self.own.since), &[namespace, table, &self.at]).await?;
        }
        Ok(())
    }

    /// The statement that keeps rows as they are. One that changes twice within one load has no time between.
    fn former(&self, rows: &Rows) -> String {
        let names = quote::names(self.columns.iter().map(|column| column.name.as_str()));
        // Numbered, so that no name of a column is met.
        let kept: Vec<_> = (0..self.columns.len()).map(|number| format!("k.c{number}")).collect();
        let value = |(number, column): (usize, &Column)| format!("{} AS c{number}", column.value);
        let values: Vec<_> = self.columns.iter().enumerate().map(value).collect();
        // Sought for each row by the whole key: joined, the server takes it for a few rows until it has looked at it.
        let begun = format!(
            "coalesce((SELECT s.since FROM {since} AS s WHERE s.namespace = $1 AND s.\"table\" = $2 AND s.key = {}), \
             (SELECT b.since FROM {since} AS b WHERE b.namespace = $1 AND b.\"table\" = $2 AND b.key = '{{}}'))",
            rows.key_of_live,
            since = self.own.since
        );
        format!(
            "INSERT INTO {into} ({names}, {from}, {to}) \
             SELECT {kept}, k.begun, greatest($3::text::timestamp, k.begun) \
             FROM (SELECT {values}, {begun} AS begun FROM {former} WHERE {which} OFFSET 0) AS k \
             ON CONFLICT DO NOTHING",
            into = self.into,
            from = quote::name(table::FROM),
            to = quote::name(table::TO),
            kept = kept.join(", "),
            values = values.join(", "),
            former = rows.former_from,
            which = rows.former_where,
        )
    }
}

/// Forgets since when the rows of a table hold: what happens to them from now on is not seen.
pub(super) async fn forget(tx: &Transaction<'_>, own: &Own, table: &TableName) -> Result<()> {
    let statement = format!("DELETE FROM {} WHERE namespace = $1 AND \"table\" = $2", own.since);
    let done = tx.execute(&statement, &[&table.namespace, &table.table]).await;
    done.map(|_| ()).map_err(failure::of("forget a history"))
}
