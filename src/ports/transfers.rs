//! Bytes through this process: one GET into one PUT.

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::error::Result;

/// A presigned URL. Never shown: whoever has it can read or write the file.
pub type PresignedUrl = SecretString;

/// What is streamed.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Where to read.
    pub from: PresignedUrl,
    /// Where to write, with one PUT (S3: at most 5 GiB).
    pub to: PresignedUrl,
    /// How many bytes there must be; sent as `Content-Length`.
    pub size: u64,
    /// The MD5 (hex) that the bytes must have, where it is known.
    pub md5: Option<String>,
}

/// Moves bytes.
#[async_trait]
pub trait Transfers: Send + Sync + std::fmt::Debug {
    /// Streams one file with bounded memory. The last bytes are held back until length and MD5
    /// agree, so that a wrong file is never completed at the destination. Ends early, as
    /// `Transient`, when `cut` is cancelled.
    ///
    /// `Invalid`: what was read is not what was promised (length or MD5).
    async fn stream(&self, stream: Stream, cut: &CancellationToken) -> Result<()>;
}
