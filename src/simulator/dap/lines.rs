//! How the platform writes values and rows down.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Number, Value};

use super::{history::Row, world::Fields};

/// A value as it stands in a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    /// The row has none: it is a deletion.
    Missing,
    /// There is one, which may be null.
    There(&'a Value),
    /// A word of the platform's own.
    Word(&'a str),
}

/// The value of a row at a path: `meta`, `key` or `value`, then names.
pub(super) fn pick<'a>(row: &Row<'a>, path: &[&str]) -> Cell<'a> {
    const NULL: &Value = &Value::Null;
    let (fields, names) = match path {
        ["meta", "ts", ..] => return Cell::Word(row.ts),
        ["meta", ..] => return row.action.map_or(Cell::Missing, Cell::Word),
        ["key", names @ ..] => (Some(row.key), names),
        [_, names @ ..] => (row.value, names),
        [] => (None, path),
    };
    let Some(fields) = fields else { return Cell::Missing };
    let [first, names @ ..] = names else { return Cell::There(NULL) };
    let mut value = fields.get(*first).unwrap_or(NULL);
    for name in names {
        value = value.get(name).unwrap_or(NULL);
    }
    Cell::There(value)
}

/// Writes a field of COPY's text format.
pub(super) fn tsv(cell: Cell<'_>, out: &mut Vec<u8>) {
    let Some(text) = text(cell) else {
        out.extend_from_slice(b"\\N");
        return;
    };
    if let Text::Raw(bytes) = text {
        out.extend_from_slice(&bytes);
        return;
    }
    for byte in text.bytes() {
        let escaped = match *byte {
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            0x08 => b'b',
            0x0C => b'f',
            0x0B => b'v',
            0 => b'0',
            byte => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', escaped]);
    }
}

/// Writes a field of RFC 4180. Nothing is the bare word NULL, and what a deletion lacks is empty.
pub(super) fn csv(cell: Cell<'_>, out: &mut Vec<u8>) {
    let Some(text) = text(cell) else {
        out.extend_from_slice(if matches!(cell, Cell::Missing) { b"" } else { b"NULL" });
        return;
    };
    let bytes = text.bytes();
    let special =
        bytes.is_empty() || bytes == b"NULL" || bytes.iter().any(|byte| b"\",\r\n\t".contains(byte));
    if !special {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for byte in bytes {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Writes a row as a line of JSON.
pub(super) fn json_line(row: &Row<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"key\": ");
    json_object(row.key, out);
    if let Some(value) = row.value {
        out.extend_from_slice(b", \"value\": ");
        json_object(value, out);
    }
    out.extend_from_slice(b", \"meta\": {\"ts\": ");
    json_text(row.ts, out);
    if let Some(action) = row.action {
        out.extend_from_slice(b", \"action\": ");
        json_text(action, out);
    }
    out.extend_from_slice(b"}}\n");
}

/// A value as text.
enum Text<'a> {
    Plain(&'a [u8]),
    Made(Vec<u8>),
    /// To be written as it stands.
    Raw(Vec<u8>),
}

impl Text<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Made(bytes) | Self::Raw(bytes) => bytes,
        }
    }
}

fn text(cell: Cell<'_>) -> Option<Text<'_>> {
    let value = match cell {
        Cell::Missing => return None,
        Cell::Word(word) => return Some(Text::Plain(word.as_bytes())),
        Cell::There(value) => value,
    };
    match value {
        Value::Null => None,
        Value::String(text) => Some(Text::Plain(text.as_bytes())),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Some(Text::Made(json(value))),
        Value::Object(fields) => match special(fields) {
            Some(Special::Number(word)) => Some(Text::Plain(word.as_bytes())),
            Some(Special::Bytes(bytes)) => Some(Text::Raw(bytes)),
            // An object whose properties are all null is null itself.
            None if !fields.is_empty() && fields.values().all(Value::is_null) => None,
            None => Some(Text::Made(json(value))),
        },
    }
}

/// What JSON cannot say, see [`super::world`].
enum Special<'a> {
    Number(&'a str),
    Bytes(Vec<u8>),
}

fn special(fields: &Fields) -> Option<Special<'_>> {
    let (name, Value::String(text)) = fields.iter().next().filter(|_| fields.len() == 1)? else {
        return None;
    };
    match name.as_str() {
        "$number" => Some(Special::Number(text)),
        "$base64" => STANDARD.decode(text).ok().map(Special::Bytes),
        _ => None,
    }
}

