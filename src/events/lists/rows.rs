//! Manifests and catalogues of files, and what a laboratory knows of its libraries: a header names the columns,
//! in any order, or JSON lines name their fields.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Line, Meaning, at_line, broken};
use crate::domain::{
    outcome::{ErrorName, Failure},
    share::{files::Library, lims, rows::Row},
};

/// The columns of a table, once its header has gone by.
#[derive(Debug, Default)]
struct Columns(Option<Vec<String>>);

/// One line of a table, by the names of its columns.
struct Cells<'a> {
    columns: &'a [String],
    line: Line,
}

impl Columns {
    /// The cells of a line; `None` for the header.
    fn cells(&mut self, line: Line) -> Option<Cells<'_>> {
        if let (Line::Fields(fields), None) = (&line, &self.0) {
            self.0 = Some(fields.iter().map(|name| plain(name)).collect());
            return None;
        }
        Some(Cells { columns: self.0.as_deref().unwrap_or_default(), line })
    }
}

impl Cells<'_> {
    /// The text of a cell; `None` where there is no such column.
    fn text(&self, name: &str) -> Option<String> {
        match &self.line {
            Line::Fields(fields) => {
                let column = self.columns.iter().position(|column| column == name)?;
                fields.get(column).cloned()
            }
            Line::Object(object) => {
                object.iter().find(|(key, _)| plain(key) == name).map(|(_, value)| text(value))
            }
        }
    }
}

/// A name in one spelling: `libraryId`, `Library ID` and `library_id` are the same.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for letter in name.trim().chars() {
        match letter {
            ' ' | '-' | '_' => plain.push('_'),
            _ => {
                if letter.is_ascii_uppercase() && after_lower {
                    plain.push('_');
                }
                plain.push(letter.to_ascii_lowercase());
            }
        }
        after_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    plain
}

/// A value as a table would write it. A list of libraries is joined as paths join them.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join("__"),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Reads the lines of a manifest or a catalogue.
#[derive(Debug, Default)]
pub struct Rows(Columns);

impl Meaning for Rows {
    type Row = Row;

    fn read(&mut self, number: u64, line: Line) -> Result<Option<Row>, Failure> {
        let was_named = self.0.0.is_some();
        let Some(cells) = self.0.cells(line) else {
            let has_uri = self.0.0.iter().flatten().any(|column| column == "uri");
            let why = "names the columns, and none of them is `uri`";
            return if was_named || has_uri { Ok(None) } else { Err(broken(number, why)) };
        };
        let row =
            Row::read(|name| cells.text(name)).map_err(|why| Failure::new(ErrorName::InvalidRequest, why));
        row.map(Some).map_err(|failure| at_line(number, failure))
    }
}

/// A row that a request brings in itself.
pub fn row_of(object: &Map<String, Value>) -> Result<Row, String> {
    let cells = Cells { columns: &[], line: Line::Object(object.clone()) };
    Row::read(|name| cells.text(name))
}

/// What a request itself tells of a library.
#[must_use]
pub fn library_of(object: &Map<String, Value>) -> Library {
    let cells = Cells { columns: &[], line: Line::Object(object.clone()) };
    lims::library(|name| cells.text(name).map(|text| text.trim().to_owned()).unwrap_or_default())
}

/// Reads the lines of a LIMS manifest. A line without a library is skipped.
#[derive(Debug, Default)]
pub struct Libraries(Columns);

impl Meaning for Libraries {
    type Row = Library;

    fn read(&mut self, _number: u64, line: Line) -> Result<Option<Library>, Failure> {
        let Some(cells) = self.0.cells(line) else { return Ok(None) };
        let text = |name: &str| cells.text(name).map(|text| text.trim().to_owned()).unwrap_or_default();
        let library = lims::library(text);
        Ok((!library.library_id.is_empty()).then_some(library))
    }
}

/// Reads the lines of any table: texts by the names of their columns, in one spelling.
#[derive(Debug, Default)]
pub struct Table(Columns);

impl Meaning for Table {
    type Row = BTreeMap<String, String>;

    fn read(&mut self, _number: u64, line: Line) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let Some(cells) = self.0.cells(line) else { return Ok(None) };
        let row = match &cells.line {
            Line::Fields(fields) => {
                let named = cells.columns.iter().cloned().zip(fields);
                named.map(|(name, field)| (name, field.trim().to_owned())).collect()
            }
            Line::Object(object) => object.iter().map(|(name, value)| (plain(name), text(value))).collect(),
        };
        Ok(Some(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::share::files::DataType, events::lists::Reader};

    fn read<M: Meaning + Default>(name: &str, text: &[u8]) -> Result<Vec<M::Row>, Failure> {
        let mut rows = Vec::new();
        let mut reader = Reader::<M>::of(name);
        for piece in text.chunks(7) {
            reader.push(piece, &mut rows)?;
        }
        reader.finish(&mut rows)?;
        Ok(rows)
    }

    #[test]
    fn columns_come_in_any_order_and_others_are_ignored() {
        let csv =
            b"\xef\xbb\xbfsize,Other,uri,library_id,dataType\r\n17,x,s3://b/k,L1,secondaryAnalysis\r\n\r\n";
        let rows = read::<Rows>("catalogue.csv", csv).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].size, rows[0].library_id.as_str()), (Some(17), "L1"));
        assert_eq!(rows[0].data_type, Some(DataType::SecondaryAnalysis));
        let json = br#"{"uri":"s3://b/k","libraryId":["L1","L2"],"lane":2}"#;
        let rows = read::<Rows>("catalogue.jsonl", json).unwrap();
        assert_eq!((rows[0].library_id.as_str(), rows[0].lane), ("L1__L2", Some(2)));
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let wrong = read::<Rows>("x.csv", b"uri,lane\ns3://b/k,1\ns3://b/k,two\n").unwrap_err();
        assert!(wrong.message.starts_with("line 3 of the list: `lane` must be"), "{}", wrong.message);
        let wrong = read::<Rows>("x.csv", b"url\ns3://b/k\n").unwrap_err();
        assert!(wrong.message.contains("none of them is `uri`"), "{}", wrong.message);
    }

    #[test]
    fn everything_in_a_lims_manifest_is_text() {
        let csv =
            b"library_id,project_id,external_subject_id,type\n20240512e1234567_topup2,17,,WGS\n,x,y,z\n";
        let libraries = read::<Libraries>("lims.csv", csv).unwrap();
        assert_eq!(libraries.len(), 1);
        assert_eq!(libraries[0].library_id, "20240512e1234567");
        assert_eq!(
            (libraries[0].project_ids.join(""), libraries[0].library_type.as_str()),
            ("17".into(), "WGS")
        );
    }
}
