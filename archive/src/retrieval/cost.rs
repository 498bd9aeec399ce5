//! What retrievals cost, by tier. Prices come from outside (configuration, the storage classes' table); nothing is priced here.

use super::Tier;
use engine::unit::ByteCount;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroDollars(u64);

impl MicroDollars {
    /// From a plain number.
    pub const fn new(micro_dollars: u64) -> Self {
        Self(micro_dollars)
    }

    /// As a plain number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Add for MicroDollars {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for MicroDollars {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for MicroDollars {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self(0), Add::add)
    }
}

/// `$1.234567`
impl fmt::Display for MicroDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("${}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000))
    }
}

/// The price of a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// For 1,000 requests.
    pub per_1000_requests: MicroDollars,
    /// For a GiB.
    pub per_gib: MicroDollars,
}

/// The prices of all tiers, and of a unit of provisioned capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// Of expedited retrievals.
    pub expedited: Price,
    /// Of standard ones.
    pub standard: Price,
    /// Of bulk ones.
    pub bulk: Price,
    /// Of a unit for a month.
    pub provisioned_unit: MicroDollars,
}

impl Prices {
    /// Of a tier.
    pub const fn of(&self, tier: Tier) -> Price {
        match tier {
            Tier::Expedited => self.expedited,
            Tier::Standard => self.standard,
            Tier::Bulk => self.bulk,
        }
    }

    /// What so many requests for so many bytes cost, rounded up to the next millionth of a dollar.
    pub fn cost(&self, tier: Tier, requests: u64, bytes: ByteCount) -> MicroDollars {
        let price = self.of(tier);
        let of_requests = u128::from(price.per_1000_requests.0) * u128::from(requests);
        let of_bytes = u128::from(price.per_gib.0) * u128::from(bytes.get());
        // Over one denominator, so that rounding happens once.
        let total = ((of_requests << 30) + of_bytes * 1000).div_ceil(1000 << 30);
        MicroDollars(u64::try_from(total).unwrap_or(u64::MAX))
    }
}

/// What a tier came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierTotal {
    /// Jobs that were charged.
    pub jobs: u64,
    /// Their bytes.
    pub bytes: ByteCount,
    /// Their price.
    pub cost: MicroDollars,
}

/// Totals by tier: for `firn cost`, and the counters of a vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger([TierTotal; 3]);

impl Ledger {
    /// One job more, priced now. A job that is upgraded is charged what both tiers cost, as AWS does.
    pub fn charge(&mut self, prices: &Prices, tier: Tier, bytes: ByteCount) -> MicroDollars {
        let cost = prices.cost(tier, 1, bytes);
        let total = &mut self.0[tier as usize];
        total.jobs = total.jobs.saturating_add(1);
        total.bytes = ByteCount::new(total.bytes.get().saturating_add(bytes.get()));
        total.cost += cost;
        cost
    }

    /// Of a tier.
    pub const fn of(&self, tier: Tier) -> TierTotal {
        self.0[tier as usize]
    }

    /// Of all tiers.
    pub fn total(&self) -> MicroDollars {
        self.0.iter().map(|total| total.cost).sum()
    }
}
