//! What is kept of the package while its files go by: its libraries, the runs of workflows, and sums.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::is_restored;
use crate::domain::share::files::{DataType, Library, PackagedFile};

/// A number of files, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Sum {
    const fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What a project has in the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Share {
    pub(super) libraries: u64,
    pub(super) files: Sum,
    pub(super) archived: Sum,
}

/// A run of a workflow.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) workflow: String,
    pub(super) version: String,
    pub(super) id: String,
    /// Its libraries, as they came.
    pub(super) libraries: Vec<String>,
    known: HashSet<String>,
    /// Where its files are in the package.
    pub(super) path: String,
    pub(super) files: Sum,
    pub(super) archived: Sum,
}

/// Everything that is kept.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) libraries: Vec<Library>,
    places: HashMap<String, usize>,
    pub(super) runs: Vec<Run>,
    numbers: HashMap<(String, String, String), usize>,
    pub(super) fastq: Sum,
    pub(super) secondary: Sum,
    pub(super) archived: Sum,
    /// Archived ones that can be read for a time.
    pub(super) restored: Sum,
    /// Of each storage class that is archived, or costs to be read.
    pub(super) classes: BTreeMap<&'static str, Sum>,
    /// Files of a library that was not found.
    pub(super) lost: u64,
    /// By project; those without one under the empty name.
    pub(super) projects: BTreeMap<String, Share>,
}

impl Facts {
    /// A library; one that comes again adds its projects.
    pub(super) fn library(&mut self, library: &Library) {
        if let Some(known) = self.places.get(&library.library_id).and_then(|at| self.libraries.get_mut(*at)) {
            for project in &library.project_ids {
                if !known.project_ids.contains(project) {
                    known.project_ids.push(project.clone());
                    self.projects.entry(project.clone()).or_default().libraries += 1;
                }
            }
            return;
        }
        self.places.insert(library.library_id.clone(), self.libraries.len());
        for project in library.project_ids.iter().collect::<BTreeSet<_>>() {
            self.projects.entry(project.clone()).or_default().libraries += 1;
        }
        self.libraries.push(library.clone());
    }

    /// A file: sums, and of a secondary one the number of its run.
    pub(super) fn file(&mut self, file: &PackagedFile) -> usize {
        let archived = file.archived;
        if is_restored(file) {
            self.restored.add(file.size);
        }
        if archived {
            self.archived.add(file.size);
            self.classes.entry(file.storage_class.as_str()).or_default().add(file.size);
        }
        if self.is_lost(file.library_id.split("__")) {
            self.lost += 1;
        }
        let mut projects: Vec<&str> = file
            .library_id
            .split("__")
            .filter_map(|id| self.libraries.get(*self.places.get(id)?))
            .flat_map(|library| library.project_ids.iter().map(String::as_str))
            .collect();
        projects.sort_unstable();
        projects.dedup();
        if projects.is_empty() {
            projects.push("");
        }
        for project in projects {
            if !self.projects.contains_key(project) {
                self.projects.insert(project.to_owned(), Share::default());
            }
            if let Some(share) = self.projects.get_mut(project) {
                share.files.add(file.size);
                if archived {
                    share.archived.add(file.size);
                }
            }
        }
        match file.data_type {
            DataType::Fastq => {
                self.fastq.add(file.size);
                0
            }
            DataType::SecondaryAnalysis => {
                self.secondary.add(file.size);
                self.run(file, archived)
            }
        }
    }

    /// Whether one of these libraries was not found; none at all was not found either.
    pub(super) fn is_lost<'a>(&self, mut ids: impl Iterator<Item = &'a str>) -> bool {
        ids.any(|id| !self.places.contains_key(id))
    }

    fn run(&mut self, file: &PackagedFile, archived: bool) -> usize {
        let key = (file.portal_run_id.clone(), file.workflow_name.clone(), file.workflow_version.clone());
        let number = *self.numbers.entry(key).or_insert(self.runs.len());
        if number == self.runs.len() {
            self.runs.push(Run {
                workflow: file.workflow_name.clone(),
                version: file.workflow_version.clone(),
                id: file.portal_run_id.clone(),
                path: place(&file.path, &file.portal_run_id).to_owned(),
                ..Run::default()
            });
        }
        let Some(run) = self.runs.get_mut(number) else { return number };
        run.files.add(file.size);
        if archived {
            run.archived.add(file.size);
        }
        for id in file.library_id.split("__").filter(|id| !id.is_empty()) {
            if !run.known.contains(id) {
                run.known.insert(id.to_owned());
                run.libraries.push(id.to_owned());
            }
        }
        if !file.path.starts_with(&run.path) {
            let common = common(&run.path, &file.path);
            run.path.truncate(common);
        }
        number
    }
}

/// The folder of a run: up to the one of its name, else the one that the file is in.
fn place<'a>(path: &'a str, run: &str) -> &'a str {
    let mut end = 0;
    for part in path.split_inclusive('/') {
        end += part.len();
        if !run.is_empty() && part.strip_suffix('/') == Some(run) {
            return path.get(..end).unwrap_or_default();
        }
    }
    path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or_default()
}

/// How many bytes of whole folders both begin with.
fn common(a: &str, b: &str) -> usize {
    a.split_inclusive('/')
        .zip(b.split_inclusive('/'))
        .take_while(|(a, b)| a == b && a.ends_with('/'))
        .map(|(a, _)| a.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::papers::report::tests::{fastq, library, secondary};

    #[test]
    fn the_place_of_a_run_is_the_folder_of_its_name() {
        assert_eq!(place("s/umccrise/20240101a/x/y.vcf", "20240101a"), "s/umccrise/20240101a/");
        assert_eq!(place("s/x/y.vcf", "20240101a"), "s/x/");
        assert_eq!(place("y.vcf", ""), "");
        assert_eq!(common("a/b/", "a/bc/d"), 2);
        assert_eq!(common("a/b/", "a/b"), 2);
    }

    #[test]
    fn sums_count_a_library_of_two_projects_under_each() {
        let mut facts = Facts::default();
        facts.library(&library("L1", &["P1", "P2"]));
        facts.library(&library("L2", &["P1"]));
        facts.library(&library("L2", &["P1", "P3"]));
        facts.file(&fastq("L1", 1));
        facts.file(&fastq("L9", 1));
        let mut file = secondary("run1", "a.vcf");
        file.library_id = "L1__L2".into();
        file.archived = true;
        assert_eq!(facts.file(&file), 0);
        file.portal_run_id = "run2".into();
        file.path = "elsewhere/b.vcf".into();
        assert_eq!(facts.file(&file), 1);
        file.path = "elsewhere/c/b.vcf".into();
        file.library_id = "L2__L8".into();
        assert_eq!(facts.file(&file), 1);
        file.path = "other/b.vcf".into();
        assert_eq!(facts.file(&file), 1);

        assert_eq!(
            (facts.fastq.files, facts.secondary.files, facts.archived.files, facts.lost),
            (2, 4, 4, 3)
        );
        let shares: Vec<_> =
            facts.projects.iter().map(|(name, of)| (name.as_str(), of.libraries, of.files.files)).collect();
        assert_eq!(shares, [("", 0, 1), ("P1", 2, 5), ("P2", 1, 3), ("P3", 1, 4)]);
        assert_eq!(facts.runs[1].libraries, ["L1", "L2", "L8"]);
        assert_eq!((facts.runs[0].path.as_str(), facts.runs[1].path.as_str()), ("s/umccrise/run1/", ""));
    }
}
