//! What the database says of a table that is there.

use tokio_postgres::GenericClient;

use super::{failure, quote};
use crate::{
    domain::replica::{
        changes::{Found, FoundColumn},
        names::TableName,
    },
    ports::replica::{Result, Trouble},
};

const COLUMNS: &str = "SELECT a.attname::text, \
    CASE WHEN e.typtype = 'e' THEN e.typname::text || CASE WHEN e.oid = t.oid THEN '' ELSE '[]' END \
         ELSE format_type(a.atttypid, a.atttypmod) END, \
    CASE WHEN e.typtype = 'e' THEN ARRAY(SELECT l.enumlabel::text FROM pg_enum l WHERE l.enumtypid = e.oid \
         ORDER BY l.enumsortorder) END, \
    a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum) \
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
    JOIN pg_type e ON e.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END \
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
const KEY: &str = "SELECT a.attname::text FROM pg_index i \
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) \
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number \
    WHERE i.indrelid = to_regclass($1) AND i.indisprimary ORDER BY k.place";
const RELATION: &str = "SELECT c.relkind::text, obj_description(c.oid, 'pg_class') FROM pg_class c WHERE c.oid = to_regclass($1)";

/// A table as it is found, by its quoted name; what is no table is refused.
pub(super) async fn found(client: &impl GenericClient, name: &str) -> Result<Option<Found>> {
    let failed = || failure::of("look at a table");
    let Some(row) = client.query_opt(RELATION, &[&name]).await.map_err(failed())? else { return Ok(None) };
    let kind: String = row.try_get(0).map_err(failed())?;
    if !matches!(kind.as_str(), "r" | "p") {
        return Err(Trouble::Refused(format!("{name} is there and is no table")));
    }
    let comment = row.try_get(1).map_err(failed())?;
    let mut columns = Vec::new();
    for row in client.query(COLUMNS, &[&name]).await.map_err(failed())? {
        let column = || {
            Ok(FoundColumn {
                name: row.try_get(0)?,
                kind: row.try_get(1)?,
                labels: row.try_get(2)?,
                required: row.try_get(3)?,
                default: row.try_get(4)?,
                comment: row.try_get(5)?,
            })
        };
        columns.push(column().map_err(failed())?);
    }
    let key = client.query(KEY, &[&name]).await.map_err(failed())?;
    let key = key.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed())?;
    Ok(Some(Found { columns, comment, key }))
}

/// The columns of a table and their types without lengths, as a cast takes them.
pub(super) async fn types(client: &impl GenericClient, name: &str) -> Result<Vec<(String, String)>> {
    let asked = "SELECT attname::text, format_type(atttypid, -1) FROM pg_attribute \
        WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum";
    let rows = client.query(asked, &[&name]).await.map_err(failure::of("look at a table"))?;
    let one = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(one).collect::<Result<_, _>>().map_err(failure::of("look at a table"))
}

/// Whether a table, by its quoted name, is partitioned.
pub(super) async fn is_partitioned(client: &impl GenericClient, name: &str) -> Result<bool> {
    let asked = "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'p')";
    let row = client.query_one(asked, &[&name]).await;
    row.and_then(|row| row.try_get(0)).map_err(failure::of("look at a table"))
}

/// The table's own name, quoted.
pub(super) fn live(table: &TableName) -> String {
    quote::within(&table.namespace, &table.table)
}
