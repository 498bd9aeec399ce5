//! The catalog's second place: what the sequencer writes is in the data directory and in a zone before it is answered.
//!
//! ```text
//!   sequencer ─► DIR/catalog/log ──── sync ───┐
//!       └─────► follower ─► ZONE/catalog/log ─┴─► answer          worker: base ─► ZONE/catalog, small files beside it
//! ```
//!
//! A base (a checkpoint) and the log from before it make a catalog again: [`restore`]. Who may take commits is judged from the
//! memberships that both places hold ([`judge`](self::judge)).
//!
//! # Invariants
//! - While the membership is *both*, a synced commit is answered once both logs are synced through it.
//! - Before a commit is answered that the zone does not have, the data directory has recorded, durably and at a higher epoch,
//!   that it goes on alone.
//! - A zone's membership is written before the data directory's, and only when its base and log are whole.
//! - The small files are in the zone before its membership says *both*.
//!
//! # Limits
//! One copy. A base is renewed when the copy's log has [`LOG_FILES_MAX`] files that it needs; only what changed is copied.
//!
//! # What a crash leaves
//! Logs that differ in their last groups, none of which was answered: opening cuts or completes the zone's. A copy that was
//! being made: it is made again.

mod follower;
mod judge;
mod keeper;
mod membership;
mod place;
mod restore;
#[cfg(test)]
mod tests;
mod worker;

pub(super) use keeper::{Copying, Keeper, Task};
pub use restore::{Restored, restore};
pub use worker::{CopyWorker, Wanted};

use crate::catalog::Version;
use crate::entropy::Entropy;
use crate::fault::Faults;
use crate::{Error, Result};
use judge::{Seen, Verdict};
use membership::{Members, Membership};
use parking_lot::Mutex;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How long a zone's disk may take for a group before the data directory goes on alone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Files of the copy's log after which its base is renewed.
const LOG_FILES_MAX: u64 = 8;

/// Where a zone keeps its copy of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The zone's name.
    pub zone: String,
    /// Its directory for the catalog.
    pub dir: PathBuf,
}

/// What a start knows of zones.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// Every zone that may have a copy, whether or not its disk is there.
    pub places: Vec<Place>,
    /// Somebody said that what only an absent zone or directory knows may be lost.
    pub accept_loss: bool,
    /// The data directory was recovered from a backup: it takes the place of whatever copies there are.
    pub supersedes: bool,
    /// Faults to inject into the copy.
    pub faults: Arc<Faults>,
    /// How long a zone's disk may take for a group.
    pub patience: Duration,
}

impl Default for CopyOptions {
    fn default() -> Self {
        let (places, faults) = (Vec::new(), Arc::default());
        Self { places, accept_loss: false, supersedes: false, faults, patience: PATIENCE }
    }
}

/// How the catalog's copies stand, for `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CopyStatus {
    /// `single` (never had a copy), `both`, `alone`, `joining` (alone, and a copy is being made) or `read_only`.
    pub state: &'static str,
    /// The membership's epoch; 0 where there never was a copy.
    pub epoch: u64,
    /// The zone that has the copy, or gets one.
    pub zone: Option<String>,
    /// Why the data directory is alone or read-only.
    pub reason: Option<String>,
    /// The version of the copy's base.
    pub base_version: Option<Version>,
}

/// What sequencer, follower and worker tell of the copy.
#[derive(Debug, Default)]
pub(super) struct Told {
    status: Mutex<CopyStatus>,
    /// What the copy's base holds.
    base: AtomicU64,
    /// Files of the copy's log that its base needs.
    files: AtomicU64,
}

impl Told {
    pub(super) fn status(&self) -> CopyStatus {
        self.status.lock().clone()
    }

    pub(super) fn read_only(&self) -> Option<String> {
        let status = self.status.lock();
        status.reason.clone().filter(|_| status.state == "read_only")
    }

    fn set(&self, state: &'static str, membership: Option<&Membership>, reason: Option<String>) {
        let mut status = self.status.lock();
        status.state = state;
        status.epoch = membership.map_or(0, |membership| membership.epoch);
        status.zone = membership.map(|membership| membership.zone.clone()).filter(|zone| !zone.is_empty());
        status.reason = reason;
        if state != "both" {
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
        let mut seen = Vec::new();
        for place in &options.places {
            // A disk that can't be read says as little as one that is not there.
            let membership = match Membership::read(&place.dir) {
                Ok(membership) => membership,
                Err(error @ Error::Newer { .. }) => return Err(error),
                Err(error) => {
                    tracing::error!(zone = place.zone, %error, "a zone's copy of the catalog can't be read");
                    None
                }
            };
            seen.push(Seen { place: place.clone(), membership });
        }
        let verdict = judge::judge(home.as_ref(), &seen, (options.accept_loss, options.supersedes))?;
        Ok(Self { home, seen, verdict })
    }
}

/// Why a start in a data directory's `dir` would be read-only; `None` when it would take commits. Changes nothing.
pub fn would_be_read_only(dir: &Path, options: &CopyOptions) -> Result<Option<String>> {
    Ok(match Standing::read(dir, options)?.verdict {
        Verdict::ReadOnly(why) => Some(why),
        Verdict::Go | Verdict::Attach(_) | Verdict::Accept => None,
    })
}

/// The zone with which a data directory's catalog in `dir` shares every commit, by its last record.
pub fn shared_with(dir: &Path) -> Result<Option<String>> {
    let home = Membership::read(dir)?;
    Ok(home.filter(|home| home.members == Members::Both).map(|home| home.zone))
}

/// Records that a data directory goes on without a zone whose copy was given up by its owner. Nothing, when it shares no
/// commits with that zone.
pub fn give_up(dir: &Path, zone: &str, entropy: &dyn Entropy) -> Result<bool> {
    let home = Membership::read(dir)?;
    let Some(home) = home.filter(|home| home.members == Members::Both && home.zone == zone) else {
        return Ok(false);
    };
    home.alone(entropy).write(dir)?;
    Ok(true)
}
