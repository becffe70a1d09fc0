//! The tables that are ours alone, in the staging schema: what is staged, parts, rejected rows, changes.

use tokio_postgres::{GenericClient, Transaction, types::ToSql};

use super::{
    failure, meta, quote,
    statements::{Flow, is_key},
};
use crate::{
    domain::replica::names::TableName,
    ports::replica::{Rejected, Result},
};

/// How many rejected rows go into a statement.
const AT_ONCE: usize = 1000;

/// Names of our tables, quoted, and of the table that is staged for one.
#[derive(Debug, Clone)]
pub(super) struct Own {
    schema: String,
    /// `staged(namespace, table, job, shape, mark, brought_to, at)`: which job a table's staged snapshot is of, how its
    /// columns are treated, and the time that changes have brought it to.
    pub staged: String,
    /// The function that keeps others from tables with treated columns.
    pub refuse_others: String,
    /// `parts(job, part, rows)`: which parts of it are loaded.
    pub parts: String,
    /// `rejected(namespace, table, key, line, reason, job, at)`.
    pub rejected: String,
    /// `staged_rejected(namespace, table, key, line, reason, at)`: those of the staged snapshot, which come or go with
    /// it.
    pub staged_rejected: String,
    /// `since(namespace, table, key, since)`: since when rows hold whose history is kept; with an empty key, since when
    /// all others of the table do.
    pub since: String,
    /// `changes(id, namespace, table, statement, reason, at)`: every change of a definition.
    pub changes: String,
}

impl Own {
    /// Those in that schema.
    pub(super) fn new(schema: &str) -> Self {
        let within = |table| quote::within(schema, table);
        Self {
            staged: within("staged"),
            refuse_others: within("refuse_others"),
            parts: within("parts"),
            rejected: within("rejected"),
            staged_rejected: within("staged_rejected"),
            since: within("since"),
            changes: within("changes"),
            schema: schema.to_owned(),
        }
    }

    /// The schema that they are in.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// The bare name of the table that a snapshot of `table` is loaded into.
    pub(super) fn beside(table: &TableName) -> String {
        let TableName { namespace, table: name } = table;
        let whole = format!("{namespace}.{name}");
        // A dot more would make one name of two tables.
        if whole.matches('.').count() > 1 {
            let hash = quote::number(&format!("{namespace}\n{name}"));
            return quote::fitting(&format!("{}.{hash:x}", quote::cut(&whole, 40)));
        }
        quote::fitting(&whole)
    }

    /// The same, in its schema and quoted.
    pub(super) fn beside_quoted(&self, table: &TableName) -> String {
        quote::within(&self.schema, &Self::beside(table))
    }

    /// Whether all of them are there.
    pub(super) async fn is_ready(&self, client: &impl GenericClient) -> Result<bool> {
        let Self { staged, parts, rejected, staged_rejected, since, changes, .. } = self;
        let names = [staged, parts, rejected, staged_rejected, since, changes];
        // The column came after the table.
        let asked = "SELECT bool_and(to_regclass(name) IS NOT NULL) AND EXISTS (SELECT FROM pg_attribute \
             WHERE attrelid = to_regclass($2) AND attname = 'brought_to') FROM unnest($1::text[]) name";
        let row = client.query_one(asked, &[&names.as_slice(), staged]).await;
        row.and_then(|row| row.try_get(0)).map_err(failure::of("look at the staging schema"))
    }

    /// Makes those that are not there.
    pub(super) async fn make(&self, tx: &Transaction<'_>) -> Result<()> {
        meta::make_schema(tx, &self.schema).await?;
        let Self { staged, parts, rejected, staged_rejected, since, changes, .. } = self;
        for (name, rest) in [
            (
                staged,
                "(namespace text NOT NULL, \"table\" text NOT NULL, job text NOT NULL, shape text NOT NULL, \
                 mark text, brought_to timestamp, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (namespace, \"table\"))",
            ),
            (
                parts,
                "(job text NOT NULL, part integer NOT NULL, rows bigint NOT NULL, PRIMARY KEY (job, part))",
            ),
            (
                rejected,
                "(namespace text NOT NULL, \"table\" text NOT NULL, key jsonb NOT NULL, line text NOT NULL, \
                 reason text NOT NULL, job text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
            ),
            (
                staged_rejected,
                "(namespace text NOT NULL, \"table\" text NOT NULL, key jsonb NOT NULL, line text NOT NULL, \
                 reason text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
            ),
            (
                since,
                "(namespace text NOT NULL, \"table\" text NOT NULL, key text[] NOT NULL, \
                 since timestamp NOT NULL, PRIMARY KEY (namespace, \"table\", key))",
            ),
            (
                changes,
                "(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, namespace text NOT NULL, \
                 \"table\" text NOT NULL, statement text NOT NULL, reason text NOT NULL, \
                 at timestamptz NOT NULL DEFAULT now())",
            ),
        ] {
            if !meta::is_there(tx, name).await? {
                let statement = format!("CREATE TABLE {name} {rest}");
                tx.batch_execute(&statement).await.map_err(failure::of("CREATE TABLE"))?;
            }
        }
        let rest = format!(
            "ALTER TABLE {staged} ADD COLUMN IF NOT EXISTS brought_to timestamp; \
             CREATE INDEX IF NOT EXISTS rejected_table ON {rejected} (namespace, \"table\"); \
             CREATE INDEX IF NOT EXISTS staged_rejected_table ON {staged_rejected} (namespace, \"table\")"
        );
        tx.batch_execute(&rest).await.map_err(failure::of("CREATE INDEX"))
    }

