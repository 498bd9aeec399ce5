//! How far a backup has come. What is due, and how late it is, goes by boot time: nobody sets that back.

use super::manifest::{ChunkName, Life, Name};
use super::target::Target;
use crate::Result;
use crate::catalog::Version;
use crate::clock::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use std::time::Duration;

/// What `status` shows of the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Where it goes.
    pub target: String,
    /// Version of the newest complete base; absent before the first.
    pub base_version: Option<Version>,
    /// When this process completed a base last.
    pub base_completed_at: Option<Timestamp>,
    /// Newest version that a recovery would bring back.
    pub shipped_version: Version,
    /// Commits that a loss of the system disk would lose now.
    pub lag_commits: u64,
    /// How long the oldest of them may have waited, in milliseconds: since the newest look that left nothing behind, or the start.
    /// 0 when there are none.
    pub lag_ms: u64,
    /// The last failure, if the newest attempt failed.
    pub error: Option<String>,
}

#[derive(Debug)]
struct State {
    base: Option<Version>,
    /// When this process completed one last: as it is shown, and by boot time.
    base_at: Option<(Timestamp, Duration)>,
    wanted: bool,
    shipped: Version,
    /// All that was committed before this boot time is shipped; the start, before that was ever so.
    caught_up_at: Duration,
    error: Option<String>,
}

#[derive(Debug)]
pub(super) struct Progress(Mutex<State>);

impl Progress {
    pub(super) fn begun(now: Duration) -> Self {
        Self(Mutex::new(State {
            base: None,
            base_at: None,
            wanted: false,
            shipped: 0,
            caught_up_at: now,
            error: None,
        }))
    }

    /// From the names at the target: the newest base of this life, and how far the chunks behind it reach without a gap.
    pub(super) async fn take_up(&self, target: &dyn Target, life: &Life) -> Result<()> {
        let bases = target.list(&life.base_prefix()).await?;
        let base = bases.iter().filter_map(|name| match Name::parse(name) {
            Some(Name::Base(_, version)) => Some(version),
            _ => None,
        });
        let base = base.max();
        let logs = target.list(&life.log_prefix()).await?;
        let chunks = logs.iter().filter_map(|name| match Name::parse(name) {
            Some(Name::Log(_, chunk)) => Some(chunk),
            _ => None,
        });
        let shipped = base.map_or(0, |base| contiguous(base, chunks).last().map_or(base, |chunk| chunk.last));
        let mut state = self.0.lock();
        state.base = base;
        state.shipped = shipped;
        Ok(())
    }

    /// A base is due when there is none, when somebody asked, when this process has made none yet, and on schedule.
    pub(super) fn base_due(&self, now: Duration, every: Duration) -> bool {
        let state = self.0.lock();
        state.base.is_none()
            || state.wanted
            || state.base_at.is_none_or(|(_, at)| now.saturating_sub(at) >= every)
    }

    pub(super) fn base_wanted(&self) {
        self.0.lock().wanted = true;
    }

    pub(super) fn base(&self) -> Option<Version> {
        self.0.lock().base
    }

    /// The target no longer has it: nothing counts as backed up until another base is there.
    pub(super) fn base_lost(&self, why: String) {
        let mut state = self.0.lock();
        (state.base, state.base_at, state.shipped, state.error) = (None, None, 0, Some(why));
    }

    /// The target answers again.
    pub(super) fn recovered(&self) {
        self.0.lock().error = None;
    }

    pub(super) fn shipped(&self) -> Version {
        self.0.lock().shipped
    }

    pub(super) fn based(&self, version: Version, (shown, now): (Timestamp, Duration)) {
        let mut state = self.0.lock();
        state.base = Some(version);
        state.base_at = Some((shown, now));
        state.wanted = false;
        state.shipped = state.shipped.max(version);
        state.error = None;
    }

    pub(super) fn advanced(&self, version: Version) {
        let mut state = self.0.lock();
        state.shipped = state.shipped.max(version);
        state.error = None;
    }

    /// Of what was committed before the boot time `at` nothing is left to ship.
    pub(super) fn caught_up(&self, at: Duration) {
        self.0.lock().caught_up_at = at;
    }

    pub(super) fn failed(&self, error: &crate::Error) {
        self.0.lock().error = Some(error.to_string());
    }

    pub(super) fn status(&self, target: String, committed: Version, now: Duration) -> Status {
        let state = self.0.lock();
        let lag_commits = committed.saturating_sub(state.shipped);
        let lag = if lag_commits > 0 { now.saturating_sub(state.caught_up_at) } else { Duration::ZERO };
        Status {
            target,
            base_version: state.base,
            base_completed_at: state.base_at.map(|(shown, _)| shown),
            shipped_version: state.shipped,
            lag_commits,
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            error: state.error.clone(),
        }
    }
}

/// The chunks behind `base`, in order, up to the first gap; those that lie wholly before it are left out.
pub(super) fn contiguous(base: Version, chunks: impl Iterator<Item = ChunkName>) -> Vec<ChunkName> {
    let mut sorted: Vec<ChunkName> = chunks.filter(|chunk| chunk.last > base).collect();
    sorted.sort();
    let mut reached = base;
    let mut line = Vec::new();
    for chunk in sorted {
        if chunk.first > reached + 1 {
            break;
        }
        if chunk.last > reached {
            reached = chunk.last;
            line.push(chunk);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{ChunkName, contiguous};

    #[test]
    fn chunks_count_up_to_the_first_gap() {
        let chunk = |(first, last)| ChunkName { first, last };
        for (base, chunks, reached) in [
            (5, vec![], 5),
            (5, vec![(1, 3), (4, 6), (7, 9)], 9),
            (5, vec![(7, 9)], 5),
            (5, vec![(6, 6), (8, 9)], 6),
            (5, vec![(6, 8), (6, 7), (9, 9)], 9),
            (0, vec![(9, 9), (1, 8)], 9),
        ] {
            let line = contiguous(base, chunks.iter().copied().map(chunk));
            assert_eq!(line.last().map_or(base, |chunk| chunk.last), reached, "{base} {chunks:?}");
        }
    }
}
