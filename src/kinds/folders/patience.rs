//! Sources that are not there, or not ready, as far as ICAv2 shows them.

use std::time::Duration;

use super::Folders;
use crate::{
    domain::outcome::Failure,
    engine::{
        lease::{Leased, RoundResult},
        liveness::RootRef,
        records::{self, RootState, as_millis, attr, millis, set, started_at},
        round::AfterRound,
    },
};

/// Pauses between looks for sources: as long as it has been looked for them, within these.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(30);

impl Folders {
    /// Sources are not there, or not ready, as far as ICAv2 shows them: it may hide for a while what was
    /// there when the request came. `None`: it has waited long enough, and fails.
    pub(crate) async fn sources_not_yet(
        &self,
        held: &mut Leased,
        failure: Failure,
    ) -> RoundResult<Option<AfterRound>> {
        let complete_at = self.complete_at(held);
        let (now, began) = (millis(self.core.ports.clock.now()), millis(started_at(&held.item)));
        if now >= complete_at {
            self.core.fail(held, failure).await?;
            return Ok(None);
        }
        let pause = (now - began).clamp(as_millis(SOONEST), as_millis(LATEST));
        self.wait_for_sources(held, complete_at.min(now + pause)).map(Some)
    }

    /// Lets a request that has not begun wait for its sources.
    pub(crate) fn wait_for_sources(&self, held: &Leased, until: i64) -> RoundResult<AfterRound> {
        self.core.record_progress(&[RootRef::of(&held.item)]);
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        // It has been told that it was received.
        state.told_at = millis(self.core.ports.clock.now());
        Ok(AfterRound::Due { changes: vec![set(attr::STATE, records::text(&state)?)], due_at: until })
    }
}
