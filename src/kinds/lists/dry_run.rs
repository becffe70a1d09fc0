//! The acts of a copy-out, told without doing them. Nothing is written: S3 is only asked.

use super::{CancellationCheck, List, Lists, NotBegun, check_own_keys, collisions::Collisions};
use crate::{
    domain::{
        copy_out::{Archive, CopyOutReport, CopyOutRequest, DryCopyOut, Origin, SliceItem},
        file::DataStatus,
        outcome::Outcome,
        request::OnConflict,
    },
    engine::{concurrent::join_unordered, lease::Leased, liveness::RootRef, records::started_at},
    planes::objects::compare::are_equal,
    ports::{
        Class, Result,
        objects::{ObjectInfo, ObjectLocation, Restore},
    },
};

/// Objects looked at at a time.
const WIDTH: usize = 32;

/// The state of the two ends of an item.
enum Found {
    Missing,
    Changed,
    Ready { bytes: u64, cold: Option<Cold>, there: There },
}

/// What is known of an archived object.
#[derive(Debug, Clone, Copy)]
struct Cold {
    archive: Archive,
    /// Whether it was asked back already.
    is_asked: bool,
}

impl Cold {
    fn of(source: &ObjectInfo) -> Option<Self> {
        let archive = Archive::of(source.storage_class.as_deref(), source.archive_status.as_deref());
        source.archived.then_some(Self { archive, is_asked: source.restore == Some(Restore::Ongoing) })
    }
}

/// What stands at the destination of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    Same,
    Other,
}

impl Lists {
    /// Looks at both ends of everything in the list.
    pub(super) async fn dry_copy_out(
        &self,
        held: &Leased,
        request: &CopyOutRequest,
        list: &dyn List,
    ) -> std::result::Result<Outcome, NotBegun> {
        let mut watch = CancellationCheck::new();
        let mut listed = list.open(request).await?;
        let (mut total, mut plan, mut collisions) = (0, DryCopyOut::default(), Collisions::default());
        while let Some(items) = listed.next().await? {
            total += items.len() as u64;
            for item in &items {
                check_own_keys(request, &item.to)?;
                collisions.note(item, request);
            }
            for chunk in items.chunks(WIDTH * 8) {
                let looks = chunk.iter().map(|item| self.look_at_both(held, request, item));
                for found in join_unordered(WIDTH, looks).await {
                    match found? {
                        Found::Missing => plan.missing += 1,
                        Found::Changed => plan.changed += 1,
                        Found::Ready { there: There::Same, .. } => plan.already_copied += 1,
                        Found::Ready { bytes, cold, there } => {
                            count(&mut plan, request.options.on_conflict, (bytes, cold), there);
                        }
                    }
                }
                self.core.record_progress(&[RootRef::of(&held.item)]);
                if let Some(failure) = watch.stopped(&self.core, held).await? {
                    return Err(failure.into());
                }
            }
        }
        collisions.judge_unplanned(list, request).await?;
        if request.probe {
            (plan.probed, plan.closed) = (true, self.closed(request).await?);
        }
        let mut outcome = Outcome::between(started_at(&held.item), self.core.ports.clock.now());
        outcome.counters.files = total;
        outcome.copy_out = Some(Box::new(CopyOutReport {
            destination_bucket: request.destination_bucket.clone(),
            destination_prefix: request.destination_prefix.clone(),
            summary: request.summary.clone(),
            working: None,
            total,
            dry_run: Some(plan),
        }));
        Ok(outcome)
    }

    async fn look_at_both(&self, held: &Leased, request: &CopyOutRequest, item: &SliceItem) -> Result<Found> {
        let to = ObjectLocation::new(&request.destination_bucket, &item.to);
        let writing = self.objects.bucket_access(&to.bucket, false, &request.options).await?;
        let party = [RootRef::of(&held.item)];
        let (source, there) = tokio::join!(
            self.look_at_source(&party, request, &item.from),
            self.core.patiently(&party, || self.core.ports.objects.look(&to, &writing)),
        );
        let source = match source? {
            Ok(source) => source,
            Err(found) => return Ok(found),
        };
        let there = match absent_if_denied(there)? {
            None => There::Nothing,
            Some(there) if are_equal(&source, &there) => There::Same,
            Some(_) => There::Other,
        };
        Ok(Found::Ready { bytes: source.size, cold: Cold::of(&source), there })
    }

    /// The source of an item, if it is what was asked for.
    async fn look_at_source(
        &self,
        party: &[RootRef],
        request: &CopyOutRequest,
        from: &Origin,
    ) -> Result<std::result::Result<ObjectInfo, Found>> {
        match from {
            Origin::Object { bucket, key, unsigned, etag, .. } => {
                let at = ObjectLocation::new(bucket, key);
                let reading = self.objects.bucket_access(bucket, *unsigned, &request.options).await?;
                let look = || self.core.ports.objects.look(&at, &reading);
                let Some(source) = absent_if_denied(self.core.patiently(party, look).await)? else {
                    return Ok(Err(Found::Missing));
                };
                let is_other = etag.as_ref().is_some_and(|wanted| source.etag.as_ref() != Some(wanted));
                Ok(if is_other { Err(Found::Changed) } else { Ok(source) })
            }
            Origin::Data { project, id, size, etag, .. } => {
                let look = || self.core.ports.platform.get(project, id);
                let data = match self.core.patiently(party, look).await {
                    Err(error) if !error.is_passing() => return Ok(Err(Found::Missing)),
                    looked => looked?,
                };
                if data.status != DataStatus::Available {
                    return Ok(Err(Found::Missing));
                }
                if (data.size, &data.etag) != (*size, etag) {
                    return Ok(Err(Found::Changed));
                }
                Ok(Ok(ObjectInfo { size: data.size, etag: data.etag, ..ObjectInfo::default() }))
            }
        }
    }
}

/// Counts an object that is not there.
fn count(
    plan: &mut DryCopyOut,
    on_conflict: Option<OnConflict>,
    (bytes, cold): (u64, Option<Cold>),
    there: There,
) {
    if there == There::Other {
        plan.conflicts += 1;
        match on_conflict {
            Some(OnConflict::Fail) => plan.failing += 1,
            Some(OnConflict::Skip) => {}
            Some(OnConflict::Overwrite) | None => return bring(plan, bytes, cold),
        }
        return;
    }
    bring(plan, bytes, cold);
}

fn bring(plan: &mut DryCopyOut, bytes: u64, cold: Option<Cold>) {
    plan.to_copy += 1;
    plan.bytes += bytes;
    let Some(Cold { archive, is_asked }) = cold else { return };
    plan.to_thaw += 1;
    plan.thaw_bytes += bytes;
    if !is_asked {
        let thaws = plan.thaws.entry(archive).or_default();
        thaws.objects += 1;
        thaws.bytes += bytes;
    }
}

/// S3 says 403 to a caller that may not list, where there is nothing.
fn absent_if_denied(found: Result<Option<ObjectInfo>>) -> Result<Option<ObjectInfo>> {
    match found {
        Err(error) if !error.is_passing() || error.class == Class::Unauthorized => Ok(None),
        found => found,
    }
}
