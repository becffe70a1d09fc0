//! Freezing: every file is looked at once, and kept as it was seen.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher as _,
};

use super::{Own, Package, stopped, whole};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{ErrorName, Outcome},
        share::{
            files::{PackagedFile, StorageClass},
            outcome::{Libraries, PackageReport},
            request::PackageOrder,
        },
    },
    engine::{
        concurrent::join_unordered,
        kind::{CancellationCheck, PlanError},
        lease::{Leased, RoundResult, id_of},
        liveness::RootRef,
        records::{self, RootState, attr, set},
    },
    kinds::frozen::{Dropped, PackageChunk, Wrong, gone, read_chunk},
    ports::{
        Error, Result as PortResult,
        inventory::Whose,
        objects::{Access, ObjectInfo, ObjectLocation},
    },
};

/// Files looked at at a time.
const WIDTH: usize = 32;

const MISSING: &str = "does not exist or is not accessible";

/// Where a file of a path is: its chunk, and its place there.
type Seen = HashMap<u64, (u32, usize)>;

/// What is counted while files go by.
#[derive(Debug, Default)]
struct Counted {
    report: PackageReport,
    seen: Seen,
    wrong: Wrong,
}

impl Package {
    /// Looks at all files that were not looked at yet, and says how the package has ended.
    pub(super) async fn look_at_all(
        &self,
        held: &mut Leased,
        order: &PackageOrder,
    ) -> RoundResult<Result<Outcome, PlanError>> {
        let id = id_of(held);
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        let mut own: Own = state.own()?;
        let generation = state.generation;
        let (mut counted, mut watch) = (Counted::default(), CancellationCheck::new());
        let hasher = std::hash::RandomState::new();
        for n in 0..own.files_chunks {
            let mut chunk = read_chunk(&self.core, &id, generation, n).await?;
            if n >= own.looked {
                if let Err(error) = self.look_at(held, &mut chunk).await {
                    return Ok(Err(PlanError::from(error)));
                }
                self.settle_doubles(held, (&id, generation, n), &mut chunk, &mut counted, &hasher).await?;
                chunk.put(&self.core, held, generation, n).await?;
                own.looked = n + 1;
                state.set_own(&own)?;
                self.core.save(held, vec![set(attr::STATE, records::text(&state)?)]).await?;
            } else {
                for (place, file) in
                    chunk.files.iter().enumerate().filter(|(n, _)| !chunk.dropped.contains_key(n))
                {
                    counted.seen.insert(hasher.hash_one(&file.path), (n, place));
                }
            }
            self.core.record_progress(&[RootRef::of(&held.item)]);
            if let Some(failure) = watch.stopped(&self.core, held).await? {
                return Ok(Err(stopped(failure)));
            }
        }
        // A file may have been dropped for a better copy of it that came later: they are counted at the end.
        for n in 0..own.files_chunks {
            let chunk = read_chunk(&self.core, &id, generation, n).await?;
            count(&chunk, order, &mut counted);
            counted.report.counts.push(u32::try_from(chunk.kept().count()).unwrap_or(u32::MAX));
            self.core.record_progress(&[RootRef::of(&held.item)]);
        }
        if let Err(error) = self.note_projects(&mut counted.report.libraries).await {
            return Ok(Err(PlanError::from(error)));
        }
        if let Err(failure) = counted.wrong.refuse(ErrorName::SourceNotFound, "files cannot be packaged") {
            return Ok(Err(failure.into()));
        }
        if let Err(error) = self.write_papers(held, order, (&id, generation, own.files_chunks)).await? {
            return Ok(Err(error));
        }
        let mut outcome = whole(held, &self.core);
        outcome.counters.files = counted.report.files;
        let report = PackageReport { generation, chunks: own.files_chunks, ..counted.report };
        outcome.package = Some(Box::new(report));
        Ok(Ok(outcome))
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
        let party = [RootRef::of(&held.item)];
        let (party, objects) = (&party, &self.core.ports.objects);
        let looks = chunk.files.iter().enumerate().map(|(n, file)| async move {
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
        for (n, found) in found? {
            match (chunk.files.get_mut(n), found) {
                (Some(file), Some(found)) => keep(file, &found),
                (_, None) => drop(chunk.dropped.insert(n, Dropped::Missing)),
                (None, Some(_)) => {}
            }
        }
        Ok(())
    }

    /// Of two files with one path that are the same file, keeps the one that is read sooner, or else is newer.
    /// Others are wrong.
    async fn settle_doubles(
        &self,
        held: &Leased,
        (id, generation, n): (&RequestId, u32, u32),
        chunk: &mut PackageChunk,
        counted: &mut Counted,
        hasher: &std::hash::RandomState,
    ) -> RoundResult<()> {
        for place in 0..chunk.files.len() {
            let Some(file) = chunk.files.get(place).filter(|_| !chunk.dropped.contains_key(&place)) else {
                continue;
            };
            let hash = hasher.hash_one(&file.path);
            let Some((other_n, other_place)) = counted.seen.get(&hash).copied() else {
                counted.seen.insert(hash, (n, place));
                continue;
            };
            let mut elsewhere = if other_n == n {
                None
            } else {
                Some(read_chunk(&self.core, id, generation, other_n).await?)
            };
            let there = elsewhere.as_ref().unwrap_or(chunk).files.get(other_place).cloned();
            let there = there.ok_or_else(|| gone(id))?;
            if there.path != file.path {
                continue;
            }
            match better(&there, file) {
                Some(Better::First) => drop(chunk.dropped.insert(place, Dropped::Double(there.uri))),
                Some(Better::Second) => {
                    let why = Dropped::Double(file.uri.clone());
                    match &mut elsewhere {
                        None => drop(chunk.dropped.insert(other_place, why)),
                        Some(other) => {
                            other.dropped.insert(other_place, why);
                            other.put(&self.core, held, generation, other_n).await?;
                        }
                    }
                    counted.seen.insert(hash, (n, place));
                }
                None => {
                    chunk.dropped.insert(place, Dropped::Conflict(there.uri));
                }
            }
        }
        Ok(())
    }
}

fn location(uri: &str) -> Option<ObjectLocation> {
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
    if file.md5.is_none() && !found.opaque {
        file.md5 = found.etag.as_ref().and_then(|etag| etag.md5()).map(str::to_ascii_lowercase);
    }
    file.size = found.size;
    file.etag = etag;
    file.modified = found.modified;
    file.storage_class = StorageClass::read(found.storage_class.as_deref().unwrap_or_default());
    file.archived = found.archived;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    First,
    Second,
}

/// Which of two copies of a file is taken; `None` where they are not surely the same.
fn better(first: &PackagedFile, second: &PackagedFile) -> Option<Better> {
    let both = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
    let same = first.uri == second.uri
        || first.size == second.size
            && (both(&first.etag, &second.etag)
                || both(&first.md5, &second.md5)
                || both(&first.sha256, &second.sha256));
    let rank = |file: &PackagedFile| (file.storage_class, std::cmp::Reverse(file.modified));
    same.then(|| if rank(second) < rank(first) { Better::Second } else { Better::First })
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

/// Counts the files of a chunk, and notes what is missing unless that may be.
fn count(chunk: &PackageChunk, order: &PackageOrder, counted: &mut Counted) {
    for (n, file) in chunk.files.iter().enumerate() {
        match chunk.dropped.get(&n) {
            None => {
                counted.report.files += 1;
                counted.report.bytes += file.size;
                counted.report.archived += u64::from(file.archived);
                note_libraries(file, order, &mut counted.report.libraries);
            }
            // Another row of it may name another library.
            Some(Dropped::Double(_)) => note_libraries(file, order, &mut counted.report.libraries),
            Some(Dropped::Missing) if order.request.allow_missing => counted.report.missing += 1,
            Some(Dropped::Missing) => counted.wrong.note(file.uri.clone(), MISSING.to_owned()),
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
    use crate::domain::share::files::DataType;

    fn copy(uri: &str, etag: &str, class: StorageClass, second: i64) -> PackagedFile {
        PackagedFile {
            path: "p".into(),
            uri: uri.into(),
            size: 1,
            etag: Some(etag.into()),
            storage_class: class,
            archived: class.is_archived(),
            modified: jiff::Timestamp::from_second(second).ok(),
            data_type: DataType::Fastq,
            library_id: String::new(),
            instrument_run_id: String::new(),
            lane: None,
            portal_run_id: String::new(),
            workflow_name: String::new(),
            workflow_version: String::new(),
            md5: None,
            sha256: None,
        }
    }

    #[test]
    fn the_copy_that_is_read_sooner_is_taken_then_the_newer() {
        let cold = copy("s3://a/x", "e", StorageClass::DeepArchive, 9);
        let old = copy("s3://b/x", "e", StorageClass::Standard, 1);
        let new = copy("s3://c/x", "e", StorageClass::Standard, 2);
        assert_eq!(better(&cold, &old), Some(Better::Second));
        assert_eq!(better(&old, &new), Some(Better::Second));
        assert_eq!(better(&new, &old), Some(Better::First));
        assert_eq!(better(&new, &copy("s3://d/x", "other", StorageClass::Standard, 1)), None);
    }
}
