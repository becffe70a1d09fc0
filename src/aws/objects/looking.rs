//! What S3 tells of an object without its bytes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use aws_sdk_s3::{
    operation::{head_object::HeadObjectOutput, list_objects_v2::ListObjectsV2Output},
    primitives::{DateTime, DateTimeFormat},
    types::{
        ArchiveStatus, ChecksumMode, EncodingType, Object, ObjectStorageClass, ServerSideEncryption,
        StorageClass,
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::{S3Objects, quoted};
use crate::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::{Access, ContentHeaders, ObjectInfo, ObjectLocation, Parts, Restore},
        parts,
        store::Page,
    },
};

const HEAD: &str = "HeadObject";
/// Parts asked for at once.
const AT_ONCE: usize = 8;

impl S3Objects {
    /// What is known about an object, but for its parts.
    pub(super) async fn look_at(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>> {
        let found = self
            .clients
            .quick(HEAD, &at.bucket, access, |client| {
                let call = client.head_object().bucket(&at.bucket).key(&at.key);
                call.checksum_mode(ChecksumMode::Enabled).set_request_payer(self.payer(&[&at.bucket])).send()
            })
            .await;
        match found {
            Ok(found) => Ok(Some(known(&at.key, &found))),
            Err(error) if error.class == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The parts of an object with such an `ETag`; `None` where S3 does not tell.
    pub(super) async fn parts(
        &self,
        at: &ObjectLocation,
        etag: &ETag,
        access: &Access,
    ) -> Result<Option<Parts>> {
        let Some(count) = parts::count(etag) else { return Ok(None) };
        match self.part_size(at, etag, 1, access).await {
            Ok(first) => Ok(first.map(|first| Parts { count, first })),
            Err(error) if error.is_passing() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The sizes of all parts of an object.
    pub(super) async fn sizes_of_parts(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>> {
        let Some((etag, count)) = counted(info) else { return Ok(None) };
        // Two parts are known by the first; of more, the last shows whether those between are like it.
        let first = async {
            match info.parts {
                Some(parts) => Ok(Some(parts.first)),
                None => self.part_size(at, etag, 1, access).await,
            }
        };
        let last = async {
            match count {
                ..=2 => Ok(None),
                _ => self.part_size(at, etag, count, access).await,
            }
        };
        let (first, last) = tokio::try_join!(first, last)?;
        let Some(first) = first else { return Ok(None) };
        let before_last = first.checked_mul(u64::from(count.saturating_sub(1)));
        let rest = before_last.and_then(|before| info.size.checked_sub(before));
        let like_first = |last: u64| {
            let parts = (1..count).map(|_| first).chain([last]);
            Some(parts.collect())
        };
        let last = if count <= 2 { rest } else { last };
        match (last, rest) {
            (Some(last), Some(rest)) if last == rest => return Ok(like_first(last)),
            (None, _) => return Ok(None),
            _ => {}
        }
        let between = self.some_sizes(at, etag, 2..count, access).await?;
        let all = [Some(first)].into_iter().chain(between).chain([last]).collect();
        Ok(whole(all, info))
    }

    /// The same, asking for each.
    pub(super) async fn size_of_each_part(
        &self,
        at: &ObjectLocation,
        info: &ObjectInfo,
        access: &Access,
    ) -> Result<Option<Vec<u64>>> {
        let Some((etag, count)) = counted(info) else { return Ok(None) };
        let all = self.some_sizes(at, etag, 1..count + 1, access).await?;
        Ok(whole(all.into_iter().collect(), info))
    }

    async fn some_sizes(
        &self,
        at: &ObjectLocation,
        etag: &ETag,
        numbers: Range<u32>,
        access: &Access,
    ) -> Result<Vec<Option<u64>>> {
        let sizes = stream::iter(numbers).map(|number| self.part_size(at, etag, number, access));
        sizes.buffered(AT_ONCE).try_collect().await
    }

    /// The size of one part of the object with that `ETag`; `None` where S3 does not tell.
    async fn part_size(
        &self,
        at: &ObjectLocation,
        etag: &ETag,
        number: u32,
        access: &Access,
    ) -> Result<Option<u64>> {
        let part = super::uploads::part_number(HEAD, number)?;
        let found = self
            .clients
            .quick(HEAD, &at.bucket, access, |client| {
                let call = client.head_object().bucket(&at.bucket).key(&at.key);
                let call = call.set_request_payer(self.payer(&[&at.bucket]));
                call.if_match(quoted(etag)).part_number(part).send()
            })
            .await;
        match found {
            // Without a count, what was told is about the whole object.
            Ok(found) => Ok(found.parts_count().and(found.content_length()).map(|length| size(Some(length)))),
            Err(error) if error.class == Class::NotFound => Err(Error { class: Class::Conflict, ..error }),
            Err(error) if error.class == Class::Invalid => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The tags of an object.
    pub(super) async fn tags_of(
        &self,
        at: &ObjectLocation,
        access: &Access,
    ) -> Result<BTreeMap<String, String>> {
        let found = self
            .clients
            .quick("GetObjectTagging", &at.bucket, access, |client| {
                let call = client.get_object_tagging().bucket(&at.bucket).key(&at.key);
                call.set_request_payer(self.payer(&[&at.bucket])).send()
            })
            .await?;
        Ok(found.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
    }
}

/// The tag of an object that was uploaded in parts, and how many these are.
fn counted(info: &ObjectInfo) -> Option<(&ETag, u32)> {
    let etag = info.etag.as_ref()?;
    let count = parts::count(etag).filter(|count| u64::from(*count) <= parts::MOST_PARTS)?;
    Some((etag, count))
}

/// The sizes, if they make up the object.
fn whole(all: Option<Vec<u64>>, info: &ObjectInfo) -> Option<Vec<u64>> {
    all.filter(|all| all.iter().sum::<u64>() == info.size)
}

fn known(key: &str, found: &HeadObjectOutput) -> ObjectInfo {
    let class = found.storage_class().map(StorageClass::as_str);
    let archive_status = found.archive_status().map(ArchiveStatus::as_str);
    let restore = found.restore().and_then(restore);
    let restored = matches!(restore, Some(Restore::Done { .. }));
    let text = |text: Option<&str>| text.map(str::to_owned);
    ObjectInfo {
        key: key.to_owned(),
        size: size(found.content_length()),
        etag: found.e_tag().map(ETag::new),
        opaque: !matches!(found.server_side_encryption(), None | Some(ServerSideEncryption::Aes256)),
        modified: found.last_modified().and_then(instant),
        archived: (is_archive(class) || archive_status.is_some()) && !restored,
        storage_class: text(class),
        parts: None,
        headers: ContentHeaders {
            content_type: text(found.content_type()),
            cache_control: text(found.cache_control()),
            content_disposition: text(found.content_disposition()),
            content_encoding: text(found.content_encoding()),
            content_language: text(found.content_language()),
            expires: text(found.expires_string()),
        },
        metadata: found.metadata().map(ordered).unwrap_or_default(),
        checksums: checksums(found),
        archive_status: text(archive_status),
        restore,
        tags: found.tag_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
    }
}

/// A page of a listing.
pub(super) fn page_of(page: &ListObjectsV2Output) -> Result<Page<ObjectInfo>> {
    let next = page.next_continuation_token().filter(|_| page.is_truncated() == Some(true));
    // Some S3s do not know of it, and then do not say so.
    let encoded = page.encoding_type() == Some(&EncodingType::Url);
    let items = page.contents().iter().map(|object| {
        let key = object.key().unwrap_or_default();
        Ok(listed(if encoded { decoded(key)? } else { key.to_owned() }, object))
    });
    Ok(Page { items: items.collect::<Result<_>>()?, next: next.map(str::to_owned) })
}

/// A key as it was before `encoding-type=url`, which writes `+` for a blank.
pub(super) fn decoded(key: &str) -> Result<String> {
    let key = key.replace('+', " ");
    let text = percent_decode_str(&key).decode_utf8();
    text.map(Cow::into_owned).map_err(|error| {
        Error::new(Class::Invalid, "list", "a key in the listing is not UTF-8").caused_by(error)
    })
}

fn listed(key: String, object: &Object) -> ObjectInfo {
    let class = object.storage_class().map(ObjectStorageClass::as_str);
    let restored =
        object.restore_status().is_some_and(|status| status.is_restore_in_progress() == Some(false));
    ObjectInfo {
        key,
        size: size(object.size()),
        etag: object.e_tag().map(ETag::new),
        modified: object.last_modified().and_then(instant),
        archived: is_archive(class) && !restored,
        storage_class: class.filter(|class| *class != "STANDARD").map(str::to_owned),
        ..ObjectInfo::default()
    }
}

fn checksums(found: &HeadObjectOutput) -> BTreeMap<String, String> {
    [
        ("CRC32", found.checksum_crc32()),
        ("CRC32C", found.checksum_crc32_c()),
        ("CRC64NVME", found.checksum_crc64_nvme()),
        ("SHA1", found.checksum_sha1()),
        ("SHA256", found.checksum_sha256()),
        ("SHA512", found.checksum_sha512()),
        ("MD5", found.checksum_md5()),
        ("XXHASH64", found.checksum_xxhash64()),
        ("XXHASH3", found.checksum_xxhash3()),
        ("XXHASH128", found.checksum_xxhash128()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
    .collect()
}

/// `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`
fn restore(header: &str) -> Option<Restore> {
    let value = |name: &str| {
        let (_, rest) = header.split_once(name)?;
        rest.strip_prefix("=\"")?.split_once('"').map(|(value, _)| value)
    };
    match value("ongoing-request")? {
        "true" => Some(Restore::Ongoing),
        "false" => {
            let until = value("expiry-date").and_then(http_date);
            Some(Restore::Done { until: until.as_ref().and_then(instant) })
        }
        _ => None,
    }
}

pub(super) fn http_date(text: &str) -> Option<DateTime> {
    DateTime::from_str(text, DateTimeFormat::HttpDate).ok()
}

/// Whether objects of that class must be restored before they are read.
fn is_archive(class: Option<&str>) -> bool {
    matches!(class, Some("GLACIER" | "DEEP_ARCHIVE"))
}

fn size(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

pub(super) fn instant(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

fn ordered(metadata: &HashMap<String, String>) -> BTreeMap<String, String> {
    metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
