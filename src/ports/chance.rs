//! Jitter and fresh ids, from one place, so that a seed makes a history.

use std::sync::{Mutex, PoisonError};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use uuid::{Builder, Uuid};

/// Randomness.
pub trait Chance: Send + Sync + std::fmt::Debug {
    /// Any number.
    fn number(&self) -> u64;

    /// A number in `[0, 1)`.
    fn unit(&self) -> f64;

    /// A fresh version 4 UUID.
    fn uuid(&self) -> Uuid;
}

/// Randomness from a seed, or from the operating system.
#[derive(Debug)]
pub struct Dice(Mutex<StdRng>);

impl Dice {
    /// Unpredictable.
    #[must_use]
    pub fn from_os() -> Self {
        Self(Mutex::new(rand::make_rng()))
    }

    /// The same for the same seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Chance for Dice {
    fn number(&self) -> u64 {
        self.with(rand::Rng::next_u64)
    }

    fn unit(&self) -> f64 {
        self.with(rand::RngExt::random::<f64>)
    }

    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.with(|rng| rng.fill_bytes(&mut bytes));
        Builder::from_random_bytes(bytes).into_uuid()
    }
}
