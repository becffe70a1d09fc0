//! The least that a makespan can be for anybody who does not know beforehand which job fails.
//!
//! Each folder is one job. It is made again, whole and at once, until it succeeds, and only so many run at a
//! time. Attempts are drawn; folders take the slots in their order.

const DRAWS: u32 = 10_000;
const SEED: u64 = 13;

/// The mean time until all folders have succeeded, seconds.
pub(crate) fn makespan(folders: usize, slots: usize, job: f64, failing: f64) -> f64 {
    let mut dice = Dice(SEED);
    let draws = if failing > 0.0 { DRAWS } else { 1 };
    let mut sum = 0.0;
    for _ in 0..draws {
        let mut free = vec![0.0_f64; slots.min(folders).max(1)];
        for _ in 0..folders {
            // The slot that is free first.
            let next = free.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
            *next += job;
            while dice.roll() < failing {
                *next += job;
            }
        }
        sum += free.into_iter().fold(0.0, f64::max);
    }
    sum / f64::from(draws)
}

/// `SplitMix64`.
struct Dice(u64);

impl Dice {
    /// From 0 to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        f64::from(u32::try_from(mixed >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}
