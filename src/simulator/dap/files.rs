//! The files of a job: rows in one of three formats, in parts, packed.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};

use super::{
    history::Row,
    lines::{csv, json_line, pick, tsv},
    world::WorldTable,
};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    Tsv,
    Csv,
    Jsonl,
}

impl Form {
    /// The ending of names of its files.
    pub(super) const fn ending(self) -> &'static str {
        match self {
            Self::Tsv => "tsv",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// What a file is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) form: Form,
    pub(super) version: i64,
    /// Whether properties of objects are columns of their own.
    pub(super) expanded: bool,
    /// Whether rows say what happened to them.
    pub(super) incremental: bool,
    /// How many members of gzip a file is made of.
    pub(super) members: usize,
}

/// Files of at most as many rows as the table says.
pub(super) fn parts(table: &WorldTable, rows: &[Row<'_>], style: Style) -> Vec<Bytes> {
    rows.chunks(table.rows_per_part.max(1)).map(|rows| file(table, rows, style)).collect()
}

fn file(table: &WorldTable, rows: &[Row<'_>], style: Style) -> Bytes {
    let mut text = Vec::new();
    if style.form == Form::Jsonl {
        for row in rows {
            json_line(row, &mut text);
        }
        return pack(&text, style.members);
    }
    let (write, between, end): (fn(_, &mut Vec<u8>), _, &[u8]) = match style.form {
        Form::Csv => (csv, b',', b"\r\n"),
        Form::Tsv | Form::Jsonl => (tsv, b'\t', b"\n"),
    };
    let columns = columns(table, style);
    for (number, path) in columns.iter().enumerate() {
        if number > 0 {
            text.push(between);
        }
        text.extend_from_slice(path.join(".").as_bytes());
    }
    text.extend_from_slice(end);
    for row in rows {
        for (number, path) in columns.iter().enumerate() {
            if number > 0 {
                text.push(between);
            }
            write(pick(row, path), &mut text);
        }
        text.extend_from_slice(end);
    }
    pack(&text, style.members)
}

fn columns(table: &WorldTable, style: Style) -> Vec<Vec<&str>> {
    let mut columns = vec![vec!["meta", "ts"]];
    if style.incremental {
        columns.push(vec!["meta", "action"]);
    }
    columns.extend(table.key.keys().map(|name| vec!["key", name.as_str()]));
    let Some(schema) = table.schema(style.version) else { return columns };
    for (name, kind) in &schema.value {
        let inner =
            kind.get("properties").and_then(|inner| inner.as_object()).filter(|inner| !inner.is_empty());
        match inner.filter(|_| style.expanded && kind.get("type").is_some_and(|kind| kind == "object")) {
            Some(inner) => columns.extend(inner.keys().map(|inner| vec!["value", name.as_str(), inner])),
            None => columns.push(vec!["value", name]),
        }
    }
    columns
}

/// As gzip, in so many members.
fn pack(text: &[u8], members: usize) -> Bytes {
    let size = text.len().div_ceil(members.max(1)).max(1);
    let mut out = Vec::new();
    for piece in text.chunks(size) {
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
        // Writing into memory cannot fail.
        if let Ok(packed) = gzip.write_all(piece).and_then(|()| gzip.finish()) {
            out.extend_from_slice(&packed);
        }
    }
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::MultiGzDecoder;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    use super::*;

    fn table() -> WorldTable {
        let object = json!({"type": "object", "properties": {"a": {}, "b": {}}});
        let world = json!({
            "namespace": "canvas", "name": "t", "rowsPerPart": 2, "key": {"id": {"type": "integer"}},
            "schemas": [{"version": 1, "value": {"s": {"type": "string"}, "o": object}}],
            "commits": [
                {"at": "2026-01-01T00:00:00Z", "version": 1, "changes": [
                    {"key": {"id": 1}, "value": {"s": "x\ty", "o": {"a": 1, "b": null}}},
                    {"key": {"id": 2}, "value": {"s": null}},
                    {"key": {"id": 3}, "value": {"s": ""}},
                ]},
                {"at": "2026-01-02T00:00:00Z", "version": 1, "changes": [{"key": {"id": 2}, "value": null}]},
            ],
        });
        serde_json::from_value(world).unwrap()
    }

    fn style(form: Form) -> Style {
        Style { form, version: 1, expanded: false, incremental: false, members: 1 }
    }

    fn unpacked(bytes: &[u8]) -> String {
        let mut text = String::new();
        MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_part_has_a_header_and_at_most_so_many_rows() {
        let table = table();
        let files = parts(&table, &table.snapshot(0), style(Form::Tsv));
        let first = "meta.ts\tkey.id\tvalue.s\tvalue.o\n\
                     2026-01-01T00:00:00Z\t1\tx\\ty\t{\"a\": 1}\n2026-01-01T00:00:00Z\t2\t\\N\t\\N\n";
        let second = "meta.ts\tkey.id\tvalue.s\tvalue.o\n2026-01-01T00:00:00Z\t3\t\t\\N\n";
        assert_eq!(files.iter().map(|file| unpacked(file)).collect::<Vec<_>>(), [first, second]);
        assert!(parts(&table, &[], style(Form::Tsv)).is_empty());
    }

    #[test]
    fn a_deletion_has_its_key_only() {
        let table = table();
        let since = "2026-01-02T00:00:00Z".parse().unwrap();
        let deleted = table.increment(1, since, None);
        let incremental = |form| Style { incremental: true, ..style(form) };
        let shown = |form| {
            parts(&table, &deleted, incremental(form)).iter().map(|file| unpacked(file)).collect::<String>()
        };
        assert!(
            shown(Form::Tsv).ends_with("\n2026-01-02T00:00:00Z\tD\t2\t\\N\t\\N\n"),
            "{}",
            shown(Form::Tsv)
        );
        assert!(shown(Form::Csv).ends_with("\r\n2026-01-02T00:00:00Z,D,2,,\r\n"), "{}", shown(Form::Csv));
        let line =
            "{\"key\": {\"id\": 2}, \"meta\": {\"ts\": \"2026-01-02T00:00:00Z\", \"action\": \"D\"}}\n";
        assert_eq!(shown(Form::Jsonl), line);
    }

    #[test]
    fn expanded_spreads_objects_over_columns() {
        let table = table();
        let files = parts(&table, &table.snapshot(0), Style { expanded: true, ..style(Form::Tsv) });
        let first = unpacked(&files[0]);
        assert!(first.starts_with("meta.ts\tkey.id\tvalue.s\tvalue.o.a\tvalue.o.b\n"), "{first}");
        assert!(first.contains("\t1\tx\\ty\t1\t\\N\n"), "{first}");
    }

    #[test]
    fn a_file_of_several_members_unpacks_to_the_same() {
        let table = table();
        let rows = table.snapshot(0);
        let one = parts(&table, &rows, style(Form::Tsv));
        let three = parts(&table, &rows, Style { members: 3, ..style(Form::Tsv) });
        assert_ne!(one, three);
        assert_eq!(unpacked(&one[0]), unpacked(&three[0]));
    }
}
