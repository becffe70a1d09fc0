//! Places of one process: for commands that work without a daemon.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Place, Places, Rates, at};
use crate::{
    dap::settings::Endpoint,
    ports::{Result, clock::Clock},
};

/// What is known of an endpoint, in milliseconds since 1970.
#[derive(Debug, Default)]
struct Known {
    taken: VecDeque<i64>,
    slow_until: i64,
}

/// Places in this process alone.
#[derive(Debug)]
pub struct Here {
    clock: Arc<dyn Clock>,
    rates: Rates,
    known: Mutex<BTreeMap<Endpoint, Known>>,
}

impl Here {
    /// As many as that.
    pub fn new(clock: Arc<dyn Clock>, rates: Rates) -> Self {
        Self { clock, rates, known: Mutex::default() }
    }
}

#[async_trait]
impl Places for Here {
    async fn take(&self, endpoint: Endpoint) -> Result<Place> {
        let now = self.clock.now().as_millisecond();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(endpoint).or_default();
        if known.slow_until > now {
            return Ok(Place::NoneBefore(at(known.slow_until)));
        }
        let limit = self.rates.limits.of(endpoint) as usize;
        if limit == 0 {
            return Ok(Place::Taken);
        }
        let held = self.rates.held();
        while known.taken.front().is_some_and(|taken| taken + held <= now) {
            known.taken.pop_front();
        }
        if known.taken.len() >= limit {
            let first = known.taken.front().copied().unwrap_or(now);
            return Ok(Place::NoneBefore(at(first + held)));
        }
        known.taken.push_back(now);
        Ok(Place::Taken)
    }

    async fn slow(&self, endpoint: Endpoint, until: Timestamp) -> Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(endpoint).or_default();
        known.slow_until = known.slow_until.max(until.as_millisecond());
        Ok(())
    }
}
