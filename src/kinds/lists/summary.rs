//! The summary of a copy-out: a CSV with one row per object, in the order of the list, beside the list
//! and at the destination.

use bytes::Bytes;
use futures_util::{StreamExt as _, future::join_all, stream};

use super::{Lists, named};
use crate::{
    domain::{
        copy_out::{Copied, CopyOutRequest, CopyStatus, SliceItem},
        duration_text,
        outcome::{Counters, Culprit, ErrorName, Failure},
    },
    engine::lease::{Leased, RoundError, RoundResult},
    events::summary,
    kinds::slices::Slices,
    ports::{
        Class, Error, Result,
        objects::{
            Access, ContentHeaders, ObjectInfo, ObjectLocation, PartTag, Precondition, UploadId, WriteOptions,
        },
        parts,
    },
    signals,
};

/// Bytes of a part of a long summary; S3 takes at least 5 MiB.
pub(super) const PART: usize = 8 << 20;

/// What a summary is, as browsers say it.
const CSV: &str = "text/csv";

/// The results of the slices of a list.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) counters: Counters,
    pub(super) errors: u64,
    pub(super) culprits: Vec<Culprit>,
    /// Where the summary beside the list is, if it could be written.
    pub(super) working: Option<ObjectLocation>,
    /// Why the summary is not at the destination.
    pub(super) unwritten: Option<Failure>,
}

impl Gathered {
    fn count(&mut self, item: &SliceItem, copied: &Copied) {
        self.counters.files += 1;
        match copied.status {
            CopyStatus::Copied => {
                self.counters.copied += 1;
                self.counters.bytes += copied.bytes;
            }
            CopyStatus::AlreadyCopied => self.counters.skipped += 1,
            CopyStatus::Superseded => self.counters.skipped_conflict += 1,
            CopyStatus::Error => {
                self.counters.failed += 1;
                self.errors += 1;
                if self.culprits.len() < Failure::MOST_CULPRITS {
                    let (what, why) = (item.from.to_string(), copied.message.clone());
                    self.culprits.push(Culprit { what, why });
                }
            }
        }
    }
}

impl Lists {
    /// Writes the summary; `None` when a slice has not settled. `without`: why it is not written, when what
    /// the slices have done is only counted.
    pub(super) async fn summarise(
        &self,
        held: &mut Leased,
        slices: &Slices<'_>,
        request: &CopyOutRequest,
        without: Option<&Error>,
    ) -> RoundResult<Option<Gathered>> {
        let (there, beside) = places(request);
        let mut sinks = Vec::new();
        if without.is_some() {
            self.drop_summary_if_possible(held, request).await?;
        } else {
            self.drop_summary(held, request).await?;
            sinks.push(Sink::new(self, there.clone(), CSV, request).await?);
            if beside != there {
                sinks.push(Sink::new(self, beside.clone(), CSV, request).await?);
            }
        }
        let mut settled_outcomes = Gathered::default();
        let mut rows = summary::header(request.brief_summary).into_bytes();
        for chunk in 0..slices.chunks {
            let settled = match slices.settled_outcomes(held, chunk).await {
                Ok(Some(settled)) if held.lease.check().is_ok() && !self.core.stop.is_cancelled() => settled,
                unfinished => {
                    for sink in &mut sinks {
                        sink.give_up(self).await;
                    }
                    held.lease.check()?;
                    return match unfinished {
                        Ok(Some(_)) => Err(RoundError::Stopping),
                        Ok(None) => Ok(None),
                        Err(halt) => Err(halt),
                    };
                }
            };
            for (items, outcome) in &settled {
                for (item, copied) in items.iter().zip(&outcome.objects) {
                    settled_outcomes.count(item, copied);
                    if without.is_none() {
                        let row = summary::row(request.brief_summary, &slices.common.bucket, item, copied);
                        rows.extend_from_slice(row.as_bytes());
                    }
                }
            }
            if rows.len() >= PART {
                self.begin_summary(held, &mut sinks).await?;
                let part = Bytes::from(std::mem::take(&mut rows));
                for sink in &mut sinks {
                    sink.part(self, part.clone()).await;
                }
            }
        }
        held.lease.check()?;
        if let Some(error) = without {
            let limit = duration_text::print(self.core.settings.heartbeat.outage_after);
            let message =
                format!("the summary could not be written for {limit} (heartbeat.outage_after): {error}");
            settled_outcomes.unwritten = Some(named(ErrorName::CopyError, &message, &there.to_string()));
            return Ok(Some(settled_outcomes));
        }
        let rest = Bytes::from(rows);
        let written = sinks.into_iter().map(|sink| sink.finish(self, rest.clone()));
        let written = join_all(written).await;
        if written.iter().any(Result::is_err) {
            self.drop_summary_if_possible(held, request).await?;
        }
        let mut written = written.into_iter();
        if let Some(Err(error)) = written.next() {
            if error.is_passing() {
                return Err(error.into());
            }
            let message = format!("the summary cannot be written: {error}");
            settled_outcomes.unwritten = Some(named(ErrorName::CopyError, &message, &there.to_string()));
        }
        match written.next() {
            Some(Ok(())) => settled_outcomes.working = Some(beside),
            // Where lists are read from need not be written to.
            Some(Err(error)) => signals::copy_out::summary_not_kept(&held.lease.key.id, &error),
            None => settled_outcomes.working = Some(there),
        }
        Ok(Some(settled_outcomes))
    }
}

