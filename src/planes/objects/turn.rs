//! A slice that only waits for restores, and comes back to work in its turn ([`crate::engine::tree::turns`]).

use std::{sync::atomic::Ordering, time::Duration};

use super::{
    ObjectsPlane,
    object::Try,
    slice_run::SliceRun,
    state::{SliceState, Thawing},
};
use crate::{
    domain::{copy_out::SliceRequest, ids::RequestId},
    engine::{
        dispatch::Priority,
        lease::{Leased, RoundResult},
        records::{self, as_millis, millis},
        tree::turns::{Turn, is_parked},
    },
};

/// The shortest wait for a turn before it is asked for again; it is told when it comes.
const AGAIN: Duration = Duration::from_mins(1);

impl ObjectsPlane {
    /// How a parked slice stands in the queue; takes its turn if it has one.
    pub(super) async fn join_in(
        &self,
        held: &mut Leased,
        root: &RequestId,
        spec: &SliceRequest,
        state: &mut SliceState,
    ) -> RoundResult<Turn> {
        if !is_parked(&held.item) {
            return Ok(Turn::None);
        }
        let turn = self.core.turn_of(root, spec.number).await?;
        if turn == Turn::Given {
            self.core.take_turn(held, root, spec.number).await?;
            for thawing in state.thawing.values_mut().filter(|thawing| thawing.is_back) {
                (thawing.is_back, thawing.check_at) = (false, 0);
            }
        }
        Ok(turn)
    }

    /// Parks a slice of which nothing is left but waiting, so that other slices may begin meanwhile; one
    /// whose objects have come back asks for a turn.
    pub(super) async fn wait_in_turn(
        &self,
        root: &RequestId,
        slice_run: &SliceRun<'_>,
        turn: Turn,
    ) -> RoundResult<()> {
        if slice_run.is_parked {
            if slice_run.wants_turn.load(Ordering::Relaxed) && turn == Turn::None {
                self.core.ask_for_turn(root, slice_run.spec.number).await?;
            }
        } else if slice_run.is_in_turns && slice_run.only_thaws() {
            self.core.park(&slice_run.lease, root).await?;
            self.core.wake(records::request_key(root), Priority::Root).await?;
        }
        Ok(())
    }
}

impl Try<'_, '_> {
    /// The object has come back, and waits for the turn of its slice.
    pub(super) fn wait_for_turn(&self) {
        let engine = self.slice_run.engine;
        let now = millis(engine.core.ports.clock.now());
        let again = engine.core.settings.copy_out.thaw_check.max(2 * AGAIN);
        let again = again.mul_f64(0.5 + engine.core.ports.chance.unit() / 2.0);
        self.slice_run.wants_turn.store(true, Ordering::Relaxed);
        self.slice_run.change(|state| {
            // Restored copies expire: an object that has waited too long is asked back anew, and waited for
            // as long.
            let check_at = now.saturating_add(as_millis(again));
            let back = Thawing { since: now, check_at, checks: 0, asked: false, is_back: true };
            state.thawing.insert(self.index, back);
        });
    }
}

impl SliceRun<'_> {
    /// What is left, in words.
    pub(super) fn waits_for(&self) -> String {
        self.read(|state| {
            let left = self.spec.items.len().saturating_sub(state.done.len());
            let back = state.thawing.values().filter(|thawing| thawing.is_back).count();
            let trouble = state.faults.values().next();
            let trouble = trouble.map_or_else(String::new, |fault| format!("; {}", fault.why));
            let archived = state.thawing.len() - back;
            format!("{left} objects, {archived} of them archived, {back} in the queue for a turn{trouble}")
        })
    }
}
