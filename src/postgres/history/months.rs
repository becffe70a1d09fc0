//! Partitions of a history by month: made when their month comes, dropped whole when all of it is old enough.

use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    domain::replica::names::TableName,
    ports::replica::{Result, Trouble},
    postgres::{catalogue, failure, meta, own::Own, quote, session::Session, staging},
};

/// Partitions by the time where they end; one without an end, or for whatever is in no other, has none.
const OLD: &str = "SELECT c.relname::text, n.nspname::text FROM pg_inherits i \
    JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE i.inhparent = to_regclass($1) \
    AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([^'']+)''\\)')::timestamp \
        <= $2::text::timestamp ORDER BY 1";
/// Whether there is room for rows of that time.
const COVERED: &str = "SELECT c.relkind <> 'p' OR EXISTS (SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid \
    WHERE i.inhparent = c.oid AND (pg_get_expr(p.relpartbound, p.oid) = 'DEFAULT' \
    OR tsrange(substring(pg_get_expr(p.relpartbound, p.oid) FROM 'FROM \\(''([^'']+)''\\)')::timestamp, \
        substring(pg_get_expr(p.relpartbound, p.oid) FROM 'TO \\(''([^'']+)''\\)')::timestamp) \
        @> $2::text::timestamp)) \
    FROM pg_class c WHERE c.oid = to_regclass($1)";

/// The first day of a month, and that of the next one.
fn month(at: Timestamp) -> Result<(Date, Date)> {
    let first = at.to_zoned(TimeZone::UTC).date().first_of_month();
    let next = first.last_of_month().tomorrow().map_err(|error| Trouble::Refused(error.to_string()))?;
    Ok((first, next))
}

/// `{table}_y2026m11`.
fn name(table: &str, first: Date) -> String {
    quote::fitting(&format!("{table}_y{:04}m{:02}", first.year(), first.month()))
}

/// Makes the partition for rows that end then, where there is none.
pub(super) async fn make(session: &mut Session, place: &TableName, at: Timestamp) -> Result<()> {
    let into = catalogue::live(place);
    let covered = session.query_opt(COVERED, &[&into, &meta::shown(at)]).await;
    let covered = covered.and_then(|row| row.map_or(Ok(true), |row| row.try_get::<_, bool>(0)));
    if covered.map_err(failure::of("look at partitions"))? {
        return Ok(());
    }
    let (first, next) = month(at)?;
    let partition = quote::within(&place.namespace, &name(&place.table, first));
    let statement =
        format!("CREATE TABLE {partition} PARTITION OF {into} FOR VALUES FROM ('{first}') TO ('{next}')");
    let tx = session.begin().await?;
    tx.batch_execute(&statement).await.map_err(failure::of("CREATE TABLE"))?;
    staging::commit(tx).await
}

/// Drops the partitions all of which is older. One that somebody holds or needs stays, and is tried again with the next
/// load.
pub(super) async fn drop_old(
    session: &mut Session,
    own: &Own,
    place: &TableName,
    at: Timestamp,
    retention: Duration,
) -> Result<()> {
    // A retention that leads out of time keeps everything.
    let Ok(before) = at.checked_sub(retention) else { return Ok(()) };
    let rows = session.query(OLD, &[&catalogue::live(place), &meta::shown(before)]).await;
    for row in rows.map_err(failure::of("look at partitions"))? {
        let got = || Ok((row.try_get(0)?, row.try_get(1)?));
        let (partition, schema): (String, String) = got().map_err(failure::of("look at partitions"))?;
        let drop = format!("DROP TABLE {}", quote::within(&schema, &partition));
        let tx = session.begin().await?;
        if tx.batch_execute(&drop).await.is_err() {
            tx.rollback().await.map_err(failure::of("ROLLBACK"))?;
            continue;
        }
        own.note_changes(&tx, place, &[drop], "the partition is older than is kept").await?;
        staging::commit(tx).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_one_begins() {
        let (first, next) = month("2026-12-31T23:59:59.999999Z".parse().unwrap()).unwrap();
        assert_eq!((first.to_string(), next.to_string()), ("2026-12-01".to_owned(), "2027-01-01".to_owned()));
        assert_eq!(name("web_logs", first), "web_logs_y2026m12");
        assert!(name(&"t".repeat(63), first).len() <= 63);
    }
}
