//! Rows of files, a few questions at a time: reads by their libraries and runs, then analyses by the runs of their
//! workflows.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;

use super::{
    ask::Ask,
    client::Client,
    libraries::batches,
    runs,
    wire::{Fastq, FileObject, Run},
};
use crate::{
    domain::share::{files::DataType, lims, rows::Row},
    ports::{
        Class, Error, Result,
        inventory::{Pages, RowQuery},
    },
};

/// Files that are asked for by their ingest ids at a time; an id has 36 characters.
const INGEST_IDS: usize = 100;
/// Sequencing runs that may be named in a question; beyond, reads of others come too.
const MOST_RUNS: usize = 50;

/// One of the files of reads.
#[derive(Debug)]
struct Read {
    ingest_id: String,
    row: Row,
}

/// Files of one run that are held at a time; of a run with more, copies may stay side by side.
const MOST_HELD: usize = 50_000;
/// Rows that are given at a time.
const PAGE: usize = 1000;

/// What is to be done next.
#[derive(Debug)]
enum Step {
    /// A page of reads.
    Reads(Ask),
    /// Where these lie.
    FilesOfReads(Vec<Read>),
    /// What workflows have made, once all reads have been seen.
    Analyses,
    /// The newest runs of some libraries.
    NewestRuns(Vec<String>),
    /// Some portal runs.
    Runs(Vec<String>),
    /// A page of the files of a run, beside those that came before.
    FilesOfRun(Arc<Run>, Ask, Vec<FileObject>),
    /// Files of a run, of each of which there is one copy.
    Settled(Arc<Run>, std::vec::IntoIter<FileObject>),
}

/// The rows that answer a query.
pub(super) struct Found {
    client: Arc<Client>,
    query: RowQuery,
    steps: VecDeque<Step>,
    /// Libraries that have reads in the sequencing runs.
    sequenced: BTreeSet<String>,
    /// Portal runs whose files were asked for.
    taken: BTreeSet<String>,
}

impl Found {
    pub(super) fn new(client: Arc<Client>, query: RowQuery) -> Self {
        let mut steps = VecDeque::new();
        if query.wants(DataType::Fastq) {
            steps.extend(reads(&query).into_iter().map(Step::Reads));
        }
        if query.wants(DataType::SecondaryAnalysis) {
            steps.push_back(Step::Analyses);
        }
        Self { client, query, steps, sequenced: BTreeSet::new(), taken: BTreeSet::new() }
    }

    /// Puts steps before those that wait.
    fn first(&mut self, steps: Vec<Step>) {
        for step in steps.into_iter().rev() {
            self.steps.push_front(step);
        }
    }

    /// A page of reads. Where only their libraries matter these are all, whether or not there are files.
    async fn reads(&mut self, ask: Ask) -> Result<Vec<Row>> {
        let (page, further) = self.client.page::<Fastq>(&ask).await?;
        let (mut files, mut seen) = (Vec::new(), Vec::new());
        for fastq in page {
            let library = lims::library_id(&fastq.library.library_id).to_owned();
            let runs = self.query.instrument_runs.as_ref();
            if runs.is_some_and(|runs| !runs.contains(&fastq.instrument_run_id)) {
                continue;
            }
            self.sequenced.insert(library.clone());
            let row = Row {
                data_type: Some(DataType::Fastq),
                library_id: library,
                instrument_run_id: fastq.instrument_run_id,
                lane: Some(fastq.lane),
                ..Row::default()
            };
            if self.query.surveyed.contains(&DataType::Fastq) {
                seen.push(row);
                continue;
            }
            let Some(set) = fastq.read_set else {
                return Err(invalid("GET fastq /fastq", format!("the reads {} have no files", fastq.id)));
            };
            let stored = [set.r1, set.r2].into_iter().flatten();
            files.extend(stored.map(|file| Read { ingest_id: file.ingest_id, row: row.clone() }));
        }
        let mut steps = Vec::new();
        let mut files = files.into_iter().peekable();
        while files.peek().is_some() {
            steps.push(Step::FilesOfReads(files.by_ref().take(INGEST_IDS).collect()));
        }
        steps.extend(further.map(Step::Reads));
        self.first(steps);
        Ok(seen)
    }

    /// Where files of reads lie. Of several copies the one is taken that is read soonest, then the newest; one that is
    /// not there any more only where no other is known, so that it is missed by name.
    async fn files_of_reads(&self, reads: Vec<Read>) -> Result<Vec<Row>> {
        const OPERATION: &str = "GET file /s3";
        let ids: Vec<&String> = reads.iter().map(|read| &read.ingest_id).collect();
        let mut best: BTreeMap<String, FileObject> = BTreeMap::new();
        for state in ["true", "false"] {
            let unknown: Vec<&String> = ids.iter().copied().filter(|id| !best.contains_key(*id)).collect();
            if unknown.is_empty() {
                break;
            }
            let ask = Ask::list("file", OPERATION, &["s3"]).with("currentState", state);
            let mut next = Some(ask.with_each("ingestId[]", unknown));
            while let Some(ask) = next {
                let (page, further) = self.client.page::<FileObject>(&ask).await?;
                for file in page {
                    let Some(id) = file.ingest_id.clone() else { continue };
                    if best.get(&id).is_none_or(|there| file.rank() < there.rank()) {
                        best.insert(id, file);
                    }
                }
                next = further;
            }
        }
        let found = reads.into_iter().map(|Read { ingest_id, row }| {
            if let Some(file) = best.get(&ingest_id) {
                return Ok(fill(row, file));
            }
            let (library, run) = (&row.library_id, &row.instrument_run_id);
            let why = format!("the file {ingest_id} of the reads of {library} in {run} is not known");
            Err(invalid(OPERATION, why))
        });
        found.collect()
    }

