//! Bytes made from a path: noise in blocks, any of which can be made without the ones before.

use bytes::Bytes;

/// The unit of made content.
pub(super) const BLOCK: usize = 4096;

/// `length` bytes from `offset` on: blocks of the same noise, each with its own number in front, so
/// that making bytes is mostly copying them.
pub(super) fn noise(seed: u64, offset: u64, length: usize) -> Bytes {
    let skipped = usize::try_from(offset % BLOCK as u64).unwrap_or_default();
    let wanted = skipped + length;
    let mut block = Vec::with_capacity(BLOCK);
    let mut state = seed;
    while block.len() < BLOCK.min(wanted) {
        state = state.wrapping_add(GOLDEN);
        block.extend_from_slice(&mix(state).to_le_bytes());
    }
    let mut out = Vec::with_capacity(wanted.next_multiple_of(BLOCK));
    let mut number = offset / BLOCK as u64;
    while out.len() < wanted {
        out.extend_from_slice(&mix(seed ^ number.wrapping_mul(GOLDEN)).to_le_bytes());
        out.extend_from_slice(block.get(8..).unwrap_or_default());
        number += 1;
    }
    Bytes::from(out).slice(skipped..wanted)
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finish of splitmix64.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a of the path, mixed. Nothing is nothing, wherever it was made.
pub(super) fn seed_of(path: &str, size: u64) -> u64 {
    if size == 0 {
        return 0;
    }
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    mix(path.bytes().fold(0xCBF2_9CE4_8422_2325, fnv))
}
