//! The sections: their data for the script, and their first rows as plain tables for those who run none.

use maud::{Markup, PreEscaped, html};

use super::{
    Mark, PLAIN_ROWS,
    facts::{Facts, Run},
    is_restored,
    text::{grouped, human, push_json, push_json_list, shown},
};
use crate::domain::share::files::{Library, PackagedFile, StorageClass};

const METADATA: [&str; 9] = [
    "Library ID",
    "Sample ID",
    "External Sample ID",
    "Subject ID",
    "Individual ID",
    "Project ID",
    "Phenotype",
    "Assay",
    "Type",
];
const FASTQ: [&str; 7] = [
    "Library ID",
    "File Name",
    "Instrument Run ID",
    "Lane",
    "Compression Format",
    "File Size",
    "Relative Output Path",
];
const ANALYSES: [&str; 5] =
    ["Workflow Name", "Workflow Version", "Portal Run ID", "Library IDs", "Relative Output Path"];
const FILES: [&str; 5] = ["File Name", "File Size", "Relative Output Path", "Workflow Name", "Portal Run ID"];

/// The first rows of a section, already written.
#[derive(Debug, Default)]
pub(super) struct Plain {
    rows: String,
    count: usize,
    total: u64,
}

impl Plain {
    /// Counts a row, and keeps it if it is one of the first.
    pub(super) fn push(&mut self, row: impl FnOnce() -> Markup) {
        self.total += 1;
        if self.count < PLAIN_ROWS {
            self.rows.push_str(&row().0);
            self.count += 1;
        }
    }

    /// The bytes that are kept.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.rows.len()
    }

    fn of(rows: impl ExactSizeIterator<Item = Markup>) -> Self {
        let total = rows.len() as u64;
        let mut plain = Self::default();
        for row in rows.take(PLAIN_ROWS) {
            plain.push(|| row);
        }
        Self { total, ..plain }
    }
}

/// A section with its table.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name in addresses.
    pub(super) key: &'static str,
    /// Its heading.
    pub(super) title: &'static str,
    /// How many rows it has.
    pub(super) total: u64,
    /// What the page shows of it.
    pub(super) body: Markup,
}

/// The sections that have data, in their order.
pub(super) fn sections(facts: &Facts, fastq: &Plain, files: &Plain) -> Vec<Section> {
    let libraries = Plain::of(facts.libraries.iter().map(library));
    let runs = Plain::of(facts.runs.iter().map(|run| analysis(run, facts)));
    let all: [(_, _, _, &[&str], _); 4] = [
        ("metadata", "Metadata", "metadata", &METADATA, &libraries),
        ("fastq", "Fastq", "FASTQ files", &FASTQ, fastq),
        ("analyses", "Secondary Analyses", "secondary analyses", &ANALYSES, &runs),
        ("files", "Secondary Files", "secondary files", &FILES, files),
    ];
    let with_data = all.into_iter().filter(|(.., rows)| rows.total > 0);
    (1..)
        .zip(with_data)
        .map(|(number, (key, title, what, columns, rows))| Section {
            key,
            title,
            total: rows.total,
            body: section(number, key, what, columns, rows),
        })
        .collect()
}

fn section(number: usize, key: &str, what: &str, columns: &[&str], rows: &Plain) -> Markup {
    let more = rows.total.saturating_sub(rows.count as u64);
    html! {
        div data-table=(key) data-number=(number) data-what=(what) {}
        noscript {
            div.scroll role="region" tabindex="0" aria-label={ "All " (what) } {
                table {
                    caption { "Table " (number) ": All " (what) " in the data package" }
                    thead { tr { @for name in columns { th scope="col" { (name) } } } }
                    tbody { (PreEscaped(&rows.rows)) }
                }
            }
            @if more > 0 {
                p.more {
                    "These are the first " (rows.count) " rows; there are " (grouped(more)) " more. "
                    "The CSV and JSON files beside this report have all of them."
                }
            }
        }
    }
}

fn library(of: &Library) -> Markup {
    html! { tr {
        th scope="row" { (shown(&of.library_id)) }
        @for text in [&of.sample_id, &of.external_sample_id, &of.subject_id, &of.individual_id] { td { (shown(text)) } }
        td { (shown(&of.project_ids.join(", "))) }
        @for text in [&of.phenotype, &of.assay, &of.library_type] { td { (shown(text)) } }
    } }
}

