//! The holder of a folder: a loop over its news. It looks and acts until nothing more can be done at once;
//! while files are being streamed, it waits for the end of a stream or for its own clock, and looks after
//! everything else: jobs end, waiters come. Files that are being streamed count as in flight.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    FolderPlane, LONGEST_WAIT,
    decide::Deeds,
    room::{self, Room},
    signs,
    snapshot::Snapshot,
    state::FolderState,
    stream_queue::{StreamQueue, Taken},
    waiter,
};
use crate::{
    engine::{
        lease::{Leased, RoundError, RoundResult},
        records::{self, attr, millis},
        round::AfterRound,
    },
    signals,
};

/// How often a folder looks after its other business while it streams.
const MIND_EVERY: Duration = Duration::from_secs(5);

/// The work that the holder has in hand.
#[derive(Debug)]
struct Hold<'a> {
    /// Room for the files of the folder, once it was asked for.
    room: Option<Room<'a>>,
    queue: &'a StreamQueue,
    /// The snapshot of the last look.
    seen: Option<Snapshot>,
}

impl FolderPlane {
    /// Works on a folder until nothing more can be done at once and nothing is being streamed.
    pub(super) async fn hold(&self, held: &mut Leased, state: &mut FolderState) -> RoundResult<AfterRound> {
        if let Some(latest) = self.only_waits(held, state) {
            return self.rest(held, state).map(|next| match next {
                AfterRound::Due { changes, due_at } => {
                    AfterRound::Due { changes, due_at: due_at.min(latest) }
                }
                other => other,
            });
        }
        let queue = StreamQueue::default();
        let lease = Arc::clone(&held.lease);
        let rounds = async {
            let rested = self.rounds(held, state, &queue).await;
            queue.close();
            rested
        };
        let (rested, ()) = tokio::join!(rounds, self.stream_files(&lease, &queue));
        rested?;
        self.tell_progress(held, state, true).await?;
        self.rest(held, state)
    }

    async fn rounds(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        queue: &StreamQueue,
    ) -> RoundResult<()> {
        let mut in_hand = Hold { room: None, queue, seen: None };
        let mut worked = self.work(held, state, &mut in_hand).await;
        while !queue.is_empty() && !matches!(worked, Err(RoundError::Lost | RoundError::Stopping)) {
            let is_over = self.until_news(queue).await;
            held.lease.check()?;
            let goes_on = self.take_streamed(held, state, &in_hand, is_over)?;
            if is_over && !goes_on {
                // An error on the way must not put off the next look.
                return worked.inspect_err(|_| state.look_at = millis(self.core.ports.clock.now()));
            }
            worked = self.work(held, state, &mut in_hand).await;
            match &worked {
                Ok(()) => self.core.record_progress(&state.root_refs),
                // It is tried again, now or when the streams have ended.
                Err(RoundError::Port(error)) => {
                    signals::engine::round_failed(&held.lease.key, error, 1, None);
                }
                Err(RoundError::Lost | RoundError::Stopping) => {}
            }
            queue.keep_for(|request| state.seen.contains_key(request));
        }
        worked
    }

    /// Until all streams have ended (true), or the folder is to be looked after.
    async fn until_news(&self, queue: &StreamQueue) -> bool {
        tokio::select! {
            biased;
            () = queue.until_over() => true,
            () = self.core.stop.cancelled() => {
                queue.until_over().await;
                true
            }
            () = sleep(MIND_EVERY) => false,
        }
    }

    /// Takes note of streams, once all have ended or a waiter has all of its files; whether there is more to
    /// do now.
    fn take_streamed(
        &self,
        held: &Leased,
        state: &mut FolderState,
        in_hand: &Hold<'_>,
        is_over: bool,
    ) -> RoundResult<bool> {
        if !is_over && !in_hand.queue.somebody_is_done() {
            return Ok(true);
        }
        let Taken { done, left } = in_hand.queue.take();
        for name in &left {
            state.set_live(name, false);
        }
        state.moved |= !done.is_empty();
        let put = self.note_streams(held, state, done)?;
        let Some(snapshot) = in_hand.seen.as_ref().filter(|_| is_over) else {
            state.look_at = millis(self.core.ports.clock.now());
            return Ok(true);
        };
        let again = self.pace(state, snapshot, Deeds { put, left: !left.is_empty(), ..Deeds::default() });
        self.note_round(held, state, snapshot, again);
        Ok(again)
    }

