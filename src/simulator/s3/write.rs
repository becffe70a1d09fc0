//! Writing: objects, copies, tags, deletions.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput,
        DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, MetadataDirective,
        PutObjectInput, PutObjectOutput, PutObjectTaggingInput, PutObjectTaggingOutput, StreamingBlob,
        TaggingDirective,
    },
};

use super::{
    access::{Caller, Want},
    read::{find, readable},
    say::{Conditions, LARGEST, about, etag, no_such_key, refuse, time},
    store::{About, Object},
};
use crate::simulator::{Simulator, content::KEPT_BYTES, parts::Parts, upload::Upload};

/// Receives the body of a PUT.
pub(super) async fn receive(
    simulator: &Simulator,
    body: Option<StreamingBlob>,
    length: Option<i64>,
    keep: bool,
    content_md5: Option<&str>,
) -> S3Result<Upload> {
    let announced = length.and_then(|length| u64::try_from(length).ok());
    if announced.is_some_and(|announced| announced > LARGEST) {
        return Err(refuse(S3ErrorCode::EntityTooLarge, "One PUT takes at most 5 GiB"));
    }
    let keep = keep && announced.is_none_or(|announced| announced <= KEPT_BYTES);
    let incomplete = || refuse(S3ErrorCode::IncompleteBody, "The bytes are not as many as announced");
    let upload = match body {
        Some(body) => Upload::receive(simulator, announced, keep, body).await,
        None => {
            Upload::receive(
                simulator,
                announced,
                keep,
                futures_util::stream::empty::<Result<_, std::io::Error>>(),
            )
            .await
        }
    };
    let upload = upload.map_err(|_| incomplete())?;
    let expected = content_md5.and_then(|digest| STANDARD.decode(digest).ok());
    if expected.is_some_and(|expected| expected != upload.md5) {
        return Err(refuse(S3ErrorCode::BadDigest, "The bytes do not match Content-MD5"));
    }
    Ok(upload)
}

/// Refuses keys that a project could not show.
pub(super) fn fits(simulator: &Simulator, bucket: &str, key: &str) -> S3Result<()> {
    let fits = simulator.with(|state| state.fits(bucket, key));
    let why = "In the simulator a project shows no key with an empty name in it";
    if fits { Ok(()) } else { Err(refuse(S3ErrorCode::InvalidArgument, why)) }
}

/// Writes the object if the conditions hold at that very moment.
pub(super) async fn commit(
    simulator: &Simulator,
    bucket: &str,
    key: &str,
    object: Object,
    conditions: &Conditions,
) -> S3Result<()> {
    if conditions.any()
        && let Some(there) = simulator.with(|state| state.object(bucket, key))
    {
        simulator.hash_tags(std::iter::once((&there.content, &there.parts))).await;
    }
    simulator.with(|state| {
        conditions.write(state.object(bucket, key).as_ref())?;
        state.write(bucket, key, Some(object));
        Ok(())
    })
}

pub(super) async fn put(
    simulator: &Simulator,
    req: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let mut input = req.input;
    fits(simulator, &input.bucket, &input.key)?;
    let (body, md5) = (input.body.take(), input.content_md5.as_deref());
    let upload = receive(simulator, body, input.content_length, true, md5).await?;
    let content = upload.content(simulator).await;
    let about = Arc::new(about!(input));
    let (bucket, key) = (&input.bucket, &input.key);
    let (modified, parts) = simulator.with(|state| (state.now(), state.written_at(bucket, key, &Parts::ONE)));
    let object = Object { content, parts, modified, about };
    let (tag, encryption) = (object.tag(), Some(object.encryption()));
    let conditions = Conditions { matches: input.if_match, none_matches: input.if_none_match };
    commit(simulator, &input.bucket, &input.key, object, &conditions).await?;
    Ok(S3Response::new(PutObjectOutput {
        e_tag: Some(etag(&tag)),
        server_side_encryption: encryption,
        ..PutObjectOutput::default()
    }))
}

/// The object that a copy reads, if the caller may.
pub(super) async fn source(
    simulator: &Simulator,
    extensions: &http::Extensions,
    from: &CopySource,
    conditions: &Conditions,
) -> S3Result<(String, String, Object)> {
    let CopySource::Bucket { bucket, key, .. } = from else {
        return Err(refuse(S3ErrorCode::NotImplemented, "There are no access points here"));
    };
    let caller = extensions.get::<Arc<Caller>>().cloned().unwrap_or_default();
    simulator.with(|state| {
        state.permit(&caller, bucket, key, Want::Read)?;
        state.allow(bucket, "GetObject")
    })?;
    let object = find(simulator, bucket, key).await?;
    readable(simulator, &object)?;
    if conditions.any() {
        conditions.copy(&object.tag())?;
    }
    Ok((bucket.to_string(), key.to_string(), object))
}

