//! What a caller asks for: a package, and a push of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    deliver::Deliver,
    files::{DataType, Library},
    rows::Row,
};
use crate::domain::{copy_out::ThawParams, request::OnConflict};

/// Which files a package is to hold, as its caller said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "each is what a caller says yes or no to")]
pub struct PackageRequest {
    /// Libraries by their ids.
    pub library_id_list: Option<Vec<String>>,
    /// All libraries of these subjects.
    pub subject_id_list: Option<Vec<String>>,
    /// All libraries of these individuals.
    pub individual_id_list: Option<Vec<String>>,
    /// All libraries of these projects.
    pub project_id_list: Option<Vec<String>>,
    /// Only libraries that were sequenced in these runs.
    pub instrument_run_id_list: Option<Vec<String>>,
    /// Analyses by the runs of their workflows.
    pub portal_run_id_list: Option<Vec<String>>,
    /// Analyses that are left out.
    pub portal_run_id_exclusion_list: Option<Vec<String>>,
    /// What is wanted.
    pub data_type_list: Vec<DataType>,
    /// Analyses by the names of their workflows; empty or none: all.
    pub secondary_analysis_type_list: Option<Vec<String>>,
    /// Whether archived reads are restored before the package is ready.
    pub defrost_archived_fastqs: bool,
    /// Whether of some workflows only some files are taken.
    pub use_workflow_filters: bool,
    /// The folder of reads; empty: none.
    pub primary_data_path_prefix: String,
    /// The folder of analyses; empty: none.
    pub secondary_analysis_path_prefix: String,
    /// The files themselves, instead of what is known where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Listed<Row>>,
    /// What is known of the libraries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lims_manifest: Option<Listed<Library>>,
    /// Without what that package held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_package_id: Option<String>,
    /// Whether files that are not there are left out, instead of failing the package.
    #[serde(skip_serializing_if = "crate::domain::request::is_false")]
    pub allow_missing: bool,
    /// Whether files are read of which no sum is known.
    #[serde(skip_serializing_if = "crate::domain::request::is_false")]
    pub compute_sums: bool,
    /// Texts of the caller, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Default for PackageRequest {
    fn default() -> Self {
        Self {
            library_id_list: None,
            subject_id_list: None,
            individual_id_list: None,
            project_id_list: None,
            instrument_run_id_list: None,
            portal_run_id_list: None,
            portal_run_id_exclusion_list: None,
            data_type_list: Vec::new(),
            secondary_analysis_type_list: None,
            defrost_archived_fastqs: false,
            use_workflow_filters: true,
            primary_data_path_prefix: "fastq".to_owned(),
            secondary_analysis_path_prefix: "secondary-analysis".to_owned(),
            manifest: None,
            lims_manifest: None,
            since_package_id: None,
            allow_missing: false,
            compute_sums: false,
            labels: BTreeMap::new(),
        }
    }
}

impl PackageRequest {
    /// Whether it says which libraries are meant, in one of the four ways.
    #[must_use]
    pub fn names_libraries(&self) -> bool {
        let lists =
            [&self.library_id_list, &self.subject_id_list, &self.individual_id_list, &self.project_id_list];
        lists.into_iter().any(Option::is_some)
    }
}

/// Rows that a request brings, or the object that holds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Listed<T> {
    /// The rows themselves.
    Rows(Vec<T>),
    /// The object that holds them.
    Uri(String),
}

impl<T> Listed<T> {
    /// The object that holds them, where one does.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        match self {
            Self::Rows(_) => None,
            Self::Uri(uri) => Some(uri),
        }
    }
}

/// A package that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageOrder {
    /// The name that its caller gave it; others may have it too.
    pub name: String,
    /// Which files.
    pub request: PackageRequest,
    /// Who asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub requested_by: String,
    /// When, as its caller is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// Where callers reach the API that was asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub public_url: String,
    /// Whether an event has asked, not a caller of the API, who has shown who it is.
    #[serde(skip)]
    pub by_event: bool,
}

/// A push that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushOrder {
    /// The package.
    pub package_id: String,
    /// Its name.
    pub package_name: String,
    /// Where to: `s3://bucket/…/` or `icav2://project/…/`.
    pub destination: String,
    /// What is done where another object stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// What is put beside its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliver: Vec<Deliver>,
    /// How archived files are restored, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thaw: Option<ThawParams>,
    /// Whether it is only said what would be done.
    #[serde(default, skip_serializing_if = "crate::domain::request::is_false")]
    pub dry_run: bool,
    /// Who asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub requested_by: String,
    /// When, as its caller is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// Where callers reach the API that was asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub public_url: String,
    /// Whether an event has asked, once that is known.
    #[serde(skip)]
    pub by_event: bool,
}

/// The longest name of a sequencing run, in bytes.
const LONGEST_RUN: usize = 100;

/// Whether a sequencing run may be called so: it is part of names and paths.
#[must_use]
pub fn is_run(text: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "_.+-".contains(letter);
    !text.is_empty() && text.len() <= LONGEST_RUN && text.chars().all(fits)
}

impl PushOrder {
    /// Whether an event has asked, not a caller of the API, who has shown who it is.
    #[must_use]
    pub const fn is_of_event(&self) -> bool {
        self.by_event || self.asked_at.is_none()
    }
}

/// The longest name of a package, in bytes: it is part of the names of files.
const LONGEST_NAME: usize = 128;

/// Whether a package may be called so.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    let first = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic());
    let rest = letters.as_str();
    let fits = |letter: char| letter.is_alphanumeric() || "_.+-".contains(letter);
    text.len() <= LONGEST_NAME && first && !rest.is_empty() && rest.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_a_letter() {
        for fine in ["ab", "my-package", "a.b+c_d-1"] {
            assert!(is_name(fine), "{fine}");
        }
        for wrong in ["", "a", "1ab", "-ab", "my package", "a/b", "a\nb", "a$b", &"a".repeat(129)] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }
}
