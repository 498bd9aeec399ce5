//! What a data directory and the directories of its bodies say of themselves: whose they are, who has them open, which key
//! backups are sealed to. Server and verbs both read it; neither needs the other for that.
//!
//! ```text
//!   DIR/          marker (firn.json) · lock · recipient (recovery.pub) · pool.json ┐ the same incarnation
//!   pool          pool_owner (owner.json) ──────────────────────────────────────────┤
//!   further zones zones (zone.json in each, zones.json in DIR) ─────────────────────┘
//!   remote zone   remote_mark (owner.json below its prefix, zones.json in DIR)
//!   zone_disks    which of them share a disk      line  the form of all these files
//! ```
//!
//! # Invariants
//! - What refuses changes nothing; what is somebody else's stays as it is.
//! - Each file is replaced whole. What a crash between two of them leaves, the next start ends (see each module).

mod line;
mod lock;
mod marker;
mod pool_owner;
mod recipient;
mod remote_mark;
#[cfg(test)]
mod world;
mod zone_disks;
mod zones;

pub(crate) use line::Line;
pub(crate) use lock::Lock;
pub(crate) use marker::{Marker, VERSION as MARKER_VERSION, is_no_appliance, read_marker};
pub(crate) use pool_owner::{claim as claim_pool, claim_none as claim_no_pool, is_missed as is_pool_missed};
pub(crate) use recipient::{recipient, store_recipient};
pub(crate) use remote_mark::RemoteMark;
pub(crate) use zone_disks::shared as zones_on_one_disk;
pub(crate) use zones::{
    claim as claim_zones, first_has_a_pools_mark, is_free as zone_place_is_free, replace as replace_zone,
};

use crate::config::Config;
use crate::layout::{CATALOG, MARKER, MASTER_KEY, POOL};
use std::path::{Path, PathBuf};

/// Whether an appliance lies in a directory: its marker, beside what only an appliance has.
pub(crate) fn is_appliance(dir: &Path) -> bool {
    let has = |name: &str| dir.join(name).symlink_metadata().is_ok();
    has(MARKER) && (has(MASTER_KEY) || has(CATALOG))
}

/// Where the segment files of the appliance in `dir` lie, those of the first zone where there are several.
pub(crate) fn pool_dir(dir: &Path, config: &Config) -> PathBuf {
    let first = config.zones.first().and_then(|zone| zone.directories.first());
    first.or(config.pool_dir.as_ref()).cloned().unwrap_or_else(|| dir.join(POOL))
}

/// Refuses a configuration whose pool or zones a start in `dir` would damage. Changes nothing, so that a recovery still finds
/// what it needs.
pub(crate) fn refuse_bodies_of_another(dir: &Path, config: &Config) -> anyhow::Result<()> {
    if config.zones.is_empty() {
        pool_owner::refuse_pool_of_another(dir, &pool_dir(dir, config))?;
        Ok(config.pool_dir.as_deref().map_or(Ok(()), pool_owner::refuse_unmounted)?)
    } else {
        zones::refuse(dir, &config.zones)
    }
}
