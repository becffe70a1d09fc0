//! The fleet: how many instances are alive, so that they share what a tenant allows.
//!
//! An instance writes a record of itself every [`EVERY`], which counts for [`COUNTS_FOR`]; one that ends
//! deletes it. So an instance that has died is counted for a minute longer, and one that has just begun may
//! call at the full pace until its first count. Both are for seconds, and ICAv2 answers too many calls with
//! 429, after which the pace falls.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Engine,
    core::Core,
    records::{self, attr, set},
};
use crate::{
    ports::{
        Result,
        store::{EXPIRE_AT, Item, Key, Write},
    },
    signals,
};

/// How often an instance tells that it is alive, and counts the others.
const EVERY: Duration = Duration::from_secs(20);

/// For how long that counts.
const COUNTS_FOR: Duration = Duration::from_mins(1);

/// For how long an instance that ends tries to tell.
const FAREWELL: Duration = Duration::from_secs(2);

/// The partition of the instances' records.
const FLEET: &str = "fleet";

/// What begins the type of such a record.
const INSTANCE: &str = "INSTANCE#";

impl Engine {
    /// How many instances on this table are alive.
    ///
    /// # Errors
    ///
    /// Those of the table.
    pub async fn instances(&self) -> Result<u32> {
        self.core.alive().await
    }

    /// Tells that this instance is alive, and shares the paces of ICAv2 and of Step Functions with the others, until `end`: calls are
    /// made while work drains, too.
    pub async fn share_with_fleet(self: Arc<Self>, end: CancellationToken) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = NonZeroU32::MIN;
        loop {
            tokio::select! {
                biased;
                () = end.cancelled() => break,
                _ = ticks.tick() => {}
            }
            match self.core.count_instances().await {
                Ok(alive) if alive != known => {
                    known = alive;
                    self.core.ports.platform.share(alive);
                    self.core.callbacks.share(alive);
                    signals::fleet::counted(alive.get());
                }
                Ok(_) => {}
                // The pace stays as it is.
                Err(error) => signals::fleet::not_counted(&error),
            }
        }
        // Where this fails, or takes long, the others count a minute longer.
        let farewell = self.core.ports.store.write(Write::delete(self.core.own_key()));
        drop(timeout(FAREWELL, farewell).await);
    }
}

impl Core {
    fn own_key(&self) -> Key {
        Key::new(FLEET, format!("{INSTANCE}{}", self.instance.as_str()))
    }

    /// How many instances are alive, this one among them.
    async fn count_instances(&self) -> Result<NonZeroU32> {
        let now = self.ports.clock.now();
        let until = records::after(now, COUNTS_FOR);
        let alive = vec![set(attr::LEASE_UNTIL, until), set(EXPIRE_AT, until / 1000)];
        self.ports.store.write(Write::update(self.own_key(), alive)).await?;
        Ok(NonZeroU32::new(self.alive().await?).unwrap_or(NonZeroU32::MIN))
    }

    /// How many instances have told lately that they are alive.
    async fn alive(&self) -> Result<u32> {
        let now = records::millis(self.ports.clock.now());
        let instances = self.ports.store.query(FLEET, INSTANCE).await?;
        let is_alive = |item: &&Item| item.number(attr::LEASE_UNTIL).is_some_and(|at| at > now);
        Ok(u32::try_from(instances.iter().filter(is_alive).count()).unwrap_or(u32::MAX))
    }
}
