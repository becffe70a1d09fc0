//! What hangs on a view: rules, triggers, indexes, statistics.

use tokio_postgres::{Row, Transaction};

use super::{
    Statement, port,
    view::{Found, View},
};
use crate::{ports::replica::Result, postgres::quote};

/// Rules beside the one that is the view's query: relation, name, definition, comment, how it is enabled.
const RULES: &str = "
    SELECT r.ev_class, r.rulename::text, pg_get_ruledef(r.oid), obj_description(r.oid, 'pg_rewrite'),
        CASE r.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN
            'ENABLE ALWAYS' END
    FROM pg_rewrite r
    WHERE r.ev_class = ANY ($1::oid[]) AND r.rulename <> '_RETURN'
    ORDER BY r.ev_class, r.oid";

/// Triggers: relation, name, definition, comment, how it is enabled.
const TRIGGERS: &str = "
    SELECT t.tgrelid, t.tgname::text, pg_get_triggerdef(t.oid), obj_description(t.oid, 'pg_trigger'),
        CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN
            'ENABLE ALWAYS' END
    FROM pg_trigger t
    WHERE t.tgrelid = ANY ($1::oid[]) AND NOT t.tgisinternal
    ORDER BY t.tgrelid, t.oid";

/// Indexes: relation, name, definition, comment, schema, tablespace, whether the table is clustered by it,
/// whether it is whole; numbers and targets of columns whose statistics are set.
const INDEXES: &str = "
    SELECT i.indrelid, c.relname::text, pg_get_indexdef(i.indexrelid), obj_description(c.oid, 'pg_class'),
        n.nspname::text, space.spcname::text, i.indisclustered, i.indisvalid,
        ARRAY(
            SELECT format('ALTER COLUMN %s SET STATISTICS %s', a.attnum, to_jsonb(a) ->> 'attstattarget')
            FROM pg_attribute a
            WHERE a.attrelid = c.oid AND (to_jsonb(a) ->> 'attstattarget')::int >= 0
            ORDER BY a.attnum
        )
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_tablespace space ON space.oid = c.reltablespace
    WHERE i.indrelid = ANY ($1::oid[])
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
    ORDER BY i.indrelid, c.oid";

/// Statistics over columns: relation, name, definition, comment, schema, owner, target.
const STATISTICS: &str = "
    SELECT s.stxrelid, s.stxname::text, pg_get_statisticsobjdef(s.oid),
        obj_description(s.oid, 'pg_statistic_ext'), n.nspname::text, pg_get_userbyid(s.stxowner)::text,
        CASE WHEN (to_jsonb(s) ->> 'stxstattarget')::int >= 0 THEN to_jsonb(s) ->> 'stxstattarget' END
    FROM pg_statistic_ext s
    JOIN pg_namespace n ON n.oid = s.stxnamespace
    WHERE s.stxrelid = ANY ($1::oid[])
    ORDER BY s.stxrelid, s.oid";

/// Reads them into the views.
pub(super) async fn read(
    tx: &Transaction<'_>,
    views: &[u32],
    found: &mut Found,
    notes: &mut Vec<String>,
) -> Result<()> {
    for (sql, made) in [
        (RULES, rule as fn(&mut View, &Row, &mut Vec<String>) -> Result<(), tokio_postgres::Error>),
        (TRIGGERS, trigger),
        (INDEXES, index),
        (STATISTICS, statistics),
    ] {
        let failed = port("SELECT pg_catalog");
        for row in tx.query(sql, &[&views]).await.map_err(&failed)? {
            let Some((view, _)) = found.get_mut(&row.try_get(0).map_err(&failed)?) else { continue };
            made(view, &row, notes).map_err(&failed)?;
        }
    }
    Ok(())
}

fn rule(view: &mut View, row: &Row, _: &mut Vec<String>) -> Result<(), tokio_postgres::Error> {
    let (ident, name) = (view.ident(), quote::name(row.try_get(1)?));
    let about = format!("the view {} cannot be dropped", view.name());
    view.undo.push(Statement::dependent(about, format!("DROP RULE {name} ON {ident}")));
    let made = view.again(row.try_get(2)?);
    view.then.push(made);
    enabled(view, row, &format!("RULE {name}"))?;
    comment(view, row, |view| format!("RULE {name} ON {}", view.ident()))
}

fn trigger(view: &mut View, row: &Row, _: &mut Vec<String>) -> Result<(), tokio_postgres::Error> {
    let name = quote::name(row.try_get(1)?);
    let made = view.again(row.try_get(2)?);
    view.then.push(made);
    enabled(view, row, &format!("TRIGGER {name}"))?;
    comment(view, row, |view| format!("TRIGGER {name} ON {}", view.ident()))
}

/// How a rule or a trigger is enabled, where that is not as it is when it is made.
fn enabled(view: &mut View, row: &Row, what: &str) -> Result<(), tokio_postgres::Error> {
    if let Some(how) = row.try_get::<_, Option<String>>(4)? {
        let made = view.again(format!("ALTER TABLE {} {how} {what}", view.ident()));
        view.then.push(made);
    }
    Ok(())
}

fn index(view: &mut View, row: &Row, notes: &mut Vec<String>) -> Result<(), tokio_postgres::Error> {
    let (name, schema): (String, String) = (row.try_get(1)?, row.try_get(4)?);
    if !row.try_get(7)? {
        notes.push(format!("the index {schema}.{name} was not whole, and is not made again"));
        return Ok(());
    }
    let ident = quote::within(&schema, &name);
    let mut made = vec![row.try_get(2)?];
    if let Some(space) = row.try_get::<_, Option<String>>(5)? {
        made.push(format!("ALTER INDEX {ident} SET TABLESPACE {}", quote::name(&space)));
    }
    let settings: Vec<String> = row.try_get(8)?;
    made.extend(settings.iter().map(|setting| format!("ALTER INDEX {ident} {setting}")));
    if row.try_get(6)? {
        made.push(format!("ALTER {} {} CLUSTER ON {}", view.kind(), view.ident(), quote::name(&name)));
    }
    for sql in made {
        let made = view.again(sql);
        view.make.push(made);
    }
    comment(view, row, |_| format!("INDEX {ident}"))
}

fn statistics(view: &mut View, row: &Row, _: &mut Vec<String>) -> Result<(), tokio_postgres::Error> {
    let (name, schema, owner): (String, String, String) = (row.try_get(1)?, row.try_get(4)?, row.try_get(5)?);
    let ident = quote::within(&schema, &name);
    let mut made = vec![row.try_get(2)?];
    if let Some(target) = row.try_get::<_, Option<String>>(6)? {
        made.push(format!("ALTER STATISTICS {ident} SET STATISTICS {target}"));
    }
    made.push(format!("ALTER STATISTICS {ident} OWNER TO {}", quote::name(&owner)));
    for sql in made {
        let made = view.again(sql);
        view.then.push(made);
    }
    comment(view, row, |_| format!("STATISTICS {ident}"))
}

fn comment(view: &mut View, row: &Row, on: impl Fn(&View) -> String) -> Result<(), tokio_postgres::Error> {
    if let Some(comment) = row.try_get::<_, Option<String>>(3)? {
        let made = view.again(format!("COMMENT ON {} IS {}", on(view), quote::text(&comment)));
        view.then.push(made);
    }
    Ok(())
}
