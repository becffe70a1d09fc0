//! Copies inside S3: no byte passes here.

use std::ops::Range;

use aws_sdk_s3::types::TaggingDirective;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    S3Objects, incomplete, quoted,
    uploads::{conditions, is_md5, part_number},
    writing::Also,
};
use crate::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::{Access, ObjectCopy, ObjectLocation, PartTag, PartUploads as _, Tagging, UploadId},
        parts::{self, Plan},
    },
};

const COPY: &str = "CopyObject";
const COPY_PART: &str = "UploadPartCopy";

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
        let also = Also::new(&copy.options, access);
        let replaces = also.tagging.is_some() || copy.tagging == Tagging::Drop;
        let directive = replaces.then_some(TaggingDirective::Replace);
        let answer = self
            .clients
            .once(COPY, &copy.to.bucket, access, |client| {
                client
                    .copy_object()
                    .copy_source(source(&copy.from))
                    .set_copy_source_if_match(copy.etag.as_ref().map(quoted))
                    .bucket(&copy.to.bucket)
                    .key(&copy.to.key)
                    .set_if_none_match(none.clone())
                    .set_if_match(only.clone())
                    .set_tagging(also.tagging.clone())
                    .set_tagging_directive(directive.clone())
                    .set_acl(also.acl.clone())
                    .set_expected_bucket_owner(also.owner.clone())
                    .set_server_side_encryption(also.encryption.clone())
                    .set_ssekms_key_id(also.key.clone())
                    .set_request_payer(self.payer(&[&copy.from.bucket, &copy.to.bucket]))
                    .send()
            })
            .await?;
        let etag = answer.copy_object_result().and_then(|result| result.e_tag());
        etag.map(ETag::new).ok_or_else(|| incomplete(COPY, "ETag"))
    }

    async fn copy_in_parts(&self, copy: &ObjectCopy, plan: Plan, access: &Access) -> Result<ETag> {
        let found = self.look_at(&copy.from, access).await?;
        let info = found
            .ok_or_else(|| Error::new(Class::NotFound, COPY_PART, format!("{} is not there", copy.from)))?;
        let changed = copy.etag.as_ref().is_some_and(|etag| info.etag.as_ref() != Some(etag));
        if changed || info.size != copy.size {
            return Err(Error::new(Class::Conflict, COPY_PART, format!("{} has changed", copy.from)));
        }
        let upload = self.begin(&copy.to, Some(&info), &copy.options, access).await?;
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
            .map(|(number, range)| self.copy_part(&copy.to, upload, number, &copy.from, range, etag, access))
            .buffered(AT_ONCE);
        let parts: Vec<PartTag> = parts.try_collect().await.map_err(|mut error: Error| {
            error.may_have_happened = false;
            error
        })?;
        match self.complete(&copy.to, upload, &parts, &copy.precondition, access).await {
            Ok(etag) => Ok(etag),
            Err(error) if error.class == Class::Conflict => Err(error),
            // Completed, and the answer was lost.
            Err(error) => match (self.look_at(&copy.to, access).await, parts::joined(&parts)) {
                (Ok(Some(there)), joined) if joined.is_some() && there.etag == joined => {
                    there.etag.ok_or(error)
                }
                _ => Err(error),
            },
        }
    }

    /// Makes a part of bytes of another object.
    #[expect(clippy::too_many_arguments, reason = "it names two objects")]
    pub(super) async fn copy_one_part(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        number: u32,
        from: &ObjectLocation,
        range: Range<u64>,
        etag: Option<&ETag>,
        access: &Access,
    ) -> Result<PartTag> {
        let part = part_number(COPY_PART, number)?;
        let range = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let answer = self
            .clients
            .once(COPY_PART, &to.bucket, access, |client| {
                client
                    .upload_part_copy()
                    .copy_source(source(from))
                    .copy_source_range(&range)
                    .set_copy_source_if_match(etag.map(quoted))
                    .bucket(&to.bucket)
                    .key(&to.key)
                    .upload_id(&upload.0)
                    .part_number(part)
                    .set_request_payer(self.payer(&[&from.bucket, &to.bucket]))
                    .send()
            })
            .await?;
        let etag = answer.copy_part_result().and_then(|result| result.e_tag());
        let etag = etag.map(ETag::new).ok_or_else(|| incomplete(COPY_PART, "ETag"))?;
        let crc32 = answer.copy_part_result().and_then(|result| result.checksum_crc32()).map(str::to_owned);
        Ok(PartTag { number, etag, is_md5: is_md5(answer.server_side_encryption()), crc32 })
    }
}

fn source(from: &ObjectLocation) -> String {
    format!("{}/{}", from.bucket, utf8_percent_encode(&from.key, PLAIN))
}
