//! Bytes that arrive, and the content they are.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use md5::{Digest as _, Md5};

use super::{
    HASHED_AT_ONCE, Simulator,
    content::{Content, HEAD, KEPT_BYTES},
};

/// What has arrived.
#[derive(Debug)]
pub(super) struct Upload {
    /// The first bytes, which tell most contents apart.
    pub(super) head: Vec<u8>,
    pub(super) kept: Option<Bytes>,
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    pub(super) crc32: u32,
}

/// The stream broke, or was not as long as announced.
#[derive(Debug, thiserror::Error)]
#[error("the bytes are not as many as announced")]
pub(super) struct Incomplete;

impl Upload {
    /// Reads a body to its end.
    pub(super) async fn receive<E>(
        simulator: &Simulator,
        announced: Option<u64>,
        keep: bool,
        chunks: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Self, Incomplete> {
        let (mut hash, mut head, mut size) = (Md5::new(), Vec::with_capacity(HEAD), 0_u64);
        let mut crc = flate2::Crc::new();
        let mut kept = keep.then(Vec::new);
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Incomplete)?;
            size += chunk.len() as u64;
            simulator.with(|state| state.stats.bytes_in += chunk.len() as u64);
            if announced.is_some_and(|announced| size > announced) {
                return Err(Incomplete);
            }
            head.extend(chunk.iter().take(HEAD - head.len()));
            hash.update(&chunk);
            crc.update(&chunk);
            // How much comes need not have been announced.
            kept = kept.filter(|_| size <= KEPT_BYTES);
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(&chunk);
            }
        }
        if announced.is_some_and(|announced| size < announced) {
            return Err(Incomplete);
        }
        Ok(Self { head, kept: kept.map(Bytes::from), size, md5: hash.finalize().into(), crc32: crc.sum() })
    }

    /// Known content becomes a reference; the rest is kept.
    pub(super) async fn content(self, simulator: &Simulator) -> Arc<Content> {
        let Self { head, kept, size, md5, .. } = self;
        let mut alike = simulator.with(|state| state.library.alike(size, &head));
        if kept.is_none() {
            // What was too large to keep was shelved without its first bytes.
            alike.extend(simulator.with(|state| state.library.alike(size, &[])));
        }
        // Quick where the content has been asked about before, and long where it has not.
        let search = move || alike.into_iter().find(|content| content.md5() == md5);
        let known = if size <= HASHED_AT_ONCE {
            search()
        } else {
            tokio::task::spawn_blocking(search).await.ok().flatten()
        };
        known.unwrap_or_else(|| {
            let content = Arc::new(Content::uploaded(kept, size, md5));
            simulator.with(|state| state.library.add(&content));
            content
        })
    }
}
