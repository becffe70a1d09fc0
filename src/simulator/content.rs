//! Bytes that cost no disk.
//!
//! A file of the world has content made from the path at which it was first created: noise in
//! blocks, any of which can be made without the ones before. Copies share it. What clients upload
//! is kept, unless it is content that is known already. What is put together of parts refers to them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use md5::{Digest, Md5};
use sha2::Sha256;

use super::{
    noise::{noise, seed_of},
    parts::Parts,
};

/// Content is streamed and hashed in chunks of this many bytes.
pub(super) const CHUNK: usize = 256 * 1024;

/// The MD5s of ranges from this size on are remembered.
const REMEMBERED: u64 = 1024 * 1024;

/// Uploads up to this size are kept when they are not known content.
pub(super) const KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// The bytes of a file, or how to make them.
pub(super) struct Content {
    source: Source,
    size: u64,
    md5: OnceLock<[u8; 16]>,
    /// What only some content needs: there may be hundreds of thousands of small ones.
    known: OnceLock<Box<Known>>,
}

/// What was found out about content.
#[derive(Default)]
struct Known {
    /// `ETag`s by parts, for more than one.
    multipart: Mutex<BTreeMap<Parts, String>>,
    /// MD5s of large ranges, which are asked for again and again.
    ranges: Mutex<HashMap<(u64, u64), [u8; 16]>>,
    sha256: OnceLock<[u8; 32]>,
}

/// A range of other content.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    pub(super) content: Arc<Content>,
    pub(super) start: u64,
    pub(super) size: u64,
}

enum Source {
    /// Made from a path.
    Made { seed: u64 },
    /// Uploaded.
    Kept(Bytes),
    /// Put together: each with where it starts in the whole.
    Joined(Vec<(u64, Extent)>),
    /// Uploaded, and too large to keep: only the MD5 is left.
    Forgotten,
}

impl Content {
    /// The content of a file first created at `path`.
    pub(super) fn made(path: &str, size: u64) -> Self {
        Self::new(Source::Made { seed: seed_of(path, size) }, size)
    }

    /// Uploaded content with its MD5; `bytes` is absent when it was too large to keep.
    pub(super) fn uploaded(bytes: Option<Bytes>, size: u64, md5: [u8; 16]) -> Self {
        let content = Self::new(bytes.map_or(Source::Forgotten, Source::Kept), size);
        content.md5.get_or_init(|| md5);
        content
    }

    /// Content put together of what other content holds.
    pub(super) fn joined(pieces: Vec<Extent>) -> Self {
        let mut size = 0;
        let placed = pieces.into_iter().filter(|piece| piece.size > 0).map(|piece| {
            size += piece.size;
            (size - piece.size, piece)
        });
        let placed = placed.collect();
        Self::new(Source::Joined(placed), size)
    }

    fn new(source: Source, size: u64) -> Self {
        Self { source, size, md5: OnceLock::new(), known: OnceLock::new() }
    }