/// A row of the section Fastq.
pub(super) fn fastq(file: &PackagedFile, mark: Mark, lost: bool) -> Markup {
    html! { tr class=[tone(file, lost)] {
        td { (shown(&file.library_id)) }
        th scope="row" { (shown(file.name())) (badges(file, mark, lost)) }
        td { (shown(&file.instrument_run_id)) }
        td.number { @if let Some(lane) = file.lane { (lane) } }
        td { (compression(file.name())) }
        td.number { (human(file.size)) }
        td.path { (shown(&file.path)) }
    } }
}

/// A row of the section Secondary Files.
pub(super) fn secondary(file: &PackagedFile, mark: Mark) -> Markup {
    html! { tr class=[tone(file, false)] {
        th scope="row" { (shown(file.name())) (badges(file, mark, false)) }
        td.number { (human(file.size)) }
        td.path { (shown(&file.path)) }
        td { (shown(&file.workflow_name)) }
        td { (shown(&file.portal_run_id)) }
    } }
}

fn analysis(run: &Run, facts: &Facts) -> Markup {
    let lost = is_lost(run, facts);
    html! { tr class=[lost.then_some("lost")] {
        td { (shown(&run.workflow)) }
        td { (shown(&run.version)) }
        th scope="row" { (shown(&run.id)) @if lost { " " span.badge { "library not found" } } }
        td { (shown(&run.libraries.join("__"))) }
        td.path { (shown(&run.path)) }
    } }
}

fn is_lost(run: &Run, facts: &Facts) -> bool {
    run.libraries.is_empty() || facts.is_lost(run.libraries.iter().map(String::as_str))
}

fn tone(file: &PackagedFile, lost: bool) -> Option<&'static str> {
    match file.storage_class {
        _ if file.archived => Some("archived"),
        _ if lost => Some("lost"),
        StorageClass::GlacierIr => Some("instant"),
        _ => None,
    }
}

/// The marks of a file, in words.
fn badges(file: &PackagedFile, mark: Mark, lost: bool) -> Markup {
    html! {
        @if file.archived { " " span.badge { "archived (" (file.storage_class.as_str()) ")" } }
        @else if is_restored(file) { " " span.badge { "restored (" (file.storage_class.as_str()) ")" } }
        @else if file.storage_class == StorageClass::GlacierIr { " " span.badge { "GlacierIr" } }
        @if lost { " " span.badge { "library not found" } }
        @if mark != Mark::Same { " " span.badge.change { (mark.as_str()) } }
    }
}

fn compression(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "ora")) => "ORA",
        Some((_, "gz")) => "GZIP",
        _ => "",
    }
}

/// The libraries for the script: their columns, and the projects as a list of their own.
pub(super) fn libraries_json(facts: &Facts) -> String {
    let mut json = String::from("[");
    for (at, of) in facts.libraries.iter().enumerate() {
        json.push_str(if at > 0 { ",[" } else { "[" });
        for text in [
            &of.library_id,
            &of.sample_id,
            &of.external_sample_id,
            &of.subject_id,
            &of.individual_id,
            &of.phenotype,
            &of.assay,
            &of.library_type,
        ] {
            push_json(&mut json, text);
            json.push(',');
        }
        push_json_list(&mut json, &of.project_ids);
        json.push(']');
    }
    json.push(']');
    json
}

/// The runs of workflows for the script: name, version, id, libraries, path, files, bytes, archived files.
pub(super) fn runs_json(facts: &Facts) -> String {
    let mut json = String::from("[");
    for (at, run) in facts.runs.iter().enumerate() {
        json.push_str(if at > 0 { ",[" } else { "[" });
        for text in [&run.workflow, &run.version, &run.id, &run.libraries.join("__"), &run.path] {
            push_json(&mut json, text);
            json.push(',');
        }
        let numbers = format!("{},{},{}]", run.files.files, run.files.bytes, run.archived.files);
        json.push_str(&numbers);
    }
    json.push(']');
    json
}
