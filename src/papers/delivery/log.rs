//! The log of a push: one JSON document, with what became of each file. It is made as it goes, so that a push of any
//! size needs little memory.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::receipt::Compared;
use crate::domain::outcome::Counters;

/// What is said of the push.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Head<'a> {
    /// The push.
    pub push_id: &'a str,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// The package.
    pub package_id: &'a str,
    /// Its name.
    pub package_name: &'a str,
    /// Where it went.
    pub share_destination: &'a str,
    /// Who asked.
    pub requested_by: &'a str,
    /// How it ended.
    pub status: &'a str,
    /// Why it has failed.
    pub error_messages: Option<&'a str>,
    /// When it was asked for.
    pub start_time: Timestamp,
    /// When it ended.
    pub end_time: Timestamp,
    /// What became of its files, in sum.
    #[serde(serialize_with = "counts")]
    pub files: &'a Counters,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Fate {
    /// It was brought.
    Copied,
    /// It was there and equal.
    AlreadyCopied,
    /// Another one is there, and stays.
    Kept,
    /// It could not be brought.
    Error,
}

impl Fate {
    /// Whether it is where it has to be.
    #[must_use]
    pub const fn arrived(self) -> bool {
        matches!(self, Self::Copied | Self::AlreadyCopied)
    }
}

/// One file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    /// Its place in the package, and so below the destination.
    pub path: &'a str,
    /// Where it comes from.
    pub source: &'a str,
    /// Its bytes.
    pub size: u64,
    /// Its MD5, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<&'a str>,
    /// Its SHA-256, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<&'a str>,
    /// The `ETag` of its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<&'a str>,
    /// What became of it.
    pub result: Fate,
    /// How it was compared, where it has arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// Why it has not.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub message: &'a str,
    /// When that was known.
    pub at: Timestamp,
}

fn counts<S: Serializer>(counters: &Counters, serializer: S) -> Result<S::Ok, S::Error> {
    let counts = serde_json::json!({
        "total": counters.files, "copied": counters.copied, "alreadyCopied": counters.skipped,
        "kept": counters.skipped_conflict, "failed": counters.failed, "bytesCopied": counters.bytes,
    });
    counts.serialize(serializer)
}

/// A log that is being made.
#[derive(Debug)]
pub struct Log {
    out: String,
    any: bool,
}

impl Log {
    /// Begins the log of a push.
    pub fn new(head: &Head<'_>) -> serde_json::Result<Self> {
        let head = serde_json::to_string(head)?;
        let open = head.strip_suffix('}').unwrap_or(&head);
        Ok(Self { out: format!("{open},\"results\":["), any: false })
    }

    /// Adds a file.
    pub fn take(&mut self, row: &Row<'_>) -> serde_json::Result<()> {
        self.out.push_str(if self.any { ",\n" } else { "\n" });
        self.any = true;
        self.out.push_str(&serde_json::to_string(row)?);
        Ok(())
    }

    /// What is there of the text.
    #[must_use]
    pub fn drain(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// The rest of the text.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.out.push_str("\n]}\n");
        self.out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_log_is_one_document_however_it_is_taken() {
        let at: Timestamp = "2026-11-30T09:00:00Z".parse().unwrap();
        let counters = Counters { files: 2, copied: 1, failed: 1, ..Counters::default() };
        let head = Head {
            push_id: "psh.1",
            attempt: 2,
            package_id: "pkg.1",
            package_name: "p",
            share_destination: "s3://b/",
            requested_by: "ann",
            status: "FAILED",
            error_messages: Some("1 files failed to copy"),
            start_time: at,
            end_time: at,
            files: &counters,
        };
        let row = |path, result| Row {
            path,
            source: "s3://a/x",
            size: 3,
            md5: None,
            sha256: None,
            etag: Some("e"),
            result,
            compared: None,
            message: "",
            at,
        };
        let mut log = Log::new(&head).unwrap();
        let mut text = log.drain();
        for (path, fate) in [("a \"b\"", Fate::Copied), ("c", Fate::Error)] {
            log.take(&row(path, fate)).unwrap();
            text.push_str(&log.drain());
        }
        text.push_str(&log.finish());
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["pushId"], &read["attempt"]), (&Value::from("psh.1"), &Value::from(2)));
        assert_eq!(read["files"]["failed"], 1);
        assert_eq!(read["results"][0]["path"], "a \"b\"");
        assert_eq!(read["results"][1]["result"], "ERROR");
        let nothing = Log::new(&head).unwrap().finish();
        assert_eq!(serde_json::from_str::<Value>(&nothing).unwrap()["results"], serde_json::json!([]));
    }
}
