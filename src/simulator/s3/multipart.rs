//! Multi-part uploads.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use s3s::{
    S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CopyPartResult, CreateMultipartUploadInput,
        CreateMultipartUploadOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
        ListPartsOutput, MultipartUpload, Part as ListedPart, Range, ServerSideEncryption,
        UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
    },
};

use super::{
    say::{Conditions, LARGEST, about, etag, not_kept, refuse, size, time},
    store::{About, Object},
    uploads::{Part, Upload, assemble, head},
    write::{commit, fits, receive, source},
};
use crate::simulator::{
    HASHED_AT_ONCE, Simulator,
    content::{Content, Extent, HEAD},
    parts::Parts,
    state::State,
};

const MOST_PARTS: i32 = 10_000;
const PAGE: i32 = 1000;

fn no_such_upload() -> S3Error {
    refuse(
        S3ErrorCode::NoSuchUpload,
        "The specified upload does not exist: completed, aborted, or never there",
    )
}

fn upload<'a>(state: &'a mut State, id: &str, bucket: &str, key: &str) -> S3Result<&'a mut Upload> {
    let found = state.s3.uploads.get_mut(id).filter(|upload| upload.bucket == bucket && upload.key == key);
    found.ok_or_else(no_such_upload)
}

pub(super) fn create(
    simulator: &Simulator,
    mut input: CreateMultipartUploadInput,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    fits(simulator, &input.bucket, &input.key)?;
    let crc32 = input.checksum_algorithm.as_ref().is_some_and(|algorithm| algorithm.as_str() == "CRC32");
    let about: About = about!(input);
    let id = simulator.with(|state| {
        let (id, now) = (state.uuid().simple().to_string(), state.now());
        let mut upload = Upload::new(input.bucket.clone(), input.key.clone(), Arc::new(about), now);
        upload.crc32 = crc32;
        state.s3.uploads.insert(id.clone(), upload);
        id
    });
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        ..CreateMultipartUploadOutput::default()
    }))
}

/// How what is written there is encrypted.
fn encryption(simulator: &Simulator, bucket: &str, key: &str) -> ServerSideEncryption {
    let parts = simulator.with(|state| state.written_at(bucket, key, &Parts::ONE));
    ServerSideEncryption::from_static(parts.encryption())
}

fn number(number: i32) -> S3Result<()> {
    if (1..=MOST_PARTS).contains(&number) {
        return Ok(());
    }
    Err(refuse(S3ErrorCode::InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

pub(super) async fn part(
    simulator: &Simulator,
    input: UploadPartInput,
) -> S3Result<S3Response<UploadPartOutput>> {
    number(input.part_number)?;
    let (id, bucket, key) = (&input.upload_id, &input.bucket, &input.key);
    let announced = input.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
    let (keep, wants_crc32) = simulator.with(|state| {
        let upload = upload(state, id, bucket, key)?;
        Ok::<_, S3Error>((upload.keeps(announced), upload.crc32))
    })?;
    let md5 = input.content_md5.as_deref();
    let sent = receive(simulator, input.body, input.content_length, keep, md5).await?;
    let tag = hex::encode(sent.md5);
    let crc32 = wants_crc32.then(|| STANDARD.encode(sent.crc32.to_be_bytes()));
    let told = crc32.clone();
    simulator.with(|state| {
        let at = state.now();
        let content = Arc::new(Content::uploaded(sent.kept, sent.size, sent.md5));
        let piece = Extent { content, start: 0, size: sent.size };
        let part = Part { piece, md5: sent.md5, head: sent.head, at, crc32, held: true };
        upload(state, id, bucket, key)?.put(input.part_number, part);
        Ok::<_, S3Error>(())
    })?;
    let server_side_encryption = Some(encryption(simulator, bucket, key));
    Ok(S3Response::new(UploadPartOutput {
        e_tag: Some(etag(&tag)),
        checksum_crc32: told,
        server_side_encryption,
        ..UploadPartOutput::default()
    }))
}

/// The range of a copied part, which unlike others must lie within the object.
fn range(header: Option<&str>, all: u64) -> S3Result<(u64, u64)> {
    let Some(header) = header else { return Ok((0, all)) };
    match Range::parse(header) {
        Ok(Range::Int { first, last: Some(last) }) if last < all => Ok((first, last + 1)),
        Ok(Range::Int { .. }) => Err(refuse(
            S3ErrorCode::InvalidRange,
            format!("Range specified is not valid for source object of size: {all}"),
        )),
        _ => Err(refuse(
            S3ErrorCode::InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last",
        )),
    }
}

pub(super) async fn part_copy(
    simulator: &Simulator,
    req: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let input = req.input;
    number(input.part_number)?;
    let (id, bucket, key) = (&input.upload_id, &input.bucket, &input.key);
    let wants_crc32 = simulator.with(|state| upload(state, id, bucket, key).map(|upload| upload.crc32))?;
    let conditions =
        Conditions { matches: input.copy_source_if_match, none_matches: input.copy_source_if_none_match };
    let (_, _, from) = source(simulator, &req.extensions, &input.copy_source, &conditions).await?;
    let (start, end) = range(input.copy_source_range.as_deref(), from.content.size())?;
    if end - start > LARGEST {
        return Err(refuse(S3ErrorCode::InvalidRequest, "The specified copy source is larger than 5 GiB"));
    }
    if !from.content.is_readable() && (start, end) != (0, from.content.size()) {
        return Err(not_kept());
    }
    simulator.copying(end - start).await;
    let content = Arc::clone(&from.content);
    let (md5, crc32) = blocking(end - start, move || {
        let crc32 = wants_crc32.then(|| crc32_of(&content, start, end));
        (content.hash(start, end), crc32)
    })
    .await?;
    let told = crc32.clone();
    let mut first = from.content.chunk(start);
    first.truncate(usize::try_from(end - start).unwrap_or(HEAD).min(HEAD));
    let at = simulator.with(|state| {
        let at = state.now();
        let piece = Extent { content: from.content, start, size: end - start };
        let part = Part { piece, md5, head: first.to_vec(), at, crc32, held: false };
        upload(state, id, bucket, key)?.put(input.part_number, part);
        Ok::<_, S3Error>(at)
    })?;
    let result = CopyPartResult {
        e_tag: Some(etag(&hex::encode(md5))),
        last_modified: Some(time(at)),
        checksum_crc32: told,
        ..CopyPartResult::default()
    };
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        server_side_encryption: Some(encryption(simulator, bucket, key)),
        ..UploadPartCopyOutput::default()
    }))
}

