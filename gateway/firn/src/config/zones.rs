//! `[[zone]]` and `[copies]`: failure domains and how many of them a body lies in.

use super::raw;
use crate::exit::Failure;
use engine::blob::Short;
use std::path::PathBuf;

/// Most zones of an appliance.
const ZONES_MAX: usize = 64;

/// A failure domain, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ZoneConfig {
    pub(crate) name: String,
    pub(crate) directories: Vec<PathBuf>,
}

/// How often bodies are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CopiesConfig {
    /// In so many zones; two where there are two, when it is not said.
    pub(crate) count: Option<usize>,
    /// What becomes of a body that finds fewer.
    pub(crate) short: Short,
}

type Bad<'a> = &'a dyn Fn(&str, String) -> Failure;

pub(super) fn zones(
    raw: Vec<raw::Zone>,
    pool_is_named: bool,
    bad: Bad<'_>,
) -> Result<Vec<ZoneConfig>, Failure> {
    if !raw.is_empty() && pool_is_named {
        let why = "there are [[zone]]s; let the first one have that directory".to_owned();
        return Err(bad("pool.directory", why));
    }
    if raw.len() > ZONES_MAX {
        return Err(bad("zone", format!("{} are not in 1..={ZONES_MAX}", raw.len())));
    }
    let mut zones: Vec<ZoneConfig> = Vec::new();
    for zone in raw {
        let name = zone.name;
        if !is_name(&name) {
            return Err(bad("zone.name", format!("{name:?} is not 1..=32 of a-z, 0-9 and -")));
        }
        if zones.iter().any(|other| other.name == name) {
            return Err(bad("zone.name", format!("{name} stands twice")));
        }
        let mut directories = zone.directories;
        directories.extend(zone.directory);
        if directories.is_empty() {
            return Err(bad("zone.directory", format!("zone {name} has none")));
        }
        if let Some(dir) = directories.iter().find(|dir| !dir.is_absolute()) {
            return Err(bad("zone.directory", format!("{} is not an absolute path", dir.display())));
        }
        zones.push(ZoneConfig { name, directories });
    }
    let all: Vec<_> = zones.iter().flat_map(|z| z.directories.iter().map(|dir| (&z.name, dir))).collect();
    for (n, (zone, dir)) in all.iter().enumerate() {
        if let Some((other, outer)) = all[..n].iter().find(|(_, o)| dir.starts_with(o) || o.starts_with(dir))
        {
            let (dir, outer) = (dir.display(), outer.display());
            let why = format!("{dir} of zone {zone} and {outer} of zone {other} are not apart");
            return Err(bad("zone.directory", why));
        }
    }
    Ok(zones)
}

pub(super) fn copies(raw: &raw::Copies, zones: &[ZoneConfig], bad: Bad<'_>) -> Result<CopiesConfig, Failure> {
    let most = zones.len().clamp(1, 3) as u64;
    if let Some(count) = raw.count.filter(|count| !(1..=most).contains(count)) {
        let why = format!("{count} is not in 1..={most}, for {} zones", zones.len().max(1));
        return Err(bad("copies.count", why));
    }
    let short = match raw.short.as_deref() {
        None | Some("refuse") => Short::Refuse,
        Some("accept") => Short::Accept,
        Some(other) => {
            return Err(bad("copies.short", format!("{other:?} is none of \"refuse\", \"accept\"")));
        }
    };
    Ok(CopiesConfig { count: raw.count.and_then(|count| usize::try_from(count).ok()), short })
}

fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(fine)
}
