//! A statement of a change of definitions, and what its refusal means.

use tokio_postgres::{Error as PgError, Transaction};

use super::failure;
use crate::ports::replica::{Result, Trouble};

/// Classes of SQLSTATE that say that what is asked for does not fit what is there: not supported, data,
/// constraints, dependent objects; names, types and rights.
const MISFITS: [&str; 5] = ["0A", "22", "23", "2B", "42"];

/// A statement that changes a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// As it is sent.
    pub(super) sql: String,
    /// What a refusal says first, as `the view canvas.names cannot be made again`.
    about: String,
    /// Whether a refusal is due to what depends on the table.
    is_dependent: bool,
    /// What is made where values do not fit, and what is to be told then.
    instead: Option<(String, String)>,
}

impl Statement {
    /// One that changes the table.
    pub(super) fn new(about: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), about: about.into(), is_dependent: false, instead: None }
    }

    /// One that takes away or makes again what depends on the table.
    pub(super) fn dependent(about: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), about: about.into(), is_dependent: true, instead: None }
    }

    /// The same, or where values do not fit, that one, and what is to be told then.
    pub(super) fn or(mut self, sql: String, note: String) -> Self {
        self.instead = Some((sql, note));
        self
    }

    /// Makes it. Gives what is to be told of it.
    pub(super) async fn run(&self, tx: &Transaction<'_>) -> Result<Option<String>> {
        let Some((instead, note)) = &self.instead else {
            tx.batch_execute(&self.sql).await.map_err(|error| self.refused(&error))?;
            return Ok(None);
        };
        let guarded = format!("SAVEPOINT copy_manager_values; {}; RELEASE copy_manager_values", self.sql);
        let Err(error) = tx.batch_execute(&guarded).await else { return Ok(None) };
        if !is_data(&error) {
            return Err(self.refused(&error));
        }
        let again = format!("ROLLBACK TO copy_manager_values; {instead}");
        tx.batch_execute(&again).await.map_err(|error| self.refused(&error))?;
        Ok(Some(note.clone()))
    }

    /// What it means that the database has refused it.
    pub(super) fn refused(&self, error: &PgError) -> Trouble {
        let port = failure::port("ALTER", error);
        let Some(said) = error.as_db_error() else { return Trouble::Port(port) };
        let class = said.code().code().get(..2).unwrap_or_default();
        if !MISFITS.contains(&class) {
            return Trouble::Port(port);
        }
        let holds = matches!(class, "0A" | "2B");
        // Of what depends, the detail has the names; of data, it has the data.
        let detail =
            said.detail().filter(|_| holds).map(|detail| format!(" ({})", detail.replace('\n', ", ")));
        let sentence = format!("{}: {}{}", self.about, port.message, detail.unwrap_or_default());
        if self.is_dependent || holds {
            Trouble::Dependents(vec![sentence])
        } else {
            Trouble::Refused(sentence)
        }
    }
}

/// Whether a statement was refused since a value does not fit.
fn is_data(error: &PgError) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("22"))
}
