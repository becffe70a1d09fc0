//! Copies of one file: the best of them is taken, for the libraries of all.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
};

use super::Frozen;
use crate::{
    domain::share::files::PackagedFile,
    engine::{
        core::Core,
        lease::{Leased, RoundResult},
    },
    kinds::frozen::{Dropped, PackageChunk, gone, read_chunk},
};

/// Where the file of a path is, by a hash of the path: its chunk, and its place there.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hasher: RandomState,
    places: HashMap<u64, (u32, usize)>,
}

impl Seen {
    fn hash(&self, file: &PackagedFile) -> u64 {
        self.hasher.hash_one(&file.path)
    }

    /// Notes the files of a chunk that was settled before.
    pub(super) fn note(&mut self, n: u32, chunk: &PackageChunk) {
        for (place, file) in chunk.files.iter().enumerate() {
            if !chunk.dropped.contains_key(&place) {
                self.places.insert(self.hash(file), (n, place));
            }
        }
    }
}

/// The chunk of another place that was looked into last. The rows of a second library come in the order of the
/// first one's, so that the next copy is most often in the same chunk.
#[derive(Debug, Default)]
struct Elsewhere {
    open: Option<(u32, PackageChunk)>,
    is_changed: bool,
}

impl Elsewhere {
    async fn chunk(
        &mut self,
        core: &Core,
        held: &Leased,
        frozen: &Frozen,
        n: u32,
    ) -> RoundResult<&mut PackageChunk> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != n) {
            self.close(core, held, frozen).await?;
            let chunk = read_chunk(core, &frozen.id, frozen.generation, n).await?;
            self.open = Some((n, chunk));
        }
        let (_, chunk) = self.open.as_mut().ok_or_else(|| gone(&frozen.id))?;
        Ok(chunk)
    }

    /// Writes it, if it was changed.
    async fn close(&mut self, core: &Core, held: &Leased, frozen: &Frozen) -> RoundResult<()> {
        let is_changed = std::mem::take(&mut self.is_changed);
        if let Some((n, chunk)) = self.open.take().filter(|_| is_changed) {
            chunk.put(core, held, frozen.generation, n).await?;
        }
        Ok(())
    }
}

/// A file of another chunk that is to be dropped: the chunk, its place there, and why.
pub(super) type ElsewhereDropped = (u32, usize, Dropped);

/// Of two files with one path that are the same file, keeps the one that is read sooner, or else is newer, for the
/// libraries of both. Others are wrong. The chunk itself is written by the caller.
pub(super) async fn settle(
    core: &Core,
    held: &Leased,
    frozen: &Frozen,
    (n, chunk): (u32, &mut PackageChunk),
    seen: &mut Seen,
) -> RoundResult<Vec<ElsewhereDropped>> {
    let (mut elsewhere, mut drops) = (Elsewhere::default(), Vec::new());
    for place in 0..chunk.files.len() {
        let Some(file) = chunk.files.get(place).filter(|_| !chunk.dropped.contains_key(&place)) else {
            continue;
        };
        let hash = seen.hash(file);
        let Some((other_n, other_place)) = seen.places.get(&hash).copied() else {
            seen.places.insert(hash, (n, place));
            continue;
        };
        let file = file.clone();
        let is_here = other_n == n;
        let other = if is_here { &mut *chunk } else { elsewhere.chunk(core, held, frozen, other_n).await? };
        let there = other.files.get_mut(other_place).ok_or_else(|| gone(&frozen.id))?;
        if there.path != file.path {
            continue;
        }
        match better(there, &file) {
            Some(Better::First) => {
                let libraries = of_both(there, &file);
                let has_more = libraries != there.library_id;
                there.library_id = libraries;
                let why = Dropped::Double(there.uri.clone());
                chunk.dropped.insert(place, why);
                elsewhere.is_changed |= has_more && !is_here;
            }
            Some(Better::Second) => {
                let libraries = of_both(there, &file);
                let why = Dropped::Double(file.uri);
                if is_here {
                    other.dropped.insert(other_place, why);
                } else {
                    drops.push((other_n, other_place, why));
                }
                if let Some(file) = chunk.files.get_mut(place) {
                    file.library_id = libraries;
                }
                seen.places.insert(hash, (n, place));
            }
            None => {
                let why = Dropped::Conflict(there.uri.clone());
                chunk.dropped.insert(place, why);
            }
        }
    }
    elsewhere.close(core, held, frozen).await?;
    Ok(drops)
}

/// Drops files of other chunks for copies of this one, once that is written: who comes to it again after a crash must
/// find both, or the libraries of the first one would be lost.
pub(super) async fn drop_elsewhere(
    core: &Core,
    held: &Leased,
    frozen: &Frozen,
    drops: Vec<ElsewhereDropped>,
) -> RoundResult<()> {
    let mut elsewhere = Elsewhere::default();
    for (n, place, why) in drops {
        elsewhere.chunk(core, held, frozen, n).await?.dropped.insert(place, why);
        elsewhere.is_changed = true;
    }
    elsewhere.close(core, held, frozen).await
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
        || first.icav2.is_some() && first.icav2 == second.icav2
        || first.size == second.size
            && (both(&first.etag, &second.etag)
                || both(&first.md5, &second.md5)
                || both(&first.sha256, &second.sha256));
    let rank = |file: &PackagedFile| (file.storage_class, std::cmp::Reverse(file.modified));
    same.then(|| if rank(second) < rank(first) { Better::Second } else { Better::First })
}

/// The libraries of two copies, each once, those of the first one first.
fn of_both(first: &PackagedFile, second: &PackagedFile) -> String {
    let mut known = BTreeSet::new();
    let all = first.library_id.split("__").chain(second.library_id.split("__"));
    let each: Vec<&str> = all.filter(|id| !id.is_empty() && known.insert(*id)).collect();
    each.join("__")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::share::files::StorageClass, kinds::package::tests::file};

    fn copy(uri: &str, etag: &str, class: StorageClass, second: i64) -> PackagedFile {
        PackagedFile {
            uri: uri.into(),
            storage_class: class,
            archived: class.is_archived(),
            modified: jiff::Timestamp::from_second(second).ok(),
            ..file("p", etag)
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

    #[test]
    fn what_is_listed_for_several_libraries_is_of_all_of_them() {
        let of = |library: &str| PackagedFile { library_id: library.into(), ..file("p", "e") };
        for (first, second, both) in [
            ("L1", "L2", "L1__L2"),
            ("L2", "L1", "L2__L1"),
            ("L1__L2", "L2__L3", "L1__L2__L3"),
            ("L1", "L1", "L1"),
            ("", "L1", "L1"),
            ("L1", "", "L1"),
            ("", "", ""),
        ] {
            assert_eq!(of_both(&of(first), &of(second)), both);
        }
    }
}
