//! A row of a manifest or of a catalogue: a file that could be in a package.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::files::DataType;
use crate::domain::location::Location;

/// A file, as far as a row tells. What a row does not tell is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Where it is: `s3://…` or `icav2://…`.
    pub uri: String,
    /// What it is.
    pub data_type: Option<DataType>,
    /// Its library, or libraries, joined by `__`.
    pub library_id: String,
    /// Its sequencing run.
    pub instrument_run_id: String,
    /// Its lane.
    pub lane: Option<u32>,
    /// The run of the workflow that made it.
    pub portal_run_id: String,
    /// The workflow.
    pub workflow_name: String,
    /// Its version.
    pub workflow_version: String,
    /// Its bytes.
    pub size: Option<u64>,
    /// Its `ETag`, without quotes.
    pub etag: String,
    /// Its storage class, in S3's words or the file manager's.
    pub storage_class: String,
    /// When it was last written.
    pub modified: Option<Timestamp>,
    /// Its MD5, in hex.
    pub md5: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// Its place in the package; empty: as its data say.
    pub path: String,
    /// The id that it keeps wherever it lies, as its inventory knows it. Nobody else can say it.
    #[serde(skip)]
    pub ingest_id: String,
}

impl Row {
    /// Reads a row whose fields are texts, by the names of the fields here; an empty text tells nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with a field, with its name.
    pub fn read(mut field: impl FnMut(&'static str) -> Option<String>) -> Result<Self, String> {
        let mut text =
            |name: &'static str| field(name).map(|text| text.trim().to_owned()).unwrap_or_default();
        let row = Self {
            uri: text("uri"),
            library_id: text("library_id"),
            instrument_run_id: text("instrument_run_id"),
            portal_run_id: text("portal_run_id"),
            workflow_name: text("workflow_name"),
            workflow_version: text("workflow_version"),
            etag: text("etag").trim_matches('"').to_owned(),
            storage_class: text("storage_class"),
            md5: text("md5").to_ascii_lowercase(),
            sha256: text("sha256").to_ascii_lowercase(),
            path: text("path"),
            ingest_id: String::new(),
            data_type: data_type(&text("data_type"))?,
            lane: read(&text("lane"), "lane", "a number")?,
            size: read(&text("size"), "size", "a number of bytes")?,
            modified: read(&text("modified"), "modified", "a time as in RFC 3339")?,
        };
        row.check()?;
        Ok(row)
    }

    fn check(&self) -> Result<(), String> {
        let Self { uri, md5, sha256, .. } = self;
        let rest = ["s3://", "icav2://"].iter().find_map(|scheme| uri.strip_prefix(scheme));
        let names_a_file = |rest: &str| {
            rest.split_once('/')
                .is_some_and(|(first, key)| !first.is_empty() && !key.is_empty() && !key.ends_with('/'))
        };
        if !rest.is_some_and(names_a_file) {
            return Err(format!(
                "`uri` must be s3://bucket/key or icav2://project/path of a file, not `{uri}`"
            ));
        }
        // A key may hold any character; a path in a project may not.
        if uri.starts_with("icav2://")
            && let Err(why) = Location::parse(uri)
        {
            return Err(format!("`uri` is none of a file: {why}"));
        }
        let is_hex = |text: &str, digits: usize| {
            text.is_empty() || text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        if !is_hex(md5, 32) {
            return Err(format!("`md5` must be 32 hex digits, not `{md5}`"));
        }
        if !is_hex(sha256, 64) {
            return Err(format!("`sha256` must be 64 hex digits, not `{sha256}`"));
        }
        Ok(())
    }

    /// What it is, also where it does not say so.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        let guessed =
            if self.portal_run_id.is_empty() { DataType::Fastq } else { DataType::SecondaryAnalysis };
        self.data_type.unwrap_or(guessed)
    }

    /// Its libraries.
    pub fn libraries(&self) -> impl Iterator<Item = &str> {
        self.library_id.split("__").filter(|library| !library.is_empty())
    }

    /// Its key in its bucket, or its path in its project.
    #[must_use]
    pub fn key(&self) -> &str {
        let rest = self.uri.split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or("", |(_, key)| key)
    }
}

fn data_type(text: &str) -> Result<Option<DataType>, String> {
    match text.to_ascii_lowercase().replace(['_', '-'], "").as_str() {
        "" => Ok(None),
        "fastq" => Ok(Some(DataType::Fastq)),
        "secondaryanalysis" => Ok(Some(DataType::SecondaryAnalysis)),
        _ => Err(format!("`data_type` must be fastq or secondaryAnalysis, not `{text}`")),
    }
}

fn read<T: std::str::FromStr>(text: &str, name: &str, what: &str) -> Result<Option<T>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("`{name}` must be {what}, not `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[(&str, &str)]) -> Result<Row, String> {
        Row::read(|name| fields.iter().find(|(is, _)| *is == name).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn a_row_is_read_by_its_names() {
        let read = row(&[
            ("uri", " s3://b/x/20240512e1234567/y.bam"),
            ("lane", "2"),
            ("size", "17"),
            ("etag", "\"abc\""),
            ("portal_run_id", "20240512e1234567"),
            ("library_id", "L1__L2"),
        ]);
        let read = read.unwrap();
        assert_eq!((read.key(), read.lane, read.size), ("x/20240512e1234567/y.bam", Some(2), Some(17)));
        assert_eq!((read.etag.as_str(), read.portal_run_id.as_str()), ("abc", "20240512e1234567"));
        assert_eq!(read.data_type(), DataType::SecondaryAnalysis);
        assert_eq!(read.libraries().collect::<Vec<_>>(), ["L1", "L2"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = [
            (("uri", "http://x/y"), "uri"),
            (("uri", "s3://b/"), "uri"),
            (("uri", "s3://b/x/"), "uri"),
            (("uri", "icav2://p"), "uri"),
            (("uri", "icav2://p/a/"), "uri"),
            (("uri", "icav2://p/a//b"), "uri"),
            (("lane", "two"), "lane"),
            (("md5", "abc"), "md5"),
            (("modified", "yesterday"), "modified"),
            (("data_type", "bam"), "data_type"),
        ];
        for (field, name) in wrong {
            let mut fields = vec![field];
            if field.0 != "uri" {
                fields.push(("uri", "s3://b/x"));
            }
            let why = row(&fields).unwrap_err();
            assert!(why.starts_with(&format!("`{name}`")), "{why}");
        }
    }
}
