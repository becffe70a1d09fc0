//! Sums of files that neither S3 nor a table tells: those of texts beside them, and, where the package asks for it,
//! those that come from reading.

use std::{collections::BTreeSet, time::Duration};

use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};
use sha2::Sha256;
use tokio::time::sleep;

use super::{
    Frozen, Own, Package,
    look::{location, sums_of},
    sources::Sources,
    stopped,
};
use crate::{
    domain::{
        file::ETag,
        share::{
            files::{InProject, PackagedFile},
            request::PackageOrder,
            sums,
        },
    },
    engine::{
        concurrent::join_unordered,
        kind::{CancellationCheck, PlanError},
        lease::{Leased, RoundResult},
        liveness::RootRef,
        records::{self, RootState, attr, millis, set},
    },
    kinds::frozen::{PackageChunk, read_chunk},
    ports::{
        Class, Error, Result as PortResult,
        objects::{Access, ObjectLocation},
    },
};

/// Texts looked for at a time.
const WIDTH: usize = 32;
/// Files that are read before what was found is written down.
const BATCH: usize = 16;
/// How often it is asked, while files are read, whether that is still wanted.
const ASK: Duration = Duration::from_secs(15);

/// MD5 and SHA-256 of a file, in hex, as far as they are known.
type Sums = (Option<String>, Option<String>);

/// A file that can be read.
enum Readable {
    Object(ObjectLocation),
    Data(InProject),
}

impl Readable {
    fn of(file: &PackagedFile) -> Option<Self> {
        file.icav2.clone().map(Self::Data).or_else(|| location(&file.uri).map(Self::Object))
    }

    /// Where the sums of an object may lie.
    fn beside(at: &ObjectLocation) -> Vec<Self> {
        let named = |ending: &str| ObjectLocation::new(at.bucket.as_str(), format!("{}{ending}", at.key));
        sums::ENDINGS.iter().map(|ending| Self::Object(named(ending))).collect()
    }
}

fn name_of(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or_default()
}

impl Package {
    /// Takes the sums that lie beside files of a chunk, for those whose MD5 is not known.
    pub(super) async fn take_sums_beside(
        &self,
        held: &Leased,
        sources: &mut Sources<'_>,
        chunk: &mut PackageChunk,
    ) -> Result<(), PlanError> {
        if self.settings.sum_file_bytes == 0 {
            return Ok(());
        }
        let lacks_one = |(n, file): &(usize, &PackagedFile)| {
            let is_bare = file.md5.is_none() && file.size > 0 && !chunk.dropped.contains_key(n);
            is_bare && !sums::is_sum_file(&file.uri)
        };
        let (mut wanted, mut of_projects) = (Vec::new(), Vec::new());
        for (n, file) in chunk.files.iter().enumerate().filter(lacks_one) {
            match location(&file.uri) {
                Some(at) => wanted.push((n, Readable::beside(&at))),
                None => of_projects.push((n, file.uri.as_str())),
            }
        }
        for (n, beside) in sources.beside(&of_projects).await? {
            wanted.push((n, vec![Readable::Data(beside)]));
        }
        let (party, files) = (&[RootRef::of(&held.item)], &chunk.files);
        let looks = wanted.into_iter().map(|(n, places)| async move {
            let name = files.get(n).map(|file| name_of(&file.uri)).unwrap_or_default();
            for place in &places {
                let text = self.core.patiently(party, || self.short_text(place)).await?;
                if let Some(sum) = text.and_then(|text| sums::md5_of(&text, name)) {
                    return Ok((n, Some(sum)));
                }
            }
            Ok((n, None))
        });
        let found: PortResult<Vec<_>> = join_unordered(WIDTH, looks).await.into_iter().collect();
        for (n, sum) in found? {
            if let (Some(file), Some(sum)) = (chunk.files.get_mut(n), sum) {
                file.md5 = Some(sum);
            }
        }
        Ok(())
    }

    /// A text that is not too long for a sum; `None` where there is none that can be read.
    async fn short_text(&self, from: &Readable) -> PortResult<Option<String>> {
        let most = self.settings.sum_file_bytes;
        let Some((at, access)) = self.access_to(from).await? else { return Ok(None) };
        let mut body = match self.core.ports.objects.get(&at, None, None, &access).await {
            Err(error) if !error.is_passing() => return Ok(None),
            opened => opened?,
        };
        if body.size.is_some_and(|size| size > most) {
            return Ok(None);
        }
        let mut text = Vec::new();
        while let Some(piece) = body.bytes.next().await {
            text.extend_from_slice(&piece.map_err(cut_off)?);
            if text.len() as u64 > most {
                return Ok(None);
            }
        }
        Ok(String::from_utf8(text).ok())
    }

    /// Where a file is read, and with whose rights; `None` where ICAv2 lends none.
    async fn access_to(&self, from: &Readable) -> PortResult<Option<(ObjectLocation, Access)>> {
        match from {
            Readable::Object(at) => Ok(Some((at.clone(), Access::Own))),
            Readable::Data(InProject { project, data }) => {
                match self.core.ports.platform.read_access(project, data).await {
                    Err(error) if !error.is_passing() => Ok(None),
                    lent => lent.map(|lent| Some((lent.below(""), Access::Temporary(lent)))),
                }
            }
        }
    }

