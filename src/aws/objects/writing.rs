//! What goes with a write besides bytes, small objects, and restores.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_s3::types::{
    GlacierJobParameters, ObjectCannedAcl, RestoreRequest as Restoring, ServerSideEncryption, Tier,
};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{S3Objects, body, incomplete, looking::http_date, trouble::told, uploads::conditions};
use crate::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::{Access, ByteStream, ObjectLocation, ObjectPut, RestoreRequest, WriteOptions},
    },
};

const PUT: &str = "PutObject";

/// What may stand in `x-amz-tagging` as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl S3Objects {
    /// Writes a small object.
    pub(super) async fn put_object(
        &self,
        to: &ObjectLocation,
        bytes: Bytes,
        content_type: Option<&str>,
        options: &WriteOptions,
        access: &Access,
    ) -> Result<ETag> {
        let also = Also::new(options, access);
        let answer = self
            .clients
            .here(PUT, access, |client| {
                client
                    .put_object()
                    .bucket(&to.bucket)
                    .key(&to.key)
                    .body(bytes.clone().into())
                    .set_content_type(content_type.map(str::to_owned))
                    .set_tagging(also.tagging.clone())
                    .set_acl(also.acl.clone())
                    .set_expected_bucket_owner(also.owner.clone())
                    .set_server_side_encryption(also.encryption.clone())
                    .set_ssekms_key_id(also.key.clone())
                    .set_request_payer(self.payer(&[&to.bucket]))
                    .send()
            })
            .await?;
        answer.e_tag().map(ETag::new).ok_or_else(|| incomplete(PUT, "ETag"))
    }

    /// Writes an object whose bytes are on their way.
    pub(super) async fn put_bytes(
        &self,
        put: &ObjectPut,
        bytes: ByteStream,
        access: &Access,
    ) -> Result<ETag> {
        let also = Also::new(&put.options, access);
        let (none, only) = conditions(&put.precondition);
        let headers = put.like.as_ref().map(|like| like.headers.clone()).unwrap_or_default();
        let expires = headers.expires.as_deref().and_then(http_date);
        let metadata: Option<HashMap<_, _>> =
            put.like.as_ref().map(|like| like.metadata.clone().into_iter().collect());
        let length = i64::try_from(put.size)
            .map_err(|error| Error::new(Class::Invalid, PUT, "too large").caused_by(error))?;
        let answer = self
            .clients
            .for_body(&put.to.bucket, access)
            .await
            .put_object()
            .bucket(&put.to.bucket)
            .key(&put.to.key)
            .content_length(length)
            .body(body::write(bytes, put.size))
            .set_content_type(headers.content_type)
            .set_cache_control(headers.cache_control)
            .set_content_disposition(headers.content_disposition)
            .set_content_encoding(headers.content_encoding)
            .set_content_language(headers.content_language)
            .set_expires(expires)
            .set_metadata(metadata)
            .set_if_none_match(none)
            .set_if_match(only)
            .set_tagging(also.tagging)
            .set_acl(also.acl)
            .set_expected_bucket_owner(also.owner)
            .set_server_side_encryption(also.encryption)
            .set_ssekms_key_id(also.key)
            .set_request_payer(self.payer(&[&put.to.bucket]))
            .send()
            .await
            .map_err(|error| told(PUT, error))?;
        answer.e_tag().map(ETag::new).ok_or_else(|| incomplete(PUT, "ETag"))
    }

    /// Asks for a restore.
    pub(super) async fn restore_object(
        &self,
        at: &ObjectLocation,
        ask: &RestoreRequest,
        access: &Access,
    ) -> Result<()> {
        let operation = "RestoreObject";
        let wrong = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(Class::Invalid, operation, "cannot be asked so").caused_by(error)
        };
        let days = ask.days.map(i32::try_from).transpose().map_err(|error| wrong(error.into()))?;
        let tier = GlacierJobParameters::builder().tier(Tier::from(ask.tier.as_str())).build();
        let tier = tier.map_err(|error| wrong(error.into()))?;
        let ask = Restoring::builder().set_days(days).glacier_job_parameters(tier).build();
        let asked = self
            .clients
            .quick(operation, &at.bucket, access, |client| {
                let call = client.restore_object().bucket(&at.bucket).key(&at.key);
                call.set_request_payer(self.payer(&[&at.bucket])).restore_request(ask.clone()).send()
            })
            .await;
        match asked {
            Err(error) if error.code.as_deref() != Some("RestoreAlreadyInProgress") => Err(error),
            _ => Ok(()),
        }
    }
}

/// Headers that go with every new object.
#[derive(Debug, Clone)]
pub(super) struct Also {
    pub(super) tagging: Option<String>,
    pub(super) acl: Option<ObjectCannedAcl>,
    pub(super) owner: Option<String>,
    pub(super) encryption: Option<ServerSideEncryption>,
    pub(super) key: Option<String>,
}

impl Also {
    pub(super) fn new(options: &WriteOptions, access: &Access) -> Self {
        let (encryption, key) = encryption(access);
        Self {
            tagging: options.tags.as_ref().map(tagging),
            acl: options.acl.as_deref().map(ObjectCannedAcl::from),
            owner: options.expected_owner.clone(),
            encryption,
            key,
        }
    }
}

fn tagging(tags: &BTreeMap<String, String>) -> String {
    let plain = |text| utf8_percent_encode(text, PLAIN);
    let all: Vec<_> = tags.iter().map(|(key, value)| format!("{}={}", plain(key), plain(value))).collect();
    all.join("&")
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
