//! Room on the disk: a reserve that only deletes may draw on.
//!
//! ```text
//!   free ≥ margin            everything is admitted; the reserve file is held
//!   free < margin            the reserve file is given up, once; only commits that delete are admitted
//!   free < margin / 4        nothing is admitted, so that RocksDB can still flush what was
//!   free ≥ 2 × margin + reserve      the reserve file is taken again
//! ```
//! A commit counts as one that deletes when it deletes a row and puts no more than [`DELETE_PUTS_MAX`] bytes (dropping an
//! object also writes a queue entry and counters), or when it says so ([`Space::Reserve`]) and puts no more than
//! [`RESERVE_PUTS_MAX`]: a delete marker deletes no row.

use crate::catalog::{Commit, Space, Write};
use crate::reserve::Reserve;
use crate::{Error, Result};
use rustix::fs::statvfs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a commit that deletes may write beside.
pub(super) const DELETE_PUTS_MAX: usize = 8 << 10;
/// What a commit that says that it frees space may write: some rows, or a batch of entries in a queue.
pub(super) const RESERVE_PUTS_MAX: usize = 256 << 10;
/// How often the free space is looked at, and at least after how many parts of the margin were written: a fast disk fills up
/// more than the margin within that time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS_PER_MARGIN: u64 = 16;

/// Who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// Nobody.
    None,
    /// Commits that delete.
    Deletes,
    /// Everybody.
    Plenty,
}

/// Watches the free space.
pub(super) struct Gauge {
    dir: PathBuf,
    reserve: Reserve,
    margin: u64,
    looked: Option<Duration>,
    /// Bytes asked for since then.
    asked: u64,
    room: Room,
}

impl Gauge {
    /// Keeps `margin` bytes free in `dir`, and as many in a reserve file; 0 switches both off.
    pub(super) fn new(dir: &Path, margin: u64) -> Self {
        let reserve = Reserve::new(dir, margin);
        Self { dir: dir.to_path_buf(), reserve, margin, looked: None, asked: 0, room: Room::Plenty }
    }

    /// Who may write `bytes` now. Looks at the disk every 250 ms or sixteenth of the margin, whichever comes first.
    pub(super) fn room(&mut self, now: Duration, bytes: usize) -> Result<Room> {
        self.asked = self.asked.saturating_add(bytes as u64);
        let fresh = self.looked.is_some_and(|at| now.saturating_sub(at) < LOOK_EVERY)
            && self.asked < self.margin / LOOKS_PER_MARGIN;
        if self.margin > 0 && !fresh {
            self.room = self.look()?;
            (self.looked, self.asked) = (Some(now), 0);
        }
        Ok(self.room)
    }

    fn look(&self) -> Result<Room> {
        let mut free = self.free()?;
        if free < self.margin && self.reserve.is_held() {
            tracing::warn!(
                free,
                "the disk is nearly full: giving up the catalog's reserve, only deletes go on"
            );
            self.reserve.give_up()?;
            free = self.free()?.min(self.margin - 1);
        } else if free >= 3 * self.margin && !self.reserve.is_whole() {
            // One that can't be had is no error: there is room now, and the next look tries again.
            if let Err(error) = self.reserve.take(Ok(())) {
                tracing::warn!(%error, "the catalog's reserve can't be taken");
            }
        }
        Ok(match free {
            _ if free >= self.margin => Room::Plenty,
            _ if free >= self.margin / 4 => Room::Deletes,
            _ => Room::None,
        })
    }

    fn free(&self) -> Result<u64> {
        let stat = statvfs(&self.dir).map_err(|e| Error::io("look at", &self.dir, e.into()))?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    /// The answer to a commit that may not write.
    pub(super) fn refusal(&self, wanted: usize) -> Error {
        Error::Full { place: self.dir.display().to_string(), wanted: wanted as u64 }
    }
}

/// Does a commit give back more than it takes, or say that it will?
pub(super) fn may_draw_on_reserve(commit: &Commit) -> bool {
    let mut put = 0;
    let mut deleted = false;
    for write in &commit.writes {
        match write {
            Write::Put(key, value) => put += key.bytes.len() + value.len(),
            Write::Delete(_) => deleted = true,
            Write::Add(..) => {}
        }
    }
    match commit.space {
        _ if commit.writes.is_empty() => true,
        Space::Reserve if put <= RESERVE_PUTS_MAX => true,
        Space::Reserve | Space::Ordinary => deleted && put <= DELETE_PUTS_MAX,
    }
}
