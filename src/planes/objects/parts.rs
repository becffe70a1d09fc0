//! Copies in parts, and the uploads that they are made of.
//!
//! The id of an upload is stored before its first part. After a crash the upload is taken over as S3
//! lists it, and only the parts that it lacks are made; what is not needed any more is aborted. An
//! upload whose id was lost before it was stored holds no part, costs nothing, and stays: at the same key
//! another writer may have begun one, and the two cannot be told apart.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep;

use super::{
    inside::nowhere,
    object::{Found, Try},
    slice_run::{End, ObjectError, ObjectResult, SliceRun},
    state::Begun,
};
use crate::{
    engine::backoff::jittered,
    ports::{
        Class, Error,
        objects::{ObjectLocation, PartTag, Precondition, UploadId, WriteOptions},
        parts,
        transfers::{PartStream, StreamSource},
    },
    signals,
};

/// Parts of one object that are streamed at a time.
const STREAMED: usize = 4;
/// How often one part is tried in a row, and how often where S3 asks us to slow down. An object of
/// thousands of parts would otherwise hardly ever arrive.
const TRIES: u32 = 3;
const PATIENCE: u32 = 10;
/// Waits between.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(10);

/// How parts are made.
#[derive(Debug)]
enum Maker<'a> {
    /// By S3, of an object of its own.
    Inside(&'a ObjectLocation),
    /// Here, of what is read.
    Stream(&'a StreamSource),
}

impl Try<'_, '_> {
    /// Copies inside S3 in parts of these sizes; false: they are not the source's, and nothing was made.
    pub(super) async fn in_parts(
        &self,
        found: &Found,
        sizes: &[u64],
        alike: bool,
        only_if: &Precondition,
    ) -> ObjectResult<bool> {
        let Some((at, _)) = &found.at else { return Err(nowhere().into()) };
        self.make(found, sizes, alike, only_if, &Maker::Inside(at)).await
    }

    /// The same through this process.
    pub(super) async fn stream_in_parts(
        &self,
        found: &Found,
        from: &StreamSource,
        sizes: &[u64],
        alike: bool,
        only_if: &Precondition,
    ) -> ObjectResult<bool> {
        self.make(found, sizes, alike, only_if, &Maker::Stream(from)).await
    }

    /// `alike`: the source has these parts, as far as is known, so that its `ETag` is to come out.
    async fn make(
        &self,
        found: &Found,
        sizes: &[u64],
        alike: bool,
        only_if: &Precondition,
        maker: &Maker<'_>,
    ) -> ObjectResult<bool> {
        let settings = &self.slice_run.engine.core.settings.copy_out;
        let streamed = matches!(maker, Maker::Stream(_));
        let (upload, mut made) = self.upload(found, sizes, streamed).await?;
        let missing: Vec<_> = ranges(sizes).filter(|(number, _)| !made.contains_key(number)).collect();
        let width = match maker {
            Maker::Inside(_) => settings.concurrent_parts.max(1),
            Maker::Stream(_) => STREAMED,
        };
        let parts = stream::iter(missing)
            .map(|(number, range)| self.part(found, &upload, number, range, maker))
            .buffer_unordered(width);
        let parts: Vec<PartTag> = parts.try_collect().await?;
        made.extend(parts.into_iter().map(|part| (part.number, part)));
        let parts: Vec<PartTag> = made.into_values().collect();
        let source = found.info.etag.clone().filter(|tag| alike && !found.info.opaque && tag.is_multipart());
        let joined = parts::joined(&parts);
        if source.is_some() && joined.is_some() && joined != source {
            self.slice_run.discard(self.index).await?;
            return Ok(false);
        }
        let objects = &self.slice_run.engine.core.ports.objects;
        let complete = objects.complete(&self.to, &upload, &parts, only_if, &self.access);
        let etag = match self.effect(End::Destination, complete).await {
            Err(ObjectError::Port(error)) => return Err(self.not_completed(error).await?.into()),
            etag => etag?,
        };
        self.slice_run.change(|state| state.uploads.remove(&self.index));
        let expected = source.or(joined);
        self.verify(&found.info, &etag, expected.as_ref()).await.map(|()| true)
    }

    /// What becomes of an upload that could not be completed.
    async fn not_completed(&self, error: Error) -> ObjectResult<Error> {
        match error.code.as_deref() {
            // It was completed before, or another writer ended it: a look shows which.
            Some("NoSuchUpload") => {
                self.slice_run.change(|state| state.uploads.remove(&self.index));
                Ok(Error { class: Class::Conflict, ..error })
            }
            // S3 wants such an upload to be begun anew, once the other operation has ended.
            Some("ConditionalRequestConflict") => {
                self.slice_run.discard(self.index).await?;
                Ok(error)
            }
            Some("InvalidPart" | "InvalidPartOrder") => {
                self.slice_run.discard(self.index).await?;
                Ok(Error { class: Class::Conflict, ..error })
            }
            _ => Ok(error),
        }
    }

    /// The upload to this object, with the parts that it has: the one begun before, if it is of the same
    /// source in the same parts, else a new one.
    async fn upload(
        &self,
        found: &Found,
        sizes: &[u64],
        streamed: bool,
    ) -> ObjectResult<(UploadId, BTreeMap<u32, PartTag>)> {
        let objects = &self.slice_run.engine.core.ports.objects;
        let known = self.slice_run.read(|state| state.uploads.get(&self.index).cloned());
        if let Some(begun) = known {
            let id = UploadId(begun.upload);
            if begun.etag == found.info.etag && begun.streamed == streamed {
                let listed = objects.parts_of(&self.to, &id, &self.access);
                let listed = match self.call(End::Destination, listed).await {
                    // Without the right to list its parts we cannot go on with it.
                    Err(error) if error.class == Class::Forbidden => {
                        self.slice_run.discard(self.index).await?;
                        None
                    }
                    listed => listed?,
                };
                match listed {
                    Some(parts) if fit(&parts, sizes) => {
                        let made = parts.into_iter().map(|(part, _)| (part.number, part)).collect();
                        signals::slice::upload_adopted(&self.slice_run.lease.key.id);
                        return Ok((id, made));
                    }
                    Some(_) => self.slice_run.discard(self.index).await?,
                    None => {
                        self.slice_run.change(|state| state.uploads.remove(&self.index));
                    }
                }
            } else {
                self.slice_run.discard(self.index).await?;
            }
        }
        let id = self.begin_upload(found, streamed).await?;
        Ok((id, BTreeMap::new()))
    }

    async fn begin_upload(&self, found: &Found, streamed: bool) -> ObjectResult<UploadId> {
        let objects = &self.slice_run.engine.core.ports.objects;
        let mut options = WriteOptions { streamed, ..self.options_with_tags(found).await? };
        let first = objects.begin(&self.to, Some(&found.info), &options, &self.access);
        let begun = match self.effect(End::Destination, first).await {
            Err(ObjectError::Port(error)) if options.tags.is_some() && self.may_lack_tags(&error) => {
                options.tags = None;
                let again = objects.begin(&self.to, Some(&found.info), &options, &self.access);
                self.effect(End::Destination, again).await
            }
            other => other,
        };
        let id = begun?;
        let (upload, etag) = (id.0.clone(), found.info.etag.clone());
        self.slice_run.change(|state| state.uploads.insert(self.index, Begun { upload, etag, streamed }));
        if let Err(halt) = self.slice_run.store().await {
            drop(objects.abort(&self.to, &id, &self.access).await);
            return Err(halt.into());
        }
        Ok(id)
    }

    async fn part(
        &self,
        found: &Found,
        upload: &UploadId,
        number: u32,
        range: Range<u64>,
        maker: &Maker<'_>,
    ) -> ObjectResult<PartTag> {
        let (mut failures, mut complaints) = (0, 0);
        loop {
            let error = match self.try_part(found, upload, number, range.clone(), maker).await {
                Err(ObjectError::Port(error)) => error,
                made => {
                    self.slice_run.record_progress();
                    return made;
                }
            };
            let (tries, most) = match error.class {
                Class::Throttled => (&mut complaints, PATIENCE),
                Class::Transient => (&mut failures, TRIES),
                Class::Unauthorized
                | Class::NotFound
                | Class::Forbidden
                | Class::Conflict
                | Class::Invalid => return Err(error.into()),
            };
            *tries += 1;
            if *tries >= most {
                return Err(error.into());
            }
            let wait = jittered(BASE, CAP, *tries, self.slice_run.engine.core.ports.chance.as_ref());
            sleep(error.retry_after.unwrap_or_default().clamp(wait, CAP.max(wait))).await;
        }
    }

    async fn try_part(
        &self,
        found: &Found,
        upload: &UploadId,
        number: u32,
        range: Range<u64>,
        maker: &Maker<'_>,
    ) -> ObjectResult<PartTag> {
        let engine = self.slice_run.engine;
        let size = range.end - range.start;
        let made = match maker {
            Maker::Inside(from) => {
                let etag = found.info.etag.as_ref();
                let part = engine.core.ports.objects.copy_part(
                    &self.to,
                    upload,
                    number,
                    from,
                    range,
                    etag,
                    &self.access,
                );
                self.effect(End::Destination, part).await
            }
            Maker::Stream(from) => {
                let part = PartStream {
                    from: (*from).clone(),
                    range: (size < found.info.size).then_some(range),
                    size,
                    to: self.to.clone(),
                    upload: upload.clone(),
                    number,
                    access: self.access.clone(),
                };
                self.effect(End::Destination, engine.core.ports.transfers.stream_part(part, &engine.core.cut))
                    .await
            }
        };
        if made.is_ok() {
            self.slice_run.has_advanced(self.index);
        }
        made
    }
}

impl SliceRun<'_> {
    /// Aborts what was begun for an object and is not needed.
    pub(super) async fn discard(&self, index: usize) -> Result<(), Error> {
        let Some(begun) = self.read(|state| state.uploads.get(&index).cloned()) else { return Ok(()) };
        let Some(item) = self.spec.items.get(index) else { return Ok(()) };
        let access = self.engine.bucket_access(&self.spec.bucket, false, &self.spec.options).await?;
        let to = ObjectLocation::new(self.spec.bucket.as_str(), item.to.as_str());
        match self.engine.core.ports.objects.abort(&to, &UploadId(begun.upload), &access).await {
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => signals::slice::upload_left(&to, &error),
            Ok(()) => {}
        }
        self.change(|state| state.uploads.remove(&index));
        Ok(())
    }
}

