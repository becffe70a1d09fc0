//! Which of the files that are known a request asks for.
//!
//! Some of it can only be told once all rows have been seen: which libraries were sequenced in a run, and which
//! is the newest run of a workflow. Those requests have their rows surveyed first, and chosen from then.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    files::DataType,
    filters::{WorkflowFilters, canonical},
    places::is_own_log,
    request::PackageRequest,
    rows::Row,
};

/// What a request asks for, as it is told apart.
#[derive(Debug)]
pub struct Selection<'a> {
    request: &'a PackageRequest,
    filters: &'a WorkflowFilters,
    /// The libraries that are meant; none: all.
    libraries: Option<BTreeSet<String>>,
    runs: Option<BTreeSet<&'a str>>,
    portal_runs: Option<BTreeSet<&'a str>>,
    excluded: BTreeSet<&'a str>,
    /// Workflows by their names; none: all.
    workflows: Option<BTreeSet<String>>,
    /// Whether the caller has listed the files, so that each is meant.
    is_listed: bool,
    /// Libraries that have reads in the runs.
    sequenced: BTreeSet<String>,
    /// Libraries that any row was about.
    seen: BTreeSet<String>,
    /// The newest run of each workflow of a library.
    newest: BTreeMap<String, BTreeMap<String, String>>,
}

fn set(list: Option<&Vec<String>>) -> Option<BTreeSet<&str>> {
    list.map(|list| list.iter().map(String::as_str).collect())
}

impl<'a> Selection<'a> {
    /// What is asked for. `libraries`: those that the request names, in whichever way; none where it names none.
    #[must_use]
    pub fn new(
        request: &'a PackageRequest,
        filters: &'a WorkflowFilters,
        libraries: Option<BTreeSet<String>>,
    ) -> Self {
        let workflows = request.secondary_analysis_type_list.as_ref().filter(|list| !list.is_empty());
        Self {
            request,
            filters,
            libraries,
            runs: set(request.instrument_run_id_list.as_ref()),
            portal_runs: set(request.portal_run_id_list.as_ref()),
            excluded: set(request.portal_run_id_exclusion_list.as_ref()).unwrap_or_default(),
            workflows: workflows.map(|list| list.iter().map(|name| canonical(name)).collect()),
            is_listed: request.manifest.is_some(),
            sequenced: BTreeSet::new(),
            seen: BTreeSet::new(),
            newest: BTreeMap::new(),
        }
    }

    fn takes(&self, data_type: DataType) -> bool {
        self.request.data_type_list.contains(&data_type)
    }

    /// Whether the newest run of each workflow is meant.
    fn takes_newest(&self) -> bool {
        !self.is_listed && self.portal_runs.is_none() && self.takes(DataType::SecondaryAnalysis)
    }

    /// Whether all rows are to be seen before any is chosen.
    #[must_use]
    pub fn needs_survey(&self) -> bool {
        self.runs.is_some() || self.takes_newest() || self.libraries.is_some()
    }

    /// Sees a row before any is chosen.
    pub fn survey(&mut self, row: &Row) {
        for library in row.libraries() {
            if !self.may_be(library) {
                continue;
            }
            if !self.seen.contains(library) {
                self.seen.insert(library.to_owned());
            }
            let is_read = row.data_type() == DataType::Fastq;
            if is_read && self.is_in_run(row) && !self.sequenced.contains(library) {
                self.sequenced.insert(library.to_owned());
            }
            if !is_read && self.takes_newest() && !self.excluded.contains(row.portal_run_id.as_str()) {
                let newest = self.newest.entry(library.to_owned()).or_default();
                let newest = newest.entry(canonical(&row.workflow_name)).or_default();
                // Ids of runs begin with their dates.
                if row.portal_run_id > *newest {
                    newest.clone_from(&row.portal_run_id);
                }
            }
        }
    }

    /// The libraries that are asked for, and that no row is about.
    #[must_use]
    pub fn unseen(&self) -> Vec<String> {
        let asked = self.libraries.iter().flatten();
        asked.filter(|library| !self.seen.contains(*library)).cloned().collect()
    }

    fn may_be(&self, library: &str) -> bool {
        self.libraries.as_ref().is_none_or(|libraries| libraries.contains(library))
    }

    fn is_in_run(&self, row: &Row) -> bool {
        self.runs.as_ref().is_none_or(|runs| runs.contains(row.instrument_run_id.as_str()))
    }

    /// Whether a library is meant: it was asked for, and sequenced in the runs.
    fn is_meant(&self, library: &str) -> bool {
        self.may_be(library) && (self.runs.is_none() || self.sequenced.contains(library))
    }

    /// Whether a file is in the package.
    #[must_use]
    pub fn chooses(&self, row: &Row) -> bool {
        let data_type = row.data_type();
        if !self.takes(data_type) {
            return false;
        }
        match data_type {
            DataType::Fastq => self.is_in_run(row) && self.is_of_meant(row),
            DataType::SecondaryAnalysis => self.chooses_analysis(row) && !is_own_log(row) && self.keeps(row),
        }
    }

    /// Whether it is of a library that is meant. Where neither libraries nor sequencing runs are named, only what
    /// the caller has listed is: runs of workflows name no reads.
    fn is_of_meant(&self, row: &Row) -> bool {
        if self.libraries.is_none() && self.runs.is_none() {
            return self.is_listed;
        }
        row.libraries().any(|library| self.is_meant(library))
    }

