//! Lists as JSON lines: one object a line.

use serde_json::Value;

use super::{LONGEST_LINE, Line, broken};
use crate::domain::outcome::Failure;

/// A reader of JSON lines.
#[derive(Debug, Default)]
pub(super) struct JsonLines {
    rest: Vec<u8>,
    line: u64,
}

impl JsonLines {
    pub(super) fn push(&mut self, bytes: &[u8], rows: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = lines.next() {
            if self.rest.len() + part.len() > LONGEST_LINE {
                return Err(broken(self.line + 1, "is too long"));
            }
            if lines.peek().is_none() {
                self.rest.extend_from_slice(part);
            } else if self.rest.is_empty() {
                self.end_line(part, rows)?;
            } else {
                self.rest.extend_from_slice(part);
                let line = std::mem::take(&mut self.rest);
                self.end_line(&line, rows)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, rows: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        let line = std::mem::take(&mut self.rest);
        self.end_line(&line, rows)
    }

    fn end_line(&mut self, line: &[u8], rows: &mut Vec<(u64, Line)>) -> Result<(), Failure> {
        self.line += 1;
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let object = match serde_json::from_slice(line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(broken(self.line, "is no JSON object")),
            Err(error) => {
                // The line is ours to say.
                let why = error.to_string().replace(" at line 1 column ", " at column ");
                return Err(broken(self.line, &format!("is not JSON: {why}")));
            }
        };
        rows.push((self.line, Line::Object(object)));
        Ok(())
    }
}
