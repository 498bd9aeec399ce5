//! Shares of a history: where there is not room for all, who has most loses first.

use super::render::Caller;
use std::collections::HashMap;

/// What each may keep so that all of them fit: who has less keeps all.
pub(super) fn level(sizes: impl Iterator<Item = u64>, mut room: u64) -> u64 {
    let mut sizes: Vec<u64> = sizes.collect();
    sizes.sort_unstable();
    let mut left = sizes.len() as u64;
    for size in sizes {
        let share = room / left.max(1);
        if size > share {
            return share;
        }
        room -= size;
        left -= 1;
    }
    u64::MAX
}

/// What callers may keep: one that is known, and one that is not. Those who are not known have half, and what the others leave.
pub(super) fn levels(sums: &HashMap<Caller, u64>, room: u64) -> (u64, u64) {
    let of = |known: bool| {
        sums.iter().filter(move |(caller, _)| caller.is_known() == known).map(|(_, bytes)| *bytes)
    };
    let known: u64 = of(true).sum();
    let strangers: u64 = of(false).sum();
    let for_strangers = strangers.min((room / 2).max(room.saturating_sub(known)));
    (level(of(true), room - for_strangers), level(of(false), for_strangers))
}

#[cfg(test)]
mod tests {
    use super::{level, levels};
    use crate::audit::render::Caller;
    use std::collections::HashMap;

    #[test]
    fn who_has_most_loses_first_and_strangers_leave_half_to_who_is_known() {
        assert_eq!(level([1, 2, 3].into_iter(), 6), u64::MAX);
        assert_eq!(level([1, 2, 100].into_iter(), 23), 20);
        assert_eq!(level([50, 50, 50, 1].into_iter(), 31), 10);
        assert_eq!(level(std::iter::empty(), 0), u64::MAX);
        let sums = |known: &[u64], strangers: &[u64]| -> HashMap<Caller, u64> {
            let of = |bytes: &[u64], bit| -> Vec<(Caller, u64)> {
                bytes.iter().zip(1_u64..).map(|(bytes, number)| (Caller(number * 2 + bit), *bytes)).collect()
            };
            of(known, 1).into_iter().chain(of(strangers, 0)).collect()
        };
        // A flood of strangers takes nothing from who is known, as long as those have no more than half.
        assert_eq!(levels(&sums(&[40, 10], &[1_000]), 100), (u64::MAX, 50));
        assert_eq!(levels(&sums(&[5], &[1_000]), 100), (u64::MAX, 95));
        assert_eq!(levels(&sums(&[1_000, 5], &[20]), 100), (75, u64::MAX));
        assert_eq!(levels(&sums(&[90], &[60, 1]), 100), (50, 49));
    }
}
