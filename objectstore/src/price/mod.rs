//! What storage classes cost: a table of prices by class, and the arithmetic of AWS's bill over it. Pure: no rows, no clock.
//!
//! ```text
//!   Prices ─ of(class) ─► ClassPrice: rates, least size and time, what is billed beside each object
//!      ├─ month(class, bytes)                    ─► what an object costs a month
//!      ├─ moved, removed (class, bytes, days)    ─► what a rule's deed costs once, and a month before and after it
//!      └─ retrieval(class, tier, bytes, requests) ─► what it costs to have it back
//! ```
//!
//! # Invariants
//! - Amounts are exact ([`Money`]): what is asked for one by one and added up is what is asked for together.
//! - A price changes nothing that is stored, and when. It is not what an appliance costs either: it is what AWS would bill, or what whoever
//!   runs the appliance says that it costs.
//!
//! # Limits
//! Rates fall with no amount; there are no traffic, no taxes and no discounts.

mod defaults;
mod money;
#[cfg(test)]
mod tests;

pub use money::{Money, NoRate, Rate};

use crate::{RestoreTier, StorageClass};
use std::ops::AddAssign;

/// From this size on objects of `INTELLIGENT_TIERING` are watched.
const WATCHED_BYTES: u64 = 128 << 10;

/// What it costs to have back what a tier reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierPrice {
    /// A GB.
    pub gb: Rate,
    /// 1,000 requests.
    pub requests: Rate,
}

/// What it costs to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retrieval {
    /// It is read at once: so much a GB, beside the request.
    AtOnce(Rate),
    /// It is restored first, by tier.
    Restored {
        /// In minutes; `None` where there is no such tier.
        expedited: Option<TierPrice>,
        /// In hours.
        standard: TierPrice,
        /// In more of them.
        bulk: TierPrice,
    },
}

/// What a class costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassPrice {
    /// A GB for a month.
    pub gb_month: Rate,
    /// 1,000 requests of PUT, COPY, POST or LIST.
    pub puts: Rate,
    /// 1,000 requests of GET and all others.
    pub gets: Rate,
    /// 1,000 objects that a rule moves into the class.
    pub transitions: Rate,
    /// 1,000 objects for a month whose access is watched.
    pub watched: Rate,
    /// Reading.
    pub retrieval: Retrieval,
    /// Days that are charged at the least.
    pub minimum_days: u32,
    /// Bytes that are billed at the least.
    pub minimum_bytes: u64,
    /// Bytes that are billed beside each object, as those of the class.
    pub overhead_bytes: u64,
    /// The same, as those of STANDARD.
    pub overhead_standard_bytes: u64,
}

/// Bytes as they are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billed {
    /// At the class's price.
    pub bytes: u64,
    /// At STANDARD's.
    pub standard_bytes: u64,
}

/// What a rule's deed costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeedCost {
    /// Once: requests that move.
    pub transition_requests: Money,
    /// Once: days that were not kept and are charged all the same.
    pub early_deletion: Money,
    /// A month before it.
    pub monthly_before: Money,
    /// And after it.
    pub monthly_after: Money,
}

impl DeedCost {
    /// What is saved each month from then on; below zero: it costs more.
    #[must_use]
    pub fn monthly_saving(&self) -> Money {
        self.monthly_before - self.monthly_after
    }

    /// What is charged once.
    #[must_use]
    pub fn once(&self) -> Money {
        self.transition_requests + self.early_deletion
    }
}

impl AddAssign for DeedCost {
    fn add_assign(&mut self, other: Self) {
        self.transition_requests += other.transition_requests;
        self.early_deletion += other.early_deletion;
        self.monthly_before += other.monthly_before;
        self.monthly_after += other.monthly_after;
    }
}

/// What classes cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// What amounts are called: `USD`.
    pub currency: String,
    classes: [ClassPrice; StorageClass::ALL.len()],
}

impl Default for Prices {
    fn default() -> Self {
        Self { currency: "USD".to_owned(), classes: StorageClass::ALL.map(defaults::of) }
    }
}

