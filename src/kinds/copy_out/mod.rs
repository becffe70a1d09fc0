//! The `copy_out` kind: the objects of a list to one bucket (`S3CopyOutSync`).
//!
//! Before anything is copied: the request is judged, the destination is written to (the start marker),
//! the whole list is read and judged, and tags are tried. Then its slices do the work, and when all
//! have settled, the summary is written.

mod access;
mod collisions;
mod definitions;
mod dry_run;
mod list;
mod reading;
mod summary;
mod uploads;

use std::sync::Arc;

use async_trait::async_trait;

use self::{
    access::{Entry, Waited},
    collisions::Collisions,
    list::Lister,
};
use crate::{
    domain::{
        copy_out::{BucketDefinition, CopyOutReport, CopyOutRequest},
        instruction::{is_directory_bucket, refused},
        outcome::{Counters, Culprit, ErrorName, Failure, Outcome},
        policy::Place,
    },
    engine::{
        core::Core,
        kind::{CancellationCheck, Kind, NotBegun, PlanResult},
        lease::{Leased, RoundError, RoundResult, id_of},
        liveness::RootRef,
        records::{self, RootState, attr, started_at},
        round::AfterRound,
        tree::Tree,
    },
    events::outgoing::Status,
    kinds::slices::{ChunkWriter, Common, SliceKind, Slices},
    planes::objects::ObjectsPlane,
    ports::{
        Class,
        store::{Change, Key},
    },
};

/// Lists of objects.
#[derive(Debug)]
pub struct CopyOut {
    core: Arc<Core>,
    objects: Arc<ObjectsPlane>,
}

impl CopyOut {
    pub(crate) fn new(core: Arc<Core>, objects: Arc<ObjectsPlane>) -> Self {
        Self { core, objects }
    }
}

#[async_trait]
impl Kind for CopyOut {
    fn name(&self) -> &'static str {
        "copy_out"
    }

    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        self.begin_copy_out(held).await
    }

    fn tree<'a>(&'a self, state: &RootState) -> RoundResult<Box<dyn Tree + 'a>> {
        let slices = Slices::of(&self.core, self, state)?;
        Ok(Box::new(slices.unwrap_or_else(|| Slices::none(&self.core, self))))
    }

    async fn abandon(&self, held: &mut Leased) -> RoundResult<()> {
        self.drop_summary_if_possible(held).await
    }
}

impl CopyOut {
    /// Everything up to the plan; `Some` when there is something to wait for.
    pub(crate) async fn begin_copy_out(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        let mut request = self.copy_out_request(held).await?;
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
        match self.core.while_moving(&party, self.begin(held, &mut request)).await {
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

    /// The request of the caller, as it is meant here.
    pub(super) async fn copy_out_request(&self, held: &Leased) -> RoundResult<CopyOutRequest> {
        let id = id_of(held);
        let payload = self.core.ports.store.get(&Key::new(id.as_str(), records::PAYLOAD)).await?;
        let gone = || crate::ports::Error::new(Class::Invalid, "read payload", "it is gone");
        Ok(self.completed(self.core.read_document(&payload.ok_or_else(gone)?, attr::SPEC).await?))
    }

    async fn begin(
        &self,
        held: &mut Leased,
        request: &mut CopyOutRequest,
    ) -> Result<Option<AfterRound>, NotBegun> {
        let source = held.item.text(attr::SOURCE).unwrap_or_default().to_owned();
        self.judge_copy_out(&source, request).await?;
        if request.dry_run {
            let outcome = self.dry_copy_out(held, request).await?;
            self.core.conclude(held, &outcome).await?;
            return Ok(None);
        }
        let (entry, list, unwritten) =
            tokio::join!(self.enter(request), list::open(self, request), self.is_unwritten(request));
        match entry? {
            Entry::Open { without_tags } => request.options.without_tags = without_tags,
            Entry::Closed(why) => return Ok(self.wait_for_access(held, request, &why).await?),
        }
        request.options.unwritten = unwritten;
        let mut watch = CancellationCheck::new();
        let mut lister = Lister::new(self, request, list?);
        let per_slice = if request.fitting_batches { 0 } else { request.max_items_per_batch };
        let mut chunks = ChunkWriter::new(held, per_slice);
        let mut collisions = Collisions::default();
        while let Some(items) = lister.next().await? {
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
        let buckets = lister.buckets();
        chunks.flush(&self.core, held).await?;
        collisions.judge(self, held, request, &chunks).await?;
        request.options.without_tags = self.try_tags(held, request, &buckets).await?;
        let waits = [attr::WAITING_FOR, attr::WAITS_FOR].map(|name| Change::Remove(name.into()));
        chunks.finish(&self.core, held, common(request), waits.into()).await?;
        Ok(None)
    }

    /// Judges a request without looking at its list.
    async fn judge_copy_out(&self, source: &str, request: &mut CopyOutRequest) -> PlanResult<()> {
        let settings = &self.core.settings.copy_out;
        self.core.settings.policy.check_event_source(source)?;
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
        if request.list_bucket.is_none() && settings.working_bucket.is_empty() {
            let message = "the list is given without a bucket, and copy_out.working_bucket is not set";
            return Err(named(ErrorName::InvalidRequest, message, &request.list_key).into());
        }
        if request.list_key.rsplit('/').next() == Some(request.summary.as_str()) {
            let message = "the summary would be written over the list";
            return Err(named(ErrorName::InvalidRequest, message, &request.list_key).into());
        }
        Ok(())
    }

    /// A request with the settings of this installation filled in.
    fn completed(&self, mut request: CopyOutRequest) -> CopyOutRequest {
        let settings = &self.core.settings.copy_out;
        if request.list_bucket.is_none() && !settings.working_bucket.is_empty() {
            request.list_bucket = Some(settings.working_bucket.clone());
            request.list_key.insert_str(0, &settings.working_prefix);
        }
        if let Some(region) = &request.required_region {
            let definition: &mut BucketDefinition =
                request.options.buckets.entry(request.destination_bucket.clone()).or_default();
            definition.region.get_or_insert_with(|| region.clone());
        }
        request
    }
}

#[async_trait]
impl SliceKind for CopyOut {
    /// Writes the summary before.
    async fn end(&self, held: &mut Leased, slices: &Slices<'_>) -> RoundResult<bool> {
        let request = self.copy_out_request(held).await?;
        let settled_outcomes = match self.summarise(held, slices, &request, None).await {
            Err(RoundError::Port(error)) if error.is_passing() => {
                if error.class == Class::Unauthorized {
                    self.objects.keys.forget();
                }
                if !self.core.lasts_too_long(held).await? {
                    return Err(RoundError::Port(error));
                }
                self.summarise(held, slices, &request, Some(&error)).await?
            }
            settled_outcomes => settled_outcomes?,
        };
        let Some(settled_outcomes) = settled_outcomes else { return Ok(false) };
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
        self.core.conclude(held, &outcome).await?;
        Ok(true)
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
const DIRECTORY_BUCKET: &str = "directory buckets (S3 Express One Zone) are not supported";

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

pub(super) fn named(error: ErrorName, message: &str, what: &str) -> Failure {
    let culprit = Culprit { what: what.to_owned(), why: message.to_owned() };
    Failure::new(error, message).naming([culprit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stored::{are_kept, documents};

    #[test]
    fn reads_what_earlier_versions_wrote() {
        let specs = documents("PAYLOAD", "spec");
        let specs: Vec<_> = specs.into_iter().filter(|text| text.contains("\"list_bucket\"")).collect();
        assert!(are_kept::<CopyOutRequest>(&specs) >= 1);
    }
}
