//! S3, as the engine sees it.
//!
//! # Contract
//! - Keys are exact; nothing in them is decoded or collapsed.
//! - Each call says with whose rights it is made: our own role's, or temporary credentials of
//!   ICAv2 for one folder. Credentials that have ended are `Unauthorized`.
//! - Small calls are tried again inside for a few seconds. What moves bytes is not; it may take as
//!   long as its bytes take, and is ended by dropping it.
//! - An error that S3 sends with status 200 is an error.
//! - `Conflict`: a precondition does not hold. `Forbidden` may hide that there is nothing: S3 says so
//!   to whoever may not list.

use std::{collections::BTreeMap, fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{error::Result, store::Page};
use crate::domain::file::ETag;

/// Bytes of an object, in order. An error ends them.
pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectLocation {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl ObjectLocation {
    /// A location.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// How objects that are written with temporary credentials are to be encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// `AES256`, or something with KMS in it.
    pub algorithm: String,
    /// The KMS key; none: the bucket's.
    pub key: Option<String>,
}

/// Temporary credentials for a part of a bucket. Not shown, but for where they lead.
#[derive(Clone)]
pub struct BucketAccess {
    /// The bucket.
    pub bucket: String,
    /// What keys start with; of a folder with `/` at its end, of a file the whole key.
    pub prefix: String,
    /// The bucket's region.
    pub region: String,
    /// The key's id.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: SecretString,
    /// The token that goes with it.
    pub session_token: SecretString,
    /// When they end.
    pub expires: Timestamp,
    /// How to encrypt what is written.
    pub encryption: Option<Encryption>,
}

impl BucketAccess {
    /// Where a file of that path below the prefix is.
    #[must_use]
    pub fn below(&self, path: &str) -> ObjectLocation {
        ObjectLocation { bucket: self.bucket.clone(), key: format!("{}{path}", self.prefix) }
    }
}

impl fmt::Debug for BucketAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, prefix, expires, .. } = self;
        write!(f, "BucketAccess(s3://{bucket}/{prefix} until {expires})")
    }
}

/// With whose rights a call is made.
#[derive(Debug, Clone)]
pub enum Access {
    /// Those of our own role.
    Own,
    /// Those that ICAv2 gave us.
    Temporary(BucketAccess),
}

/// The parts that an object was uploaded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// How many.
    pub count: u32,
    /// The size of the first. Nearly always that of all but the last.
    pub first: u64,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Its `ETag`.
    pub etag: Option<ETag>,
    /// Whether an `ETag` that looks like an MD5 is none, because the object is encrypted with KMS; only
    /// from `head`.
    pub opaque: bool,
    /// When it was last written.
    pub modified: Option<Timestamp>,
    /// Its storage class; `None`: `STANDARD`.
    pub storage_class: Option<String>,
    /// Whether it must be restored before it can be read.
    pub archived: bool,
    /// Its parts, where it has several and `head` was asked.
    pub parts: Option<Parts>,
    /// Its content type; only from `head`.
    pub content_type: Option<String>,
    /// Its own metadata; only from `head`.
    pub metadata: BTreeMap<String, String>,
}

/// An object that is being read.
pub struct ObjectBody {
    /// How many bytes follow.
    pub size: Option<u64>,
    /// The bytes.
    pub bytes: ByteStream,
}

impl fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBody").field("size", &self.size).finish_non_exhaustive()
    }
}

/// What must hold at the destination of a write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// There is no object.
    Absent,
    /// There is the object with that `ETag`.
    Matches(ETag),
}

/// A copy inside S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCopy {
    /// What to copy.
    pub from: ObjectLocation,
    /// Where to.
    pub to: ObjectLocation,
    /// Its size.
    pub size: u64,
    /// The source must still have that `ETag`.
    pub etag: Option<ETag>,
    /// The source's parts: with them the copy is made in the same parts and gets the same `ETag`.
    pub parts: Option<Parts>,
    /// What must hold at the destination.
    pub precondition: Precondition,
}

/// An upload in parts that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId(pub String);

/// What S3 said about a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartTag {
    /// Its number, from 1.
    pub number: u32,
    /// Its `ETag`.
    pub etag: ETag,
    /// Whether the tag is the MD5 of its bytes: not so under SSE-KMS.
    pub is_md5: bool,
}

/// Uploads in parts. Between `begin` and `complete` (or `abort`) nothing can be seen at the key, but
/// the parts are paid for.
#[async_trait]
pub trait PartUploads: Send + Sync + fmt::Debug {
    /// Begins an upload.
    async fn begin(&self, to: &ObjectLocation, access: &Access) -> Result<UploadId>;

    /// Uploads a part of exactly `size` bytes; a body that ends with an error leaves no part. Not tried
    /// again inside: a body can be read once. A part of the same number replaces it.
    async fn put_part(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        number: u32,
        size: u64,
        bytes: ByteStream,
        access: &Access,
    ) -> Result<PartTag>;

    /// Makes the object of its parts, which must be in order. `NotFound` when there is no such upload:
    /// aborted, or completed before.
    async fn complete(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        parts: &[PartTag],
        precondition: &Precondition,
        access: &Access,
    ) -> Result<ETag>;

    /// Drops an upload with its parts; one that is not there is fine.
    async fn abort(&self, to: &ObjectLocation, upload: &UploadId, access: &Access) -> Result<()>;

    /// Uploads to exactly that key that were begun and not ended.
    async fn unfinished(&self, to: &ObjectLocation, access: &Access) -> Result<Vec<UploadId>>;
}

/// S3.
#[async_trait]
pub trait ObjectStore: PartUploads {
    /// What is known about an object, with its parts; `None` when there is none.
    async fn head(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>>;

    /// Objects whose keys start with `prefix`, at any depth, in order, a page at a time.
    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        access: &Access,
    ) -> Result<Page<ObjectInfo>>;

    /// Opens an object, or a range of its bytes; with `etag`, only if it still has that.
    async fn get(
        &self,
        at: &ObjectLocation,
        range: Option<Range<u64>>,
        etag: Option<&ETag>,
        access: &Access,
    ) -> Result<ObjectBody>;

    /// Copies an object, without its bytes passing here, with content type and metadata: with one call
    /// up to 5 GiB, else (or where [`ObjectCopy::parts`] asks for it) in parts. What was begun and
    /// failed is aborted; what is dropped stays behind, see [`PartUploads::unfinished`]. The answer is the new object's `ETag`.
    async fn copy(&self, copy: &ObjectCopy, access: &Access) -> Result<ETag>;

    /// Deletes an object; one that is not there is fine.
    async fn delete(&self, at: &ObjectLocation, access: &Access) -> Result<()>;
}
