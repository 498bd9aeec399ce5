//! What of a disk is set aside, by its size: reserves for deletes, log files, what is gathered before it is flushed, segments that
//! are made ahead.
//!
//! | what | share of the disk | from | to |
//! |---|---|---|---|
//! | the catalog's margin, and as much in its `reserve` | 1/32 each | 8 MiB | 64 MiB |
//! | what bodies leave free, and as much in the pool's `reserve` | 1/32 each | 8 MiB | 64 MiB |
//! | rows gathered before they are flushed | 1/32 | 8 MiB | 64 MiB |
//! | a log file; two are there from the start | 1/64 | 5 MiB | 32 MiB |
//! | a segment; up to two are made ahead | 1/64 | 4 MiB | 256 MiB |
//!
//! # Invariants
//! Of a disk that catalog and pool share, no more than a fifth is set aside, from [`LEAST_DISK`] on. Sizes are chosen at each start,
//! so that a disk that grew is used as one of its size; files that are there keep theirs.

use crate::config::segment_for;
use crate::report::finding::LEAST_DISK;
use engine::unit::ByteCount;
use std::path::Path;

/// What is set aside of one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// What is left free for deletes, and the size of a file that is given up for them.
    pub(super) reserve: ByteCount,
    /// Rows in memory.
    pub(super) memtable: ByteCount,
    /// A file of the commit log.
    pub(super) log_file: ByteCount,
    /// A segment file.
    pub(super) segment: ByteCount,
}

impl Shares {
    /// Of a disk of so many bytes.
    pub(super) fn of(total: ByteCount) -> Self {
        let share = |part: u64, least: u64, most: u64| {
            ByteCount::new(
                (total.get() / part).clamp(ByteCount::mib(least).get(), ByteCount::mib(most).get()),
            )
        };
        Self {
            reserve: share(32, 8, 64),
            memtable: share(32, 8, 64),
            log_file: share(64, 5, 32),
            segment: segment_for(total),
        }
    }

    /// Of the disk of a directory, or of the one that it is yet to be made in. One that can't be asked counts as large: opening
    /// it will say what is wrong.
    pub(super) fn of_disk(dir: &Path) -> Self {
        Self::of(disk_size(dir).unwrap_or(ByteCount::new(u64::MAX)))
    }
}

fn disk_size(dir: &Path) -> Option<ByteCount> {
    let stat = dir.ancestors().find_map(|place| rustix::fs::statvfs(place).ok())?;
    Some(ByteCount::new(stat.f_blocks.saturating_mul(stat.f_frsize)))
}

/// The smallest of the disks that these directories lie on.
pub(super) fn smallest<'a>(places: impl Iterator<Item = &'a Path>) -> Option<ByteCount> {
    places.filter_map(disk_size).min()
}

/// Says at the start which disk is too small to be of use.
pub(super) fn warn_of_small(dir: &Path) {
    if let Some(total) = disk_size(dir).filter(|total| *total < LEAST_DISK) {
        tracing::warn!(
            "the disk of {} has {total}: most of it is taken by log files and reserves; give it {LEAST_DISK} or more",
            dir.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST_DISK, Shares};
    use engine::unit::ByteCount;

    #[test]
    fn what_is_set_aside_is_a_bounded_part_of_every_disk() {
        for mib in [256, 300, 512, 1_000, 2_048, 4_096, 20_000, 1_000_000] {
            let total = ByteCount::mib(mib);
            let Shares { reserve, log_file, segment, .. } = Shares::of(total);
            // Two margins of which the larger counts, two reserves, a log file and its spare, two segments ahead.
            let aside = 3 * reserve.get() + 2 * log_file.get() + 2 * segment.get();
            assert!(aside <= total.get() / 5, "{aside} of {mib} MiB");
        }
        assert_eq!(LEAST_DISK, ByteCount::mib(256));
    }

    #[test]
    fn a_disk_of_2_gib_has_the_full_reserves_and_one_of_16_gib_the_full_segments() {
        let mib = ByteCount::mib;
        let full = Shares { reserve: mib(64), memtable: mib(64), log_file: mib(32), segment: mib(256) };
        assert_eq!(Shares::of(ByteCount::gib(16)), full);
        assert_eq!(Shares::of(ByteCount::gib(2)), Shares { segment: mib(32), ..full });
        assert_eq!(Shares::of(ByteCount::ZERO).segment, mib(4));
    }
}