/// Where the summary goes: to the destination, and beside the list, if that is an object. A list that is named by
/// a key of its own may have others beside it, so there the summary bears its name.
pub(super) fn places(request: &CopyOutRequest) -> (ObjectLocation, ObjectLocation) {
    let there = format!("{}{}", request.destination_prefix, request.summary);
    let there = ObjectLocation::new(&request.destination_bucket, there);
    let Some(bucket) = &request.list_bucket else { return (there.clone(), there) };
    let split = |key: &str| key.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, list) = request.list_key.split_at(split(&request.list_key));
    let (below, name) = request.summary.split_at(split(&request.summary));
    let beside = if request.brief_summary {
        format!("{folder}{below}{list}.{name}")
    } else {
        format!("{folder}{below}{name}")
    };
    (there, ObjectLocation::new(bucket, beside))
}

/// One place that the summary is written to: with one call, or in parts when it is long.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) to: ObjectLocation,
    /// What it is, as browsers say it.
    kind: &'static str,
    access: Access,
    /// What holds at a destination need not hold where our lists are.
    options: WriteOptions,
    pub(super) upload: Option<UploadId>,
    parts: Vec<PartTag>,
    failed: Option<Error>,
}

impl Sink {
    pub(super) async fn new(
        engine: &Lists,
        to: ObjectLocation,
        kind: &'static str,
        request: &CopyOutRequest,
    ) -> Result<Self> {
        let access = engine.objects.bucket_access(&to.bucket, false, &request.options).await?;
        let is_theirs = to.bucket == request.destination_bucket;
        let options = if is_theirs { engine.objects.write_options(false) } else { WriteOptions::default() };
        Ok(Self { to, kind, access, options, upload: None, parts: Vec::new(), failed: None })
    }

    /// Begins to write it in parts.
    pub(super) async fn begin(&mut self, engine: &Lists) {
        let options = WriteOptions { streamed: true, ..self.options.clone() };
        let headers =
            ContentHeaders { content_type: Some(self.kind.to_owned()), ..ContentHeaders::default() };
        let like = ObjectInfo { headers, ..ObjectInfo::default() };
        match engine.core.ports.objects.begin(&self.to, Some(&like), &options, &self.access).await {
            Ok(upload) => self.upload = Some(upload),
            Err(error) => self.failed = Some(error),
        }
    }

    pub(super) async fn part(&mut self, engine: &Lists, part: Bytes) {
        if self.failed.is_none()
            && let Err(error) = self.try_part(engine, part).await
        {
            self.failed = Some(error);
        }
    }

    async fn try_part(&mut self, engine: &Lists, part: Bytes) -> Result<()> {
        let objects = &engine.core.ports.objects;
        let Some(upload) = &self.upload else { return Ok(()) };
        let number = u32::try_from(self.parts.len() + 1).unwrap_or(u32::MAX);
        let size = part.len() as u64;
        let body = stream::once(async move { Ok(part) }).boxed();
        self.parts.push(objects.put_part(&self.to, upload, number, size, body, &self.access).await?);
        Ok(())
    }

    pub(super) async fn finish(mut self, engine: &Lists, rest: Bytes) -> Result<()> {
        let done = self.try_finish(engine, rest).await;
        if done.is_err() {
            self.give_up(engine).await;
        }
        done
    }

    async fn try_finish(&mut self, engine: &Lists, rest: Bytes) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let objects = &engine.core.ports.objects;
        if self.upload.is_none() {
            return objects.put(&self.to, rest, Some(self.kind), &self.options, &self.access).await.map(drop);
        }
        if !rest.is_empty() {
            self.try_part(engine, rest).await?;
        }
        let Some(upload) = &self.upload else { return Ok(()) };
        let done = objects.complete(&self.to, upload, &self.parts, &Precondition::None, &self.access).await;
        if let Err(error) = done {
            let is_gone = error.code.as_deref() == Some("NoSuchUpload");
            if !is_gone || !parts::is_completed(objects.as_ref(), &self.to, &self.parts, &self.access).await?
            {
                // One that another writer has cleared away is written again.
                return Err(if is_gone { Error { class: Class::Transient, ..error } } else { error });
            }
        }
        self.upload = None;
        Ok(())
    }

    /// What has arrived would be paid for.
    pub(super) async fn give_up(&mut self, engine: &Lists) {
        if let Some(upload) = self.upload.take() {
            drop(engine.core.ports.objects.abort(&self.to, &upload, &self.access).await);
        }
    }
}
