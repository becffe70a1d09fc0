//! How a request ended, and the counters that say how far it is.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::error_name::ErrorName;
use super::{
    batch::Deliveries,
    copy_out::{Copied, CopyOutReport},
    location::DataPath,
    preview::Preview,
    receipt::Receipt,
    seen::Seen,
    share::outcome::{PackageReport, PushReport},
};

/// How many files and bytes are where. Sums of a root are hints until it has finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Files wanted.
    pub files: u64,
    /// Files that we brought.
    pub copied: u64,
    /// Files that were there before us and are equal.
    pub skipped: u64,
    /// Of `skipped`: could be compared by size only.
    pub skipped_by_size: u64,
    /// Left as they were although they differ (`on_conflict = skip`).
    pub skipped_conflict: u64,
    /// Files that got another name.
    pub renamed: u64,
    /// Files that did not make it.
    pub failed: u64,
    /// Bytes of the copied files.
    pub bytes: u64,
}

impl Counters {
    /// Every counter with its name, in a fixed order: how they are stored.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("files", self.files),
            ("copied", self.copied),
            ("skipped", self.skipped),
            ("skipped_by_size", self.skipped_by_size),
            ("skipped_conflict", self.skipped_conflict),
            ("renamed", self.renamed),
            ("failed", self.failed),
            ("bytes", self.bytes),
        ]
    }

    /// Builds counters from a look-up by the names of [`Counters::named`].
    pub fn from_named(mut value: impl FnMut(&str) -> u64) -> Self {
        Self {
            files: value("files"),
            copied: value("copied"),
            skipped: value("skipped"),
            skipped_by_size: value("skipped_by_size"),
            skipped_conflict: value("skipped_conflict"),
            renamed: value("renamed"),
            failed: value("failed"),
            bytes: value("bytes"),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let other: std::collections::BTreeMap<_, _> = other.named().into_iter().collect();
        let own: std::collections::BTreeMap<_, _> = self.named().into_iter().collect();
        Self::from_named(|name| own.get(name).copied().unwrap_or(0) + other.get(name).copied().unwrap_or(0))
    }

    /// Files that will not change any more.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.copied + self.skipped + self.skipped_conflict + self.failed
    }
}

/// What the tally of a root holds of one child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counted {
    /// What became of its files so far.
    #[serde(flatten)]
    pub counters: Counters,
    /// Files that are said to have arrived, by their job or by the answer to their upload, and that have not been
    /// seen at the destination yet.
    pub unverified: u64,
}

impl Counted {
    /// The name of [`Counted::unverified`] in a tally.
    pub const UNVERIFIED: &str = "unverified";

    /// Everything with its name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        self.counters.named().into_iter().chain([(Self::UNVERIFIED, self.unverified)])
    }
}

impl From<Counters> for Counted {
    fn from(counters: Counters) -> Self {
        Self { counters, unverified: 0 }
    }
}

/// One ICAv2 copy job that carried files of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// The ICAv2 job id.
    pub job_id: String,
    /// Which try for its files this was, from 1.
    pub attempt: u32,
    /// The last status seen, as ICAv2 names it.
    pub status: String,
}

/// One file or place that kept a request from succeeding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// What it is about: a path or URI.
    pub what: String,
    /// Why, in words.
    pub why: String,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The name.
    pub error: ErrorName,
    /// One sentence.
    pub message: String,
    /// The first culprits, at most [`Failure::MOST_CULPRITS`].
    pub culprits: Vec<Culprit>,
    /// How many culprits there are in all.
    pub culprits_total: u64,
}

impl Failure {
    /// How many culprits are kept; the rest is only counted.
    pub const MOST_CULPRITS: usize = 50;

    /// A failure without culprits.
    pub fn new(error: ErrorName, message: impl Into<String>) -> Self {
        Self { error, message: message.into(), culprits: Vec::new(), culprits_total: 0 }
    }

