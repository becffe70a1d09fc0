//! How fast we call a service that limits us.
//!
//! A rate limiter on tokio's clock (governor's own waiting sleeps on a thread's timer, which a paused
//! test cannot shorten), with additive increase and multiplicative decrease: being throttled lowers
//! the rate and holds every caller back for as long as the other side asks; success raises the rate
//! again. The rate that was too much is remembered: what is well below it comes back quickly, what is
//! near it slowly, and where the other side does not complain above it, it is forgotten.

use std::{
    num::NonZeroU32,
    ops::Add,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::{Instant, sleep};

/// The rate never falls below this share of the full one.
const FLOOR: f64 = 1.0 / 32.0;
/// How much of the full rate one step up gives back where no limit is known to be near.
const STEP: f64 = 1.0 / 20.0;
/// Below this share of the rate that was too much, a step gives back a third of what is missing.
const SAFE: f64 = 0.9;
/// Above that, and up to [`BEYOND`] it, a step adds this share of it.
const CAREFUL: f64 = 0.02;
/// Where the other side does not complain at this many times the rate that was too much, the limit has moved.
const BEYOND: f64 = 1.25;
/// What is left of the rate when the limit is found where it was before.
const NEAR_CUT: f64 = 0.8;
/// What is left of it when the limit is somewhere else.
const CUT: f64 = 0.5;
/// Answers to calls made together come back together: within this time they count as one.
const SETTLE: Duration = Duration::from_secs(1);
/// How long everybody waits when the other side does not say.
const DEFAULT_HOLD: Duration = Duration::from_secs(1);
/// The longest a caller waits because the other side asked for it.
const LONGEST_HOLD: Duration = Duration::from_secs(30);

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Tick>>;

/// A rate that is kept, lowered when the other side complains, and raised again when it does not.
#[derive(Debug)]
pub struct Pace {
    clock: TokioClock,
    full: f64,
    burst: NonZeroU32,
    /// First come, first served: only the caller at the front waits for the limiter.
    turn: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limiter: Limiter,
    /// Share of the full rate, in `FLOOR..=1`.
    share: f64,
    /// How many share the full rate.
    among: f64,
    /// The share at which the other side complained last.
    ceiling: Option<f64>,
    cut: Instant,
    changed: Instant,
    held_until: Instant,
}

impl Pace {
    /// At most `rate` permits a second, of which `burst` may be taken at once.
    #[must_use]
    pub fn per_second(rate: NonZeroU32, burst: NonZeroU32) -> Self {
        let clock = TokioClock::default();
        let full = f64::from(rate.get());
        let now = Instant::now();
        let limiter = limiter(full, burst, &clock);
        let state =
            State { limiter, share: 1.0, among: 1.0, ceiling: None, cut: now, changed: now, held_until: now };
        Self {
            clock,
            full,
            burst,
            turn: tokio::sync::Mutex::new(()),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(state),
        }
    }

    /// Waits for a permit.
    pub async fn ready(&self) {
        let _waits = Waits::new(&self.waiting);
        let _turn = self.turn.lock().await;
        while let Some(wait) = self.wait() {
            sleep(wait).await;
        }
    }

    /// Waits for a permit before all who stand in line, for a call that tells many of them how to go on.
    pub async fn ready_first(&self) {
        let _waits = Waits::new(&self.waiting);
        while let Some(wait) = self.wait() {
            sleep(wait).await;
        }
    }

    /// How many wait for a permit, and how many permits there are a second at present.
    #[must_use]
    pub fn queue(&self) -> (usize, f64) {
        let state = self.state();
        (self.waiting.load(Ordering::Relaxed), self.rate(&state))
    }

    /// The other side complained: a lower rate, and no call is let through before `retry_after` has passed.
    /// Returns the permits per second that are left.
    pub fn throttled(&self, retry_after: Option<Duration>) -> f64 {
        let now = Instant::now();
        let hold = retry_after.map_or(DEFAULT_HOLD, |asked| asked.min(LONGEST_HOLD));
        let mut state = self.state();
        state.held_until = state.held_until.max(now + hold);
        if state.share >= 1.0 || state.cut + SETTLE <= now {
            state.cut = now;
            let found = state.share;
            let near = |known: f64| (known / BEYOND..=known * BEYOND).contains(&found);
            let cut = if state.ceiling.is_some_and(near) { NEAR_CUT } else { CUT };
            state.ceiling = Some(found);
            self.change(&mut state, now, cut * found);
        }
        self.rate(&state)
    }

    /// So many instances keep the full rate together.
    pub fn share(&self, among: NonZeroU32) {
        let mut state = self.state();
        state.among = f64::from(among.get());
        self.renew(&mut state);
    }

    /// The other side is content.
    pub fn succeeded(&self) {
        let now = Instant::now();
        let mut state = self.state();
        // What went out before the hold, or was saved up in it, says nothing of the rate.
        let settled = state.changed.max(state.held_until) + SETTLE <= now;
        if state.share < 1.0 && settled {
            let share = state.share + step(state.share, state.ceiling);
            self.change(&mut state, now, share);
        }
    }

    fn change(&self, state: &mut State, now: Instant, share: f64) {
        state.share = share.clamp(FLOOR, 1.0);
        state.changed = now;
        self.renew(state);
    }

    fn rate(&self, state: &State) -> f64 {
        self.full / state.among * state.share
    }

    fn renew(&self, state: &mut State) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a u32")]
        let part = (f64::from(self.burst.get()) / state.among) as u32;
        let part = if state.share < 1.0 { None } else { NonZeroU32::new(part) };
        let burst = part.unwrap_or(NonZeroU32::MIN);
        state.limiter = limiter(self.rate(state), burst, &self.clock);
    }

    /// How long to wait before asking again; `None` when a permit was taken.
    fn wait(&self) -> Option<Duration> {
        let state = self.state();
        let held = state.held_until.saturating_duration_since(Instant::now());
        if !held.is_zero() {
            return Some(held);
        }
        state.limiter.check().err().map(|not_yet| not_yet.wait_time_from(self.clock.now()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a caller that waits, for as long as it does.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How much is added to a share after a while without complaint.
fn step(share: f64, ceiling: Option<f64>) -> f64 {
    match ceiling {
        Some(ceiling) if share < ceiling * BEYOND => {
            let missing = (SAFE * ceiling - share).max(0.0);
            (missing / 3.0).max(CAREFUL * ceiling)
        }
        Some(_) | None => STEP,
    }
}

fn limiter(per_second: f64, burst: NonZeroU32, clock: &TokioClock) -> Limiter {
    let period = Duration::from_secs_f64(per_second.recip()).max(Duration::from_nanos(1));
    let quota = Quota::with_period(period).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN));
    RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone())
}

/// Nanoseconds since the clock was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u64);

impl Add<Nanos> for Tick {
    type Output = Self;

    fn add(self, more: Nanos) -> Self {
        Self(self.0.saturating_add(more.as_u64()))
    }
}

impl Reference for Tick {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.as_u64()))
    }
}

