//! What a column's schema says that it holds. Sources: the official client 2.3.1 as it was seen to work, and
//! PostgreSQL's limits.

use serde_json::{Map, Value as Json};

use super::flat::Flattener;
use crate::domain::replica::shape::{Enumeration, Kind, LONGEST_NAME, Scalar};

/// The longest text that `varchar` and `char` can be told to hold.
const LONGEST_TEXT: u64 = 10_485_760;
/// Digits that `numeric` can be told to hold.
const MOST_DIGITS: u32 = 1000;

/// What a schema says; `name` makes the name of an enumeration.
pub(super) fn kind(
    schema: &Map<String, Json>,
    flattener: &mut Flattener<'_>,
    name: impl Fn() -> String,
) -> Kind {
    if one_type(schema) != Some("array") || is_any(schema) {
        return Kind::One(scalar(schema, name));
    }
    // A list of lists would be a matrix to PostgreSQL, with rows of equal length; so lists of them are JSON
    // as lists of objects are.
    let items = match schema.get("items") {
        Some(items) if !schema.contains_key("prefixItems") => flattener.flat(items),
        _ => return Kind::One(Scalar::Jsonb),
    };
    if one_type(&items) == Some("array") {
        return Kind::One(Scalar::Jsonb);
    }
    let scalar = scalar(&items, name);
    if matches!(scalar, Scalar::Jsonb | Scalar::JsonOrText) {
        Kind::One(Scalar::Jsonb)
    } else {
        Kind::List(scalar)
    }
}

/// Whether the schema lets a null be.
pub(super) fn may_be_null(schema: &Map<String, Json>) -> bool {
    let lists_null = |name: &str, null: &Json| {
        schema.get(name).and_then(Json::as_array).is_some_and(|listed| listed.contains(null))
    };
    lists_null("type", &Json::from("null")) || lists_null("enum", &Json::Null)
}

/// `oneOf`, `anyOf`: what is in them is not looked at.
fn is_any(schema: &Map<String, Json>) -> bool {
    schema.contains_key("oneOf") || schema.contains_key("anyOf")
}

