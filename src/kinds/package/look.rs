//! Freezing: every file is looked at once, and kept as it was seen.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    Frozen, Own, Package,
    doubles::{self, Seen},
    since::Before,
    sources::Sources,
    stopped, whole,
};
use crate::{
    domain::{
        outcome::{ErrorName, Outcome},
        share::{
            files::{DataType, PackagedFile, StorageClass},
            outcome::{Libraries, PackageReport},
            request::PackageOrder,
        },
    },
    engine::{
        concurrent::join_unordered,
        kind::{CancellationCheck, PlanError},
        lease::{Leased, RoundResult},
        liveness::RootRef,
        records::{self, RootState, attr, set},
    },
    kinds::frozen::{Dropped, PackageChunk, Wrong, read_chunk},
    ports::{
        Error, Result as PortResult,
        inventory::Whose,
        objects::{Access, ObjectInfo, ObjectLocation},
    },
};

/// Files looked at at a time.
const WIDTH: usize = 32;

pub(super) const MISSING: &str = "does not exist or is not accessible";

/// How a package goes on whose files were looked at.
#[derive(Debug)]
pub(super) enum Next {
    /// It is whole.
    Whole(Box<Outcome>),
    /// Archived reads of these chunks are restored first.
    Restores(Vec<u32>),
}

/// What is counted while files go by.
#[derive(Debug, Default)]
struct Counted {
    report: PackageReport,
    wrong: Wrong,
    /// The libraries of the files, as rows have them.
    named: BTreeSet<String>,
    /// Chunks with archived reads.
    cold: Vec<u32>,
}

impl Package {
    /// Looks at all files that were not looked at yet, and says how the package goes on.
    pub(super) async fn freeze(
        &self,
        held: &mut Leased,
        order: &PackageOrder,
    ) -> RoundResult<Result<Next, PlanError>> {
        if let Err(error) = self.look_at_all(held).await? {
            return Ok(Err(error));
        }
        let state: RootState = records::document(&held.item, attr::STATE)?;
        let own: Own = state.own()?;
        let frozen = Frozen::of(held, &state, &own);
        let mut before = match self.before(held, order).await? {
            Ok(before) => before,
            Err(error) => return Ok(Err(error)),
        };
        let mut counted = self.count_all(held, order, &frozen, before.as_mut()).await?;
        for library in &own.also {
            counted.report.libraries.entry(library.clone()).or_default();
        }
        if let Err(error) = self.note_projects(&mut counted.report.libraries).await {
            return Ok(Err(PlanError::from(error)));
        }
        if let Err(failure) = counted.wrong.refuse(ErrorName::SourceNotFound, "files cannot be packaged") {
            return Ok(Err(failure.into()));
        }
        if order.request.defrost_archived_fastqs && !own.restored && !counted.cold.is_empty() {
            return Ok(Ok(Next::Restores(counted.cold)));
        }
        if let Err(error) = self.compute_sums(held, order, &frozen).await? {
            return Ok(Err(error));
        }
        if let Err(error) = self.write_papers(held, order, &frozen, before.as_ref(), &counted.named).await? {
            return Ok(Err(error));
        }
        let mut outcome = whole(held, &self.core);
        outcome.counters.files = counted.report.files;
        let (generation, chunks) = (frozen.generation, frozen.chunks);
        let since = order.request.since_package_id.clone();
        outcome.package = Some(Box::new(PackageReport { generation, chunks, since, ..counted.report }));
        Ok(Ok(Next::Whole(Box::new(outcome))))
    }

    async fn look_at_all(&self, held: &mut Leased) -> RoundResult<Result<(), PlanError>> {
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        let mut own: Own = state.own()?;
        let frozen = Frozen::of(held, &state, &own);
        let (mut seen, mut watch) = (Seen::default(), CancellationCheck::new());
        let mut sources = Sources::new(&self.core);
        if own.looked >= own.files_chunks {
            return Ok(Ok(()));
        }
        for n in 0..own.files_chunks {
            let mut chunk = read_chunk(&self.core, &frozen.id, frozen.generation, n).await?;
            if n >= own.looked {
                if let Err(error) = self.look_at(held, &mut chunk).await {
                    return Ok(Err(PlanError::from(error)));
                }
                let looking = sources.look(&mut chunk);
                if let Err(error) = self.core.while_moving(&[RootRef::of(&held.item)], looking).await {
                    return Ok(Err(error));
                }
                let taking = self.take_sums_beside(held, &mut sources, &mut chunk);
                if let Err(error) = self.core.while_moving(&[RootRef::of(&held.item)], taking).await {
                    return Ok(Err(error));
                }
                let drops = doubles::settle(&self.core, held, &frozen, (n, &mut chunk), &mut seen).await?;
                chunk.put(&self.core, held, frozen.generation, n).await?;
                doubles::drop_elsewhere(&self.core, held, &frozen, drops).await?;
                own.looked = n + 1;
                state.set_own(&own)?;
                self.core.save(held, vec![set(attr::STATE, records::text(&state)?)]).await?;
            } else {
                seen.note(n, &chunk);
            }
            self.core.record_progress(&[RootRef::of(&held.item)]);
            if let Some(failure) = watch.stopped(&self.core, held).await? {
                return Ok(Err(stopped(failure)));
            }
        }
        Ok(Ok(()))
    }

