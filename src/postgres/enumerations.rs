//! Enumerations: types of their own in the schema of a namespace.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;

use super::{failure, quote};
use crate::{
    domain::replica::{
        names::TableName,
        shape::{Enumeration, Scalar, Shape},
    },
    ports::replica::{Result, Trouble},
};

const LABELS: &str = "SELECT t.typtype = 'e', ARRAY(SELECT l.enumlabel::text FROM pg_enum l \
    WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder) \
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = $1 AND t.typname = $2";
/// Whether a column of whatever table is of the type.
const USED: &str = "SELECT EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON a.atttypid IN (t.oid, \
    t.typarray) \
    JOIN pg_namespace n ON n.oid = t.typnamespace \
    WHERE n.nspname = $1 AND t.typname = $2 AND NOT a.attisdropped)";
/// Enumerations of no column whose names begin as those of a table, and not as those of a table whose name
/// begins with this one's.
const LEFT: &str = "SELECT t.typname::text FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
    WHERE n.nspname = $1 AND t.typtype = 'e' AND starts_with(t.typname::text, $2 || '__') \
    AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.atttypid IN (t.oid, t.typarray) AND NOT \
    a.attisdropped) \
    AND NOT EXISTS (SELECT FROM instructure_dap.table_sync m WHERE m.source_namespace = $1 \
        AND starts_with(m.source_table, $2 || '__') AND starts_with(t.typname::text, m.source_table || '__'))";
const OF_TABLE: &str = "SELECT DISTINCT e.typname::text FROM pg_attribute a JOIN pg_type t ON t.oid = \
    a.atttypid \
    JOIN pg_type e ON e.oid = CASE WHEN t.typelem <> 0 AND t.typcategory = 'A' THEN t.typelem ELSE t.oid END \
    JOIN pg_namespace n ON n.oid = e.typnamespace \
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND e.typtype = 'e' \
    AND n.nspname = $2";

/// Makes the enumerations of a shape, or adds to those that are there the labels that they lack. One that no
/// column has any more is made anew, in the order of the shape. To be committed before new labels are used.
pub(super) async fn prepare(tx: &mut Transaction<'_>, namespace: &str, shape: &Shape) -> Result<()> {
    let mut all: BTreeMap<&str, &Enumeration> = BTreeMap::new();
    for column in &shape.columns {
        if let Scalar::Enum(enumeration) = column.kind.scalar() {
            all.insert(&enumeration.name, enumeration);
        }
    }
    for (name, Enumeration { labels, .. }) in all {
        let row = tx.query_opt(LABELS, &[&namespace, &name]).await.map_err(failure::of("look at a type"))?;
        let Some(row) = row else {
            make(tx, namespace, name, labels).await?;
            continue;
        };
        let got = || Ok((row.try_get(0)?, row.try_get(1)?));
        let (is_enum, there): (bool, Vec<String>) = got().map_err(failure::of("look at a type"))?;
        if !is_enum {
            let name = quote::within(namespace, name);
            return Err(Trouble::Refused(format!("{name} is there and is no enumeration")));
        }
        if there == *labels {
            continue;
        }
        let used = tx.query_one(USED, &[&namespace, &name]).await.and_then(|row| row.try_get::<_, bool>(0));
        let is_free = !used.map_err(failure::of("look at a type"))? && drop_one(tx, namespace, name).await?;
        if is_free {
            make(tx, namespace, name, labels).await?;
        } else {
            add(tx, namespace, name, labels, &there).await?;
        }
    }
    Ok(())
}

async fn make(tx: &Transaction<'_>, namespace: &str, name: &str, labels: &[String]) -> Result<()> {
    let labels: Vec<_> = labels.iter().map(|label| quote::text(label)).collect();
    let statement = format!("CREATE TYPE {} AS ENUM ({})", quote::within(namespace, name), labels.join(", "));
    tx.batch_execute(&statement).await.map_err(failure::of("CREATE TYPE"))
}

async fn add(
    tx: &Transaction<'_>,
    namespace: &str,
    name: &str,
    labels: &[String],
    there: &[String],
) -> Result<()> {
    for label in labels.iter().filter(|label| !there.contains(label)) {
        let name = quote::within(namespace, name);
        let statement = format!("ALTER TYPE {name} ADD VALUE IF NOT EXISTS {}", quote::text(label));
        tx.batch_execute(&statement).await.map_err(failure::of("ALTER TYPE"))?;
    }
    Ok(())
}

/// Drops an enumeration; `false`: something else than a column needs it.
async fn drop_one(tx: &mut Transaction<'_>, namespace: &str, name: &str) -> Result<bool> {
    let inner = tx.savepoint("drop_type").await.map_err(failure::of("SAVEPOINT"))?;
    let statement = format!("DROP TYPE IF EXISTS {}", quote::within(namespace, name));
    match inner.batch_execute(&statement).await {
        Ok(()) => inner.commit().await.map(|()| true).map_err(failure::of("RELEASE")),
        Err(error)
            if error.code() == Some(&tokio_postgres::error::SqlState::DEPENDENT_OBJECTS_STILL_EXIST) =>
        {
            inner.rollback().await.map(|()| false).map_err(failure::of("ROLLBACK TO"))
        }
        Err(error) => Err(failure::of("DROP TYPE")(error)),
    }
}

/// The enumerations of the columns of a table, in the schema of its namespace.
pub(super) async fn of_table(tx: &Transaction<'_>, live: &str, namespace: &str) -> Result<Vec<String>> {
    let rows = tx.query(OF_TABLE, &[&live, &namespace]).await.map_err(failure::of("look at a table"))?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failure::of("look at a table"))
}

/// Drops those, and what a drop that failed has left; each where nothing else needs it.
pub(super) async fn drop_all(tx: &mut Transaction<'_>, table: &TableName, known: Vec<String>) -> Result<()> {
    let rows =
        tx.query(LEFT, &[&table.namespace, &table.table]).await.map_err(failure::of("look at types"))?;
    let left: Vec<String> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()
        .map_err(failure::of("look at types"))?;
    for name in known.iter().filter(|name| !left.contains(name)).chain(&left) {
        let _gone = drop_one(tx, &table.namespace, name).await?;
    }
    Ok(())
}
