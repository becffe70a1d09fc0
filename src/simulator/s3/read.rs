//! Reading: objects, their tags, listings.

use std::{ops::Bound, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        CommonPrefix, GetObjectInput, GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
        HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object as Listed,
        ObjectStorageClass, Range, StorageClass, StreamingBlob, Tag,
    },
};

use super::{
    say::{Conditions, etag, no_such_key, not_kept, refuse, size, time},
    store::Object,
};
use crate::simulator::{Simulator, bytes::chunks, state::State};

const MOST_KEYS: i32 = 1000;
const BINARY: &str = "binary/octet-stream";

/// The object with its `ETag` made.
pub(super) async fn find(simulator: &Simulator, bucket: &str, key: &str) -> S3Result<Object> {
    let object = simulator.with(|state| state.object(bucket, key)).ok_or_else(no_such_key)?;
    simulator.hash_tags(std::iter::once((&object.content, &object.parts))).await;
    Ok(object)
}

/// Refuses what is archived.
pub(super) fn readable(object: &Object) -> S3Result<()> {
    let why = "The operation is not valid for the object's storage class";
    let refused = || {
        let mut error = refuse(S3ErrorCode::InvalidObjectState, why);
        error.set_status_code(StatusCode::FORBIDDEN);
        error
    };
    if object.about.archived { Err(refused()) } else { Ok(()) }
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
    let about = object.about.as_ref().clone();
    Ok(S3Response::new(HeadObjectOutput {
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
        storage_class: about.archived.then(|| StorageClass::from_static(StorageClass::GLACIER)),
        ..HeadObjectOutput::default()
    }))
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
    readable(&object)?;
    if !object.content.is_readable() {
        return Err(not_kept());
    }
    let about = object.about.as_ref().clone();
    let all = object.content.size();
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

/// A page of a listing.
#[derive(Default)]
struct Page {
    objects: Vec<(String, Object)>,
    prefixes: Vec<String>,
    /// Where the next page starts.
    next: Option<String>,
}

pub(super) async fn list(
    simulator: &Simulator,
    input: ListObjectsV2Input,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let most = input.max_keys.unwrap_or(MOST_KEYS).clamp(0, MOST_KEYS);
    let prefix = input.prefix.clone().unwrap_or_default();
    let wrong = || refuse(S3ErrorCode::InvalidArgument, "The continuation token provided is incorrect");
    let token = input.continuation_token.as_deref().filter(|token| !token.is_empty());
    let token = token.map(|token| {
        let key = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        key.ok_or_else(wrong)
    });
    let from = match (token.transpose()?, &input.start_after) {
        (Some(next), _) => Bound::Included(next),
        (None, Some(after)) if *after >= prefix => Bound::Excluded(after.clone()),
        (None, _) => Bound::Included(prefix.clone()),
    };
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let most_keys = usize::try_from(most).unwrap_or_default();
    let page = simulator.with(|state| page(state, &input.bucket, &prefix, delimiter, from, most_keys));
    simulator.hash_tags(page.objects.iter().map(|(_, object)| (&object.content, &object.parts))).await;
    let as_url = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == "url");
    let text = |text: String| if as_url { utf8_percent_encode(&text, URL).to_string() } else { text };
    let contents: Vec<_> = page.objects.into_iter().map(|(key, object)| listed(text(key), &object)).collect();
    let prefixes: Vec<_> =
        page.prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(text(prefix)) }).collect();
    Ok(S3Response::new(ListObjectsV2Output {
        key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
        name: Some(input.bucket),
        prefix: input.prefix.map(text),
        delimiter: input.delimiter.map(text),
        start_after: input.start_after.map(text),
        max_keys: Some(most),
        continuation_token: input.continuation_token,
        encoding_type: input.encoding_type,
        ..ListObjectsV2Output::default()
    }))
}

/// What `encoding-type=url` leaves as it is.
const URL: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'*');

fn listed(key: String, object: &Object) -> Listed {
    let archived = object.about.archived;
    let class = if archived { ObjectStorageClass::GLACIER } else { ObjectStorageClass::STANDARD };
    Listed {
        key: Some(key),
        e_tag: Some(etag(&object.tag())),
        size: Some(size(object.content.size())),
        last_modified: Some(time(object.modified)),
        storage_class: Some(ObjectStorageClass::from_static(class)),
        ..Listed::default()
    }
}

fn page(
    state: &State,
    bucket: &str,
    prefix: &str,
    delimiter: Option<&str>,
    mut from: Bound<String>,
    most: usize,
) -> Page {
    let mut page = Page::default();
    while let Some(key) = state.next_key(bucket, from.as_ref().map(String::as_str)) {
        let Some(rest) = key.strip_prefix(prefix) else { break };
        let Some(object) = state.object(bucket, &key) else {
            from = Bound::Excluded(key);
            continue;
        };
        if page.objects.len() + page.prefixes.len() >= most {
            page.next = (most > 0).then_some(key);
            break;
        }
        let cut = delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        if let Some(inside) = cut.and_then(|cut| rest.get(..cut)) {
            let common = format!("{prefix}{inside}");
            let after = after_all(&common);
            page.prefixes.push(common);
            let Some(after) = after else { break };
            from = Bound::Included(after);
        } else {
            from = Bound::Excluded(key.clone());
            page.objects.push((key, object));
        }
    }
    page
}

/// The first text after all that start like this one.
fn after_all(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            text.push(next);
            return Some(text);
        }
    }
    None
}
