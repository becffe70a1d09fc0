//! Wall time. Durations come from `tokio::time::Instant`, which tests can pause.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The wall clock.
///
/// *Guarantees*: what it says never goes back within a process, and goes on while time passes; it may be
/// ahead of the machine's clock after that was set back. Timers, leases and heartbeats are computed from it.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Holds a machine's clock to the promise of [`Clock`].
#[derive(Debug, Default)]
pub struct Steady(Mutex<Option<Forward>>);

impl Steady {
    /// What is said when the machine says `wall`.
    pub fn now(&self, wall: Timestamp) -> Timestamp {
        let mut forward = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        let next = forward.map_or(Forward { said: wall, at }, |last| last.next(wall, at));
        *forward = Some(next);
        next.said
    }
}

/// The machine's clock, held to the promise of [`Clock`].
#[derive(Debug, Default)]
pub struct SystemClock(Steady);

impl SystemClock {
    /// A clock that has said nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the port")]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.0.now(Timestamp::now())
    }
}

/// What the clock said last, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Forward {
    said: Timestamp,
    at: Instant,
}

impl Forward {
    /// What it says now: the machine's time, or, while that lies behind what was said already, a little
    /// less than the time that has passed, until the machine has caught up. A clock that stood still
    /// instead would stop every heartbeat for as long as the machine was set back.
    fn next(self, wall: Timestamp, at: Instant) -> Self {
        // Nine tenths: heartbeats that are due after three minutes are still sent within five.
        let passed = at.saturating_duration_since(self.at) / 10 * 9;
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::ZERO);
        let slow = self.said.checked_add(passed).unwrap_or(self.said);
        // A machine that is only a little behind its own last word is not believed to have been set back.
        if wall > self.said { Self { said: wall, at } } else { Self { said: slow, at } }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn second(at: i64) -> Timestamp {
        Timestamp::constant(at, 0)
    }

    #[test]
    fn it_follows_the_machine_forward_and_never_back() {
        let start = Instant::now();
        let mut clock = Forward { said: second(10_000), at: start };
        clock = clock.next(second(10_005), start + Duration::from_secs(5));
        assert_eq!(clock.said, second(10_005));
        // Set back by an hour: time goes on all the same, a little slower.
        for n in 1..=100 {
            let later = start + Duration::from_secs(5 + n * 60);
            clock = clock.next(second(10_005 - 3600 + i64::try_from(n).unwrap() * 60), later);
            assert_eq!(clock.said, second(10_005 + i64::try_from(n).unwrap() * 54));
        }
        // Set right again.
        clock = clock.next(second(50_000), start + Duration::from_hours(3));
        assert_eq!(clock.said, second(50_000));
    }

    #[test]
    fn it_catches_up_with_a_machine_that_was_set_back() {
        let start = Instant::now();
        let mut clock = Forward { said: second(1_000), at: start };
        for n in 0..=3_000_u32 {
            let wall = second(1_000 - 100 + i64::from(n));
            clock = clock.next(wall, start + Duration::from_secs(n.into()));
        }
        assert_eq!(clock.said, second(1_000 - 100 + 3_000), "the same as the machine again");
    }
}