    /// The same with these culprits, cut to what is kept.
    #[must_use]
    pub fn naming(mut self, culprits: impl IntoIterator<Item = Culprit>) -> Self {
        for culprit in culprits {
            self.culprits_total += 1;
            if self.culprits.len() < Self::MOST_CULPRITS {
                self.culprits.push(culprit);
            }
        }
        self
    }
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Absent when it succeeded.
    pub failure: Option<Failure>,
    /// What became of its files.
    pub counters: Counters,
    /// Of a child: what its root's tally holds of the counters already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// The jobs that carried its files, oldest first.
    pub jobs: Vec<JobSummary>,
    /// What would be done, where that was all that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Box<Preview>>,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Of source folders that went as one item of a job: what these jobs have not brought.
    #[serde(default, skip_serializing_if = "Unfinished::is_nothing")]
    pub unfinished: Unfinished,
    /// What became of the objects of a slice, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Copied>,
    /// Of a copy-out: what its caller is told besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_out: Option<Box<CopyOutReport>>,
    /// What became of a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Box<Deliveries>>,
    /// What a package holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Box<PackageReport>>,
    /// The output that its caller gets, as JSON, where its kind has one of its own; less than 200 KB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What a push has left besides files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Box<PushReport>>,
    /// What its source folders were seen to hold, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Its receipt, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

impl Outcome {
    /// A success of nothing, to which the rest is added.
    #[must_use]
    pub fn between(started_at: Timestamp, finished_at: Timestamp) -> Self {
        Self {
            failure: None,
            counters: Counters::default(),
            counted: None,
            jobs: Vec::new(),
            preview: None,
            started_at,
            finished_at,
            unfinished: Unfinished::Nothing,
            objects: Vec::new(),
            copy_out: None,
            deliveries: None,
            package: None,
            answer: None,
            push: None,
            seen: None,
            receipt: None,
        }
    }
}

/// Destination folders that still lack something.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfinished {
    /// None.
    #[default]
    Nothing,
    /// These.
    Folders(BTreeSet<DataPath>),
    /// More than are worth naming: any may lack something.
    Everything,
}

impl Unfinished {
    /// Folders that are named; with more of them, all are meant.
    const MOST: usize = 1000;

    /// These folders, if there are any.
    #[must_use]
    pub fn of(folders: BTreeSet<DataPath>) -> Self {
        match folders.len() {
            0 => Self::Nothing,
            1..=Self::MOST => Self::Folders(folders),
            _ => Self::Everything,
        }
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Nothing, other) => other.clone(),
            (this, Self::Nothing) => this,
            (Self::Folders(mut all), Self::Folders(others)) => {
                all.extend(others.iter().cloned());
                Self::of(all)
            }
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
        }
    }

    /// Whether everything is there.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }

    /// Whether that folder lacks something.
    #[must_use]
    pub fn holds(&self, folder: &DataPath) -> bool {
        match self {
            Self::Nothing => false,
            Self::Folders(folders) => folders.contains(folder),
            Self::Everything => true,
        }
    }
}

/// A failure that one thing is to blame for.
#[must_use]
pub fn culprit(error: ErrorName, message: impl Into<String>, what: &str, why: &str) -> Failure {
    Failure::new(error, message).naming([Culprit { what: what.to_owned(), why: why.to_owned() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_survive_their_names_and_add_up() {
        let one = Counters {
            files: 1,
            copied: 2,
            skipped: 3,
            skipped_by_size: 4,
            skipped_conflict: 5,
            renamed: 6,
            failed: 7,
            bytes: 8,
        };
        let stored: std::collections::BTreeMap<_, _> = one.named().into_iter().collect();
        assert_eq!(Counters::from_named(|name| stored[name]), one);
        let two = one.plus(&one);
        assert_eq!(two.named().map(|(_, n)| n), one.named().map(|(_, n)| 2 * n));
    }

    #[test]
    fn culprits_are_cut_but_counted() {
        let many = (0..80).map(|n| Culprit { what: n.to_string(), why: "x".into() });
        let failure = Failure::new(ErrorName::CopyJobFailed, "m").naming(many);
        assert_eq!((failure.culprits.len(), failure.culprits_total), (50, 80));
    }
}
