//! The same as JSON: `{"package": …, "libraries": […], "files": […], "summary": …}`, written as it comes. The
//! summary is last, because it is known last; to a reader of JSON the order says nothing.

use serde::Serialize;

use super::{Head, Mark, Previous, Summary};
use crate::domain::share::files::{DataType, Library, PackagedFile};

/// A `report.json` that is being written.
#[derive(Debug)]
pub struct JsonReport {
    out: Vec<u8>,
    libraries: u64,
    fastq: u64,
    secondary: u64,
    bytes: u64,
    archived: (u64, u64),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PackageJson<'a> {
    id: &'a str,
    package_name: &'a str,
    date: jiff::Timestamp,
}

#[derive(Serialize)]
struct FileJson<'a> {
    #[serde(flatten)]
    file: &'a PackagedFile,
    #[serde(skip_serializing_if = "str::is_empty")]
    change: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SummaryJson<'a> {
    files: u64,
    fastq_files: u64,
    secondary_files: u64,
    bytes: u64,
    libraries: u64,
    archived_files: u64,
    archived_bytes: u64,
    previous: Option<PreviousJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreviousJson<'a> {
    id: &'a str,
    new: u64,
    changed: u64,
    gone: u64,
    gone_paths: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

impl JsonReport {
    /// Begins one.
    pub fn new(head: &Head) -> Result<Self, serde_json::Error> {
        let mut out = b"{\"package\":".to_vec();
        let package = PackageJson { id: &head.id, package_name: &head.name, date: head.date };
        serde_json::to_writer(&mut out, &package)?;
        out.extend_from_slice(b",\n\"libraries\":[");
        Ok(Self { out, libraries: 0, fastq: 0, secondary: 0, bytes: 0, archived: (0, 0) })
    }

    /// Adds a library. All of them come before the first file; one that comes later is left out.
    pub fn library(&mut self, library: &Library) -> Result<(), serde_json::Error> {
        if self.files() > 0 {
            return Ok(());
        }
        self.next(self.libraries == 0);
        self.libraries += 1;
        serde_json::to_writer(&mut self.out, library)
    }

    /// Adds a file.
    pub fn take(&mut self, file: &PackagedFile, mark: Mark) -> Result<(), serde_json::Error> {
        if self.files() == 0 {
            self.begin_files();
        }
        self.next(self.files() == 0);
        match file.data_type {
            DataType::Fastq => self.fastq += 1,
            DataType::SecondaryAnalysis => self.secondary += 1,
        }
        self.bytes += file.size;
        if file.archived {
            self.archived.0 += 1;
            self.archived.1 += file.size;
        }
        serde_json::to_writer(&mut self.out, &FileJson { file, change: mark.as_str() })
    }

    /// What has been written since the last time.
    #[must_use]
    pub fn drain(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Ends it, and gives what has not been drained.
    pub fn finish(mut self, summary: &Summary) -> Result<Vec<u8>, serde_json::Error> {
        if self.files() == 0 {
            self.begin_files();
        }
        self.out.extend_from_slice(b"],\n\"summary\":");
        let previous = summary.previous.as_ref().map(|of: &Previous| PreviousJson {
            id: &of.id,
            new: of.new,
            changed: of.changed,
            gone: of.gone,
            gone_paths: &of.gone_paths,
            left_out: of.left_out,
        });
        let sums = SummaryJson {
            files: self.files(),
            fastq_files: self.fastq,
            secondary_files: self.secondary,
            bytes: self.bytes,
            libraries: self.libraries,
            archived_files: self.archived.0,
            archived_bytes: self.archived.1,
            previous,
        };
        serde_json::to_writer(&mut self.out, &sums)?;
        self.out.extend_from_slice(b"}\n");
        Ok(self.out)
    }

    const fn files(&self) -> u64 {
        self.fastq + self.secondary
    }

    fn begin_files(&mut self) {
        self.out.extend_from_slice(b"],\n\"files\":[");
    }

    fn next(&mut self, is_first: bool) {
        self.out.extend_from_slice(if is_first { b"\n".as_slice() } else { b",\n" });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::papers::report::tests::{fastq, head, library, secondary};

    fn read(report: JsonReport, summary: &Summary) -> Value {
        serde_json::from_slice(&report.finish(summary).unwrap()).unwrap()
    }

    #[test]
    fn it_reads_back() {
        let mut report = JsonReport::new(&head()).unwrap();
        report.library(&library("L1", &["P1"])).unwrap();
        report.library(&library("L2", &["P1"])).unwrap();
        let mut file = fastq("L1", 1);
        file.archived = true;
        report.take(&file, Mark::New).unwrap();
        report.take(&secondary("run1", "a\"<.vcf"), Mark::Same).unwrap();
        report.library(&library("late", &[])).unwrap();
        let first = report.drain();
        assert!(first.starts_with(b"{\"package\":") && report.drain().is_empty());
        let previous = Previous { id: "pkg.0".into(), new: 1, ..Previous::default() };
        let rest = report.finish(&Summary { previous: Some(previous) }).unwrap();
        let all: Value = serde_json::from_slice(&[first, rest].concat()).unwrap();
        assert_eq!(all["package"]["id"], head().id.as_str());
        assert_eq!(all["libraries"][1]["libraryId"], "L2");
        assert_eq!(serde_json::from_value::<PackagedFile>(all["files"][0].clone()).unwrap(), file);
        assert_eq!(all["files"][0]["change"], "new");
        assert_eq!(all["files"][1].get("change"), None);
        assert_eq!(
            all["summary"],
            json!({ "files": 2, "fastqFiles": 1, "secondaryFiles": 1, "bytes": 1_610_612_736_u64 + 2048, "libraries": 2,
                "archivedFiles": 1, "archivedBytes": 1_610_612_736, "previous":
                { "id": "pkg.0", "new": 1, "changed": 0, "gone": 0, "gonePaths": [] } })
        );
    }

    #[test]
    fn nothing_is_json_too() {
        let empty = read(JsonReport::new(&head()).unwrap(), &Summary::default());
        assert_eq!((&empty["files"], &empty["libraries"]), (&json!([]), &json!([])));
        assert_eq!(empty["summary"]["previous"], Value::Null);
    }
}
