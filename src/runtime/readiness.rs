//! Readiness by latches: whoever has to come up first holds one, and the process is ready when the
//! last one is dropped. Once draining it is never ready again.
//!
//! Beside the latches are conditions, which come and go: what the process needs and can reach now, or
//! cannot. They keep nothing from being done, and are there to be told.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

#[derive(Debug, Default)]
struct State {
    held: Vec<&'static str>,
    draining: bool,
    /// Conditions that do not hold, and why.
    failing: BTreeMap<&'static str, String>,
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

/// Something that the process needs. Clones are the same condition.
#[derive(Debug, Clone)]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

impl Condition {
    /// It holds.
    pub fn holds(&self) {
        self.readiness.0.send_if_modified(|state| state.failing.remove(self.name).is_some());
    }

    /// It does not.
    pub fn fails(&self, why: impl Into<String>) {
        let why = why.into();
        self.readiness
            .0
            .send_if_modified(|state| state.failing.insert(self.name, why.clone()).as_ref() != Some(&why));
    }

    /// Whether it holds.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.readiness.0.borrow().failing.contains_key(self.name)
    }
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

    /// A condition of that name, which does not hold until it is said to.
    #[must_use]
    pub fn condition(&self, name: &'static str) -> Condition {
        let condition = Condition { name, readiness: self.clone() };
        condition.fails("it has not been reached yet");
        condition
    }

    /// What is lacking: latches that are held, conditions that do not hold.
    #[must_use]
    pub fn lacking(&self) -> Vec<(&'static str, String)> {
        let state = self.0.borrow();
        let draining = state.draining.then(|| ("process", "it is stopping".to_owned()));
        let held = state.held.iter().filter(|name| !state.failing.contains_key(*name));
        let held = held.map(|name| (*name, "it has not come up yet".to_owned()));
        let failing = state.failing.iter().map(|(name, why)| (*name, why.clone()));
        draining.into_iter().chain(held).chain(failing).collect()
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

    #[test]
    fn conditions_come_and_go_and_hold_nothing_back() {
        let readiness = Readiness::new();
        let token = readiness.condition("token");
        assert!(readiness.is_ready() && !token.is_held());
        assert_eq!(readiness.lacking().len(), 1);
        token.holds();
        assert_eq!((readiness.lacking(), token.is_held()), (vec![], true));
        token.fails("refused");
        assert_eq!(readiness.lacking(), [("token", "refused".to_owned())]);
        let latch = readiness.latch("token");
        assert_eq!(readiness.lacking().len(), 1, "a thing is named once");
        token.holds();
        drop(latch);
        readiness.drain();
        assert_eq!(readiness.lacking()[0].0, "process");
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
