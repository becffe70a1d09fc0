//! Lists as CSV: fields that may be quoted (RFC 4180).
//!
//! A list is taken at its word. Where quotes are not where they belong, it is unclear what is
//! meant, and the list is refused. Lines are counted as editors do: blank ones too, and those inside quotes.

use super::{LONGEST_LINE, Line, broken};
use crate::domain::outcome::Failure;

/// The most fields of a row.
const MOST_FIELDS: usize = 100;

/// What some editors put before the first line.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Where in a field the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Start,
    Plain,
    Quoted,
    /// Behind a quote that ends the field, unless another follows.
    Quote,
}

/// A reader of CSV.
#[derive(Debug)]
pub(super) struct Csv {
    /// The first bytes, until it is known whether they are a mark.
    start: Option<Vec<u8>>,
    at: At,
    field: Vec<u8>,
    fields: Vec<String>,
    /// The line of the next byte.
    line: u64,
    /// The line in which the row begins, and that of the last quote that opened a field.
    row: u64,
    quote: u64,
    /// Whether the byte before was a CR, so that a LF is the rest of the same line break.
    after_cr: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            start: Some(Vec::new()),
            at: At::Start,
            field: Vec::new(),
            fields: Vec::new(),
            line: 1,
            row: 1,
            quote: 1,
            after_cr: false,
        }
    }
}

impl Csv {
    pub(super) fn push(&mut self, bytes: &[u8], rows: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        let Some(start) = &mut self.start else { return self.read(bytes, rows) };
        start.extend_from_slice(bytes);
        if start.len() < MARK.len() {
            return Ok(());
        }
        self.begin(rows)
    }

    fn begin(&mut self, rows: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        let start = self.start.take().unwrap_or_default();
        self.read(start.strip_prefix(MARK).unwrap_or(&start), rows)
    }

    pub(super) fn finish(mut self, rows: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        if self.start.is_some() {
            self.begin(rows)?;
        }
        if self.at == At::Quoted {
            return Err(broken(self.quote, "has a quote that is never closed"));
        }
        self.end_row(rows)
    }

    fn read(&mut self, bytes: &[u8], rows: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        bytes.iter().try_for_each(|byte| self.take(*byte, rows))
    }

    fn take(&mut self, byte: u8, rows: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        let breaks = matches!(byte, b'\n' | b'\r');
        let is_rest = byte == b'\n' && self.after_cr;
        self.after_cr = byte == b'\r';
        match (self.at, byte) {
            (At::Quoted, b'"') => self.at = At::Quote,
            (At::Quoted, _) => self.keep(byte)?,
            (_, b'\n') if is_rest => return Ok(()),
            (_, b'\n' | b'\r') => self.end_row(rows)?,
            (_, b',') => self.end_field()?,
            (At::Start, b'"') => (self.at, self.quote) = (At::Quoted, self.line),
            (At::Quote, b'"') => {
                self.at = At::Quoted;
                self.keep(byte)?;
            }
            (At::Quote, _) => return Err(broken(self.line, "has text behind a quoted field")),
            (At::Plain, b'"') => {
                let why = "has a quote inside a field without quotes: such a field is to be quoted, and each \
                           quote in it doubled";
                return Err(broken(self.line, why));
            }
            (At::Start | At::Plain, _) => {
                self.at = At::Plain;
                self.keep(byte)?;
            }
        }
        if breaks && !is_rest {
            self.line += 1;
        }
        if self.at == At::Start && self.fields.is_empty() {
            self.row = self.line;
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) -> Result<(), Failure> {
        self.field.push(byte);
        match self.at {
            _ if self.field.len() <= LONGEST_LINE => Ok(()),
            At::Quoted => Err(broken(self.quote, "has a quote that is not closed where a key can end")),
            At::Start | At::Plain | At::Quote => Err(broken(self.line, "is too long")),
        }
    }

    fn end_field(&mut self) -> Result<(), Failure> {
        self.at = At::Start;
        let field = String::from_utf8(std::mem::take(&mut self.field));
        self.fields.push(field.map_err(|_| broken(self.row, "is not UTF-8"))?);
        if self.fields.len() > MOST_FIELDS {
            return Err(broken(self.row, "has too many columns"));
        }
        Ok(())
    }

    fn end_row(&mut self, rows: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        self.end_field()?;
        let fields = std::mem::take(&mut self.fields);
        if fields.iter().any(|field| !field.trim().is_empty()) || fields.len() > 1 {
            rows.push((self.row, Line::Fields(fields)));
        }
        Ok(())
    }
}
