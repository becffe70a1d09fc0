//! The ports of one instance that move bytes: S3, and what streams.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use copy_manager::{
    domain::file::ETag,
    ports::{
        Result,
        objects::{
            Access, ByteStream, ObjectBody, ObjectCopy, ObjectInfo, ObjectLocation, ObjectPut, ObjectStore,
            PartTag, PartUploads, Precondition, RestoreRequest, UploadId, WriteOptions,
        },
        store::Page,
        transfers::{ObjectStream, PartStream, PartsUpload, PresignedUrl, Sent, Stream, Tagged, Transfers},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    fate::Service,
    ports::{EFFECT, Gated, READ},
};

#[async_trait]
impl Transfers for Gated<Arc<dyn Transfers>> {
    async fn stream(&self, stream: Stream, cut: &CancellationToken) -> Result<Sent> {
        let detail = format!("{} bytes", stream.size);
        self.gate.pass(Service::Bytes, "stream", EFFECT, || detail, self.inner.stream(stream, cut)).await
    }

    async fn look(&self, url: &PresignedUrl) -> Result<Tagged> {
        self.gate.pass(Service::Bytes, "look", READ, String::new, self.inner.look(url)).await
    }

    async fn upload_parts(&self, upload: PartsUpload, cut: &CancellationToken) -> Result<ETag> {
        let detail = upload.to.to_string();
        let call = self.inner.upload_parts(upload, cut);
        self.gate.pass(Service::Bytes, "upload parts", EFFECT, || detail, call).await
    }

    async fn stream_object(&self, stream: ObjectStream, cut: &CancellationToken) -> Result<Sent> {
        let detail = stream.put.to.to_string();
        let call = self.inner.stream_object(stream, cut);
        self.gate.pass(Service::Bytes, "stream object", EFFECT, || detail, call).await
    }

    async fn stream_part(&self, part: PartStream, cut: &CancellationToken) -> Result<PartTag> {
        let detail = format!("{} {}", part.to, part.number);
        let call = self.inner.stream_part(part, cut);
        self.gate.pass(Service::Bytes, "stream part", EFFECT, || detail, call).await
    }
}

type Objects = Gated<Arc<dyn ObjectStore>>;

#[async_trait]
impl PartUploads for Objects {
    async fn begin(
        &self,
        to: &ObjectLocation,
        like: Option<&ObjectInfo>,
        options: &WriteOptions,
        access: &Access,
    ) -> Result<UploadId> {
        let call = self.inner.begin(to, like, options, access);
        self.gate.pass(Service::Bytes, "begin", EFFECT, || to.to_string(), call).await
    }

    async fn copy_part(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        number: u32,
        from: &ObjectLocation,
        range: Range<u64>,
        etag: Option<&ETag>,
        access: &Access,
    ) -> Result<PartTag> {
        let call = self.inner.copy_part(to, upload, number, from, range, etag, access);
        self.gate.pass(Service::Bytes, "copy part", EFFECT, || to.to_string(), call).await
    }

    async fn parts_of(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        access: &Access,
    ) -> Result<Option<Vec<(PartTag, u64)>>> {
        let call = self.inner.parts_of(to, upload, access);
        self.gate.pass(Service::Bytes, "parts of", READ, || to.to_string(), call).await
    }

    async fn put_part(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        number: u32,
        size: u64,
        bytes: ByteStream,
        access: &Access,
    ) -> Result<PartTag> {
        let call = self.inner.put_part(to, upload, number, size, bytes, access);
        self.gate.pass(Service::Bytes, "put part", EFFECT, || to.to_string(), call).await
    }

    async fn complete(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        parts: &[PartTag],
        precondition: &Precondition,
        access: &Access,
    ) -> Result<ETag> {
        let call = self.inner.complete(to, upload, parts, precondition, access);
        self.gate.pass(Service::Bytes, "complete", EFFECT, || to.to_string(), call).await
    }

    async fn abort(&self, to: &ObjectLocation, upload: &UploadId, access: &Access) -> Result<()> {
        let call = self.inner.abort(to, upload, access);
        self.gate.pass(Service::Bytes, "abort", EFFECT, || to.to_string(), call).await
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn head(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>> {
        self.gate.pass(Service::Bytes, "head", READ, || at.to_string(), self.inner.head(at, access)).await
    }

    async fn look(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>> {
        self.gate.pass(Service::Bytes, "look", READ, || at.to_string(), self.inner.look(at, access)).await
    }

    async fn part_sizes(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>> {
        let call = self.inner.part_sizes(at, info, access);
        self.gate.pass(Service::Bytes, "part sizes", READ, || at.to_string(), call).await
    }

    async fn each_part_size(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>> {
        let call = self.inner.each_part_size(at, info, access);
        self.gate.pass(Service::Bytes, "each part size", READ, || at.to_string(), call).await
    }

    async fn tags(&self, at: &ObjectLocation, access: &Access) -> Result<BTreeMap<String, String>> {
        self.gate.pass(Service::Bytes, "tags", READ, || at.to_string(), self.inner.tags(at, access)).await
    }

    async fn put(
        &self,
        to: &ObjectLocation,
        bytes: Bytes,
        content_type: Option<&str>,
        options: &WriteOptions,
        access: &Access,
    ) -> Result<ETag> {
        let call = self.inner.put(to, bytes, content_type, options, access);
        self.gate.pass(Service::Bytes, "put object", EFFECT, || to.to_string(), call).await
    }

    async fn put_body(&self, put: &ObjectPut, bytes: ByteStream, access: &Access) -> Result<ETag> {
        let call = self.inner.put_body(put, bytes, access);
        self.gate.pass(Service::Bytes, "put body", EFFECT, || put.to.to_string(), call).await
    }

    async fn restore(&self, at: &ObjectLocation, ask: &RestoreRequest, access: &Access) -> Result<()> {
        let call = self.inner.restore(at, ask, access);
        self.gate.pass(Service::Bytes, "restore", EFFECT, || at.to_string(), call).await
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        access: &Access,
    ) -> Result<Page<ObjectInfo>> {
        let call = self.inner.list(bucket, prefix, from, access);
        self.gate.pass(Service::Bytes, "list", READ, || format!("{bucket}/{prefix}"), call).await
    }

    async fn list_after(
        &self,
        bucket: &str,
        prefix: &str,
        after: &str,
        most: usize,
        access: &Access,
    ) -> Result<Page<ObjectInfo>> {
        let call = self.inner.list_after(bucket, prefix, after, most, access);
        self.gate.pass(Service::Bytes, "list after", READ, || format!("{bucket}/{after}"), call).await
    }

    async fn get(
        &self,
        at: &ObjectLocation,
        range: Option<Range<u64>>,
        etag: Option<&ETag>,
        access: &Access,
    ) -> Result<ObjectBody> {
        let call = self.inner.get(at, range, etag, access);
        self.gate.pass(Service::Bytes, "get object", READ, || at.to_string(), call).await
    }

    async fn copy(&self, copy: &ObjectCopy, access: &Access) -> Result<ETag> {
        let call = self.inner.copy(copy, access);
        self.gate.pass(Service::Bytes, "copy object", EFFECT, || copy.to.to_string(), call).await
    }
}
