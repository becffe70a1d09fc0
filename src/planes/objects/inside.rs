//! Copies inside one S3: no byte passes here.

use super::{
    object::{Found, Try},
    slice_run::{End, ObjectError, ObjectResult},
};
use crate::{
    domain::file::ETag,
    engine::settings::Tags,
    ports::{
        Class, Error,
        objects::{ObjectCopy, ObjectInfo, Precondition, Tagging, WriteOptions},
        parts::{self, Plan},
        transfers::StreamSource,
    },
};

impl Try<'_, '_> {
    /// Copies the object with one call, or in parts: in those that it has, so that the `ETag` stays.
    pub(super) async fn copy_inside(&self, found: &Found, only_if: &Precondition) -> ObjectResult<()> {
        let settings = &self.slice_run.engine.core.settings.copy_out;
        let size = found.info.size;
        if self.in_own_parts(found, None, only_if).await? {
            return Ok(());
        }
        if size <= settings.multipart_threshold.min(parts::MOST_BYTES) {
            return self.copy_whole(found, only_if).await;
        }
        let sizes = cut(size, settings.part_size);
        self.in_parts(found, &sizes, false, only_if).await.map(drop)
    }

    /// Makes the parts that the source has, inside S3 or of what is read `from` it; false: it has none
    /// that are known.
    pub(super) async fn in_own_parts(
        &self,
        found: &Found,
        from: Option<&StreamSource>,
        only_if: &Precondition,
    ) -> ObjectResult<bool> {
        // Few calls tell the sizes of nearly all; the tags of the parts show whether they told them.
        let mut tried = None;
        for each in [false, true] {
            let Some(sizes) = self.own_parts(found, each).await? else { return Ok(false) };
            if tried.as_ref() == Some(&sizes) {
                return Ok(false);
            }
            let made = match from {
                None => self.in_parts(found, &sizes, true, only_if).await?,
                Some(from) => self.stream_in_parts(found, from, &sizes, true, only_if).await?,
            };
            if made {
                return Ok(true);
            }
            tried = Some(sizes);
        }
        Ok(false)
    }

    /// The sizes of the parts that the source was uploaded in; `each`: having asked for every one.
    async fn own_parts(&self, found: &Found, each: bool) -> ObjectResult<Option<Vec<u64>>> {
        let (Some((at, access)), true) = (&found.at, has_parts(&found.info)) else { return Ok(None) };
        let objects = &self.slice_run.engine.core.ports.objects;
        let sizes = if each {
            objects.each_part_size(at, &found.info, access)
        } else {
            objects.part_sizes(at, &found.info, access)
        };
        match self.call(End::Source, sizes).await {
            // Then the copy is another upload of the same bytes.
            Err(error) if matches!(error.class, Class::Forbidden | Class::Invalid) => Ok(None),
            sizes => Ok(sizes?),
        }
    }

    async fn copy_whole(&self, found: &Found, only_if: &Precondition) -> ObjectResult<()> {
        let Some((at, _)) = &found.at else { return Err(nowhere().into()) };
        // Of another plan, or of a source that has changed.
        self.slice_run.discard(self.index).await?;
        let info = &found.info;
        let keeps = self.wants_tags() && (info.tags > 0 || found.listed || self.tags() == Tags::Copy);
        let mut copy = ObjectCopy {
            from: at.clone(),
            to: self.to.clone(),
            size: info.size,
            etag: info.etag.clone(),
            parts: None,
            precondition: only_if.clone(),
            options: self.options(),
            tagging: if keeps { Tagging::Keep } else { Tagging::Drop },
        };
        let objects = &self.slice_run.engine.core.ports.objects;
        let made = match self.effect(End::Destination, objects.copy(&copy, &self.access)).await {
            // The tags of this one are not for us.
            Err(ObjectError::Port(error)) if keeps && self.may_lack_tags(&error) => {
                copy.tagging = Tagging::Drop;
                self.effect(End::Destination, objects.copy(&copy, &self.access)).await?
            }
            made => made?,
        };
        let expected = info.etag.as_ref().filter(|etag| etag.md5().is_some() && !info.opaque);
        if found.listed && expected != Some(&made) {
            return self.verify_by_look(found, &made).await;
        }
        self.verify(info, &made, expected).await
    }

    /// Only a look tells whether the tag of the source is an MD5.
    async fn verify_by_look(&self, found: &Found, made: &ETag) -> ObjectResult<()> {
        let source = match self.find(false).await? {
            Some(source) if source.info.etag == found.info.etag => source.info,
            _ => {
                let why = "the source has changed since it was copied";
                return Err(Error::new(Class::Conflict, "verify copy", why).into());
            }
        };
        let expected = source.etag.as_ref().filter(|etag| etag.md5().is_some() && !source.opaque);
        self.verify(&source, made, expected).await
    }

    /// The options that go with a written object, but for tags.
    pub(super) fn options(&self) -> WriteOptions {
        let settings = &self.slice_run.engine.core.settings.copy_out;
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        WriteOptions {
            tags: None,
            acl: given(&settings.acl),
            expected_owner: given(&settings.expected_bucket_owner),
            streamed: false,
        }
    }

    /// The same with the source's tags, where they are wanted.
    pub(super) async fn options_with_tags(&self, found: &Found) -> ObjectResult<WriteOptions> {
        let mut options = self.options();
        if let (Some((at, access)), true) = (&found.at, self.wants_tags() && found.info.tags > 0) {
            let tags = self.slice_run.engine.core.ports.objects.tags(at, access);
            options.tags = match self.call(End::Source, tags).await {
                Ok(tags) => Some(tags).filter(|tags| !tags.is_empty()),
                Err(error) if self.may_lack_tags(&error) => None,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(options)
    }

    /// Whether a write that was refused may be tried without tags.
    pub(super) fn may_lack_tags(&self, error: &Error) -> bool {
        error.class == Class::Forbidden && self.tags() == Tags::BestEffort
    }

    fn wants_tags(&self) -> bool {
        self.tags() != Tags::Suppress && !self.slice_run.spec.options.without_tags
    }

    fn tags(&self) -> Tags {
        self.slice_run.engine.core.settings.copy_out.tags
    }
}

/// Whether the object was uploaded in parts. One without bytes needs none.
pub(super) fn has_parts(info: &ObjectInfo) -> bool {
    info.size > 0 && info.etag.as_ref().is_some_and(|etag| parts::count(etag).is_some())
}

/// The sizes of parts of about that size.
pub(super) fn cut(size: u64, wanted: u64) -> Vec<u64> {
    Plan::new(size, wanted).ranges().map(|(_, range)| range.end - range.start).collect()
}

pub(super) fn nowhere() -> Error {
    Error::new(Class::Invalid, "copy object", "the source is not in S3")
}