    /// Notes a change of a definition.
    pub(super) async fn note_changes(
        &self,
        tx: &Transaction<'_>,
        table: &TableName,
        statements: &[String],
        reason: &str,
    ) -> Result<()> {
        let statement = format!(
            "INSERT INTO {} (namespace, \"table\", statement, reason) SELECT $1, $2, statement, $4 \
             FROM unnest($3::text[]) WITH ORDINALITY AS s (statement, place) ORDER BY place",
            self.changes
        );
        let values: [&(dyn ToSql + Sync); 4] = [&table.namespace, &table.table, &statements, &reason];
        tx.execute(&statement, &values).await.map(|_| ()).map_err(failure::of("note changes"))
    }

    /// Puts rows aside that do not come in; one of the same key that was put aside goes.
    pub(super) async fn put_aside(
        &self,
        tx: &Transaction<'_>,
        table: &TableName,
        job: &str,
        rows: &[Rejected],
    ) -> Result<()> {
        let Self { rejected, .. } = self;
        for rows in rows.chunks(AT_ONCE) {
            let keys: Vec<_> = rows.iter().map(|row| key(&row.key)).collect();
            let former = format!(
                "DELETE FROM {rejected} WHERE namespace = $1 AND \"table\" = $2 \
                 AND key IN (SELECT k::jsonb FROM unnest($3::text[]) k)"
            );
            let done = tx.execute(&former, &[&table.namespace, &table.table, &keys]).await;
            done.map_err(failure::of("put rows aside"))?;
            let statement = format!(
                "INSERT INTO {rejected} (namespace, \"table\", key, line, reason, job) \
                 SELECT $1, $2, key::jsonb, line, reason, $6 \
                 FROM unnest($3::text[], $4::text[], $5::text[]) AS r (key, line, reason)"
            );
            insert(tx, &statement, table, rows, &[&job]).await?;
        }
        Ok(())
    }

    /// Puts rows aside that a staged snapshot has. What is known of others stays: it is not said that the snapshot
    /// ever comes in.
    pub(super) async fn stage_aside(
        &self,
        tx: &Transaction<'_>,
        table: &TableName,
        rows: &[Rejected],
    ) -> Result<()> {
        let statement = format!(
            "INSERT INTO {} (namespace, \"table\", key, line, reason) SELECT $1, $2, key::jsonb, line, reason \
             FROM unnest($3::text[], $4::text[], $5::text[]) AS r (key, line, reason)",
            self.staged_rejected
        );
        for rows in rows.chunks(AT_ONCE) {
            insert(tx, &statement, table, rows, &[]).await?;
        }
        Ok(())
    }

    /// The staged snapshot comes in: what was put aside before has come with it, or is put aside with it.
    pub(super) async fn bring_aside(&self, tx: &Transaction<'_>, table: &TableName, job: &str) -> Result<()> {
        let Self { rejected, staged_rejected, .. } = self;
        let TableName { namespace, table } = table;
        let former = format!("DELETE FROM {rejected} WHERE namespace = $1 AND \"table\" = $2");
        let failed = failure::of("put rows aside");
        tx.execute(&former, &[namespace, table]).await.map_err(&failed)?;
        let statement = format!(
            "WITH gone AS (DELETE FROM {staged_rejected} WHERE namespace = $1 AND \"table\" = $2 RETURNING *) \
             INSERT INTO {rejected} (namespace, \"table\", key, line, reason, job, at) \
             SELECT namespace, \"table\", key, line, reason, $3, at FROM gone"
        );
        tx.execute(&statement, &[namespace, table, &job]).await.map(|_| ()).map_err(&failed)
    }

    /// The keys of the rows that were put aside for the staged snapshot, as a statement takes a table of one column;
    /// `None`: there are none. Their rows are in the source, although they are not in the snapshot.
    pub(super) async fn staged_aside(
        &self,
        client: &impl GenericClient,
        table: &TableName,
    ) -> Result<Option<String>> {
        let Self { staged_rejected, .. } = self;
        let (namespace, name) = (quote::text(&table.namespace), quote::text(&table.table));
        let which = format!("FROM {staged_rejected} WHERE namespace = {namespace} AND \"table\" = {name}");
        let found = client.query_opt(&format!("SELECT {which} LIMIT 1"), &[]).await;
        let found = found.map_err(failure::of("look at rejected rows"))?;
        Ok(found.map(|_| format!("(SELECT key {which})")))
    }

