//! The files of a package in chunks, each an item of the table, so that no more of them is held in memory than a
//! chunk. The first holds what is known of the libraries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        ids::RequestId,
        outcome::{Culprit, ErrorName, Failure, Outcome},
        share::{
            files::{Library, PackagedFile},
            outcome::PackageReport,
        },
    },
    engine::{
        core::Core,
        lease::{Leased, RoundResult},
        records::{self, attr},
    },
    ports::{self, Class, store::Key},
};

/// Bytes of a chunk, about.
const CHUNK_BYTES: usize = 64 * 1024;
/// The chunk of the libraries; those of files follow.
const LIBRARIES: u32 = 0;

/// Why a file that was asked for is not in the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dropped {
    /// It is not there.
    Missing,
    /// It is there, and cannot be read as it is: why.
    Unready(String),
    /// Another copy of it is taken, which is there.
    Double(String),
    /// Another file, which is there, would have the same path.
    Conflict(String),
    /// The package that this one is made since held it already, or one before that.
    Held,
}

/// Some of the files of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct PackageChunk {
    /// The files, in the order of the package.
    pub files: Vec<PackagedFile>,
    /// Those of them, by their place here, that are not in the package after all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<usize, Dropped>,
    /// Which write of it was read.
    #[serde(skip)]
    pub(crate) seen: Option<String>,
}

impl PackageChunk {
    /// The files that are in the package.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &PackagedFile> {
        self.files.iter().enumerate().filter(|(n, _)| !self.dropped.contains_key(n)).map(|(_, file)| file)
    }

    /// The files that whoever has the package, and those that it was made since, has.
    pub(crate) fn held(&self) -> impl Iterator<Item = &PackagedFile> {
        let is_held = |n: &usize| self.dropped.get(n).is_none_or(|why| *why == Dropped::Held);
        self.files.iter().enumerate().filter(move |(n, _)| is_held(n)).map(|(_, file)| file)
    }

    /// Writes it over the one that was read.
    pub(crate) async fn put(&self, core: &Core, held: &Leased, generation: u32, n: u32) -> RoundResult<()> {
        core.put_chunk(held, (generation, n + 1), self, self.seen.clone()).await
    }
}

/// A chunk of a package, from 0.
pub(crate) async fn read_chunk(
    core: &Core,
    package: &RequestId,
    generation: u32,
    n: u32,
) -> ports::Result<PackageChunk> {
    let (chunk, seen) = core.chunk::<PackageChunk>(package, generation, n + 1).await?;
    Ok(PackageChunk { seen, ..chunk })
}

/// What is known of the libraries of a package.
pub(crate) async fn read_libraries(
    core: &Core,
    package: &RequestId,
    generation: u32,
) -> ports::Result<Vec<Library>> {
    core.chunk::<Vec<Library>>(package, generation, LIBRARIES).await.map(|(libraries, _)| libraries)
}

/// Writes what is known of the libraries.
pub(crate) async fn put_libraries(
    core: &Core,
    held: &Leased,
    generation: u32,
    libraries: &Vec<Library>,
) -> RoundResult<()> {
    core.put_chunk(held, (generation, LIBRARIES), libraries, None).await
}

/// Writes files, chunk by chunk.
#[derive(Debug)]
pub(crate) struct FileWriter {
    generation: u32,
    chunk: PackageChunk,
    bytes: usize,
    /// Chunks written.
    pub chunks: u32,
    /// Files taken.
    pub files: u64,
}

impl FileWriter {
    pub(crate) fn new(held: &Leased) -> Self {
        let generation = u32::try_from(held.lease.epoch).unwrap_or(u32::MAX);
        Self { generation, chunk: PackageChunk::default(), bytes: 0, chunks: 0, files: 0 }
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) async fn take(&mut self, core: &Core, held: &Leased, file: PackagedFile) -> RoundResult<()> {
        self.bytes += file.path.len() + file.uri.len() + 250;
        self.files += 1;
        self.chunk.files.push(file);
        if self.bytes < CHUNK_BYTES { Ok(()) } else { self.flush(core, held).await }
    }

    /// Writes the files that are left.
    pub(crate) async fn flush(&mut self, core: &Core, held: &Leased) -> RoundResult<()> {
        if self.chunk.files.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        chunk.put(core, held, self.generation, self.chunks).await?;
        self.chunks += 1;
        self.bytes = 0;
        Ok(())
    }
}

/// What is there was read by an older version, or is gone.
pub(crate) fn gone(package: &RequestId) -> ports::Error {
    ports::Error::new(Class::Invalid, "read package", format!("the files of {package} are gone"))
}

/// How a root has ended; `None` where it has not, or is not there.
pub(crate) async fn outcome_of(core: &Core, root: &RequestId) -> ports::Result<Option<Outcome>> {
    let key = Key::new(root.as_str(), records::OUTCOME);
    let Some(item) = core.ports.store.get(&key).await? else { return Ok(None) };
    core.read_document(&item, attr::OUTCOME).await.map(Some)
}

/// What a package holds; `None` where it has not succeeded, or is not there.
pub(crate) async fn report_of(core: &Core, package: &RequestId) -> ports::Result<Option<PackageReport>> {
    let outcome = outcome_of(core, package).await?.filter(|outcome| outcome.failure.is_none());
    Ok(outcome.and_then(|outcome| outcome.package).map(|report| *report))
}

/// Things that are wrong, the first of them by name.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    culprits: Vec<Culprit>,
    total: u64,
}

impl Wrong {
    pub(crate) fn note(&mut self, what: String, why: String) {
        self.total += 1;
        if self.culprits.len() < Failure::MOST_CULPRITS {
            self.culprits.push(Culprit { what, why });
        }
    }

    /// Whether nothing was.
    pub(crate) const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The failure, where anything was wrong.
    pub(crate) fn refuse(self, error: ErrorName, what: &str) -> Result<(), Failure> {
        if self.total == 0 {
            return Ok(());
        }
        let first =
            self.culprits.first().map(|first| format!(", the first is {}: {}", first.what, first.why));
        let message = format!("{} {what}{}", self.total, first.unwrap_or_default());
        let mut failure = Failure::new(error, message).naming(self.culprits);
        failure.culprits_total = self.total;
        Err(failure)
    }
}
