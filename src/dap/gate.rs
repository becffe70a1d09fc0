//! The way to a place in the minute: callers wait for some seconds, one after the other, and then are told when to
//! come again.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout_at},
};

use super::{
    places::{Place, Places},
    settings::Endpoint,
};
use crate::{
    ports::{Class, Error, Result, clock::Clock},
    signals,
};

/// The longest time for which all wait, whatever the service says.
const LONGEST_SLOW: Duration = Duration::from_mins(10);

/// The queue before an endpoint.
#[derive(Debug, Default)]
struct Queue {
    /// Held by the caller whose turn it is.
    turn: Mutex<()>,
    /// When there may be a place, as far as is known, in milliseconds since 1970. Places only fill.
    none_before: AtomicI64,
}

/// Lets calls through as fast as the account may make them.
pub(super) struct Gate {
    places: Arc<dyn Places>,
    clock: Arc<dyn Clock>,
    patience: Duration,
    queues: BTreeMap<Endpoint, Queue>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Gate {
    pub(super) fn new(places: Arc<dyn Places>, clock: Arc<dyn Clock>, patience: Duration) -> Self {
        let queues = Endpoint::ALL.map(|endpoint| (endpoint, Queue::default())).into();
        Self { places, clock, patience, queues }
    }

    /// Takes a place for a call.
    ///
    /// # Errors
    ///
    /// `Throttled`, with when there may be one, where none is free in time; what the store says.
    pub(super) async fn enter(&self, endpoint: Endpoint, operation: &'static str) -> Result<()> {
        let asked = Instant::now();
        let entered = self.take(endpoint, operation).await;
        match &entered {
            Ok(()) => signals::dap::has_place(endpoint.name(), asked.elapsed()),
            Err(error) if error.class == Class::Throttled => signals::dap::no_place(endpoint.name()),
            Err(_) => {}
        }
        entered
    }

    async fn take(&self, endpoint: Endpoint, operation: &'static str) -> Result<()> {
        let Some(queue) = self.queues.get(&endpoint) else { return Ok(()) };
        let end = Instant::now() + self.patience;
        self.worth_it(queue, end, operation)?;
        let Ok(_turn) = timeout_at(end, queue.turn.lock()).await else {
            return Err(full(self.wait(queue).unwrap_or_default(), operation));
        };
        loop {
            self.worth_it(queue, end, operation)?;
            if let Some(wait) = self.wait(queue) {
                sleep(wait).await;
            }
            match self.places.take(endpoint).await? {
                Place::Taken => return Ok(()),
                Place::NoneBefore(at) => queue.none_before.store(at.as_millisecond(), Ordering::Relaxed),
            }
        }
    }

    /// The service says that it was too much: all instances wait for so long.
    pub(super) async fn slow(&self, endpoint: Endpoint, wait: Duration) -> Result<()> {
        let wait = SignedDuration::try_from(wait.min(LONGEST_SLOW)).unwrap_or_default();
        let until = self.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX);
        if let Some(queue) = self.queues.get(&endpoint) {
            queue.none_before.fetch_max(until.as_millisecond(), Ordering::Relaxed);
        }
        self.places.slow(endpoint, until).await
    }

    /// How long there is no place, as far as is known.
    fn wait(&self, queue: &Queue) -> Option<Duration> {
        let left = queue.none_before.load(Ordering::Relaxed) - self.clock.now().as_millisecond();
        u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
    }

    fn worth_it(&self, queue: &Queue, end: Instant, operation: &'static str) -> Result<()> {
        match self.wait(queue) {
            Some(wait) if Instant::now() + wait > end => Err(full(wait, operation)),
            _ => Ok(()),
        }
    }
}

fn full(wait: Duration, operation: &'static str) -> Error {
    let message = format!(
        "as many calls as the account may make are made already (canvas.limits); there is a place in {} s",
        wait.as_secs().max(1)
    );
    let mut error = Error::new(Class::Throttled, operation, message);
    error.retry_after = Some(wait.max(Duration::from_secs(1)));
    error
}