    /// Counts all files. One may have been dropped for a better copy that came later, so that is done at the end;
    /// and only then is it known which of them were held before.
    async fn count_all(
        &self,
        held: &Leased,
        order: &PackageOrder,
        frozen: &Frozen,
        mut before: Option<&mut Before>,
    ) -> RoundResult<Counted> {
        let mut counted = Counted::default();
        for n in 0..frozen.chunks {
            let mut chunk = read_chunk(&self.core, &frozen.id, frozen.generation, n).await?;
            if before.as_mut().is_some_and(|before| before.settle(&mut chunk)) {
                chunk.put(&self.core, held, frozen.generation, n).await?;
            }
            count(&chunk, order, &mut counted);
            counted.report.counts.push(u32::try_from(chunk.kept().count()).unwrap_or(u32::MAX));
            if chunk.kept().any(is_cold) {
                counted.cold.push(n);
            }
            self.core.record_progress(&[RootRef::of(&held.item)]);
        }
        Ok(counted)
    }

    /// Notes the projects of libraries, as they are known here: what a request itself tells of them counts for
    /// nothing.
    async fn note_projects(&self, libraries: &mut Libraries) -> PortResult<()> {
        let Some(sharing) = self.core.ports.sharing.as_ref().filter(|sharing| sharing.metadata.is_there())
        else {
            return Ok(());
        };
        let ids = libraries.keys().filter(|id| !id.is_empty()).cloned().collect();
        for library in sharing.metadata.libraries(Whose::Libraries, &ids).await? {
            if let Some(projects) = libraries.get_mut(&library.library_id) {
                *projects = library.project_ids;
            }
        }
        Ok(())
    }

    /// Looks at the files of a chunk.
    async fn look_at(&self, held: &Leased, chunk: &mut PackageChunk) -> PortResult<()> {
        let of_s3 = chunk.files.iter().enumerate().filter(|(_, file)| location(&file.uri).is_some());
        for (n, found) in self.find(held, of_s3).await? {
            match (chunk.files.get_mut(n), found) {
                (Some(file), Some(found)) => keep(file, &found),
                (_, None) => drop(chunk.dropped.insert(n, Dropped::Missing)),
                (None, Some(_)) => {}
            }
        }
        Ok(())
    }

    /// What is found of some files of a chunk, by their places there.
    pub(super) async fn find<'f>(
        &self,
        held: &Leased,
        files: impl Iterator<Item = (usize, &'f PackagedFile)>,
    ) -> PortResult<BTreeMap<usize, Option<ObjectInfo>>> {
        let party = [RootRef::of(&held.item)];
        let (party, objects) = (&party, &self.core.ports.objects);
        let looks = files.map(|(n, file)| async move {
            let Some(at) = location(&file.uri) else { return Ok((n, None)) };
            match self.core.patiently(party, || objects.look(&at, &Access::Own)).await {
                // What S3 does not even understand is not there either.
                Err(error) if !error.is_passing() => Ok((n, None)),
                looked => looked.map(|found| (n, found)),
            }
        });
        // They come in no order.
        let found: Result<BTreeMap<usize, Option<ObjectInfo>>, Error> =
            join_unordered(WIDTH, looks).await.into_iter().collect();
        found
    }
}

/// Whether it is a read that must be restored before it can be read.
pub(super) fn is_cold(file: &PackagedFile) -> bool {
    file.archived && file.data_type == DataType::Fastq
}

pub(super) fn location(uri: &str) -> Option<ObjectLocation> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    Some(ObjectLocation::new(bucket, key))
}

