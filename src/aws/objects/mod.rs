//! S3: reading, listing, copying and deleting objects. Uploads in parts are in [`uploads`].

mod body;
mod clients;
mod copying;
#[cfg(test)]
mod tests;
mod uploads;

use std::{collections::BTreeMap, fmt, ops::Range};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::{
    operation::head_object::HeadObjectOutput,
    primitives::DateTime,
    types::{Object, ObjectStorageClass, ServerSideEncryption, StorageClass},
};
use jiff::Timestamp;

use self::clients::Clients;
use super::error::classify;
use crate::{
    domain::file::ETag,
    ports::{
        Class, Result,
        objects::{Access, ObjectBody, ObjectCopy, ObjectInfo, ObjectLocation, ObjectStore, Parts},
        parts,
        store::Page,
    },
};

/// S3, with our own role or with temporary credentials. Nothing is read from the environment before
/// the first call, so that who has no AWS need not know of this.
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

    /// What is known about an object, or about one part of it.
    async fn look(
        &self,
        at: &ObjectLocation,
        part: Option<i32>,
        access: &Access,
    ) -> Result<Option<HeadObjectOutput>> {
        let found = self
            .clients
            .quick("HeadObject", &at.bucket, access, |client| {
                client.head_object().bucket(&at.bucket).key(&at.key).set_part_number(part).send()
            })
            .await;
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.class == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The parts of an object with such an `ETag`; `None` where S3 does not tell.
    async fn parts(&self, at: &ObjectLocation, etag: &ETag, access: &Access) -> Result<Option<Parts>> {
        let Some(count) = parts::count(etag) else { return Ok(None) };
        let first = match self.look(at, Some(1), access).await {
            Ok(Some(first)) => first,
            Err(error) if error.is_passing() => return Err(error),
            Ok(None) | Err(_) => return Ok(None),
        };
        let told = first.parts_count().and_then(|told| u32::try_from(told).ok());
        // Without a count, what was told is about the whole object.
        let first = told.and(first.content_length()).and_then(|length| u64::try_from(length).ok());
        Ok(first.map(|first| Parts { count, first }))
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn head(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>> {
        let Some(found) = self.look(at, None, access).await? else { return Ok(None) };
        let etag = found.e_tag().map(ETag::new);
        let parts = match &etag {
            Some(etag) => self.parts(at, etag, access).await?,
            None => None,
        };
        let class = found.storage_class().map(StorageClass::as_str);
        let restored = found.restore().is_some_and(|text| text.contains("ongoing-request=\"false\""));
        Ok(Some(ObjectInfo {
            key: at.key.clone(),
            size: bytes(found.content_length()),
            opaque: !matches!(found.server_side_encryption(), None | Some(ServerSideEncryption::Aes256)),
            modified: found.last_modified().and_then(instant),
            archived: is_archive(class) && !restored,
            storage_class: class.map(str::to_owned),
            content_type: found.content_type().map(str::to_owned),
            metadata: found.metadata().map(ordered).unwrap_or_default(),
            etag,
            parts,
        }))
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
                call.set_continuation_token(from.map(str::to_owned)).send()
            })
            .await?;
        let next = page.next_continuation_token().filter(|_| page.is_truncated() == Some(true));
        let items = page.contents().iter().map(listed).collect();
        Ok(Page { items, next: next.map(str::to_owned) })
    }

    async fn get(
        &self,
        at: &ObjectLocation,
        range: Option<Range<u64>>,
        etag: Option<&ETag>,
        access: &Access,
    ) -> Result<ObjectBody> {
        if range.as_ref().is_some_and(Range::is_empty) {
            return Ok(ObjectBody { size: Some(0), bytes: body::nothing() });
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
                    .send()
            })
            .await?;
        let size = found.content_length().and_then(|length| u64::try_from(length).ok());
        Ok(ObjectBody { size, bytes: body::read(found.body) })
    }

    async fn copy(&self, copy: &ObjectCopy, access: &Access) -> Result<ETag> {
        self.copy_object(copy, access).await
    }

    async fn delete(&self, at: &ObjectLocation, access: &Access) -> Result<()> {
        self.clients
            .quick("DeleteObject", &at.bucket, access, |client| {
                client.delete_object().bucket(&at.bucket).key(&at.key).send()
            })
            .await
            .map(drop)
    }
}

fn listed(object: &Object) -> ObjectInfo {
    let class = object.storage_class().map(ObjectStorageClass::as_str);
    let restored =
        object.restore_status().is_some_and(|status| status.is_restore_in_progress() == Some(false));
    ObjectInfo {
        key: object.key().unwrap_or_default().to_owned(),
        size: bytes(object.size()),
        etag: object.e_tag().map(ETag::new),
        opaque: false,
        modified: object.last_modified().and_then(instant),
        archived: is_archive(class) && !restored,
        storage_class: class.filter(|class| *class != "STANDARD").map(str::to_owned),
        parts: None,
        content_type: None,
        metadata: BTreeMap::new(),
    }
}

/// Whether objects of that class must be restored before they are read.
fn is_archive(class: Option<&str>) -> bool {
    matches!(class, Some("GLACIER" | "DEEP_ARCHIVE"))
}

/// An `ETag` as S3 wants to see it in a condition.
fn quoted(etag: &ETag) -> String {
    format!("\"{etag}\"")
}

fn bytes(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

fn instant(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

fn ordered(metadata: &std::collections::HashMap<String, String>) -> BTreeMap<String, String> {
    metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An answer that lacks what it must have.
fn incomplete(operation: &'static str, what: impl fmt::Display) -> crate::ports::Error {
    crate::ports::Error::new(Class::Transient, operation, format!("the answer holds no {what}")).ambiguous()
}
