//! Which directories a start may use as zones, and whose they are.
//!
//! ```text
//!   first zone's first directory ─► as the pool of one zone (pool_owner): owner.json and DIR/pool.json
//!   every other directory ────────► zone.json in it, and a line of DIR/zones.json
//!
//!   directory   DIR/zones.json
//!   none        not named      new: taken, unless it holds bodies
//!   none        named          away: its disk is not there; refused where no other zone is left
//!   ours        any            opened; taken over after a recovery
//!   another zone's, another appliance's, or taken over by another directory of this one: refused
//! ```
//!
//! Both files are one line of JSON (docs/formats/zone-owner.md). The directory's is written first; a crash between the two leaves
//! the third line of the table.

use super::line::Line;
use super::lock::Lock;
use super::marker::{Marker, read_marker};
use super::pool_owner;
use crate::config::ZoneConfig;
use crate::exit::{Exit, Failure};
use crate::layout::{CATALOG, MARKER, ZONES};
use anyhow::Context;
use engine::clock::Timestamp;
use security::AccountId;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file's name in a directory of a zone.
const IN_ZONE: &str = "zone.json";
const OWNER: Line = Line {
    format: "firn zone",
    version: 1,
    mend: "give the zone an empty directory; its copies are made again",
};
/// Whether a directory has the mark of a zone.
pub(super) fn is_marked(dir: &Path) -> bool {
    OWNER.is_at(&dir.join(IN_ZONE))
}

const LIST: Line = Line {
    format: "firn zones",
    version: 1,
    mend: "remove it once every zone's disk is mounted; it is made again",
};

/// Whose a directory of a zone is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ZoneOwner {
    pub(super) account: AccountId,
    pub(super) created: Timestamp,
    pub(super) incarnation: u128,
    pub(super) zone: String,
}

#[derive(Deserialize)]
struct OwnerFields {
    account_id: String,
    created_ms: i64,
    incarnation: String,
    zone: String,
}

impl ZoneOwner {
    pub(super) fn encode(&self) -> String {
        OWNER.render(&format!(
            "\"account_id\":\"{}\",\"created_ms\":{},\"incarnation\":\"{:032x}\",\"zone\":\"{}\"",
            self.account,
            self.created.as_millis(),
            self.incarnation,
            self.zone,
        ))
    }

    pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<Self, Failure> {
        let make = |fields: OwnerFields| {
            Ok(Self {
                account: fields.account_id.parse().map_err(|_| "its account id is none")?,
                created: Timestamp::from_millis(fields.created_ms),
                incarnation: u128::from_str_radix(&fields.incarnation, 16)
                    .map_err(|_| "its incarnation is none")?,
                zone: fields.zone,
            })
        };
        OWNER.read(bytes, &path.display().to_string(), make, Self::encode)
    }
}

/// Directories that were taken, with their zones, and the incarnation that each was marked with last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken(BTreeMap<(String, String), u128>);

#[derive(Deserialize)]
struct TakenFields {
    taken: Vec<(String, String, String)>,
}

impl Taken {
    pub(super) fn encode(&self) -> String {
        let entry = |((zone, place), incarnation): (&(String, String), &u128)| {
            serde_json::json!([zone, place, format!("{incarnation:032x}")]).to_string()
        };
        let taken: Vec<String> = self.0.iter().map(entry).collect();
        LIST.render(&format!("\"taken\":[{}]", taken.join(",")))
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Self, Failure> {
        let entry = |(zone, place, incarnation): (String, String, String)| -> Result<_, &'static str> {
            let incarnation = u128::from_str_radix(&incarnation, 16).map_err(|_| "an incarnation is none")?;
            Ok(((zone, place), incarnation))
        };
        let make =
            |fields: TakenFields| Ok(Self(fields.taken.into_iter().map(entry).collect::<Result<_, _>>()?));
        LIST.read(bytes, &path.display().to_string(), make, Self::encode)
    }

