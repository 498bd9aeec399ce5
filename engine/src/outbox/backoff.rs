//! How long to wait before the next attempt: 1 s doubling to 5 min, less up to half of it by chance, so that appliances which lost
//! the same receiver do not come back all at once.

use crate::entropy::Entropy;
use std::time::Duration;

/// Before the second attempt.
const FIRST: Duration = Duration::from_secs(1);
/// At the most.
pub(super) const LONGEST: Duration = Duration::from_mins(5);

/// The wait after so many failures in a row, at least one.
pub(super) fn wait(failures: u32, entropy: &dyn Entropy) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let mut random = [0; 4];
    entropy.fill(&mut random);
    let share = f64::from(u32::from_le_bytes(random)) / (f64::from(u32::MAX) + 1.0);
    whole.mul_f64(share.mul_add(-0.5, 1.0))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, wait};
    use crate::entropy::SeededEntropy;
    use std::time::Duration;

    #[test]
    fn waits_double_to_five_minutes_and_differ_by_up_to_half() {
        let entropy = SeededEntropy::new(1);
        let mut seen = Vec::new();
        for (failures, whole_s) in [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (4_000_000_000, 300)] {
            let whole = Duration::from_secs(whole_s);
            for _ in 0..200 {
                let wait = wait(failures, &entropy);
                assert!(wait + Duration::from_millis(1) > whole / 2 && wait <= whole, "{failures}: {wait:?}");
                seen.push(wait);
            }
        }
        assert!(seen.iter().max().unwrap() <= &LONGEST);
        let of_first = &seen[..200];
        assert!(of_first.iter().max().unwrap() > &Duration::from_millis(950));
        assert!(of_first.iter().min().unwrap() < &Duration::from_millis(550));
    }
}
