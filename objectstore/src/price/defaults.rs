//! AWS's list prices, as of June 2026, of us-east-1 in USD: what counts where the configuration says nothing else. docs/adr/0037 says where they are from.
//!
//! Of prices that fall with the amount it is the first step's: STANDARD's of the first 50 TB.

use super::{ClassPrice, Rate, Retrieval, TierPrice};
use crate::StorageClass;

const KIB: u64 = 1 << 10;

/// Hundred-thousandths.
const fn rate(hundred_thousandths: u64) -> Rate {
    Rate::nanos(hundred_thousandths * 10_000)
}

/// What is read at once, without least size or time: a GB-month, 1,000 of PUT, GET and transitions into it, and a GB read.
const fn at_once(gb_month: u64, [puts, gets, transitions]: [u64; 3], read: u64) -> ClassPrice {
    ClassPrice {
        gb_month: rate(gb_month),
        puts: rate(puts),
        gets: rate(gets),
        transitions: rate(transitions),
        watched: Rate::FREE,
        retrieval: Retrieval::AtOnce(rate(read)),
        minimum_days: 0,
        minimum_bytes: 0,
        overhead_bytes: 0,
        overhead_standard_bytes: 0,
    }
}

/// The same with a least size and time.
const fn rarely(class: ClassPrice, minimum_days: u32) -> ClassPrice {
    ClassPrice { minimum_days, minimum_bytes: 128 * KIB, ..class }
}

const fn tier(gb: u64, requests: u64) -> TierPrice {
    TierPrice { gb: rate(gb), requests: rate(requests) }
}

/// What is to be restored: what AWS keeps beside each object is billed with it.
const fn archived(class: ClassPrice, minimum_days: u32, retrieval: Retrieval) -> ClassPrice {
    ClassPrice {
        retrieval,
        minimum_days,
        overhead_bytes: 32 * KIB,
        overhead_standard_bytes: 8 * KIB,
        ..class
    }
}

pub(super) const fn of(class: StorageClass) -> ClassPrice {
    match class {
        StorageClass::Standard => at_once(2_300, [500, 40, 0], 0),
        StorageClass::ReducedRedundancy => at_once(2_400, [500, 40, 0], 0),
        StorageClass::StandardIa => rarely(at_once(1_250, [1_000, 100, 1_000], 1_000), 30),
        StorageClass::OneZoneIa => rarely(at_once(1_000, [1_000, 100, 1_000], 1_000), 30),
        StorageClass::IntelligentTiering => {
            ClassPrice { watched: rate(250), ..at_once(2_300, [500, 40, 1_000], 0) }
        }
        StorageClass::GlacierIr => rarely(at_once(400, [2_000, 1_000, 2_000], 3_000), 90),
        StorageClass::Glacier => {
            let expedited = Some(tier(3_000, 1_000_000));
            let retrieval = Retrieval::Restored { expedited, standard: tier(1_000, 5_000), bulk: tier(0, 0) };
            archived(at_once(360, [3_000, 40, 3_000], 0), 90, retrieval)
        }
        StorageClass::DeepArchive => {
            let (standard, bulk) = (tier(2_000, 10_000), tier(250, 2_500));
            let retrieval = Retrieval::Restored { expedited: None, standard, bulk };
            archived(at_once(99, [5_000, 40, 5_000], 0), 180, retrieval)
        }
    }
}