    fn known(&self) -> &Known {
        self.known.get_or_init(Box::default)
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Whether its bytes can be read.
    pub(super) const fn is_readable(&self) -> bool {
        !matches!(self.source, Source::Forgotten)
    }

    /// Up to [`CHUNK`] bytes from there on; empty at the end.
    pub(super) fn chunk(&self, offset: u64) -> Bytes {
        let length = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(CHUNK).min(CHUNK);
        match &self.source {
            Source::Kept(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(start..start + length.min(bytes.len() - start))
            }
            Source::Made { seed } => noise(*seed, offset, length),
            Source::Joined(pieces) => {
                let after = pieces.partition_point(|(start, _)| *start <= offset);
                let Some((start, piece)) = after.checked_sub(1).and_then(|index| pieces.get(index)) else {
                    return Bytes::new();
                };
                let inside = offset - start;
                let mut chunk = piece.content.chunk(piece.start + inside);
                let left = piece.size.saturating_sub(inside);
                chunk.truncate(usize::try_from(left).unwrap_or(CHUNK));
                chunk
            }
            Source::Forgotten => Bytes::new(),
        }
    }

    /// The MD5 of the bytes; made when first asked, which takes two seconds for a GiB.
    pub(super) fn md5(&self) -> [u8; 16] {
        *self.md5.get_or_init(|| self.hash(0, self.size))
    }

    /// The MD5 as text.
    pub(super) fn md5_text(&self) -> String {
        hex::encode(self.md5())
    }

    /// The `objectETag` of a file that came in these parts.
    pub(super) fn etag(&self, parts: &Parts) -> String {
        if let Parts::Sealed(number, inside) = parts {
            let tag = self.etag(inside);
            let sealed = hex::encode(Md5::digest(format!("{number} {tag}")));
            return tag.rsplit_once('-').map_or(sealed.clone(), |(_, parts)| format!("{sealed}-{parts}"));
        }
        if !parts.is_multipart() {
            return self.md5_text();
        }
        if let Some(known) = lock(&self.known().multipart).get(parts) {
            return known.clone();
        }
        if !self.is_readable() {
            return self.md5_text();
        }
        let tag = tag_of(parts.bounds(self.size).map(|(start, end)| self.hash(start, end)));
        self.tagged(parts.clone(), tag.clone());
        tag
    }

    /// Remembers the `objectETag` of these parts.
    pub(super) fn tagged(&self, parts: Parts, tag: String) {
        lock(&self.known().multipart).insert(parts, tag);
    }

    /// Whether the tag can be told without reading the bytes.
    pub(super) fn knows_etag(&self, parts: &Parts) -> bool {
        let parts = parts.open();
        if parts.is_multipart() {
            self.known.get().is_some_and(|known| lock(&known.multipart).contains_key(parts))
        } else {
            self.md5.get().is_some()
        }
    }

    /// The MD5 of the bytes from `start` to `end`.
    pub(super) fn hash(&self, start: u64, end: u64) -> [u8; 16] {
        if let Some(known) = self.md5.get().filter(|_| (start, end) == (0, self.size)) {
            return *known;
        }
        let remembered = self.known.get().and_then(|known| lock(&known.ranges).get(&(start, end)).copied());
        if let Some(known) = remembered {
            return known;
        }
        let hashed = self.read_through(start, end);
        if end - start >= REMEMBERED {
            lock(&self.known().ranges).insert((start, end), hashed);
        }
        hashed
    }

    /// The SHA-256 of the bytes; made when first asked.
    pub(super) fn sha256(&self) -> [u8; 32] {
        *self.known().sha256.get_or_init(|| self.digest::<Sha256>(0, self.size).into())
    }

    fn read_through(&self, start: u64, end: u64) -> [u8; 16] {
        self.digest::<Md5>(start, end).into()
    }

    fn digest<D: Digest>(&self, start: u64, end: u64) -> md5::digest::Output<D> {
        let mut hash = D::new();
        let mut offset = start;
        while offset < end {
            let chunk = self.chunk(offset);
            let wanted = usize::try_from(end - offset).unwrap_or(CHUNK).min(chunk.len());
            hash.update(chunk.get(..wanted).unwrap_or_default());
            offset += wanted as u64;
            if wanted == 0 {
                break;
            }
        }
        hash.finalize()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Made { .. } => "made",
            Source::Kept(_) => "kept",
            Source::Joined(_) => "joined",
            Source::Forgotten => "forgotten",
        };
        f.debug_struct("Content").field("source", &source).field("size", &self.size).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The `ETag` of a multi-part upload, from the MD5s of its parts.
pub(super) fn tag_of(parts: impl Iterator<Item = [u8; 16]>) -> String {
    let (mut all, mut count) = (Md5::new(), 0_u32);
    for part in parts {
        all.update(part);
        count += 1;
    }
    format!("{}-{count}", hex::encode(all.finalize()))
}

/// Size and the first bytes, which content that was not kept has none of.
type Shelf = (u64, Option<[u8; HEAD]>);

/// All content there is, so that equal bytes are one content.
#[derive(Debug, Default)]
pub(super) struct Library {
    shelves: HashMap<Shelf, Vec<Arc<Content>>>,
}

impl Library {
    /// The content of a file first created at `path`.
    pub(super) fn made(&mut self, path: &str, size: u64) -> Arc<Content> {
        let content = Arc::new(Content::made(path, size));
        let alike = self.shelves.entry(content.shelf()).or_default();
        if let Some(known) = alike.iter().find(|known| known.seed() == content.seed()) {
            return Arc::clone(known);
        }
        // Hardly ever more than one.
        alike.reserve_exact(1);
        alike.push(Arc::clone(&content));
        content
    }

    /// Content of that size that starts like `head`: hardly ever more than one.
    pub(super) fn alike(&self, size: u64, head: &[u8]) -> Vec<Arc<Content>> {
        self.shelves.get(&(size, start_of(size, head))).cloned().unwrap_or_default()
    }

    /// Adds content that is not known.
    pub(super) fn add(&mut self, content: &Arc<Content>) {
        self.shelves.entry(content.shelf()).or_default().push(Arc::clone(content));
    }
}

/// How many of the first bytes tell contents apart before their MD5 does.
pub(super) const HEAD: usize = 8;

/// The first bytes, with zeros behind what is shorter; none where there should be some.
fn start_of(size: u64, head: &[u8]) -> Option<[u8; HEAD]> {
    let mut start = [0; HEAD];
    start.iter_mut().zip(head).for_each(|(byte, first)| *byte = *first);
    (size == 0 || !head.is_empty()).then_some(start)
}

impl Content {
    fn shelf(&self) -> Shelf {
        (self.size, start_of(self.size, &self.head()))
    }

    fn head(&self) -> Vec<u8> {
        let length = usize::try_from(self.size).unwrap_or(HEAD).min(HEAD);
        match &self.source {
            Source::Made { seed } => noise(*seed, 0, length).to_vec(),
            Source::Kept(bytes) => bytes.get(..length).unwrap_or_default().to_vec(),
            Source::Joined(_) => self.first(length),
            Source::Forgotten => Vec::new(),
        }
    }

    /// The first bytes, which may be those of several pieces.
    fn first(&self, length: usize) -> Vec<u8> {
        let mut first = Vec::with_capacity(length);
        while first.len() < length {
            let chunk = self.chunk(first.len() as u64);
            if chunk.is_empty() {
                break;
            }
            first.extend(chunk.iter().take(length - first.len()));
        }
        first
    }

    const fn seed(&self) -> Option<u64> {
        match self.source {
            Source::Made { seed } => Some(seed),
            Source::Kept(_) | Source::Joined(_) | Source::Forgotten => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::noise::BLOCK;

    fn read(content: &Content) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let chunk = content.chunk(all.len() as u64);
            if chunk.is_empty() {
                return all;
            }
            all.extend_from_slice(&chunk);
        }
    }

    #[test]
    fn bytes_are_made_from_the_path_alone() {
        let size = CHUNK as u64 * 2 + 4097;
        let one = Content::made("/a", size);
        let bytes = read(&one);
        assert_eq!(bytes.len() as u64, size);
        assert_eq!(bytes, read(&Content::made("/a", size)));
        assert_ne!(bytes, read(&Content::made("/b", size)));
        assert_ne!(bytes[..BLOCK], bytes[BLOCK..2 * BLOCK]);
        assert_eq!(one.md5(), <[u8; 16]>::from(Md5::digest(&bytes)));
    }

    #[test]
    fn tags_say_their_parts() {
        let content = Content::made("/a", 10_000);
        assert!(!content.knows_etag(&Parts::Equal(2)));
        let tag = content.etag(&Parts::Equal(2));
        assert!(content.knows_etag(&Parts::Equal(2)));
        let bytes = read(&content);
        let parts = [Md5::digest(&bytes[..5000]), Md5::digest(&bytes[5000..])].concat();
        assert_eq!(tag, format!("{}-2", hex::encode(Md5::digest(&parts))));
        assert_eq!(Content::made("/e", 0).etag(&Parts::ONE), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn what_is_joined_reads_as_one() {
        let (a, b) = (Arc::new(Content::made("/a", 1_000_000)), Arc::new(Content::made("/b", 3)));
        let piece =
            |content: &Arc<Content>, start, size| Extent { content: Arc::clone(content), start, size };
        let joined =
            Content::joined(vec![piece(&b, 0, 3), piece(&a, 5, 600_000), piece(&a, 9, 0), piece(&b, 1, 1)]);
        let (a, b) = (read(&a), read(&b));
        let expected = [&b[..], &a[5..600_005], &b[1..2]].concat();
        assert_eq!((joined.size(), read(&joined)), (600_004, expected.clone()));
        assert_eq!(joined.md5(), <[u8; 16]>::from(Md5::digest(&expected)));
        assert_eq!(joined.hash(2, 400_000), <[u8; 16]>::from(Md5::digest(&expected[2..400_000])));
        assert_eq!(joined.head(), expected[..HEAD]);
    }

    #[test]
    fn equal_bytes_are_found_again() {
        let mut library = Library::default();
        let made = library.made("/a", 100);
        let bytes = read(&made);
        assert_eq!(library.alike(100, &bytes[..HEAD]).len(), 1);
        assert!(library.alike(100, b"otherwis").is_empty());
        assert!(Arc::ptr_eq(&made, &library.made("/a", 100)));
        assert_eq!(library.made("/empty", 0).size(), 0);
        assert_eq!(library.alike(0, b"").len(), 1);
    }
}
