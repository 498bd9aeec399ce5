//! What a data directory and the directories of its bodies say of themselves: whose they are, who has them open, which key
//! backups are sealed to. Server and verbs both read it; neither needs the other for that.
//!
//! ```text
//!   DIR/          marker (firn.json) · lock · recipient (recovery.pub) · pool.json ┐ the same incarnation
//!   pool          pool_owner (owner.json) ──────────────────────────────────────────┤
//!   further zones zones (zone.json in each, zones.json in DIR) ─────────────────────┘
//!   remote zone   remote_mark (owner.json below its prefix, zones.json in DIR)
//!   secrets       credentials · admin-token · master.key, as a start reads them
//!   small_files   those that go into the catalog's copy and the backup, as they were opened
//!   zone_disks    which of them share a disk      line  the form of all these files
//!   own_files     which files elsewhere are an appliance's by another name
//!   used          what says that a directory had a catalog that is not there
//! ```
//!
//! # Invariants
//! - What refuses changes nothing; what is somebody else's stays as it is.
//! - Each file is replaced whole. What a crash between two of them leaves, the next start ends (see each module).

mod line;
mod lock;
mod marker;
mod own_files;
mod pool_owner;
mod recipient;
mod remote_mark;
pub(crate) mod secrets;
mod small_files;
mod used;
#[cfg(test)]
mod world;
mod zone_disks;
mod zones;

pub(crate) use line::Line;
pub(crate) use lock::Lock;
pub(crate) use marker::{Marker, VERSION as MARKER_VERSION, is_no_appliance, read_marker};
pub(crate) use own_files::OwnFiles;
pub(crate) use pool_owner::{
    claim as claim_pool, claim_none as claim_no_pool, incarnation, is_missed as is_pool_missed,
};
pub(crate) use recipient::{recipient, store_recipient};
pub(crate) use remote_mark::RemoteMark;
pub(crate) use small_files::small_files;
pub(crate) use zone_disks::shared as zones_on_one_disk;
pub(crate) use zones::{
    MARKS as ZONE_MARKS, claim as claim_zones, first_has_a_pools_mark, is_free as zone_place_is_free,
    replace as replace_zone,
};

use crate::config::Config;
use crate::layout::{CATALOG, MARKER, MASTER_KEY, POOL};
use std::path::{Component, Path, PathBuf};

/// What of an appliance's lies in a directory, if anything: itself, by its marker beside what only an appliance has; bodies, by the mark
/// of a pool or a zone; a backup, by a life of it.
pub(crate) fn of_appliance(dir: &Path) -> Option<&'static str> {
    if is_home(dir) {
        return Some("an appliance lies there, with its keys (firn.json)");
    }
    if pool_owner::is_marked(dir) {
        return Some("an appliance's bodies lie there (owner.json)");
    }
    if zones::is_marked(dir) {
        return Some("an appliance's bodies lie there (zone.json)");
    }
    has_life(dir).then_some("an appliance's backup lies there (lives)")
}

fn is_home(dir: &Path) -> bool {
    let has = |name: &str| dir.join(name).symlink_metadata().is_ok();
    has(MARKER) && (has(MASTER_KEY) || has(CATALOG))
}

/// The same, without what it is.
pub(crate) fn is_appliance(dir: &Path) -> bool {
    of_appliance(dir).is_some()
}

/// Whether a life of a backup lies in a directory (docs/formats/backup.md).
fn has_life(dir: &Path) -> bool {
    // Somebody's directory of that name may be large.
    const LOOKED_AT: usize = 1_000;
    let Ok(entries) = std::fs::read_dir(dir.join("lives")) else { return false };
    entries.take(LOOKED_AT).flatten().any(|entry| {
        let name = entry.file_name();
        let parts = name.to_str().and_then(|name| name.split_once('-'));
        parts.is_some_and(|(time, random)| {
            let of = |text: &str, length, is: fn(&u8) -> bool| {
                text.len() == length && text.as_bytes().iter().all(is)
            };
            of(time, 15, u8::is_ascii_digit)
                && of(random, 16, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
        })
    })
}

/// The directory of an appliance's that a place is or lies in, by whatever links, and also where it is not there yet: what is written there would be
/// the appliance's, and what is read there is its keys.
pub(crate) fn appliance_of(place: &Path) -> Option<PathBuf> {
    let place = real(&real(place)?)?;
    let home = place.ancestors().find(|dir| is_home(dir));
    home.or_else(|| place.ancestors().find(|dir| is_appliance(dir))).map(Path::to_owned)
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

/// Whether a place is a directory or lies in it, by whatever links, and also where it is not there yet.
pub(crate) fn lies_in(place: &Path, dir: &Path) -> bool {
    match (real(place), real(dir)) {
        (Some(place), Some(dir)) => place.starts_with(dir),
        _ => place.starts_with(dir),
    }
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
        config.pool_dir.as_deref().map_or(Ok(()), pool_owner::refuse_unmounted)?;
    } else {
        zones::refuse(dir, &config.zones)?;
    }
    used::refuse_without_catalog(dir, config)
}

#[cfg(test)]
mod tests {
    use super::appliance_of;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn bodies_and_backups_that_lie_elsewhere_are_an_appliances_by_their_marks() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let life = format!("lives/{:015}-{:016x}", 1, 2);
        for (place, name, text) in [
            ("pool", "owner.json", "{\"format\":\"firn pool\",\"version\":1,"),
            ("newer", "owner.json", "{\"format\":\"firn pool\",\"version\":9,"),
            ("zone", "zone.json", "{\"format\":\"firn zone\",\"version\":1,"),
            ("backup", &format!("{life}/base"), ""),
        ] {
            let (dir, file) = (root.join(place), root.join(place).join(name));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
            assert_eq!(appliance_of(&dir), Some(dir.clone()), "{place}");
            assert_eq!(appliance_of(&dir.join("x/y")), Some(dir), "{place}");
        }
        for (place, name, text) in [
            ("other", "owner.json", "{\"format\":\"firn\"}"),
            ("others", "owner.json", "{\"owner\":\"me\"}"),
            ("zones", "zone.json", "{\"format\":\"firn zones\","),
            ("nine", "lives/of-cats/first", ""),
            ("file", &life, ""),
        ] {
            let (dir, file) = (root.join(place), root.join(place).join(name));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
            assert_eq!(appliance_of(&dir), None, "{place}");
        }
        // What never answers is no mark.
        fs::create_dir(root.join("fifo")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo/owner.json"), rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(appliance_of(&root.join("fifo")), None);
    }

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
