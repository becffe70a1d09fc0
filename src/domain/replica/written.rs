//! Types of columns as PostgreSQL's `format_type` writes them, without the schema of an enumeration.

use std::fmt;

use super::shape::{Enumeration, Kind, Scalar};

/// A `numeric` that is not told how much it holds: more than any that is asked for.
pub(super) const ANY_NUMERIC: Scalar = Scalar::Numeric { precision: 2000, scale: 1000 };

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smallint => f.write_str("smallint"),
            Self::Integer => f.write_str("integer"),
            Self::Bigint => f.write_str("bigint"),
            Self::Real => f.write_str("real"),
            Self::Double => f.write_str("double precision"),
            any if *any == ANY_NUMERIC => f.write_str("numeric"),
            Self::Numeric { precision, scale } => write!(f, "numeric({precision},{scale})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Text => f.write_str("text"),
            Self::Varchar(length) => write!(f, "character varying({length})"),
            Self::Char(length) => write!(f, "character({length})"),
            Self::Timestamp => f.write_str("timestamp without time zone"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time without time zone"),
            Self::Uuid => f.write_str("uuid"),
            Self::Inet => f.write_str("inet"),
            Self::Jsonb | Self::JsonOrText => f.write_str("jsonb"),
            Self::Enum(enumeration) => f.write_str(&enumeration.name),
        }
    }
}

/// As `format_type` writes it; of an enumeration its bare name, not quoted. For messages and comparisons, not
/// for SQL.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(scalar) => write!(f, "{scalar}"),
            Self::List(scalar) => write!(f, "{scalar}[]"),
        }
    }
}

/// The kind that is written so; with labels, an enumeration. `None`: one that no shape has.
#[must_use]
pub fn read(written: &str, labels: Option<&[String]>) -> Option<Kind> {
    let (name, list) = written.strip_suffix("[]").map_or((written, false), |name| (name, true));
    let scalar = match labels {
        Some(labels) => Scalar::Enum(Enumeration { name: name.to_owned(), labels: labels.to_vec() }),
        None => scalar(name)?,
    };
    Some(if list { Kind::List(scalar) } else { Kind::One(scalar) })
}

fn scalar(name: &str) -> Option<Scalar> {
    Some(match name {
        "smallint" => Scalar::Smallint,
        "integer" => Scalar::Integer,
        "bigint" => Scalar::Bigint,
        "real" => Scalar::Real,
        "double precision" => Scalar::Double,
        "numeric" => ANY_NUMERIC,
        "boolean" => Scalar::Boolean,
        "text" | "character varying" => Scalar::Text,
        "timestamp without time zone" => Scalar::Timestamp,
        "date" => Scalar::Date,
        "time without time zone" => Scalar::Time,
        "uuid" => Scalar::Uuid,
        "inet" => Scalar::Inet,
        "jsonb" => Scalar::Jsonb,
        _ => return measured(name),
    })
}

fn measured(name: &str) -> Option<Scalar> {
    let (base, sizes) = name.strip_suffix(')')?.split_once('(')?;
    match base {
        "numeric" => {
            let (precision, scale) = sizes.split_once(',')?;
            Some(Scalar::Numeric { precision: precision.parse().ok()?, scale: scale.parse().ok()? })
        }
        "character varying" => Some(Scalar::Varchar(sizes.parse().ok()?)),
        "character" => Some(Scalar::Char(sizes.parse().ok()?)),
        _ => None,
    }
}
