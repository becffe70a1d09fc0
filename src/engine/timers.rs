//! The interval task: walks the due index, sends heartbeats, and wakes what waits for time.
//!
//! The first walk is also the recovery after a start; nothing about a restart is special.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Engine, dispatch::lane, records::millis, several::several};
use crate::{ports::store::SHARDS, signals};

/// Entries read of one shard at a time.
const PAGE: usize = 500;

/// Heartbeats under way at a time.
const BEATS: usize = 32;

impl Engine {
    /// Ticks until `end`. After `stop` only heartbeats are sent: they go on while work drains.
    pub async fn timers(self: Arc<Self>, end: CancellationToken) {
        let mut ticks = interval(self.settings.service.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first = u8::try_from(self.ports.chance.number() % u64::from(SHARDS)).unwrap_or(0);
        loop {
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                _ = ticks.tick() => {}
            }
            for shard in (0..SHARDS).map(|n| (first + n) % SHARDS) {
                self.beat_shard(SHARDS + shard).await;
            }
            self.tell_evidence().await;
            if self.stop.is_cancelled() {
                continue;
            }
            for shard in (0..SHARDS).map(|n| (first + n) % SHARDS) {
                self.wake_shard(shard).await;
            }
            signals::engine::ticked();
        }
    }

    async fn beat_shard(&self, shard: u8) {
        loop {
            let now = millis(self.ports.clock.now());
            let due = match self.ports.store.due(shard, now, PAGE).await {
                Ok(due) => due,
                Err(error) => return signals::engine::walk_failed(shard, &error),
            };
            let full = due.len() == PAGE;
            let beats = several(BEATS, due.into_iter().map(|entry| self.beat(entry.key))).await;
            let moved = beats.into_iter().any(|moved| moved);
            // Another page only if this one moved on, or a broken table would be walked for ever.
            if !full || !moved {
                return;
            }
        }
    }

    async fn wake_shard(&self, shard: u8) {
        let now = millis(self.ports.clock.now());
        match self.ports.store.due(shard, now, PAGE).await {
            Ok(due) => {
                for entry in due {
                    let lane = lane(&entry.key);
                    if !self.inbox.offer(entry.key, lane) {
                        return;
                    }
                }
            }
            Err(error) => signals::engine::walk_failed(shard, &error),
        }
    }
}
