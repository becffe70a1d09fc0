//! Objects that go through this process, because no S3 can reach both ends: from another S3, with
//! other rights, or out of ICAv2.

use super::{
    compare,
    conflict::{Likeness, likeness},
    inside::{cut, has_parts},
    object::{Found, There, Try},
    slice_run::{End, ObjectError, ObjectResult},
};
use crate::{
    domain::{copy_out::Origin, diff::Clash, file::ETag},
    engine::records::millis,
    ports::{
        Class, Error,
        objects::{Access, ObjectInfo, ObjectPut, Precondition},
        parts::{self, Plan},
        transfers::{ObjectSource, ObjectStream, StreamSource},
    },
    signals,
};

/// Bytes of a part where nothing else says so: each is repeated as a whole when its line breaks.
const PART: u64 = 64 << 20;

impl Try<'_, '_> {
    /// Streams the object: in the parts that it has, else with one call, else in parts.
    pub(super) async fn stream(&self, found: &Found, only_if: &Precondition) -> ObjectResult<()> {
        let engine = self.slice_run.engine;
        let place = engine.core.while_moving(&self.slice_run.root_refs, engine.core.streams.acquire()).await;
        engine.core.liveness.stream_began(millis(engine.core.ports.clock.now()));
        let found = &self.located(found).await?;
        let from = self.reading(found).await?;
        let settings = &engine.core.settings;
        let size = found.info.size;
        let largest = settings.copy.largest_put.min(settings.copy_out.multipart_threshold);
        if self.in_own_parts(found, Some(&from), only_if).await? {
            // Its tag stays.
        } else if let Some(sizes) = guessed(found) {
            self.stream_in_parts(found, &from, &sizes, false, only_if).await?;
        } else if size <= largest {
            self.stream_whole(found, from, only_if).await?;
        } else {
            let sizes = cut(size, settings.copy_out.part_size.min(PART));
            self.stream_in_parts(found, &from, &sizes, false, only_if).await?;
        }
        drop(place);
        signals::engine::file_streamed(&self.slice_run.lease.key.id, size);
        Ok(())
    }

    /// The source with where it is in S3: a file of ICAv2 with credentials for it, where there are some.
    async fn located(&self, found: &Found) -> ObjectResult<Found> {
        let (info, is_public) = (found.info.clone(), found.is_public);
        let Origin::Data { project, id, .. } = &self.item.from else {
            return Ok(Found { info, at: found.at.clone(), is_public, listed: found.listed });
        };
        let access = self.slice_run.engine.core.ports.platform.read_access(project, id);
        let at = match self.call(End::Source, access).await {
            Ok(access) => Some((access.below(""), Access::Temporary(access))),
            Err(error) if matches!(error.class, Class::Forbidden | Class::Invalid | Class::Conflict) => None,
            Err(error) if error.class == Class::NotFound => {
                let why = format!("{} does not exist or is not accessible", self.item.from);
                return Err(ObjectError::Refused(why));
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Found { info, at, is_public, listed: false })
    }

    /// Why a source is not what the list says of it, if it is not.
    pub(super) fn contradiction(&self, source: &ObjectInfo) -> Option<String> {
        match &self.item.from {
            Origin::Object { sums: Some(sums), .. } => {
                let why = compare::contradiction(source, sums)?;
                Some(format!("{} is not what the list says: {why}", self.item.from))
            }
            Origin::Object { etag: Some(etag), .. } if source.etag.as_ref() != Some(etag) => {
                Some(format!("{} has changed since it was packaged", self.item.from))
            }
            Origin::Object { .. } | Origin::Data { .. } => None,
        }
    }

    /// Finds out, before another content is seen in another tag, whether the tag of a file of ICAv2 is an
    /// MD5: no answer of S3 has shown that yet.
    pub(super) async fn doubt(&self, found: &mut Found, there: &There) -> ObjectResult<()> {
        let There::Object(there) = there else { return Ok(()) };
        let differs = likeness(&found.info, there) == Likeness::Other(Clash::Content);
        if found.at.is_some() || !differs {
            return Ok(());
        }
        found.info.opaque = true;
        if let Some((at, access)) = &self.located(found).await?.at {
            let look = self.slice_run.engine.core.ports.objects.look(at, access);
            match self.call(End::Source, look).await {
                Ok(Some(info)) => (found.info.etag, found.info.opaque) = (info.etag, info.opaque),
                Err(error) if error.is_passing() => return Err(error.into()),
                // Then sizes are all that can be compared.
                Ok(None) | Err(_) => {}
            }
        }
        Ok(())
    }

    async fn reading(&self, found: &Found) -> ObjectResult<StreamSource> {
        match (&found.at, &self.item.from) {
            (Some((at, access)), _) => {
                let etag = found.info.etag.clone();
                Ok(ObjectSource { at: at.clone(), access: access.clone(), etag }.into())
            }
            (None, Origin::Data { project, id, .. }) => {
                let ids = [id.clone()];
                let urls = self.slice_run.engine.core.ports.platform.download_urls(project, &ids);
                let url = self.call(End::Source, urls).await?.into_iter().next();
                Ok(url.ok_or_else(|| unreadable("ICAv2 gave no URL to read it"))?.into())
            }
            (None, Origin::Object { .. }) => Err(unreadable("it is nowhere").into()),
        }
    }

    async fn stream_whole(
        &self,
        found: &Found,
        from: StreamSource,
        only_if: &Precondition,
    ) -> ObjectResult<()> {
        self.slice_run.discard(self.index).await?;
        let info = &found.info;
        let engine = self.slice_run.engine;
        let mut options = self.options_with_tags(found).await?;
        let put = |options| ObjectPut {
            to: self.to.clone(),
            size: info.size,
            like: Some(info.clone()),
            precondition: only_if.clone(),
            options,
        };
        let stream = |options| {
            let stream = ObjectStream { from: from.clone(), put: put(options), access: self.access.clone() };
            self.effect(End::Destination, engine.core.ports.transfers.stream_object(stream, &engine.core.cut))
        };
        let made = match stream(options.clone()).await {
            Err(ObjectError::Port(error)) if options.tags.is_some() && self.may_lack_tags(&error) => {
                options.tags = None;
                stream(options).await?
            }
            made => made?,
        };
        let Some(etag) = made.etag else { return Ok(()) };
        // The bytes that were sent are known, whatever the tag of the source says.
        let source = ObjectInfo { opaque: false, ..info.clone() };
        self.verify(&source, &etag, Some(&ETag::new(&made.md5))).await
    }
}

/// The parts that a file most likely has, where neither end tells.
fn guessed(found: &Found) -> Option<Vec<u64>> {
    let info = &found.info;
    let count = info.etag.as_ref().filter(|_| has_parts(info)).and_then(parts::count)?;
    let plan = Plan::guess(info.size, count)?;
    Some(plan.ranges().map(|(_, range)| range.end - range.start).collect())
}

fn unreadable(why: &'static str) -> Error {
    Error::new(Class::Transient, "read source", why)
}
