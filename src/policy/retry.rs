//! How often we try, by intent.
//!
//! A retry here is short: it smooths over a hiccup within seconds. What asks for longer patience is
//! handed back, with the time the other side asked for, to the caller, which can wait.

use std::{future::Future, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder, Retryable as _};
use tokio::time::Instant;

use crate::ports::{Class, Error, Result, chance::Chance};

/// How often one call is tried, and how long that may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    tries: usize,
    base: Duration,
    cap: Duration,
    total: Duration,
}

impl Retry {
    /// For reads, and for effects that the other side recognises when they are asked for again: three
    /// tries within ten seconds.
    #[must_use]
    pub const fn read() -> Self {
        Self {
            tries: 3,
            base: Duration::from_millis(200),
            cap: Duration::from_secs(2),
            total: Duration::from_secs(10),
        }
    }

    /// For effects that would happen twice: one try.
    #[must_use]
    pub const fn never() -> Self {
        Self { tries: 1, base: Duration::ZERO, cap: Duration::ZERO, total: Duration::ZERO }
    }

    /// Calls until it works, the error will not pass, or tries or time are used up; then the last
    /// error. Waits are exponential with full jitter, and never shorter than the other side asks for.
    pub async fn run<T, F, Fut>(&self, chance: &dyn Chance, call: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let end = Instant::now() + self.total;
        let waits = ExponentialBuilder::new()
            .with_min_delay(self.base)
            .with_max_delay(self.cap)
            .with_max_times(self.tries.saturating_sub(1))
            .build()
            .map(|wait| wait.mul_f64(chance.unit()));
        call.retry(waits)
            .when(is_worth_another_try)
            .adjust(|error, wait| {
                let wait = wait?.max(error.retry_after.unwrap_or_default());
                (Instant::now() + wait <= end).then_some(wait)
            })
            .await
    }
}

/// `Unauthorized` passes too, but not by asking again with the same token, and reloading it is done
/// where the token is held.
fn is_worth_another_try(error: &Error) -> bool {
    error.is_passing() && error.class != Class::Unauthorized
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::ports::chance::Dice;

    struct Tried {
        times: usize,
        took: Duration,
        error: Error,
    }

    async fn fail(retry: Retry, seed: u64, error: impl Fn() -> Error) -> Tried {
        let times = Cell::new(0);
        let started = Instant::now();
        let result: Result<()> = retry
            .run(&Dice::from_seed(seed), || {
                times.set(times.get() + 1);
                let error = error();
                async { Err(error) }
            })
            .await;
        Tried { times: times.get(), took: started.elapsed(), error: result.unwrap_err() }
    }

    fn passing(retry_after: Option<u64>) -> Error {
        let mut error = Error::new(Class::Throttled, "GET /x", "slow down");
        error.retry_after = retry_after.map(Duration::from_secs);
        error
    }

    #[tokio::test(start_paused = true)]
    async fn passing_errors_are_tried_three_times_within_the_jitter() {
        for seed in 0..20 {
            let tried = fail(Retry::read(), seed, || passing(None)).await;
            assert_eq!(tried.times, 3);
            assert!(tried.took <= Duration::from_millis(602), "{:?}", tried.took);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_waits_the_same() {
        let one = fail(Retry::read(), 7, || passing(None)).await;
        let two = fail(Retry::read(), 7, || passing(None)).await;
        assert_eq!(one.took, two.took);
    }

    #[tokio::test(start_paused = true)]
    async fn lasting_errors_and_stale_tokens_are_not_tried_again() {
        for class in [Class::Invalid, Class::NotFound, Class::Forbidden, Class::Conflict, Class::Unauthorized]
        {
            let tried = fail(Retry::read(), 1, || Error::new(class, "GET /x", "no")).await;
            assert_eq!((tried.times, tried.error.class), (1, class));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_is_kept_when_there_is_time_for_it() {
        let tried = fail(Retry::read(), 1, || passing(Some(4))).await;
        assert_eq!((tried.times, tried.took.as_secs()), (3, 8));
        let tried = fail(Retry::read(), 1, || passing(Some(60))).await;
        assert_eq!((tried.times, tried.took), (1, Duration::ZERO));
        assert_eq!(tried.error.retry_after, Some(Duration::from_mins(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn effects_that_would_happen_twice_are_tried_once() {
        assert_eq!(fail(Retry::never(), 1, || passing(None)).await.times, 1);
    }
}
