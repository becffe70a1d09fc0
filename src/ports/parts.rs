//! The arithmetic of uploads in parts: where parts begin and end, and what tag the whole gets.

use std::ops::Range;

use md5::{Digest as _, Md5};

use super::{
    error::Result,
    objects::{Access, ObjectLocation, ObjectStore, PartTag, Parts},
};
use crate::domain::file::ETag;

/// The most parts that an object has (S3).
pub const MOST_PARTS: u64 = 10_000;
/// The least that a part other than the last holds (S3).
pub const LEAST_BYTES: u64 = 5 << 20;
/// The most that a part holds (S3).
pub const MOST_BYTES: u64 = 5 << 30;

const MIB: u64 = 1 << 20;

/// An object cut into parts that are all of one size, but for a shorter last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    part: u64,
}

impl Plan {
    /// Parts of `wanted` bytes, or of so much more that S3 takes them all.
    #[must_use]
    pub fn new(size: u64, wanted: u64) -> Self {
        let least = size.div_ceil(MOST_PARTS).div_ceil(MIB) * MIB;
        Self { size, part: wanted.clamp(LEAST_BYTES, MOST_BYTES).max(least) }
    }

    /// The parts that an object of that size has, if they are all of one size.
    #[must_use]
    pub fn like(size: u64, parts: Parts) -> Option<Self> {
        let fits = (LEAST_BYTES..=MOST_BYTES).contains(&parts.first) || parts.count == 1;
        let one_size = parts.first > 0 && size.div_ceil(parts.first) == u64::from(parts.count);
        (fits && one_size && u64::from(parts.count) <= MOST_PARTS).then_some(Self { size, part: parts.first })
    }

    /// The parts that an object of that size and number of parts most likely has: those of the tools
    /// that write such objects. A guess; it decides only whether the copy gets the same `ETag`.
    #[must_use]
    pub fn guess(size: u64, count: u32) -> Option<Self> {
        const USUAL: [u64; 14] = [8, 16, 5, 10, 15, 25, 32, 50, 64, 100, 128, 256, 512, 1024];
        let even = size.div_ceil(u64::from(count).max(1)).div_ceil(MIB);
        let sizes = USUAL.into_iter().chain([even]).map(|mib| mib * MIB);
        sizes.map(|first| Parts { count, first }).find_map(|parts| Self::like(size, parts))
    }

    /// How many bytes a part holds.
    #[must_use]
    pub const fn part_bytes(self) -> u64 {
        self.part
    }

    /// Number and bytes of each part, from 1 on. An empty object has one empty part.
    pub fn ranges(self) -> impl Iterator<Item = (u32, Range<u64>)> + Send {
        let Self { size, part } = self;
        let starts = (0..).map(move |n: u64| n * part).take_while(move |start| *start == 0 || *start < size);
        (1..).zip(starts.map(move |start| start..size.min(start + part)))
    }
}

/// Number and bytes of each part of these sizes, from 1 on; `None` where they are not those of an object of
/// that size, or S3 would not take them.
#[must_use]
pub fn cut(size: u64, sizes: &[u64]) -> Option<Vec<(u32, Range<u64>)>> {
    let (last, others) = sizes.split_last()?;
    let fits = others.iter().all(|part| (LEAST_BYTES..=MOST_BYTES).contains(part)) && *last <= MOST_BYTES;
    let (mut end, mut cuts) = (0_u64, Vec::with_capacity(sizes.len()));
    for (number, part) in (1..).zip(sizes) {
        let start = end;
        end = start.checked_add(*part)?;
        cuts.push((number, start..end));
    }
    (fits && end == size && sizes.len() as u64 <= MOST_PARTS).then_some(cuts)
}

/// The number of parts that an `ETag` speaks of; `None` when it is not that of an upload in parts.
#[must_use]
pub fn count(etag: &ETag) -> Option<u32> {
    let (_, count) = etag.as_str().rsplit_once('-').filter(|_| etag.is_multipart())?;
    count.parse().ok()
}

/// The tag that S3 gives to an object of these parts, where theirs are MD5s.
#[must_use]
pub fn joined(parts: &[PartTag]) -> Option<ETag> {
    let mut hash = Md5::new();
    for part in parts {
        let md5 = part.etag.md5().filter(|_| part.is_md5)?;
        hash.update(hex::decode(md5).ok()?);
    }
    Some(ETag::new(&format!("{}-{}", hex::encode(hash.finalize()), parts.len())))
}

