//! Which failed tries of an object count, and when it has been tried often enough.
//!
//! A failure that looks like an outage is charged to no object, but only for as long as an outage is believed
//! in (`heartbeat.outage_after`): then the object ends as an error that says which port did not answer.
//! Another operation on its key is waited for in the same way, and not for as long.

use std::time::Duration;

use super::slice_run::SliceRun;
use crate::{
    domain::duration_text,
    engine::records::{as_millis, millis},
    ports::{Class, Error},
};

/// How long other operations at the same key are waited for.
const OTHERS: Duration = Duration::from_mins(5);

impl SliceRun<'_> {
    /// Whether a failed try counts, `before` which so many answers had come: an S3 that does not answer
    /// at all is no fault of the object. That it does not know our keys is an answer.
    pub(super) fn is_charged(&self, error: &Error, before: [u64; 2]) -> bool {
        match error.class {
            Class::Throttled => false,
            _ if is_under_way(error) => false,
            Class::Unauthorized if is_of_s3(error) => true,
            _ => before.iter().zip(&self.answers()).all(|(before, after)| before < after),
        }
    }

    /// Whether this failed try was the last one, and in words how often it was tried; `None`: it is worth
    /// another.
    pub(super) fn last_try(&self, index: usize, error: &Error, counts: bool) -> Option<String> {
        let settings = &self.engine.core.settings;
        let most = settings.copy_out.max_attempts;
        let (tries, fault) = self.read(|state| {
            let fault = state.faults.get(&index).map(|fault| (fault.since, fault.tries));
            (state.tries.get(&index).copied().unwrap_or(0), fault)
        });
        if counts {
            return (tries + 1 >= most).then(|| format!("{} tries", tries + 1));
        }
        let (since, faults) = fault?;
        let (limit, why) = match settings.heartbeat.outage_after {
            outage if is_under_way(error) => (outage.min(OTHERS), ""),
            outage => (outage, ": heartbeat.outage_after"),
        };
        let waited = millis(self.engine.core.ports.clock.now()).saturating_sub(since);
        if waited < as_millis(limit) || faults + 1 < most {
            return None;
        }
        let limit = duration_text::print(limit);
        Some(format!("{} tries, for longer than {limit}{why}", faults + 1))
    }

    /// Notes a failed try, after which another follows.
    pub(super) fn note_failed(&self, index: usize, error: &Error, counts: bool) {
        let now = millis(self.engine.core.ports.clock.now());
        self.change(|state| {
            if counts {
                state.faults.remove(&index);
                *state.tries.entry(index).or_default() += 1;
            } else {
                let fault = state.faults.entry(index).or_default();
                if fault.tries == 0 {
                    fault.since = now;
                }
                fault.tries += 1;
                fault.by_others = is_under_way(error);
                fault.why = error.to_string();
            }
        });
    }

    /// Something of an object was made: whatever was in its way has passed.
    pub(super) fn has_advanced(&self, index: usize) {
        // Another operation at the same key goes on while parts are made.
        if self.read(|state| state.faults.get(&index).is_some_and(|fault| !fault.by_others)) {
            self.change(|state| state.faults.remove(&index));
        }
    }
}

/// Whether another operation on the same key is in the way (409). That passes, and is no fault of the object.
pub(super) fn is_under_way(error: &Error) -> bool {
    matches!(error.code.as_deref(), Some("ConditionalRequestConflict" | "OperationAborted"))
}

/// Whether S3 itself has refused our keys, and not ICAv2 its token.
fn is_of_s3(error: &Error) -> bool {
    error.code.as_deref().is_some_and(|code| !code.starts_with("ICA"))
}
