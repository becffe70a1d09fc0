//! Trouble that lasts: told when it begins, once a minute while it lasts, and when it is over. Everything in
//! between is only counted.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many failures in a row are no chance: the next success ends the trouble at once.
const IN_A_ROW: u64 = 5;
/// Between two lines about the same trouble.
const EVERY: Duration = Duration::from_mins(1);

/// What is worth telling of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// Since when it lasts.
    pub lasted: Duration,
    /// What has failed since.
    pub failures: u64,
}

#[derive(Clone, Copy)]
struct Begun {
    since: Instant,
    last: Instant,
    told: Instant,
    failures: u64,
    in_a_row: u64,
}

/// One kind of trouble, of one thing that is needed.
#[derive(Default)]
pub struct Outage(Mutex<Option<Begun>>);

impl fmt::Debug for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outage")
    }
}

impl Outage {
    fn state(&self) -> MutexGuard<'_, Option<Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has failed; what there is to tell, if it is time.
    pub fn fails(&self) -> Option<Trouble> {
        let now = Instant::now();
        let mut state = self.state();
        let Some(begun) = state.as_mut() else {
            *state = Some(Begun { since: now, last: now, told: now, failures: 1, in_a_row: 1 });
            return Some(Trouble { lasted: Duration::ZERO, failures: 1 });
        };
        begun.failures += 1;
        begun.in_a_row += 1;
        begun.last = now;
        if now.duration_since(begun.told) < EVERY {
            return None;
        }
        begun.told = now;
        Some(Trouble { lasted: now.duration_since(begun.since), failures: begun.failures })
    }

    /// It works; what there is to tell where it did not before, and had failed again and again, or has not failed
    /// for so long.
    pub fn works(&self, quiet: Duration) -> Option<Trouble> {
        let mut state = self.state();
        let now = Instant::now();
        let is_over = |begun: &mut Begun| {
            let was_out = std::mem::take(&mut begun.in_a_row) >= IN_A_ROW;
            was_out || now.duration_since(begun.last) >= quiet
        };
        let begun = state.take_if(is_over)?;
        Some(Trouble { lasted: now.duration_since(begun.since), failures: begun.failures })
    }

    /// Whether it lasts.
    pub fn lasts(&self) -> bool {
        self.state().is_some()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_when_it_begins_once_a_minute_and_when_it_is_over() {
        let outage = Outage::default();
        assert_eq!(outage.works(Duration::ZERO), None);
        let mut told = Vec::new();
        for _ in 0..130 {
            told.extend(outage.fails().map(|trouble| (trouble.lasted.as_secs(), trouble.failures)));
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(told, [(0, 1), (60, 61), (120, 121)]);
        assert!(outage.lasts());
        let over = outage.works(Duration::ZERO).unwrap();
        assert_eq!((over.lasted.as_secs(), over.failures), (130, 130));
        assert!(!outage.lasts() && outage.works(Duration::ZERO).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_and_goes_is_one_trouble_until_it_is_quiet() {
        let outage = Outage::default();
        let quiet = Duration::from_secs(30);
        for n in 0..4 {
            assert_eq!(outage.fails().is_some(), n == 0, "{n}");
            sleep(Duration::from_secs(10)).await;
            assert_eq!(outage.works(quiet), None);
        }
        sleep(quiet).await;
        assert_eq!(outage.works(quiet).map(|trouble| trouble.failures), Some(4));
    }
}
