//! The rows of the LIMS and workflow manifests, as the laboratory writes them.

use std::collections::BTreeSet;

use super::files::Library;

/// Columns of the LIMS manifest that are used, and what each is here.
pub const LIMS_COLUMNS: [&str; 10] = [
    "library_id",
    "sequencing_run_id",
    "sample_id",
    "external_sample_id",
    "external_subject_id",
    "internal_subject_id",
    "project_id",
    "phenotype",
    "assay",
    "type",
];

/// The id of a library, without what says that it was sequenced once more: `_topup`, `_rerun`, with any digits.
#[must_use]
pub fn library_id(text: &str) -> &str {
    let bare = text.trim_end_matches(|letter: char| letter.is_ascii_digit());
    ["_topup", "_rerun"].iter().find_map(|suffix| bare.strip_suffix(suffix)).unwrap_or(text)
}

/// One row of the LIMS manifest, from its columns.
#[must_use]
pub fn library(mut column: impl FnMut(&str) -> String) -> Library {
    let project = column("project_id");
    Library {
        library_id: library_id(&column("library_id")).to_owned(),
        sample_id: column("sample_id"),
        external_sample_id: column("external_sample_id"),
        subject_id: column("external_subject_id"),
        individual_id: column("internal_subject_id"),
        project_ids: if project.is_empty() { Vec::new() } else { vec![project] },
        phenotype: column("phenotype"),
        assay: column("assay"),
        library_type: column("type"),
    }
}

/// Adds a row to those that are known of the same library: what it tells and they did not, and its projects.
pub fn merge(into: &mut Library, row: Library) {
    let texts = [
        (&mut into.sample_id, row.sample_id),
        (&mut into.external_sample_id, row.external_sample_id),
        (&mut into.subject_id, row.subject_id),
        (&mut into.individual_id, row.individual_id),
        (&mut into.phenotype, row.phenotype),
        (&mut into.assay, row.assay),
        (&mut into.library_type, row.library_type),
    ];
    for (known, told) in texts {
        if known.is_empty() {
            *known = told;
        }
    }
    let known: BTreeSet<_> = into.project_ids.iter().cloned().collect();
    into.project_ids.extend(row.project_ids.into_iter().filter(|project| !known.contains(project)));
}

/// Libraries of the workflow manifest that are not in the LIMS manifest, in order, each once.
#[must_use]
pub fn missing<'a>(lims: &[String], workflow: &'a [String]) -> Vec<&'a str> {
    let known: BTreeSet<&str> = lims.iter().map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    let missing = workflow.iter().map(String::as_str).filter(|library| !known.contains(library));
    missing.filter(|library| seen.insert(*library)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sequenced_again_is_the_same_library() {
        let ids = ["L2400001_topup", "L2400001_topup2", "L2400001_rerun", "L2400001_rerun12", "L2400001"];
        assert!(ids.iter().all(|id| library_id(id) == "L2400001"));
        assert_eq!(library_id("L2400001_topup_x"), "L2400001_topup_x");
    }

    #[test]
    fn a_library_of_two_projects_is_in_both() {
        let row = |project: &str, assay: &str| {
            library(|name| match name {
                "library_id" => "L1".to_owned(),
                "project_id" => project.to_owned(),
                "assay" => assay.to_owned(),
                _ => String::new(),
            })
        };
        let mut known = row("A", "");
        merge(&mut known, row("B", "WGS"));
        merge(&mut known, row("A", "other"));
        assert_eq!((known.project_ids.join(" "), known.assay.as_str()), ("A B".to_owned(), "WGS"));
    }
}
