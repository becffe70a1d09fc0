//! Defaults. One that is no value of its column's type is none: PostgreSQL would refuse the whole table for
//! it.

use std::net::IpAddr;

use jiff::{Timestamp, Unit, civil, tz::TimeZone};
use serde_json::Value as Json;

use crate::domain::replica::shape::{Kind, Literal, Scalar};

/// The default of a column of that kind; lists and JSON have none.
pub(super) fn literal(kind: &Kind, value: &Json) -> Option<Literal> {
    let Kind::One(scalar) = kind else { return None };
    match scalar {
        Scalar::Smallint => integer(value, i16::MIN.into(), i16::MAX.into()),
        Scalar::Integer => integer(value, i32::MIN.into(), i32::MAX.into()),
        Scalar::Bigint => integer(value, i64::MIN, i64::MAX),
        Scalar::Real | Scalar::Double => Some(Literal::Number(value.as_number()?.to_string())),
        Scalar::Numeric { precision, scale } => {
            let digits = i32::try_from(precision.saturating_sub(*scale)).ok()?;
            let fits = value.as_f64().is_some_and(|number| number.abs() < 10_f64.powi(digits));
            fits.then(|| Literal::Number(value.to_string()))
        }
        Scalar::Boolean => value.as_bool().map(Literal::Boolean),
        Scalar::Text
        | Scalar::Varchar(_)
        | Scalar::Char(_)
        | Scalar::Timestamp
        | Scalar::Date
        | Scalar::Time
        | Scalar::Uuid
        | Scalar::Inet
        | Scalar::Enum(_) => {
            let text = value.as_str()?;
            let text = if scalar == &Scalar::Timestamp {
                moment(text)
            } else if scalar == &Scalar::Time {
                let text = text.strip_suffix('Z').unwrap_or(text);
                text.parse().ok().map(|time: civil::Time| time.to_string())
            } else {
                is_one(scalar, text).then(|| text.to_owned())
            };
            text.map(Literal::Text)
        }
        Scalar::Jsonb | Scalar::JsonOrText => None,
    }
}

fn integer(value: &Json, least: i64, most: i64) -> Option<Literal> {
    #[expect(clippy::cast_possible_truncation, reason = "it is checked before")]
    let rounded = |number: f64| (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64);
    let number = value.as_i64().or_else(|| value.as_f64().and_then(rounded))?;
    (least..=most).contains(&number).then(|| Literal::Number(number.to_string()))
}

/// In UTC, and without a zone, which PostgreSQL would pass over.
fn moment(text: &str) -> Option<String> {
    let civil = match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::UTC).datetime(),
        Err(_) => text.parse::<civil::DateTime>().ok()?,
    };
    Some(civil.round(Unit::Microsecond).ok()?.to_string())
}

fn is_one(scalar: &Scalar, text: &str) -> bool {
    let within = |length: u32| text.chars().nth(length as usize).is_none();
    let keepable = !text.contains('\0');
    match scalar {
        Scalar::Text => keepable,
        Scalar::Varchar(length) | Scalar::Char(length) => keepable && within(*length),
        Scalar::Date => text.len() == 10 && text.parse::<civil::Date>().is_ok(),
        Scalar::Uuid => {
            let parts: Vec<_> = text.split('-').map(str::len).collect();
            parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        }
        Scalar::Inet => text.parse::<IpAddr>().is_ok(),
        Scalar::Enum(enumeration) => enumeration.labels.iter().any(|label| label == text),
        Scalar::Smallint
        | Scalar::Integer
        | Scalar::Bigint
        | Scalar::Real
        | Scalar::Double
        | Scalar::Numeric { .. }
        | Scalar::Boolean
        | Scalar::Timestamp
        | Scalar::Time
        | Scalar::Jsonb
        | Scalar::JsonOrText => false,
    }
}
