//! The acts of a round that bring missing files: clear, batch, submit, stream. Which of them is done is
//! decided in [`super::decide`].

use std::sync::Arc;

use super::{
    FolderPlane,
    decide::{Action, Batches, Deeds, Look, decide, look_after},
    snapshot::Snapshot,
    state::FolderState,
    stream_queue::StreamQueue,
};
use crate::engine::{
    lease::{Leased, RoundResult},
    records::{as_millis, millis},
};
use tokio::time::{Instant, sleep_until};

/// How soon a folder that has dropped a slot it could not use asks for another.
const SLOT_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

impl FolderPlane {
    /// Does what can be done now, and decides when to look again. True: at once.
    pub(super) async fn act(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        snapshot: &Snapshot,
        queue: &StreamQueue,
    ) -> RoundResult<bool> {
        let window = Instant::now() + self.core.settings.jobs.batch_window;
        let now = millis(self.core.ports.clock.now());
        let mut deeds = Deeds::default();
        for action in decide(snapshot, state, now, &self.core.settings.jobs) {
            match action {
                Action::Clear { fresh, orphans } => {
                    deeds.cleared = self.clear_leftovers(held, state, snapshot, fresh, orphans).await?;
                }
                Action::Stream(chosen) => {
                    self.begin_streams(held, state, snapshot, chosen, queue).await?;
                }
                Action::AskForJobs { at_once } => {
                    let window = (!at_once).then_some(window);
                    deeds.news = self.batch_jobs(held, state, snapshot, window).await?;
                }
            }
        }
        let mut soon = None;
        if state.has_slot() {
            // There is no job to submit after all, or none that may have it.
            self.drop_wish(held, state, &snapshot.project).await?;
            let waits = snapshot.count_for_jobs(1) > 0 || !snapshot.trees_missing().is_empty();
            soon = waits.then_some(SLOT_WAIT);
        }
        let again = self.pace(state, snapshot, deeds);
        if let Some(wait) = soon {
            state.look_at = state.look_at.min(millis(self.core.ports.clock.now()) + as_millis(wait));
        }
        Ok(again)
    }

    /// Decides when to look again. True: at once.
    pub(super) fn pace(&self, state: &mut FolderState, snapshot: &Snapshot, mut deeds: Deeds) -> bool {
        deeds.news |= std::mem::take(&mut state.look_again);
        state.moved |= deeds.news;
        let now = millis(self.core.ports.clock.now());
        let look = look_after(state, snapshot, deeds, now, self.core.settings.jobs.max_attempts);
        let stops = self.core.stop.is_cancelled();
        match look.filter(|_| !stops) {
            Some(Look { at, waits }) => (state.look_at, state.waits) = (at, waits),
            // The next holder, this instance or another, begins with a look.
            None => state.look_at = now,
        }
        look.is_none() && !stops
    }

    /// Keeps a batch open until the end of its window, then submits it. True when a waiter came meanwhile,
    /// whose other files are still to be looked at.
    async fn batch_jobs(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        snapshot: &Snapshot,
        window: Option<Instant>,
    ) -> RoundResult<bool> {
        if let Some(window) = window {
            tokio::select! {
                biased;
                () = self.core.stop.cancelled() => return Ok(false),
                () = sleep_until(window) => {}
            }
        }
        // The files of waiters that came meanwhile travel with these.
        let merged = self.newcomers(held, state, snapshot).await?;
        self.submit_batches(held, state, merged.as_ref().unwrap_or(snapshot)).await?;
        Ok(merged.is_some())
    }

    /// The snapshot with the waiters that have come since it was taken; `None` when none has.
    async fn newcomers(
        &self,
        held: &Leased,
        state: &mut FolderState,
        snapshot: &Snapshot,
    ) -> RoundResult<Option<Snapshot>> {
        let waiters = self.waiters(held, state).await?;
        if !state.has_not_seen(&waiters) {
            return Ok(None);
        }
        let waiters = self.not_stopped(waiters).await?;
        let mut merged = Snapshot::new(
            snapshot.project.clone(),
            snapshot.folder.clone(),
            Vec::new(),
            Arc::clone(&snapshot.listing),
            snapshot.streamed.clone(),
        );
        merged.reasons.clone_from(&snapshot.reasons);
        merged.leftovers.clone_from(&snapshot.leftovers);
        for waiter in waiters {
            match self.resolve(&waiter).await {
                Ok(files) => merged.waiters.push((waiter, files, Vec::new())),
                Err(error) if error.is_passing() => return Err(error.into()),
                // This waiter is told at the next look, and does not hold up the others.
                Err(_) => {}
            }
        }
        self.weigh(state, &merged).await?;
        self.prove(state, &mut merged).await?;
        self.judge(state, &mut merged);
        self.mark_seen(held, state).await?;
        self.look_at_trees(state, &mut merged).await?;
        Ok(Some(merged))
    }

    async fn submit_batches(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        snapshot: &Snapshot,
    ) -> RoundResult<()> {
        let mut batches = Batches::new(snapshot, &self.core.settings.jobs);
        while !self.core.stop.is_cancelled()
            && let Some(batch) = batches.next(state)
        {
            let went = self.submit(held, state, snapshot, &batch).await?;
            batches.went(&batch, went);
        }
        Ok(())
    }
}