    pub(super) fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(ZONES);
        Ok(read(&path)?.map(|bytes| Self::decode(&bytes, &path)).transpose()?.unwrap_or_default())
    }

    /// The incarnation that a directory was marked with last, if it was taken.
    fn incarnation_of(&self, zone: &str, place: &Path) -> Option<u128> {
        self.0.get(&(zone.to_owned(), place.display().to_string())).copied()
    }

    /// The same of a zone that has one place, wherever that is.
    pub(super) fn of_zone(&self, zone: &str) -> Option<u128> {
        self.0.iter().find(|((name, _), _)| name == zone).map(|(_, incarnation)| *incarnation)
    }

    /// The same list with a remote zone in this place, and in no other.
    pub(super) fn with_remote(&self, zone: &str, place: &str, incarnation: u128) -> Self {
        let mut taken = self.clone();
        taken.0.retain(|(name, _), _| name != zone);
        taken.0.insert((zone.to_owned(), place.to_owned()), incarnation);
        taken
    }

    fn has(&self, zone: &str, place: &Path) -> bool {
        self.incarnation_of(zone, place).is_some()
    }
}

/// Refuses bytes that are not such a list.
pub(super) fn judge_list(bytes: &[u8]) -> Result<(), Failure> {
    Taken::decode(bytes, Path::new(ZONES)).map(drop)
}

/// The files of which one lies in each directory of a zone that was taken, and says whose it is.
pub(crate) const MARKS: [&str; 2] = [IN_ZONE, pool_owner::IN_POOL];

/// What a start found.
pub(crate) struct Found {
    /// Each with the directories that are there, and why others are not.
    pub(crate) zones: Vec<(ZoneConfig, Option<String>)>,
    /// Held while the server runs.
    pub(crate) locks: Vec<Lock>,
}

fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match engine::file::read_regular(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        Err(error) => Err(anyhow::Error::from(error).context(format!("read {}", path.display()))),
    }
}

/// The directory that the pool of one zone would have, and all others with their zones. There is no such directory once the
/// zone that had it is gone, and one that was added later stands first.
fn split<'a>(zones: &'a [ZoneConfig], taken: &Taken) -> (Option<&'a PathBuf>, Vec<(&'a str, &'a PathBuf)>) {
    let mut all = zones.iter().flat_map(|zone| zone.directories.iter().map(|dir| (zone.name.as_str(), dir)));
    let Some((zone, first)) = all.next() else { return (None, Vec::new()) };
    if taken.has(zone, first) {
        return (None, std::iter::once((zone, first)).chain(all).collect());
    }
    (Some(first), all.collect())
}

/// Whether the first directory is the one that a pool of one zone would have, with that pool's mark.
pub(crate) fn first_has_a_pools_mark(dir: &Path, zones: &[ZoneConfig]) -> anyhow::Result<bool> {
    Ok(split(zones, &Taken::load(dir)?).0.is_some())
}

/// Refuses directories that a start would damage. Changes nothing.
pub(crate) fn refuse(dir: &Path, zones: &[ZoneConfig]) -> anyhow::Result<()> {
    let taken = Taken::load(dir)?;
    let (first, others) = split(zones, &taken);
    // One of several may be away; but not where the first of them is named just now, and wrongly.
    if let Some(first) = first
        && (taken.0.is_empty() || zones.len() < 2 || !pool_owner::is_missed(dir, first)?)
    {
        pool_owner::refuse_pool_of_another(dir, first)?;
    }
    refuse_one_place_twice(zones)?;
    refuse_the_data_directory(dir, zones)?;
    let is_made = dir.join(MARKER).try_exists()?;
    let marker = is_made.then(|| read_marker(dir)).transpose()?;
    let own = pool_owner::own(dir)?;
    for (zone, place) in others {
        let shown = place.display();
        let hint = "put the [[zone]] that was there first in front, and let each other one name the directories that were its own, \
                    or empty ones";
        let conflict = |text: String| Err(Failure::new(Exit::Conflict, text).hint(hint).into());
        let path = place.join(IN_ZONE);
        let Some(bytes) = read(&path)? else {
            let is_a_pool = place.join(pool_owner::IN_POOL).try_exists().unwrap_or(false);
            if !taken.has(zone, place) && (is_a_pool || pool_owner::holds_bodies(place)?) {
                return conflict(format!("use {shown} as zone {zone}: it holds the bodies of another pool"));
            }
            continue;
        };
        let owner = ZoneOwner::decode(&bytes, &path)?;
        let is_ours = |marker: &Marker| owner.account == marker.account && owner.created == marker.created;
        if !marker.as_ref().is_some_and(is_ours) {
            return conflict(format!(
                "use {shown} as zone {zone}: it belongs to the appliance of account {}, which would lose its copies",
                owner.account
            ));
        }
        if owner.zone != zone {
            return conflict(format!("use {shown} as zone {zone}: it is zone {}", owner.zone));
        }
        // One that was away during a recovery is as this directory's forebear left it.
        let is_left = taken.incarnation_of(zone, place).is_none_or(|left| left == owner.incarnation);
        if !is_left && own.as_ref().is_some_and(|own| own.incarnation() != owner.incarnation) {
            return conflict(format!(
                "use {shown} as zone {zone}: another directory of this appliance took it over"
            ));
        }
    }
    Ok(())
}