/// The CRC32 of some bytes of a content, in base64.
fn crc32_of(content: &Content, start: u64, end: u64) -> String {
    let (mut crc, mut at) = (flate2::Crc::new(), start);
    while at < end {
        let mut chunk = content.chunk(at);
        chunk.truncate(usize::try_from(end - at).unwrap_or(usize::MAX));
        if chunk.is_empty() {
            break;
        }
        crc.update(&chunk);
        at += chunk.len() as u64;
    }
    STANDARD.encode(crc.sum().to_be_bytes())
}

/// Does what takes long for many bytes where it holds no other request up.
async fn blocking<T: Send + 'static>(bytes: u64, work: impl FnOnce() -> T + Send + 'static) -> S3Result<T> {
    if bytes <= HASHED_AT_ONCE {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(S3Error::internal_error)
}

/// The parts that make the object, in order, as the caller lists them.
fn chosen(upload: &Upload, input: &CompleteMultipartUploadInput) -> S3Result<Vec<Part>> {
    let listed =
        input.multipart_upload.as_ref().and_then(|listed| listed.parts.as_deref()).unwrap_or_default();
    if listed.is_empty() {
        return Err(refuse(S3ErrorCode::MalformedXML, "You must specify at least one part"));
    }
    let mut chosen = Vec::with_capacity(listed.len());
    let mut before = 0;
    for wanted in listed {
        let number = wanted.part_number.unwrap_or_default();
        if number <= before {
            return Err(refuse(
                S3ErrorCode::InvalidPartOrder,
                "The list of parts was not in ascending order.",
            ));
        }
        before = number;
        let part = upload.parts.get(&number);
        let part = part.filter(|part| {
            wanted.e_tag.as_ref().is_some_and(|tag| tag.value().eq_ignore_ascii_case(&hex::encode(part.md5)))
        });
        if upload.crc32 && wanted.checksum_crc32.is_none() {
            let why = format!(
                "The upload was created using a crc32 checksum. The complete request must include the checksum for \
                 each part. It was missing for part {number} in the request."
            );
            return Err(refuse(S3ErrorCode::InvalidRequest, why));
        }
        let is_other = |part: &&Part| upload.crc32 && part.crc32 != wanted.checksum_crc32;
        let part = part.filter(|part| !is_other(part));
        let why = "One or more of the specified parts could not be found, or its entity tag did not match";
        chosen.push(part.ok_or_else(|| refuse(S3ErrorCode::InvalidPart, why))?.clone());
    }
    Ok(chosen)
}

pub(super) async fn complete(
    simulator: &Simulator,
    mut input: CompleteMultipartUploadInput,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let conditions = Conditions { matches: input.if_match.take(), none_matches: input.if_none_match.take() };
    let (parts, about, alike, bytes) = simulator.with(|state| {
        let upload = upload(state, &input.upload_id, &input.bucket, &input.key)?;
        let (parts, about) = (chosen(upload, &input)?, Arc::clone(&upload.about));
        let bytes = parts.iter().map(|part| part.piece.size).sum();
        let alike = state.library.alike(bytes, &head(&parts));
        Ok::<_, S3Error>((parts, about, alike, bytes))
    })?;
    let (content, layout, new) = blocking(bytes, move || assemble(&parts, &alike)).await?;
    let (bucket, key) = (&input.bucket, &input.key);
    let (modified, parts) = simulator.with(|state| (state.now(), state.written_at(bucket, key, &layout)));
    let object = Object { content: Arc::clone(&content), parts, modified, about };
    let (tag, server_side_encryption) = (object.tag(), Some(object.encryption()));
    commit(simulator, &input.bucket, &input.key, object, &conditions).await?;
    simulator.with(|state| {
        if new {
            state.library.add(&content);
        }
        state.s3.uploads.remove(&input.upload_id);
    });
    Ok(S3Response::new(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(etag(&tag)),
        server_side_encryption,
        ..CompleteMultipartUploadOutput::default()
    }))
}