/// The type, if there is one beside `null`.
fn one_type(schema: &Map<String, Json>) -> Option<&str> {
    match schema.get("type")? {
        Json::String(name) => Some(name),
        Json::Array(names) => {
            let mut names = names.iter().filter_map(Json::as_str).filter(|name| *name != "null");
            let first = names.next()?;
            match names.next() {
                None => Some(first),
                // Nothing but numbers.
                Some(second) if matches!((first, second), ("integer", "number") | ("number", "integer")) => {
                    names.next().is_none().then_some("number")
                }
                Some(_) => None,
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => None,
    }
}

fn scalar(schema: &Map<String, Json>, name: impl Fn() -> String) -> Scalar {
    if is_any(schema) {
        return Scalar::JsonOrText;
    }
    match one_type(schema) {
        Some("integer") => integer(schema),
        Some("number") => number(schema),
        Some("boolean") => Scalar::Boolean,
        Some("string") => text(schema, name),
        Some("object" | "array") => Scalar::Jsonb,
        _ => Scalar::JsonOrText,
    }
}

fn integer(schema: &Map<String, Json>) -> Scalar {
    match schema.get("format").and_then(Json::as_str) {
        Some("int16") => return Scalar::Smallint,
        Some("int32") => return Scalar::Integer,
        Some("int64") => return Scalar::Bigint,
        _ => {}
    }
    let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
    let bounds = match schema.get("enum").and_then(Json::as_array) {
        Some(values) => {
            let values = || values.iter().filter_map(Json::as_f64);
            values().reduce(f64::min).zip(values().reduce(f64::max))
        }
        None => bound("minimum").zip(bound("maximum")),
    };
    let within = |least: i32, most: i32| {
        bounds.is_some_and(|(low, high)| low >= f64::from(least) && high <= f64::from(most))
    };
    if within(i16::MIN.into(), i16::MAX.into()) {
        Scalar::Smallint
    } else if within(i32::MIN, i32::MAX) {
        Scalar::Integer
    } else {
        Scalar::Bigint
    }
}

fn number(schema: &Map<String, Json>) -> Scalar {
    match schema.get("format").and_then(Json::as_str) {
        Some("float32") => Scalar::Real,
        Some("float64") => Scalar::Double,
        _ => numeric(schema).unwrap_or(Scalar::Double),
    }
}

/// `multipleOf` within symmetric exclusive bounds. The client's own arithmetic rounds logarithms: equal for
/// powers of ten, and too narrow for 0.25 or 5000.
fn numeric(schema: &Map<String, Json>) -> Option<Scalar> {
    let step = schema.get("multipleOf").filter(|step| step.as_f64().is_some_and(|step| step > 0.0))?;
    let (low, high) = (schema.get("exclusiveMinimum")?.as_f64()?, schema.get("exclusiveMaximum")?.as_f64()?);
    // As different bounds would be: 64-bit floating point, as the client has it.
    if high <= 0.0 || (low + high).abs() > 0.0 {
        return None;
    }
    let scale = places(&step.to_string())?;
    let precision = whole_digits(high)?.checked_add(scale)?.max(1);
    (precision <= MOST_DIGITS).then_some(Scalar::Numeric { precision, scale })
}

/// How many digits a number below that bound has before its point.
fn whole_digits(bound: f64) -> Option<u32> {
    (0..=MOST_DIGITS).zip(std::iter::successors(Some(1.0_f64), |power| Some(power * 10.0))).find_map(
        // A bound that is written as 1e20 is not exactly that product.
        |(digits, power)| (bound <= power * (1.0 + 1e-9)).then_some(digits),
    )
}

/// How many digits after its point a number has as it is written, as `0.01` or `1e-7`.
fn places(number: &str) -> Option<u32> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let fraction = mantissa.split_once('.').map_or("", |(_, fraction)| fraction.trim_end_matches('0'));
    u32::try_from((i64::try_from(fraction.len()).ok()? - exponent).max(0)).ok()
}

fn text(schema: &Map<String, Json>, name: impl Fn() -> String) -> Scalar {
    if let Some(only) = schema.get("const").and_then(Json::as_str) {
        return u64::try_from(only.chars().count()).ok().and_then(limit).map_or(Scalar::Text, Scalar::Char);
    }
    match schema.get("format").and_then(Json::as_str) {
        Some("date-time") => return Scalar::Timestamp,
        Some("date") => return Scalar::Date,
        Some("time") => return Scalar::Time,
        Some("uuid") => return Scalar::Uuid,
        Some("ipv4" | "ipv6") => return Scalar::Inet,
        _ => {}
    }
    if let Some(listed) = schema.get("enum") {
        return labels(listed)
            .map_or(Scalar::Text, |labels| Scalar::Enum(Enumeration { name: name(), labels }));
    }
    // What is encoded is longer than what the limit is said of.
    if schema.contains_key("contentEncoding") {
        return Scalar::Text;
    }
    let longest = schema.get("maxLength").and_then(whole);
    longest.and_then(limit).map_or(Scalar::Text, Scalar::Varchar)
}

/// A length that PostgreSQL can hold a text to.
fn limit(length: u64) -> Option<u32> {
    (1..=LONGEST_TEXT).contains(&length).then(|| u32::try_from(length).ok()).flatten()
}

/// A whole number, also where it is written as `255.0`.
fn whole(number: &Json) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is checked before")]
    let rounded =
        |number: f64| (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64);
    number.as_u64().or_else(|| number.as_f64().and_then(rounded))
}

/// The labels of an enumeration, each once; `None`: PostgreSQL could not make a type of them.
fn labels(listed: &Json) -> Option<Vec<String>> {
    let mut labels = Vec::<String>::new();
    let mut seen = std::collections::BTreeSet::new();
    for label in listed.as_array()?.iter().filter(|label| !label.is_null()) {
        let label = label.as_str()?;
        if label.len() > LONGEST_NAME || label.contains('\0') {
            return None;
        }
        if seen.insert(label) {
            labels.push(label.to_owned());
        }
    }
    (!labels.is_empty()).then_some(labels)
}
