//! Randomness from a seed: `splitmix64`.

/// A generator.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        u64::try_from((u128::from(self.bits()) * u128::from(end)) >> 64).unwrap_or(0)
    }

    /// A number between the two, each order of magnitude as likely as another.
    pub fn magnitude(&mut self, least: u64, most: u64) -> u64 {
        let mut top = least;
        let mut steps = 0;
        while top < most {
            top = top.saturating_mul(2);
            steps += 1;
        }
        let step = self.below(steps);
        let bottom = least << step;
        (bottom + self.below(bottom)).min(most)
    }

    /// A duration, up to a tenth more or less.
    pub fn about(&mut self, ms: u64) -> u64 {
        ms * 9 / 10 + self.below(ms / 5 + 1)
    }
}
