//! What is there of a table, as far as a change needs it.

use std::collections::BTreeMap;

use tokio_postgres::{Row, Transaction};

use crate::{
    domain::replica::{
        names::TableName,
        shape::{Enumeration, Kind, Scalar},
    },
    ports::replica::{Result, Trouble},
    postgres::{failure, kinds},
};

/// A table that is there.
#[derive(Debug)]
pub(super) struct Present {
    /// Its number.
    pub(super) oid: u32,
    /// Its comment.
    pub(super) comment: Option<String>,
    /// Its columns by their names.
    pub(super) columns: BTreeMap<String, Here>,
}

/// A column that is there.
#[derive(Debug, Clone)]
pub(super) struct Here {
    /// Its number.
    pub(super) number: i16,
    /// Its type, as `format_type` writes it; of an enumeration the bare name.
    pub(super) kind: String,
    /// Its enumeration, or that of its elements.
    pub(super) words: Option<Words>,
    /// Whether it is NOT NULL.
    pub(super) required: bool,
    /// Its default.
    pub(super) default: Option<String>,
    /// Its comment.
    pub(super) comment: Option<String>,
}

/// An enumeration that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    /// Its number.
    pub(super) oid: u32,
    /// The schema that it is in.
    pub(super) schema: String,
    /// Its name.
    pub(super) name: String,
    /// Its labels, in their order.
    pub(super) labels: Vec<String>,
}

impl Here {
    /// Whether the column is of that kind already.
    pub(super) fn is(&self, kind: &Kind, namespace: &str) -> bool {
        let is_list = self.kind.ends_with("[]");
        match (kind.scalar(), &self.words) {
            (Scalar::Enum(wanted), Some(words)) => {
                let same = words.schema == namespace && words.name == wanted.name;
                same && is_list == matches!(kind, Kind::List(_))
            }
            (Scalar::Enum(_), None) | (_, Some(_)) => false,
            (_, None) => self.kind == kinds::type_of(kind, namespace),
        }
    }

    /// The same, and an enumeration has all labels of that kind.
    pub(super) fn is_all_of(&self, kind: &Kind, namespace: &str) -> bool {
        let has_all = match (kind.scalar(), &self.words) {
            (Scalar::Enum(wanted), Some(words)) => {
                wanted.labels.iter().all(|label| words.labels.contains(label))
            }
            _ => true,
        };
        has_all && self.is(kind, namespace)
    }
}

const COLUMNS: &str = "
    SELECT a.attnum, a.attname::text,
        CASE WHEN e.oid IS NULL THEN format_type(a.atttypid, a.atttypmod)
            WHEN e.oid = t.oid THEN e.typname::text ELSE e.typname || '[]' END,
        e.oid, n.nspname::text, e.typname::text,
        ARRAY(SELECT l.enumlabel::text FROM pg_enum l WHERE l.enumtypid = e.oid ORDER BY l.enumsortorder),
        a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type e
        ON e.oid = CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE t.oid END AND e.typtype = 'e'
    LEFT JOIN pg_namespace n ON n.oid = e.typnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped";

/// Reads it; a table that is not there is refused.
pub(super) async fn read(tx: &Transaction<'_>, table: &TableName) -> Result<Present> {
    let failed = failure::of("SELECT pg_attribute");
    let sql = "SELECT c.oid, obj_description(c.oid, 'pg_class') FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')";
    let found = tx.query_opt(sql, &[&table.namespace, &table.table]).await.map_err(&failed)?;
    let Some(found) = found else { return Err(Trouble::Refused(format!("there is no table {table}"))) };
    let oid: u32 = found.try_get(0).map_err(&failed)?;
    let rows = tx.query(COLUMNS, &[&oid]).await.map_err(&failed)?;
    let columns = rows.iter().map(column).collect::<Result<_, tokio_postgres::Error>>().map_err(&failed)?;
    Ok(Present { oid, comment: found.try_get(1).map_err(&failed)?, columns })
}

fn column(row: &Row) -> Result<(String, Here), tokio_postgres::Error> {
    let words = match row.try_get::<_, Option<u32>>(3)? {
        Some(oid) => {
            Some(Words { oid, schema: row.try_get(4)?, name: row.try_get(5)?, labels: row.try_get(6)? })
        }
        None => None,
    };
    let here = Here {
        number: row.try_get(0)?,
        kind: row.try_get(2)?,
        words,
        required: row.try_get(7)?,
        default: row.try_get(8)?,
        comment: row.try_get(9)?,
    };
    Ok((row.try_get(1)?, here))
}

/// The enumeration of that name, if there is one.
pub(super) async fn words(
    tx: &Transaction<'_>,
    namespace: &str,
    wanted: &Enumeration,
) -> Result<Option<Words>> {
    let failed = failure::of("SELECT pg_enum");
    let sql = "SELECT t.oid,
            ARRAY(SELECT l.enumlabel::text FROM pg_enum l WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder)
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE n.nspname = $1 AND t.typname = $2 AND t.typtype = 'e'";
    let Some(row) = tx.query_opt(sql, &[&namespace, &wanted.name]).await.map_err(&failed)? else {
        return Ok(None);
    };
    let (oid, labels) = (row.try_get(0).map_err(&failed)?, row.try_get(1).map_err(&failed)?);
    Ok(Some(Words { oid, schema: namespace.to_owned(), name: wanted.name.clone(), labels }))
}

/// What uses an enumeration, but for columns of the table that go and views that are made again.
pub(super) async fn users(
    tx: &Transaction<'_>,
    words: &Words,
    table: u32,
    going: &[i16],
    views: &[u32],
) -> Result<Vec<String>> {
    let failed = failure::of("SELECT pg_depend");
    let sql = "SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
        FROM pg_type t
        JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)
        LEFT JOIN pg_attrdef e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
        WHERE t.oid = $1
          AND NOT (d.classid = 'pg_type'::regclass AND d.objid = t.typarray)
          AND NOT (d.classid = 'pg_class'::regclass AND d.objid = $2 AND d.objsubid = ANY ($3::int4[]))
          AND NOT (d.classid = 'pg_class'::regclass AND d.objid = ANY ($4::oid[]))
          AND NOT coalesce(e.adrelid = $2 AND e.adnum = ANY ($3::int4[]), false)
        ORDER BY 1";
    let going: Vec<i32> = going.iter().map(|number| i32::from(*number)).collect();
    let rows = tx.query(sql, &[&words.oid, &table, &going, &views]).await.map_err(&failed)?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, tokio_postgres::Error>>().map_err(failed)
}

/// Whether the table has a row, or a row with a null there.
pub(super) async fn has_row(tx: &Transaction<'_>, ident: &str, null_in: Option<&str>) -> Result<bool> {
    let failed = failure::of("SELECT EXISTS");
    let condition = null_in.map(|column| format!(" WHERE {column} IS NULL")).unwrap_or_default();
    let sql = format!("SELECT EXISTS (SELECT FROM {ident}{condition})");
    let row = tx.query_one(&sql, &[]).await.map_err(&failed)?;
    row.try_get(0).map_err(failed)
}
