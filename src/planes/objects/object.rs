//! One object: look at both ends, decide, act.

use tokio::time::Instant;

use super::{
    access::same_endpoint,
    compare,
    conflict::{Way, way},
    refusals::{advice, has_changed, is_upload_gone},
    slice_run::{End, ObjectError, ObjectResult, SliceRun},
};
use crate::{
    domain::{
        copy_out::{Copied, CopyStatus, Detail, Origin, SliceItem},
        file::ETag,
        instruction::doubt_of,
    },
    engine::lease::RoundResult,
    ports::{
        Class, Error,
        objects::{Access, ObjectInfo, ObjectLocation, Precondition},
    },
    signals,
};

/// How often both ends are looked at when they change under our hands.
const LOOKS: u32 = 4;
/// Clocks differ, and S3's times are whole seconds.
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);

const EQUAL: &str = "destination file already exists with same checksum so nothing was transferred";

/// How one try ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Nothing more is to be done.
    Done(Copied),
    /// It is waited for; the state says until when.
    Thawing,
    /// It is worth another try; whether this one counts.
    Failed(Error, bool),
}

/// What is at the destination.
#[derive(Debug)]
pub(super) enum There {
    Nothing,
    Object(Box<ObjectInfo>),
    /// We may not see it.
    Unknown,
}

#[derive(Debug)]
pub(super) enum Brought {
    Copied(u64),
    There,
    /// It ends without having been brought.
    Left(Copied),
    Thawing,
}

/// One try for one object.
#[derive(Debug)]
pub(super) struct Try<'a, 'd> {
    pub slice_run: &'a SliceRun<'d>,
    pub index: usize,
    pub item: &'a SliceItem,
    pub to: ObjectLocation,
    /// With whose rights the destination is written.
    pub access: Access,
    /// Whether both ends are in one S3, and open to the same rights.
    pub together: bool,
}

/// A source that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub info: ObjectInfo,
    /// Where it is in S3, and with whose rights it is read; `None` where ICAv2 is still to be asked.
    pub at: Option<(ObjectLocation, Access)>,
    /// Whether S3 lets any caller read it, so that our own rights may not do.
    pub is_public: bool,
    /// Whether only a listing has told of it: not its tags, nor whether its tag is an MD5.
    pub listed: bool,
}

impl<'d> SliceRun<'d> {
    /// One try for one object. Only what ends the round is an error.
    pub(super) async fn attempt(&self, index: usize) -> RoundResult<Ended> {
        let Some(item) = self.spec.items.get(index) else {
            return Ok(Ended::Done(failed(format!("the slice has no object {index}"))));
        };
        let (begun, before) = (Instant::now(), self.answers());
        let of = self.undone(item);
        let result = match self.begin(index, item).await {
            Ok(attempt) => attempt.bring().await,
            Err(error) => Err(ObjectError::Port(error)),
        };
        let elapsed = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let why = match result {
            Ok(Brought::Copied(bytes)) => {
                let status = CopyStatus::Copied;
                let (message, detail) = (String::new(), Detail::Plain);
                return Ok(Ended::Done(Copied { status, bytes, elapsed, message, detail }));
            }
            Ok(Brought::There) => {
                let status = CopyStatus::AlreadyCopied;
                let (message, detail) = (EQUAL.to_owned(), Detail::Plain);
                return Ok(Ended::Done(Copied { status, bytes: 0, elapsed, message, detail }));
            }
            Ok(Brought::Left(left)) => return Ok(Ended::Done(Copied { elapsed, ..left })),
            Ok(Brought::Thawing) => return Ok(Ended::Thawing),
            Err(ObjectError::RoundError(halt)) => return Err(halt),
            Err(ObjectError::Refused(why)) => why,
            Err(ObjectError::Port(error)) if error.is_passing() => {
                if error.class == Class::Unauthorized {
                    self.engine.keys.forget();
                }
                let counts = self.is_charged(&error, before);
                let Some(tries) = self.last_try(index, &error, counts) else {
                    signals::slice::try_failed(&self.lease.key.id, &error, counts);
                    return Ok(Ended::Failed(error, counts));
                };
                format!("{of}: {error} ({tries}){}", advice(&error))
            }
            Err(ObjectError::Port(error)) => format!("{of}: {error}{}", advice(&error)),
        };
        // Before it is given up, nothing of it may be left behind.
        match self.discard(index).await {
            Err(error) if error.is_passing() && self.last_try(index, &error, false).is_none() => {
                return Ok(Ended::Failed(error, false));
            }
            Err(error) => signals::slice::upload_left(&item.to, &error),
            Ok(()) => {}
        }
        Ok(Ended::Done(Copied { elapsed, ..failed(why) }))
    }

