//! Durable work: records under leases, their wakes, roots with their children, heartbeats, and the debts at
//! the end. It knows no kind of work, no folder and no bucket.
//!
//! A request is a root record. Its kind ([`kind::Kind`]) decides what children it needs and how it ended;
//! a plane ([`kind::Plane`]) works the children off. Which there are is said by the [`Registry`], which
//! `app` fills. [`intake`] brings requests from the queue, [`timers`] the records that are due, and
//! [`dispatch`] runs records, a bounded number at a time, each under a [`lease`].
//!
//! Events, counters and indexes are hints; truth is consistent reads of records.

mod await_root;
pub(crate) mod backoff;
mod beat;
pub mod children;
pub(crate) mod concurrent;
pub mod core;
mod debts;
pub(crate) mod dispatch;
mod find;
mod fleet;
mod intake;
mod join;
mod judge;
pub(crate) mod kind;
pub(crate) mod large;
pub(crate) mod lease;
pub mod list;
pub(crate) mod liveness;
pub mod log_level;
mod names;
mod operate;
mod other;
mod outbox;
mod patience;
mod payload;
mod quarantine;
pub(crate) mod receipt;
pub(crate) mod records;
mod refused;
mod registry;
mod root;
pub(crate) mod round;
pub mod schedule;
pub mod schema;
pub mod settings;
mod stop;
#[cfg(test)]
pub(crate) mod stored;
mod submit;
mod timers;
pub(crate) mod tree;
pub mod view;
mod wake;

pub use judge::EventVerdict;
pub use operate::{Retry, Woken};
pub use registry::Registry;
pub use stop::Cancel;
pub use submit::{Order, Submitted};

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc};

use self::{
    core::{Core, Incoming},
    dispatch::InboxMessage,
};
use crate::{domain::ids::InstanceId, ports::store::Key};

/// How many keys may wait for a run; those that do not fit are found again by the timers.
const INBOX: usize = 10_000;

/// The engine of one instance: the loops that run records.
#[derive(Debug)]
pub struct Engine {
    core: Arc<Core>,
    registry: Registry,
    posts: Mutex<mpsc::Receiver<InboxMessage>>,
    beats_in: Mutex<mpsc::Receiver<Key>>,
}

impl Engine {
    /// An engine for these kinds and planes, which hold the same core.
    #[must_use]
    pub fn new(core: Arc<Core>, incoming: Incoming, registry: Registry) -> Arc<Self> {
        Arc::new(Self {
            core,
            registry,
            posts: Mutex::new(incoming.posts),
            beats_in: Mutex::new(incoming.beats),
        })
    }

    /// The name of this instance, in leases and log lines.
    pub fn instance(&self) -> &InstanceId {
        &self.core.instance
    }

    /// Now, by the clock that records are dated by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core.ports.clock.now()
    }

    /// How many calls to the platform wait for their turn on this instance, and how many it makes a second.
    #[must_use]
    pub fn platform_load(&self) -> (usize, f64) {
        let load = self.core.ports.platform.load();
        (load.waiting, load.per_second)
    }
}
