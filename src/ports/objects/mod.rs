//! S3, as the engine sees it.
//!
//! # Contract
//! - Keys are exact; nothing in them is decoded or collapsed.
//! - Each call says with whose rights it is made: our own role's, or temporary credentials of
//!   ICAv2 for one folder. Credentials that have ended are `Unauthorized`.
//! - Small calls are tried again inside for a few seconds. What moves bytes is not, nor are copies, so
//!   that the caller, which paces them, sees every `SlowDown`. Both may take as long as their bytes take,
//!   and are ended by dropping them.
//! - An error that S3 sends with status 200 is an error.
//! - An answer to a call that only reads, and that cannot be read again and again, is `Invalid`.
//! - The owner of a bucket may let its callers pay (`s3.requester_pays`): calls say that we do.
//! - Errors carry S3's code: `NoSuchBucket`, `InvalidObjectState`, `SlowDown`, … The answer to a HEAD has
//!   none, so its status is named: 403 `AccessDenied`, 412 `PreconditionFailed`.
//! - A bucket in another region is found there unless [`Access`] says where it is; only `put` is not sent on.
//! - `Conflict`: a precondition does not hold. That another operation on the key is under way (409) is
//!   `Transient`, and so is a clock that is off. `Forbidden` may hide that there is nothing: S3 says so
//!   to a caller that may not list.

mod access;

use std::{collections::BTreeMap, fmt, ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

pub use self::access::{Access, BucketAccess, Encryption, Endpoint, EndpointKeys, ObjectLocation, Presigned};
use super::{
    error::{Class, Error, Result},
    store::Page,
};
use crate::domain::file::ETag;

/// Bytes of an object, in order. An error ends them.
pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

/// The parts that an object was uploaded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// How many.
    pub count: u32,
    /// The size of the first. Nearly always that of all but the last.
    pub first: u64,
}

/// The headers about its content that an object keeps, as they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`.
    pub expires: Option<String>,
}

/// What became of a request to restore an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// It is under way.
    Ongoing,
    /// The object can be read.
    Done {
        /// Until then; `None`: for good.
        until: Option<Timestamp>,
    },
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// The headers about its content; like all that follows, only from `head` and `look`.
    pub headers: ContentHeaders,
    /// Its own metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its checksums in base64, by algorithm (`SHA256`); those of checksums of parts end with `-` and
    /// the number of parts.
    pub checksums: BTreeMap<String, String>,
    /// The archive tier that an object of `INTELLIGENT_TIERING` went to: `ARCHIVE_ACCESS` or
    /// `DEEP_ARCHIVE_ACCESS`.
    pub archive_status: Option<String>,
    /// What became of a request to restore it.
    pub restore: Option<Restore>,
    /// How many tags it has; 0 also where we may not read them.
    pub tags: u32,
}

/// An object that is being read.
pub struct ObjectBody {
    /// How many bytes follow.
    pub size: Option<u64>,
    /// The object's `ETag`.
    pub etag: Option<ETag>,
    /// Whether a tag that looks like an MD5 is one: not so under KMS.
    pub is_md5: bool,
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

/// What goes with a write besides bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// The object's tags. A call that gives some needs the right to set tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// A canned ACL, as `bucket-owner-full-control`.
    pub acl: Option<String>,
    /// The account that must own the bucket, else `Forbidden`.
    pub expected_owner: Option<String>,
    /// Of an upload in parts: whether bytes are sent for its parts, and not copied. S3 takes checksums of
    /// them only where that was said.
    pub streamed: bool,
}

/// How to restore an archived object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRequest {
    /// For how many days; none for `INTELLIGENT_TIERING`, which restores for good.
    pub days: Option<u32>,
    /// `Bulk`, `Standard` or `Expedited`.
    pub tier: String,
}

/// A new object whose bytes come from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPut {
    /// Where to.
    pub to: ObjectLocation,
    /// Its size.
    pub size: u64,
    /// The object whose metadata and content headers it gets.
    pub like: Option<ObjectInfo>,
    /// What must hold at the destination.
    pub precondition: Precondition,
    /// What else goes with it.
    pub options: WriteOptions,
}

/// What becomes of the source's tags when [`WriteOptions::tags`] names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tagging {
    /// `CopyObject` copies them, and needs the right to; a copy in parts has none.
    #[default]
    Keep,
    /// The copy has none.
    Drop,
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
    /// What else goes with it.
    pub options: WriteOptions,
    /// What becomes of the source's tags.
    pub tagging: Tagging,
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
    /// Its CRC32 in base64, where S3 keeps one.
    pub crc32: Option<String>,
}

