//! In which parts the bytes of a file came.

use std::sync::Arc;

/// What S3 calls encryption with keys of KMS.
pub(super) const KMS: &str = "aws:kms";

/// The parts of a file, from which its `ETag` follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Parts {
    /// So many of equal size; the last may be smaller. One is a single PUT.
    Equal(u32),
    /// A multi-part upload in parts of these sizes.
    Sizes(Arc<[u64]>),
    /// The same, encrypted with KMS: the tag is no MD5, and another for each write, which has a number.
    Sealed(u64, Arc<Self>),
}

impl Parts {
    /// A single PUT.
    pub(super) const ONE: Self = Self::Equal(1);

    /// The parts of a multi-part upload, which may be one alone.
    pub(super) fn uploaded(sizes: Vec<u64>) -> Self {
        let equal = Self::Equal(u32::try_from(sizes.len()).unwrap_or(u32::MAX));
        let size = sizes.iter().sum();
        let same =
            sizes.len() > 1 && equal.bounds(size).map(|(start, end)| end - start).eq(sizes.iter().copied());
        // One way to say the same, so that the `ETag`s made for one are found by the other.
        if same { equal } else { Self::Sizes(sizes.into()) }
    }

    /// Whether they came by a multi-part upload.
    pub(super) fn is_multipart(&self) -> bool {
        !matches!(self.open(), Self::Equal(0 | 1))
    }

    /// The parts without their encryption.
    pub(super) fn open(&self) -> &Self {
        match self {
            Self::Sealed(_, parts) => parts.open(),
            Self::Equal(_) | Self::Sizes(_) => self,
        }
    }

    /// How what came so is encrypted, as S3 says it.
    pub(super) const fn encryption(&self) -> &'static str {
        match self {
            Self::Sealed(..) => KMS,
            Self::Equal(_) | Self::Sizes(_) => "AES256",
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        match self {
            Self::Equal(number) => *number,
            Self::Sizes(sizes) => u32::try_from(sizes.len()).unwrap_or(u32::MAX),
            Self::Sealed(_, parts) => parts.count(),
        }
    }

    /// Where each starts and ends in a file of that size.
    pub(super) fn bounds(&self, size: u64) -> impl Iterator<Item = (u64, u64)> {
        let mut start = 0;
        let open = self.open();
        (0..self.count()).map(move |number| {
            let length = match open {
                Self::Sealed(..) => 0,
                Self::Equal(count) => equal(size, u64::from(*count), u64::from(number)),
                Self::Sizes(sizes) => sizes.get(number as usize).copied().unwrap_or_default(),
            };
            start += length;
            (start - length, start)
        })
    }
}

/// The size of a part among so many of equal size.
fn equal(size: u64, count: u64, number: u64) -> u64 {
    let part = size.div_ceil(count);
    if part * (count - 1) < size || size == 0 {
        return part.min(size.saturating_sub(part * number));
    }
    // Rounding up would leave nothing for the last ones.
    size / count + u64::from(number < size % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_file() {
        for (size, count) in [(0, 1), (1, 1), (10, 6), (300_000, 3), (5001, 5), (7, 7), (100, 8)] {
            let bounds: Vec<_> = Parts::Equal(count).bounds(size).collect();
            assert_eq!(bounds.len(), count as usize);
            assert_eq!((bounds[0].0, bounds[bounds.len() - 1].1), (0, size));
            assert!(bounds.windows(2).all(|pair| pair[0].1 == pair[1].0), "{bounds:?}");
            assert!(size == 0 || bounds.iter().all(|(start, end)| start < end), "{bounds:?}");
        }
    }

    #[test]
    fn one_layout_has_one_name() {
        assert_eq!(Parts::uploaded(vec![4, 4, 2]), Parts::Equal(3));
        assert_eq!(Parts::uploaded(vec![4, 2, 4]).count(), 3);
        assert!(!Parts::ONE.is_multipart());
        let alone = Parts::uploaded(vec![4]);
        assert_ne!(alone, Parts::ONE);
        assert!(alone.is_multipart());
        assert_eq!(alone.bounds(4).collect::<Vec<_>>(), [(0, 4)]);
    }
}
