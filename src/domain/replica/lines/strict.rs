//! Lines whose fields are held to their types: what is let through is taken by COPY.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::{
    FarDates, LineError, Mending, Rule, Rules, Tally,
    escape::{self, NULL},
    json::{self, Flaw, Reason},
    moments::{self, Held},
    numbers,
    write::{Line, end_line, hash},
};
use crate::domain::replica::shape::{Column, Kind, Scalar};

/// Labels longer than this are not repeated in a reason.
const LONGEST_LABEL: usize = 63;

impl Rules {
    /// Writes a line, or puts it aside.
    pub(super) fn strictly(
        &self,
        line: Line<'_>,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Result<(), LineError> {
        let from = out.len();
        match self.held(line, out, tally) {
            Ok(()) => {
                self.count_oversized(line, tally);
                tally.keep();
                Ok(())
            }
            Err(reason) => {
                out.truncate(from);
                tally.forget();
                tally.reject(self.key(line), &self.shown(line), reason)
            }
        }
    }

    fn held(&self, line: Line<'_>, out: &mut Vec<u8>, tally: &mut Tally) -> Result<(), String> {
        if let Some((time, action)) = self.leading {
            let mut text = Vec::new();
            escape::unescape(line.field(time), &mut text);
            match moments::timestamp(&text, FarDates::Clamp).ok_or("meta.ts: is no time")? {
                Held::Instead(text) | Held::Far(Some(text)) => out.extend_from_slice(text.as_bytes()),
                Held::AsIs | Held::Far(None) => escape::escape(&text, out),
            }
            out.push(b'\t');
            out.extend_from_slice(line.field(action));
            out.push(b'\t');
        }
        for (number, rule) in self.fields.iter().enumerate() {
            match rule {
                Rule::Cut | Rule::Dropped | Rule::Time | Rule::Action => continue,
                Rule::Null => out.extend_from_slice(NULL),
                Rule::Hash(_, column, keyed) => {
                    let raw = line.of(number, column.part);
                    may_be_null(column, raw, line)?;
                    hash(raw, keyed, out);
                }
                Rule::Column(written, column) => {
                    let raw = line.of(number, column.part);
                    may_be_null(column, raw, line)?;
                    let from = out.len();
                    let reason = |reason| format!("{}: {reason}", column.name);
                    self.write_held(*written, &column.kind, raw, out, tally).map_err(reason)?;
                    may_be_null(column, out.get(from..).unwrap_or_default(), line)?;
                }
            }
            out.push(b'\t');
        }
        end_line(out);
        Ok(())
    }

