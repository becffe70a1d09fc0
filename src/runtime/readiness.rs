//! Readiness by latches: whoever has to come up first holds one, and the process is ready when the
//! last one is dropped. Once draining it is never ready again.

use std::sync::Arc;

use tokio::sync::watch;

#[derive(Debug, Default)]
struct State {
    held: Vec<&'static str>,
    draining: bool,
}

impl State {
    fn is_ready(&self) -> bool {
        self.held.is_empty() && !self.draining
    }
}

/// Whether the process takes work. Clones are the same thing.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<State>>);

/// Keeps the process from being ready until it is dropped.
#[derive(Debug)]
#[must_use = "a latch that is dropped at once holds nothing"]
pub struct Latch {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Ready, until somebody takes a latch.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// Holds readiness back; `name` says for what.
    pub fn latch(&self, name: &'static str) -> Latch {
        self.0.send_modify(|state| state.held.push(name));
        Latch { name, readiness: self.clone() }
    }

    /// Whether new work is welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.borrow().is_ready()
    }

    /// What is still waited for.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&'static str> {
        self.0.borrow().held.clone()
    }

    /// Waits until ready. Never returns once draining.
    pub async fn ready(&self) {
        let mut states = self.0.subscribe();
        if states.wait_for(State::is_ready).await.is_err() {
            // Cannot be: `self` holds the sender.
            std::future::pending::<()>().await;
        }
    }

    /// Not ready from here on, whatever the latches say.
    pub fn drain(&self) {
        self.0.send_modify(|state| state.draining = true);
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.readiness.0.send_modify(|state| {
            if let Some(position) = state.held.iter().position(|name| *name == self.name) {
                state.held.swap_remove(position);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn the_last_latch_makes_it_ready() {
        let readiness = Readiness::new();
        let store = readiness.latch("store");
        let queue = readiness.latch("queue");
        drop(store);
        assert_eq!((readiness.is_ready(), readiness.waiting_for()), (false, vec!["queue"]));
        drop(queue);
        assert!(readiness.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_by_the_last_latch() {
        let readiness = Readiness::new();
        let latch = readiness.latch("store");
        assert!(timeout(Duration::from_mins(1), readiness.ready()).await.is_err());
        drop(latch);
        readiness.ready().await;
    }

    #[tokio::test(start_paused = true)]
    async fn draining_is_for_good() {
        let readiness = Readiness::new();
        let latch = readiness.latch("store");
        readiness.drain();
        drop(latch);
        assert!(!readiness.is_ready());
        assert!(timeout(Duration::from_hours(1), readiness.ready()).await.is_err());
    }
}
