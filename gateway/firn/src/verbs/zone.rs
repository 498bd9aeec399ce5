//! `firn zone`: failure domains are listed, added to the configuration, taken out of use, back into it, or get new disks.

use super::door;
use super::status::{count, zones};
use crate::cli::{AdminDir, Zone, ZoneAdd, ZoneName, ZoneReplace};
use crate::config::{self, Overrides, ZoneConfig};
use crate::directory::{
    Lock, pool_dir, read_marker, refuse_bodies_of_another, replace_zone, zone_place_is_free,
    zones_on_one_disk,
};
use crate::exit::{Exit, Failure};
use crate::layout::CATALOG;
use crate::report::Report;
use crate::report::status::{Basics, Status, Zone as ZoneFacts};
use crate::session::Session;
use crate::text::counted;
use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(super) async fn run(session: &Session, args: &Zone) -> anyhow::Result<Exit> {
    match args {
        Zone::Ls(dir) => list(session, dir).await,
        Zone::Add(args) => add(session, args),
        Zone::Drain(args) => ask(session, args, "drain").await,
        Zone::Use(args) => ask(session, args, "use").await,
        Zone::Replace(args) => replace(session, args),
    }
}

/// The zones, as a status has them.
#[derive(Debug, Serialize)]
struct Listed {
    copies: Value,
    zones: Value,
    repair: Value,
    #[serde(skip)]
    told: Status,
}

impl Report for Listed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let Basics { zones: known, copies, .. } = &self.told.basics;
        let known = known.as_deref().unwrap_or_default();
        let copies = count(*copies, "copy", "copies");
        writeln!(out, "{}, {copies} of each body kept", counted(known.len() as u64, "zone", "zones"))?;
        zones(known, out)?;
        super::status::repair(self.told.repair.as_ref(), out)
    }
}

async fn list(session: &Session, dir: &AdminDir) -> anyhow::Result<Exit> {
    let mut status = door::ask(&session.admin(dir)?, "/v1/status", &[]).await?;
    let mut take = |name: &str| status[name].take();
    let (copies, zones, repair) = (take("copies"), take("zones"), take("repair"));
    let told = json!({ "copies": copies, "zones": zones, "repair": repair });
    let told = serde_json::from_value(told).context("read the zones that the server answered")?;
    session.output.print(&Listed { copies, zones, repair, told })
}

/// A zone after it was taken out of use, or back into it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Changed(Value);

impl Report for Changed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let zone: ZoneFacts = serde_json::from_value(self.0["zone"].clone())?;
        zones(&[zone], out)?;
        if self.0["zone"]["state"] == "draining" {
            writeln!(
                out,
                "what it holds is copied elsewhere: firn zone ls tells how far; it may go when nothing is live in it"
            )?;
        }
        Ok(())
    }
}

async fn ask(session: &Session, args: &ZoneName, action: &str) -> anyhow::Result<Exit> {
    let request = json!({ "action": action, "zone": args.zone });
    let answer = door::post(&session.admin(&args.admin)?, "/v1/zone", &request).await;
    let answer = answer.map_err(|error| door::or_else_see(error, "see which there are: firn zone ls"))?;
    session.output.print(&Changed(answer))
}

#[derive(Debug, Serialize)]
struct Added {
    zone: String,
    directories: Vec<String>,
    config: String,
    /// The file has it now, or had it already.
    is_written: bool,
    zones: usize,
    copies: usize,
    /// Zones that are lost together with it.
    on_one_disk_with: Vec<String>,
}

impl Report for Added {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let (zone, config, places) = (&self.zone, &self.config, self.directories.join(", "));
        let is = if self.is_written { "is" } else { "would be" };
        writeln!(
            out,
            "zone {zone}: {places} {is} in {config}: {} in {}",
            counted(self.copies as u64, "copy", "copies"),
            counted(self.zones as u64, "zone", "zones")
        )?;
        for other in &self.on_one_disk_with {
            writeln!(out, "zones {other} and {zone} lie on one disk: losing it loses both their copies")?;
        }
        if self.is_written {
            writeln!(
                out,
                "restart the server with --config {config}; firn zone ls tells how far its copies are"
            )?;
        }
        Ok(())
    }
}