    async fn begin<'a>(&'a self, index: usize, item: &'a SliceItem) -> Result<Try<'a, 'd>, Error> {
        let (bucket, options) = (&self.spec.bucket, &self.spec.options);
        let access = self.engine.bucket_access(bucket, false, options).await?;
        let together = match &item.from {
            Origin::Object { bucket: from, .. } => same_endpoint(options, from, bucket),
            Origin::Data { .. } => false,
        };
        let to = ObjectLocation::new(bucket.as_str(), item.to.as_str());
        Ok(Try { slice_run: self, index, item, to, access, together })
    }
}

impl Try<'_, '_> {
    async fn bring(&self) -> ObjectResult<Brought> {
        if self.slice_run.spec.options.only_restore {
            return self.make_readable().await;
        }
        let mut blind = Precondition::Absent;
        let mut conflict = None;
        let mut is_first = self.together && self.slice_run.is_first(self.index);
        let mut tried = None;
        for _ in 0..LOOKS {
            let see = async { if is_first { Ok(There::Nothing) } else { self.see().await } };
            let (found, there) = tokio::try_join!(self.find(is_first), see)?;
            let Some(mut found) = found else { return self.leave(self.no_source()).await };
            if tried.as_ref().is_some_and(|tried| *tried != found.info.etag) {
                // It was the source that was another one.
                blind = Precondition::Absent;
            }
            if let Some(why) = self.contradiction(&found.info) {
                return Err(ObjectError::Refused(why));
            }
            self.doubt(&mut found, &there).await?;
            let only_if = match way(self.slice_run.spec.options.on_conflict, &found.info, there, &blind) {
                Way::Write(only_if) => only_if,
                Way::Equal(there) => return self.is_there(&found.info, &there).await,
                Way::Left(left) => return self.leave(left).await,
            };
            if found.info.archived && self.slice_run.spec.options.without_thaw {
                // Listings do not tell it of every class.
                let why = format!("{} is archived", self.item.from);
                return self.leave(Copied { detail: Detail::Archived, ..failed(why) }).await;
            }
            if found.info.archived {
                self.thaw(&found).await?;
                return Ok(Brought::Thawing);
            }
            if self.slice_run.is_parked {
                self.wait_for_turn();
                return Ok(Brought::Thawing);
            }
            self.slice_run.change(|state| {
                state.thawing.remove(&self.index);
                state.sent.insert(self.index);
            });
            match self.copy(&found, &only_if).await {
                Err(ObjectError::Port(error)) if has_changed(&error) || found.is_doubted(&error) => {
                    if has_changed(&error) {
                        // Without the right to look at the destination, we learn so that something is there.
                        blind = Precondition::None;
                    }
                    tried = Some(found.info.etag);
                    conflict = Some(error);
                    self.slice_run.change(|state| {
                        // A copy is asked for once: what it found there is not its own. An upload may be gone
                        // because it was completed, and the answer was lost.
                        let is_lost = conflict.as_ref().is_some_and(is_upload_gone);
                        if is_first && !is_lost && !state.uploads.contains_key(&self.index) {
                            state.sent.remove(&self.index);
                        }
                    });
                    is_first = false;
                }
                done => return done.map(|()| Brought::Copied(found.info.size)),
            }
        }
        let why = conflict.map(|error| error.to_string()).unwrap_or_default();
        let from = &self.item.from;
        Err(ObjectError::Refused(format!(
            "{from} or {} changed each time while it was copied: {why}",
            self.to
        )))
    }

    /// It is there and equal: brought by us, if we have asked for it before.
    async fn is_there(&self, source: &ObjectInfo, there: &ObjectInfo) -> ObjectResult<Brought> {
        let ours = self.slice_run.read(|state| {
            let since_we_began = || there.modified.is_some_and(|at| at + SKEW >= self.slice_run.since);
            state.sent.contains(&self.index) || (state.interrupted && since_we_began())
        });
        self.slice_run.discard(self.index).await?;
        Ok(if ours { Brought::Copied(source.size) } else { Brought::There })
    }

    /// There is no source.
    pub(super) fn no_source(&self) -> Copied {
        let mut why = format!("{} does not exist or is not accessible", self.item.from);
        if let Origin::Object { key, .. } = &self.item.from {
            why.push_str(doubt_of(key));
        }
        Copied { detail: Detail::NoSource, ..failed(why) }
    }

    /// Nothing is brought.
    async fn leave(&self, left: Copied) -> ObjectResult<Brought> {
        self.slice_run.discard(self.index).await?;
        Ok(Brought::Left(left))
    }

