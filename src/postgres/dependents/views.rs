//! A view with all that is said about it, and the statements that make it again.

use std::collections::BTreeMap;

use tokio_postgres::{Row, Transaction};

use super::{
    Statement, grants, parts, port,
    view::{Found, TABLE, View, kind},
};
use crate::{
    ports::replica::{Result, Trouble},
    postgres::quote,
};

/// What locks views without a change: an owner that stays. `LOCK TABLE` would lock all that a view reads,
/// too.
pub(super) async fn locks(tx: &Transaction<'_>, views: &[u32]) -> Result<Vec<Statement>> {
    let failed = port("SELECT pg_class");
    let sql = "SELECT n.nspname::text, c.relname::text, c.relkind = 'm', pg_get_userbyid(c.relowner)::text
        FROM unnest($1::oid[]) WITH ORDINALITY AS wanted (oid, place)
        JOIN pg_class c ON c.oid = wanted.oid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relpersistence <> 't'
        ORDER BY wanted.place";
    let lock = |row: &Row| {
        let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (is_materialised, owner): (bool, String) = (row.try_get(2)?, row.try_get(3)?);
        let (kind, ident) = (kind(is_materialised), quote::within(&schema, &name));
        let sql = format!("ALTER {kind} {ident} OWNER TO {}", quote::name(&owner));
        Ok(Statement::dependent(format!("the view {schema}.{name} cannot be made again"), sql))
    };
    let rows = tx.query(sql, &[&views]).await.map_err(&failed)?;
    rows.iter().map(lock).collect::<Result<_, tokio_postgres::Error>>().map_err(failed)
}

const VIEWS: &str = "
    SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'm', c.relispopulated,
        pg_get_userbyid(c.relowner)::text, c.reloptions, toast.reloptions,
        am.amname::text, space.spcname::text,
        pg_get_viewdef(c.oid), obj_description(c.oid, 'pg_class')
    FROM unnest($1::oid[]) WITH ORDINALITY AS wanted (oid, place)
    JOIN pg_class c ON c.oid = wanted.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
    LEFT JOIN pg_am am ON am.oid = c.relam
    LEFT JOIN pg_tablespace space ON space.oid = c.reltablespace
    ORDER BY wanted.place";

/// Reads views, given and answered from the inside out.
pub(super) async fn read(tx: &Transaction<'_>, views: &[u32], notes: &mut Vec<String>) -> Result<Vec<View>> {
    if views.is_empty() {
        return Ok(Vec::new());
    }
    let failed = port("SELECT pg_get_viewdef");
    let rows = tx.query(VIEWS, &[&views]).await.map_err(&failed)?;
    let read = rows.iter().map(view).collect::<Result<Vec<_>, tokio_postgres::Error>>();
    let mut found = BTreeMap::new();
    let mut order = Vec::new();
    for (view, owner) in read.map_err(failed)? {
        order.push(view.oid);
        found.insert(view.oid, (view, owner));
    }
    complete(tx, views, &mut found, notes).await?;
    Ok(order.into_iter().filter_map(|oid| found.remove(&oid).map(|(view, _)| view)).collect())
}

/// What columns, parts, owners and privileges are.
async fn complete(
    tx: &Transaction<'_>,
    all: &[u32],
    found: &mut Found,
    notes: &mut Vec<String>,
) -> Result<()> {
    columns(tx, all, found).await?;
    parts::read(tx, all, found, notes).await?;
    for (view, owner) in found.values_mut() {
        let sql = format!("ALTER {} {} OWNER TO {}", view.kind(), view.ident(), quote::name(owner));
        view.make.push(view.again(sql));
    }
    grants::read(tx, all, found, notes).await
}

const THE_TABLE: &str = "
    SELECT n.nspname::text, c.relname::text, pg_get_userbyid(c.relowner)::text, c.reloptions,
        toast.reloptions,
        c.relrowsecurity, c.relforcerowsecurity,
        CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' WHEN 'i' THEN (
            SELECT format('USING INDEX %I', r.relname)
            FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid
            WHERE i.indrelid = c.oid AND i.indisreplident AND NOT i.indisprimary
        ) END
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
    WHERE c.oid = $1";

/// What others have made of the table itself, for another that takes its place: its owner, privileges,
/// settings, indexes, statistics, triggers and rules. Its columns, key and comments are those of its schema.
pub(super) async fn read_table(tx: &Transaction<'_>, table: u32, notes: &mut Vec<String>) -> Result<View> {
    let failed = port("SELECT pg_class");
    let row = tx.query_one(THE_TABLE, &[&table]).await.map_err(&failed)?;
    let read = the_table(table, &row).map_err(&failed)?;
    let mut found = Found::from([(table, read)]);
    complete(tx, &[table], &mut found, notes).await?;
    let found = found.remove(&table).map(|(view, _)| view);
    found.ok_or_else(|| Trouble::Refused("the table has gone".to_owned()))
}

