//! `[[zone]]` and `[copies]`: failure domains and how many of them a body lies in.

use super::{Config, parse, raw, validate};
use crate::exit::Failure;
use engine::blob::{LOCAL_ZONE, Short};
use std::path::{Path, PathBuf};

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
    /// Whether a zone has a copy of the catalog, with keys and small bodies.
    pub(crate) catalog: bool,
}

impl CopiesConfig {
    /// How many that is in so many zones.
    pub(crate) fn in_zones(self, zones: usize) -> usize {
        self.count.unwrap_or(2).min(zones)
    }
}

type Bad<'a> = &'a dyn Fn(&str, String) -> Failure;

pub(super) fn zones(
    raw: Vec<raw::Zone>,
    pool: Option<&Path>,
    bad: Bad<'_>,
) -> Result<Vec<ZoneConfig>, Failure> {
    if raw.len() > ZONES_MAX {
        return Err(bad("zone", format!("{} are not in 1..={ZONES_MAX}", raw.len())));
    }
    let mut zones: Vec<ZoneConfig> = Vec::new();
    for zone in raw {
        super::remote::refuse_keys(&zone, bad)?;
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
    let first = zones.first().and_then(|zone| zone.directories.first());
    if let (Some(pool), Some(first)) = (pool, first)
        && pool != first
    {
        let why = format!("there are [[zone]]s, and the first one has {}; remove this line", first.display());
        return Err(bad("pool.directory", why));
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
        let why = match zones.len() {
            0 | 1 => {
                format!("{count} copies want as many zones, and there is one: add a [[zone]] (firn zone add)")
            }
            zones => format!("{count} is not from 1 to {most}, with {zones} zones"),
        };
        return Err(bad("copies.count", why));
    }
    let short = match raw.short.as_deref() {
        None | Some("refuse") => Short::Refuse,
        Some("accept") => Short::Accept,
        Some(other) => {
            return Err(bad("copies.short", format!("{other:?} is none of \"refuse\", \"accept\"")));
        }
    };
    if raw.catalog && zones.is_empty() {
        let why = "there is no [[zone]] that a copy could lie in: name one on another disk than the data directory's (firn zone add)";
        return Err(bad("copies.catalog", why.to_owned()));
    }
    let count = raw.count.and_then(|count| usize::try_from(count).ok());
    Ok(CopiesConfig { count, short, catalog: raw.catalog })
}

/// The text of a configuration with one more zone at its end, and what it says. The pool of one that names no zone becomes the
/// first, under the name that it always had.
pub(crate) fn add(
    text: &str,
    file: &Path,
    pool: &Path,
    zone: &ZoneConfig,
) -> Result<(String, Config), Failure> {
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if validate(parse(&text, file)?, file)?.zones.is_empty() {
        let first = ZoneConfig { name: LOCAL_ZONE.to_owned(), directories: vec![pool.to_owned()] };
        text.push_str(&first.to_toml()?);
    }
    text.push_str(&zone.to_toml()?);
    let config = validate(parse(&text, file)?, file)?;
    Ok((text, config))
}

impl ZoneConfig {
    /// As it stands in the file.
    fn to_toml(&self) -> Result<String, Failure> {
        let quoted = |dir: &PathBuf| match dir.to_str() {
            Some(text) => Ok(toml::Value::from(text).to_string()),
            None => Err(Failure::usage(format!("add {}: its name is not UTF-8", dir.display()))),
        };
        let directories = self.directories.iter().map(quoted).collect::<Result<Vec<_>, _>>()?;
        let place = match directories.as_slice() {
            [only] => format!("directory = {only}"),
            several => format!("directories = [{}]", several.join(", ")),
        };
        Ok(format!("\n[[zone]]\nname = {}\n{place}\n", toml::Value::from(self.name.as_str())))
    }
}

pub(super) fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(fine)
}
