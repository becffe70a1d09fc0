//! The files of a job, one after the other, on their way to the replica.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    TableRun,
    flow::{self, FlowError, Reading},
    shape::Shaped,
};
use crate::{
    domain::replica::{
        changes::Found,
        lines::{Care, HeaderError, Manner, Of},
        settings::BadRows,
        shape::Shape,
        treat::as_found,
    },
    engine::{core::Core, liveness::RootRef},
    ports::{
        Class, Error, Result,
        replica::{Findings, Part, Parts},
        source::{ByteStream, Job, Source},
    },
};

/// The code of the error of a file with a column that the schema at hand does not know.
pub(super) const UNKNOWN_COLUMN: &str = "UnknownColumn";
/// How often what arrives is noted as a sign of life.
const NOTED: Duration = Duration::from_secs(5);

/// The files of a job.
pub(super) struct Files {
    source: Arc<dyn Source>,
    objects: Vec<String>,
    next: usize,
    skipped: BTreeSet<usize>,
    shape: Shape,
    of: Of,
    reading: Reading,
    room: Arc<Semaphore>,
    core: Arc<Core>,
    root_refs: [RootRef; 1],
    findings: Vec<Arc<Mutex<Findings>>>,
}

impl TableRun<'_> {
    /// The files of a job. `are_changes`: they tell what was changed.
    pub(super) fn files(&self, job: &Job, shaped: &Shaped, are_changes: bool) -> Files {
        let settings = &self.of.settings;
        let manner = Manner {
            care: if self.state.strict { Care::Strict } else { Care::Trusting },
            far_dates: settings.far_dates,
            treatments: shaped.treatments(settings.hash_key.as_ref()),
        };
        let mut reading = Reading { manner, ..Reading::default() };
        if settings.bad_rows == BadRows::Fail {
            reading.most_rejected = 0;
        }
        Files {
            source: Arc::clone(&self.of.source),
            objects: job.objects.clone(),
            next: 0,
            skipped: BTreeSet::new(),
            shape: shaped.shape.clone(),
            of: if are_changes { Of::Changes } else { Of::Snapshot },
            reading,
            room: Arc::clone(&self.permits.files),
            core: Arc::clone(&self.plane.core),
            root_refs: self.root_refs.clone(),
            findings: Vec::new(),
        }
    }
}

impl Files {
    /// Leaves out those that are loaded.
    pub(super) fn skip(&mut self, loaded: &[usize]) {
        self.skipped.extend(loaded);
    }

    /// Holds lines to what is found in place of what the schema says.
    pub(super) fn fits(&mut self, found: Option<&Found>) {
        if let Some(found) = found {
            self.shape = as_found(self.shape.clone(), found);
        }
    }

    /// What was mended, in words.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut sums: BTreeMap<(String, String), u64> = BTreeMap::new();
        for findings in &self.findings {
            let findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
            for (column, what, count) in &findings.mended {
                *sums.entry((column.clone(), what.clone())).or_default() += count;
            }
        }
        sums.into_iter().map(|((column, what), count)| format!("{column}: {what} ({count})")).collect()
    }

    /// The bytes of a file, which hold their place until they have ended, and are signs of life.
    async fn bytes(&self, object: &str) -> Result<ByteStream> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.room).acquire_owned().await.ok();
        let bytes = self.source.read(object).await?;
        let (core, root_refs) = (Arc::clone(&self.core), self.root_refs.clone());
        let mut noted = Instant::now();
        Ok(Box::pin(bytes.inspect(move |_| {
            let _held = &place;
            if noted.elapsed() >= NOTED {
                noted = Instant::now();
                core.record_progress(&root_refs);
            }
        })))
    }
}

#[async_trait]
impl Parts for Files {
    async fn next(&mut self) -> Result<Option<Part>> {
        loop {
            let number = self.next;
            let Some(object) = self.objects.get(number) else { return Ok(None) };
            self.next += 1;
            if self.skipped.contains(&number) {
                continue;
            }
            let bytes = self.bytes(object).await?;
            let part = flow::part(number, bytes, &self.shape, self.of, &self.reading).await;
            let part = part.map_err(|error| match error {
                FlowError::Port(error) => error,
                FlowError::Header { error: HeaderError::Unknown(_), .. } => {
                    let mut unknown = Error::new(Class::Invalid, "read lines", error.to_string());
                    unknown.code = Some(UNKNOWN_COLUMN.to_owned());
                    unknown
                }
                FlowError::Header { .. } => Error::new(Class::Invalid, "read lines", error.to_string()),
            })?;
            self.findings.push(Arc::clone(&part.findings));
            return Ok(Some(part));
        }
    }
}
