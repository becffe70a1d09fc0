//! The files of a package, as they were when it was made.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{DataId, ProjectId};

/// What a file is, to those who share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DataType {
    /// Reads of a library, from one lane of a sequencing run.
    Fastq,
    /// What a workflow has made of them.
    SecondaryAnalysis,
}

impl DataType {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fastq => "fastq",
            Self::SecondaryAnalysis => "secondaryAnalysis",
        }
    }
}

/// The storage class of an object, in the words of the file manager. From the one that is read soonest to the one
/// that is read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum StorageClass {
    /// `STANDARD`, and whatever is read at once and is none of the others.
    #[default]
    Standard,
    /// `STANDARD_IA`, `ONEZONE_IA`.
    StandardIa,
    /// `INTELLIGENT_TIERING`.
    IntelligentTiering,
    /// `GLACIER_IR`.
    GlacierIr,
    /// `GLACIER`.
    Glacier,
    /// `DEEP_ARCHIVE`.
    DeepArchive,
}

impl StorageClass {
    /// Reads S3's word, or the file manager's. What is not known is read at once, as far as anybody knows.
    #[must_use]
    pub fn read(text: &str) -> Self {
        match text.replace('_', "").to_ascii_lowercase().as_str() {
            "standardia" | "onezoneia" => Self::StandardIa,
            "intelligenttiering" => Self::IntelligentTiering,
            "glacierir" => Self::GlacierIr,
            "glacier" => Self::Glacier,
            "deeparchive" => Self::DeepArchive,
            _ => Self::Standard,
        }
    }

    /// The file manager's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::StandardIa => "StandardIa",
            Self::IntelligentTiering => "IntelligentTiering",
            Self::GlacierIr => "GlacierIr",
            Self::Glacier => "Glacier",
            Self::DeepArchive => "DeepArchive",
        }
    }

    /// Whether an object of that class must be restored before it can be read.
    #[must_use]
    pub const fn is_archived(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A file of an ICAv2 project, whatever it and its project are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InProject {
    /// The project that it is read through.
    pub project: ProjectId,
    /// The file.
    pub data: DataId,
}

/// One file: where it is, what it was, and which place it has in the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackagedFile {
    /// Its place in the package: names separated by `/`, none of them empty, `.` or `..`.
    pub path: String,
    /// Where it is: `s3://…` or `icav2://…`.
    pub uri: String,
    /// Of a file of a project: which one it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icav2: Option<InProject>,
    /// Its bytes.
    #[serde(default)]
    pub size: u64,
    /// Its `ETag`, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Its storage class.
    #[serde(default, skip_serializing_if = "is_default")]
    pub storage_class: StorageClass,
    /// Whether it must be restored before it can be read, whatever its class.
    #[serde(default, skip_serializing_if = "is_default")]
    pub archived: bool,
    /// When it was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// What it is.
    pub data_type: DataType,
    /// Its library, or libraries, joined by `__`; empty where none is known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub library_id: String,
    /// Its sequencing run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub instrument_run_id: String,
    /// Its lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<u32>,
    /// The run of the workflow that made it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub portal_run_id: String,
    /// The workflow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflow_version: String,
    /// Its MD5, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// Its SHA-256, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The id that it keeps wherever it lies, where there is somebody who gives such ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest_id: Option<String>,
}

impl PackagedFile {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// What is known of a library.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Library {
    /// Its id.
    pub library_id: String,
    /// The sample that it was made of.
    pub sample_id: String,
    /// The sample's name at its owner.
    pub external_sample_id: String,
    /// The subject (`external_subject_id`).
    pub subject_id: String,
    /// The individual (`internal_subject_id`).
    pub individual_id: String,
    /// Its projects.
    pub project_ids: Vec<String>,
    /// `tumor`, `normal`, …
    pub phenotype: String,
    /// How it was sequenced.
    pub assay: String,
    /// `WGS`, `WTS`, …
    #[serde(rename = "type")]
    pub library_type: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
