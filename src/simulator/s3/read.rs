//! Reading: objects and their tags.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        ArchiveStatus, ChecksumType, GetObjectInput, GetObjectOutput, GetObjectTaggingInput,
        GetObjectTaggingOutput, HeadObjectInput, HeadObjectOutput, Range, StorageClass, StreamingBlob, Tag,
    },
};

use super::{
    say::{Conditions, etag, no_such_key, not_kept, refuse, size, time},
    store::Object,
};
use crate::simulator::{Simulator, bytes::chunks, world};

const BINARY: &str = "binary/octet-stream";

/// The object with its `ETag` made.
pub(super) async fn find(simulator: &Simulator, bucket: &str, key: &str) -> S3Result<Object> {
    let object = simulator.with(|state| match state.object(bucket, key) {
        Some(object) => Ok(object),
        // Who may not list is not told that there is nothing.
        None => Err(state.allow(bucket, "ListBucket").err().unwrap_or_else(no_such_key)),
    })?;
    simulator.hash_tags(std::iter::once((&object.content, &object.parts))).await;
    Ok(object)
}

/// Refuses what is archived.
pub(super) fn readable(simulator: &Simulator, object: &Object) -> S3Result<()> {
    let why = "The operation is not valid for the object's storage class";
    let refused = || {
        let mut error = refuse(S3ErrorCode::InvalidObjectState, why);
        error.set_status_code(StatusCode::FORBIDDEN);
        error
    };
    let now = simulator.with(|state| state.now());
    if object.about.is_cold(now) { Err(refused()) } else { Ok(()) }
}

/// Which bytes are asked for, whether that is not all of them, and how many parts there are if a
/// part is asked for.
fn asked(
    object: &Object,
    range: Option<Range>,
    part: Option<i32>,
) -> S3Result<(u64, u64, bool, Option<i32>)> {
    let all = object.content.size();
    if let Some(number) = part {
        let wrong = || {
            let code = S3ErrorCode::Custom("InvalidPartNumber".into());
            let mut error = refuse(code, "The requested partnumber is not satisfiable");
            error.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
            error
        };
        let index =
            usize::try_from(number).ok().and_then(|number| number.checked_sub(1)).ok_or_else(wrong)?;
        let (start, end) = object.parts.bounds(all).nth(index).ok_or_else(wrong)?;
        let count =
            object.parts.is_multipart().then(|| i32::try_from(object.parts.count()).unwrap_or(i32::MAX));
        return Ok((start, end, count.is_some(), count));
    }
    match range {
        Some(range) => {
            let range = range.check(all)?;
            Ok((range.start, range.end, true, None))
        }
        None => Ok((0, all, false, None)),
    }
}

fn content_range(start: u64, end: u64, all: u64) -> String {
    format!("bytes {start}-{}/{all}", end.saturating_sub(1))
}

pub(super) async fn head(
    simulator: &Simulator,
    req: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = req.input;
    let object = find(simulator, &input.bucket, &input.key).await?;
    let tag = object.tag();
    Conditions { matches: input.if_match, none_matches: input.if_none_match }.read(&tag)?;
    let (start, end, partly, parts_count) = asked(&object, input.range, input.part_number)?;
    let (now, shows_tags) =
        simulator.with(|state| (state.now(), !state.faults.denies(&input.bucket, "GetObjectTagging")));
    let tags = object.about.tags.len();
    let wants_sum = input.checksum_mode.as_ref().is_some_and(|mode| mode.as_str() == "ENABLED");
    let sha256 = (wants_sum && object.about.sha256).then(|| STANDARD.encode(object.content.sha256()));
    let about = object.about.as_ref().clone();
    let mut response = S3Response::new(HeadObjectOutput {
        archive_status: about.archive_status(now).map(ArchiveStatus::from_static),
        restore: about.restore_header(now),
        checksum_type: sha256.is_some().then(|| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
        checksum_sha256: sha256,
        accept_ranges: Some("bytes".to_owned()),
        cache_control: about.cache_control,
        content_disposition: about.content_disposition,
        content_encoding: about.content_encoding,
        content_language: about.content_language,
        content_length: Some(size(end - start)),
        content_range: partly.then(|| content_range(start, end, object.content.size())),
        content_type: Some(about.content_type.unwrap_or_else(|| BINARY.to_owned())),
        e_tag: Some(etag(&tag)),
        expires: about.expires,
        last_modified: Some(time(object.modified)),
        metadata: Some(about.metadata.into_iter().collect()),
        parts_count,
        server_side_encryption: Some(object.encryption()),
        storage_class: class(about.class),
        ..HeadObjectOutput::default()
    });
    if tags > 0 && shows_tags {
        // The protocol's own output has no field for it.
        response.headers.insert("x-amz-tagging-count", tags.into());
    }
    Ok(response)
}

/// The storage class, of which the usual one is not told.
fn class(class: world::StorageClass) -> Option<StorageClass> {
    (class != world::StorageClass::Standard).then(|| StorageClass::from_static(class.name()))
}

pub(super) async fn get(
    simulator: &Arc<Simulator>,
    req: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let input = req.input;
    let object = find(simulator, &input.bucket, &input.key).await?;
    let tag = object.tag();
    Conditions { matches: input.if_match, none_matches: input.if_none_match }.read(&tag)?;
    let (start, end, partly, parts_count) = asked(&object, input.range, input.part_number)?;
    readable(simulator, &object)?;
    if !object.content.is_readable() {
        return Err(not_kept());
    }
    let about = object.about.as_ref().clone();
    let (all, server_side_encryption) = (object.content.size(), Some(object.encryption()));
    Ok(S3Response::new(GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(StreamingBlob::wrap(chunks(simulator, object.content, start, end))),
        cache_control: about.cache_control,
        content_disposition: about.content_disposition,
        content_encoding: about.content_encoding,
        content_language: about.content_language,
        content_length: Some(size(end - start)),
        content_range: partly.then(|| content_range(start, end, all)),
        content_type: Some(about.content_type.unwrap_or_else(|| BINARY.to_owned())),
        e_tag: Some(etag(&tag)),
        expires: about.expires,
        last_modified: Some(time(object.modified)),
        metadata: Some(about.metadata.into_iter().collect()),
        parts_count,
        server_side_encryption,
        storage_class: class(about.class),
        tag_count: i32::try_from(about.tags.len()).ok().filter(|count| *count > 0),
        ..GetObjectOutput::default()
    }))
}

pub(super) fn tagging(
    simulator: &Simulator,
    input: &GetObjectTaggingInput,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let object = simulator.with(|state| state.object(&input.bucket, &input.key)).ok_or_else(no_such_key)?;
    let tags = object.about.tags.iter().cloned();
    let tag_set = tags.map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: None }))
}
