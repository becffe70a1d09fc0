//! How long to wait before trying again: exponential, with full jitter.

use std::time::Duration;

use crate::ports::chance::Chance;

/// A wait drawn evenly from zero to `base · 2^tries`, at most `cap`, and never less than a tenth of
/// that: full jitter with a floor, so that no loop becomes a hot one.
pub(crate) fn jittered(base: Duration, cap: Duration, tries: u32, chance: &dyn Chance) -> Duration {
    let ceiling = base.saturating_mul(2_u32.saturating_pow(tries.min(20))).min(cap);
    ceiling.mul_f64(0.1 + 0.9 * chance.unit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::chance::Dice;

    #[test]
    fn waits_grow_and_stay_below_the_cap() {
        let dice = Dice::from_seed(1);
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(30));
        for tries in 0..40 {
            let wait = jittered(base, cap, tries, &dice);
            let ceiling = cap.min(base * 2_u32.pow(tries.min(10)));
            assert!(wait <= ceiling && wait >= ceiling.mul_f64(0.1), "{tries}: {wait:?}");
        }
    }
}
