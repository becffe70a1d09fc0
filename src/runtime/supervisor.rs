//! The only place that spawns. Every task is named, counted, and has a say in whether its error ends
//! the process; the end itself is a list of phases under one deadline.
//!
//! 1. *stop*: not ready, nothing new is taken; work in hand goes on
//! 2. *cut*, only when a tenth of the time is left: work in hand is handed over
//! 3. *off*: what served the work until then (admin interface, heartbeats) ends too
//!
//! Tasks learn of a phase by its token and look at it between steps, never around one. A task that
//! has not ended at the deadline is abandoned: it ends with the process. Of services that is no bad end:
//! what they served is over.

use std::{
    any::Any,
    collections::BTreeMap,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::{Instant, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, error_span};

use super::Readiness;
use crate::signals::process;

/// How long services are waited for once the work is over.
const LINGER: Duration = Duration::from_secs(5);

/// What the end of a task in an error means for the process. A panic always stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The process cannot do its work without it.
    Stop,
    /// Told, and lived with.
    Log,
}

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Asked to stop, and everything ended or was handed over in time.
    Well,
    /// A task broke, did not end in time, or somebody could not wait.
    Badly,
}

impl Ended {
    /// The exit code of the process.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Badly => 1,
        }
    }
}

/// The tokens by which tasks learn how far the end has come. Each phase includes those before it.
#[derive(Debug, Clone, Default)]
pub struct Phases {
    /// Take nothing new.
    pub stop: CancellationToken,
    /// Hand over what is in hand.
    pub cut: CancellationToken,
    /// The work is over: whatever served it ends.
    pub off: CancellationToken,
}

/// Spawns and ends tasks. Clones are the same supervisor.
#[derive(Debug, Clone, Default)]
pub struct Supervisor(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    phases: Phases,
    readiness: Readiness,
    work: TaskTracker,
    service: TaskTracker,
    broken: CancellationToken,
    alive: Mutex<BTreeMap<u64, &'static str>>,
    spawned: AtomicU64,
}

impl Supervisor {
    /// A supervisor without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tokens of the phases.
    #[must_use]
    pub fn phases(&self) -> &Phases {
        &self.0.phases
    }

    /// Whether the process takes work; not any more once it stops.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// Spawns work: it is waited for at the end, until the time is up. It watches `stop` and `cut`.
    pub fn spawn<E>(
        &self,
        name: &'static str,
        on_error: OnError,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: std::error::Error + Send + 'static,
    {
        let guarded = self.guard(name, on_error, task);
        self.0.work.spawn(guarded);
    }

    /// Spawns what serves the work until it is over. It watches `off`.
    pub fn spawn_service<E>(
        &self,
        name: &'static str,
        on_error: OnError,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: std::error::Error + Send + 'static,
    {
        let guarded = self.guard(name, on_error, task);
        self.0.service.spawn(guarded);
    }

    /// Runs until asked to stop or until a task breaks, then shuts down. The second time it is
    /// asked, it waits no longer.
    pub async fn run(
        &self,
        mut asked: impl Stream<Item = &'static str> + Unpin,
        drain_timeout: Duration,
    ) -> Ended {
        let reason = tokio::select! {
            biased;
            () = self.0.broken.cancelled() => "a task broke",
            Some(signal) = asked.next() => signal,
        };
        tokio::select! {
            biased;
            ended = self.shutdown(reason, drain_timeout) => ended,
            Some(signal) = asked.next() => {
                process::forced(signal);
                Ended::Badly
            }
        }
    }

    /// Goes through the phases; returns at the latest after `drain_timeout`.
    pub async fn shutdown(&self, reason: &str, drain_timeout: Duration) -> Ended {
        let Inner { phases, readiness, work, service, .. } = &*self.0;
        let start = Instant::now();
        let deadline = start + drain_timeout;
        let last_moment = start + drain_timeout.mul_f64(0.9);

        process::stopping(reason, drain_timeout);
        readiness.drain();
        phases.stop.cancel();
        work.close();
        if timeout_at(last_moment, work.wait()).await.is_ok() {
            process::drained(start.elapsed());
        } else {
            process::cut(&self.alive());
        }
        phases.cut.cancel();
        // Services outlive the work by half of what is left, so that an admin call that hangs
        // cannot make an orderly end look like a bad one.
        let handed_over = timeout_at(last_moment + (deadline - last_moment) / 2, work.wait()).await;
        phases.off.cancel();
        service.close();
        let served = timeout_at(deadline.min(Instant::now() + LINGER), service.wait()).await;

        if handed_over.is_err() || served.is_err() {
            process::abandoned(&self.alive());
        }
        if handed_over.is_err() {
            return Ended::Badly;
        }
        if self.0.broken.is_cancelled() { Ended::Badly } else { Ended::Well }
    }

    /// The names of the tasks that have not ended, oldest first.
    #[must_use]
    pub fn alive(&self) -> Vec<&'static str> {
        self.0.alive.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }

    /// Counted as alive from before its first step; its end, however it comes, is seen here.
    fn guard<E>(
        &self,
        name: &'static str,
        on_error: OnError,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        E: std::error::Error + Send + 'static,
    {
        let alive = Alive::new(&self.0, name);
        async move {
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    process::task_failed(name, &error);
                    if on_error == OnError::Stop {
                        alive.inner.broken.cancel();
                    }
                }
                Err(panic) => {
                    process::task_panicked(name, panic_message(&*panic));
                    alive.inner.broken.cancel();
                }
            }
        }
        .instrument(error_span!("task", task = name))
    }
}

/// An entry in the list of those alive, struck out by drop.
struct Alive {
    inner: Arc<Inner>,
    number: u64,
}

impl Alive {
    fn new(inner: &Arc<Inner>, name: &'static str) -> Self {
        let number = inner.spawned.fetch_add(1, Ordering::Relaxed);
        inner.alive.lock().unwrap_or_else(PoisonError::into_inner).insert(number, name);
        Self { inner: Arc::clone(inner), number }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.inner.alive.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// What was passed to `panic!`, where it was text.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

#[cfg(test)]
mod tests;
