//! What depends on a table and cannot be made again as it was.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;

use super::{Touched, graph::Graph, port};
use crate::ports::replica::Result;

/// Views that read columns which go: view, column.
const OVER_DROPPED: &str = "
    SELECT DISTINCT n.nspname || '.' || c.relname, c.relkind = 'm', a.attname::text
    FROM pg_depend d
    JOIN pg_rewrite r ON r.oid = d.objid
    JOIN pg_class c ON c.oid = r.ev_class
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = $1 AND d.refobjsubid = ANY ($2::int4[]) AND c.relkind IN ('v', 'm')
    ORDER BY 1, 3";

/// What else uses columns: functions with bodies that bind, policies, triggers, publications, foreign keys of
/// others. A generated column would go without a word. Indexes and own constraints follow the column's type
/// by themselves, and so do foreign keys: these are in the way of a column that goes.
const ON_COLUMNS: &str = "
    SELECT DISTINCT
        CASE WHEN ge.attnum IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
            ELSE pg_describe_object('pg_class'::regclass, ge.attrelid, ge.attnum) END,
        a.attname::text,
        a.attnum = ANY ($3::int4[])
    FROM pg_depend d
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    LEFT JOIN pg_attribute g
        ON d.classid = 'pg_class'::regclass AND g.attrelid = d.objid AND g.attnum = d.objsubid
        AND g.attrelid = $1 AND g.attgenerated <> ''
    LEFT JOIN pg_attrdef e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
    LEFT JOIN pg_attribute ge ON ge.attrelid = e.adrelid AND ge.attnum = e.adnum AND ge.attgenerated <> ''
        AND ge.attnum <> a.attnum
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
      AND d.refobjsubid = ANY ($2::int4[] || $3::int4[])
      AND d.classid <> 'pg_rewrite'::regclass
      AND (g.attnum IS NOT NULL OR ge.attnum IS NOT NULL
        OR d.deptype = 'n' AND (d.classid <> 'pg_constraint'::regclass OR a.attnum = ANY ($3::int4[])))
    ORDER BY 1, 2";

/// Tables that keep whole rows of the table: no type can be changed under them.
const KEEPERS: &str = "
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
    FROM pg_class t
    JOIN pg_type row ON row.oid = t.reltype
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (row.oid, row.typarray)
    JOIN pg_class c ON c.oid = d.objid
    WHERE t.oid = $1 AND d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p')
    ORDER BY 1";

/// What else uses views, or the types of their rows, but views that are made again, too.
const ON_VIEWS: &str = "
    WITH used AS (
        SELECT c.oid, n.nspname || '.' || c.relname AS name, c.reltype, t.typarray
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_type t ON t.oid = c.reltype
        WHERE c.oid = ANY ($1::oid[])
    )
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), used.name
    FROM used
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = used.oid
    WHERE d.deptype = 'n' AND d.classid <> 'pg_rewrite'::regclass
      AND NOT (d.classid = 'pg_class'::regclass AND d.objid = ANY ($1::oid[]))
    UNION
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), used.name
    FROM used
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (used.reltype, used.typarray)
    WHERE d.deptype = 'n' AND d.classid <> 'pg_rewrite'::regclass
      AND NOT (d.classid = 'pg_class'::regclass AND d.objid = ANY ($1::oid[]))
    ORDER BY 1, 2";

/// Views that are not there to be made again: of other sessions, of extensions, with labels of a security
/// provider.
const ODD: &str = "
    SELECT n.nspname || '.' || c.relname,
        CASE WHEN c.relpersistence = 't' THEN 'is a temporary one'
            WHEN e.objid IS NOT NULL THEN 'belongs to an extension'
            ELSE 'has a security label' END
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend e ON e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e'
    WHERE c.oid = ANY ($1::oid[])
      AND (c.relpersistence = 't' OR e.objid IS NOT NULL OR EXISTS (
        SELECT FROM pg_seclabel s WHERE s.classoid = 'pg_class'::regclass AND s.objoid = c.oid))
    ORDER BY 1";

