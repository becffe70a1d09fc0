//! The records that are suspected when instances die (poison).
//!
//! An instance that dies leaves every record that it had in hand without a clean release, the innocent ones
//! too. So from the third such end in a row on a record is run alone: of all suspects an instance runs one
//! at a time, beside work that is not suspected. A suspect that waits for that turn is not acquired, so its
//! count stays what it is; only one that is run alone, again and again, and never given back, is given up in
//! the end. Nothing is written for it but the count of the acquisitions themselves.
//!
//! A suspect keeps the turn for a while only, lest a long stream keep it for hours. A suspect that still runs
//! then is cleared for now; if its instance dies all the same, it is run alone for twice as long the next
//! time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::{
    core::Core,
    lease::Lease,
    records::{attr, set},
};
use crate::signals;

/// After how many acquisitions without a clean release a record is run alone.
pub(crate) const SUSPECT: i64 = 3;

/// How long a suspect is run alone, the first time.
const PROBATION: Duration = Duration::from_mins(1);

/// How often that is doubled at most: to sixteen hours.
const DOUBLED: u32 = 10;

/// The right to run a suspect.
#[derive(Debug)]
pub(crate) struct Alone(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// The place where suspects are run, one at a time.
#[derive(Debug)]
pub(crate) struct Quarantine(Arc<Semaphore>);

impl Default for Quarantine {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Quarantine {
    /// The place, if it is free.
    pub(crate) fn enter(&self) -> Option<Alone> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(Alone)
    }
}

impl Core {
    /// Gives the place to the next suspect when this one has lived long enough. Never returns.
    pub(crate) async fn clear_in_time(&self, lease: &Lease, survived: i64, alone: Option<Alone>) {
        let Some(alone) = alone else { return std::future::pending().await };
        let doubled = u32::try_from(survived).unwrap_or(0).min(DOUBLED);
        sleep(PROBATION * 2_u32.saturating_pow(doubled)).await;
        let cleared = vec![set(attr::STARTS, SUSPECT), set(attr::SURVIVED, survived.saturating_add(1))];
        if self.ports.store.write(lease.guarded(cleared)).await.is_ok() {
            signals::ends::survived(&lease.key);
        }
        drop(alone);
        std::future::pending::<()>().await;
    }
}