/// Governor's clock, over tokio's.
#[derive(Debug, Clone)]
struct TokioClock(Instant);

impl Default for TokioClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    type Instant = Tick;

    fn now(&self) -> Tick {
        Tick(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: u32, burst: u32) -> Pace {
        Pace::per_second(NonZeroU32::new(rate).unwrap(), NonZeroU32::new(burst).unwrap())
    }

    async fn take(pace: &Pace, permits: usize) -> Duration {
        let started = Instant::now();
        for _ in 0..permits {
            pace.ready().await;
        }
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn permits_come_at_the_rate() {
        assert_eq!(take(&pace(10, 1), 601).await, Duration::from_mins(1));
        assert_eq!(take(&pace(10, 5), 605).await, Duration::from_mins(1));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_together_share_the_rate() {
        let pace = pace(10, 1);
        let started = Instant::now();
        futures_util::future::join_all((0..101).map(|_| pace.ready())).await;
        assert_eq!(started.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_counted_until_they_do_not() {
        let pace = pace(10, 1);
        let mut calls: Vec<_> = (0..5).map(|_| Box::pin(pace.ready())).collect();
        for call in &mut calls {
            assert!(futures_util::poll!(call).is_ready() == (pace.queue().0 == 0));
        }
        assert_eq!(pace.queue(), (4, 10.0));
        calls.truncate(3);
        assert_eq!(pace.queue().0, 2);
        pace.throttled(None);
        assert_eq!(pace.queue(), (2, 5.0));
        drop(calls);
        assert_eq!(pace.queue().0, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn being_throttled_holds_everybody_and_halves_the_rate() {
        let pace = pace(10, 1);
        pace.ready().await;
        assert!((pace.throttled(Some(Duration::from_secs(3))) - 5.0).abs() < 1e-9);
        assert!((pace.throttled(None) - 5.0).abs() < 1e-9, "the same burst of calls counts once");
        assert_eq!(take(&pace, 1).await, Duration::from_secs(3));
        assert_eq!(take(&pace, 10).await, Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_hold_is_cut() {
        let pace = pace(10, 1);
        pace.throttled(Some(Duration::from_hours(24)));
        assert_eq!(take(&pace, 1).await, LONGEST_HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn success_raises_the_rate_to_the_full_one_and_no_further() {
        let pace = pace(100, 1);
        pace.throttled(None);
        for _ in 0..2000 {
            pace.ready().await;
            pace.succeeded();
        }
        assert_eq!(take(&pace, 101).await.as_millis(), 1010);
    }

    /// Calls for a while against a limit of `limit` a second, with as many saved up; how many were
    /// made, and how many refused.
    async fn call_against(pace: &Pace, limit: f64, seconds: u64) -> (f64, f64) {
        let (mut tokens, mut last) = (limit, Instant::now());
        let (mut made, mut refused) = (0.0, 0.0);
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            pace.ready().await;
            let now = Instant::now();
            tokens = limit.min(tokens + limit * (now - last).as_secs_f64());
            last = now;
            made += 1.0;
            if tokens >= 1.0 {
                tokens -= 1.0;
                pace.succeeded();
            } else {
                refused += 1.0;
                pace.throttled(Some(Duration::from_secs(1)));
            }
        }
        (made, refused)
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_the_other_side_is_found_and_used() {
        for (full, limit) in [(200, 10.0), (20, 10.0), (100, 80.0)] {
            let pace = pace(full, full / 4);
            call_against(&pace, limit, 15).await;
            let (made, refused) = call_against(&pace, limit, 120).await;
            assert!(refused < 0.01 * made, "{refused} of {made} refused at {limit}/s");
            assert!(made - refused > 0.85 * limit * 120.0, "{made} calls at {limit}/s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_lifted_is_forgotten() {
        let pace = pace(200, 1);
        call_against(&pace, 10.0, 60).await;
        call_against(&pace, 1000.0, 60).await;
        assert!(take(&pace, 200).await <= Duration::from_millis(1100));
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_never_falls_to_nothing() {
        let pace = pace(32, 1);
        for _ in 0..50 {
            sleep(SETTLE).await;
            pace.throttled(None);
        }
        assert!((pace.throttled(None) - 1.0).abs() < 1e-9);
    }
}
