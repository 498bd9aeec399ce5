//! The catalog's second place: what the sequencer writes is in the data directory and in a zone before it is answered.
//!
//! ```text
//!   sequencer ─► DIR/catalog/log ──── sync ───┐
//!       └─────► hand ─► ZONE/catalog/…/log ───┴─► answer       worker: base ─► ZONE/catalog/…, small files beside it
//! ```
//!
//! A base (a checkpoint) and the log from before it make a catalog again: [`restore`]. Who may take commits is judged from the
//! memberships that both places hold (`judge`). What wants it, and where, is the caller's: see docs/adr/0011-zones.md.
//!
//! # Invariants
//! - While the membership is *both*, a synced commit is answered once both logs are synced through it.
//! - Before a commit is answered that the zone does not have, the data directory has recorded, durably and at a higher epoch,
//!   that it goes on alone.
//! - What both places hold in one epoch is the beginning of one and the same log, so a start goes on from the longer one and loses
//!   nothing that either has. Each process that goes on with a zone begins an epoch of its own: the data directory records which,
//!   then the zone has it, then the data directory.
//! - The base, the log behind it and the small files are in the zone before its membership says *both*. All that a base did not have from the one before
//!   was read back with its checksums before it counts; a small file is what this process opened ([`SmallFiles`]).
//! - Nothing is made, claimed, written or cleared in a directory that is not on the disk which its zone was opened on ([`Disk`]).
//! - The sequencer waits for a zone's disk through the copy's own thread alone, and never longer than patience allows.
//!
//! # Limits
//! One copy. A base is renewed when the copy's log has `LOG_FILES_MAX` files that it needs; only what changed is copied.
//!
//! # What a crash leaves
//! Logs of which one is longer: the next start goes on from that. A copy that was being made: it is made again.

mod disk;
mod hand;
mod judge;
mod keeper;
mod membership;
mod place;
mod restore;
#[cfg(test)]
mod tests;
mod worker;

pub use disk::Disk;
pub(super) use keeper::{Keeper, Task};
pub use restore::{Restored, restore};
pub use worker::{CopyWorker, Wanted};

use crate::catalog::Version;
use crate::clock::Timestamp;
use crate::fault::Faults;
#[cfg(doc)]
use crate::small_files::SmallFiles;
use crate::{Error, Result};
use judge::{Says, Seen, Verdict};
use membership::Membership;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc;
use std::time::Duration;

/// How long commits wait for a zone's disk before the data directory goes on alone.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many times that a start waits for what it reads of a zone.
const START_PATIENCE: u32 = 12;
/// Files of the copy's log after which its base is renewed.
const LOG_FILES_MAX: u64 = 8;
/// What a copy leaves free on its disk.
const KEEP_FREE: u64 = 256 << 20;

/// Where a zone keeps its copy of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The zone's name.
    pub zone: String,
    /// Its directory for the catalog.
    pub dir: PathBuf,
    /// The disk that the zone was opened on.
    pub disk: Disk,
}

/// What a start knows of zones.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// Every zone that may have a copy, whether or not its disk is there.
    pub places: Vec<Place>,
    /// Somebody said that what only an absent zone or directory knows may be lost.
    pub accept_loss: bool,
    /// Faults to inject into the copy.
    pub faults: Arc<Faults>,
    /// How long commits wait for a zone's disk.
    pub patience: Duration,
    /// Bytes that a copy leaves free on its disk.
    pub keep_free: u64,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            accept_loss: false,
            faults: Arc::default(),
            patience: PATIENCE,
            keep_free: KEEP_FREE,
        }
    }
}

/// How the catalog's copies stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyState {
    /// It never had one.
    #[default]
    Single,
    /// Recorded to go on alone.
    Alone,
    /// Alone, and a copy is being made.
    Joining,
    /// In two places.
    Both,
    /// It takes no commits.
    ReadOnly,
}

/// How the catalog's copies stand, for `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyStatus {
    /// How.
    pub state: CopyState,
    /// The membership's epoch; 0 where there never was a copy.
    pub epoch: u64,
    /// The zone that has the copy, or gets one.
    pub zone: Option<String>,
    /// Why the data directory is alone or read-only.
    pub reason: Option<String>,
    /// The version of the copy's base.
    pub base_version: Option<Version>,
    /// How often it was parted from a zone since it was opened.
    pub parted: u32,
    /// Since when it is in two places, or not any more; at the earliest when it was opened.
    pub since: Option<Timestamp>,
    /// A zone that is not to have it any more, and may still hold what it had, keys included.
    pub leaving: Option<String>,
    /// Zones of which this process does not know yet that they hold nothing that they are not to have, keys included.
    pub uncleared: Vec<String>,
    /// Zones whose disk was not there when it was looked for last.
    pub absent: Vec<String>,
    /// The directory that counts in the zone's place.
    pub copy: u64,
}