/// Two names of one directory: by a link, or by mounting it twice.
fn refuse_one_place_twice(zones: &[ZoneConfig]) -> Result<(), Failure> {
    let mut seen: Vec<((u64, u64), &str, &Path)> = Vec::new();
    for zone in zones {
        for place in &zone.directories {
            let Some(identity) = identity(place) else { continue };
            if let Some((_, other, first)) = seen.iter().find(|(known, ..)| *known == identity) {
                let (place, first, name) = (place.display(), first.display(), &zone.name);
                let text = format!("use {place} as zone {name}: it is {first}, of zone {other}");
                return Err(Failure::new(Exit::Conflict, text).hint("give each zone a disk of its own"));
            }
            seen.push((identity, &zone.name, place));
        }
    }
    Ok(())
}

/// A zone that is the data directory, or lies in its catalog: what is put or cleared away in one of them would be the other's.
fn refuse_the_data_directory(dir: &Path, zones: &[ZoneConfig]) -> anyhow::Result<()> {
    let catalog = dir.join(CATALOG);
    for zone in zones {
        for place in &zone.directories {
            let is = if is_same(place, dir)? {
                "is the data directory itself"
            } else if is_below(place, &catalog)? {
                "lies in the data directory's catalog"
            } else {
                continue;
            };
            let text = format!("use {} as zone {}: it {is}", place.display(), zone.name);
            return Err(Failure::new(Exit::Conflict, text)
                .hint("give the zone a directory of its own, best on another disk")
                .into());
        }
    }
    Ok(())
}

/// Where a path leads, whether or not what it ends with is there.
fn resolved(path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| format!("find {}", path.display()))?;
    let real = |above: &Path| Some((std::fs::canonicalize(above).ok()?, path.strip_prefix(above).ok()?));
    let found = path.ancestors().find_map(real);
    Ok(found.map_or_else(|| path.clone(), |(above, rest)| above.join(rest)))
}

/// By their names, or as directories that are mounted twice.
fn is_same(one: &Path, other: &Path) -> anyhow::Result<bool> {
    let known = identity(one);
    Ok((known.is_some() && known == identity(other)) || resolved(one)? == resolved(other)?)
}