    fn note_round(&self, held: &Leased, state: &mut FolderState, snapshot: &Snapshot, again: bool) {
        let waits_for = signs::waits_for(state, snapshot);
        // Until it looks again: that it asks for a slot, or for a job, before then is no round.
        let wait = if again { 0 } else { state.look_at - millis(self.core.ports.clock.now()) };
        state.count_round(&held.lease.key.id, wait, &waits_for);
        if !again {
            state.looked = Some((state.looked_at, waits_for));
        }
    }

    /// Looks and acts until nothing more can be done at once.
    async fn work<'a>(
        &'a self,
        held: &mut Leased,
        state: &mut FolderState,
        in_hand: &mut Hold<'a>,
    ) -> RoundResult<()> {
        let mut all_told = false;
        loop {
            // One that comes meanwhile wakes the folder, which is not given back before it was looked at.
            let waiters = if all_told { Vec::new() } else { self.waiters(held, state).await? };
            // Where an older version has seen them.
            self.mark_seen(held, state).await?;
            state.root_refs = waiter::root_refs(&waiters);
            let woken = held.item.number(attr::WAKES) != state.last_wakes;
            state.last_wakes = held.item.number(attr::WAKES);
            let ended = self.poll_jobs(held, state, woken, &waiters).await?;
            self.adopt(held, state, &waiters).await?;
            self.give_back_late(held, state, &waiters).await?;
            let slot = self.ask_again(held, state, &waiters).await?;
            let now = millis(self.core.ports.clock.now());
            state.forget_all_but(&waiters, now);
            if waiters.is_empty() {
                return Ok(());
            }
            let is_owed_a_look = woken && self.has_not_looked_lately(held);
            if !state.has_not_seen(&waiters) && !slot && now < state.look_at && !is_owed_a_look {
                return Ok(());
            }
            let waiters = self.not_stopped(waiters).await?;
            if waiters.is_empty() {
                // A slot that was taken for them is not kept; once it is forgotten it could not be
                // given back.
                self.ask_again(held, state, &waiters).await?;
            }
            state.forget_all_but(&waiters, now);
            if waiters.is_empty() {
                // Waiters that are to end make room for others when they have.
                state.look_at = records::after(self.core.ports.clock.now(), LONGEST_WAIT);
                return Ok(());
            }
            state.root_refs = waiter::root_refs(&waiters);
            let came = state.has_not_seen(&waiters);
            // An error on the way must not put off the next look.
            state.look_at = now;
            let mut waiters = self.resolvable(held, state, waiters).await?;
            if waiters.is_empty() {
                continue;
            }
            self.tell_foreseen(held, state, &mut waiters).await?;
            if in_hand.room.is_none() {
                let Some(room) = self.room_for(state, &waiters).await else {
                    state.looked = Some((now, room::WAITS_FOR.to_owned()));
                    return Ok(());
                };
                in_hand.room = Some(room);
            }
            if came {
                // Files that were given up for other waiters have not been tried for those that have just
                // come.
                state.charged = 0;
                state.trees.clear();
                let most = self.core.settings.jobs.max_attempts;
                state.drop_uploads(now, |_, upload| upload.live || upload.attempts < most);
            }
            let snapshot = self.look(held, state, waiters, &ended).await?;
            self.charge(&held.lease.key.id.clone(), state, &snapshot);
            // Files that a job would not bring may be streamed from now on.
            let mut snapshot = self.rerouted(state, snapshot);
            state.moved = came || slot || !ended.is_empty();
            state.show(&snapshot);
            let open = self.finish(held, state, &snapshot).await?;
            snapshot.keep(|waiter| state.seen.contains_key(waiter.request.as_str()));
            if open == 0 {
                all_told = state.crowd.is_empty();
                continue;
            }
            self.core.liveness.platform_answered(millis(self.core.ports.clock.now()));
            self.mark_seen(held, state).await?;
            let again = self.act(held, state, &snapshot, in_hand.queue).await?;
            if in_hand.queue.is_over() {
                self.note_round(held, state, &snapshot, again);
            }
            in_hand.seen = Some(snapshot);
            if !again {
                return Ok(());
            }
        }
    }
}
