//! The end of a copy that leaves ICAv2: the results of its objects, told as of any copy.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::{
    domain::{
        copy_out::{CopyStatus, Detail},
        outcome::{Counters, Culprit, ErrorName, Failure, Outcome},
    },
    engine::{
        lease::{Leased, RoundError, RoundResult},
        records::{attr, started_at},
    },
    kinds::{
        copy::Copy,
        slices::{SliceKind, Slices},
    },
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
        self.core.conclude(held, &outcome).await?;
        Ok(true)
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