    fn analyses(&mut self) {
        let steps = if let Some(runs) = &self.query.portal_runs {
            let runs = runs.difference(&self.query.excluded_runs).cloned().collect();
            batches(&runs).into_iter().map(Step::Runs).collect()
        } else {
            let libraries = match (&self.query.libraries, &self.query.instrument_runs) {
                (Some(libraries), None) => libraries,
                _ => &self.sequenced,
            };
            let libraries: Vec<String> = libraries.iter().cloned().collect();
            libraries.chunks(runs::WIDTH).map(|some| Step::NewestRuns(some.to_vec())).collect()
        };
        self.first(steps);
    }

    fn files_of_runs(&mut self, runs: Vec<Run>) {
        let mut steps = Vec::new();
        for run in runs {
            if self.taken.insert(run.portal_run_id.clone()) {
                let ask = Ask::list("file", "GET file /s3/attributes", &["s3", "attributes"])
                    .with("portalRunId", &run.portal_run_id)
                    .with("currentState", "true");
                steps.push(Step::FilesOfRun(Arc::new(run), ask, Vec::new()));
            }
        }
        self.first(steps);
    }

    /// Copies of a file may be far apart in the list, so that a run's files are settled when all are there.
    async fn files_of_run(&mut self, run: Arc<Run>, ask: Ask, mut files: Vec<FileObject>) -> Result<()> {
        let (page, further) = self.client.page::<FileObject>(&ask).await?;
        // What ends with `/` is a folder, as some programs make them.
        files.extend(page.into_iter().filter(|file| file.is_there() && !file.key.ends_with('/')));
        let mut steps = Vec::new();
        match further {
            Some(further) if files.len() < MOST_HELD => steps.push(Step::FilesOfRun(run, further, files)),
            further => {
                steps.push(Step::Settled(run.clone(), settled(files).into_iter()));
                steps.extend(further.map(|further| Step::FilesOfRun(run, further, Vec::new())));
            }
        }
        self.first(steps);
        Ok(())
    }

    /// The rows of some of the files of a run.
    fn rows_of_run(&mut self, run: Arc<Run>, mut files: std::vec::IntoIter<FileObject>) -> Vec<Row> {
        let libraries: Vec<&str> =
            run.libraries.iter().flatten().map(|library| lims::library_id(&library.library_id)).collect();
        let row = Row {
            data_type: Some(DataType::SecondaryAnalysis),
            library_id: libraries.join("__"),
            portal_run_id: run.portal_run_id.clone(),
            workflow_name: run.workflow.name.clone(),
            workflow_version: run.workflow.version.clone().unwrap_or_default(),
            ..Row::default()
        };
        let rows = files.by_ref().take(PAGE).map(|file| fill(row.clone(), &file)).collect();
        if files.len() > 0 {
            self.steps.push_front(Step::Settled(run, files));
        }
        rows
    }
}

/// Of copies of a file (with one ingest id) the one that is read soonest, then the newest.
fn settled(files: Vec<FileObject>) -> Vec<FileObject> {
    let mut kept: Vec<FileObject> = Vec::with_capacity(files.len());
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        let there = file.ingest_id.as_ref().and_then(|id| places.get(id).copied());
        if let Some(there) = there.and_then(|place| kept.get_mut(place)) {
            if file.rank() < there.rank() {
                *there = file;
            }
        } else {
            places.extend(file.ingest_id.clone().map(|id| (id, kept.len())));
            kept.push(file);
        }
    }
    kept
}

fn invalid(operation: &'static str, why: String) -> Error {
    Error::new(Class::Invalid, operation, why)
}

fn fill(row: Row, file: &FileObject) -> Row {
    Row {
        uri: format!("s3://{}/{}", file.bucket, file.key),
        size: file.size,
        etag: file.etag(),
        storage_class: file.class().to_owned(),
        modified: file.last_modified_date,
        sha256: file.sha256(),
        ingest_id: file.ingest_id.clone().unwrap_or_default(),
        ..row
    }
}

/// The questions for reads. Runs of workflows name no reads.
fn reads(query: &RowQuery) -> Vec<Ask> {
    let ask = || Ask::list("fastq", "GET fastq /fastq", &["fastq"]);
    match (&query.libraries, &query.instrument_runs) {
        (None, None) => Vec::new(),
        (None, Some(runs)) => {
            batches(runs).iter().map(|some| ask().with_each("instrumentRunId[]", some)).collect()
        }
        (Some(libraries), runs) => {
            let runs = runs.as_ref().filter(|runs| runs.len() <= MOST_RUNS);
            let some = batches(libraries);
            let asks = some.iter().map(|some| {
                let ask = ask().with_each("library[]", some);
                ask.with_each("instrumentRunId[]", runs.into_iter().flatten())
            });
            asks.collect()
        }
    }
}

#[async_trait]
impl Pages<Row> for Found {
    async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        let Some(step) = self.steps.pop_front() else { return Ok(None) };
        let mut rows = Vec::new();
        match step {
            Step::Reads(ask) => rows = self.reads(ask).await?,
            Step::FilesOfReads(reads) => rows = self.files_of_reads(reads).await?,
            Step::Analyses => self.analyses(),
            Step::NewestRuns(libraries) => {
                let runs = runs::newest(&self.client, &libraries, &self.query).await?;
                self.files_of_runs(runs);
            }
            Step::Runs(ids) => {
                let runs = runs::named(&self.client, &ids).await?;
                self.files_of_runs(runs);
            }
            Step::FilesOfRun(run, ask, files) => self.files_of_run(run, ask, files).await?,
            Step::Settled(run, files) => rows = self.rows_of_run(run, files),
        }
        Ok(Some(rows))
    }
}