const RULES: &str = "
    SELECT pg_describe_object('pg_rewrite'::regclass, r.oid, 0)
    FROM pg_rewrite r
    WHERE r.oid = ANY ($1::oid[])
    ORDER BY 1";

/// What belongs to a table, or refers to it, and does not come along when another takes its place: policies,
/// publications, functions that name it or its rows, constraints of others, tables that inherit or keep its
/// rows.
const ON_TABLE: &str = "
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
    FROM pg_class c
    JOIN pg_type row ON row.oid = c.reltype
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
        OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (row.oid, row.typarray) AND d.deptype = 'n'
    LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
    WHERE c.oid = $1
      AND (d.classid IN ('pg_policy'::regclass, 'pg_publication_rel'::regclass, 'pg_proc'::regclass)
        OR d.classid = 'pg_class'::regclass AND d.deptype = 'n' AND NOT d.objid = ANY ($2::oid[])
        OR k.conrelid <> c.oid
        OR k.contype NOT IN ('p', 'n'))
    ORDER BY 1";

/// Reads it, one sentence each.
pub(super) async fn read(
    tx: &Transaction<'_>,
    table: u32,
    touched: Touched<'_>,
    graph: &Graph,
) -> Result<Vec<String>> {
    let failed = port("SELECT pg_depend");
    let views: Vec<u32> = graph.inside_out().collect();
    let mut found = Vec::new();
    match touched {
        Touched::Columns { retyped, dropped } => {
            let numbers = |all: &[i16]| all.iter().map(|one| i32::from(*one)).collect::<Vec<_>>();
            let (retyped, dropped) = (numbers(retyped), numbers(dropped));
            let mut over: BTreeMap<(String, bool), Vec<String>> = BTreeMap::new();
            for row in tx.query(OVER_DROPPED, &[&table, &dropped]).await.map_err(&failed)? {
                let view = (row.try_get(0).map_err(&failed)?, row.try_get(1).map_err(&failed)?);
                over.entry(view).or_default().push(row.try_get(2).map_err(&failed)?);
            }
            for ((view, is_materialised), columns) in over {
                let kind = if is_materialised { "materialized view" } else { "view" };
                found.push(format!("{kind} {view} uses the column {}, which goes", columns.join(", ")));
            }
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&table, &retyped, &dropped];
            for row in tx.query(ON_COLUMNS, &params).await.map_err(&failed)? {
                let (what, column): (String, String) =
                    (row.try_get(0).map_err(&failed)?, row.try_get(1).map_err(&failed)?);
                let goes: bool = row.try_get(2).map_err(&failed)?;
                let why = if goes { "goes" } else { "changes its type" };
                found.push(format!("{what} uses the column {column}, which {why}"));
            }
            if !retyped.is_empty() {
                for row in tx.query(KEEPERS, &[&table]).await.map_err(&failed)? {
                    let what: String = row.try_get(0).map_err(&failed)?;
                    found.push(format!("{what} keeps rows of the table, of which a column changes its type"));
                }
            }
        }
        Touched::All => {
            for row in tx.query(ON_TABLE, &[&table, &views]).await.map_err(&failed)? {
                let what: String = row.try_get(0).map_err(&failed)?;
                found.push(format!("{what} depends on the table, which is exchanged"));
            }
        }
    }
    for row in tx.query(ON_VIEWS, &[&views]).await.map_err(&failed)? {
        let (what, view): (String, String) =
            (row.try_get(0).map_err(&failed)?, row.try_get(1).map_err(&failed)?);
        found.push(format!("{what} depends on the view {view}, which has to be made again"));
    }
    for row in tx.query(ODD, &[&views]).await.map_err(&failed)? {
        let (view, why): (String, String) =
            (row.try_get(0).map_err(&failed)?, row.try_get(1).map_err(&failed)?);
        found.push(format!("the view {view} has to be made again, and {why}"));
    }
    let rules: Vec<u32> = graph.foreign_rules.iter().copied().collect();
    for row in tx.query(RULES, &[&rules]).await.map_err(&failed)? {
        let what: String = row.try_get(0).map_err(&failed)?;
        found.push(format!("{what} uses what has to be made again"));
    }
    Ok(found)
}