pub(super) fn abort(
    simulator: &Simulator,
    input: &AbortMultipartUploadInput,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    simulator.with(|state| {
        upload(state, &input.upload_id, &input.bucket, &input.key)?;
        state.s3.uploads.remove(&input.upload_id);
        Ok::<_, S3Error>(())
    })?;
    Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), http::StatusCode::NO_CONTENT))
}

pub(super) fn list_parts(
    simulator: &Simulator,
    input: ListPartsInput,
) -> S3Result<S3Response<ListPartsOutput>> {
    let (after, most) =
        (input.part_number_marker.unwrap_or(0), input.max_parts.unwrap_or(PAGE).clamp(0, PAGE));
    let (parts, more) = simulator.with(|state| {
        let upload = upload(state, &input.upload_id, &input.bucket, &input.key)?;
        let mut rest = upload.parts.range(after.saturating_add(1)..);
        let parts = rest.by_ref().take(usize::try_from(most).unwrap_or_default());
        let parts: Vec<_> = parts
            .map(|(number, part)| ListedPart {
                part_number: Some(*number),
                e_tag: Some(etag(&hex::encode(part.md5))),
                size: Some(size(part.piece.size)),
                checksum_crc32: part.crc32.clone(),
                last_modified: Some(time(part.at)),
                ..ListedPart::default()
            })
            .collect();
        Ok::<_, S3Error>((parts, rest.next().is_some()))
    })?;
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: Some(after),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        max_parts: Some(most),
        is_truncated: Some(more),
        parts: Some(parts),
        ..ListPartsOutput::default()
    }))
}

pub(super) fn list(
    simulator: &Simulator,
    input: ListMultipartUploadsInput,
) -> S3Response<ListMultipartUploadsOutput> {
    let most = input.max_uploads.unwrap_or(PAGE).clamp(0, PAGE);
    let prefix = input.prefix.clone().unwrap_or_default();
    let marker = input.key_marker.clone().filter(|key| !key.is_empty());
    let after = marker.map(|key| (key, input.upload_id_marker.clone()));
    let mut found: Vec<(String, String, jiff::Timestamp)> = simulator.with(|state| {
        let uploads = state.s3.uploads.iter();
        let uploads = uploads.filter(|(_, it)| it.bucket == input.bucket && it.key.starts_with(&prefix));
        uploads.map(|(id, upload)| (upload.key.clone(), id.clone(), upload.started)).collect()
    });
    found.sort();
    if let Some((key, id)) = after {
        // Without an id the uploads of that key have all been seen.
        found.retain(|(k, i, _)| *k > key || (*k == key && id.as_ref().is_some_and(|id| i > id)));
    }
    let more = found.len() > usize::try_from(most).unwrap_or_default();
    found.truncate(usize::try_from(most).unwrap_or_default());
    let last = found.last().filter(|_| more).cloned();
    let uploads = found.into_iter().map(|(key, id, started)| MultipartUpload {
        key: Some(key),
        upload_id: Some(id),
        initiated: Some(time(started)),
        ..MultipartUpload::default()
    });
    S3Response::new(ListMultipartUploadsOutput {
        uploads: Some(uploads.collect()),
        is_truncated: Some(more),
        next_key_marker: last.as_ref().map(|(key, ..)| key.clone()),
        next_upload_id_marker: last.map(|(_, id, _)| id),
        bucket: Some(input.bucket),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        max_uploads: Some(most),
        ..ListMultipartUploadsOutput::default()
    })
}
