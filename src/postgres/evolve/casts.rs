//! How values of one type become values of another.

use crate::{
    domain::replica::shape::{Kind, Scalar},
    postgres::kinds,
};

/// What a type is like, for a cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Number,
    Text,
    Json,
    Timestamp,
    Date,
    Time,
    Other,
}

fn of_scalar(scalar: &Scalar) -> Family {
    match scalar {
        Scalar::Smallint
        | Scalar::Integer
        | Scalar::Bigint
        | Scalar::Real
        | Scalar::Double
        | Scalar::Numeric { .. } => Family::Number,
        Scalar::Text | Scalar::Varchar(_) | Scalar::Char(_) => Family::Text,
        Scalar::Jsonb | Scalar::JsonOrText => Family::Json,
        Scalar::Timestamp => Family::Timestamp,
        Scalar::Date => Family::Date,
        Scalar::Time => Family::Time,
        Scalar::Boolean | Scalar::Uuid | Scalar::Inet | Scalar::Enum(_) => Family::Other,
    }
}

/// The family of a type as `format_type` writes it.
fn of_name(name: &str) -> Family {
    let bare = name.split('(').next().unwrap_or(name);
    match bare {
        "smallint" | "integer" | "bigint" | "real" | "double precision" | "numeric" => Family::Number,
        "text" | "character varying" | "character" => Family::Text,
        "jsonb" | "json" => Family::Json,
        "date" => Family::Date,
        _ if name.starts_with("timestamp") => Family::Timestamp,
        _ if name.starts_with("time") => Family::Time,
        _ => Family::Other,
    }
}

/// What makes a value of the new type of one of the old: the expression after `USING`, and one for values
/// that the first cannot read, where there is one.
///
/// A text that is too long for its new type is refused, not cut: it is the assignment that looks at lengths.
pub(in crate::postgres) fn using(
    column: &str,
    from: &str,
    to: &Kind,
    type_of_to: &str,
) -> (String, Option<String>) {
    let (element, was_list) = from.strip_suffix("[]").map_or((from, false), |element| (element, true));
    let (old, new) = (of_name(element), of_scalar(to.scalar()));
    let is_list = matches!(to, Kind::List(_));
    // Of a limited type, only the bare one: an explicit cast would cut.
    let target = match to.scalar() {
        Scalar::Varchar(_) | Scalar::Char(_) if is_list => "text[]".to_owned(),
        Scalar::Varchar(_) | Scalar::Char(_) => "text".to_owned(),
        _ => type_of_to.to_owned(),
    };
    let (made, instead) = match (was_list, is_list) {
        (false, false) => match (old, new) {
            (Family::Json, Family::Json) => (format!("{column}::jsonb"), None),
            // What is no JSON becomes a JSON text.
            (Family::Text, Family::Json) => (format!("{column}::jsonb"), Some(format!("to_jsonb({column})"))),
            (_, Family::Json) => (format!("to_jsonb({column})"), None),
            // A JSON text without its quotes.
            (Family::Json, _) => (format!("({column} #>> '{{}}')::{target}"), None),
            // An offset would be ignored; the session's zone is UTC.
            (Family::Text, Family::Timestamp) => (format!("{column}::timestamptz::{target}"), None),
            _ if is_direct(old, new, element, to.scalar()) => (format!("{column}::{target}"), None),
            _ => (format!("{column}::text::{target}"), None),
        },
        (true, true) if is_direct(old, new, element, to.scalar()) => (format!("{column}::{target}"), None),
        (true, true) => (format!("{column}::text[]::{target}"), None),
        (false, true) => {
            let list = format!("ARRAY[{column}::text]::{target}");
            (format!("CASE WHEN {column} IS NOT NULL THEN {list} END"), None)
        }
        (true, false) if new == Family::Json => (format!("to_jsonb({column})"), None),
        (true, false) => (format!("{column}::text::{target}"), None),
    };
    if was_list != is_list {
        return (made, instead);
    }
    let read = if old == Family::Json { format!("({column} #>> '{{}}')") } else { column.to_owned() };
    let Some(check) = kept(&read, &made, (old, new), (element, to.scalar()), is_list) else {
        return (made, instead);
    };
    // Of the column, so that it is not read before a value comes that is not kept.
    let refused = format!("({column}::text || ' is not kept')::{target}");
    (format!("CASE WHEN {read} IS NULL OR {check} THEN {made} ELSE {refused} END"), instead)
}

/// That a value is the same afterwards, where a cast would round or cut it without a word.
fn kept(
    read: &str,
    made: &str,
    (old, new): (Family, Family),
    (from, to): (&str, &Scalar),
    is_list: bool,
) -> Option<String> {
    let list = if is_list { "[]" } else { "" };
    let as_number = |what: &str| format!("{what}::text{list}::numeric{list}");
    let as_moment = |what: &str| format!("{what}::timestamp{list}");
    match (old, new) {
        (Family::Number, Family::Number) if rounds(from, to) => {}
        (Family::Text | Family::Json, Family::Number) if !is_integer(to) => {}
        (Family::Timestamp | Family::Text | Family::Json, Family::Date) => {
            return Some(format!("{} = {}", as_moment(read), as_moment(&format!("({made})"))));
        }
        (Family::Timestamp, Family::Time) => return Some("false".to_owned()),
        _ => return None,
    }
    Some(format!("{} = {}", as_number(read), as_number(&format!("({made})"))))
}

