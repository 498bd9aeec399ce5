//! Figures of a day.

use crate::world::{Day, Fate};
use archive::retrieval::Tier;
use std::fmt::Write;

/// An ETA's error, in thousandths of the time that the job took.
pub fn error_permille(fate: &Fate) -> u64 {
    let took = fate.done.since(fate.created).as_millis().max(1);
    let off = fate.done.as_millis().abs_diff(fate.quoted.as_millis());
    u64::try_from(u128::from(off) * 1000 / took).unwrap_or(u64::MAX)
}

/// The value below which so many percent of all are; 0 of none.
pub fn percentile(mut all: Vec<u64>, percent: usize) -> u64 {
    all.sort_unstable();
    let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
    all.get(at).copied().unwrap_or(0)
}

/// Errors of a tier, or of all.
pub fn errors(day: &Day, tier: Option<Tier>) -> Vec<u64> {
    let of_tier = day.fates.iter().filter(|fate| tier.is_none_or(|tier| fate.tier == tier));
    of_tier.map(error_permille).collect()
}

/// Jobs that were ready after their deadline.
pub fn late(day: &Day) -> usize {
    day.fates.iter().filter(|fate| fate.done > fate.deadline).count()
}

/// A line for each tier and one for all.
pub fn lines(day: &Day) -> String {
    let mut text = String::new();
    for tier in [Some(Tier::Expedited), Some(Tier::Standard), Some(Tier::Bulk), None] {
        let fates = day.fates.iter().filter(|fate| tier.is_none_or(|tier| fate.tier == tier));
        let took: Vec<u64> = fates.map(|fate| fate.done.since(fate.created).as_secs()).collect();
        let all = errors(day, tier);
        let name = tier.map_or("all", Tier::name);
        let [took_50, took_99] = [50, 100].map(|percent| percentile(took.clone(), percent));
        let [off_50, off_95] = [50, 95].map(|percent| percentile(all.clone(), percent));
        let _ = writeln!(
            text,
            "  {name:9} {:5} jobs, ready after {took_50} s (at most {took_99}), ETA error {}.{} % (p95 {}.{} %)",
            all.len(),
            off_50 / 10,
            off_50 % 10,
            off_95 / 10,
            off_95 % 10,
        );
    }
    text
}
