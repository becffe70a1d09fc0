//! Multi-part uploads that are not complete.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::store::About;
use crate::simulator::{
    content::{Content, Extent, KEPT_BYTES, tag_of},
    parts::Parts,
};

/// All of them by id.
pub(super) type Uploads = HashMap<String, Upload>;

/// One upload.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) about: Arc<About>,
    pub(super) started: Timestamp,
    pub(super) parts: BTreeMap<i32, Part>,
    /// Whether it was begun with a CRC32 for each part.
    pub(super) crc32: bool,
    /// Bytes held here and nowhere else.
    held: u64,
}

/// One part: bytes that were sent, or a range of an object.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) piece: Extent,
    pub(super) md5: [u8; 16],
    /// The first bytes, by which known content is found when the bytes are not kept.
    pub(super) head: Vec<u8>,
    pub(super) at: Timestamp,
    /// Its CRC32 in base64, where its upload has some.
    pub(super) crc32: Option<String>,
    /// Whether the bytes are held here and nowhere else.
    pub(super) held: bool,
}

impl Upload {
    pub(super) fn new(bucket: String, key: String, about: Arc<About>, started: Timestamp) -> Self {
        Self { bucket, key, about, started, parts: BTreeMap::new(), crc32: false, held: 0 }
    }

    /// Whether that many more bytes would be kept.
    pub(super) const fn keeps(&self, more: u64) -> bool {
        self.held.saturating_add(more) <= KEPT_BYTES
    }

    /// Takes a part, instead of the one that had its number.
    pub(super) fn put(&mut self, number: i32, part: Part) {
        if part.held {
            self.held = self.held.saturating_add(part.piece.size);
        }
        if let Some(before) = self.parts.insert(number, part).filter(|part| part.held) {
            self.held = self.held.saturating_sub(before.piece.size);
        }
        if !self.keeps(0) {
            // Known content is still found by the MD5s of its parts.
            for part in self.parts.values_mut().filter(|part| part.held) {
                part.piece.content = Arc::new(Content::uploaded(None, part.piece.size, part.md5));
            }
        }
    }
}

/// What the parts are together, in which parts that came, and whether it is new. `alike` is known content of that size
/// that starts like it. Hashes what was not hashed before.
pub(super) fn assemble(parts: &[Part], alike: &[Arc<Content>]) -> (Arc<Content>, Parts, bool) {
    let layout = Parts::uploaded(parts.iter().map(|part| part.piece.size).collect());
    let content = whole(parts).or_else(|| alike.iter().find(|known| consists_of(known, parts)).cloned());
    let new = content.is_none();
    let content = content.unwrap_or_else(|| {
        let pieces = parts.iter().map(|part| part.piece.clone());
        if parts.iter().all(|part| part.piece.content.is_readable()) {
            return Arc::new(Content::joined(pieces.collect()));
        }
        let size = parts.iter().map(|part| part.piece.size).sum();
        // The MD5 of bytes that came in any order and were not kept cannot be computed.
        let stand_in = <md5::Md5 as md5::Digest>::digest(tag_of(parts.iter().map(|part| part.md5)));
        Arc::new(Content::uploaded(None, size, stand_in.into()))
    });
    content.tagged(layout.clone(), tag_of(parts.iter().map(|part| part.md5)));
    (content, layout, new)
}

/// The content of which the parts are all there is, in order.
fn whole(parts: &[Part]) -> Option<Arc<Content>> {
    let content = &parts.first()?.piece.content;
    let mut end = 0;
    for Part { piece, .. } in parts {
        if !Arc::ptr_eq(&piece.content, content) || piece.start != end {
            return None;
        }
        end += piece.size;
    }
    (end == content.size() && !parts.iter().any(|part| part.held)).then(|| Arc::clone(content))
}

fn consists_of(known: &Content, parts: &[Part]) -> bool {
    let mut start = 0;
    known.is_readable()
        && parts.iter().all(|part| {
            start += part.piece.size;
            known.hash(start - part.piece.size, start) == part.md5
        })
}

/// The first bytes of the whole.
pub(super) fn head(parts: &[Part]) -> Vec<u8> {
    let bytes = parts.iter().flat_map(|part| part.head.iter().copied());
    bytes.take(crate::simulator::content::HEAD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// An upload of content in parts of 30 MiB, sent or copied.
    fn sent(content: &Arc<Content>, held: bool) -> (Upload, Vec<Part>) {
        let mut upload = Upload::new("b".to_owned(), "k".to_owned(), Arc::default(), Timestamp::UNIX_EPOCH);
        for (number, start) in (1..).zip((0..content.size()).step_by(30 * 1024 * 1024)) {
            let size = (content.size() - start).min(30 * MIB);
            let piece = Extent { content: Arc::clone(content), start, size };
            let md5 = content.hash(start, start + size);
            let first = content.chunk(start).slice(..crate::simulator::content::HEAD).to_vec();
            upload
                .put(number, Part { piece, md5, head: first, at: Timestamp::UNIX_EPOCH, crc32: None, held });
        }
        let parts = upload.parts.values().cloned().collect();
        (upload, parts)
    }

    #[test]
    fn what_is_too_much_to_keep_is_found_again_by_its_parts() {
        let known = Arc::new(Content::made("/a", 70 * MIB));
        let (upload, parts) = sent(&known, true);
        assert!(!upload.keeps(0));
        assert!(parts.iter().all(|part| !part.piece.content.is_readable()));
        assert_eq!(head(&parts), known.chunk(0)[..crate::simulator::content::HEAD]);
        let (content, layout, new) = assemble(&parts, std::slice::from_ref(&known));
        assert!(Arc::ptr_eq(&content, &known) && !new);
        assert_eq!(layout.count(), 3);
        assert_eq!(content.etag(&layout), tag_of(parts.iter().map(|part| part.md5)));
        let (unknown, layout, new) = assemble(&parts, &[]);
        assert!(!unknown.is_readable() && new);
        assert_eq!((unknown.size(), unknown.etag(&layout)), (70 * MIB, known.etag(&layout)));
    }

    #[test]
    fn a_whole_copied_by_parts_is_the_whole() {
        let known = Arc::new(Content::made("/a", 70 * MIB));
        let (upload, mut parts) = sent(&known, false);
        assert!(upload.keeps(64 * MIB));
        let (content, ..) = assemble(&parts, &[]);
        assert!(Arc::ptr_eq(&content, &known));
        parts.swap(0, 1);
        let (content, _, new) = assemble(&parts, &[]);
        assert!(new && content.is_readable() && !Arc::ptr_eq(&content, &known));
    }

    #[test]
    fn a_part_sent_again_counts_once() {
        let content = Arc::new(Content::made("/a", 40 * MIB));
        let (mut upload, parts) = sent(&content, true);
        for _ in 0..5 {
            upload.put(1, parts[0].clone());
        }
        assert!(upload.keeps(24 * MIB) && !upload.keeps(24 * MIB + 1));
    }
}
