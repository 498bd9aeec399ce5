//! Latencies, in buckets that are exact to about 3 %.

use std::time::Duration;

/// Sub-buckets per power of two.
const FINE: u64 = 32;
const BUCKETS: usize = 64 * 32;

/// Counts of microseconds, on a logarithmic scale.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(us)] += 1;
        self.total += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The latency in microseconds that `per_mille` of all requests did not exceed.
    pub(crate) fn quantile_us(&self, per_mille: u64) -> u64 {
        let rank = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return top(index as u64);
            }
        }
        0
    }
}

fn bucket(us: u64) -> usize {
    let index = if us < FINE {
        us
    } else {
        let power = u64::from(us.ilog2());
        (power - 4) * FINE + ((us >> (power - 5)) - FINE)
    };
    usize::try_from(index).unwrap_or(BUCKETS - 1).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn top(index: u64) -> u64 {
    if index < FINE {
        return index;
    }
    let (power, fine) = (index / FINE + 4, index % FINE);
    ((FINE + fine + 1) << (power - 5)) - 1
}

#[cfg(test)]
mod tests {
    use super::{Histogram, bucket, top};
    use std::time::Duration;

    #[test]
    fn every_value_is_within_3_percent_of_its_buckets_top() {
        for us in (0..10_000).chain([123_456, 7_000_000, 3_600_000_000]) {
            let top = top(bucket(us) as u64);
            assert!(top >= us && (top - us) * 32 <= us.max(32), "{us} in a bucket up to {top}");
        }
    }

    #[test]
    fn quantiles_count_ranks() {
        let mut histogram = Histogram::default();
        for us in 1..=1000 {
            histogram.record(Duration::from_micros(us));
        }
        assert!((500..=515).contains(&histogram.quantile_us(500)));
        assert!((990..=1023).contains(&histogram.quantile_us(990)));
        let mut both = histogram.clone();
        both.merge(&histogram);
        assert_eq!(both.total(), 2000);
        assert_eq!(both.quantile_us(500), histogram.quantile_us(500));
    }
}
