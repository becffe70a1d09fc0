//! The receipt of a request: a line of JSON for each file, kept where it can be checked against what is there.

use serde::{Deserialize, Serialize};

/// Where a receipt is, and what proves that it is the one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its URI, or the path of a local file.
    pub uri: String,
    /// The SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Its lines.
    pub files: u64,
}

/// How a file stands at the end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// It came with this request.
    Copied,
    /// It was there before.
    Skipped,
    /// Something else stands there, and stays.
    Kept,
    /// It did not arrive.
    Failed,
}

/// One file of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The URI of the source.
    pub source: String,
    /// The URI where it is.
    pub destination: String,
    /// Its bytes, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The tag that it has at the destination, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// How it stands.
    pub result: Fate,
    /// By what source and destination were compared: `tag`, or `size` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
    /// How it came: `job`, `stream` or `s3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// When what is there was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<String>,
    /// How long it took, milliseconds, where that is known of the file alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// The copy jobs of its folder, with how often each set of files was tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<LineJob>,
    /// Why it did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A copy job of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineJob {
    /// Its id.
    pub job_id: String,
    /// Which attempt it was.
    pub attempt: u32,
    /// How it ended.
    pub status: String,
}

impl Line {
    /// As it stands in the receipt, with the end of the line.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Texts and numbers can always be written.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_without_what_is_not_known() {
        let line = Line {
            source: "icav2://p/a\nb".into(),
            destination: "icav2://q/a".into(),
            size: Some(3),
            etag: None,
            result: Fate::Copied,
            compared: Some("tag".into()),
            route: None,
            made_at: None,
            took_ms: None,
            jobs: Vec::new(),
            why: None,
        };
        let text = line.to_text();
        let expected = r#"{"source":"icav2://p/a\nb","destination":"icav2://q/a","size":3,"result":"copied","compared":"tag"}"#;
        assert_eq!(text, format!("{expected}\n"));
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }
}