    fn chooses_analysis(&self, row: &Row) -> bool {
        let run = row.portal_run_id.as_str();
        if self.excluded.contains(run) {
            return false;
        }
        if let Some(runs) = &self.portal_runs {
            return runs.contains(run);
        }
        let workflow = canonical(&row.workflow_name);
        if self.workflows.as_ref().is_some_and(|names| !names.contains(&workflow)) {
            return false;
        }
        if self.is_listed {
            return self.is_of_meant(row);
        }
        let is_newest = |library: &str| {
            let newest = self.newest.get(library).and_then(|of| of.get(&workflow));
            self.is_meant(library) && newest.is_some_and(|newest| newest == run)
        };
        row.libraries().any(is_newest)
    }

    fn keeps(&self, row: &Row) -> bool {
        !self.request.use_workflow_filters || self.filters.keep(&row.workflow_name, row.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::share::request::Listed;

    fn fastq(library: &str, run: &str) -> Row {
        Row {
            uri: format!("s3://b/{run}/{library}.fastq.gz"),
            library_id: library.into(),
            instrument_run_id: run.into(),
            lane: Some(1),
            ..Row::default()
        }
    }

    fn analysis(library: &str, workflow: &str, run: &str) -> Row {
        Row {
            uri: format!("s3://b/{workflow}/{run}/x.bam"),
            library_id: library.into(),
            workflow_name: workflow.into(),
            portal_run_id: run.into(),
            ..Row::default()
        }
    }

    fn both() -> PackageRequest {
        PackageRequest {
            data_type_list: vec![DataType::Fastq, DataType::SecondaryAnalysis],
            ..PackageRequest::default()
        }
    }

    fn chosen(request: &PackageRequest, libraries: Option<&[&str]>, rows: &[Row]) -> Vec<String> {
        let filters = WorkflowFilters::default();
        let libraries =
            libraries.map(|libraries| libraries.iter().map(|&library| library.to_owned()).collect());
        let mut selection = Selection::new(request, &filters, libraries);
        if selection.needs_survey() {
            for row in rows {
                selection.survey(row);
            }
        }
        rows.iter().filter(|row| selection.chooses(row)).map(|row| row.key().to_owned()).collect()
    }

    #[test]
    fn a_run_narrows_what_is_taken_of_analyses_too() {
        let rows =
            [fastq("L1", "A"), fastq("L2", "B"), analysis("L1", "wts", "2"), analysis("L2", "wts", "3")];
        let request = PackageRequest { instrument_run_id_list: Some(vec!["A".into()]), ..both() };
        assert_eq!(chosen(&request, Some(&["L1", "L2"]), &rows), ["A/L1.fastq.gz", "wts/2/x.bam"]);
        assert_eq!(chosen(&request, None, &rows), ["A/L1.fastq.gz", "wts/2/x.bam"]);
    }

    #[test]
    fn the_newest_run_of_each_workflow_is_taken() {
        let rows = [
            analysis("L1", "umccrise", "20240101aaa"),
            analysis("L1", "umccrise", "20240501aaa"),
            analysis("L1", "wts_tumor_only", "20230101aaa"),
            analysis("L1__L2", "sash", "20230101bbb"),
        ];
        let all =
            ["umccrise/20240501aaa/x.bam", "wts_tumor_only/20230101aaa/x.bam", "sash/20230101bbb/x.bam"];
        assert_eq!(chosen(&both(), Some(&["L1"]), &rows), all);
        let named = PackageRequest { secondary_analysis_type_list: Some(vec!["wts".into()]), ..both() };
        assert_eq!(chosen(&named, Some(&["L1"]), &rows), ["wts_tumor_only/20230101aaa/x.bam"]);
        let without = PackageRequest {
            portal_run_id_exclusion_list: Some(vec!["20240501aaa".into()]),
            secondary_analysis_type_list: Some(vec!["umccrise".into()]),
            ..both()
        };
        assert_eq!(chosen(&without, Some(&["L1"]), &rows), ["umccrise/20240101aaa/x.bam"]);
        let listed = PackageRequest {
            portal_run_id_list: Some(vec!["20240101aaa".into(), "20230101bbb".into()]),
            portal_run_id_exclusion_list: Some(vec!["20230101bbb".into()]),
            ..both()
        };
        assert_eq!(chosen(&listed, Some(&["L1"]), &rows), ["umccrise/20240101aaa/x.bam"]);
    }

    #[test]
    fn runs_of_workflows_name_no_reads() {
        let rows = [fastq("L1", "A"), fastq("L2", "B"), analysis("L1", "umccrise", "1")];
        for runs in [vec!["1".to_owned()], Vec::new()] {
            let few = runs.len();
            let request = PackageRequest { portal_run_id_list: Some(runs), ..both() };
            assert_eq!(chosen(&request, None, &rows).len(), few, "no reads of anybody");
        }
    }

    #[test]
    fn all_that_a_caller_lists_is_meant() {
        let rows = [analysis("L1", "umccrise", "1"), analysis("L1", "umccrise", "2"), fastq("", "")];
        let listed = PackageRequest { manifest: Some(Listed::Rows(rows.to_vec())), ..both() };
        assert_eq!(chosen(&listed, None, &rows).len(), 3);
        let fastq_only = PackageRequest { data_type_list: vec![DataType::Fastq], ..listed };
        assert_eq!(chosen(&fastq_only, None, &rows).len(), 1);
    }

    #[test]
    fn a_library_that_nothing_is_known_of_is_named() {
        let (request, filters) = (both(), WorkflowFilters::default());
        let libraries = ["L1", "L9"].map(str::to_owned).into_iter().collect();
        let mut selection = Selection::new(&request, &filters, Some(libraries));
        selection.survey(&fastq("L1", "A"));
        assert_eq!(selection.unseen(), ["L9"]);
    }
}