/// Number and bytes of each part, from 1 on.
fn ranges(sizes: &[u64]) -> impl Iterator<Item = (u32, Range<u64>)> {
    (1..).zip(sizes.iter().scan(0, |end, size| {
        let start = *end;
        *end += size;
        Some(start..*end)
    }))
}

/// Whether the parts of an upload are some of those that are to be made.
fn fit(parts: &[(PartTag, u64)], sizes: &[u64]) -> bool {
    parts.iter().all(|(part, size)| {
        let wanted = usize::try_from(part.number).ok().and_then(|number| sizes.get(number.checked_sub(1)?));
        wanted == Some(size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::file::ETag;

    #[test]
    fn parts_follow_each_other_and_only_the_same_are_taken_over() {
        let sizes = [5, 7, 2];
        assert_eq!(ranges(&sizes).collect::<Vec<_>>(), [(1, 0..5), (2, 5..12), (3, 12..14)]);
        let part =
            |number, size| (PartTag { number, etag: ETag::new("x"), is_md5: false, crc32: None }, size);
        assert!(fit(&[], &sizes) && fit(&[part(2, 7), part(3, 2)], &sizes));
        assert!(!fit(&[part(2, 5)], &sizes) && !fit(&[part(4, 2)], &sizes) && !fit(&[part(0, 5)], &sizes));
    }
}
