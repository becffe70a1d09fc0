//! A snapshot beside the table: made, loaded part by part, forgotten.

use jiff::Timestamp;
use tokio_postgres::{GenericClient, Transaction, error::SqlState};

use super::{
    catalogue, enumerations, failure, kinds,
    lines::{self, Aside, Target},
    meta,
    own::Own,
    quote,
    session::Session,
    statements::Flow,
};
use crate::{
    domain::replica::{counts::Counts, names::TableName, shape::Shape},
    ports::replica::{Part, Result, Trouble},
};

/// How many columns a table can have: the server takes 1,600, and changes come with two more.
const MOST_COLUMNS: usize = 1598;

/// Why a table cannot be replicated that has more columns.
pub(super) fn too_wide(table: &TableName) -> Trouble {
    Trouble::Refused(format!(
        "the table {table} has more than {MOST_COLUMNS} columns, which is the most that can be replicated: \
         `canvas.columns` can leave some of them out"
    ))
}

/// The snapshot that is staged for a table.
#[derive(Debug)]
pub(super) struct Staged {
    /// Its job.
    pub job: String,
    /// A hash of the shape that it has.
    shape: String,
    /// How its columns are treated.
    pub mark: Option<String>,
    /// The parts that are loaded.
    pub parts: Vec<usize>,
    /// The rows of these.
    pub rows: u64,
    /// The time that changes have brought it to.
    pub brought_to: Option<Timestamp>,
}

impl Staged {
    /// Whether it is of that shape, and its columns are so treated.
    pub(super) fn is_of(&self, shape: &Shape, mark: Option<&str>) -> bool {
        self.shape == hash(shape) && self.mark.as_deref() == mark
    }

    /// How many rows came more than once, if so many are there; where changes have come since, that is not known.
    pub(super) fn twice(&self, rows: u64) -> u64 {
        if self.brought_to.is_some() { 0 } else { self.rows.saturating_sub(rows) }
    }
}

/// What is staged for a table, where its table is there, too.
pub(super) async fn read(
    client: &impl GenericClient,
    own: &Own,
    table: &TableName,
) -> Result<Option<Staged>> {
    let asked = format!(
        "SELECT s.job, s.shape, s.mark, array_agg(p.part ORDER BY p.part) FILTER (WHERE p.part IS NOT NULL), \
         coalesce(sum(p.rows), 0)::bigint, {} FROM {} s LEFT JOIN {} p ON p.job = s.job \
         WHERE s.namespace = $1 AND s.\"table\" = $2 AND to_regclass($3) IS NOT NULL \
         GROUP BY s.job, s.shape, s.mark, s.brought_to",
        meta::time_of("s.brought_to"),
        own.staged,
        own.parts
    );
    let row = client.query_opt(&asked, &[&table.namespace, &table.table, &own.beside_quoted(table)]).await;
    let Some(row) = row.map_err(failure::of("look at what is staged"))? else { return Ok(None) };
    let got = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?));
    let failed = failure::of("look at what is staged");
    let (job, shape, mark, parts, rows): (String, String, Option<String>, Option<Vec<i32>>, i64) =
        got().map_err(&failed)?;
    let time: Option<String> = row.try_get(5).map_err(&failed)?;
    let brought_to = time.map(|time| meta::timestamp(&time, table)).transpose()?;
    let parts = parts.unwrap_or_default().into_iter().filter_map(|part| usize::try_from(part).ok()).collect();
    Ok(Some(Staged { job, shape, mark, parts, rows: rows.unsigned_abs(), brought_to }))
}

/// A hash by which a shape is known again.
fn hash(shape: &Shape) -> String {
    format!("{:x}", quote::number(&format!("{shape:?}")))
}

