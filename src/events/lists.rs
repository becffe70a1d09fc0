//! Lists of objects, read as they come: CSV (`bucket,key`, no header) or JSON lines, either of them
//! plain or gzipped. A list of a million lines needs no more memory than a line.

mod csv;
mod instructions;
mod jsonl;
mod rows;

use std::io::Write as _;

use flate2::write::MultiGzDecoder;
use serde_json::{Map, Value};

use self::{csv::Csv, jsonl::JsonLines};
pub use self::{
    instructions::Instructions,
    rows::{Libraries, Rows, Table, library_of, row_of},
};
use crate::domain::outcome::{Culprit, ErrorName, Failure};

/// The first bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Packed bytes that are unpacked at a time: a thousand times as many may come out.
const SIP: usize = 4096;
/// Bytes of the longest line.
const LONGEST_LINE: usize = 16 * 1024;

/// A line, as far as its form tells.
#[derive(Debug)]
pub enum Line {
    /// Of CSV.
    Fields(Vec<String>),
    /// Of JSON lines.
    Object(Map<String, Value>),
}

/// What the lines of a list say.
pub trait Meaning {
    /// What one line says.
    type Row;

    /// Reads the line of that number; `None` where it only names the columns.
    fn read(&mut self, number: u64, line: Line) -> Result<Option<Self::Row>, Failure>;
}

/// Reads a list piece by piece.
pub struct Reader<M> {
    packing: Packing,
    form: Form,
    meaning: M,
    /// Bytes that may still come out of it.
    left: u64,
}

/// Reads a list of objects to copy.
pub type ListReader = Reader<Instructions>;

impl<M> std::fmt::Debug for Reader<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

enum Packing {
    /// Too little has come to tell.
    Unknown(Vec<u8>),
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

enum Form {
    Csv(Box<Csv>),
    Json(JsonLines),
}

impl<M: Meaning + Default> Reader<M> {
    /// A reader of the list of that key: `….csv` and `….csv.gz` are CSV, everything else JSON lines.
    #[must_use]
    pub fn of(key: &str) -> Self {
        let lower = key.to_ascii_lowercase();
        let name = lower.strip_suffix(".gz").unwrap_or(&lower);
        Self {
            packing: Packing::Unknown(Vec::new()),
            left: u64::MAX,
            meaning: M::default(),
            form: match name.rsplit_once('.') {
                Some((_, "csv")) => Form::Csv(Box::default()),
                _ => Form::Json(JsonLines::default()),
            },
        }
    }
}

impl<M: Meaning> Reader<M> {
    /// The same for a list of at most so many bytes, however small it was packed.
    #[must_use]
    pub fn at_most(self, bytes: u64) -> Self {
        Self { left: bytes, ..self }
    }

    /// Takes the next piece of the list and adds the lines that it completes, each checked.
    pub fn push(&mut self, piece: &[u8], rows: &mut Vec<M::Row>) -> Result<(), Failure> {
        if let Packing::Unknown(start) = &mut self.packing {
            start.extend_from_slice(piece);
            if start.len() < GZIP.len() {
                return Ok(());
            }
            let start = std::mem::take(start);
            self.packing = if start.starts_with(&GZIP) {
                Packing::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
            } else {
                Packing::Plain
            };
            return self.unpacked(&start, rows);
        }
        self.unpacked(piece, rows)
    }

    /// The list has ended.
    pub fn finish(mut self, rows: &mut Vec<M::Row>) -> Result<(), Failure> {
        let mut lines = Vec::new();
        match &mut self.packing {
            Packing::Unknown(start) => self.form.push(start, &mut lines)?,
            Packing::Plain => {}
            Packing::Gzip(decoder) => {
                decoder.try_finish().map_err(|error| not_gzip(&error))?;
                let rest = std::mem::take(decoder.get_mut());
                if rest.len() as u64 > self.left {
                    return Err(too_long());
                }
                self.form.push(&rest, &mut lines)?;
            }
        }
        match self.form {
            Form::Csv(csv) => csv.finish(&mut lines)?,
            Form::Json(json) => json.finish(&mut lines)?,
        }
        read_all(&mut self.meaning, lines, rows)
    }

    fn unpacked(&mut self, piece: &[u8], rows: &mut Vec<M::Row>) -> Result<(), Failure> {
        let mut left = self.left;
        let mut count = |bytes: &[u8]| {
            left = left.checked_sub(bytes.len() as u64).ok_or_else(too_long)?;
            Ok::<_, Failure>(())
        };
        let mut lines = Vec::new();
        let Packing::Gzip(decoder) = &mut self.packing else {
            count(piece)?;
            self.left = left;
            self.form.push(piece, &mut lines)?;
            return read_all(&mut self.meaning, lines, rows);
        };
        for sip in piece.chunks(SIP) {
            decoder.write_all(sip).map_err(|error| not_gzip(&error))?;
            let unpacked = decoder.get_mut();
            count(unpacked)?;
            self.form.push(unpacked, &mut lines)?;
            unpacked.clear();
            read_all(&mut self.meaning, std::mem::take(&mut lines), rows)?;
        }
        self.left = left;
        Ok(())
    }
}

impl Form {
    fn push(&mut self, bytes: &[u8], lines: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        match self {
            Self::Csv(csv) => csv.push(bytes, lines),
            Self::Json(json) => json.push(bytes, lines),
        }
    }
}

fn read_all<M: Meaning>(
    meaning: &mut M,
    lines: Vec<(u64, Line)>,
    rows: &mut Vec<M::Row>,
) -> Result<(), Failure> {
    for (number, line) in lines {
        rows.extend(meaning.read(number, line)?);
    }
    Ok(())
}

fn not_gzip(error: &std::io::Error) -> Failure {
    Failure::new(ErrorName::InvalidRequest, format!("the list is broken: it does not unpack ({error})"))
}

fn too_long() -> Failure {
    let message = "the list has more bytes than its objects can need (copy_out.max_objects)";
    Failure::new(ErrorName::InvalidRequest, message)
}

/// A line that cannot be read, by its number from 1.
fn broken(line: u64, why: &str) -> Failure {
    Failure::new(ErrorName::InvalidRequest, format!("line {line} of the list {why}"))
        .naming([Culprit { what: format!("line {line}"), why: why.to_owned() }])
}

/// The line of an instruction that was refused.
fn at_line(line: u64, mut failure: Failure) -> Failure {
    failure.message = format!("line {line} of the list: {}", failure.message);
    failure
}

#[cfg(test)]
mod tests;
