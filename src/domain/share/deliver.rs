//! What is put beside the files of a push.

use serde::{Deserialize, Serialize};

/// A paper that goes with a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deliver {
    /// A list of sums as `md5sum -c` reads it.
    Md5,
    /// One as `sha256sum -c` reads it.
    Sha256,
    /// The report of the package.
    Report,
    /// A description of the package as an RO-Crate.
    RoCrate,
}

impl Deliver {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha256, Self::Report, Self::RoCrate];

    /// Its name, as callers ask for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
            Self::Report => "report",
            Self::RoCrate => "ro-crate",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|paper| paper.as_str() == text)
    }

    /// The name of its file, for a package of that name.
    #[must_use]
    pub fn file_name(self, package: &str) -> String {
        match self {
            Self::Md5 => format!("md5sum.{package}.txt"),
            Self::Sha256 => format!("sha256sum.{package}.txt"),
            Self::Report => format!("SummaryReport.{package}.html"),
            Self::RoCrate => "ro-crate-metadata.json".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn papers_are_asked_for_by_the_names_that_they_are_stored_under() {
        for paper in Deliver::ALL {
            assert_eq!(Deliver::read(paper.as_str()), Some(paper));
            assert_eq!(serde_json::to_value(paper).unwrap(), paper.as_str());
        }
        assert_eq!(Deliver::read("bagit"), None);
        assert_eq!(Deliver::Md5.file_name("my-package"), "md5sum.my-package.txt");
    }
}