/// Whether an upload that is not there any more was completed as it was meant: an answer may have been lost. Of parts
/// whose tags are no MD5s that cannot be told.
///
/// # Errors
///
/// The look at the object may fail.
pub async fn is_completed(
    objects: &dyn ObjectStore,
    to: &ObjectLocation,
    parts: &[PartTag],
    access: &Access,
) -> Result<bool> {
    let Some(meant) = joined(parts) else { return Ok(false) };
    let there = objects.look(to, access).await?;
    Ok(there.is_some_and(|there| there.etag == Some(meant)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(count: u32, first: u64) -> Parts {
        Parts { count, first }
    }

    #[test]
    fn parts_grow_with_the_object() {
        const GIB: u64 = 1 << 30;
        assert_eq!(Plan::new(6 * GIB, 16 * MIB).part_bytes(), 16 * MIB);
        assert_eq!(Plan::new(5 * 1024 * GIB, 16 * MIB).part_bytes(), 525 * MIB);
        assert_eq!(Plan::new(1, 1).part_bytes(), LEAST_BYTES);
        let all: Vec<_> = Plan::new(33 * MIB, 16 * MIB).ranges().collect();
        assert_eq!(all, [(1, 0..16 * MIB), (2, 16 * MIB..32 * MIB), (3, 32 * MIB..33 * MIB)]);
        assert_eq!(Plan::new(0, 16 * MIB).ranges().collect::<Vec<_>>(), [(1, 0..0)]);
        assert_eq!(Plan::new(32 * MIB, 16 * MIB).ranges().count(), 2);
    }

    #[test]
    fn a_source_is_cut_where_it_was_cut() {
        let like = |size, of| Plan::like(size, of).map(Plan::part_bytes);
        assert_eq!(like(20 * MIB, parts(3, 8 * MIB)), Some(8 * MIB));
        assert_eq!(like(20 * MIB, parts(2, 8 * MIB)), None, "the second was larger");
        assert_eq!(like(7, parts(1, 7)), Some(7));
        assert_eq!(like(20, parts(3, 8)), None, "S3 would not take that");
        assert_eq!(like(0, parts(1, 0)), None);
    }

    #[test]
    fn parts_of_any_sizes_are_cut_where_s3_takes_them() {
        let sizes = [6 * MIB, 5 * MIB, 5 * MIB, 1];
        let cuts = cut(16 * MIB + 1, &sizes).unwrap();
        assert_eq!((cuts.len(), cuts[1].clone(), cuts[3].1.end), (4, (2, 6 * MIB..11 * MIB), 16 * MIB + 1));
        assert_eq!(cut(0, &[0]).unwrap(), [(1, 0..0)]);
        assert_eq!(cut(16 * MIB, &sizes), None, "another object");
        assert_eq!(cut(6 * MIB, &[MIB, 5 * MIB]), None, "S3 would not take that");
        assert_eq!((cut(0, &[]), cut(1, &[1, u64::MAX])), (None, None));
    }

    #[test]
    fn usual_sizes_are_guessed() {
        let guess = |size, count| Plan::guess(size, count).map(|plan| plan.part_bytes() / MIB);
        assert_eq!(guess(20 * MIB, 3), Some(8));
        assert_eq!(guess(20 * MIB, 2), Some(16));
        assert_eq!(guess(6 * 1024 * MIB, 2), Some(3072));
        assert_eq!(guess(20 * MIB, 7), None);
        assert_eq!(guess(0, 1), None);
    }

    #[test]
    fn tags_are_joined_as_s3_does() {
        let tag = |number, text: &str, is_md5| PartTag { number, etag: ETag::new(text), is_md5, crc32: None };
        let empty = "d41d8cd98f00b204e9800998ecf8427e";
        let one = joined(&[tag(1, empty, true)]).unwrap();
        assert_eq!(one.as_str(), "59adb24ef3cdbe0297f05b395827453f-1");
        assert_eq!((count(&one), count(&ETag::new(empty))), (Some(1), None));
        assert_eq!(joined(&[tag(1, empty, true), tag(2, empty, false)]), None);
    }

    proptest! {
        #[test]
        fn ranges_cover_the_object_once(size in 0u64..(6 << 40), wanted in 0u64..(6 << 30)) {
            let plan = Plan::new(size, wanted);
            let (mut end, mut number) = (0, 0);
            for (n, range) in plan.ranges() {
                number += 1;
                prop_assert_eq!((n, range.start), (number, end));
                prop_assert!(range.end - range.start <= MOST_BYTES);
                end = range.end;
            }
            prop_assert_eq!(end, size);
            prop_assert!(u64::from(number) <= MOST_PARTS);
        }
    }
}