fn json(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    json_value(value, &mut out);
    out
}

/// JSON as the platform writes it: objects without their nulls.
fn json_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number_text(number).as_bytes()),
        Value::String(text) => json_text(text, out),
        Value::Array(values) => {
            out.push(b'[');
            for (number, value) in values.iter().enumerate() {
                if number > 0 {
                    out.extend_from_slice(b", ");
                }
                json_value(value, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => match special(fields) {
            Some(Special::Number(word)) => out.extend_from_slice(word.as_bytes()),
            Some(Special::Bytes(bytes)) => {
                out.push(b'"');
                out.extend_from_slice(&bytes);
                out.push(b'"');
            }
            None => json_object(fields, out),
        },
    }
}

fn json_object(fields: &Fields, out: &mut Vec<u8>) {
    out.push(b'{');
    for (number, (name, value)) in fields.iter().filter(|(_, value)| !value.is_null()).enumerate() {
        if number > 0 {
            out.extend_from_slice(b", ");
        }
        json_text(name, out);
        out.extend_from_slice(b": ");
        json_value(value, out);
    }
    out.push(b'}');
}

fn json_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(Value::from(text).to_string().as_bytes());
}

/// A number with an exponent where it is shorter: beyond 10^16, and below a ten-thousandth, as most writers of
/// JSON do.
fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let short = format!("{float:e}");
    let Some((digits, exponent)) = short.split_once('e') else { return short };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{float:?}"),
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use serde_json::json;

    use super::*;

    fn written(write: impl Fn(Cell<'_>, &mut Vec<u8>), value: &Value) -> String {
        let mut out = Vec::new();
        write(Cell::There(value), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tsv_is_the_text_of_copy() {
        for (value, field) in [
            (json!(null), "\\N"),
            (json!(""), ""),
            (json!("\\N"), "\\\\N"),
            (json!("a\tb\nc\rd\u{8}\u{b}\u{c}\0é"), "a\\tb\\nc\\rd\\b\\v\\f\\0é"),
            (json!(true), "true"),
            (json!(9_007_199_254_740_993_i64), "9007199254740993"),
            (json!({"$number": "NaN"}), "NaN"),
            (json!({"$base64": "YQli"}), "a\tb"),
            (json!({"a": 1, "b": null, "c": "x\n"}), r#"{"a": 1, "c": "x\\n"}"#),
            (json!({"a": null}), "\\N"),
            (json!({}), "{}"),
            (json!([null, "x", {"a": null}]), r#"[null, "x", {}]"#),
        ] {
            assert_eq!(written(tsv, &value), field, "{value}");
        }
    }

    #[test]
    fn csv_quotes_what_could_be_mistaken() {
        for (value, field) in [
            (json!(null), "NULL"),
            (json!("NULL"), "\"NULL\""),
            (json!(""), "\"\""),
            (json!("a,\"b\""), "\"a,\"\"b\"\"\""),
            (json!("plain"), "plain"),
            (json!([1, 2]), "\"[1, 2]\""),
        ] {
            assert_eq!(written(csv, &value), field, "{value}");
        }
        let mut out = Vec::new();
        csv(Cell::Missing, &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn numbers_are_written_shortest() {
        for (number, text) in [
            (1.0, "1.0"),
            (-100.01, "-100.01"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1e-4, "0.0001"),
            (2.5e-5, "2.5e-05"),
        ] {
            assert_eq!(written(tsv, &json!(number)), text);
        }
    }
}
