//! The life of roots that are lists of objects to one bucket.
//!
//! Before anything is copied: the request is judged, the destination is written to (the start marker),
//! the whole list is read and judged, and tags are tried. Then its slices do the work, and when all
//! have settled, the summary is written.

mod access;
mod collisions;
mod definitions;
mod dry_run;
mod paper;
mod summary;
mod uploads;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;

pub(crate) use self::paper::Paper;
use self::{
    access::{Entry, Waited},
    collisions::Collisions,
};
use crate::{
    domain::{
        copy_out::{CopyOutReport, CopyOutRequest, SliceItem},
        instruction::{is_directory_bucket, refused},
        outcome::{Counters, Culprit, ErrorName, Failure, Outcome},
        policy::Place,
    },
    engine::{
        core::Core,
        kind::{CancellationCheck, NotBegun, PlanResult},
        lease::{Leased, RoundError, RoundResult},
        liveness::RootRef,
        records::{self, RootState, attr, started_at},
        round::AfterRound,
    },
    events::outgoing::Status,
    kinds::slices::{ChunkWriter, Common, Slices},
    planes::objects::ObjectsPlane,
    ports::{Class, store::Change},
};

/// Lists of objects.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(super) core: Arc<Core>,
    pub(super) objects: Arc<ObjectsPlane>,
}

/// A key of each source bucket of a list, and whether the bucket is public.
pub(crate) type Buckets = BTreeMap<String, (String, bool)>;

/// What the items of a list are read from, as often as it takes.
#[async_trait]
pub(crate) trait List: Send + Sync {
    /// Refuses what cannot be read, as far as the request tells.
    fn judge(&self, _request: &CopyOutRequest) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether an event has asked for it, whose source may be one that may not ask.
    fn is_of_event(&self) -> bool {
        true
    }

    /// Adds to the outcome of a dry run what else is told of it.
    async fn complete_dry_run(&self, _held: &Leased, _outcome: &mut Outcome) -> RoundResult<()> {
        Ok(())
    }

    /// Begins to read it.
    async fn open(&self, request: &CopyOutRequest) -> PlanResult<Box<dyn Items + '_>>;
}

/// The items of a list, in its order.
#[async_trait]
pub(crate) trait Items: Send {
    /// The next items, maybe none; `None` at the end. Waits for S3 once at most, so that the caller can look
    /// around between.
    async fn next(&mut self) -> PlanResult<Option<Vec<SliceItem>>>;

    /// The source buckets that have gone by.
    fn buckets(self: Box<Self>) -> Buckets;
}

impl Lists {
    pub(crate) fn new(core: Arc<Core>, objects: Arc<ObjectsPlane>) -> Self {
        Self { core, objects }
    }
}

impl Lists {
    /// Everything up to the plan of what a list names; `Some` when there is something to wait for.
    pub(crate) async fn begin_list(
        &self,
        held: &mut Leased,
        mut request: CopyOutRequest,
        list: &dyn List,
    ) -> RoundResult<Option<AfterRound>> {
        let state: RootState = records::document(&held.item, attr::STATE)?;
        let waited: Waited = state.own()?;
        if waited.refusals == 0 {
            self.core.tell_if_possible(held, Status::Received, Counters::default()).await;
        }
        // A wake of the request does not make its destination be asked more often.
        if records::millis(self.core.ports.clock.now()) < waited.access_at {
            return Ok(Some(AfterRound::at(waited.access_at)));
        }
        let party = [RootRef::of(&held.item)];
        match self.core.while_moving(&party, self.begin(held, &mut request, list)).await {
            Ok(next) => Ok(next),
            Err(NotBegun::Refused(failure) | NotBegun::NotYet(failure)) => {
                self.core.fail(held, failure).await.map(|()| None)
            }
            Err(NotBegun::At(at)) => Ok(Some(AfterRound::at(at))),
            Err(NotBegun::RoundError(RoundError::Port(error))) if error.is_passing() => {
                self.core.not_yet_begun(held, error).await.map(|()| None)
            }
            Err(NotBegun::RoundError(halt)) => Err(halt),
        }
    }

    async fn begin(
        &self,
        held: &mut Leased,
        request: &mut CopyOutRequest,
        list: &dyn List,
    ) -> Result<Option<AfterRound>, NotBegun> {
        let source = held.item.text(attr::SOURCE).unwrap_or_default().to_owned();
        if list.is_of_event() {
            self.core.settings.policy.check_event_source(&source)?;
        }
        self.judge_copy_out(request).await?;
        list.judge(request)?;
        if request.dry_run {
            let mut outcome = self.dry_copy_out(held, request, list).await?;
            list.complete_dry_run(held, &mut outcome).await?;
            self.core.conclude(held, &outcome).await?;
            return Ok(None);
        }
        let (entry, items, unwritten) =
            tokio::join!(self.enter(request), list.open(request), self.is_unwritten(request));
        match entry? {
            Entry::Open { without_tags } => request.options.without_tags = without_tags,
            Entry::Closed(why) => return Ok(self.wait_for_access(held, request, &why).await?),
        }
        request.options.unwritten = unwritten;
        let mut watch = CancellationCheck::new();
        let mut list = items?;
        let per_slice = if request.fitting_batches { 0 } else { request.max_items_per_batch };
        let mut chunks = ChunkWriter::new(held, per_slice);
        let mut collisions = Collisions::default();
        while let Some(items) = list.next().await? {
            for item in items {
                check_own_keys(request, &item.to)?;
                collisions.note(&item, request);
                chunks.take(&self.core, held, item).await?;
            }
            self.core.record_progress(&[RootRef::of(&held.item)]);
            if let Some(failure) = watch.stopped(&self.core, held).await? {
                return Err(failure.into());
            }
        }
        let buckets = list.buckets();
        chunks.flush(&self.core, held).await?;
        collisions.judge(self, held, request, &chunks).await?;
        request.options.without_tags = self.try_tags(held, request, &buckets).await?;
        let waits = [attr::WAITING_FOR, attr::WAITS_FOR].map(|name| Change::Remove(name.into()));
        chunks.finish(&self.core, held, common(request), waits.into()).await?;
        Ok(None)
    }

