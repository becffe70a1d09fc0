//! Lines as they are written, trusted as far as can be.

use hmac::Mac as _;

use super::{
    Care, FarDates, LineError, Mending, OVERSIZED, Rule, Rules, Tally,
    escape::{self, NULL},
    json::{self, Element, Flaw, Reason},
    moments::{self, Held},
};
use crate::domain::replica::shape::{Kind, Part, Scalar};

/// A line that is taken apart.
#[derive(Clone, Copy)]
pub(super) struct Line<'l> {
    pub(super) bytes: &'l [u8],
    pub(super) ends: &'l [usize],
    /// Whether it says that a row is not there any more: it has its key only.
    pub(super) deleted: bool,
}

impl<'l> Line<'l> {
    pub(super) fn field(&self, number: usize) -> &'l [u8] {
        escape::field(self.bytes, self.ends, number)
    }

    /// A column's field.
    pub(super) fn of(&self, number: usize, part: Part) -> &'l [u8] {
        if self.deleted && part == Part::Value { NULL } else { self.field(number) }
    }
}

impl Rules {
    /// Writes lines, each of which but perhaps the last is ended by a line feed.
    pub fn lines(&self, lines: &[u8], out: &mut Vec<u8>, tally: &mut Tally) -> Result<(), LineError> {
        let odd = self.odd.iter().any(|finder| finder.find(lines).is_some());
        let mut from = 0;
        while from < lines.len() {
            let end = escape::find_bare(b'\n', lines, from).unwrap_or(lines.len());
            self.one(lines.get(from..end).unwrap_or_default(), odd, out, tally)?;
            from = end + 1;
        }
        Ok(())
    }

    /// Writes a line, given without its line feed.
    pub fn line(&self, line: &[u8], out: &mut Vec<u8>, tally: &mut Tally) -> Result<(), LineError> {
        self.one(line, true, out, tally)
    }

    fn one(&self, line: &[u8], odd: bool, out: &mut Vec<u8>, tally: &mut Tally) -> Result<(), LineError> {
        tally.read += 1;
        // At the very end of a file a backslash may escape nothing; it would escape the line feed that we put.
        let line =
            if escape::escapes_next(line) { line.get(..line.len() - 1).unwrap_or_default() } else { line };
        let before = line.strip_suffix(b"\r").filter(|before| !escape::escapes_next(before));
        let line = before.unwrap_or(line);
        let mut ends = std::mem::take(&mut tally.ends);
        escape::split(line, &mut ends);
        let written = self.apart(line, &ends, odd, out, tally);
        tally.ends = ends;
        written
    }

