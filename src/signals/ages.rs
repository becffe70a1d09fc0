//! Ages and spans that no single event tells: the largest of what was seen lately.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use metrics::gauge;

/// Metrics: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    (OLDEST, "Age of the oldest request that this instance has looked at within ten minutes, in seconds"),
    (
        IDLE,
        "Longest time without progress of a request that this instance has looked at within ten minutes, in seconds",
    ),
    (TOKEN, "Seconds until the ICAv2 token at hand ends"),
];

const OLDEST: &str = "copy_manager_request_oldest_seconds";
const IDLE: &str = "copy_manager_request_idle_seconds";
const TOKEN: &str = "copy_manager_icav2_token_valid_seconds";

/// Refreshes of the gauges, one every five seconds, in a window.
const REFRESHES_IN_WINDOW: u64 = 60;

/// The largest of what was seen in this window and the one before.
struct Lately(Mutex<(f64, f64)>);

impl Lately {
    const fn new() -> Self {
        Self(Mutex::new((0.0, 0.0)))
    }

    fn see(&self, value: f64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0 = seen.0.max(value);
    }

    /// The largest; with `turns`, a new window begins.
    fn largest(&self, turns: bool) -> f64 {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = seen.0.max(seen.1);
        if turns {
            *seen = (0.0, seen.0);
        }
        largest
    }
}

static AGE: Lately = Lately::new();
static STILL: Lately = Lately::new();
/// When the token at hand ends, in seconds since 1970; 0: not known.
static TOKEN_ENDS: AtomicI64 = AtomicI64::new(0);

/// A request that goes on was looked at: how old it is, and how long ago it last moved, in milliseconds.
pub fn request_seen(age: i64, idle: i64) {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of years fit")]
    let seconds = |millis: i64| millis.max(0) as f64 / 1e3;
    AGE.see(seconds(age));
    STILL.see(seconds(idle));
}

/// The token at hand ends then, in seconds since 1970.
pub fn token_ends(at: Option<i64>) {
    TOKEN_ENDS.store(at.unwrap_or(0), Ordering::Relaxed);
}

/// Seconds until the token at hand ends, where that is known; `now` in seconds since 1970.
#[must_use]
pub fn token_left(now: i64) -> Option<i64> {
    let ends = TOKEN_ENDS.load(Ordering::Relaxed);
    (ends != 0).then_some(ends - now)
}

/// Writes the gauges; to be called every few seconds, with the time in seconds since 1970.
pub fn refresh(now: i64, calls: u64) {
    let turns = calls.is_multiple_of(REFRESHES_IN_WINDOW);
    gauge!(OLDEST).set(AGE.largest(turns));
    gauge!(IDLE).set(STILL.largest(turns));
    let ends = TOKEN_ENDS.load(Ordering::Relaxed);
    if ends != 0 {
        #[expect(clippy::cast_precision_loss, reason = "seconds fit")]
        gauge!(TOKEN).set((ends - now).max(0) as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_kept_for_two_windows() {
        let lately = Lately::new();
        lately.see(7.0);
        lately.see(3.0);
        assert!((lately.largest(true) - 7.0).abs() < f64::EPSILON);
        lately.see(2.0);
        assert!((lately.largest(true) - 7.0).abs() < f64::EPSILON);
        assert!((lately.largest(false) - 2.0).abs() < f64::EPSILON);
    }
}