/// Uploads in parts. Between `begin` and `complete` (or `abort`) nothing can be seen at the key, but
/// the parts are paid for. Others may have uploads to the same key: only what `begin` has returned is ours,
/// and nothing else is ever aborted.
#[async_trait]
pub trait PartUploads: Send + Sync + fmt::Debug {
    /// Begins an upload; with `like`, its object gets that one's metadata and content headers.
    async fn begin(
        &self,
        to: &ObjectLocation,
        like: Option<&ObjectInfo>,
        options: &WriteOptions,
        access: &Access,
    ) -> Result<UploadId>;

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

    /// Makes a part of bytes of another object, in one call, without their passing here; with `etag`,
    /// only if it still has that. Not tried again inside.
    #[expect(clippy::too_many_arguments, reason = "it names two objects")]
    async fn copy_part(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        number: u32,
        from: &ObjectLocation,
        range: Range<u64>,
        etag: Option<&ETag>,
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

    /// The parts that an upload has, with their sizes, in order; `None` when there is no such upload.
    /// Whether their tags are MD5s is not told.
    async fn parts_of(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        access: &Access,
    ) -> Result<Option<Vec<(PartTag, u64)>>>;
}

/// S3.
#[async_trait]
pub trait ObjectStore: PartUploads {
    /// What is known about an object, with its parts; `None` when there is none.
    async fn head(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>>;

    /// The same without its parts, with one call.
    async fn look(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>>;

    /// The sizes of the parts that an object was uploaded in, in order; `None` when it was not uploaded
    /// in parts, or S3 does not tell. `Conflict` when it is not the object of `info` any more. Costs a
    /// call or two, and one for each part only where the last does not fit the first: those between are
    /// taken to be like the first, which decides only whether a copy gets the same `ETag`.
    async fn part_sizes(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>>;

    /// The same with a call for each part, and nothing taken to be like anything else.
    async fn each_part_size(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>>;

    /// Its tags.
    async fn tags(&self, at: &ObjectLocation, access: &Access) -> Result<BTreeMap<String, String>>;

    /// Objects whose keys start with `prefix`, at any depth, in order, a page at a time.
    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        access: &Access,
    ) -> Result<Page<ObjectInfo>>;

    /// Those of them whose keys come after `after`, at most `most` and 1,000 of them, with one call; `next`
    /// says whether there are more.
    async fn list_after(
        &self,
        _bucket: &str,
        _prefix: &str,
        _after: &str,
        _most: usize,
        _access: &Access,
    ) -> Result<Page<ObjectInfo>> {
        Err(Error::new(Class::Invalid, "ListObjectsV2", "cannot be done here"))
    }

    /// Opens an object, or a range of its bytes; with `etag`, only if it still has that.
    async fn get(
        &self,
        at: &ObjectLocation,
        range: Option<Range<u64>>,
        etag: Option<&ETag>,
        access: &Access,
    ) -> Result<ObjectBody>;

    /// A link by which an object can be read, from now on and for so long (at most a week), or for as long as our
    /// own credentials last. It is signed here; whether there is such an object is not asked.
    async fn presign(&self, _at: &ObjectLocation, _now: Timestamp, _lasts: Duration) -> Result<Presigned> {
        Err(Error::new(Class::Invalid, "sign GetObject", "cannot be done here"))
    }

    /// Writes a small object, in one call. A bucket in another region than the one meant is an error of
    /// the code `PermanentRedirect`, whose message names that region.
    async fn put(
        &self,
        to: &ObjectLocation,
        bytes: Bytes,
        content_type: Option<&str>,
        options: &WriteOptions,
        access: &Access,
    ) -> Result<ETag>;

    /// Removes an object that we have written; one that is not there is fine.
    async fn delete(&self, _at: &ObjectLocation, _access: &Access) -> Result<()> {
        Err(Error::new(Class::Invalid, "DeleteObject", "cannot be done here"))
    }

    /// Writes an object of exactly as many bytes as it says, at most 5 GiB, in one call; a body that ends
    /// with an error leaves none. Not tried again inside: a body can be read once.
    async fn put_body(&self, _put: &ObjectPut, _bytes: ByteStream, _access: &Access) -> Result<ETag> {
        Err(Error::new(Class::Invalid, "PutObject", "cannot be done here"))
    }

    /// Asks for an archived object to be restored; one that is being restored is fine.
    async fn restore(&self, at: &ObjectLocation, ask: &RestoreRequest, access: &Access) -> Result<()>;

    /// Copies an object, without its bytes passing here, with content headers and metadata: with one call
    /// up to 5 GiB, else (or where [`ObjectCopy::parts`] asks for it) in parts. What was begun and
    /// failed is aborted; what is dropped stays behind. The answer is the new object's `ETag`.
    async fn copy(&self, copy: &ObjectCopy, access: &Access) -> Result<ETag>;
}
