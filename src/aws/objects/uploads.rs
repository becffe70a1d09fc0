//! Uploads in parts.

use std::{collections::HashMap, ops::Range};

use async_trait::async_trait;
use aws_sdk_s3::{
    Config,
    config::retry::RetryConfig,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Part, ServerSideEncryption},
};

use super::{S3Objects, body, incomplete, looking::http_date, quoted, trouble::told, writing::Also};
use crate::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::{
            Access, ByteStream, ObjectInfo, ObjectLocation, PartTag, PartUploads, Precondition, UploadId,
            WriteOptions,
        },
    },
};

const BEGIN: &str = "CreateMultipartUpload";
const COMPLETE: &str = "CompleteMultipartUpload";

#[async_trait]
impl PartUploads for S3Objects {
    async fn begin(
        &self,
        to: &ObjectLocation,
        like: Option<&ObjectInfo>,
        options: &WriteOptions,
        access: &Access,
    ) -> Result<UploadId> {
        let also = Also::new(options, access);
        let headers = like.map(|info| info.headers.clone()).unwrap_or_default();
        let expires = headers.expires.as_deref().and_then(http_date);
        let metadata: Option<HashMap<_, _>> = like.map(|info| info.metadata.clone().into_iter().collect());
        // S3 takes checksums of parts only where they were announced.
        let checksum = (options.streamed && self.clients.checksums()).then_some(ChecksumAlgorithm::Crc32);
        let answer = self
            .clients
            .quick(BEGIN, &to.bucket, access, |client| {
                client
                    .create_multipart_upload()
                    .bucket(&to.bucket)
                    .key(&to.key)
                    .set_content_type(headers.content_type.clone())
                    .set_cache_control(headers.cache_control.clone())
                    .set_content_disposition(headers.content_disposition.clone())
                    .set_content_encoding(headers.content_encoding.clone())
                    .set_content_language(headers.content_language.clone())
                    .set_expires(expires)
                    .set_metadata(metadata.clone())
                    .set_tagging(also.tagging.clone())
                    .set_acl(also.acl.clone())
                    .set_expected_bucket_owner(also.owner.clone())
                    .set_server_side_encryption(also.encryption.clone())
                    .set_ssekms_key_id(also.key.clone())
                    .set_checksum_algorithm(checksum.clone())
                    .set_request_payer(self.payer(&[&to.bucket]))
                    .customize()
                    // Asked twice, there are two, and the id of one is lost.
                    .config_override(Config::builder().retry_config(RetryConfig::disabled()))
                    .send()
            })
            .await?;
        let id = answer.upload_id().ok_or_else(|| incomplete(BEGIN, "UploadId"))?;
        Ok(UploadId(id.to_owned()))
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
        let operation = "UploadPart";
        let length = i64::try_from(size)
            .map_err(|error| Error::new(Class::Invalid, operation, "too large").caused_by(error))?;
        let answer = self
            .clients
            .for_body(&to.bucket, access)
            .await
            .upload_part()
            .bucket(&to.bucket)
            .key(&to.key)
            .upload_id(&upload.0)
            .part_number(part_number(operation, number)?)
            .content_length(length)
            .body(body::write(bytes, size))
            .set_request_payer(self.payer(&[&to.bucket]))
            .send()
            .await
            .map_err(|error| told(operation, error))?;
        let etag = answer.e_tag().map(ETag::new).ok_or_else(|| incomplete(operation, "ETag"))?;
        let crc32 = answer.checksum_crc32().map(str::to_owned);
        Ok(PartTag { number, etag, is_md5: is_md5(answer.server_side_encryption()), crc32 })
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
        self.copy_one_part(to, upload, number, from, range, etag, access).await
    }

    async fn complete(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        parts: &[PartTag],
        precondition: &Precondition,
        access: &Access,
    ) -> Result<ETag> {
        let mut all = CompletedMultipartUpload::builder();
        for part in parts {
            let number = part_number(COMPLETE, part.number)?;
            let part = CompletedPart::builder()
                .part_number(number)
                .e_tag(quoted(&part.etag))
                .set_checksum_crc32(part.crc32.clone());
            all = all.parts(part.build());
        }
        let all = all.build();
        let (none, only) = conditions(precondition);
        let answer = self
            .clients
            .slow(COMPLETE, &to.bucket, access, |client| {
                client
                    .complete_multipart_upload()
                    .bucket(&to.bucket)
                    .key(&to.key)
                    .upload_id(&upload.0)
                    .multipart_upload(all.clone())
                    .set_if_none_match(none.clone())
                    .set_if_match(only.clone())
                    .set_request_payer(self.payer(&[&to.bucket]))
                    .send()
            })
            .await?;
        answer.e_tag().map(ETag::new).ok_or_else(|| incomplete(COMPLETE, "ETag"))
    }

    async fn abort(&self, to: &ObjectLocation, upload: &UploadId, access: &Access) -> Result<()> {
        let done = self
            .clients
            .quick("AbortMultipartUpload", &to.bucket, access, |client| {
                let call = client.abort_multipart_upload().bucket(&to.bucket).key(&to.key);
                call.upload_id(&upload.0).set_request_payer(self.payer(&[&to.bucket])).send()
            })
            .await;
        match done {
            Err(error) if error.class != Class::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn parts_of(
        &self,
        to: &ObjectLocation,
        upload: &UploadId,
        access: &Access,
    ) -> Result<Option<Vec<(PartTag, u64)>>> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .clients
                .quick("ListParts", &to.bucket, access, |client| {
                    let call = client.list_parts().bucket(&to.bucket).key(&to.key).upload_id(&upload.0);
                    let call = call.set_request_payer(self.payer(&[&to.bucket]));
                    call.set_part_number_marker(after.clone()).send()
                })
                .await;
            let page = match page {
                Err(error) if error.code.as_deref() == Some("NoSuchUpload") => return Ok(None),
                page => page?,
            };
            found.extend(page.parts().iter().filter_map(known_part));
            after = page.next_part_number_marker().map(str::to_owned);
            if page.is_truncated() != Some(true) || after.is_none() {
                return Ok(Some(found));
            }
        }
    }
}

fn known_part(part: &Part) -> Option<(PartTag, u64)> {
    let number = u32::try_from(part.part_number()?).ok()?;
    let crc32 = part.checksum_crc32().map(str::to_owned);
    let tag = PartTag { number, etag: ETag::new(part.e_tag()?), is_md5: false, crc32 };
    Some((tag, u64::try_from(part.size()?).ok()?))
}

pub(super) fn part_number(operation: &'static str, number: u32) -> Result<i32> {
    let wrong = |error| Error::new(Class::Invalid, operation, "too many parts").caused_by(error);
    i32::try_from(number).map_err(wrong)
}

/// Whether what is encrypted so is tagged with its MD5.
pub(super) fn is_md5(encryption: Option<&ServerSideEncryption>) -> bool {
    matches!(encryption, None | Some(ServerSideEncryption::Aes256))
}

/// `If-None-Match` and `If-Match`.
pub(super) fn conditions(precondition: &Precondition) -> (Option<String>, Option<String>) {
    match precondition {
        Precondition::None => (None, None),
        Precondition::Absent => (Some("*".to_owned()), None),
        Precondition::Matches(etag) => (None, Some(quoted(etag))),
    }
}