/// Makes the table for a job, or leaves the one that is there for it.
pub(super) async fn make(
    session: &mut Session,
    own: &Own,
    table: &TableName,
    job: &str,
    shape: &Shape,
    mark: Option<&str>,
) -> Result<Vec<usize>> {
    if shape.columns.len() > MOST_COLUMNS {
        return Err(too_wide(table));
    }
    let hash = hash(shape);
    if let Some(there) = read(&**session, own, table).await?
        && there.job == job
        && there.is_of(shape, mark)
    {
        return Ok(there.parts);
    }
    // Committed by itself: a label that an enumeration gets cannot be used before.
    let mut tx = session.begin().await?;
    meta::make_schema(&tx, &table.namespace).await?;
    forget(&tx, own, table).await?;
    enumerations::prepare(&mut tx, &table.namespace, shape).await?;
    commit(tx).await?;

    let tx = session.begin().await?;
    // Made where it will be, since the privileges that are given there by default are given to what is made there.
    let (beside, staging) = (quote::within(&table.namespace, &Own::beside(table)), quote::name(own.schema()));
    let columns: Vec<_> =
        shape.columns.iter().map(|column| kinds::definition(column, &table.namespace)).collect();
    // What a part that broke off has left stays where it is, so that the order of rows is that in which they came.
    let create = format!("CREATE TABLE {beside} ({}) WITH (autovacuum_enabled = false)", columns.join(", "));
    let mut statements = vec![create];
    if let Some(comment) = &shape.comment {
        statements.push(format!("COMMENT ON TABLE {beside} IS {}", quote::text(comment)));
    }
    for column in &shape.columns {
        if let Some(comment) = &column.comment {
            let name = quote::name(&column.name);
            statements.push(format!("COMMENT ON COLUMN {beside}.{name} IS {}", quote::text(comment)));
        }
    }
    statements.push(format!("ALTER TABLE {beside} SET SCHEMA {staging}"));
    tx.batch_execute(&statements.join("; ")).await.map_err(failure::of("CREATE TABLE"))?;
    let note = format!(
        "INSERT INTO {} (namespace, \"table\", job, shape, mark) VALUES ($1, $2, $3, $4, $5)",
        own.staged
    );
    let done = tx.execute(&note, &[&table.namespace, &table.table, &job, &hash, &mark]).await;
    done.map_err(failure::of("note what is staged"))?;
    commit(tx).await?;
    Ok(Vec::new())
}

/// Commits.
pub(super) async fn commit(tx: Transaction<'_>) -> Result<()> {
    tx.commit().await.map_err(|error| failure::of_commit(&error))
}

/// Forgets what is staged for a table, and the rows that were put aside for it.
pub(super) async fn forget(tx: &Transaction<'_>, own: &Own, table: &TableName) -> Result<()> {
    let drop = format!("DROP TABLE IF EXISTS {}", own.beside_quoted(table));
    tx.batch_execute(&drop).await.map_err(failure::of("DROP TABLE"))?;
    let aside = format!("DELETE FROM {} WHERE namespace = $1 AND \"table\" = $2", own.staged_rejected);
    let done = tx.execute(&aside, &[&table.namespace, &table.table]).await;
    done.map_err(failure::of("forget what is staged"))?;
    forget_notes(tx, own, table).await
}

/// Forgets that something is staged; the table itself is somewhere else now, or was dropped.
pub(super) async fn forget_notes(tx: &Transaction<'_>, own: &Own, table: &TableName) -> Result<()> {
    let Own { staged, parts, .. } = own;
    for statement in [
        format!(
            "DELETE FROM {parts} p USING {staged} s WHERE s.namespace = $1 AND s.\"table\" = $2 AND p.job = s.job"
        ),
        format!("DELETE FROM {staged} WHERE namespace = $1 AND \"table\" = $2"),
    ] {
        let done = tx.execute(&statement, &[&table.namespace, &table.table]).await;
        done.map_err(failure::of("forget what is staged"))?;
    }
    Ok(())
}

