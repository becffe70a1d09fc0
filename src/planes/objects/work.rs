//! The work of one round: objects side by side, each as soon as it can, and what becomes of them.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    NEAR,
    charge::is_under_way,
    object::Ended,
    slice_run::{SliceRun, Streaks},
};
use crate::{
    domain::{ids::RequestId, outcome::Failure},
    engine::{
        backoff::jittered,
        lease::{RoundError, RoundResult},
        records::{as_millis, millis},
    },
    ports::{Class, Error},
};

/// How often results are stored, and the order to stop is looked for, while work goes on.
const UPKEEP: Duration = Duration::from_secs(15);
/// Waits where S3 asks us to slow down; the limit of the bucket does the rest.
const SLOW: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_secs(20);

/// What is left after a round.
#[derive(Debug)]
pub(super) enum Left {
    /// Nothing: every object has ended.
    Nothing,
    /// Objects that wait until then at least, milliseconds since 1970.
    Waits(i64),
    /// The root was stopped.
    Stopped(Failure),
}

/// Objects that have not ended, and when each is next to be tried.
#[derive(Debug, Default)]
struct Queue {
    ready: VecDeque<usize>,
    later: BTreeSet<(Instant, usize)>,
    /// Failures in a row, for growing waits.
    streaks: Streaks,
    /// The last error that was charged to no object.
    fault: Option<Error>,
}

impl Queue {
    /// Those whose time has come are ready.
    fn wake(&mut self) {
        let now = Instant::now();
        while let Some((at, index)) = self.later.first().copied()
            && at <= now
        {
            self.later.pop_first();
            self.ready.push_back(index);
        }
    }

    fn next(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }
}

impl SliceRun<'_> {
    /// Works on the objects of the slice.
    pub(super) async fn work(&self, root: &RequestId) -> RoundResult<Left> {
        let mut queue = self.queue();
        let width = usize::try_from(self.spec.concurrency).unwrap_or(usize::MAX).max(1);
        let mut under_way: FuturesUnordered<BoxFuture<'_, (usize, RoundResult<Ended>)>> =
            FuturesUnordered::new();
        let upkeep = self.upkeep(root);
        tokio::pin!(upkeep);
        let (stop, cut) = (&self.engine.core.stop, &self.engine.core.cut);
        loop {
            let may_begin = !stop.is_cancelled();
            queue.wake();
            while may_begin
                && under_way.len() < width
                && let Some(index) = queue.ready.pop_front()
            {
                under_way.push(async move { (index, self.attempt(index).await) }.boxed());
            }
            if under_way.is_empty() {
                if queue.ready.is_empty() && queue.later.is_empty() {
                    return Ok(Left::Nothing);
                }
                if !may_begin {
                    return Err(RoundError::Stopping);
                }
                if let Some(left) = self.leave(&mut queue)? {
                    return Ok(left);
                }
            }
            let next = queue.next();
            tokio::select! {
                biased;
                () = self.lease.lost.cancelled() => return Err(RoundError::Lost),
                () = cut.cancelled() => return Err(RoundError::Stopping),
                Some((index, ended)) = under_way.next(), if !under_way.is_empty() => {
                    self.note(&mut queue, index, ended?);
                }
                why = &mut upkeep => return Ok(Left::Stopped(why?)),
                () = until(next), if may_begin && next.is_some() => {}
                () = stop.cancelled(), if may_begin => {}
            }
        }
    }

    /// The objects that have not ended; archived ones wait for their time.
    fn queue(&self) -> Queue {
        let (now, wall) = (Instant::now(), millis(self.engine.core.ports.clock.now()));
        let mut queue = Queue::default();
        self.read(|state| {
            for index in (0..self.spec.items.len()).filter(|index| !state.done.contains_key(index)) {
                match state.thawing.get(&index).map(|thawing| thawing.check_at.saturating_sub(wall)) {
                    Some(wait @ 1..) => {
                        queue.later.insert((now + Duration::from_millis(wait.unsigned_abs()), index));
                    }
                    _ => queue.ready.push_back(index),
                }
            }
        });
        // That one is still being restored is the sign of life of all that waits.
        if queue.ready.is_empty()
            && let Some((_, index)) = queue.later.pop_first()
        {
            queue.ready.push_back(index);
        }
        queue
    }

    /// Whether the round ends, now that nothing is under way; `None`: what waits is nearly due.
    fn leave(&self, queue: &mut Queue) -> RoundResult<Option<Left>> {
        let Some(next) = queue.next() else { return Ok(None) };
        // One of the two ends has not answered: it is not the objects that are broken.
        if self.answers().contains(&0)
            && let Some(fault) = queue.fault.take()
        {
            return Err(RoundError::Port(fault));
        }
        let wait = next.saturating_duration_since(Instant::now());
        if wait <= NEAR {
            return Ok(None);
        }
        Ok(Some(Left::Waits(millis(self.engine.core.ports.clock.now()).saturating_add(as_millis(wait)))))
    }

    /// Takes the end of a try into the state.
    fn note(&self, queue: &mut Queue, index: usize, ended: Ended) {
        match ended {
            Ended::Done(copied) => {
                self.change(|state| {
                    state.thawing.remove(&index);
                    state.tries.remove(&index);
                    state.faults.remove(&index);
                    state.sent.remove(&index);
                    state.done.insert(index, copied);
                });
                queue.streaks.remove(&index);
                self.record_progress();
            }
            Ended::Thawing => {
                let check_at = self.read(|state| state.thawing.get(&index).map(|thawing| thawing.check_at));
                let wait =
                    check_at.unwrap_or(0).saturating_sub(millis(self.engine.core.ports.clock.now())).max(0);
                queue.streaks.remove(&index);
                self.change(|state| state.faults.remove(&index));
                queue.later.insert((Instant::now() + Duration::from_millis(wait.unsigned_abs()), index));
            }
            Ended::Failed(error, counts) => {
                self.engine.core.note_outage(&self.root_refs, &error);
                self.note_failed(index, &error, counts);
                let streak = queue.streaks.entry(index).or_default();
                let wait = if error.class == Class::Throttled || is_under_way(&error) {
                    jittered(SLOW, SLOWEST, *streak, self.engine.core.ports.chance.as_ref())
                        .max(error.retry_after.unwrap_or_default().min(SLOWEST))
                } else {
                    self.engine.core.pause(&error, i64::from(*streak))
                };
                *streak += 1;
                queue.later.insert((Instant::now() + wait, index));
                queue.fault = Some(error);
            }
        }
    }

    /// Whether all that is left are archived objects that are waited for.
    pub(super) fn only_thaws(&self) -> bool {
        self.read(|state| {
            let mut left = (0..self.spec.items.len()).filter(|index| !state.done.contains_key(index));
            left.all(|index| state.thawing.contains_key(&index))
        })
    }

    /// Stores results now and then; ends when the root is to stop.
    async fn upkeep(&self, root: &RequestId) -> RoundResult<Failure> {
        loop {
            sleep(UPKEEP).await;
            match self.store().await {
                Err(RoundError::Port(_)) | Ok(()) => {}
                Err(halt) => return Err(halt),
            }
            if let Ok(Some(why)) = self.engine.core.stop_of(root).await {
                return Ok(why);
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