    fn write_held(
        &self,
        column: usize,
        kind: &Kind,
        raw: &[u8],
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Result<(), Reason> {
        if raw == NULL {
            out.extend_from_slice(NULL);
            return Ok(());
        }
        let mut text = std::mem::take(&mut tally.text);
        text.clear();
        escape::unescape(raw, &mut text);
        if text.contains(&0) {
            text.retain(|byte| *byte != 0);
            tally.mend(column, Mending::Nul, 1);
        }
        if std::str::from_utf8(&text).is_err() {
            text = String::from_utf8_lossy(&text).into_owned().into_bytes();
            tally.mend(column, Mending::NoUtf8, 1);
        }
        let written = match kind {
            Kind::List(scalar) => self.list(column, scalar, &text, out, tally, true),
            Kind::One(scalar) => self.hold(column, scalar, &text, tally).map(|held| match held {
                Held::AsIs => escape::escape(&text, out),
                Held::Instead(text) | Held::Far(Some(text)) => escape::escape(text.as_bytes(), out),
                Held::Far(None) => out.extend_from_slice(NULL),
            }),
        };
        tally.text = text;
        written
    }

    /// Holds a value to its type. It is UTF-8 without NUL.
    pub(super) fn hold(
        &self,
        column: usize,
        scalar: &Scalar,
        text: &[u8],
        tally: &mut Tally,
    ) -> Result<Held, Reason> {
        let number = |held: Result<(), numbers::Why>| held.map(|()| Held::AsIs).map_err(Reason::Borrowed);
        let when =
            |right: bool, reason: &'static str| if right { Ok(Held::AsIs) } else { Err(reason.into()) };
        match scalar {
            Scalar::Smallint => number(numbers::whole(text, 16)),
            Scalar::Integer => number(numbers::whole(text, 32)),
            Scalar::Bigint => number(numbers::whole(text, 64)),
            Scalar::Real => number(numbers::float(text, false)),
            Scalar::Double => number(numbers::float(text, true)),
            Scalar::Numeric { precision, scale } => number(numbers::numeric(text, *precision, *scale)),
            Scalar::Boolean => when(is_boolean(text), "is neither true nor false"),
            Scalar::Text => Ok(Held::AsIs),
            Scalar::Varchar(most) | Scalar::Char(most) => {
                if fits(text, *most) {
                    return Ok(Held::AsIs);
                }
                Err(Reason::Owned(format!("is longer than {most} characters")))
            }
            Scalar::Timestamp => {
                moment(moments::timestamp(text, self.far_dates), column, tally, "is no time")
            }
            Scalar::Date => moment(moments::date(text, self.far_dates), column, tally, "is no day"),
            Scalar::Time => when(moments::is_time(text), "is no time of a day"),
            Scalar::Uuid => when(uuid(text).is_some(), "is no UUID"),
            Scalar::Inet => when(super::inet::is_address(text), "is no address"),
            Scalar::Jsonb | Scalar::JsonOrText => jsonb(text, column, tally),
            Scalar::Enum(kind) => {
                if kind.labels.iter().any(|label| label.as_bytes() == text) {
                    return Ok(Held::AsIs);
                }
                let known = text.len() <= LONGEST_LABEL;
                let shown = if known { String::from_utf8_lossy(text) } else { "it".into() };
                Err(Reason::Owned(format!("`{}` has no label `{}`", kind.name, shown.escape_debug())))
            }
        }
    }

    /// The key of a line as JSON.
    fn key(&self, line: Line<'_>) -> String {
        let mut key = Map::new();
        for (number, rule) in self.fields.iter().enumerate() {
            let mut text = Vec::new();
            let (column, raw) = match rule {
                Rule::Column(_, column) => (column, line.field(number)),
                Rule::Hash(_, column, keyed) => {
                    hash(line.field(number), keyed, &mut text);
                    (column, &[][..])
                }
                Rule::Cut | Rule::Dropped | Rule::Time | Rule::Action | Rule::Null => continue,
            };
            if column.part != crate::domain::replica::shape::Part::Key {
                continue;
            }
            let value = if raw == NULL || text == NULL {
                Json::Null
            } else {
                escape::unescape(raw, &mut text);
                as_json(column.kind.scalar(), &text)
            };
            key.insert(column.name.clone(), value);
        }
        Json::Object(key).to_string()
    }

    /// A line as it came, but for what may not be seen.
    fn shown<'l>(&self, line: Line<'l>) -> Cow<'l, [u8]> {
        let hidden = |rule: &Rule| matches!(rule, Rule::Dropped | Rule::Null | Rule::Hash(..));
        if !self.fields.iter().any(hidden) {
            return Cow::Borrowed(line.bytes);
        }
        let fields = self
            .fields
            .iter()
            .enumerate()
            .map(|(number, rule)| if hidden(rule) { "…".as_bytes() } else { line.field(number) });
        Cow::Owned(fields.collect::<Vec<_>>().join(&b'\t'))
    }
}

fn may_be_null(column: &Column, written: &[u8], line: Line<'_>) -> Result<(), String> {
    let spared = line.deleted && column.part == crate::domain::replica::shape::Part::Value;
    if column.required && written == NULL && !spared {
        return Err(format!("{}: is null, and must not be", column.name));
    }
    Ok(())
}

fn moment(
    held: Option<Held>,
    column: usize,
    tally: &mut Tally,
    reason: &'static str,
) -> Result<Held, Reason> {
    let held = held.ok_or(reason)?;
    tally.mend(column, Mending::FarDate, u64::from(matches!(held, Held::Far(_))));
    Ok(held)
}

fn jsonb(text: &[u8], column: usize, tally: &mut Tally) -> Result<Held, Reason> {
    let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| Reason::from("is no UTF-8"));
    match json::check(text, numbers::fits_jsonb) {
        Ok(faults) if faults.is_empty() => Ok(Held::AsIs),
        Ok(faults) => {
            tally.mend(column, Mending::JsonNul, u64::from(faults.iter().any(|fault| !fault.half)));
            tally.mend(column, Mending::NoUtf8, u64::from(faults.iter().any(|fault| fault.half)));
            Ok(Held::Instead(text_of(json::without(text, &faults))?))
        }
        Err(Flaw::Syntax) => {
            tally.mend(column, Mending::NoJson, 1);
            Ok(Held::Instead(text_of(json::text(text))?))
        }
        Err(flaw) => Err(flaw.into()),
    }
}