    fn apart(
        &self,
        bytes: &[u8],
        ends: &[usize],
        odd: bool,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Result<(), LineError> {
        if ends.len() != self.fields.len() {
            return Err(LineError::Fields { line: tally.read, found: ends.len(), wanted: self.fields.len() });
        }
        let deleted = match self.leading {
            None => false,
            Some((_, action)) => match escape::field(bytes, ends, action) {
                b"U" => false,
                b"D" => true,
                _ => return Err(LineError::Action { line: tally.read }),
            },
        };
        let line = Line { bytes, ends, deleted };
        if self.care == Care::Strict || odd && self.is_misread(bytes) {
            return self.strictly(line, out, tally);
        }
        if odd {
            self.count_oversized(line, tally);
        }
        let from = out.len();
        let written = if !deleted && self.watched.iter().all(|field| self.passes(*field, line.field(*field)))
        {
            self.as_it_is(line, out);
            Ok(())
        } else {
            self.field_by_field(line, out, tally)
        };
        // COPY takes a carriage return before the line feed for a part of it.
        if written.is_err() || out.ends_with(b"\r\n") {
            out.truncate(from);
            tally.forget();
            return self.strictly(line, out, tally);
        }
        tally.keep();
        Ok(())
    }

    fn as_it_is(&self, line: Line<'_>, out: &mut Vec<u8>) {
        for (first, last) in &self.runs {
            out.extend_from_slice(escape::fields(line.bytes, line.ends, *first, *last));
            out.push(b'\t');
        }
        end_line(out);
    }

    /// Whether COPY reads the line otherwise than the source means it.
    fn is_misread(&self, line: &[u8]) -> bool {
        let [end, nul, _] = &self.odd;
        let bare = |at: usize| line.get(..at).is_none_or(|before| !escape::escapes_next(before));
        end.find_iter(line).any(bare) || nul.find_iter(line).any(bare)
    }

    pub(super) fn count_oversized(&self, line: Line<'_>, tally: &mut Tally) {
        let [_, _, placeholder] = &self.odd;
        if placeholder.find(line.bytes).is_none() {
            return;
        }
        for (field, rule) in self.fields.iter().enumerate() {
            if let Rule::Column(column, _) | Rule::Hash(column, ..) = rule
                && placeholder.find(line.field(field)).is_some()
            {
                tally.mend(*column, Mending::Oversized, 1);
            }
        }
    }

    /// Whether a watched field is written as it is.
    fn passes(&self, field: usize, raw: &[u8]) -> bool {
        match self.fields.get(field) {
            Some(Rule::Time) => moments::is_plain_time(raw),
            Some(Rule::Column(_, column)) => raw == NULL || passes(&column.kind, raw),
            Some(Rule::Hash(..)) => raw == NULL,
            _ => false,
        }
    }

    fn field_by_field(&self, line: Line<'_>, out: &mut Vec<u8>, tally: &mut Tally) -> Result<(), Reason> {
        if let Some((time, action)) = self.leading {
            leading_time(line.field(time), out, tally);
            out.extend_from_slice(line.field(action));
            out.push(b'\t');
        }
        for (number, rule) in self.fields.iter().enumerate() {
            match rule {
                Rule::Cut | Rule::Dropped | Rule::Time | Rule::Action => continue,
                Rule::Null => out.extend_from_slice(NULL),
                Rule::Hash(_, column, keyed) => hash(line.of(number, column.part), keyed, out),
                Rule::Column(written, column) => {
                    let raw = line.of(number, column.part);
                    if raw == NULL || passes(&column.kind, raw) {
                        out.extend_from_slice(raw);
                    } else {
                        self.trusted(*written, &column.kind, raw, out, tally)?;
                    }
                }
            }
            out.push(b'\t');
        }
        end_line(out);
        Ok(())
    }

    /// Writes a field that does not pass as it is.
    fn trusted(
        &self,
        column: usize,
        kind: &Kind,
        raw: &[u8],
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Result<(), Reason> {
        let mut text = std::mem::take(&mut tally.text);
        text.clear();
        escape::unescape(raw, &mut text);
        let written = match kind {
            Kind::One(Scalar::Jsonb | Scalar::JsonOrText) => match json::check(&text, numbers_are_left) {
                Ok(faults) if faults.is_empty() => {
                    out.extend_from_slice(raw);
                    Ok(())
                }
                Err(Flaw::Syntax) if !text.contains(&0) => {
                    tally.mend(column, Mending::NoJson, 1);
                    escape::escape(&json::text(&text), out);
                    Ok(())
                }
                Ok(_) | Err(_) => Err(Reason::from("is not what jsonb takes")),
            },
            Kind::List(scalar) => self.list(column, scalar, &text, out, tally, false),
            Kind::One(scalar) => {
                let held = if *scalar == Scalar::Date {
                    moments::date(&text, self.far_dates)
                } else {
                    moments::timestamp(&text, self.far_dates)
                };
                if matches!(held, Some(Held::Far(_))) {
                    tally.mend(column, Mending::FarDate, 1);
                }
                write_moment(held, raw, out);
                Ok(())
            }
        };
        tally.text = text;
        written
    }

    /// Writes a list as an array.
    pub(super) fn list(
        &self,
        column: usize,
        scalar: &Scalar,
        text: &[u8],
        out: &mut Vec<u8>,
        tally: &mut Tally,
        strictly: bool,
    ) -> Result<(), Reason> {
        let mut array = vec![b'{'];
        if text == OVERSIZED.as_bytes() && matches!(scalar, Scalar::Text | Scalar::Varchar(27..)) {
            escape::quote(text, &mut array);
            array.push(b',');
        } else {
            let mut decoded = Vec::new();
            json::list(text, |element| {
                let value = match element {
                    Element::Null => &b"null"[..],
                    Element::Other(value) => value,
                    Element::Text(inside) => {
                        decoded.clear();
                        let (nuls, halves) = json::decode(inside, &mut decoded);
                        tally.mend(column, Mending::JsonNul, nuls.min(1));
                        tally.mend(column, Mending::NoUtf8, halves.min(1));
                        &decoded
                    }
                };
                if element == Element::Null {
                    array.extend_from_slice(b"NULL,");
                    return Ok(());
                }
                let held = self.element(column, scalar, value, tally, strictly)?;
                match held {
                    Held::AsIs => escape::quote(value, &mut array),
                    Held::Instead(value) | Held::Far(Some(value)) => {
                        escape::quote(value.as_bytes(), &mut array);
                    }
                    Held::Far(None) => array.extend_from_slice(b"NULL"),
                }
                array.push(b',');
                Ok::<_, Reason>(())
            })?;
        }
        if array.last() == Some(&b',') {
            array.pop();
        }
        array.push(b'}');
        escape::escape(&array, out);
        Ok(())
    }

    fn element(
        &self,
        column: usize,
        scalar: &Scalar,
        value: &[u8],
        tally: &mut Tally,
        strictly: bool,
    ) -> Result<Held, Reason> {
        if strictly {
            return self.hold(column, scalar, value, tally);
        }
        let held = if *scalar == Scalar::Timestamp && !moments::is_plain_time(value) {
            moments::timestamp(value, self.far_dates)
        } else if *scalar == Scalar::Date && !moments::is_plain_day(value) {
            moments::date(value, self.far_dates)
        } else {
            None
        };
        let held = held.unwrap_or(Held::AsIs);
        tally.mend(column, Mending::FarDate, u64::from(matches!(held, Held::Far(_))));
        Ok(held)
    }
}

/// Writes the time of a change. What is none is left to the database.
fn leading_time(raw: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
    if moments::is_plain_time(raw) {
        out.extend_from_slice(raw);
    } else {
        let text = unescaped(raw, tally);
        let held = moments::timestamp(text, FarDates::Clamp);
        write_moment(held, raw, out);
    }
    out.push(b'\t');
}

/// Whether a field that is not NULL is written as it is.
fn passes(kind: &Kind, raw: &[u8]) -> bool {
    match kind {
        Kind::List(_) | Kind::One(Scalar::JsonOrText) => false,
        Kind::One(Scalar::Timestamp) => moments::is_plain_time(raw),
        Kind::One(Scalar::Date) => moments::is_plain_day(raw),
        // What looks like a container is left to the database; a placeholder does not.
        Kind::One(Scalar::Jsonb) => matches!(raw.first(), Some(b'{' | b'[')),
        Kind::One(_) => true,
    }
}

const fn numbers_are_left(_: &[u8]) -> bool {
    true
}

fn unescaped<'t>(raw: &[u8], tally: &'t mut Tally) -> &'t [u8] {
    tally.text.clear();
    escape::unescape(raw, &mut tally.text);
    &tally.text
}

/// Writes a moment, or what was there where that is none.
fn write_moment(held: Option<Held>, raw: &[u8], out: &mut Vec<u8>) {
    match held {
        None | Some(Held::AsIs) => out.extend_from_slice(raw),
        Some(Held::Instead(text) | Held::Far(Some(text))) => out.extend_from_slice(text.as_bytes()),
        Some(Held::Far(None)) => out.extend_from_slice(NULL),
    }
}

/// Writes the keyed hash of what a field stands for.
pub(super) fn hash(raw: &[u8], keyed: &hmac::Hmac<sha2::Sha256>, out: &mut Vec<u8>) {
    if raw == NULL {
        out.extend_from_slice(NULL);
        return;
    }
    let mut value = Vec::new();
    escape::unescape(raw, &mut value);
    let mut keyed = keyed.clone();
    keyed.update(&value);
    out.extend_from_slice(hex::encode(keyed.finalize().into_bytes()).as_bytes());
}

/// Ends a line whose fields are each ended by a tab.
pub(super) fn end_line(out: &mut [u8]) {
    if let Some(last) = out.last_mut() {
        *last = b'\n';
    }
}