impl Prices {
    /// What a class costs.
    pub const fn of(&self, class: StorageClass) -> &ClassPrice {
        &self.classes[class as usize]
    }

    /// The same, to be changed.
    pub const fn of_mut(&mut self, class: StorageClass) -> &mut ClassPrice {
        &mut self.classes[class as usize]
    }

    /// Bytes of an object as they are billed.
    pub fn billed(&self, class: StorageClass, bytes: u64) -> Billed {
        let price = self.of(class);
        Billed {
            bytes: bytes.max(price.minimum_bytes).saturating_add(price.overhead_bytes),
            standard_bytes: price.overhead_standard_bytes,
        }
    }

    /// So many bytes of a class for a month, as they are: of what is no object yet, or no more than a copy.
    pub fn bytes_month(&self, class: StorageClass, bytes: u64) -> Money {
        Money::stored(self.of(class).gb_month, bytes)
    }

    /// An object for a month.
    pub fn month(&self, class: StorageClass, bytes: u64) -> Money {
        let (price, billed) = (self.of(class), self.billed(class, bytes));
        self.bytes_month(class, billed.bytes)
            + self.bytes_month(StorageClass::Standard, billed.standard_bytes)
            + Money::thousandths(price.watched, u64::from(bytes >= WATCHED_BYTES))
    }

    /// What is charged when an object leaves its class that was there for so many whole days.
    pub fn early_deletion(&self, class: StorageClass, bytes: u64, days: u32) -> Money {
        let price = self.of(class);
        let left = price.minimum_days.saturating_sub(days);
        Money::stored_days(price.gb_month, self.billed(class, bytes).bytes, left)
    }

    /// Requests that write into a class.
    pub fn puts(&self, class: StorageClass, requests: u64) -> Money {
        Money::thousandths(self.of(class).puts, requests)
    }

    /// Requests that read from it.
    pub fn gets(&self, class: StorageClass, requests: u64) -> Money {
        Money::thousandths(self.of(class).gets, requests)
    }

    /// Objects that a rule moves into it.
    pub fn transitions(&self, class: StorageClass, objects: u64) -> Money {
        Money::thousandths(self.of(class).transitions, objects)
    }

    /// Having so many bytes back by so many requests. Where nothing is to be restored, the tier says nothing and requests are GETs; `None`: the class
    /// has no such tier.
    pub fn retrieval(
        &self,
        class: StorageClass,
        tier: RestoreTier,
        bytes: u64,
        requests: u64,
    ) -> Option<Money> {
        let price = self.of(class);
        let tier = match (price.retrieval, tier) {
            (Retrieval::AtOnce(gb), _) => TierPrice { gb, requests: price.gets },
            (Retrieval::Restored { expedited, .. }, RestoreTier::Expedited) => expedited?,
            (Retrieval::Restored { standard, .. }, RestoreTier::Standard) => standard,
            (Retrieval::Restored { bulk, .. }, RestoreTier::Bulk) => bulk,
        };
        Some(Money::stored(tier.gb, bytes) + Money::thousandths(tier.requests, requests))
    }

    /// A rule moves an object that was in its class for so many whole days.
    pub fn moved(&self, from: StorageClass, to: StorageClass, bytes: u64, days: u32) -> DeedCost {
        DeedCost {
            transition_requests: self.transitions(to, 1),
            early_deletion: self.early_deletion(from, bytes, days),
            monthly_before: self.month(from, bytes),
            monthly_after: self.month(to, bytes),
        }
    }

    /// It is gone.
    pub fn removed(&self, class: StorageClass, bytes: u64, days: u32) -> DeedCost {
        DeedCost {
            early_deletion: self.early_deletion(class, bytes, days),
            monthly_before: self.month(class, bytes),
            ..DeedCost::default()
        }
    }

    /// It stays, and is only hidden.
    pub fn hidden(&self, class: StorageClass, bytes: u64) -> DeedCost {
        let monthly = self.month(class, bytes);
        DeedCost { monthly_before: monthly, monthly_after: monthly, ..DeedCost::default() }
    }
}