/// As PostgreSQL reads them: `true`, `false`, `yes`, `no`, `on`, `off`, their beginnings, `1` and `0`.
fn is_boolean(text: &[u8]) -> bool {
    let text = numbers::trimmed(text).to_ascii_lowercase();
    let begins = |word: &&[u8]| word.starts_with(&text);
    match text.as_slice() {
        b"" | b"o" => false,
        b"1" | b"0" => true,
        _ => [&b"true"[..], b"false", b"yes", b"no", b"on", b"off"].iter().any(begins),
    }
}

/// Whether a text has at most so many characters, blanks at its end not counted.
fn fits(text: &[u8], most: u32) -> bool {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if text.len() <= most {
        return true;
    }
    let Ok(text) = std::str::from_utf8(text) else { return false };
    text.chars().skip(most).all(|character| character == ' ')
}

/// As PostgreSQL writes it. It may have braces, and hyphens after every second byte.
fn uuid(text: &[u8]) -> Option<String> {
    let inside = match text.strip_prefix(b"{") {
        Some(rest) => rest.strip_suffix(b"}")?,
        None => text,
    };
    let (mut digits, mut rest) = (String::with_capacity(36), inside);
    for byte in 0..16 {
        let (pair, after) = rest.split_at_checked(2)?;
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        digits.extend(pair.iter().map(|digit| char::from(digit.to_ascii_lowercase())));
        if matches!(byte, 3 | 5 | 7 | 9) {
            digits.push('-');
        }
        rest = if byte % 2 == 1 && byte < 15 { after.strip_prefix(b"-").unwrap_or(after) } else { after };
    }
    rest.is_empty().then_some(digits)
}

/// A value of a key as `to_jsonb` writes it, as far as it is right.
fn as_json(scalar: &Scalar, text: &[u8]) -> Json {
    let lossy = String::from_utf8_lossy(text).replace('\0', "\u{FFFD}");
    let number = || serde_json::from_slice(numbers::trimmed(text)).ok().filter(Json::is_number);
    let known = match scalar {
        Scalar::Smallint
        | Scalar::Integer
        | Scalar::Bigint
        | Scalar::Real
        | Scalar::Double
        | Scalar::Numeric { .. } => number(),
        Scalar::Boolean => serde_json::from_slice(text).ok().filter(Json::is_boolean),
        Scalar::Uuid => uuid(text).map(Json::String),
        Scalar::Text
        | Scalar::Varchar(_)
        | Scalar::Char(_)
        | Scalar::Timestamp
        | Scalar::Date
        | Scalar::Time
        | Scalar::Inet
        | Scalar::Jsonb
        | Scalar::JsonOrText
        | Scalar::Enum(_) => None,
    };
    known.unwrap_or(Json::String(lossy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_come_in_the_forms_that_postgresql_knows() {
        let canonical = Some("f81d4fae-7dec-11d0-a765-00a0c91e6bf6".to_owned());
        for text in [
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "{F81D4FAE7DEC11D0A76500A0C91E6BF6}",
            "f81d-4fae-7dec-11d0-a765-00a0-c91e-6bf6",
        ] {
            assert_eq!(uuid(text.as_bytes()), canonical, "{text}");
        }
        for text in
            ["", "f81d4fae", "f8-1d4fae7dec11d0a76500a0c91e6bf6", "{f81d4fae7dec11d0a76500a0c91e6bf6", "{"]
        {
            assert_eq!(uuid(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn characters_are_counted_and_blanks_at_the_end_are_not() {
        assert!(fits("☃☃☃".as_bytes(), 3) && fits("☃☃☃  ".as_bytes(), 3));
        assert!(!fits("☃☃☃ x".as_bytes(), 3) && !fits(b"four", 3));
    }

    #[test]
    fn booleans_come_in_the_words_that_postgresql_knows() {
        assert!([" TRUE ", "t", "fal", "Y", "off", "of", "1"].iter().all(|text| is_boolean(text.as_bytes())));
        assert!(!["", "o", "truer", "2", "nope"].iter().any(|text| is_boolean(text.as_bytes())));
    }
}
