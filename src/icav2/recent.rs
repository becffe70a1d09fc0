//! What was learnt lately: a bounded map whose entries end by themselves.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Keys are the callers' words, so what is kept of them is bounded.
const MOST: usize = 1024;

/// Values by key, each believed for a while.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    keep: Duration,
    known: Mutex<HashMap<K, (V, Instant)>>,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// A map whose entries are believed for `keep`.
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, known: Mutex::default() }
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let known = self.known();
        let (value, learnt) = known.get(key)?;
        (learnt.elapsed() < self.keep).then(|| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.retain(|_, (_, learnt)| learnt.elapsed() < self.keep);
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, (value, Instant::now()));
    }

    /// Forgets what does not hold.
    pub(super) fn retain(&self, holds: impl Fn(&V) -> bool) {
        self.known().retain(|_, (value, _)| holds(value));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<K, (V, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn entries_end_and_are_bounded() {
        let recent = Recent::new(Duration::from_mins(5));
        recent.put(0, "old");
        tokio::time::advance(Duration::from_mins(5)).await;
        assert_eq!(recent.get(&0), None);
        for key in 0..=2 * MOST {
            recent.put(key, "new");
        }
        assert_eq!(recent.get(&(2 * MOST)), Some("new"));
        assert!(recent.known().len() <= MOST);
    }
}
