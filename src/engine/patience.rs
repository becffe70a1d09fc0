//! Failures that pass, before anything is begun and after: calls are made again a few times, so that one of
//! many that fails does not make everything begin anew; and a request that cannot be begun, or summed up, is
//! not tried for ever.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    backoff::jittered,
    core::Core,
    lease::{Leased, RoundError, RoundResult},
    liveness::RootRef,
    records::{self, RootState, as_millis, attr, millis, set},
    round::in_words,
};
use crate::{
    domain::{
        duration_text,
        outcome::{ErrorName, Failure},
    },
    ports::{Class, Error, Result},
};

/// How often a call is made.
const TRIES: u32 = 8;
/// Waits between.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(20);

impl Core {
    /// Makes a call, and makes it again a few times if it fails with an error that passes. A process that is
    /// to stop does not wait.
    pub(crate) async fn patiently<T, F>(&self, root_refs: &[RootRef], call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut tries = 0;
        loop {
            let error = match call().await {
                Err(error) if matches!(error.class, Class::Transient | Class::Throttled) => error,
                done => return done,
            };
            self.note_outage(root_refs, &error);
            tries += 1;
            if tries >= TRIES {
                return Err(error);
            }
            let wait = jittered(BASE, CAP, tries, self.ports.chance.as_ref());
            let wait = error.retry_after.unwrap_or_default().clamp(wait, CAP);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(error),
                () = sleep(wait) => {}
            }
        }
    }

    /// A request could not be begun because of something that may pass: it is tried again for as long as
    /// that looks like an outage.
    pub(crate) async fn not_yet_begun(&self, held: &mut Leased, error: Error) -> RoundResult<()> {
        self.note_platform_outage(&error);
        if !self.lasts_too_long(held).await? {
            return Err(RoundError::Port(error));
        }
        let limit = duration_text::print(self.settings.heartbeat.outage_after);
        let why = in_words(&error);
        let message = format!("it could not be begun for {limit} (heartbeat.outage_after): {why}");
        self.fail(held, Failure::new(ErrorName::Stalled, message)).await
    }

    /// Notes that something that may pass is in the way, and says whether it has been for longer than an
    /// outage is believed in. A time in which no instance tried does not count.
    pub(crate) async fn lasts_too_long(&self, held: &mut Leased) -> RoundResult<bool> {
        self.read_again(held).await?;
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        let now = millis(self.ports.clock.now());
        let limit = self.settings.heartbeat.outage_after;
        let pause = as_millis((limit / 4).max(self.settings.service.retry_cap * 2));
        if state.trouble_since == 0 || now > state.trouble_at.saturating_add(pause) {
            state.trouble_since = now;
        }
        state.trouble_at = now;
        self.save(held, vec![set(attr::STATE, records::text(&state)?)]).await?;
        Ok(now >= state.trouble_since.saturating_add(as_millis(limit)))
    }

    /// Reads a held record as it is stored: a write that failed may have happened all the same, and a holder
    /// that went on from the record as it was before would take a plan for none.
    async fn read_again(&self, held: &mut Leased) -> RoundResult<()> {
        held.lease.check()?;
        let stored = self.ports.store.get(&held.lease.key).await?;
        let ours = stored.filter(|item| item.number(attr::EPOCH) == Some(held.lease.epoch));
        let Some(mut item) = ours else {
            held.lease.lost.cancel();
            return Err(RoundError::Lost);
        };
        // A wake that came since the round began is news.
        match held.item.attributes.get(attr::WAKES) {
            Some(wakes) => item.attributes.insert(attr::WAKES.to_owned(), wakes.clone()),
            None => item.attributes.remove(attr::WAKES),
        };
        held.item = item;
        Ok(())
    }
}
