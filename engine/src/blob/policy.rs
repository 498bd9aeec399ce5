//! Which segment the compactor empties next: pure, so that its cost is simulated exactly.
//!
//! Emptying a segment that is live to the share `e` rewrites `e` and gains `1 − e`. Only segments below half live are
//! emptied, so no byte gained costs more than a byte rewritten; and only while less than 70 % of the pool is live, always
//! the least live one, which in steady uniform churn costs about 0.88 (`(e − 1) / ln e = 0.7` at `e = 0.47`). Below a
//! quarter a segment is emptied whatever the pool looks like: that costs a third at most.

use crate::id::SegmentId;

/// Live per cent of the pool above which half-dead segments are left alone.
const POOL_LIVE_PERCENT: u64 = 70;
/// Live per cent of a segment below which it may be emptied.
const SEGMENT_LIVE_PERCENT: u64 = 50;
/// Live per cent of a segment below which it is always emptied.
const CHEAP_PERCENT: u64 = 25;
/// The same when writers find no room: space now matters more than the cost of it.
const FULL_DISK_PERCENT: u64 = 90;

/// A closed segment that may be emptied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentUse {
    pub(crate) id: SegmentId,
    pub(crate) capacity: u64,
    pub(crate) live: u64,
    /// A sync of it failed: its device or place is not trusted.
    pub(crate) failed: bool,
}

/// The next victim, if emptying one is worth it. `pool_live` and `pool_capacity` are sums over all closed segments.
pub(crate) fn victim(
    candidates: &[SegmentUse],
    pool_live: u64,
    pool_capacity: u64,
    full_disk: bool,
) -> Option<SegmentId> {
    if let Some(failed) = candidates.iter().find(|segment| segment.failed) {
        return Some(failed.id);
    }
    let share = |live: u64, capacity: u64| live.saturating_mul(100) / capacity.max(1);
    let best =
        candidates.iter().min_by_key(|segment| (share(segment.live, segment.capacity), segment.live))?;
    let limit = if full_disk {
        FULL_DISK_PERCENT
    } else if share(pool_live, pool_capacity) < POOL_LIVE_PERCENT {
        SEGMENT_LIVE_PERCENT
    } else {
        CHEAP_PERCENT
    };
    (share(best.live, best.capacity) < limit).then_some(best.id)
}

#[cfg(test)]
mod tests {
    use super::{SegmentUse, victim};
    use crate::entropy::{Entropy, SeededEntropy};
    use crate::id::SegmentId;

    fn segment(n: u8, live: u64) -> SegmentUse {
        SegmentUse { id: SegmentId::from_bytes([n; 8]), capacity: 100, live, failed: false }
    }

    #[test]
    fn table() {
        let pick = |lives: &[u64], full| {
            let segments: Vec<_> = (0..).zip(lives).map(|(n, live)| segment(n, *live)).collect();
            let live = lives.iter().sum();
            victim(&segments, live, 100 * lives.len() as u64, full).map(|id| id.as_bytes()[0])
        };
        assert_eq!(pick(&[], false), None);
        assert_eq!(pick(&[49, 60], false), Some(0), "below half, pool below 70 %");
        assert_eq!(pick(&[50, 60], false), None, "half is not below half");
        assert_eq!(pick(&[40, 100, 100], false), None, "the pool is full of life");
        assert_eq!(pick(&[24, 100, 100, 100], false), Some(0), "cheap");
        assert_eq!(pick(&[90, 89], true), Some(1), "full disk");
        assert_eq!(pick(&[90, 90], true), None, "nothing to gain");
        let mut broken = segment(7, 99);
        broken.failed = true;
        assert_eq!(victim(&[segment(1, 1), broken], 100, 200, false), Some(broken.id));
    }

    /// Records of one unit, overwritten uniformly at random; the pool makes a segment whenever it has none to write to.
    struct Churn {
        entropy: SeededEntropy,
        /// Which records each segment holds; a record is live where `place` says so.
        segments: Vec<Vec<usize>>,
        place: Vec<usize>,
        live: Vec<u64>,
        free: Vec<usize>,
        writing: usize,
        moving: usize,
    }

    const UNITS: usize = 256;

    impl Churn {
        fn new(records: usize) -> Self {
            let mut churn = Self {
                entropy: SeededEntropy::new(70),
                segments: vec![Vec::new(), Vec::new()],
                place: vec![usize::MAX; records],
                live: vec![0, 0],
                free: Vec::new(),
                writing: 0,
                moving: 1,
            };
            (0..records).for_each(|record| churn.write(record));
            churn
        }

        fn next_segment(&mut self) -> usize {
            self.free.pop().unwrap_or_else(|| {
                self.segments.push(Vec::new());
                self.live.push(0);
                self.segments.len() - 1
            })
        }

        fn put(&mut self, record: usize, segment: usize) {
            if let Some(live) = self.live.get_mut(self.place[record]) {
                *live -= 1;
            }
            self.place[record] = segment;
            self.live[segment] += 1;
            self.segments[segment].push(record);
        }

        fn write(&mut self, record: usize) {
            self.put(record, self.writing);
            if self.segments[self.writing].len() == UNITS {
                self.writing = self.next_segment();
            }
        }

        fn random(&self, below: usize) -> usize {
            let mut bytes = [0; 8];
            self.entropy.fill(&mut bytes);
            usize::try_from(u64::from_le_bytes(bytes) % below as u64).unwrap()
        }

        /// Compacts until the policy is content; how many records were moved.
        fn compact(&mut self) -> usize {
            let mut moved = 0;
            loop {
                let closed: Vec<usize> = (0..self.segments.len())
                    .filter(|n| *n != self.writing && *n != self.moving && !self.segments[*n].is_empty())
                    .collect();
                let candidates: Vec<_> = closed
                    .iter()
                    .map(|n| SegmentUse {
                        id: SegmentId::from_bytes((*n as u64).to_be_bytes()),
                        capacity: UNITS as u64,
                        live: self.live[*n],
                        failed: false,
                    })
                    .collect();
                let live = candidates.iter().map(|c| c.live).sum();
                let Some(id) = victim(&candidates, live, (closed.len() * UNITS) as u64, false) else {
                    return moved;
                };
                let n = usize::try_from(u64::from_be_bytes(*id.as_bytes())).unwrap();
                for record in std::mem::take(&mut self.segments[n]) {
                    if self.place[record] == n {
                        self.put(record, self.moving);
                        moved += 1;
                        if self.segments[self.moving].len() == UNITS {
                            self.moving = self.next_segment();
                        }
                    }
                }
                self.free.push(n);
            }
        }
    }

    #[test]
    fn uniform_churn_at_70_percent_full_rewrites_at_most_a_byte_for_each_accepted() {
        let records = 100 * UNITS;
        let mut churn = Churn::new(records);
        let (mut accepted, mut moved) = (0_u64, 0_u64);
        for round in 0..20 * records {
            let record = churn.random(records);
            churn.write(record);
            if round % UNITS == 0 {
                let now = churn.compact() as u64;
                // The first rounds fill the pool's slack: steady state comes after.
                if round > 8 * records {
                    moved += now;
                }
            }
            accepted += u64::from(round > 8 * records);
        }
        let used = churn.segments.iter().filter(|held| !held.is_empty()).count() * UNITS;
        let full = records * 100 / used;
        assert!((67..=73).contains(&full), "the pool settles at 70 % live, not {full} %");
        let percent = moved * 100 / accepted;
        assert!((60..=100).contains(&percent), "rewrote {percent} % of what was accepted");
    }
}