fn is_integer(scalar: &Scalar) -> bool {
    matches!(scalar, Scalar::Smallint | Scalar::Integer | Scalar::Bigint)
}

/// Whether a number may be rounded. (One that is out of range is refused in any case.)
fn rounds(from: &str, to: &Scalar) -> bool {
    let bare = from.split('(').next().unwrap_or(from);
    match to {
        Scalar::Real => bare != "smallint" && bare != "real",
        Scalar::Double => !matches!(bare, "smallint" | "integer" | "real" | "double precision"),
        Scalar::Numeric { precision, .. } if *precision > kinds::MOST_DIGITS => false,
        _ => matches!(bare, "real" | "double precision" | "numeric"),
    }
}

/// Whether there is a cast.
fn is_direct(old: Family, new: Family, element: &str, to: &Scalar) -> bool {
    match (old, new) {
        (Family::Text, _)
        | (_, Family::Text)
        | (Family::Timestamp, Family::Date | Family::Time)
        | (Family::Date, Family::Timestamp) => true,
        (Family::Other, Family::Number) => element == "boolean" && *to == Scalar::Integer,
        (Family::Other, _) => false,
        // The cast takes 6 or 15 digits, a text has all of them.
        (Family::Number, Family::Number) if matches!(to, Scalar::Numeric { .. }) => {
            !matches!(element, "real" | "double precision")
        }
        (old, new) => old == new,
    }
}

/// A default that is a constant, as its text; `None`: it is an expression.
pub(super) fn constant(expression: &str) -> Option<String> {
    if let Some(rest) = expression.strip_prefix('\'') {
        let mut text = String::new();
        let mut chars = rest.chars().peekable();
        while let Some(next) = chars.next() {
            if next == '\'' && chars.next_if_eq(&'\'').is_none() {
                let after: String = chars.collect();
                let is_cast = after.is_empty()
                    || after.starts_with("::") && !after.contains([' ', '+', '|'])
                    || of_name(after.trim_start_matches("::")) != Family::Other;
                return is_cast.then_some(text);
            }
            text.push(next);
        }
        return None;
    }
    let is_number =
        expression.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !expression.is_empty();
    (is_number || matches!(expression, "true" | "false")).then(|| expression.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::replica::shape::Enumeration;

    fn words() -> Scalar {
        Scalar::Enum(Enumeration { name: "t__s".to_owned(), labels: vec!["a".to_owned()] })
    }

    #[test]
    fn values_go_through_text_where_there_is_no_cast_and_are_never_cut() {
        for (from, to, name, expected) in [
            ("integer", Kind::One(Scalar::Bigint), "bigint", "c::bigint"),
            ("text", Kind::One(words()), "n.t__s", "c::n.t__s"),
            ("t__s", Kind::One(Scalar::Text), "text", "c::text"),
            ("t__s", Kind::One(words()), "n.t__s", "c::text::n.t__s"),
            ("text", Kind::One(Scalar::Varchar(5)), "character varying(5)", "c::text"),
            ("boolean", Kind::One(Scalar::Integer), "integer", "c::integer"),
            ("boolean", Kind::One(Scalar::Bigint), "bigint", "c::text::bigint"),
            (
                "double precision",
                Kind::One(Scalar::Numeric { precision: 2000, scale: 1000 }),
                "numeric",
                "c::text::numeric",
            ),
            ("integer", Kind::One(Scalar::Boolean), "boolean", "c::text::boolean"),
            (
                "timestamp without time zone",
                Kind::One(Scalar::Date),
                "date",
                "CASE WHEN c IS NULL OR c::timestamp = (c::date)::timestamp THEN c::date \
                 ELSE (c::text || ' is not kept')::date END",
            ),
            ("bigint", Kind::One(Scalar::Jsonb), "jsonb", "to_jsonb(c)"),
            ("jsonb", Kind::One(Scalar::Text), "text", "(c #>> '{}')::text"),
            ("t__s[]", Kind::List(Scalar::Text), "text[]", "c::text[]"),
            (
                "text",
                Kind::List(Scalar::Text),
                "text[]",
                "CASE WHEN c IS NOT NULL THEN ARRAY[c::text]::text[] END",
            ),
            ("text[]", Kind::One(Scalar::Jsonb), "jsonb", "to_jsonb(c)"),
        ] {
            assert_eq!(using("c", from, &to, name).0, expected, "{from}");
        }
        let kind = Kind::One(Scalar::Jsonb);
        assert_eq!(
            using("c", "text", &kind, "jsonb"),
            ("c::jsonb".to_owned(), Some("to_jsonb(c)".to_owned()))
        );
    }

    #[test]
    fn a_constant_is_told_from_an_expression() {
        for (expression, expected) in [
            ("'it''s'::text", Some("it's")),
            ("'a'::canvas.\"t__s\"", Some("a")),
            ("'-5'::integer", Some("-5")),
            ("'x'::character varying", Some("x")),
            ("5", Some("5")),
            ("0.5", Some("0.5")),
            ("true", Some("true")),
            ("now()", None),
            ("('a'::text || 'b'::text)", None),
            ("'a'::text || 'b'::text", None),
            ("", None),
        ] {
            assert_eq!(constant(expression).as_deref(), expected, "{expression}");
        }
    }
}
