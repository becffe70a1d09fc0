//! S3: reading and listing objects. Each of the rest has a room of its own.

mod body;
mod clients;
mod copying;
mod identity;
mod looking;
mod presign;
#[cfg(test)]
mod tests;
mod trouble;
mod uploads;
mod writing;

use std::{collections::BTreeMap, fmt, ops::Range, time::Duration};

use async_trait::async_trait;
use aws_config::SdkConfig;
use bytes::Bytes;
use jiff::Timestamp;

use aws_sdk_s3::types::{EncodingType, RequestPayer};

use self::{clients::Clients, looking::page_of};
pub use super::settings::S3 as Settings;
use crate::{
    domain::file::ETag,
    ports::{
        Class, Result,
        objects::{
            Access, ByteStream, ObjectBody, ObjectCopy, ObjectInfo, ObjectLocation, ObjectPut, ObjectStore,
            Presigned, RestoreRequest, WriteOptions,
        },
        store::Page,
    },
};

/// S3, with our own role or with temporary credentials. Nothing is read from the environment before
/// the first call, so that a user without AWS need not know of this.
#[derive(Debug)]
pub struct S3Objects {
    clients: Clients,
}

impl S3Objects {
    /// S3 at AWS, or at `endpoint` (`icav2.s3_endpoint_url`): temporary credentials lead there, and
    /// our own role too where the environment names no other place.
    #[must_use]
    pub fn new(endpoint: Option<String>) -> Self {
        Self { clients: Clients::new(endpoint) }
    }

    /// The same of a configuration, for an S3 that is no service: a stub, or the simulator in process.
    #[must_use]
    pub fn from_config(config: &SdkConfig, endpoint: Option<String>) -> Self {
        Self { clients: Clients::from_config(config, endpoint) }
    }

    /// The same as these settings say.
    #[must_use]
    pub fn with(self, settings: &Settings) -> Self {
        Self { clients: self.clients.with(settings.clone()) }
    }

    /// Whether we offer to pay for a call that names these buckets. The owner of a bucket may want it; for
    /// all other buckets S3 does not heed it.
    fn payer(&self, buckets: &[&str]) -> Option<RequestPayer> {
        buckets.iter().any(|bucket| self.clients.pays(bucket)).then_some(RequestPayer::Requester)
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn presign(&self, at: &ObjectLocation, now: Timestamp, lasts: Duration) -> Result<Presigned> {
        self.presigned(at, now, lasts).await
    }

    async fn delete(&self, at: &ObjectLocation, access: &Access) -> Result<()> {
        let quick = self.clients.quick("DeleteObject", &at.bucket, access, |client| {
            let call = client.delete_object().bucket(&at.bucket).key(&at.key);
            call.set_request_payer(self.payer(&[&at.bucket])).send()
        });
        quick.await.map(drop)
    }

    async fn head(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>> {
        let Some(info) = self.look_at(at, access).await? else { return Ok(None) };
        let parts = match &info.etag {
            Some(etag) => self.parts(at, etag, access).await?,
            None => None,
        };
        Ok(Some(ObjectInfo { parts, ..info }))
    }

    async fn look(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>> {
        self.look_at(at, access).await
    }

    async fn part_sizes(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>> {
        Box::pin(self.sizes_of_parts(at, info, access)).await
    }

    async fn each_part_size(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>> {
        self.size_of_each_part(at, info, access).await
    }

    async fn tags(&self, at: &ObjectLocation, access: &Access) -> Result<BTreeMap<String, String>> {
        self.tags_of(at, access).await
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        access: &Access,
    ) -> Result<Page<ObjectInfo>> {
        let page = self
            .clients
            .quick("ListObjectsV2", bucket, access, |client| {
                let call = client.list_objects_v2().bucket(bucket).prefix(prefix);
                // XML cannot hold every character that a key can.
                let call = call.encoding_type(EncodingType::Url).set_request_payer(self.payer(&[bucket]));
                call.set_continuation_token(from.map(str::to_owned)).send()
            })
            .await?;
        page_of(&page)
    }

    async fn list_after(
        &self,
        bucket: &str,
        prefix: &str,
        after: &str,
        most: usize,
        access: &Access,
    ) -> Result<Page<ObjectInfo>> {
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        let page = self
            .clients
            .quick("ListObjectsV2", bucket, access, |client| {
                let call = client.list_objects_v2().bucket(bucket).prefix(prefix);
                let call = call.encoding_type(EncodingType::Url).set_request_payer(self.payer(&[bucket]));
                call.start_after(after).max_keys(most).send()
            })
            .await?;
        page_of(&page)
    }

    async fn get(
        &self,
        at: &ObjectLocation,
        range: Option<Range<u64>>,
        etag: Option<&ETag>,
        access: &Access,
    ) -> Result<ObjectBody> {
        if range.as_ref().is_some_and(Range::is_empty) {
            let (etag, bytes) = (etag.cloned(), body::nothing());
            return Ok(ObjectBody { size: Some(0), etag, is_md5: false, bytes });
        }
        let range = range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let found = self
            .clients
            .quick("GetObject", &at.bucket, access, |client| {
                client
                    .get_object()
                    .bucket(&at.bucket)
                    .key(&at.key)
                    .set_range(range.clone())
                    .set_if_match(etag.map(quoted))
                    .set_request_payer(self.payer(&[&at.bucket]))
                    .send()
            })
            .await?;
        let size = found.content_length().and_then(|length| u64::try_from(length).ok());
        let etag = found.e_tag().map(ETag::new);
        let is_md5 = uploads::is_md5(found.server_side_encryption());
        Ok(ObjectBody { size, etag, is_md5, bytes: body::read(found.body) })
    }

    async fn put(
        &self,
        to: &ObjectLocation,
        bytes: Bytes,
        content_type: Option<&str>,
        options: &WriteOptions,
        access: &Access,
    ) -> Result<ETag> {
        self.put_object(to, bytes, content_type, options, access).await
    }

    async fn put_body(&self, put: &ObjectPut, bytes: ByteStream, access: &Access) -> Result<ETag> {
        self.put_bytes(put, bytes, access).await
    }

    async fn restore(&self, at: &ObjectLocation, ask: &RestoreRequest, access: &Access) -> Result<()> {
        self.restore_object(at, ask, access).await
    }

    async fn copy(&self, copy: &ObjectCopy, access: &Access) -> Result<ETag> {
        self.copy_object(copy, access).await
    }
}

/// An `ETag` as S3 wants to see it in a condition.
fn quoted(etag: &ETag) -> String {
    format!("\"{etag}\"")
}

/// An answer that lacks what it must have.
fn incomplete(operation: &'static str, what: impl fmt::Display) -> crate::ports::Error {
    crate::ports::Error::new(Class::Transient, operation, format!("the answer holds no {what}")).ambiguous()
}
