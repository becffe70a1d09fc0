//! The end of a copy that leaves ICAv2: the results of its objects, told as of any copy.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::{
    domain::{
        copy_out::{CopyStatus, Detail, Origin},
        outcome::{Counters, Culprit, ErrorName, Failure, Outcome},
        receipt::{Fate, Line, Receipt},
        request::CopyRequest,
    },
    engine::{
        lease::{Leased, RoundError, RoundResult},
        receipt::ReceiptDraft,
        records::{self, attr, started_at},
    },
    kinds::{
        copy::Copy,
        folders::receipt,
        slices::{SliceKind, Slices},
    },
    ports::store::Key,
};

/// Which failure names a set of objects when there are several: those come first that the caller can act on.
const PRECEDENCE: [ErrorName; 4] = [
    ErrorName::SourceNotFound,
    ErrorName::SourceNotReady,
    ErrorName::DestinationConflict,
    ErrorName::TransferFailed,
];

#[async_trait]
impl SliceKind for Copy {
    async fn end(&self, held: &mut Leased, slices: &Slices<'_>) -> RoundResult<bool> {
        let mut counters = Counters::default();
        let mut names = BTreeSet::new();
        let mut failure = Failure::new(ErrorName::TransferFailed, String::new());
        for chunk in 0..slices.chunks {
            held.lease.check()?;
            if self.core.stop.is_cancelled() {
                return Err(RoundError::Stopping);
            }
            let Some(settled_outcomes) = slices.settled_outcomes(held, chunk).await? else {
                return Ok(false);
            };
            for (items, outcome) in settled_outcomes {
                for (item, copied) in items.iter().zip(outcome.objects) {
                    copied.count(item, &mut counters);
                    if copied.status != CopyStatus::Error {
                        continue;
                    }
                    names.insert(error_name(copied.detail));
                    failure.culprits_total += 1;
                    if failure.culprits.len() < Failure::MOST_CULPRITS {
                        let what = format!("s3://{}/{}", slices.common.bucket, item.to);
                        failure.culprits.push(Culprit { what, why: copied.message });
                    }
                }
            }
        }
        let mut outcome = Outcome::between(started_at(&held.item), self.core.ports.clock.now());
        outcome.counters = counters;
        outcome.failure = PRECEDENCE.into_iter().find(|name| names.contains(name)).map(|error| {
            let destination = held.item.text(attr::DESTINATION).unwrap_or_default();
            let message =
                format!("{} of {} files did not arrive in {destination}", counters.failed, counters.files);
            Failure { error, message, ..failure }
        });
        outcome.receipt = self.receipt_of_objects(held, slices).await?;
        self.core.conclude(held, &outcome).await?;
        Ok(true)
    }
}

impl Copy {
    /// The receipt of a copy to a bucket, if it was asked for. One that cannot be written holds nothing up for long.
    async fn receipt_of_objects(
        &self,
        held: &mut Leased,
        slices: &Slices<'_>,
    ) -> RoundResult<Option<Receipt>> {
        let Some(reports) = &self.core.ports.reports else { return Ok(None) };
        let payload =
            self.core.ports.store.get(&Key::new(held.lease.key.id.as_str(), records::PAYLOAD)).await?;
        let Some(payload) = payload else { return Ok(None) };
        let request: CopyRequest = self.core.read_document(&payload, attr::SPEC).await?;
        if !request.receipt {
            return Ok(None);
        }
        let lines = async |draft: &mut ReceiptDraft| self.add_objects(held, draft, slices).await;
        receipt::write(reports.as_ref(), held, lines).await
    }

    async fn add_objects(
        &self,
        held: &Leased,
        draft: &mut ReceiptDraft,
        slices: &Slices<'_>,
    ) -> RoundResult<()> {
        for chunk in 0..slices.chunks {
            held.lease.check()?;
            if self.core.stop.is_cancelled() {
                return Err(RoundError::Stopping);
            }
            let settled = slices.settled_outcomes(held, chunk).await?.unwrap_or_default();
            for (items, outcome) in settled {
                for (item, copied) in items.iter().zip(outcome.objects) {
                    let result = match (copied.status, copied.detail) {
                        (CopyStatus::AlreadyCopied, Detail::Kept) | (CopyStatus::Superseded, _) => Fate::Kept,
                        (CopyStatus::Error, _) => Fate::Failed,
                        (CopyStatus::AlreadyCopied, _) => Fate::Skipped,
                        (CopyStatus::Copied, _) => Fate::Copied,
                    };
                    let size = match &item.from {
                        Origin::Data { size, .. } => Some(*size),
                        Origin::Object { .. } => Some(copied.bytes).filter(|_| result == Fate::Copied),
                    };
                    let arrived = matches!(result, Fate::Copied | Fate::Skipped);
                    let by = if copied.detail == Detail::BySize { "size" } else { "tag" };
                    let line = Line {
                        source: item.from.to_string(),
                        destination: format!("s3://{}/{}", slices.common.bucket, item.to),
                        size,
                        etag: None,
                        result,
                        compared: arrived.then(|| by.to_owned()),
                        route: (result == Fate::Copied).then(|| "s3".to_owned()),
                        made_at: None,
                        took_ms: (result == Fate::Copied).then_some(copied.elapsed),
                        jobs: Vec::new(),
                        why: Some(copied.message).filter(|why| !why.is_empty()),
                    };
                    draft.add(&line).await?;
                }
            }
        }
        Ok(())
    }
}

/// The name of a failure that an object is to blame for.
fn error_name(detail: Detail) -> ErrorName {
    match detail {
        Detail::NoSource => ErrorName::SourceNotFound,
        Detail::Archived => ErrorName::SourceNotReady,
        Detail::Conflict => ErrorName::DestinationConflict,
        Detail::Plain | Detail::BySize | Detail::Kept => ErrorName::TransferFailed,
    }
}
