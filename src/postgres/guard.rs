//! Tables with treated columns are marked, and kept from programs that would load them untreated.
//!
//! The mark is the argument of a trigger on the table, which refuses rows of every session but ours: so it lives and
//! goes with the table, whoever drops it or moves it elsewhere. The official client looks at no trigger, and takes away
//! none: its row of `table_sync` could keep it back only by being wrong for all who read it.

use tokio_postgres::{GenericClient, Transaction};

use super::{failure, own::Own, quote};
use crate::{domain::replica::names::TableName, ports::replica::Result};

/// The trigger.
const NAME: &str = "treated_by_copy_manager";
/// One that was switched off keeps nobody back.
const MARK: &str = "SELECT tgargs FROM pg_trigger \
    WHERE tgrelid = to_regclass($1) AND tgname = $2 AND NOT tgisinternal AND tgenabled IN ('O', 'A')";

/// What a table, whose name is given quoted, is marked with.
pub(super) async fn read(client: &impl GenericClient, live: &str) -> Result<Option<String>> {
    let failed = failure::of("look at a mark");
    let Some(row) = client.query_opt(MARK, &[&live, &NAME]).await.map_err(&failed)? else { return Ok(None) };
    let arguments: Vec<u8> = row.try_get(0).map_err(&failed)?;
    // Each ends with a NUL.
    let mark = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(mark).into_owned()))
}

/// Gives a table that mark, or takes its mark away.
pub(super) async fn set(
    tx: &Transaction<'_>,
    own: &Own,
    table: &TableName,
    mark: Option<&str>,
) -> Result<()> {
    let live = quote::within(&table.namespace, &table.table);
    if read(tx, &live).await?.as_deref() == mark {
        return Ok(());
    }
    let name = quote::name(NAME);
    let mut statements = vec![format!("DROP TRIGGER IF EXISTS {name} ON {live}")];
    if let Some(mark) = mark {
        make(tx, own).await?;
        statements.push(format!(
            "CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON {live} FOR EACH STATEMENT \
             EXECUTE FUNCTION {}({})",
            own.refuse_others,
            quote::text(mark)
        ));
    }
    tx.batch_execute(&statements.join("; ")).await.map_err(failure::of("CREATE TRIGGER"))?;
    own.note_changes(tx, table, &statements, "its treated columns are others").await
}

/// Makes the function of the trigger, where it is not there.
async fn make(tx: &Transaction<'_>, own: &Own) -> Result<()> {
    let Own { refuse_others, .. } = own;
    let asked = tx.query_one("SELECT to_regproc($1) IS NOT NULL", &[refuse_others]).await;
    if asked.and_then(|row| row.try_get::<_, bool>(0)).map_err(failure::of("look at a function"))? {
        return Ok(());
    }
    let statement = format!(
        "CREATE FUNCTION {refuse_others}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $guard$ \
         BEGIN \
         IF current_setting('copy_manager.loads', true) IS DISTINCT FROM 'on' THEN \
         RAISE insufficient_privilege USING MESSAGE = format('%I.%I is loaded by copy-manager alone: it has treated columns \
         (%s), and what other programs load is not treated', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]); \
         END IF; RETURN NULL; END $guard$"
    );
    tx.batch_execute(&statement).await.map_err(failure::of("CREATE FUNCTION"))
}
