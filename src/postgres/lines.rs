//! Lines on their way into a table.

use std::{pin::pin, sync::PoisonError};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_postgres::Transaction;

use super::{failure, own::Own, quote};
use crate::{
    domain::replica::{counts::Counts, names::TableName},
    ports::{
        error::{Class, Error},
        replica::{Findings, Part, Result, Trouble},
    },
};

/// Where lines go.
pub(super) struct Target<'t> {
    /// The table, quoted.
    pub quoted: &'t str,
    /// Its bare name, as an error's context has it.
    pub bare: &'t str,
    /// Columns before those of the part.
    pub before: &'t [&'t str],
}

/// Copies the lines of a part, as they come: the database's pace is theirs. Gives how many rows there were,
/// and what was found out about them.
pub(super) async fn copy(tx: &Transaction<'_>, target: &Target<'_>, part: Part) -> Result<(u64, Findings)> {
    let Part { number, columns, mut lines, findings } = part;
    let all: Vec<_> =
        target.before.iter().map(|name| (*name).to_owned()).chain(columns.iter().cloned()).collect();
    let statement = format!(
        "COPY {} ({}) FROM STDIN WITH (FORMAT text, ENCODING 'UTF8')",
        target.quoted,
        quote::names(all.iter().map(String::as_str))
    );
    let failed = |error: &tokio_postgres::Error| failure::of_copy(error, number, target.bare, &all);
    let mut sink = pin!(tx.copy_in::<_, Bytes>(&statement).await.map_err(|error| failed(&error))?);
    while let Some(chunk) = lines.next().await {
        // Dropped without an end, the sink tells the server to forget what it has got.
        let chunk = chunk.map_err(Trouble::Source)?;
        if !chunk.is_empty() {
            sink.feed(chunk).await.map_err(|error| failed(&error))?;
        }
    }
    let rows = sink.finish().await.map_err(|error| failed(&error))?;
    let findings = taken(&mut findings.lock().unwrap_or_else(PoisonError::into_inner));
    if findings.lines != 0 && findings.lines != rows {
        let said = format!("part {number}: of {} lines the database has taken {rows}", findings.lines);
        return Err(Error::new(Class::Invalid, "COPY", said).into());
    }
    Ok((rows, findings))
}

/// What was found out about lines. The rejected ones are not held twice; the rest is still to be told by who reads the
/// source.
fn taken(found: &mut Findings) -> Findings {
    let Findings { rejected, mended, lines, bytes } = found;
    Findings { rejected: std::mem::take(rejected), mended: mended.clone(), lines: *lines, bytes: *bytes }
}

/// Where rejected rows are put.
#[derive(Debug, Clone, Copy)]
pub(super) enum Aside<'a> {
    /// Beside the staged snapshot: they come or go with it.
    Staged,
    /// Where people look for them; they are of that job.
    Told(&'a str),
}

/// Counts of what was found out, and the rejected rows put aside.
pub(super) async fn settle(
    tx: &Transaction<'_>,
    own: &Own,
    table: &TableName,
    aside: Aside<'_>,
    findings: &Findings,
) -> Result<Counts> {
    match aside {
        Aside::Staged => own.stage_aside(tx, table, &findings.rejected).await?,
        Aside::Told(job) => own.put_aside(tx, table, job, &findings.rejected).await?,
    }
    Ok(Counts {
        noted: findings.mended.iter().map(|(_, _, times)| times).sum(),
        rejected: u64::try_from(findings.rejected.len()).unwrap_or(u64::MAX),
        bytes: findings.bytes,
        ..Counts::default()
    })
}