    /// Looks for the source; `None` when there is none, or it is not for us. `is_first`: a listing will do.
    pub(super) async fn find(&self, is_first: bool) -> ObjectResult<Option<Found>> {
        let engine = self.slice_run.engine;
        match &self.item.from {
            Origin::Object { bucket, key, unsigned, .. } => {
                let access = engine.bucket_access(bucket, *unsigned, &self.slice_run.spec.options).await?;
                let at = ObjectLocation::new(bucket.as_str(), key.as_str());
                if is_first && let Some(info) = self.listing_cache(&at, &access).await {
                    return Ok(Some(Found { info, at: Some((at, access)), is_public: false, listed: true }));
                }
                let info = match self.call(End::Source, engine.core.ports.objects.look(&at, &access)).await {
                    Ok(Some(info)) => info,
                    Ok(None) => return Ok(None),
                    Err(error) if matches!(error.class, Class::Forbidden | Class::NotFound) => {
                        return Ok(None);
                    }
                    Err(error) => return Err(error.into()),
                };
                Ok(Some(Found {
                    is_public: is_unsigned(&access),
                    info,
                    at: Some((at, access)),
                    listed: false,
                }))
            }
            Origin::Data { size, etag, .. } => {
                let info = ObjectInfo { size: *size, etag: etag.clone(), ..ObjectInfo::default() };
                Ok(Some(Found { info, at: None, is_public: false, listed: false }))
            }
        }
    }

    /// Looks at the destination.
    async fn see(&self) -> ObjectResult<There> {
        let look = self.slice_run.engine.core.ports.objects.look(&self.to, &self.access);
        match self.call(End::Destination, look).await {
            Ok(Some(there)) => Ok(There::Object(Box::new(there))),
            Ok(None) => Ok(There::Nothing),
            Err(error) if error.class == Class::Forbidden => Ok(There::Unknown),
            Err(error) => Err(error.into()),
        }
    }

    async fn copy(&self, found: &Found, only_if: &Precondition) -> ObjectResult<()> {
        if self.together {
            match Box::pin(self.copy_inside(found, only_if)).await {
                // Any caller may read it, but S3 asks for our right to.
                Err(ObjectError::Port(error)) if error.class == Class::Forbidden && found.is_public => {}
                done => return done,
            }
        }
        Box::pin(self.stream(found, only_if)).await
    }

    /// Looks again where the tag of a copy is not the expected one: keys of KMS make others, and
    /// checksums may tell.
    pub(super) async fn verify(
        &self,
        source: &ObjectInfo,
        made: &ETag,
        expected: Option<&ETag>,
    ) -> ObjectResult<()> {
        if expected == Some(made) {
            return Ok(());
        }
        let There::Object(there) = self.see().await? else { return Ok(()) };
        let wrong = |why: String| Err(Error::new(Class::Transient, "verify copy", why).into());
        if there.etag.as_ref() != Some(made) {
            let why = "another writer has written to its place";
            return Err(Error::new(Class::Conflict, "verify copy", why).into());
        }
        if there.size != source.size {
            return wrong(format!("it has {} bytes there, and the source {}", there.size, source.size));
        }
        let sums = compare::checksums_agree(source, &there);
        match expected {
            _ if sums == Some(false) => wrong("its checksum there is another than the source's".to_owned()),
            Some(expected) if sums.is_none() && !there.opaque && !source.opaque => {
                wrong(format!("its ETag there is {made}, not {expected}"))
            }
            _ => Ok(()),
        }
    }

    /// Makes a call that has its place among those to the destination bucket.
    pub(super) async fn call<T>(
        &self,
        end: End,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let slice_run = self.slice_run;
        // A source that is elsewhere says nothing of the bucket.
        let permit = if end == End::Destination || self.together {
            Some(slice_run.limit.permit().await)
        } else {
            None
        };
        let result = slice_run.engine.core.while_moving(&slice_run.root_refs, call).await;
        match &result {
            Err(error) if error.class == Class::Throttled => {
                if let Some(permit) = permit {
                    signals::slice::slowed_down(&self.to.bucket, permit.throttled());
                }
            }
            Err(error) if error.is_passing() => {}
            _ => {
                slice_run.answered(end);
                if self.together {
                    slice_run.answered(if end == End::Source { End::Destination } else { End::Source });
                }
                if let Some(permit) = permit {
                    permit.succeeded();
                }
            }
        }
        result
    }

    /// The same for what changes something: only while the lease holds.
    pub(super) async fn effect<T>(
        &self,
        end: End,
        call: impl Future<Output = Result<T, Error>>,
    ) -> ObjectResult<T> {
        let guarded = async {
            if self.slice_run.lease.check().is_err() {
                return Ok(None);
            }
            call.await.map(Some)
        };
        match self.call(end, guarded).await? {
            Some(done) => Ok(done),
            None => Err(ObjectError::RoundError(crate::engine::lease::RoundError::Lost)),
        }
    }
}

fn is_unsigned(access: &Access) -> bool {
    match access {
        Access::Unsigned => true,
        Access::Own | Access::Temporary(_) => false,
        Access::Endpoint(endpoint) => matches!(endpoint.keys, crate::ports::objects::EndpointKeys::None),
    }
}

pub(super) fn failed(message: String) -> Copied {
    Copied { status: CopyStatus::Error, bytes: 0, elapsed: 0, message, detail: Detail::Plain }
}
