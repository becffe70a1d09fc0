//! Lists as CSV: two columns, the bucket and the key, each of which may be quoted (RFC 4180).
//!
//! A list is taken at its word. Where quotes are not where they belong, it is unclear which objects are
//! meant, and the list is refused. Lines are counted as editors do: blank ones too, and those inside quotes.

use super::{LONGEST_LINE, at_line, broken};
use crate::domain::{instruction::Instruction, outcome::Failure};

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
    /// Whether no row has gone by: the first may be a header.
    is_first: bool,
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
            is_first: true,
        }
    }
}

impl Csv {
    pub(super) fn push(&mut self, bytes: &[u8], rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        let Some(start) = &mut self.start else { return self.read(bytes, rows) };
        start.extend_from_slice(bytes);
        if start.len() < MARK.len() {
            return Ok(());
        }
        self.begin(rows)
    }

    fn begin(&mut self, rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        let start = self.start.take().unwrap_or_default();
        self.read(start.strip_prefix(MARK).unwrap_or(&start), rows)
    }

    pub(super) fn finish(mut self, rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        if self.start.is_some() {
            self.begin(rows)?;
        }
        if self.at == At::Quoted {
            return Err(broken(self.quote, "has a quote that is never closed"));
        }
        self.end_row(rows)
    }

    fn read(&mut self, bytes: &[u8], rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        bytes.iter().try_for_each(|byte| self.take(*byte, rows))
    }

    fn take(&mut self, byte: u8, rows: &mut Vec<Instruction>) -> Result<(), Failure> {
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
        if self.fields.len() > 2 {
            return Err(broken(self.row, "has more than the two columns `bucket,key`"));
        }
        Ok(())
    }

    fn end_row(&mut self, rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        self.end_field()?;
        let mut fields = std::mem::take(&mut self.fields).into_iter();
        let (bucket, key) = (fields.next().unwrap_or_default(), fields.next());
        let Some(key) = key else {
            let blank = bucket.trim().is_empty();
            return if blank {
                Ok(())
            } else {
                Err(broken(self.row, "has one column: `bucket,key` are wanted"))
            };
        };
        let is_first = std::mem::take(&mut self.is_first);
        let is_header = is_first && bucket.eq_ignore_ascii_case("bucket") && key.eq_ignore_ascii_case("key");
        if !is_header {
            let instruction = Instruction { bucket, key, ..Instruction::default() };
            rows.push(instruction.checked().map_err(|failure| at_line(self.row, failure))?);
        }
        Ok(())
    }
}
