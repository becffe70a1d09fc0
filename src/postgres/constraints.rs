//! Constraints that are to be called what the official client's are.

use tokio_postgres::Transaction;

use super::{failure, quote};
use crate::{
    domain::replica::{names::TableName, shape::LONGEST_NAME},
    ports::replica::Result,
};

/// Servers before 18 have no such constraints.
const NOT_NULL: &str = "SELECT c.conname::text, a.attname::text FROM pg_constraint c \
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] \
    WHERE c.conrelid = to_regclass($1) AND c.contype = 'n' ORDER BY a.attnum";
const TAKEN: &str = "SELECT EXISTS (SELECT FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace \
    WHERE n.nspname = $1 AND c.conname = $2)";

/// Gives to the NOT NULL constraints of a table the names that the server would have given them, had the table been
/// made under its name.
pub(super) async fn name_not_null(tx: &Transaction<'_>, table: &TableName) -> Result<()> {
    let failed = failure::of("look at constraints");
    let live = quote::within(&table.namespace, &table.table);
    for row in tx.query(NOT_NULL, &[&live]).await.map_err(&failed)? {
        let (name, column): (String, String) =
            (row.try_get(0).map_err(&failed)?, row.try_get(1).map_err(&failed)?);
        let mut number = 0;
        let wanted = loop {
            let wanted = not_null(&table.table, &column, number);
            if wanted == name {
                break wanted;
            }
            let taken = tx.query_one(TAKEN, &[&table.namespace, &wanted]).await;
            if !taken.and_then(|row| row.try_get::<_, bool>(0)).map_err(&failed)? {
                break wanted;
            }
            number += 1;
        };
        if wanted != name {
            let (from, to) = (quote::name(&name), quote::name(&wanted));
            let statement = format!("ALTER TABLE {live} RENAME CONSTRAINT {from} TO {to}");
            tx.batch_execute(&statement).await.map_err(failure::of("ALTER TABLE"))?;
        }
    }
    Ok(())
}

/// `{table}_{column}_not_null`, with a number where that is taken; of names that are too long together, the longer one
/// is cut first.
fn not_null(table: &str, column: &str, number: u32) -> String {
    let end = if number == 0 { "not_null".to_owned() } else { format!("not_null{number}") };
    let room = LONGEST_NAME - end.len() - 2;
    let (mut of_table, mut of_column) = (table.len(), column.len());
    while of_table + of_column > room {
        if of_table > of_column {
            of_table -= 1;
        } else {
            of_column -= 1;
        }
    }
    format!("{}_{}_{end}", quote::cut(table, of_table), quote::cut(column, of_column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_as_the_server_cuts_them() {
        assert_eq!(not_null("courses", "id", 0), "courses_id_not_null");
        assert_eq!(not_null("courses", "id", 12), "courses_id_not_null12");
        let (table, column) = ("t".repeat(63), "c".repeat(20));
        assert_eq!(not_null(&table, &column, 0), format!("{}_{column}_not_null", "t".repeat(33)));
        assert_eq!(not_null(&table, &"é".repeat(30), 0).len(), 63);
    }
}
