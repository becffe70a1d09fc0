//! Changes of a table's definition, with the views that depend on it.
//!
//! What is to be done is found out from the catalogue, so that a change whose effect is there is not made
//! again; all of it is one transaction, which the caller commits or rolls back.

mod casts;
mod labels;
mod present;
mod wanted;
mod write;

use tokio_postgres::Transaction;

pub(super) use self::casts::using;
use self::wanted::Wanted;
use super::{
    ddl::Statement,
    dependents::{Dependents, Touched},
    failure, quote,
    session::Session,
    settings::Refresh,
    staging,
};
use crate::{
    domain::replica::{changes::Changes, names::TableName},
    ports::replica::{Evolved, Result},
};

/// How names are looked up while views are filled and the table is altered: functions mean what they mean for others. Newer
/// servers see to that themselves.
const AS_OTHERS: &str = "SET LOCAL search_path = DEFAULT; SET LOCAL row_security = DEFAULT";
/// As the session has it.
const AS_WE: &str = "SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off";

/// What was made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// As the port has it; without the notes of the changes themselves.
    pub(super) evolved: Evolved,
    /// What is to be made when the transaction has ended: it fills views.
    afterwards: Vec<Statement>,
}

/// Makes the changes, in a transaction that holds the row of `table_sync` and a lock timeout.
///
/// [`Trouble::Dependents`](crate::ports::replica::Trouble::Dependents) names what cannot be made again as it
/// was. After any error the transaction is to be rolled back: then nothing has changed.
pub(super) async fn make(
    tx: &Transaction<'_>,
    table: &TableName,
    changes: &Changes,
    refresh: Refresh,
) -> Result<Made> {
    let present = present::read(tx, table).await?;
    let wanted = Wanted::of(changes, &present, &table.namespace);
    let (retyped, dropped) = wanted.numbers();
    let touched = Touched::Columns { retyped: &retyped, dropped: &dropped };
    let ident = quote::within(&table.namespace, &table.table);
    let facts = write::Facts::read(tx, &ident, &wanted).await?;
    let dependents = if touched.is_nothing() {
        Dependents::default()
    } else {
        Dependents::locked(tx, present.oid, &ident, touched).await?
    };
    dependents.hindered()?;
    let work = write::Work::of(tx, table, &present, &wanted, &facts, &dependents).await?;
    let mut made = Made { evolved: told(&dependents, work.notes), afterwards: Vec::new() };
    run(tx, dependents.drops(), &mut made).await?;
    // Checks, and expressions of indexes, are looked at again, and may name what they find by the path of others.
    settings(tx, AS_OTHERS).await?;
    run(tx, work.alter, &mut made).await?;
    settings(tx, AS_WE).await?;
    for statements in [dependents.makes(), work.tidy] {
        run(tx, statements, &mut made).await?;
    }
    fill(tx, &dependents, refresh, &mut made).await?;
    Ok(made)
}

/// Makes what has to be committed before [`make`]: labels that it uses. Gives the statements.
pub(super) async fn before(
    tx: &Transaction<'_>,
    table: &TableName,
    changes: &Changes,
) -> Result<Vec<String>> {
    let present = present::read(tx, table).await?;
    let wanted = Wanted::of(changes, &present, &table.namespace);
    let mut made = Made::default();
    run(tx, labels::labels_before(tx, &table.namespace, &present, &wanted).await?, &mut made).await?;
    Ok(made.evolved.statements)
}

/// What [`make`] would do, without doing it: the transaction only reads. What hinders it is an error here,
/// too.
pub(super) async fn plan(
    tx: &Transaction<'_>,
    table: &TableName,
    changes: &Changes,
    refresh: Refresh,
) -> Result<Evolved> {
    let present = present::read(tx, table).await?;
    let wanted = Wanted::of(changes, &present, &table.namespace);
    let (retyped, dropped) = wanted.numbers();
    let touched = Touched::Columns { retyped: &retyped, dropped: &dropped };
    let ident = quote::within(&table.namespace, &table.table);
    let facts = write::Facts::read(tx, &ident, &wanted).await?;
    let dependents = Dependents::read(tx, present.oid, touched).await?;
    dependents.hindered()?;
    let work = write::Work::of(tx, table, &present, &wanted, &facts, &dependents).await?;
    let mut evolved = told(&dependents, work.notes);
    let all = dependents.drops().into_iter().chain(work.alter).chain(dependents.makes()).chain(work.tidy);
    evolved.statements = all.map(|statement| statement.sql).collect();
    if refresh != Refresh::Never {
        evolved.statements.extend(dependents.refreshes().into_iter().map(|statement| statement.sql));
    }
    Ok(evolved)
}

fn told(dependents: &Dependents, notes: Vec<String>) -> Evolved {
    let notes = dependents.notes.iter().cloned().chain(notes).collect();
    Evolved { remade: dependents.names(), notes, statements: Vec::new() }
}

/// Makes statements, and writes down that they were made.
pub(super) async fn run(tx: &Transaction<'_>, statements: Vec<Statement>, made: &mut Made) -> Result<()> {
    for statement in statements {
        made.evolved.notes.extend(statement.run(tx).await?);
        made.evolved.statements.push(statement.sql);
    }
    Ok(())
}

/// Fills the materialised views that were filled, or says what does.
pub(super) async fn fill(
    tx: &Transaction<'_>,
    dependents: &Dependents,
    refresh: Refresh,
    made: &mut Made,
) -> Result<()> {
    let statements = dependents.refreshes();
    match refresh {
        Refresh::Inside if !statements.is_empty() => {
            settings(tx, AS_OTHERS).await?;
            run(tx, statements, made).await?;
            settings(tx, AS_WE).await
        }
        Refresh::After => {
            made.afterwards = statements;
            Ok(())
        }
        Refresh::Inside | Refresh::Never => Ok(()),
    }
}

/// What is to be done when the transaction has ended, each view by itself. The change has happened: a view
/// that cannot be filled is told.
pub(super) async fn afterwards(session: &mut Session, made: Made) -> Evolved {
    let Made { mut evolved, afterwards } = made;
    for statement in afterwards {
        match alone(session, &statement).await {
            Ok(()) => evolved.statements.push(statement.sql),
            Err(trouble) => evolved.notes.push(trouble.to_string()),
        }
    }
    evolved
}

async fn alone(session: &mut Session, statement: &Statement) -> Result<()> {
    let tx = session.begin().await?;
    settings(&tx, AS_OTHERS).await?;
    statement.run(&tx).await?;
    staging::commit(tx).await
}

async fn settings(tx: &Transaction<'_>, sql: &str) -> Result<()> {
    tx.batch_execute(sql).await.map_err(failure::of("SET"))
}