    /// Of rows that come into the staged snapshot: forgets those put aside before whose keys come.
    pub(super) async fn take_back_staged(
        &self,
        tx: &Transaction<'_>,
        table: &TableName,
        flow: &Flow,
    ) -> Result<()> {
        // Those of this transaction are of the time at which it has begun.
        let statement = format!(
            "DELETE FROM {} r USING {} f WHERE r.namespace = $1 AND r.\"table\" = $2 AND r.at <> now() AND {}",
            self.staged_rejected,
            flow.from,
            is_key("r", "f", &flow.key)
        );
        let done = tx.execute(&statement, &[&table.namespace, &table.table]).await;
        done.map(|_| ()).map_err(failure::of("take rejected rows back"))
    }

    /// Takes rows out of the staged snapshot whose new versions this transaction has put aside: the table keeps its
    /// own then.
    pub(super) async fn leave_to_table(
        &self,
        tx: &Transaction<'_>,
        table: &TableName,
        key: &[String],
    ) -> Result<()> {
        let statement = format!(
            "DELETE FROM {} s USING {} r WHERE r.namespace = $1 AND r.\"table\" = $2 AND r.at = now() AND {}",
            self.beside_quoted(table),
            self.staged_rejected,
            is_key("r", "s", key)
        );
        let done = tx.execute(&statement, &[&table.namespace, &table.table]).await;
        done.map(|_| ()).map_err(failure::of("put rows aside"))
    }

    /// Forgets the rejected rows whose keys come, but those that were put aside for this job.
    pub(super) async fn take_back(
        &self,
        tx: &Transaction<'_>,
        table: &TableName,
        job: &str,
        flow: &Flow,
    ) -> Result<()> {
        let Self { rejected, .. } = self;
        let asked =
            format!("SELECT FROM {rejected} WHERE namespace = $1 AND \"table\" = $2 AND job <> $3 LIMIT 1");
        let found = tx.query_opt(&asked, &[&table.namespace, &table.table, &job]).await;
        if found.map_err(failure::of("look at rejected rows"))?.is_none() {
            return Ok(());
        }
        let statement = format!(
            "DELETE FROM {rejected} r USING {} f WHERE r.namespace = $1 AND r.\"table\" = $2 AND r.job <> $3 \
             AND {}",
            flow.from,
            is_key("r", "f", &flow.key)
        );
        let done = tx.execute(&statement, &[&table.namespace, &table.table, &job]).await;
        done.map(|_| ()).map_err(failure::of("take rejected rows back"))
    }
}

/// Inserts rejected rows by a statement that takes namespace, table, keys, lines, reasons, and what is given besides.
async fn insert(
    tx: &Transaction<'_>,
    statement: &str,
    table: &TableName,
    rows: &[Rejected],
    more: &[&(dyn ToSql + Sync)],
) -> Result<()> {
    let keys: Vec<_> = rows.iter().map(|row| key(&row.key)).collect();
    let lines: Vec<_> = rows.iter().map(|row| storable(&row.line)).collect();
    let reasons: Vec<_> = rows.iter().map(|row| storable(&row.reason)).collect();
    let values: [&(dyn ToSql + Sync); 5] = [&table.namespace, &table.table, &keys, &lines, &reasons];
    let values = [&values[..], more].concat();
    tx.execute(statement, &values).await.map(|_| ()).map_err(failure::of("put rows aside"))
}

/// A key as JSON that the database can keep.
fn key(text: &str) -> String {
    fn clean(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::String(text) => storable(&text).into(),
            serde_json::Value::Array(all) => all.into_iter().map(clean).collect(),
            serde_json::Value::Object(all) => {
                all.into_iter().map(|(name, value)| (storable(&name), clean(value))).collect()
            }
            other => other,
        }
    }
    let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    clean(value).to_string()
}

/// A text without what the database cannot keep.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tables_are_staged_under_one_name() {
        let beside = |namespace: &str, table: &str| Own::beside(&TableName::new(namespace, table));
        assert_eq!(beside("canvas", "courses"), "canvas.courses");
        assert_ne!(beside("a.b", "c"), beside("a", "b.c"));
        let long = "t".repeat(62);
        assert_ne!(beside("canvas", &format!("{long}1")), beside("canvas", &format!("{long}2")));
        assert!(beside("canvas", &long).len() <= 63);
    }

    #[test]
    fn what_is_put_aside_can_be_kept() {
        assert_eq!(key(r#"{"id":"a\u0000b"}"#), "{\"id\":\"a\u{fffd}b\"}");
        assert_eq!(key("no json"), "\"no json\"");
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
    }
}
