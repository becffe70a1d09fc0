//! The report of a package: one HTML file for the person who has to approve it, and the same for programs.
//!
//! A package may have 200,000 files, so everything is written as it comes: [`Report`] takes the libraries, then the
//! files in the order of the package, and what it has written is drained as often as one likes. Kept are the
//! libraries, the runs of workflows, sums, one block of rows, and the first [`PLAIN_ROWS`] rows of each section.
//!
//! In the file the data stands before the tables and the sums, which are known last; a browser shows the title at
//! once. Nothing is asked of any network, and a script that is not ours is not run: see [`policy`].

mod csv;
mod data;
mod facts;
mod json;
mod page;
mod tables;
mod text;

use jiff::Timestamp;

pub use self::{
    csv::{file_row, files_head, libraries_head, library_row},
    json::JsonReport,
    page::policy,
    text::{grouped, human, shown},
};
use self::{data::Block, facts::Facts, tables::Plain};
use crate::domain::share::files::{DataType, Library, PackagedFile};

/// Rows of each section that can be seen without a script.
pub const PLAIN_ROWS: usize = 500;
/// Paths of files that are gone which a report names.
pub const GONE_PATHS: usize = 500;

/// What is known of a package before its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The package's name.
    pub name: String,
    /// Its id, `pkg.…`.
    pub id: String,
    /// When it was made.
    pub date: Timestamp,
}

/// How a file differs from the one of that path in the package that this one is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mark {
    /// Not at all, or there is no such package.
    #[default]
    Same,
    /// There was none.
    New,
    /// It had another `ETag`.
    Changed,
}

impl Mark {
    /// The word for it; empty if there is nothing to say.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::New => "new",
            Self::Changed => "changed",
        }
    }
}

/// What differs from the last package of the name, or from the one that this one is made since, which counts with
/// those that it was made since.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Previous {
    /// Its id.
    pub id: String,
    /// Files that it did not have.
    pub new: u64,
    /// Files that it had with another `ETag`.
    pub changed: u64,
    /// Files that it had and that would not be in this one.
    pub gone: u64,
    /// Files that are as it had them, where these are left out.
    pub left_out: Option<u64>,
    /// Their paths, or the first of them; the report names [`GONE_PATHS`] at most.
    pub gone_paths: Vec<String>,
}

/// What is known of a package when its files have been. The sums are the report's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// What it is compared with, if there is anything.
    pub previous: Option<Previous>,
}

/// A report that is being written.
#[derive(Debug)]
pub struct Report {
    head: Head,
    out: Vec<u8>,
    facts: Facts,
    fastq: Block,
    secondary: Block,
    plain_fastq: Plain,
    plain_secondary: Plain,
}

impl Report {
    /// Begins a report.
    #[must_use]
    pub fn new(head: Head) -> Self {
        let out = page::begin(&head).into_bytes();
        Self {
            head,
            out,
            facts: Facts::default(),
            fastq: Block::default(),
            secondary: Block::default(),
            plain_fastq: Plain::default(),
            plain_secondary: Plain::default(),
        }
    }

    /// Adds a library. All of them come before the first file.
    pub fn library(&mut self, library: &Library) {
        self.facts.library(library);
    }

    /// Adds a file; they come in the order of the package.
    pub fn take(&mut self, file: &PackagedFile, mark: Mark) {
        let run = self.facts.file(file);
        match file.data_type {
            DataType::Fastq => {
                self.fastq.fastq(file, mark);
                let lost = self.facts.is_lost(file.library_id.split("__"));
                self.plain_fastq.push(|| tables::fastq(file, mark, lost));
                if self.fastq.is_full() {
                    self.fastq.close("fastq", &mut self.out);
                }
            }
            DataType::SecondaryAnalysis => {
                self.secondary.secondary(file, run, mark);
                self.plain_secondary.push(|| tables::secondary(file, mark));
                if self.secondary.is_full() {
                    self.secondary.close("files", &mut self.out);
                }
            }
        }
    }

    /// What has been written since the last time.
    #[must_use]
    pub fn drain(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Ends the report, and gives what has not been drained.
    #[must_use]
    pub fn finish(mut self, summary: &Summary) -> Vec<u8> {
        self.fastq.close("fastq", &mut self.out);
        self.secondary.close("files", &mut self.out);
        data::script("libraries", &tables::libraries_json(&self.facts), &mut self.out);
        data::script("runs", &tables::runs_json(&self.facts), &mut self.out);
        let tables = tables::sections(&self.facts, &self.plain_fastq, &self.plain_secondary);
        self.out.extend_from_slice(page::end(&self.head, &self.facts, summary, &tables).as_bytes());
        self.out
    }
}

/// Whether a file is archived, and can be read all the same, for a time: a copy of it was restored.
const fn is_restored(file: &PackagedFile) -> bool {
    file.storage_class.is_archived() && !file.archived
}

#[cfg(test)]
mod tests;