pub(super) async fn copy(
    simulator: &Simulator,
    req: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let mut input = req.input;
    fits(simulator, &input.bucket, &input.key)?;
    let conditions = Conditions {
        matches: input.copy_source_if_match.take(),
        none_matches: input.copy_source_if_none_match.take(),
    };
    let (bucket, key, from) = source(simulator, &req.extensions, &input.copy_source, &conditions).await?;
    if from.content.size() > LARGEST {
        return Err(refuse(S3ErrorCode::InvalidRequest, "The specified copy source is larger than 5 GiB"));
    }
    let replaces = |directive: Option<&str>| directive == Some("REPLACE");
    let metadata = replaces(input.metadata_directive.as_ref().map(MetadataDirective::as_str));
    let tagging = replaces(input.tagging_directive.as_ref().map(TaggingDirective::as_str));
    if !metadata && (&bucket, &key) == (&input.bucket, &input.key) {
        let why = "This copy request is illegal because it is trying to copy an object to itself";
        return Err(refuse(S3ErrorCode::InvalidRequest, why));
    }
    let given: About = about!(input);
    if !tagging && !from.about.tags.is_empty() {
        simulator.with(|state| {
            state.allow(&bucket, "GetObjectTagging")?;
            state.allow(&input.bucket, "PutObjectTagging")
        })?;
    }
    let tags = if tagging { given.tags.clone() } else { from.about.tags.clone() };
    let about = if metadata { given.clone() } else { from.about.as_ref().clone() };
    // How the source is kept, and who may see it, is its own affair.
    let About { class, acl, .. } = given;
    let sha256 = given.sha256 || from.about.sha256;
    let about = About { tags, class, acl, sha256, tier: None, restored: None, ..about };
    simulator.copying(from.content.size()).await;
    simulator.hash_tags(std::iter::once((&from.content, &Parts::ONE))).await;
    let (to, at) = (&input.bucket, &input.key);
    let (modified, parts) = simulator.with(|state| (state.now(), state.written_at(to, at, &Parts::ONE)));
    let object = Object { content: from.content, parts, modified, about: Arc::new(about) };
    let (tag, server_side_encryption) = (object.tag(), Some(object.encryption()));
    commit(simulator, &input.bucket, &input.key, object, &Conditions::of(&req.headers)?).await?;
    let result = CopyObjectResult {
        e_tag: Some(etag(&tag)),
        last_modified: Some(time(modified)),
        ..CopyObjectResult::default()
    };
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        server_side_encryption,
        ..CopyObjectOutput::default()
    }))
}

pub(super) fn delete(simulator: &Simulator, input: &DeleteObjectInput) -> S3Response<DeleteObjectOutput> {
    remove(simulator, &input.bucket, &input.key);
    S3Response::with_status(DeleteObjectOutput::default(), http::StatusCode::NO_CONTENT)
}

fn remove(simulator: &Simulator, bucket: &str, key: &str) {
    simulator.with(|state| {
        if state.object(bucket, key).is_some() {
            state.write(bucket, key, None);
        }
    });
}

pub(super) fn delete_many(
    simulator: &Simulator,
    req: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let caller = req.extensions.get::<Arc<Caller>>().cloned().unwrap_or_default();
    let (bucket, delete) = (req.input.bucket, req.input.delete);
    let mut deleted = Vec::new();
    for object in delete.objects {
        simulator.with(|state| state.permit(&caller, &bucket, &object.key, Want::Write))?;
        remove(simulator, &bucket, &object.key);
        deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
    }
    let deleted = Some(deleted).filter(|_| delete.quiet != Some(true));
    Ok(S3Response::new(DeleteObjectsOutput { deleted, ..DeleteObjectsOutput::default() }))
}

pub(super) fn tagging(
    simulator: &Simulator,
    input: PutObjectTaggingInput,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let given = input.tagging.tag_set.into_iter();
    let given = given.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect();
    simulator.with(|state| {
        let object = state.object(&input.bucket, &input.key).ok_or_else(no_such_key)?;
        let about = About { tags: given, ..object.about.as_ref().clone() };
        if state.say(&input.bucket, &input.key, about) { Ok(()) } else { Err(no_such_key()) }
    })?;
    Ok(S3Response::new(PutObjectTaggingOutput::default()))
}