    /// Reads all files of which no sum is known, where the package asks for that. What was found is written down
    /// every few files. A file that cannot be read, or is another one now, stays without.
    pub(super) async fn compute_sums(
        &self,
        held: &mut Leased,
        order: &PackageOrder,
        frozen: &Frozen,
    ) -> RoundResult<Result<(), PlanError>> {
        if !order.request.compute_sums {
            return Ok(Ok(()));
        }
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        let mut own: Own = state.own()?;
        for n in own.summed..frozen.chunks {
            let mut in_vain = BTreeSet::new();
            loop {
                let mut chunk = read_chunk(&self.core, &frozen.id, frozen.generation, n).await?;
                let lacks_both = |(place, file): &(usize, &PackagedFile)| {
                    let is_bare = file.md5.is_none() && file.sha256.is_none();
                    let is_there = !file.archived && !chunk.dropped.contains_key(place);
                    is_bare && is_there && !in_vain.contains(place)
                };
                let some: Vec<_> = chunk.files.iter().enumerate().filter(lacks_both).take(BATCH).collect();
                if some.is_empty() {
                    break;
                }
                let read = match self.read_some(held, &some).await? {
                    Ok(read) => read,
                    Err(error) => return Ok(Err(error)),
                };
                for (place, sums) in read {
                    match (sums, chunk.files.get_mut(place)) {
                        (Some((md5, sha256)), Some(file)) => (file.md5, file.sha256) = (md5, sha256),
                        _ => drop(in_vain.insert(place)),
                    }
                }
                chunk.put(&self.core, held, frozen.generation, n).await?;
            }
            own.summed = n + 1;
            state.set_own(&own)?;
            self.core.save(held, vec![set(attr::STATE, records::text(&state)?)]).await?;
        }
        Ok(Ok(()))
    }

    /// Reads some files, a few at a time, as long as that is wanted.
    async fn read_some(
        &self,
        held: &Leased,
        some: &[(usize, &PackagedFile)],
    ) -> RoundResult<Result<Vec<(usize, Option<Sums>)>, PlanError>> {
        let party = &[RootRef::of(&held.item)];
        let width = usize::try_from(self.settings.sum_reads.get()).unwrap_or(1);
        let reads = some.iter().map(|(place, file)| async move {
            let read = self.core.patiently(party, || self.read_sums(party, file)).await;
            read.map(|sums| (*place, sums))
        });
        let reads = join_unordered(width, reads);
        tokio::pin!(reads);
        let mut watch = CancellationCheck::new();
        let read = loop {
            tokio::select! {
                biased;
                read = &mut reads => break read,
                () = sleep(ASK) => {
                    if let Some(failure) = watch.stopped(&self.core, held).await? {
                        return Ok(Err(stopped(failure)));
                    }
                }
            }
        };
        let read: PortResult<Vec<_>> = read.into_iter().collect();
        Ok(read.map_err(PlanError::from))
    }

    /// The sums of a file from its bytes; `None` where it cannot be read, or is another one now.
    async fn read_sums(&self, party: &[RootRef], file: &PackagedFile) -> PortResult<Option<Sums>> {
        let Some(from) = Readable::of(file) else { return Ok(None) };
        // One of the places that files have which pass through here; there are always some.
        let _place = self.core.streams.acquire().await.ok();
        self.core.liveness.stream_began(millis(self.core.ports.clock.now()));
        let Some((at, access)) = self.access_to(&from).await? else { return Ok(None) };
        let objects = &self.core.ports.objects;
        let etag = file.etag.as_deref().map(ETag::new);
        if matches!(from, Readable::Data(_)) {
            // What S3 knows of it only now can be asked.
            let found = match objects.look(&at, &access).await {
                Err(error) if !error.is_passing() => return Ok(None),
                looked => looked?,
            };
            let known = found.filter(|found| found.etag == etag).map(|found| sums_of(&found));
            if let Some(known) = known.filter(|(md5, sha256)| md5.is_some() || sha256.is_some()) {
                return Ok(Some(known));
            }
        }
        let mut body = match objects.get(&at, None, etag.as_ref(), &access).await {
            Err(error) if !error.is_passing() => return Ok(None),
            opened => opened?,
        };
        let (mut md5, mut sha256, mut bytes) = (Md5::new(), Sha256::new(), 0);
        while let Some(piece) = body.bytes.next().await {
            let piece = piece.map_err(cut_off)?;
            md5.update(&piece);
            sha256.update(&piece);
            bytes += piece.len() as u64;
            self.core.record_progress(party);
        }
        if bytes != file.size {
            let why = format!("{bytes} bytes have come, not {}", file.size);
            return Err(Error::new(Class::Transient, "read file", why));
        }
        Ok(Some((Some(hex::encode(md5.finalize())), Some(hex::encode(sha256.finalize())))))
    }
}

fn cut_off(error: std::io::Error) -> Error {
    Error::new(Class::Transient, "read file", "it was cut off").caused_by(error)
}
