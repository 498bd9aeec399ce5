//! The conflict window: which rows changed lately, and at which version.
//!
//! ```text
//!   row ─► 64-bit keyed fingerprint ─► newest version that changed it
//!   order: (version, fingerprint), oldest first     floor: every change after it is in the window
//! ```
//!
//! # Invariants
//! - A change newer than `floor` is in the map, so "not in the map" means unchanged since `floor`.
//! - A read version below `floor` can't be judged and is too old.
//! - Two rows with one fingerprint share their newest version: that can report a change that was not, never hide one. The
//!   retry reads a newer version, so such a pair costs one retry. The fingerprint is keyed with a random seed, so that a
//!   client can't choose keys that collide.
//!
//! # Limits
//! 2¹⁹ rows (about 34 MB when full) and 30 s; what is older or more moves the floor. docs/adr/0003 has the reasons.

use super::{Key, Version};
use crate::entropy::Entropy;
use crate::id::PartitionId;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::time::Duration;

/// Most rows that the window remembers.
pub(super) const ROWS_MAX: usize = 1 << 19;
/// How long it remembers them, in boot time.
pub(super) const AGE_MAX: Duration = Duration::from_secs(30);
/// How exact [`AGE_MAX`] is.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// A row, keyed and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u64);

/// What the window knows about a row since a read version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody changed it.
    Unchanged,
    /// Somebody did.
    Changed,
    /// The read version is below the window's floor.
    TooOld,
}

/// Fingerprints are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Recent changes of all partitions.
pub(super) struct Window {
    seed: [u8; 16],
    rows_max: usize,
    newest: HashMap<Fingerprint, Version, BuildHasherDefault<AsIs>>,
    order: VecDeque<(Version, Fingerprint)>,
    marks: VecDeque<(Duration, Version)>,
    floor: Version,
}

impl Window {
    /// An empty window: nothing before `floor` can be judged.
    pub(super) fn new(entropy: &dyn Entropy, floor: Version, rows_max: usize) -> Self {
        let mut seed = [0; 16];
        entropy.fill(&mut seed);
        let (newest, order, marks) = Default::default();
        Self { seed, rows_max, newest, order, marks, floor }
    }

    /// A row's place in the window.
    pub(super) fn fingerprint(&self, partition: PartitionId, key: &Key) -> Fingerprint {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.seed);
        hasher.write(partition.as_bytes());
        hasher.write(&[key.table.family as u8, key.table.tag]);
        hasher.write(&key.bytes);
        Fingerprint(hasher.finish())
    }

    /// The newest change of a row, if it is in the window.
    pub(super) fn newest(&self, row: Fingerprint) -> Option<Version> {
        self.newest.get(&row).copied()
    }

    /// Did a row change after `read_version`?
    pub(super) fn judge(&self, row: Fingerprint, read_version: Version) -> Verdict {
        match self.newest(row) {
            Some(version) if version > read_version => Verdict::Changed,
            _ if read_version < self.floor => Verdict::TooOld,
            _ => Verdict::Unchanged,
        }
    }

    /// A row changes at `version`. Versions come in order.
    pub(super) fn record(&mut self, row: Fingerprint, version: Version) {
        if self.newest.insert(row, version) != Some(version) {
            self.order.push_back((version, row));
        }
    }

    /// Forgets what is too old or too much. Called once a group, between commits; `version` is the newest one.
    pub(super) fn prune(&mut self, now: Duration, version: Version) {
        if self.marks.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= MARK_EVERY) {
            self.marks.push_back((now, version));
        }
        while let Some(&(at, version)) = self.marks.front()
            && now.saturating_sub(at) > AGE_MAX
        {
            self.marks.pop_front();
            self.forget_through(version);
        }
        while self.order.len() > self.rows_max
            && let Some(&(version, _)) = self.order.front()
        {
            self.forget_through(version);
        }
        if self.order.is_empty() && self.newest.capacity() > 1 << 12 {
            self.newest = HashMap::default();
            self.order = VecDeque::new();
        }
    }

    /// Can judge nothing that was read before `version` any more.
    pub(super) fn forget_through(&mut self, version: Version) {
        self.floor = self.floor.max(version);
        while let Some(&(at, row)) = self.order.front()
            && at <= version
        {
            self.order.pop_front();
            if self.newest.get(&row) == Some(&at) {
                self.newest.remove(&row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AGE_MAX, Verdict, Window};
    use crate::catalog::{Family, Table};
    use crate::entropy::SeededEntropy;
    use crate::id::PartitionId;
    use std::time::Duration;

    const TABLE: Table = Table { family: Family::Record, tag: 1 };

    fn window(rows_max: usize) -> Window {
        Window::new(&SeededEntropy::new(1), 10, rows_max)
    }

    #[test]
    fn judges_by_the_newest_change_and_refuses_below_the_floor() {
        let mut window = window(100);
        let row = window.fingerprint(PartitionId::ROOT, &TABLE.key(&b"a"[..]));
        assert_eq!(window.judge(row, 10), Verdict::Unchanged);
        assert_eq!(window.judge(row, 9), Verdict::TooOld);
        window.record(row, 11);
        window.record(row, 13);
        assert_eq!(window.judge(row, 12), Verdict::Changed);
        assert_eq!(window.judge(row, 13), Verdict::Unchanged);
        let elsewhere = window.fingerprint(PartitionId::from_bytes([1; 8]), &TABLE.key(&b"a"[..]));
        assert_eq!(window.judge(elsewhere, 10), Verdict::Unchanged);
    }

    #[test]
    fn age_and_number_of_rows_move_the_floor() {
        let mut window = window(2);
        let rows: Vec<_> =
            (0..4u8).map(|n| window.fingerprint(PartitionId::ROOT, &TABLE.key(vec![n]))).collect();
        for (version, row) in (11..).zip(&rows) {
            window.record(*row, version);
        }
        window.prune(Duration::ZERO, 14);
        assert_eq!(window.judge(rows[0], 11), Verdict::TooOld);
        assert_eq!(window.judge(rows[0], 12), Verdict::Unchanged);
        assert_eq!(window.judge(rows[3], 12), Verdict::Changed);
        window.prune(AGE_MAX + Duration::from_secs(2), 14);
        assert_eq!(window.judge(rows[3], 13), Verdict::TooOld);
        assert_eq!(window.judge(rows[3], 14), Verdict::Unchanged);
    }
}
