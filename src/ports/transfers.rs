//! Bytes through this process: one GET into one PUT, or ranges into the parts of an upload.

use std::ops::Range;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::{
    error::{Class, Error, Result},
    objects::{Access, ObjectLocation, ObjectPut, PartTag, UploadId},
};
use crate::domain::file::ETag;

/// A presigned URL. Never shown: any holder can read or write the file.
pub type PresignedUrl = SecretString;

/// Where bytes are read.
#[derive(Debug, Clone)]
pub enum StreamSource {
    /// Behind a presigned URL.
    Url(PresignedUrl),
    /// In S3.
    Object(Box<ObjectSource>),
}

/// An object as a source.
#[derive(Debug, Clone)]
pub struct ObjectSource {
    /// Where it is.
    pub at: ObjectLocation,
    /// With whose rights it is read.
    pub access: Access,
    /// The `ETag` that it must have; with another it is another object, and `Conflict`.
    pub etag: Option<ETag>,
}

impl From<PresignedUrl> for StreamSource {
    fn from(url: PresignedUrl) -> Self {
        Self::Url(url)
    }
}

impl From<ObjectSource> for StreamSource {
    fn from(object: ObjectSource) -> Self {
        Self::Object(Box::new(object))
    }
}

/// What is streamed.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Where to read.
    pub from: StreamSource,
    /// Where to write, with one PUT (S3: at most 5 GiB).
    pub to: PresignedUrl,
    /// How many bytes there must be; sent as `Content-Length`.
    pub size: u64,
}

/// What an answer of S3 says of the object that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tagged {
    /// The object's `ETag`.
    pub etag: Option<ETag>,
    /// Whether the answer shows that a tag which looks like an MD5 is one. Its form does not: under KMS,
    /// or a customer's key, it is another text of 32 hex digits.
    pub is_md5: bool,
}

impl Tagged {
    /// The MD5 (hex) of the object's bytes, where the answer proves it.
    #[must_use]
    pub fn md5(&self) -> Option<&str> {
        self.etag.as_ref().filter(|_| self.is_md5)?.md5()
    }
}

/// What was written with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The `ETag` that the object got, where the answer says so.
    pub etag: Option<ETag>,
    /// The MD5 (hex) of the bytes that were read and sent.
    pub md5: String,
}

/// What is uploaded in parts.
#[derive(Debug, Clone)]
pub struct PartsUpload {
    /// Where to read, several ranges at a time.
    pub from: StreamSource,
    /// How many bytes there must be.
    pub size: u64,
    /// The source's `ETag`. When it speaks of parts, the destination gets the same ones if they can be
    /// known or guessed, and with them the same `ETag`.
    pub etag: Option<ETag>,
    /// The sizes of the source's parts, in order, where they are known.
    pub parts: Option<Vec<u64>>,
    /// Where to write.
    pub to: ObjectLocation,
    /// With whose rights.
    pub access: Access,
}

/// What becomes an object with one call.
#[derive(Debug, Clone)]
pub struct ObjectStream {
    /// Where to read.
    pub from: StreamSource,
    /// What is written, and where.
    pub put: ObjectPut,
    /// With whose rights.
    pub access: Access,
}

/// What becomes a part of an upload that the caller has begun, and will end.
#[derive(Debug, Clone)]
pub struct PartStream {
    /// Where to read.
    pub from: StreamSource,
    /// Which bytes of it; `None`: all of them.
    pub range: Option<Range<u64>>,
    /// How many bytes there must be.
    pub size: u64,
    /// The object that the upload is for.
    pub to: ObjectLocation,
    /// The upload.
    pub upload: UploadId,
    /// The number of the part, from 1.
    pub number: u32,
    /// With whose rights.
    pub access: Access,
}

/// Moves bytes.
#[async_trait]
pub trait Transfers: Send + Sync + std::fmt::Debug {
    /// Streams one file with bounded memory. The last bytes are held back until length and MD5
    /// agree, so that a wrong file is never completed at the destination: with the MD5 that the answer
    /// of the source proves ([`Tagged::md5`]), if it does. What the destination says of what it has
    /// stored is compared with what was sent in the same way. Ends early, as `Transient`, when `cut` is
    /// cancelled.
    ///
    /// `Invalid`: what was read is not what was promised (length or MD5).
    async fn stream(&self, stream: Stream, cut: &CancellationToken) -> Result<Sent>;

    /// What S3 says of the object behind a URL to read it, of whose bytes one is asked for at most.
    async fn look(&self, _url: &PresignedUrl) -> Result<Tagged> {
        Ok(Tagged::default())
    }

    /// Uploads one file in parts, several at a time, with memory that depends neither on the file's
    /// size nor on that of its parts; each part's MD5 is compared with the `ETag` that S3 gives it. The
    /// answer is the object's `ETag`.
    ///
    /// Nothing of an earlier attempt is used: uploads to the same key that this process has begun and not
    /// ended are aborted first, so one caller at a time may write to a key. Those of others are left
    /// alone. What fails, or is `cut` (`Transient`), is aborted, and nothing is at the destination that was
    /// not there before.
    ///
    /// `Invalid`: what was read is not what was promised.
    async fn upload_parts(&self, upload: PartsUpload, cut: &CancellationToken) -> Result<ETag>;

    /// Streams one file into an object, with one call and bounded memory; else like
    /// [`Transfers::stream`].
    ///
    /// `Conflict`: the precondition does not hold, or the source is another one.
    async fn stream_object(&self, _stream: ObjectStream, _cut: &CancellationToken) -> Result<Sent> {
        Err(Error::new(Class::Invalid, "stream object", "cannot be done here"))
    }

    /// Streams some bytes of a file into one part of an upload, once, with bounded memory; its MD5 is
    /// compared with the `ETag` that S3 gives it. What fails leaves no part.
    async fn stream_part(&self, _part: PartStream, _cut: &CancellationToken) -> Result<PartTag> {
        Err(Error::new(Class::Invalid, "stream part", "cannot be done here"))
    }
}
