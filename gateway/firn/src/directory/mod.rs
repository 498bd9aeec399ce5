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
use std::path::{Component, Path, PathBuf};

/// Whether an appliance lies in a directory: its marker, beside what only an appliance has.
pub(crate) fn is_appliance(dir: &Path) -> bool {
    let has = |name: &str| dir.join(name).symlink_metadata().is_ok();
    has(MARKER) && (has(MASTER_KEY) || has(CATALOG))
}

/// The appliance that a place is or lies in, by whatever links, and also where it is not there yet: what is written there would be
/// the appliance's, and what is read there is its keys.
pub(crate) fn appliance_of(place: &Path) -> Option<PathBuf> {
    let place = real(&real(place)?)?;
    place.ancestors().find(|dir| is_appliance(dir)).map(Path::to_owned)
}

/// Where a path leads to; of what is not there, where making it would put it.
fn real(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let (mut there, mut rest) = (path.as_path(), Vec::new());
    let mut real = loop {
        if let Ok(real) = std::fs::canonicalize(there) {
            break real;
        }
        rest.push(there.components().next_back()?);
        there = there.parent()?;
    };
    for part in rest.iter().rev() {
        match part {
            Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
    }
    Some(real)
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

#[cfg(test)]
mod tests {
    use super::appliance_of;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_or_would_be_in_an_appliances_directory_is_known_by_any_name() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let home = root.join("data");
        fs::create_dir_all(home.join("pools/local")).unwrap();
        fs::create_dir(root.join("beside")).unwrap();
        fs::write(home.join("firn.json"), "x").unwrap();
        assert_eq!(appliance_of(&home), None, "a file of that name alone is none");
        fs::write(home.join("master.key"), "x").unwrap();
        symlink("data", root.join("linked")).unwrap();
        symlink("../data/pools", root.join("beside/deep")).unwrap();
        for name in [
            "data",
            "data/",
            "data/firn.json",
            "data/pools/local",
            "data/not/there/yet",
            "linked",
            "linked/new",
            "beside/deep/new",
            "beside/../data/x",
            "none/../data/x",
            "none/../linked/x",
        ] {
            assert_eq!(appliance_of(&root.join(name)), Some(home.clone()), "{name}");
        }
        for name in ["", "beside", "beside/new", "data2", "none/data", "data/../beside"] {
            assert_eq!(appliance_of(&root.join(name)), None, "{name}");
        }
    }
}
