//! What the database's errors mean.

use std::error::Error as _;

use tokio_postgres::{Error as PgError, error::DbError};

use super::place;
use crate::ports::{
    error::{Class, Error},
    replica::{BadLine, Trouble},
};

/// Why a pooler that gives each transaction another session cannot be used: locks and settings belong to sessions.
pub(super) const POOLED: &str = "the database's address is that of a pooler that gives each transaction another \
    session: the replica needs the server itself, or a pooler in session mode";

/// A statement failed: what that means, and its SQLSTATE as `code`. Neither values nor credentials are in it.
pub(super) fn port(operation: &'static str, error: &PgError) -> Error {
    let Some(found) = error.as_db_error() else { return unsaid(operation, error) };
    let code = found.code().code();
    let said = found.message();
    let (class, message) = match code {
        _ if code.starts_with("28") => {
            (Class::Forbidden, format!("the database refuses the login: {said} (SQLSTATE {code})"))
        }
        "42501" => (Class::Forbidden, format!("the database's role may not do that: {said}")),
        "3D000" => (Class::NotFound, format!("there is no such database: {said}")),
        // A prepared statement that another session has.
        "26000" => (Class::Invalid, POOLED.to_owned()),
        "25006" => (Class::Transient, "the database takes no changes at the moment".to_owned()),
        // What it says of data holds the data.
        _ if code.starts_with("22") || code.starts_with("23") => (Class::Invalid, unfit(code)),
        _ => (class_of(code), format!("{said} (SQLSTATE {code})")),
    };
    let mut mapped = Error::new(class, operation, message);
    mapped.code = Some(code.to_owned());
    mapped
}

fn class_of(code: &str) -> Class {
    match code {
        // The last two: a timeout of the server's own has ended an idle transaction, or a long one.
        "40001" | "40P01" | "55P03" | "57014" | "25P03" | "25P04" => Class::Transient,
        _ if code.starts_with("08") || code.starts_with("57P") || code.starts_with("58") => Class::Transient,
        _ if code.starts_with("53") => Class::Throttled,
        // A table or column that was there a moment ago.
        "42P01" | "42703" | "42704" | "3F000" => Class::Conflict,
        _ => Class::Invalid,
    }
}

/// An error that the server has not said.
fn unsaid(operation: &'static str, error: &PgError) -> Error {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    let is_io = deepest.downcast_ref::<std::io::Error>().is_some();
    let detail = if deepest.source().is_none() && error.source().is_some() {
        format!("{error}: {deepest}")
    } else {
        error.to_string()
    };
    let class = match error.to_string().as_str() {
        "authentication error" => Class::Forbidden,
        "invalid configuration" | "invalid connection string" => Class::Invalid,
        text if text.starts_with("error serializing") || text.starts_with("error deserializing") => {
            Class::Invalid
        }
        _ => Class::Transient,
    };
    let class = if is_certificate(&detail) { Class::Forbidden } else { class };
    let mapped = Error::new(class, operation, detail);
    if !is_io {
        return mapped;
    }
    match error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
        // Kept, so that a lack of this machine is seen.
        Some(io) => {
            let io = io.raw_os_error().map_or_else(|| io.kind().into(), std::io::Error::from_raw_os_error);
            mapped.caused_by(io)
        }
        None => mapped,
    }
}

fn is_certificate(detail: &str) -> bool {
    detail.contains("invalid peer certificate") || detail.contains("server does not support TLS")
}

/// Why a value does not fit, by SQLSTATE: the server's own sentences hold the value.
fn unfit(code: &str) -> String {
    let why = match code {
        "22001" => "a text is too long",
        "22003" => "a number is out of range",
        "22007" | "22008" => "that is no date or time, or none that can be kept",
        "22021" => "bytes that are no UTF-8, or a NUL",
        "22P02" | "22018" => "the value is none of its type",
        "22P04" => "the line has too few or too many fields, or is broken",
        "22P05" => "a character that the database cannot keep",
        "22030" | "22032" => "the JSON is wrong",
        "23502" => "a null where a value must be",
        "23505" => "a row of that key is there",
        "23514" => "a check of the table is not met",
        _ => "the value does not fit",
    };
    format!("{why} (SQLSTATE {code})")
}

/// For `map_err`: the trouble of a failed statement.
pub(super) fn of(operation: &'static str) -> impl Fn(PgError) -> Trouble {
    move |error| Trouble::Port(port(operation, &error))
}

/// The same for a commit: without an answer it may have happened.
pub(super) fn of_commit(error: &PgError) -> Trouble {
    let mapped = port("COMMIT", error);
    let is_unknown = error.as_db_error().is_none();
    Trouble::Port(if is_unknown { mapped.ambiguous() } else { mapped })
}

/// A COPY failed: a line that does not fit, or something else.
pub(super) fn of_copy(error: &PgError, part: usize, table: &str, columns: &[String]) -> Trouble {
    let Some(found) = error.as_db_error().filter(|found| is_of_data(found)) else {
        return Trouble::Port(port("COPY", error));
    };
    let (line, column) = place::of(found.where_().unwrap_or_default(), table, columns);
    let column = column.or_else(|| found.column().map(str::to_owned));
    Trouble::BadLine(BadLine { part, line, column, why: unfit(found.code().code()) })
}

/// What lines have brought does not fit the table itself: seen after the COPY, so which line it was is not
/// known.
pub(super) fn of_rows(operation: &'static str, error: &PgError, part: usize) -> Trouble {
    let Some(found) = error.as_db_error().filter(|found| is_of_data(found)) else {
        return Trouble::Port(port(operation, error));
    };
    if let Some(constraint) = found.constraint() {
        // Somebody has given the table rules of his own: no line is to blame.
        let table = found.table().unwrap_or("?");
        return Trouble::Refused(format!(
            "the constraint {constraint} of {table} does not let rows come or go"
        ));
    }
    let column = found.column().map(str::to_owned);
    Trouble::BadLine(BadLine { part, line: None, column, why: unfit(found.code().code()) })
}

/// Whether a statement was refused since a value does not fit.
pub(super) fn is_unfit(error: &PgError) -> bool {
    error.as_db_error().is_some_and(is_of_data)
}

fn is_of_data(found: &DbError) -> bool {
    let code = found.code().code();
    code.starts_with("22") || code.starts_with("23")
}

/// The SQLSTATE of a trouble, where there is one.
pub(super) fn code(trouble: &Trouble) -> Option<&str> {
    match trouble {
        Trouble::Port(error) => error.code.as_deref(),
        _ => None,
    }
}