/// Loads a part, once.
pub(super) async fn load(
    session: &mut Session,
    own: &Own,
    table: &TableName,
    job: &str,
    part: Part,
) -> Result<Counts> {
    let staged = of_job(&**session, own, table, job).await?;
    if staged.parts.contains(&part.number) {
        return Ok(Counts::default());
    }
    let number = i32::try_from(part.number)
        .map_err(|_| Trouble::Refused(format!("part {} is one too many", part.number)))?;
    let beside = own.beside_quoted(table);
    let there = catalogue::types(&**session, &beside).await?;
    if let Some(unknown) = part.columns.iter().find(|name| !there.iter().any(|(known, _)| known == *name)) {
        return Err(Trouble::Refused(format!("the schema does not know the column {unknown}")));
    }
    let tx = session.begin().await?;
    let target = Target { quoted: &beside, bare: &Own::beside(table), before: &[] };
    let (rows, findings) = lines::copy(&tx, &target, part).await?;
    let counts = lines::settle(&tx, own, table, Aside::Staged, &findings).await?;
    let note = format!("INSERT INTO {} (job, part, rows) VALUES ($1, $2, $3)", own.parts);
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    tx.execute(&note, &[&job, &number, &rows]).await.map_err(failure::of("note a part"))?;
    commit(tx).await?;
    Ok(counts)
}

/// Gives the staged table its key; of rows that came twice the one that was loaded last stays. Then the server looks
/// at the table, so that it is read well from the first moment on.
pub(super) async fn make_key(
    session: &mut Session,
    own: &Own,
    table: &TableName,
    shape: &Shape,
) -> Result<()> {
    let beside = own.beside_quoted(table);
    let has_key = "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass($1) AND indisprimary)";
    let row = session.query_one(has_key, &[&beside]).await.and_then(|row| row.try_get::<_, bool>(0));
    if row.map_err(failure::of("look at a key"))? {
        return Ok(());
    }
    let key: Vec<String> = shape.key().map(|column| column.name.clone()).collect();
    let name = quote::fitting(&format!("{}.key", Own::beside(table)));
    let add = format!(
        "ALTER TABLE {beside} ADD CONSTRAINT {} PRIMARY KEY ({})",
        quote::name(&name),
        quote::names(key.iter().map(String::as_str))
    );
    match session.batch_execute(&add).await {
        Ok(()) => {}
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            let tx = session.begin().await?;
            let flow = Flow { from: beside.clone(), key, ..Flow::default() };
            // Each part is a transaction. Within one, rows lie as they came: nothing has made room among them.
            tx.batch_execute(&flow.once("age(xmin), ctid DESC")).await.map_err(failure::of("DELETE"))?;
            tx.batch_execute(&add).await.map_err(failure::of("ALTER TABLE"))?;
            commit(tx).await?;
        }
        Err(error) => return Err(failure::of("ALTER TABLE")(error)),
    }
    session.batch_execute(&format!("ANALYZE {beside}")).await.map_err(failure::of("ANALYZE"))
}

/// Notes the time that changes have brought what is staged to.
pub(super) async fn note_time(
    tx: &Transaction<'_>,
    own: &Own,
    table: &TableName,
    job: &str,
    time: Timestamp,
) -> Result<()> {
    let note = format!(
        "UPDATE {} SET brought_to = $4::text::timestamp WHERE namespace = $1 AND \"table\" = $2 AND job = $3",
        own.staged
    );
    let done = tx.execute(&note, &[&table.namespace, &table.table, &job, &meta::shown(time)]).await;
    done.map(drop).map_err(failure::of("note what is staged"))
}

/// What is staged, which must be of that job.
pub(super) async fn of_job(
    client: &impl GenericClient,
    own: &Own,
    table: &TableName,
    job: &str,
) -> Result<Staged> {
    let staged = read(client, own, table).await?.filter(|staged| staged.job == job);
    staged.ok_or_else(|| Trouble::Refused(format!("no snapshot of job {job} is staged for {table}")))
}
