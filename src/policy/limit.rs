//! How many calls at a time the other side takes, where it does not say so.
//!
//! Additive increase and multiplicative decrease, as TCP has it: until the other side complains for the
//! first time, each success makes room for one more call; from then on it takes as many successes as
//! there are places. A complaint halves the places, once for all calls that were under way together.
//! Only a limit that is in use grows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// With how many calls at a time it begins.
const FIRST: usize = 32;
/// Limits that are kept.
const MOST: usize = 1024;

/// The limits of everybody who is called, by name.
#[derive(Debug)]
pub struct Limits {
    most: usize,
    known: Mutex<HashMap<String, Arc<Limit>>>,
}

impl Limits {
    /// Limits of at most so many calls each.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), known: Mutex::default() }
    }

    /// The limit of that name.
    #[must_use]
    pub fn of(&self, name: &str) -> Arc<Limit> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = known.get(name) {
            return Arc::clone(limit);
        }
        if known.len() >= MOST {
            known.retain(|_, limit| Arc::strong_count(limit) > 1);
        }
        let limit = Arc::new(Limit::new(self.most));
        if known.len() < MOST {
            known.insert(name.to_owned(), Arc::clone(&limit));
        }
        limit
    }
}

/// How many calls the other side takes at a time, as far as is known.
#[derive(Debug)]
pub struct Limit {
    places: Arc<Semaphore>,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Places that are still taken, and not to be given again.
    owed: usize,
    /// Successes since it last grew.
    credit: usize,
    /// How often it was cut.
    cuts: u64,
}

/// A place for one call. To be told how the call ended, if it did.
#[derive(Debug)]
pub struct Permit {
    limit: Arc<Limit>,
    place: Option<OwnedSemaphorePermit>,
    cuts: u64,
}

impl Limit {
    fn new(most: usize) -> Self {
        let first = FIRST.min(most);
        let state = State { limit: first, owed: 0, credit: 0, cuts: 0 };
        Self { places: Arc::new(Semaphore::new(first)), most, state: Mutex::new(state) }
    }

    /// Waits for a place; first come, first served.
    pub async fn permit(self: &Arc<Self>) -> Permit {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        Permit { limit: Arc::clone(self), place, cuts: self.state().cuts }
    }

    /// How many calls it takes at present.
    #[must_use]
    pub fn places(&self) -> usize {
        self.state().limit
    }

    fn grow(&self) {
        let mut state = self.state();
        let in_use = (state.limit + state.owed).saturating_sub(self.places.available_permits());
        if state.limit >= self.most || 2 * in_use < state.limit {
            return;
        }
        state.credit += 1;
        if state.cuts == 0 || state.credit >= state.limit {
            state.credit = 0;
            state.limit += 1;
            if state.owed > 0 {
                state.owed -= 1;
            } else {
                self.places.add_permits(1);
            }
        }
    }

    fn cut(&self, seen: u64) -> usize {
        let mut state = self.state();
        if state.cuts == seen {
            let left = (state.limit / 2).max(1);
            let too_many = state.limit - left;
            state.owed += too_many - self.places.forget_permits(too_many);
            state.limit = left;
            state.credit = 0;
            state.cuts += 1;
        }
        state.limit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The other side is content.
    pub fn succeeded(self) {
        self.limit.grow();
    }

    /// The other side complained. Returns how many calls it is given from now on.
    pub fn throttled(self) -> usize {
        self.limit.cut(self.cuts)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let mut state = self.limit.state();
        if state.owed > 0 {
            state.owed -= 1;
            place.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures_util::{StreamExt as _, stream};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// Calls a service that takes `takes` calls at a time, 5 to 15 ms each, and complains of more; how
    /// many complaints there were, and how long all took.
    async fn call(limit: &Arc<Limit>, takes: usize, calls: usize) -> (usize, Duration) {
        let (at_once, complaints) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
        let started = Instant::now();
        stream::iter(0..calls)
            .for_each_concurrent(None, |n| async move {
                loop {
                    let permit = limit.permit().await;
                    let refused = at_once.fetch_add(1, Ordering::Relaxed) >= takes;
                    sleep(Duration::from_micros(5000 + (n as u64 * 7919) % 10_000)).await;
                    at_once.fetch_sub(1, Ordering::Relaxed);
                    if !refused {
                        return permit.succeeded();
                    }
                    complaints.fetch_add(1, Ordering::Relaxed);
                    permit.throttled();
                }
            })
            .await;
        (complaints.load(Ordering::Relaxed), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_quickly_to_the_most_that_is_set() {
        let limit = Limits::new(256).of("b");
        assert_eq!(limit.places(), FIRST);
        let (complaints, took) = call(&limit, usize::MAX, 5000).await;
        assert_eq!((complaints, limit.places()), (0, 256));
        assert!(took < Duration::from_millis(300), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_finds_what_the_other_side_takes() {
        let limit = Limits::new(256).of("b");
        call(&limit, 60, 5000).await;
        let (complaints, took) = call(&limit, 60, 20_000).await;
        assert!((10..=66).contains(&limit.places()), "{}", limit.places());
        assert!(complaints < 800, "{complaints} of 20,000 calls were refused");
        assert!(took < Duration::from_secs(6), "{took:?}: of 3.4 s at best");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_made_together_halve_it_once() {
        let limit = Limits::new(256).of("b");
        let mut permits = Vec::new();
        for _ in 0..FIRST {
            permits.push(limit.permit().await);
        }
        for permit in permits {
            assert_eq!(permit.throttled(), FIRST / 2);
        }
        assert_eq!(limit.places.available_permits(), FIRST / 2);
        for left in [8, 4, 2, 1, 1, 1] {
            assert_eq!(limit.permit().await.throttled(), left);
        }
        assert_eq!(limit.places.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_in_use_does_not_grow() {
        let limit = Limits::new(256).of("b");
        for _ in 0..1000 {
            limit.permit().await.succeeded();
        }
        assert_eq!(limit.places(), FIRST);
        drop(limit.permit().await);
        assert_eq!(limit.places.available_permits(), FIRST);
    }

    #[test]
    fn few_are_remembered() {
        let limits = Limits::new(4);
        let held = limits.of("held");
        for n in 0..3 * MOST {
            drop(limits.of(&n.to_string()));
        }
        assert!(limits.known.lock().unwrap().len() <= MOST);
        assert!(Arc::ptr_eq(&held, &limits.of("held")));
    }
}
