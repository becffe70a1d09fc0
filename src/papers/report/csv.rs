//! The same as CSV (RFC 4180). The names of the columns are those of a manifest, so that a program, or another
//! package, can read it. In a cell that a spreadsheet would take for a formula an apostrophe comes first.

use super::Mark;
use crate::domain::share::files::{Library, PackagedFile};

const LIBRARIES: [&str; 9] = [
    "library_id",
    "sample_id",
    "external_sample_id",
    "external_subject_id",
    "internal_subject_id",
    "project_id",
    "phenotype",
    "assay",
    "type",
];
const FILES: [&str; 17] = [
    "path",
    "uri",
    "size",
    "etag",
    "storage_class",
    "archived",
    "modified",
    "data_type",
    "library_id",
    "instrument_run_id",
    "lane",
    "portal_run_id",
    "workflow_name",
    "workflow_version",
    "md5",
    "sha256",
    "change",
];

/// The first line of `libraries.csv`.
#[must_use]
pub fn libraries_head() -> String {
    line(LIBRARIES)
}

/// A line of `libraries.csv`; several projects are separated by `;`.
#[must_use]
pub fn library_row(library: &Library) -> String {
    line([
        library.library_id.as_str(),
        &library.sample_id,
        &library.external_sample_id,
        &library.subject_id,
        &library.individual_id,
        &library.project_ids.join(";"),
        &library.phenotype,
        &library.assay,
        &library.library_type,
    ])
}

/// The first line of `files.csv`.
#[must_use]
pub fn files_head() -> String {
    line(FILES)
}

/// A line of `files.csv`.
#[must_use]
pub fn file_row(file: &PackagedFile, mark: Mark) -> String {
    line([
        file.path.as_str(),
        &file.uri,
        &file.size.to_string(),
        file.etag.as_deref().unwrap_or_default(),
        file.storage_class.as_str(),
        if file.archived { "true" } else { "false" },
        &file.modified.map(|at| at.to_string()).unwrap_or_default(),
        file.data_type.as_str(),
        &file.library_id,
        &file.instrument_run_id,
        &file.lane.map(|lane| lane.to_string()).unwrap_or_default(),
        &file.portal_run_id,
        &file.workflow_name,
        &file.workflow_version,
        file.md5.as_deref().unwrap_or_default(),
        file.sha256.as_deref().unwrap_or_default(),
        mark.as_str(),
    ])
}

fn line<const N: usize>(cells: [&str; N]) -> String {
    let mut line = String::new();
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        push_cell(&mut line, cell);
    }
    line.push_str("\r\n");
    line
}

fn push_cell(line: &mut String, cell: &str) {
    let apostrophe = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if cell.contains([',', '"', '\r', '\n']) {
        line.push('"');
        line.push_str(apostrophe);
        line.push_str(&cell.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(apostrophe);
        line.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::papers::report::tests::{fastq, library};

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        assert_eq!(
            line([
                "a",
                "b,c",
                "say \"so\"",
                "two\nlines",
                "=1+1",
                "+1",
                "-1",
                "@x",
                "\tx",
                "\rx",
                "'",
                "a=b"
            ]),
            "a,\"b,c\",\"say \"\"so\"\"\",\"two\nlines\",'=1+1,'+1,'-1,'@x,'\tx,\"'\rx\",',a=b\r\n"
        );
    }

    #[test]
    fn lines_have_as_many_cells_as_their_heads() {
        assert_eq!(
            library_row(&library("L1", &["P1", "P2"])),
            "L1,S-L1,ext-L1,SBJ1,IND1,P1;P2,tumor,TsqNano,WGS\r\n"
        );
        assert_eq!(
            libraries_head(),
            "library_id,sample_id,external_sample_id,external_subject_id,internal_subject_id,project_id,phenotype,assay,type\r\n"
        );
        let row = file_row(&fastq("L1", 2), Mark::New);
        assert_eq!(
            row,
            "fastq/run-1/Lane_2/L1/L1_S1_L002_R1_001.fastq.gz,s3://primary/L1_S1_L002_R1_001.fastq.gz,1610612736,abc,\
             StandardIa,false,,fastq,L1,run-1,2,,,,,,new\r\n"
        );
        assert_eq!(row.matches(',').count(), files_head().matches(',').count());
    }
}
