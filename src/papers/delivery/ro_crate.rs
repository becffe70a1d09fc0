//! `ro-crate-metadata.json`, the description of a package as an RO-Crate 1.1.
//!
//! It names every file twice, as a part of the whole and as a thing of its own. To keep neither list, the caller goes
//! over its files twice: [`Parts`], then [`Files`].

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// Its name, as RO-Crate wants it.
const FILE_NAME: &str = "ro-crate-metadata.json";

/// What is said of the package.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its id.
    pub id: &'a str,
    /// When it was made.
    pub date: Timestamp,
    /// What it is, in a sentence.
    pub description: &'a str,
    /// Under which terms it is given, a text or a URL.
    pub license: &'a str,
}

/// What is said of a file.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Its place in the package.
    pub path: &'a str,
    /// Its bytes.
    pub size: u64,
    /// Its MD5, in hex.
    pub md5: Option<&'a str>,
    /// Its SHA-256, in hex.
    pub sha256: Option<&'a str>,
}

/// A document that is being made, and takes what the whole consists of.
#[derive(Debug)]
pub struct Parts {
    out: String,
    any: bool,
}

/// A document that is being made, and takes what is to be said of each file.
#[derive(Debug)]
pub struct Files {
    out: String,
}

impl Parts {
    /// Begins a document.
    #[must_use]
    pub fn new(head: &Head<'_>) -> Self {
        // The terms for sums are those of the Workflow Run profiles: RO-Crate 1.1 itself has none.
        let context = json!([
            "https://w3id.org/ro/crate/1.1/context",
            {
                "md5": "https://w3id.org/ro/terms/workflow-run#md5",
                "sha256": "https://w3id.org/ro/terms/workflow-run#sha256",
            },
        ]);
        let descriptor = json!({
            "@id": FILE_NAME,
            "@type": "CreativeWork",
            "conformsTo": { "@id": "https://w3id.org/ro/crate/1.1" },
            "about": { "@id": "./" },
        });
        let date = head.date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let out = format!(
            "{{\"@context\":{context},\n\"@graph\":[\n{descriptor},\n{{\"@id\":\"./\",\"@type\":\"Dataset\",\
             \"name\":{},\"identifier\":{},\"description\":{},\"datePublished\":{},\"license\":{},\"hasPart\":[",
            Value::from(head.name),
            Value::from(head.id),
            Value::from(head.description),
            Value::from(date),
            Value::from(head.license),
        );
        Self { out, any: false }
    }

    /// Adds a file of the whole.
    pub fn take(&mut self, path: &str) {
        self.out.push_str(if self.any { ",\n" } else { "\n" });
        self.any = true;
        self.out.push_str(&json!({ "@id": id(path) }).to_string());
    }

    /// What is there of the text.
    #[must_use]
    pub fn drain(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// Goes on with the files themselves, all of them once more.
    #[must_use]
    pub fn files(mut self) -> Files {
        self.out.push_str("]}");
        Files { out: self.out }
    }
}

impl Files {
    /// Adds a file.
    pub fn take(&mut self, file: &File<'_>) -> serde_json::Result<()> {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let entity = Entity {
            id: id(file.path),
            kind: "File",
            name,
            // A text: that is what RO-Crate asks for, and large numbers survive.
            content_size: file.size.to_string(),
            encoding_format: encoding_format(name),
            md5: file.md5.map(str::to_ascii_lowercase),
            sha256: file.sha256.map(str::to_ascii_lowercase),
        };
        self.out.push_str(",\n");
        self.out.push_str(&serde_json::to_string(&entity)?);
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

#[derive(Serialize)]
struct Entity<'a> {
    #[serde(rename = "@id")]
    id: String,
    #[serde(rename = "@type")]
    kind: &'static str,
    name: &'a str,
    #[serde(rename = "contentSize")]
    content_size: String,
    #[serde(rename = "encodingFormat", skip_serializing_if = "Option::is_none")]
    encoding_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// The relative URI of a path. A `:` is written out, so that `a:b` is not read as one of a scheme `a`.
fn id(path: &str) -> String {
    let mut id = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                id.push(char::from(byte));
            }
            _ => {
                id.push('%');
                for digit in [byte >> 4, byte & 15] {
                    id.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
                }
            }
        }
    }
    id
}

/// The media type that a name speaks for.
fn encoding_format(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "gz" | "bgz" => "application/gzip",
        "zip" => "application/zip",
        "tar" => "application/x-tar",
        "bam" => "application/vnd.ga4gh.bam",
        "cram" => "application/vnd.ga4gh.cram",
        "bcf" => "application/vnd.ga4gh.bcf",
        "vcf" => "application/vnd.ga4gh.vcf",
        "fastq" | "fq" | "fasta" | "fa" | "sam" | "txt" | "log" | "md5" | "md5sum" | "final" | "sf" => {
            "text/plain"
        }
        "tsv" | "bed" => "text/tab-separated-values",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "xml" => "application/xml",
        "yaml" | "yml" => "application/yaml",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head<'static> {
        Head {
            name: "p \"q\"",
            id: "pkg.01J",
            date: "2026-11-30T09:00:00Z".parse().unwrap(),
            description: "d",
            license: "Ask the sender.",
        }
    }

    #[test]
    fn a_document_names_each_file_twice() {
        let paths = ["a b/ü:1.vcf.gz", "x#?.ora", "%41"];
        let mut text = String::new();
        let mut parts = Parts::new(&head());
        for path in paths {
            parts.take(path);
            text.push_str(&parts.drain());
        }
        let mut files = parts.files();
        for (size, path) in (1..).zip(paths) {
            files.take(&File { path, size, md5: Some("AA"), sha256: None }).unwrap();
            text.push_str(&files.drain());
        }
        text.push_str(&files.finish());

        let crate_: Value = serde_json::from_str(&text).unwrap();
        let graph = crate_["@graph"].as_array().unwrap();
        assert_eq!(graph.len(), 5);
        assert_eq!(graph[0]["conformsTo"]["@id"], "https://w3id.org/ro/crate/1.1");
        assert_eq!(graph[1]["name"], "p \"q\"");
        assert_eq!(graph[1]["datePublished"], "2026-11-30T09:00:00Z");
        let ids: Vec<_> = graph[1]["hasPart"].as_array().unwrap().iter().map(|part| &part["@id"]).collect();
        assert_eq!(ids, ["a%20b/%C3%BC%3A1.vcf.gz", "x%23%3F.ora", "%2541"]);
        assert_eq!(graph[2..].iter().map(|file| &file["@id"]).collect::<Vec<_>>(), ids);
        assert_eq!(graph[2]["encodingFormat"], "application/gzip");
        assert_eq!(graph[2]["contentSize"], "1");
        assert_eq!(graph[2]["md5"], "aa");
        assert_eq!(graph[3].get("encodingFormat"), None);
        assert_eq!(graph[3].get("sha256"), None);
    }

    #[test]
    fn no_files_are_a_document_too() {
        let text = Parts::new(&head()).files().finish();
        let crate_: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(crate_["@graph"][1]["hasPart"], json!([]));
    }
}