    /// Judges a request without looking at its list.
    async fn judge_copy_out(&self, request: &mut CopyOutRequest) -> PlanResult<()> {
        let settings = &self.core.settings.copy_out;
        if let Some(failure) = request.refused.take() {
            return Err(failure.into());
        }
        let (bucket, uri) = (request.destination_bucket.as_str(), request.destination());
        self.core.settings.policy.check_destination(Place::Bucket(bucket), &uri)?;
        settings.check_definitions(&request.options.buckets)?;
        if settings.deny_destination_buckets.iter().any(|pattern| pattern.matches(bucket)) {
            let message = "nothing is copied to this bucket (copy_out.deny_destination_buckets)";
            return Err(named(ErrorName::PolicyDenied, message, &uri).into());
        }
        if is_directory_bucket(bucket) {
            return Err(named(ErrorName::InvalidRequest, DIRECTORY_BUCKET, &uri).into());
        }
        match self.core.ports.platform.locate(bucket, &request.destination_prefix).await {
            Ok(Some((project, _))) => {
                let message = format!(
                    "the destination is the ICAv2 project `{}`: files go there with ICAv2DataCopySync",
                    project.name
                );
                return Err(named(ErrorName::InvalidRequest, &message, &uri).into());
            }
            Err(error) if error.is_passing() && error.class != Class::Unauthorized => {
                return Err(error.into());
            }
            // A service without ICAv2 has no projects either.
            Ok(None) | Err(_) => {}
        }
        Ok(())
    }
}

impl Lists {
    /// Writes the summary of a list, and says how it has ended; `None` while a slice has not.
    pub(crate) async fn end_list(
        &self,
        held: &mut Leased,
        slices: &Slices<'_>,
        request: &CopyOutRequest,
    ) -> RoundResult<Option<Outcome>> {
        let settled_outcomes = match self.summarise(held, slices, request, None).await {
            Err(RoundError::Port(error)) if error.is_passing() => {
                if error.class == Class::Unauthorized {
                    self.objects.keys.forget();
                }
                if !self.core.lasts_too_long(held).await? {
                    return Err(RoundError::Port(error));
                }
                self.summarise(held, slices, request, Some(&error)).await?
            }
            settled_outcomes => settled_outcomes?,
        };
        let Some(settled_outcomes) = settled_outcomes else { return Ok(None) };
        let mut outcome = Outcome::between(started_at(&held.item), self.core.ports.clock.now());
        outcome.counters = settled_outcomes.counters;
        let total = settled_outcomes.counters.files;
        let failed = format!("{} of {total} copies failed", settled_outcomes.errors);
        if let Some(mut failure) = settled_outcomes.unwritten {
            if settled_outcomes.errors > 0 {
                failure.message = format!("{failed}, and {}", failure.message);
                failure = failure.naming(settled_outcomes.culprits);
                failure.culprits_total = settled_outcomes.errors + 1;
            }
            outcome.failure = Some(failure);
        } else if settled_outcomes.errors > 0 && !request.continue_on_error {
            let message = failed;
            let mut failure = Failure::new(ErrorName::CopyError, message).naming(settled_outcomes.culprits);
            failure.culprits_total = settled_outcomes.errors;
            outcome.failure = Some(failure);
        }
        outcome.copy_out = Some(Box::new(CopyOutReport {
            destination_bucket: request.destination_bucket.clone(),
            destination_prefix: request.destination_prefix.clone(),
            summary: request.summary.clone(),
            working: settled_outcomes.working.map(|at| (at.bucket, at.key)),
            total: settled_outcomes.counters.files,
            dry_run: None,
        }));
        Ok(Some(outcome))
    }
}

fn common(request: &CopyOutRequest) -> Common {
    Common {
        bucket: request.destination_bucket.clone(),
        in_flight: request.copy_concurrency,
        options: request.options.clone(),
        ..Common::default()
    }
}

/// Why a directory bucket is refused.
pub(super) const DIRECTORY_BUCKET: &str = "directory buckets (S3 Express One Zone) are not supported";

/// The longest key that S3 takes, in bytes.
const LONGEST_KEY: usize = 1024;

/// The keys of marker and summary are taken, and there are keys that cannot be.
fn check_own_keys(request: &CopyOutRequest, to: &str) -> Result<(), Failure> {
    if to.len() > LONGEST_KEY {
        let why = "an object would get a key of more than 1024 bytes";
        return Err(refused(ErrorName::InvokeArgumentsInvariantError, "sourceKey", why, to));
    }
    let own = |name: &str| to.strip_prefix(request.destination_prefix.as_str()) == Some(name);
    if own(&request.start_marker) || own(&request.summary) {
        let why = "an object would be written over the start marker or the summary";
        return Err(refused(ErrorName::InvokeArgumentsInvariantError, "sourceKey", why, to));
    }
    Ok(())
}

pub(crate) fn named(error: ErrorName, message: &str, what: &str) -> Failure {
    let culprit = Culprit { what: what.to_owned(), why: message.to_owned() };
    Failure::new(error, message).naming([culprit])
}
