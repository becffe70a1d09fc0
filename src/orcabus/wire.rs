//! What the services answer, as far as it is read. Names that they had before are taken, too.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::share::files::{Library, StorageClass};

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Paged<T> {
    pub(super) links: Links,
    pub(super) results: Vec<T>,
}

/// Where the pages beside it are.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Links {
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// The reads of a library from a lane (service `fastq`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fastq {
    pub(super) id: String,
    pub(super) lane: u32,
    pub(super) instrument_run_id: String,
    pub(super) library: LibraryRef,
    #[serde(default)]
    pub(super) read_set: Option<ReadSet>,
}

/// Its files.
#[derive(Debug, Deserialize)]
pub(super) struct ReadSet {
    #[serde(default)]
    pub(super) r1: Option<Stored>,
    #[serde(default)]
    pub(super) r2: Option<Stored>,
}

/// A file, by the id that it keeps wherever it lies.
#[derive(Debug, Deserialize)]
pub(super) struct Stored {
    #[serde(rename = "ingestId", alias = "s3IngestId")]
    pub(super) ingest_id: String,
}

/// A library, as other services name it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LibraryRef {
    pub(super) library_id: String,
}

/// An object (service `file`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileObject {
    /// The id of the record, not of the file.
    #[serde(default)]
    pub(super) s3_object_id: Option<String>,
    pub(super) bucket: String,
    pub(super) key: String,
    #[serde(default)]
    pub(super) size: Option<u64>,
    #[serde(default)]
    e_tag: Option<String>,
    #[serde(default)]
    pub(super) last_modified_date: Option<Timestamp>,
    #[serde(default)]
    storage_class: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    pub(super) ingest_id: Option<String>,
    #[serde(default)]
    is_current_state: Option<bool>,
    #[serde(default)]
    is_delete_marker: Option<bool>,
}

impl FileObject {
    /// Whether it is a file that is there, as far as the service knows.
    pub(super) fn is_there(&self) -> bool {
        self.is_current_state != Some(false) && self.is_delete_marker != Some(true)
    }

    /// Its `ETag`, without quotes.
    pub(super) fn etag(&self) -> String {
        self.e_tag.as_deref().unwrap_or_default().trim_matches('"').to_owned()
    }

    /// Its class, in the service's word.
    pub(super) fn class(&self) -> &str {
        self.storage_class.as_deref().unwrap_or_default()
    }

    /// Its SHA-256 in hex; S3 tells it in base64, and of parts alone with their number behind it.
    pub(super) fn sha256(&self) -> String {
        let text = self.sha256.as_deref().unwrap_or_default();
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return text.to_ascii_lowercase();
        }
        let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
        if bytes.len() == 32 { hex::encode(bytes) } else { String::new() }
    }

    /// The copies that are read soonest come first, and of them the newest.
    pub(super) fn rank(&self) -> (bool, StorageClass, std::cmp::Reverse<Option<Timestamp>>) {
        (!self.is_there(), StorageClass::read(self.class()), std::cmp::Reverse(self.last_modified_date))
    }
}

/// The run of a workflow (service `workflow`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub(super) orcabus_id: String,
    pub(super) portal_run_id: String,
    pub(super) workflow: Workflow,
    #[serde(default)]
    pub(super) current_state: Option<State>,
    /// Only where one run is asked for.
    #[serde(default)]
    pub(super) libraries: Option<Vec<LibraryRef>>,
}

/// Its workflow.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Workflow {
    #[serde(alias = "workflowName")]
    pub(super) name: String,
    #[serde(default, alias = "workflowVersion")]
    pub(super) version: Option<String>,
}

/// How it stands.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct State {
    pub(super) status: String,
}

/// A library (service `metadata`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LibraryTold {
    library_id: Option<String>,
    #[serde(default)]
    phenotype: Option<String>,
    #[serde(default)]
    assay: Option<String>,
    #[serde(default, rename = "type")]
    library_type: Option<String>,
    #[serde(default)]
    sample: Option<Sample>,
    #[serde(default)]
    subject: Option<Subject>,
    #[serde(default)]
    project_set: Option<Vec<Project>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sample {
    sample_id: Option<String>,
    external_sample_id: Option<String>,
}

/// A subject, with its libraries only where it is asked for itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Subject {
    #[serde(rename = "subjectId")]
    id: Option<String>,
    individual_set: Option<Vec<Individual>>,
    pub(super) library_set: Option<Vec<LibraryRef>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Individual {
    individual_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Project {
    project_id: Option<String>,
}

impl LibraryTold {
    /// The library. Of several individuals the one is taken for which `is_meant`, if any.
    pub(super) fn library(self, is_meant: impl Fn(&str) -> bool) -> Library {
        let (sample, subject) = (self.sample.unwrap_or_default(), self.subject.unwrap_or_default());
        let mut individuals: Vec<String> = subject
            .individual_set
            .into_iter()
            .flatten()
            .filter_map(|individual| individual.individual_id)
            .collect();
        let meant = individuals.iter().position(|id| is_meant(id)).unwrap_or_default();
        Library {
            library_id: self.library_id.unwrap_or_default(),
            sample_id: sample.sample_id.unwrap_or_default(),
            external_sample_id: sample.external_sample_id.unwrap_or_default(),
            subject_id: subject.id.unwrap_or_default(),
            individual_id: if individuals.is_empty() {
                String::new()
            } else {
                individuals.swap_remove(meant)
            },
            project_ids: self
                .project_set
                .into_iter()
                .flatten()
                .filter_map(|project| project.project_id)
                .collect(),
            phenotype: self.phenotype.unwrap_or_default(),
            assay: self.assay.unwrap_or_default(),
            library_type: self.library_type.unwrap_or_default(),
        }
    }
}

/// What was sequenced together (service `sequence`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sequence {
    pub(super) orcabus_id: String,
    /// A run that was registered anew keeps its old entries, some of which have none.
    #[serde(default, rename = "sequenceRunName")]
    pub(super) run_name: Option<String>,
    #[serde(default)]
    pub(super) libraries: Option<Vec<String>>,
}
