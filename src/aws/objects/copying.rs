//! Copies inside S3: no byte passes here.

use std::ops::Range;

use aws_sdk_s3::types::ServerSideEncryption;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    S3Objects, incomplete, quoted,
    uploads::{conditions, is_md5, part_number},
};
use crate::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::{
            Access, ObjectCopy, ObjectInfo, ObjectLocation, ObjectStore as _, PartTag, PartUploads as _,
            UploadId,
        },
        parts::{self, Plan},
    },
};

const COPY: &str = "CopyObject";
const COPY_PART: &str = "UploadPartCopy";
const BEGIN: &str = "CreateMultipartUpload";

/// One call copies at most this.
const MOST_BYTES: u64 = parts::MOST_BYTES;
/// Parts of copies whose parts do not matter: large, because each costs a call, and not as large as
/// may be, because several at once are faster.
const PART_BYTES: u64 = 1 << 30;
/// Parts copied at once.
const AT_ONCE: usize = 8;

/// What may stand in `x-amz-copy-source` as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl S3Objects {
    /// Copies an object, with one call or in parts.
    pub(super) async fn copy_object(&self, copy: &ObjectCopy, access: &Access) -> Result<ETag> {
        let like = copy.parts.and_then(|parts| Plan::like(copy.size, parts));
        match like {
            None if copy.size <= MOST_BYTES => self.copy_whole(copy, access).await,
            None => self.copy_in_parts(copy, Plan::new(copy.size, PART_BYTES), access).await,
            Some(plan) => self.copy_in_parts(copy, plan, access).await,
        }
    }

    async fn copy_whole(&self, copy: &ObjectCopy, access: &Access) -> Result<ETag> {
        let (none, only) = conditions(&copy.precondition);
        let (encryption, key) = encryption(access);
        let answer = self
            .clients
            .slow(COPY, &copy.to.bucket, access, |client| {
                client
                    .copy_object()
                    .copy_source(source(&copy.from))
                    .set_copy_source_if_match(copy.etag.as_ref().map(quoted))
                    .bucket(&copy.to.bucket)
                    .key(&copy.to.key)
                    .set_if_none_match(none.clone())
                    .set_if_match(only.clone())
                    .set_server_side_encryption(encryption.clone())
                    .set_ssekms_key_id(key.clone())
                    .send()
            })
            .await?;
        let etag = answer.copy_object_result().and_then(|result| result.e_tag());
        etag.map(ETag::new).ok_or_else(|| incomplete(COPY, "ETag"))
    }

    async fn copy_in_parts(&self, copy: &ObjectCopy, plan: Plan, access: &Access) -> Result<ETag> {
        let found = self.head(&copy.from, access).await?;
        let info = found
            .ok_or_else(|| Error::new(Class::NotFound, COPY_PART, format!("{} is not there", copy.from)))?;
        let changed = copy.etag.as_ref().is_some_and(|etag| info.etag.as_ref() != Some(etag));
        if changed || info.size != copy.size {
            return Err(Error::new(Class::Conflict, COPY_PART, format!("{} has changed", copy.from)));
        }
        let upload = self.begin_like(&copy.to, Some(&info), access).await?;
        let done = self.copy_parts(copy, info.etag.as_ref(), plan, &upload, access).await;
        if done.is_err() {
            // What is left behind would be paid for. An upload that was completed after all is gone.
            drop(self.abort(&copy.to, &upload, access).await);
        }
        done
    }

    async fn copy_parts(
        &self,
        copy: &ObjectCopy,
        etag: Option<&ETag>,
        plan: Plan,
        upload: &UploadId,
        access: &Access,
    ) -> Result<ETag> {
        let parts = stream::iter(plan.ranges())
            .map(|(number, range)| self.copy_part(copy, etag, upload, number, range, access))
            .buffered(AT_ONCE);
        let parts: Vec<PartTag> = parts.try_collect().await.map_err(|mut error: Error| {
            error.may_have_happened = false;
            error
        })?;
        match self.complete(&copy.to, upload, &parts, &copy.precondition, access).await {
            Ok(etag) => Ok(etag),
            Err(error) if error.class == Class::Conflict => Err(error),
            // Completed, and the answer was lost.
            Err(error) => match (self.head(&copy.to, access).await, parts::joined(&parts)) {
                (Ok(Some(there)), joined) if joined.is_some() && there.etag == joined => {
                    there.etag.ok_or(error)
                }
                _ => Err(error),
            },
        }
    }

    async fn copy_part(
        &self,
        copy: &ObjectCopy,
        etag: Option<&ETag>,
        upload: &UploadId,
        number: u32,
        range: Range<u64>,
        access: &Access,
    ) -> Result<PartTag> {
        let part = part_number(COPY_PART, number)?;
        let range = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let answer = self
            .clients
            .slow(COPY_PART, &copy.to.bucket, access, |client| {
                client
                    .upload_part_copy()
                    .copy_source(source(&copy.from))
                    .copy_source_range(&range)
                    .set_copy_source_if_match(etag.map(quoted))
                    .bucket(&copy.to.bucket)
                    .key(&copy.to.key)
                    .upload_id(&upload.0)
                    .part_number(part)
                    .send()
            })
            .await?;
        let etag = answer.copy_part_result().and_then(|result| result.e_tag());
        let etag = etag.map(ETag::new).ok_or_else(|| incomplete(COPY_PART, "ETag"))?;
        Ok(PartTag { number, etag, is_md5: is_md5(answer.server_side_encryption()) })
    }

    /// Begins an upload, with what goes with the object that it copies.
    pub(super) async fn begin_like(
        &self,
        to: &ObjectLocation,
        like: Option<&ObjectInfo>,
        access: &Access,
    ) -> Result<UploadId> {
        let (encryption, key) = encryption(access);
        let answer = self
            .clients
            .quick(BEGIN, &to.bucket, access, |client| {
                let metadata = like.map(|info| info.metadata.clone().into_iter().collect());
                client
                    .create_multipart_upload()
                    .bucket(&to.bucket)
                    .key(&to.key)
                    .set_content_type(like.and_then(|info| info.content_type.clone()))
                    .set_metadata(metadata)
                    .set_server_side_encryption(encryption.clone())
                    .set_ssekms_key_id(key.clone())
                    .send()
            })
            .await?;
        let id = answer.upload_id().ok_or_else(|| incomplete(BEGIN, "UploadId"))?;
        Ok(UploadId(id.to_owned()))
    }
}

/// How what is written must be encrypted, and with which key.
fn encryption(access: &Access) -> (Option<ServerSideEncryption>, Option<String>) {
    let Access::Temporary(access) = access else { return (None, None) };
    let Some(wanted) = &access.encryption else { return (None, None) };
    let algorithm = wanted.algorithm.to_ascii_uppercase();
    if algorithm.contains("KMS") {
        (Some(ServerSideEncryption::AwsKms), wanted.key.clone())
    } else if algorithm.contains("AES") {
        (Some(ServerSideEncryption::Aes256), None)
    } else {
        (None, None)
    }
}

fn source(from: &ObjectLocation) -> String {
    format!("{}/{}", from.bucket, utf8_percent_encode(&from.key, PLAIN))
}
