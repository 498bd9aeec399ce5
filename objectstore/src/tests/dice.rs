//! Seeded choices.

use engine::entropy::{Entropy, SeededEntropy};

pub(crate) struct Dice(SeededEntropy);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed ^ 0xD1CE))
    }

    /// Below `n`.
    pub(crate) fn below(&self, n: usize) -> usize {
        let mut raw = [0; 4];
        self.0.fill(&mut raw);
        u32::from_le_bytes(raw) as usize % n
    }

    pub(crate) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// The seeds of a random test: `FIRN_ROUNDS` of them (else CI's number) from `FIRN_SEED` on.
pub(crate) fn seeds(ci: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("FIRN_SEED").unwrap_or(0) % (1 << 62);
    first..first + number("FIRN_ROUNDS").unwrap_or(ci)
}
