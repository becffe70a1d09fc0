//! Lists of objects, read as they come: CSV (`bucket,key`, no header) or JSON lines, either of them
//! plain or gzipped. A list of a million lines needs no more memory than a line.

mod csv;
mod jsonl;

use std::io::Write as _;

use flate2::write::MultiGzDecoder;

use self::{csv::Csv, jsonl::JsonLines};
use crate::domain::{
    instruction::Instruction,
    outcome::{Culprit, ErrorName, Failure},
};

/// The first bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Packed bytes that are unpacked at a time: a thousand times as many may come out.
const SIP: usize = 4096;
/// Bytes of the longest line.
const LONGEST_LINE: usize = 16 * 1024;

/// Reads a list piece by piece.
pub struct ListReader {
    packing: Packing,
    rows: Rows,
    /// Bytes that may still come out of it.
    left: u64,
}

impl std::fmt::Debug for ListReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListReader").finish_non_exhaustive()
    }
}

enum Packing {
    /// Too little has come to tell.
    Unknown(Vec<u8>),
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

enum Rows {
    Csv(Box<Csv>),
    Json(JsonLines),
}

impl Rows {
    fn push(&mut self, bytes: &[u8], rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        match self {
            Self::Csv(csv) => csv.push(bytes, rows),
            Self::Json(lines) => lines.push(bytes, rows),
        }
    }
}

impl ListReader {
    /// A reader of the list of that key: `….csv` and `….csv.gz` are CSV, everything else JSON lines.
    #[must_use]
    pub fn of(key: &str) -> Self {
        let lower = key.to_ascii_lowercase();
        let name = lower.strip_suffix(".gz").unwrap_or(&lower);
        Self {
            packing: Packing::Unknown(Vec::new()),
            left: u64::MAX,
            rows: match name.rsplit_once('.') {
                Some((_, "csv")) => Rows::Csv(Box::default()),
                _ => Rows::Json(JsonLines::default()),
            },
        }
    }

    /// The same for a list of at most so many bytes, however small it was packed.
    #[must_use]
    pub fn at_most(self, bytes: u64) -> Self {
        Self { left: bytes, ..self }
    }

    /// Takes the next piece of the list and adds the lines that it completes, each checked.
    pub fn push(&mut self, piece: &[u8], rows: &mut Vec<Instruction>) -> Result<(), Failure> {
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
    pub fn finish(mut self, rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        match &mut self.packing {
            Packing::Unknown(start) => self.rows.push(start, rows)?,
            Packing::Plain => {}
            Packing::Gzip(decoder) => {
                decoder.try_finish().map_err(|error| not_gzip(&error))?;
                let rest = std::mem::take(decoder.get_mut());
                if rest.len() as u64 > self.left {
                    return Err(too_long());
                }
                self.rows.push(&rest, rows)?;
            }
        }
        match self.rows {
            Rows::Csv(csv) => csv.finish(rows),
            Rows::Json(lines) => lines.finish(rows),
        }
    }

    fn unpacked(&mut self, piece: &[u8], rows: &mut Vec<Instruction>) -> Result<(), Failure> {
        let mut left = self.left;
        let mut count = |bytes: &[u8]| {
            left = left.checked_sub(bytes.len() as u64).ok_or_else(too_long)?;
            Ok::<_, Failure>(())
        };
        let Packing::Gzip(decoder) = &mut self.packing else {
            count(piece)?;
            self.left = left;
            return self.rows.push(piece, rows);
        };
        for sip in piece.chunks(SIP) {
            decoder.write_all(sip).map_err(|error| not_gzip(&error))?;
            let unpacked = decoder.get_mut();
            count(unpacked)?;
            self.rows.push(unpacked, rows)?;
            unpacked.clear();
        }
        self.left = left;
        Ok(())
    }
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
