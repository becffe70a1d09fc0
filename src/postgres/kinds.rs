//! What the kinds of the domain are called in SQL.

use super::quote;
use crate::domain::replica::shape::{Column, Kind, Scalar};

/// Digits that `numeric` can be told to hold.
pub(super) const MOST_DIGITS: u32 = 1000;

/// The type of a column of a namespace, as a statement names it.
pub(super) fn type_of(kind: &Kind, namespace: &str) -> String {
    match kind {
        Kind::One(scalar) => scalar_type(scalar, namespace),
        Kind::List(scalar) => format!("{}[]", scalar_type(scalar, namespace)),
    }
}

fn scalar_type(scalar: &Scalar, namespace: &str) -> String {
    let name = match scalar {
        Scalar::Smallint => "smallint",
        Scalar::Integer => "integer",
        Scalar::Bigint => "bigint",
        Scalar::Real => "real",
        Scalar::Double => "double precision",
        // One that is not told how much it holds.
        Scalar::Numeric { precision, .. } if *precision > MOST_DIGITS => "numeric",
        Scalar::Numeric { precision, scale } => return format!("numeric({precision},{scale})"),
        Scalar::Boolean => "boolean",
        Scalar::Text => "text",
        Scalar::Varchar(length) => return format!("character varying({length})"),
        Scalar::Char(length) => return format!("character({length})"),
        Scalar::Timestamp => "timestamp without time zone",
        Scalar::Date => "date",
        Scalar::Time => "time without time zone",
        Scalar::Uuid => "uuid",
        Scalar::Inet => "inet",
        Scalar::Jsonb | Scalar::JsonOrText => "jsonb",
        Scalar::Enum(enumeration) => return quote::within(namespace, &enumeration.name),
    };
    name.to_owned()
}

/// A column as `CREATE TABLE` and `ADD COLUMN` take it: name, type, NOT NULL, DEFAULT.
pub(super) fn definition(column: &Column, namespace: &str) -> String {
    let mut text = format!("{} {}", quote::name(&column.name), type_of(&column.kind, namespace));
    if column.required {
        text += " NOT NULL";
    }
    if let Some(default) = &column.default {
        text += " DEFAULT ";
        text += &quote::literal(default);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::replica::shape::{Enumeration, Literal, Part};

    #[test]
    fn a_column_is_written_as_a_statement_takes_it() {
        let enumeration = Enumeration { name: "t__s".to_owned(), labels: vec!["a".to_owned()] };
        let mut column = Column {
            name: "s".to_owned(),
            part: Part::Value,
            kind: Kind::List(Scalar::Enum(enumeration)),
            required: true,
            default: None,
            comment: None,
        };
        assert_eq!(definition(&column, "canvas"), "\"s\" \"canvas\".\"t__s\"[] NOT NULL");
        column.kind = Kind::One(Scalar::Numeric { precision: 12, scale: 2 });
        column.required = false;
        column.default = Some(Literal::Number("0.5".to_owned()));
        assert_eq!(definition(&column, "canvas"), "\"s\" numeric(12,2) DEFAULT '0.5'");
    }
}
