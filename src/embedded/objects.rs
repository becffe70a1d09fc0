//! S3, where the build has none.

use std::{collections::BTreeMap, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::{
            Access, ByteStream, ObjectBody, ObjectCopy, ObjectInfo, ObjectLocation, ObjectStore, PartTag,
            PartUploads, Precondition, RestoreRequest, UploadId, WriteOptions,
        },
        store::Page,
    },
};

/// There is none: each call says what is missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObjects;

fn lacking<T>(operation: &'static str) -> Result<T> {
    Err(Error::new(Class::Invalid, operation, "S3 needs a build with the feature `aws`"))
}

#[async_trait]
impl ObjectStore for NoObjects {
    async fn head(&self, _: &ObjectLocation, _: &Access) -> Result<Option<ObjectInfo>> {
        lacking("HeadObject")
    }

    async fn look(&self, _: &ObjectLocation, _: &Access) -> Result<Option<ObjectInfo>> {
        lacking("HeadObject")
    }

    async fn part_sizes(&self, _: &ObjectLocation, _: &ObjectInfo, _: &Access) -> Result<Option<Vec<u64>>> {
        lacking("GetObjectAttributes")
    }

    async fn each_part_size(
        &self,
        _: &ObjectLocation,
        _: &ObjectInfo,
        _: &Access,
    ) -> Result<Option<Vec<u64>>> {
        lacking("GetObjectAttributes")
    }

    async fn tags(&self, _: &ObjectLocation, _: &Access) -> Result<BTreeMap<String, String>> {
        lacking("GetObjectTagging")
    }

    async fn list(&self, _: &str, _: &str, _: Option<&str>, _: &Access) -> Result<Page<ObjectInfo>> {
        lacking("ListObjectsV2")
    }

    async fn get(
        &self,
        _: &ObjectLocation,
        _: Option<Range<u64>>,
        _: Option<&ETag>,
        _: &Access,
    ) -> Result<ObjectBody> {
        lacking("GetObject")
    }

    async fn put(
        &self,
        _: &ObjectLocation,
        _: Bytes,
        _: Option<&str>,
        _: &WriteOptions,
        _: &Access,
    ) -> Result<ETag> {
        lacking("PutObject")
    }

    async fn restore(&self, _: &ObjectLocation, _: &RestoreRequest, _: &Access) -> Result<()> {
        lacking("RestoreObject")
    }

    async fn copy(&self, _: &ObjectCopy, _: &Access) -> Result<ETag> {
        lacking("CopyObject")
    }
}

#[async_trait]
impl PartUploads for NoObjects {
    async fn begin(
        &self,
        _: &ObjectLocation,
        _: Option<&ObjectInfo>,
        _: &WriteOptions,
        _: &Access,
    ) -> Result<UploadId> {
        lacking("CreateMultipartUpload")
    }

    async fn put_part(
        &self,
        _: &ObjectLocation,
        _: &UploadId,
        _: u32,
        _: u64,
        _: ByteStream,
        _: &Access,
    ) -> Result<PartTag> {
        lacking("UploadPart")
    }

    async fn copy_part(
        &self,
        _: &ObjectLocation,
        _: &UploadId,
        _: u32,
        _: &ObjectLocation,
        _: Range<u64>,
        _: Option<&ETag>,
        _: &Access,
    ) -> Result<PartTag> {
        lacking("UploadPartCopy")
    }

    async fn complete(
        &self,
        _: &ObjectLocation,
        _: &UploadId,
        _: &[PartTag],
        _: &Precondition,
        _: &Access,
    ) -> Result<ETag> {
        lacking("CompleteMultipartUpload")
    }

    async fn abort(&self, _: &ObjectLocation, _: &UploadId, _: &Access) -> Result<()> {
        lacking("AbortMultipartUpload")
    }

    async fn parts_of(
        &self,
        _: &ObjectLocation,
        _: &UploadId,
        _: &Access,
    ) -> Result<Option<Vec<(PartTag, u64)>>> {
        lacking("ListParts")
    }
}