fn the_table(oid: u32, row: &Row) -> Result<(View, String), tokio_postgres::Error> {
    let mut view = View {
        oid,
        schema: row.try_get(0)?,
        name: row.try_get(1)?,
        kind: TABLE,
        is_filled: false,
        undo: Vec::new(),
        make: Vec::new(),
        then: Vec::new(),
    };
    let options = options(row, 3)?;
    let identity: Option<String> = row.try_get(7)?;
    let settings = [
        (!options.is_empty()).then(|| format!("SET ({})", options.join(", "))),
        row.try_get::<_, bool>(5)?.then(|| "ENABLE ROW LEVEL SECURITY".to_owned()),
        row.try_get::<_, bool>(6)?.then(|| "FORCE ROW LEVEL SECURITY".to_owned()),
    ];
    let ident = view.ident();
    for what in settings.into_iter().flatten() {
        let made = view.again(format!("ALTER TABLE {ident} {what}"));
        view.make.push(made);
    }
    // By then its index is there.
    if let Some(identity) = identity {
        let made = view.again(format!("ALTER TABLE {ident} REPLICA IDENTITY {identity}"));
        view.then.push(made);
    }
    Ok((view, row.try_get(2)?))
}

/// Settings of a relation, and those of its TOAST table beside them, as they stand in `WITH (…)`.
fn options(row: &Row, place: usize) -> Result<Vec<String>, tokio_postgres::Error> {
    let own: Option<Vec<String>> = row.try_get(place)?;
    let toast: Option<Vec<String>> = row.try_get(place + 1)?;
    let of_toast = toast.iter().flatten().filter_map(|text| option("toast.", text));
    Ok(own.iter().flatten().filter_map(|text| option("", text)).chain(of_toast).collect())
}

fn view(row: &Row) -> Result<(View, String), tokio_postgres::Error> {
    let (oid, is_materialised): (u32, bool) = (row.try_get(0)?, row.try_get(3)?);
    let mut view = View {
        oid,
        schema: row.try_get(1)?,
        name: row.try_get(2)?,
        kind: kind(is_materialised),
        is_filled: row.try_get(4)?,
        undo: Vec::new(),
        make: Vec::new(),
        then: Vec::new(),
    };
    let options = options(row, 6)?;
    let (access, space): (Option<String>, Option<String>) = (row.try_get(8)?, row.try_get(9)?);
    let definition: String = row.try_get(10)?;
    let using = access.filter(|_| is_materialised).map(|access| format!("USING {}", quote::name(&access)));
    let with = (!options.is_empty()).then(|| format!("WITH ({})", options.join(", ")));
    let space = space.map(|space| format!("TABLESPACE {}", quote::name(&space)));
    let parts = [
        Some(format!("CREATE {} {}", view.kind(), view.ident())),
        using,
        with,
        space,
        Some(format!("AS {}", definition.trim().trim_end_matches(';'))),
        is_materialised.then(|| "WITH NO DATA".to_owned()),
    ];
    let sql = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    view.make.push(view.again(sql));
    if let Some(comment) = row.try_get::<_, Option<String>>(11)? {
        let sql = format!("COMMENT ON {} {} IS {}", view.kind(), view.ident(), quote::text(&comment));
        view.make.push(view.again(sql));
    }
    Ok((view, row.try_get(5)?))
}

/// `name=value` of the catalogue as it stands in `WITH (…)`.
fn option(prefix: &str, text: &str) -> Option<String> {
    let (name, value) = text.split_once('=')?;
    Some(format!("{prefix}{}={}", quote::name(name), quote::text(value)))
}

const COLUMNS: &str = "
    SELECT a.attrelid, a.attname::text, pg_get_expr(d.adbin, d.adrelid),
        col_description(a.attrelid, a.attnum),
        CASE WHEN (to_jsonb(a) ->> 'attstattarget')::int >= 0 THEN to_jsonb(a) ->> 'attstattarget' END,
        CASE WHEN c.relkind IN ('m', 'r') AND a.attstorage <> t.typstorage THEN
            CASE a.attstorage
                WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'x' THEN 'EXTENDED' ELSE 'MAIN' END
        END,
        CASE to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
        a.attoptions
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum";

/// Defaults, comments and settings of columns.
async fn columns(tx: &Transaction<'_>, views: &[u32], found: &mut Found) -> Result<()> {
    let failed = port("SELECT pg_attribute");
    for row in tx.query(COLUMNS, &[&views]).await.map_err(&failed)? {
        let Some((view, _)) = found.get_mut(&row.try_get(0).map_err(&failed)?) else { continue };
        let made = column(view, &row).map_err(&failed)?;
        view.make.extend(made);
    }
    Ok(())
}

fn column(view: &View, row: &Row) -> Result<Vec<Statement>, tokio_postgres::Error> {
    let name = quote::name(row.try_get(1)?);
    let text = |place: usize| row.try_get::<_, Option<String>>(place);
    let options: Option<Vec<String>> = row.try_get(7)?;
    let options: Vec<String> = options.iter().flatten().filter_map(|text| option("", text)).collect();
    let settings = [
        text(2)?.filter(|_| !view.is_table()).map(|default| format!("SET DEFAULT {default}")),
        text(4)?.map(|target| format!("SET STATISTICS {target}")),
        text(5)?.map(|storage| format!("SET STORAGE {storage}")),
        text(6)?.map(|method| format!("SET COMPRESSION {method}")),
        (!options.is_empty()).then(|| format!("SET ({})", options.join(", "))),
    ];
    let (kind, ident) = (view.kind(), view.ident());
    let set = |what: String| view.again(format!("ALTER {kind} {ident} ALTER COLUMN {name} {what}"));
    let mut made: Vec<Statement> = settings.into_iter().flatten().map(set).collect();
    if let Some(comment) = text(3)?.filter(|_| !view.is_table()) {
        made.push(view.again(format!("COMMENT ON COLUMN {ident}.{name} IS {}", quote::text(&comment))));
    }
    Ok(made)
}
