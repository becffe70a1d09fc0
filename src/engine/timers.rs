//! The interval tasks: heartbeats, evidence of progress, and the walk of the due index. There are three,
//! so that none waits for another: a Step Functions outage makes heartbeats slow, and must hold up neither
//! due records nor the signs of live requests.
//!
//! The first walk is also the recovery after a start; nothing about a restart is special.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    Engine,
    concurrent::join_unordered,
    core::Core,
    dispatch::lane,
    lease::LONGEST_SLEEP,
    records::{as_millis, millis, set},
};
use crate::{
    ports::{
        Result,
        store::{Condition, DUE_AT, Due, Key, SHARDS, Value, Write},
    },
    signals,
};

/// Entries read of one shard at a time.
const PAGE: usize = 500;

/// Heartbeats under way at a time.
const BEATS: usize = 32;

/// Heartbeats that may be asked for at a time, and tokens that may stand in line for one; those that do not
/// fit are found by the next walk.
pub(crate) const ASKED_BEATS: usize = 1000;
const MOST_IN_LINE: usize = 4000;

/// How often the index is searched for records that are due later than anything of ours can be.
const STRAYS_EVERY: Duration = Duration::from_mins(1);

/// How far clocks may differ before a time in the index counts as one that no instance can have meant.
const DIFFER: Duration = Duration::from_mins(1);

impl Engine {
    /// Sends heartbeats until `end`: they go on while work drains. The walk of the index waits for no
    /// heartbeat, and a heartbeat for no other one: one that takes long holds up no other.
    pub async fn heartbeats(self: Arc<Self>, end: CancellationToken) {
        tokio::select! {
            biased;
            () = end.cancelled() => {}
            () = self.look_for_beats() => {}
            () = self.send_beats() => {}
        }
    }

    async fn look_for_beats(&self) {
        let mut ticks = self.ticks();
        let mut strays = Rarely::default();
        loop {
            ticks.tick().await;
            join_unordered(
                usize::from(SHARDS),
                self.shards().map(|shard| self.ask_for_beats(SHARDS + shard)),
            )
            .await;
            if strays.is_time() {
                for shard in self.shards() {
                    self.recover_strays(SHARDS + shard).await;
                }
            }
        }
    }

    /// Sends the heartbeats that are asked for, each token's once at a time.
    async fn send_beats(&self) {
        let mut asked = self.beats_in.lock().await;
        let (mut line, mut known) = (VecDeque::new(), HashSet::new());
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < BEATS
                && let Some(key) = line.pop_front()
            {
                under_way.push(self.core.beat(key));
            }
            tokio::select! {
                biased;
                Some(key) = under_way.next(), if !under_way.is_empty() => {
                    known.remove(&key);
                }
                Some(key) = asked.recv(), if line.len() < MOST_IN_LINE => {
                    if known.insert(key.clone()) {
                        line.push_back(key);
                    }
                }
            }
        }
    }

    /// Writes down the signs of life of roots, until `end`: heartbeats are sent on them while work drains,
    /// too.
    pub async fn progress(self: Arc<Self>, end: CancellationToken) {
        let mut ticks = self.ticks();
        loop {
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                _ = ticks.tick() => self.core.tell_evidence().await,
            }
        }
    }

    /// Wakes the records that wait for time, until stopped.
    pub async fn timers(self: Arc<Self>) {
        let mut ticks = self.ticks();
        let mut strays = Rarely::default();
        loop {
            tokio::select! {
                biased;
                () = self.core.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let look_for_strays = strays.is_time();
            let mut late = 0;
            for shard in self.shards() {
                late = late.max(self.wake_shard(shard).await);
                if look_for_strays {
                    self.recover_strays(shard).await;
                }
            }
            signals::timers::ticked(late);
        }
    }

    fn ticks(&self) -> Interval {
        let mut ticks = interval(self.core.settings.service.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// All shards, beginning with one by chance, so that instances do not walk in step.
    fn shards(&self) -> impl Iterator<Item = u8> + use<> {
        let first = u8::try_from(self.core.ports.chance.number() % u64::from(SHARDS)).unwrap_or(0);
        (0..SHARDS).map(move |n| (first + n) % SHARDS)
    }

    async fn ask_for_beats(&self, shard: u8) {
        let now = millis(self.core.ports.clock.now());
        match self.due_here(shard, now).await {
            Ok(due) => due.into_iter().for_each(|entry| self.core.beat_soon(entry.key)),
            Err(error) => signals::timers::walk_failed(shard, &error),
        }
    }

    /// Has the due records of a shard run; by how much the first of them is late, in milliseconds.
    async fn wake_shard(&self, shard: u8) -> i64 {
        let now = millis(self.core.ports.clock.now());
        match self.due_here(shard, now).await {
            Ok(due) => {
                let late = due.first().map_or(0, |first| now.saturating_sub(first.due_at));
                for entry in due {
                    let priority = lane(&entry.key);
                    if !self.core.inbox.offer(entry.key, priority) {
                        break;
                    }
                }
                late
            }
            Err(error) => {
                signals::timers::walk_failed(shard, &error);
                0
            }
        }
    }

    /// The due records of a shard but those that are left to newer instances.
    async fn due_here(&self, shard: u8, now: i64) -> Result<Vec<Due>> {
        let left = &self.core.left;
        let mut due = self.core.ports.store.due(shard, now, PAGE + left.count()).await?;
        due.retain(|entry| !left.has(&entry.key));
        Ok(due)
    }

    /// Makes records due that would be due later than any of ours can be: an instance wrote them whose clock
    /// was ahead of this one, and no instance would look at them until this one is there.
    async fn recover_strays(&self, shard: u8) {
        let now = millis(self.core.ports.clock.now());
        let longest =
            LONGEST_SLEEP.max(self.core.settings.service.lease).max(self.core.settings.heartbeat.promise);
        let after = now.saturating_add(as_millis(longest + DIFFER));
        let left = &self.core.left;
        let strays = match self.core.ports.store.due_after(shard, after, PAGE + left.count()).await {
            Ok(strays) => strays.into_iter().filter(|stray| !left.has(&stray.key)),
            Err(error) => return signals::timers::walk_failed(shard, &error),
        };
        let writes = strays.map(|stray| async move {
            let seen = Condition::Equals(DUE_AT.into(), Value::Number(stray.due_at));
            let write = Write::update(stray.key.clone(), vec![set(DUE_AT, now)]).when(seen);
            match self.core.ports.store.write(write).await {
                Err(error) if error.is_newer() => left.leave(&stray.key),
                Err(error) => return Err(error),
                Ok(_) => {
                    signals::timers::stray_timer(&stray.key, stray.due_at.saturating_sub(now));
                }
            }
            Ok(())
        });
        for written in join_unordered(BEATS, writes).await {
            if let Err(error) = written {
                signals::timers::walk_failed(shard, &error);
            }
        }
    }
}

impl Core {
    /// Asks for the heartbeat of a token that is due: where there is no room, the next walk finds it.
    pub(crate) fn beat_soon(&self, token: Key) {
        drop(self.beats.try_send(token));
    }
}

/// Says once in a while that it is time.
#[derive(Debug, Default)]
struct Rarely(Option<Instant>);

impl Rarely {
    fn is_time(&mut self) -> bool {
        let now = Instant::now();
        let is_time = self.0.is_none_or(|last| now.saturating_duration_since(last) >= STRAYS_EVERY);
        if is_time {
            self.0 = Some(now);
        }
        is_time
    }
}