fn add(session: &Session, args: &ZoneAdd) -> anyhow::Result<Exit> {
    read_marker(&args.at.dir)?;
    let mut config = config::load(Some(&args.config), &Overrides::default())?;
    let added = ZoneConfig { name: args.zone.clone(), directories: args.directories.clone() };
    let mut is_written = config.zones.contains(&added);
    if !is_written {
        // A disk that is not mounted must not be taken for an empty one.
        if let Some(place) = args.directories.iter().find(|place| !place.is_dir()) {
            let text = format!("add zone {}: {} is no directory", args.zone, place.display());
            return Err(Failure::new(Exit::NotFound, text)
                .hint("mount its disk and make the directory")
                .into());
        }
        let dir =
            fs::canonicalize(&args.at.dir).with_context(|| format!("find {}", args.at.dir.display()))?;
        let file =
            fs::canonicalize(&args.config).with_context(|| format!("find {}", args.config.display()))?;
        let before = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let pool = pool_dir(&dir, &config);
        let (text, with_it) = config::add_zone(&before, &file, &pool, &added)?;
        config = with_it;
        refuse_bodies_of_another(&dir, &config)?;
        for place in &args.directories {
            if !zone_place_is_free(place).with_context(|| format!("read {}", place.display()))? {
                let text = format!("add zone {}: {} is not empty", args.zone, place.display());
                return Err(Failure::new(Exit::Conflict, text).hint("name an empty directory").into());
            }
        }
        if !args.dry_run {
            rewrite(&file, &text)?;
            is_written = true;
        }
    }
    let places = config.zones.iter().map(|zone| (zone.name.as_str(), zone.directories.as_slice()));
    let shared = zones_on_one_disk(places).into_iter().filter_map(|(a, b)| match &added.name {
        name if *name == a => Some(b),
        name if *name == b => Some(a),
        _ => None,
    });
    session.output.print(&Added {
        zone: args.zone.clone(),
        directories: args.directories.iter().map(|dir| dir.display().to_string()).collect(),
        config: args.config.display().to_string(),
        is_written,
        zones: config.zones.len(),
        copies: config.copies.in_zones(config.zones.len()),
        on_one_disk_with: shared.collect(),
    })
}

/// Puts another text in a file's place, with its owner and mode.
fn rewrite(file: &Path, text: &str) -> anyhow::Result<()> {
    let before = fs::metadata(file).with_context(|| format!("look at {}", file.display()))?;
    engine::file::replace(file, text.as_bytes())?;
    std::os::unix::fs::chown(file, Some(before.uid()), Some(before.gid()))
        .and_then(|()| fs::set_permissions(file, before.permissions()))
        .with_context(|| format!("give {} its owner and mode back", file.display()))
}

#[derive(Debug, Serialize)]
struct Replaced {
    zone: String,
    directories: Vec<String>,
    /// The data directory shares the catalog with it, which its disk had.
    had_the_catalog: bool,
}

impl Report for Replaced {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.directories.is_empty() {
            return writeln!(out, "zone {} lacks nothing", self.zone);
        }
        for directory in &self.directories {
            writeln!(out, "zone {}: {directory} is taken as empty", self.zone)?;
        }
        if self.had_the_catalog {
            writeln!(
                out,
                "the lost disk had the catalog's copy, and may have known more: a start wants --accept-loss, once"
            )?;
        }
        writeln!(out, "start the server; firn zone ls tells how far its copies are")
    }
}

fn replace(session: &Session, args: &ZoneReplace) -> anyhow::Result<Exit> {
    let config = config::load(Some(&args.config), &Overrides::default())?;
    read_marker(&args.at.dir)?;
    if config.zones.len() < 2 {
        let text = format!("replace zone {}: there is no other zone to copy from", args.zone);
        return Err(Failure::new(Exit::Conflict, text).hint("bring its disk back").into());
    }
    let _lock = Lock::take(&args.at.dir)?;
    let directories = replace_zone(&args.at.dir, &config.zones, &args.zone)?;
    let directories = directories.iter().map(|dir| dir.display().to_string()).collect();
    let shared = engine::catalog::copy::shared_with(&args.at.dir.join(CATALOG))?;
    let had_the_catalog = shared.as_ref() == Some(&args.zone)
        && config
            .zones
            .iter()
            .filter(|zone| zone.name == args.zone)
            .all(|zone| zone.directories.first().is_some_and(|first| !first.join(CATALOG).is_dir()));
    session.output.print(&Replaced { zone: args.zone.clone(), directories, had_the_catalog })
}
