//! The receipt of a push: a line of JSON for each file that arrived.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a file at its destination was compared with its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compared {
    /// By SHA-256.
    Sha256,
    /// By MD5.
    Md5,
    /// By an equal `ETag`.
    Tag,
    /// By size alone.
    Size,
}

/// One file of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its path below the destination.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// Its sum where one is known: `md5:…` or `sha256:…`, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
    /// Its other sums, in the same form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// The `ETag` of its source. At its destination it may have another one and be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// How it was compared.
    pub compared: Compared,
    /// When that was.
    pub at: Timestamp,
}

impl Line {
    /// The sum to be kept of a file: the strongest that is known.
    #[must_use]
    pub fn sum_of(md5: Option<&str>, sha256: Option<&str>) -> Option<String> {
        sha256
            .map(|sum| format!("sha256:{}", sum.to_ascii_lowercase()))
            .or_else(|| md5.map(|sum| format!("md5:{}", sum.to_ascii_lowercase())))
    }

    /// The sums besides that one.
    #[must_use]
    pub fn also_of(md5: Option<&str>, sha256: Option<&str>) -> Vec<String> {
        let md5 = md5.filter(|_| sha256.is_some());
        md5.map(|sum| format!("md5:{}", sum.to_ascii_lowercase())).into_iter().collect()
    }

    /// All its sums, each with its name, the strongest first.
    pub fn sums(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sum.iter().chain(&self.also).filter_map(|sum| sum.split_once(':'))
    }

    /// Adds the line, with its line break.
    pub fn push_to(&self, out: &mut String) -> serde_json::Result<()> {
        out.push_str(&serde_json::to_string(self)?);
        out.push('\n');
        Ok(())
    }

    /// Reads a line.
    pub fn read(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let line = Line {
            path: "a/\"b\"\n\u{2028}.bam".to_owned(),
            size: 12,
            sum: Line::sum_of(Some("AA"), None),
            also: Vec::new(),
            etag: None,
            compared: Compared::Md5,
            at: "2026-11-30T09:00:00.123456Z".parse().unwrap(),
        };
        let mut out = String::new();
        line.push_to(&mut out).unwrap();
        assert_eq!(
            out,
            "{\"path\":\"a/\\\"b\\\"\\n\u{2028}.bam\",\"size\":12,\"sum\":\"md5:aa\",\"compared\":\"md5\",\
             \"at\":\"2026-11-30T09:00:00.123456Z\"}\n"
        );
        assert_eq!(Line::read(&out).unwrap(), line);
    }

    #[test]
    fn the_strongest_sum_is_kept() {
        assert_eq!(Line::sum_of(Some("aa"), Some("BB")).as_deref(), Some("sha256:bb"));
        assert_eq!(Line::also_of(Some("AA"), Some("BB")), ["md5:aa"], "and the other is not forgotten");
        assert!(Line::also_of(Some("aa"), None).is_empty() && Line::also_of(None, Some("bb")).is_empty());
        assert_eq!(Line::sum_of(None, None), None);
    }
}
