//! Copies that leave ICAv2: files of projects and objects of S3 to a place in a bucket of no project.
//!
//! Names and refusals are those of any copy, and a file lands where it would in a project. But no
//! folder is reconciled: what is to be brought is a list of objects, written as it is found, and slices
//! bring them as they do for lists ([`crate::planes::objects`]).

mod end;
mod names;
mod preview;
mod target;
mod walk;

use self::{target::Target, walk::Walk};
use crate::{
    domain::{
        bucket,
        copy_out::SliceOptions,
        outcome::{ErrorName, Outcome, culprit},
        request::CopyRequest,
    },
    engine::{
        kind::{CancellationCheck, NotBegun, PlanResult},
        lease::{Leased, RoundError, RoundResult},
        liveness::RootRef,
        records::{self, started_at},
    },
    kinds::{
        copy::Copy,
        folders::{Elsewhere, preview::TOLD},
        slices::{ChunkWriter, Common},
        sources::{
            places::{Projects, ResolvedSource},
            planner::Planner,
        },
    },
    ports::{
        Class,
        blame::lacks_place,
        objects::{Access, ObjectLocation},
    },
    signals,
};

/// Objects in flight over the fleet: what a list has that says nothing of it.
const IN_FLIGHT: u32 = 100;

impl Copy {
    /// Plans a copy that leaves ICAv2, or ends it if it only asks or is refused.
    pub(crate) async fn plan_outward(
        &self,
        held: &mut Leased,
        source: &str,
        request: &CopyRequest,
    ) -> RoundResult<Elsewhere> {
        let party = [RootRef::of(&held.item)];
        match self.core.while_moving(&party, self.begin_outward(held, source, request)).await {
            Ok(true) => Ok(Elsewhere::Done),
            Ok(false) => Ok(Elsewhere::No),
            Err(NotBegun::Refused(failure)) => self.core.fail(held, failure).await.map(|()| Elsewhere::Done),
            Err(NotBegun::NotYet(failure)) if request.dry_run => {
                self.core.fail(held, failure).await.map(|()| Elsewhere::Done)
            }
            Err(NotBegun::NotYet(failure)) => Ok(self
                .folders
                .sources_not_yet(held, failure)
                .await?
                .map_or(Elsewhere::Done, Elsewhere::Waits)),
            Err(NotBegun::At(at)) => self.folders.wait_for_sources(held, at).map(Elsewhere::Waits),
            Err(NotBegun::RoundError(RoundError::Port(error))) if error.is_passing() => {
                self.core.not_yet_begun(held, error).await.map(|()| Elsewhere::Done)
            }
            Err(NotBegun::RoundError(halt)) => Err(halt),
        }
    }

    async fn begin_outward(
        &self,
        held: &mut Leased,
        source: &str,
        request: &CopyRequest,
    ) -> Result<bool, NotBegun> {
        if request.dry_run {
            let Some(preview) = self.preview_outward(source, request, TOLD, Some(held)).await? else {
                return Ok(false);
            };
            let between = Outcome::between(started_at(&held.item), self.core.ports.clock.now());
            self.core.conclude(held, &Outcome { preview: Some(Box::new(preview)), ..between }).await?;
            return Ok(true);
        }
        let Some(mut walk) = self.walk(source, request).await? else { return Ok(false) };
        held.lease.check()?;
        self.try_entry(walk.target(), walk.first_key()).await?;
        let mut watch = CancellationCheck::new();
        let mut chunks = ChunkWriter::new(held, 0);
        while let Some(landings) = walk.next().await? {
            for landing in landings {
                chunks.take(&self.core, held, landing.item).await?;
            }
            self.core.record_progress(&[RootRef::of(&held.item)]);
            if let Some(failure) = watch.stopped(&self.core, held).await? {
                return Err(failure.into());
            }
        }
        let common = Common {
            bucket: walk.target().bucket.clone(),
            in_flight: IN_FLIGHT,
            options: SliceOptions {
                without_thaw: true,
                on_conflict: Some(request.on_conflict.unwrap_or(self.core.settings.copy.on_conflict)),
                ..SliceOptions::default()
            },
            ..Common::default()
        };
        let complete_at = self.folders.complete_at(held);
        if walk.is_fresh(complete_at, records::as_millis(self.folders.settle())) {
            // More may have been there than was shown: all of it is gone through once more.
            return Err(NotBegun::At(complete_at));
        }
        walk.check_ready()?;
        walk.finish()?;
        chunks.finish(&self.core, held, common, Vec::new()).await?;
        Ok(true)
    }

    /// What a request wants, where it goes to a place outside; `None` where that is a project.
    async fn walk(&self, source: &str, request: &CopyRequest) -> PlanResult<Option<Walk<'_>>> {
        // Nothing else leads outside, and it would be looked up twice.
        if !request.destination.starts_with("s3://") {
            return Ok(None);
        }
        let rules = &self.core.settings.policy;
        rules.check_event_source(source)?;
        let mut projects = Projects::new(self.core.ports.platform.as_ref(), rules);
        let invalid = ErrorName::InvalidRequest;
        let spot = projects.place(&request.destination, "the destination", invalid).await?;
        let ResolvedSource::ExternalSource(at) = spot else { return Ok(None) };
        let target = Target { bucket: at.bucket, prefix: at.key, uri: request.destination.clone() };
        target.judge(rules, &self.core.settings.copy_out.deny_destination_buckets)?;
        Ok(Some(Walk::open(Planner::new(&self.core), projects, request, target).await?))
    }

    /// Whether the destination lets us in. An upload that is ended at once leaves nothing there.
    async fn try_entry(&self, target: &Target, key: String) -> PlanResult<()> {
        let at = ObjectLocation::new(target.bucket.as_str(), key);
        let (objects, options) = (&self.core.ports.objects, self.objects.write_options(false));
        let error = match objects.begin(&at, None, &options, &Access::Own).await {
            Ok(upload) => {
                if let Err(error) = objects.abort(&at, &upload, &Access::Own).await {
                    signals::slice::upload_left(&at, &error);
                }
                return Ok(());
            }
            Err(error) => error,
        };
        let (name, message) = match error.class {
            Class::Forbidden => (
                ErrorName::PolicyDenied,
                "this service may not write to the destination: its role must be allowed to, and so must the \
                 policy of a bucket of another account",
            ),
            Class::NotFound => (ErrorName::InvalidRequest, "the destination bucket does not exist"),
            _ if error.is_passing() => return Err(error.into()),
            Class::Invalid if bucket::is_old(&target.bucket) => {
                (ErrorName::InvalidRequest, "S3 does not take the name of a bucket")
            }
            _ if lacks_place(&error) => (ErrorName::InvalidRequest, "the destination cannot be a bucket"),
            _ => (ErrorName::TransferFailed, "the destination cannot be written to"),
        };
        Err(culprit(name, message, &target.uri, &error.to_string()).into())
    }
}