fn is_below(place: &Path, above: &Path) -> anyhow::Result<bool> {
    for one in resolved(place)?.ancestors() {
        if is_same(one, above)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Takes every directory that is there or new; what [`refuse`] refuses must have been refused before. The first directory's own
/// pool mark is the caller's, unless it is missed.
pub(crate) fn claim(dir: &Path, zones: &[ZoneConfig], marker: &Marker) -> anyhow::Result<Found> {
    let mut taken = Taken::load(dir)?;
    let before = taken.clone();
    let incarnation = pool_owner::own(dir)?.map(|own| own.incarnation()).unwrap_or_default();
    let mut found = Found { zones: Vec::new(), locks: Vec::new() };
    let first = split(zones, &before).0;
    for zone in zones {
        let mut away = None;
        let mut there = Vec::new();
        for place in &zone.directories {
            let path = place.join(IN_ZONE);
            if Some(place) == first {
                if pool_owner::is_missed(dir, place)? {
                    away = Some(missing(place));
                    continue;
                }
            } else if taken.has(&zone.name, place) && read(&path).ok().flatten().is_none() {
                away = Some(missing(place));
                continue;
            } else {
                mark(&path, &zone.name, marker, incarnation)?;
                found.locks.push(Lock::hold(&path)?);
                taken.0.insert((zone.name.clone(), place.display().to_string()), incarnation);
            }
            there.push(place.clone());
        }
        found.zones.push((ZoneConfig { name: zone.name.clone(), directories: there }, away));
    }
    if taken != before {
        engine::file::replace(&dir.join(ZONES), taken.encode().as_bytes())?;
    }
    Ok(found)
}

fn missing(place: &Path) -> String {
    format!("{} has lost its mark: its disk is not mounted, or is another one", place.display())
}

fn mark(path: &Path, zone: &str, marker: &Marker, incarnation: u128) -> anyhow::Result<()> {
    let owner =
        ZoneOwner { account: marker.account, created: marker.created, incarnation, zone: zone.to_owned() };
    let bytes = owner.encode();
    if read(path)?.is_some_and(|there| there == bytes.as_bytes()) {
        return Ok(());
    }
    if let Some(place) = path.parent() {
        std::fs::create_dir_all(place).with_context(|| format!("create {}", place.display()))?;
    }
    // Whoever runs on it has locked the file that would be replaced.
    let _nobody = Lock::hold_if_there(path)?;
    Ok(engine::file::replace(path, bytes.as_bytes())?)
}

/// Is it empty, but for what a file system makes of itself, or a zone's already?
pub(crate) fn is_free(place: &Path) -> std::io::Result<bool> {
    if place.join(IN_ZONE).exists() {
        return Ok(true);
    }
    for entry in std::fs::read_dir(place)? {
        if entry?.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Marks the empty directories of a zone whose disks were replaced; which ones that were. The server must not run.
pub(crate) fn replace(dir: &Path, zones: &[ZoneConfig], name: &str) -> anyhow::Result<Vec<PathBuf>> {
    let Some(zone) = zones.iter().find(|zone| zone.name == name) else {
        let text = format!("replace zone {name}: the configuration has no such zone");
        return Err(Failure::new(Exit::NotFound, text).hint("name one of its [[zone]]s").into());
    };
    refuse(dir, zones)?;
    let marker = read_marker(dir)?;
    let incarnation = pool_owner::own(dir)?.map(|own| own.incarnation()).unwrap_or_default();
    let taken = Taken::load(dir)?;
    let first = split(zones, &taken).0;
    let mut replaced = Vec::new();
    for place in &zone.directories {
        let is_first = Some(place) == first;
        let lacks =
            if is_first { pool_owner::is_missed(dir, place)? } else { read(&place.join(IN_ZONE))?.is_none() };
        if !lacks {
            continue;
        }
        // A disk that is not mounted must not be taken for an empty one.
        if !place.is_dir() {
            let text = format!("replace zone {name}: {} is no directory", place.display());
            let hint = "mount its disk and make the directory";
            return Err(Failure::new(Exit::NotFound, text).hint(hint).into());
        }
        if pool_owner::holds_bodies(place)? {
            let text = format!("replace zone {name}: {} holds bodies and no mark", place.display());
            let hint = "name an empty directory, or put back the mark that it had";
            return Err(Failure::new(Exit::Conflict, text).hint(hint).into());
        }
        // First: a mark without it would call damage what is known to be missing.
        engine::blob::mark_replaced(place)?;
        if is_first {
            pool_owner::replace(dir, place)?;
        } else {
            mark(&place.join(IN_ZONE), name, &marker, incarnation)?;
        }
        replaced.push(place.clone());
    }
    Ok(replaced)
}

#[cfg(test)]
#[path = "zones_tests.rs"]
mod tests;
