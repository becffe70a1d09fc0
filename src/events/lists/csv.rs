//! Lists as CSV: two columns, the bucket and the key, which may be quoted.

use csv_core::{ReadFieldResult, Reader};

use super::{LONGEST_LINE, at_line, broken};
use crate::domain::{instruction::Instruction, outcome::Failure};

/// What some editors put before the first line.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A reader of CSV.
#[derive(Debug)]
pub(super) struct Csv {
    reader: Reader,
    field: Vec<u8>,
    fields: Vec<String>,
    line: u64,
    /// The first bytes, until it is known whether they are a mark.
    start: Option<Vec<u8>>,
    begun: bool,
}

impl Default for Csv {
    fn default() -> Self {
        // The reader's own default knows no rules yet.
        Self {
            reader: Reader::new(),
            field: Vec::new(),
            fields: Vec::new(),
            line: 0,
            start: None,
            begun: false,
        }
    }
}

impl Csv {
    pub(super) fn push(&mut self, bytes: &[u8], rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        if self.begun {
            return self.read(bytes, rows);
        }
        let start = self.start.get_or_insert_default();
        start.extend_from_slice(bytes);
        if start.len() < MARK.len() {
            return Ok(());
        }
        self.begin(rows)
    }

    fn begin(&mut self, rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        self.begun = true;
        let start = self.start.take().unwrap_or_default();
        self.read(start.strip_prefix(MARK).unwrap_or(&start), rows)
    }

    pub(super) fn finish(mut self, rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        if !self.begun {
            self.begin(rows)?;
        }
        // Nothing more is how the reader is told that this was all.
        while !self.read_field(&mut &[][..], rows)? {}
        Ok(())
    }

    fn read(&mut self, mut bytes: &[u8], rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        while !bytes.is_empty() {
            self.read_field(&mut bytes, rows)?;
        }
        Ok(())
    }

    /// Reads up to the end of a field, of the bytes or of the room; true at the end of the list.
    fn read_field(&mut self, bytes: &mut &[u8], rows: &mut Vec<Instruction>) -> Result<bool, Failure> {
        let mut out = [0; 1024];
        let (result, read, written) = self.reader.read_field(bytes, &mut out);
        *bytes = bytes.get(read..).unwrap_or_default();
        self.field.extend_from_slice(out.get(..written).unwrap_or_default());
        if self.field.len() > LONGEST_LINE {
            return Err(broken(self.line + 1, "is too long"));
        }
        match result {
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
            ReadFieldResult::Field { record_end } => {
                self.end_field()?;
                if record_end {
                    self.end_line(rows)?;
                }
            }
            ReadFieldResult::End => return Ok(true),
        }
        Ok(false)
    }

    fn end_field(&mut self) -> Result<(), Failure> {
        let field = String::from_utf8(std::mem::take(&mut self.field));
        self.fields.push(field.map_err(|_| broken(self.line + 1, "is not UTF-8"))?);
        if self.fields.len() > 2 {
            return Err(broken(self.line + 1, "has more than the two columns `bucket,key`"));
        }
        Ok(())
    }

    fn end_line(&mut self, rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        self.line += 1;
        let mut fields = std::mem::take(&mut self.fields).into_iter();
        let (bucket, key) = (fields.next().unwrap_or_default(), fields.next());
        let Some(key) = key else {
            let blank = bucket.trim().is_empty();
            return if blank {
                Ok(())
            } else {
                Err(broken(self.line, "has one column: `bucket,key` are wanted"))
            };
        };
        let is_header =
            self.line == 1 && bucket.eq_ignore_ascii_case("bucket") && key.eq_ignore_ascii_case("key");
        if !is_header {
            let instruction = Instruction { bucket, key, ..Instruction::default() };
            rows.push(instruction.checked().map_err(|failure| at_line(self.line, failure))?);
        }
        Ok(())
    }
}