/// What sequencer, thread and worker tell of the copy.
#[derive(Debug, Default)]
pub(super) struct Told {
    status: Mutex<CopyStatus>,
    /// What the copy's base holds.
    base: AtomicU64,
    /// Files of the copy's log that its base needs.
    files: AtomicU64,
    /// A base that is being copied is not waited for.
    pub(super) stopping: AtomicBool,
}

impl Told {
    pub(super) fn status(&self) -> CopyStatus {
        self.status.lock().clone()
    }

    pub(super) fn read_only(&self) -> Option<String> {
        let status = self.status.lock();
        status.reason.clone().filter(|_| status.state == CopyState::ReadOnly)
    }

    fn set(
        &self,
        state: CopyState,
        membership: Option<&Membership>,
        (reason, now): (Option<String>, Timestamp),
    ) {
        let mut status = self.status.lock();
        // A copy that is being made is none yet.
        if status.since.is_none() || (status.state == CopyState::Both) != (state == CopyState::Both) {
            status.since = Some(now);
        }
        status.state = state;
        status.epoch = membership.map_or(0, |membership| membership.epoch);
        status.copy = membership.map_or(0, |membership| membership.copy);
        status.zone = membership.map(|membership| membership.zone.clone()).filter(|zone| !zone.is_empty());
        status.reason = reason;
        if state != CopyState::Both {
            status.base_version = None;
        }
    }
}

/// What is known before the catalog opens.
pub(super) struct Standing {
    home: Option<Membership>,
    seen: Vec<Seen>,
    verdict: Verdict,
}

impl Standing {
    /// Reads what the data directory and the zones say, and judges. Changes nothing.
    pub(super) fn read(dir: &Path, options: &CopyOptions) -> Result<Self> {
        let home = Membership::read(dir)?;
        let seen = ask(&options.places, options.patience)?;
        let verdict = judge::judge(home.as_ref(), &seen, options.accept_loss)?;
        Ok(Self { home, seen, verdict })
    }
}

/// Why a start in a data directory's `dir` would be read-only; `None` when it would take commits, unless the copy turns out to be
/// unreadable. A refusal is an error. Changes nothing.
pub fn would_be_read_only(dir: &Path, options: &CopyOptions) -> Result<Option<String>> {
    Ok(match Standing::read(dir, options)?.verdict {
        Verdict::ReadOnly(why) => Some(why),
        Verdict::Go | Verdict::Attach(_) | Verdict::Accept => None,
    })
}

/// The zone with which a data directory's catalog in `dir` shares every commit, by its last record.
pub fn shared_with(dir: &Path) -> Result<Option<String>> {
    let home = Membership::read(dir)?;
    Ok(home.filter(|home| home.role == membership::Role::Both).map(|home| home.zone))
}

/// Asks all zones at once, each on a thread of its own: one that hangs counts as one that is not there.
fn ask(places: &[Place], patience: Duration) -> Result<Vec<Seen>> {
    let mut asked = Vec::new();
    for place in places {
        let (answer, answered) = mpsc::channel();
        let dir = place.dir.clone();
        let thread = std::thread::Builder::new().name("catalog-copy".into()).spawn(move || {
            // Nobody may be waiting any more.
            let _unheard = answer.send(Membership::read(&dir));
        });
        thread.map_err(|error| Error::io("start the thread that reads", &place.dir, error))?;
        asked.push((place, answered));
    }
    let mut seen = Vec::new();
    for (place, answered) in asked {
        let says = match answered.recv_timeout(patience) {
            Ok(Ok(None)) => Says::Nothing,
            Ok(Ok(Some(membership))) => Says::Membership(membership),
            Ok(Err(error @ Error::Newer { .. })) => return Err(error),
            Ok(Err(error)) => Says::Unreadable(error.to_string()),
            Err(_) => Says::Unreadable("its disk does not answer".to_owned()),
        };
        seen.push(Seen { place: place.clone(), says });
    }
    Ok(seen)
}