/// Keeps a file as it was seen.
fn keep(file: &mut PackagedFile, found: &ObjectInfo) {
    let etag = found.etag.as_ref().map(ToString::to_string);
    // What a row says of another object holds for that one alone.
    let has_other_size = file.size != 0 && file.size != found.size;
    if has_other_size || file.etag.is_some() && file.etag != etag {
        (file.md5, file.sha256) = (None, None);
    }
    let (md5, sha256) = sums_of(found);
    // What S3 has computed goes before what a table says; where they contradict each other, the table tells of another
    // object.
    let differs = |seen: &Option<String>, told: &Option<String>| {
        seen.as_ref().zip(told.as_ref()).is_some_and(|(seen, told)| !seen.eq_ignore_ascii_case(told))
    };
    if differs(&md5, &file.md5) || differs(&sha256, &file.sha256) {
        (file.md5, file.sha256) = (None, None);
    }
    file.md5 = md5.or(file.md5.take());
    file.sha256 = sha256.or(file.sha256.take());
    file.size = found.size;
    file.etag = etag;
    file.modified = found.modified;
    file.storage_class = StorageClass::read(found.storage_class.as_deref().unwrap_or_default());
    file.archived = found.archived;
}

/// MD5 and SHA-256 of an object, in hex, as far as S3 tells them.
pub(super) fn sums_of(found: &ObjectInfo) -> (Option<String>, Option<String>) {
    let md5 = found.etag.as_ref().filter(|_| !found.opaque).and_then(|etag| etag.md5());
    let sha256 = found.checksums.get("SHA256").and_then(|sum| whole_sum(sum));
    (md5.map(str::to_ascii_lowercase), sha256)
}

/// A checksum of S3 in hex; `None` where it is one of the sums of parts.
fn whole_sum(base64: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    (bytes.len() == 32).then(|| hex::encode(bytes))
}

/// Notes the libraries that rules are to be asked about. Whose a file is that the caller has listed is the caller's
/// word alone: for rules it is of none, under an empty name.
fn note_libraries(file: &PackagedFile, order: &PackageOrder, libraries: &mut Libraries) {
    let named = if order.request.manifest.is_some() { "" } else { file.library_id.as_str() };
    for library in named.split("__") {
        if !libraries.contains_key(library) {
            libraries.insert(library.to_owned(), Vec::new());
        }
    }
}

/// Notes the libraries that the row of a file names.
fn name_libraries(file: &PackagedFile, named: &mut BTreeSet<String>) {
    for library in file.library_id.split("__") {
        if !named.contains(library) {
            named.insert(library.to_owned());
        }
    }
}

/// Counts the files of a chunk, and notes what is missing unless that may be.
fn count(chunk: &PackageChunk, order: &PackageOrder, counted: &mut Counted) {
    for (n, file) in chunk.files.iter().enumerate() {
        match chunk.dropped.get(&n) {
            None => {
                counted.report.files += 1;
                counted.report.bytes += file.size;
                counted.report.archived += u64::from(file.archived);
                counted.report.in_projects += u64::from(file.icav2.is_some());
                note_libraries(file, order, &mut counted.report.libraries);
                name_libraries(file, &mut counted.named);
            }
            // The file that is taken is of its libraries, too.
            Some(Dropped::Double(_)) => {}
            Some(Dropped::Held) => {
                counted.report.left_out += 1;
                name_libraries(file, &mut counted.named);
            }
            Some(Dropped::Missing) if order.request.allow_missing => counted.report.missing += 1,
            Some(Dropped::Missing) => counted.wrong.note(file.uri.clone(), MISSING.to_owned()),
            Some(Dropped::Unready(why)) => counted.wrong.note(file.uri.clone(), why.clone()),
            Some(Dropped::Conflict(other)) => {
                let why = format!("would be {} in the package, and so would {other}", file.path);
                counted.wrong.note(file.uri.clone(), why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::package::tests::file;

    #[test]
    fn a_checksum_of_s3_is_kept_where_it_is_of_the_whole() {
        let sum = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let found = |sum: &str| ObjectInfo {
            checksums: [("SHA256".to_owned(), sum.to_owned())].into(),
            ..ObjectInfo::default()
        };
        let mut file = file("x", "");
        keep(&mut file, &found(&format!("{sum}-2")));
        assert_eq!(file.sha256, None, "sums of parts are none of the file");
        keep(&mut file, &found(sum));
        assert_eq!(file.sha256.as_deref(), Some(hex));
        (file.sha256, file.md5) = (Some("0f".into()), Some("0e".into()));
        keep(&mut file, &found(sum));
        let sums = (file.sha256.as_deref(), file.md5.as_deref());
        assert_eq!(sums, (Some(hex), None), "a table that tells of another object is not believed");
    }
}
