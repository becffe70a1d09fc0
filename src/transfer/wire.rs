//! The seam below streams: reading and writing presigned URLs. Implemented over the network by
//! reqwest; tests put the simulator's router behind it.

use std::ops::Range;

use async_trait::async_trait;

use crate::ports::{Class, Error, Result, objects::ByteStream, transfers::PresignedUrl};

/// Chunks of a body. An error ends it; a PUT whose body ends so must not be completed.
pub type Body = ByteStream;

/// What errors about a presigned URL call it.
pub(super) const GET: &str = "GET presigned URL";
/// The same, for writing.
pub(super) const PUT: &str = "PUT presigned URL";

/// Reads and writes presigned URLs.
#[async_trait]
pub trait Wire: Send + Sync + std::fmt::Debug {
    /// Opens a GET: the length that was announced, and the body.
    async fn get(&self, url: &PresignedUrl) -> Result<(Option<u64>, Body)>;

    /// Opens a GET of a range that is not empty. Who cannot is of no use to large files.
    async fn get_range(&self, _url: &PresignedUrl, _range: Range<u64>) -> Result<(Option<u64>, Body)> {
        Err(Error::new(Class::Invalid, GET, "ranges cannot be read here"))
    }

    /// PUTs a body of exactly `length` bytes (`Content-Type: application/octet-stream`). An error says
    /// whether the file may be there nevertheless, supposing that the whole body was sent.
    async fn put(&self, url: &PresignedUrl, length: u64, body: Body) -> Result<()>;
}
