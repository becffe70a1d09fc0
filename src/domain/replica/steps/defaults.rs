//! Whether a default as PostgreSQL writes it is the one that is wanted.

use crate::domain::replica::shape::{Kind, Literal, Scalar};

/// Whether `pg_get_expr`'s text is that default of a column of that kind.
pub(super) fn same(found: Option<&str>, wanted: Option<&Literal>, kind: &Kind) -> bool {
    match (found.map(value), wanted) {
        (None | Some(Value::Null), None) => true,
        (None | Some(Value::Null | Value::Other), _) | (Some(_), None) => false,
        (Some(Value::Bare(text) | Value::Quoted(text)), Some(wanted)) => is_one(&text, wanted, kind.scalar()),
    }
}

#[derive(Debug, PartialEq)]
enum Value {
    Null,
    /// A number, `true`, `false`.
    Bare(String),
    Quoted(String),
    /// An expression.
    Other,
}

/// Reads `5`, `(-5)`, `'-5'::integer`, `(1.5)::double precision`, `'it''s'::text`, `NULL::text`.
fn value(written: &str) -> Value {
    let mut text = written.trim();
    loop {
        if let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            text = inner.trim();
        } else if let Some((inner, _)) = text.rsplit_once("::").filter(|(_, kind)| !kind.contains('\'')) {
            text = inner.trim();
        } else {
            break;
        }
    }
    if let Some(inner) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        // A quote that is not doubled ends the literal: there is more.
        return if inner.replace("''", "").contains('\'') {
            Value::Other
        } else {
            Value::Quoted(inner.replace("''", "'"))
        };
    }
    if text.eq_ignore_ascii_case("null") {
        Value::Null
    } else if matches!(text, "true" | "false") || text.parse::<f64>().is_ok() {
        Value::Bare(text.to_owned())
    } else {
        Value::Other
    }
}

fn is_one(text: &str, wanted: &Literal, scalar: &Scalar) -> bool {
    match wanted {
        Literal::Boolean(wanted) => text.parse() == Ok(*wanted),
        Literal::Number(wanted) => {
            text == wanted
                || match (scalar, text.parse::<f64>(), wanted.parse::<f64>()) {
                    // Integers of 64 bits are not the same because their roundings are.
                    (Scalar::Smallint | Scalar::Integer | Scalar::Bigint, ..) => false,
                    (Scalar::Real, Ok(one), Ok(other)) => (one - other).abs() <= one.abs() * 1e-6,
                    (Scalar::Numeric { scale, .. }, Ok(one), Ok(other)) => {
                        (one - other).abs() < 0.5 * 10_f64.powi(-i32::try_from(*scale).unwrap_or(0))
                            || (one - other).abs() <= one.abs() * 1e-15
                    }
                    (_, Ok(one), Ok(other)) => (one - other).abs() <= one.abs() * 1e-15,
                    _ => false,
                }
        }
        Literal::Text(wanted) => {
            text == wanted
                || (matches!(scalar, Scalar::Timestamp | Scalar::Date | Scalar::Time)
                    && moment(text) == moment(wanted))
                || (matches!(scalar, Scalar::Uuid | Scalar::Inet) && same_address(text, wanted))
                // It fills up with blanks.
                || (matches!(scalar, Scalar::Char(_))
                    && text.trim_end_matches(' ') == wanted.trim_end_matches(' '))
        }
    }
}

/// A time without what may be written in different ways.
fn moment(text: &str) -> String {
    let text = text.strip_suffix('Z').unwrap_or(text).replace('T', " ");
    let text = match text.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{}", fraction.trim_end_matches('0')),
        None => text,
    };
    text.trim_end_matches('.').to_owned()
}

fn same_address(one: &str, other: &str) -> bool {
    match (one.parse::<std::net::IpAddr>(), other.parse::<std::net::IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.eq_ignore_ascii_case(other),
    }
}
