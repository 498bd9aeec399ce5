//! `firn recover --from-zone`: a data directory is made from a zone's copy of the catalog.
//!
//! ```text
//!   lock ─► recovering ─► catalog, from the zone's copy, opened with its keys ─► recovered.json ─► small files ─► firn.json ─► recovering is removed
//! ```
//!
//! The zone is only read. Whether the lost directory went on without it nobody can know: the new one takes no commits until
//! `firn server --accept-loss` says that this is accepted. A crash leaves a directory without `firn.json`, which the next try begins anew.

use super::backup::{leave, lock_new, there_already};
use super::recover_opens::{HINT, opens};
use crate::directory::lies_in;
use crate::exit::{Exit, Failure};
use crate::layout::{ATTACHED, CATALOG, MARKER, RECOVERING};
use crate::report::Report;
use crate::session::Session;
use crate::text::{counted, printable, quote_sh};
use anyhow::Context;
use engine::backup::Recovered;
use engine::catalog::Options;
use engine::catalog::copy::{Restored, restore};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct FromZone {
    directory: String,
    zone: String,
    epoch: u64,
    base_version: u64,
    version: u64,
    files: Vec<String>,
    /// Whether a start wants `--accept-loss`.
    loss_to_accept: bool,
}

impl Report for FromZone {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let dir = quote_sh(&self.directory);
        writeln!(
            out,
            "{} is made from the catalog's copy in zone {}.",
            self.directory,
            printable(&self.zone)
        )?;
        writeln!(out, "  catalog   through version {}", self.version)?;
        let files = counted(self.files.len() as u64, "small file", "small files");
        writeln!(out, "  files     {files}, keys among them")?;
        writeln!(
            out,
            "  lost      nothing, if the lost directory had its copy until the end; if it went on alone before, all since then"
        )?;
        writeln!(
            out,
            "  next      if its disk can still be read, start that directory instead: this one is refused then"
        )?;
        writeln!(
            out,
            "            else accept that loss, once: firn server {dir} --accept-loss  (with the same --config)"
        )
    }
}

pub(super) async fn run(session: &Session, dir: &Path, zone: &Path) -> anyhow::Result<Exit> {
    if lies_in(dir, zone) || lies_in(zone, dir) {
        let text =
            format!("recover into {}: it and the zone {} lie in one another", dir.display(), zone.display());
        return Err(Failure::usage(text).hint("name a directory of its own, best on another disk").into());
    }
    let was_there = dir.is_dir();
    let Some(lock) = lock_new(dir)? else { return Err(there_already(dir).into()) };
    let options = Options::new(session.clock.clone(), session.entropy.clone(), Arc::default());
    let (at, opens) = (session.clock.now(), opens(session));
    let (into, from) = (dir.to_owned(), zone.join(CATALOG));
    let restored = tokio::task::spawn_blocking(move || -> anyhow::Result<Restored> {
        let recovering = into.join(RECOVERING);
        if recovering.try_exists()? {
            begin_anew(&into)?;
        } else if into.join(CATALOG).try_exists()? {
            let text = format!("recover over {}: it holds a catalog whose {MARKER} is gone", into.display());
            return Err(Failure::new(Exit::Conflict, text)
                .hint("recover into another directory, or move it away first")
                .into());
        }
        engine::file::replace(&recovering, b"")?;
        let small = ATTACHED.map(str::to_owned);
        let restored = restore(&from, &into.join(CATALOG), (&small, Some(&opens)), options);
        let restored = restored.inspect_err(|_| {
            // Nothing is there to begin anew.
            let _stays = fs::remove_file(&recovering);
        })?;
        Recovered::of_zone(at, restored.base_version, restored.version).write(&into)?;
        restored.attach(&into, MARKER)?;
        fs::remove_file(&recovering).with_context(|| format!("remove {}", recovering.display()))?;
        Ok(restored)
    });
    let restored = match restored.await? {
        Ok(restored) => restored,
        Err(error) => {
            leave(dir, was_there);
            return Err(explain(error, zone));
        }
    };
    drop(lock);
    session.output.print(&FromZone {
        directory: dir.display().to_string(),
        zone: restored.zone,
        epoch: restored.epoch,
        base_version: restored.base_version,
        version: restored.version,
        files: restored.attached.into_iter().map(|(name, _)| name).collect(),
        loss_to_accept: true,
    })
}

/// What a try that was cut short has of a catalog.
fn begin_anew(dir: &Path) -> anyhow::Result<()> {
    let catalog = dir.join(CATALOG);
    match fs::remove_dir_all(&catalog) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(anyhow::Error::from(error).context(format!("remove {}", catalog.display())))
        }
        _ => Ok(()),
    }
}

fn explain(error: anyhow::Error, zone: &Path) -> anyhow::Error {
    let hint = match error.downcast_ref::<engine::Error>() {
        Some(engine::Error::NotFound { .. }) => {
            "--from-zone is the first directory of a [[zone]] that had the copy, with its catalog/ in it: is its disk mounted? Other zones may have it"
        }
        Some(engine::Error::Corrupt { .. }) => HINT,
        Some(engine::Error::InUse { .. }) => {
            "stop the server that writes there first: where one runs, nothing is lost"
        }
        _ => return error.context(format!("recover from the zone in {}", zone.display())),
    };
    let exit = crate::exit::of(&error);
    Failure::new(exit, format!("{error:#}")).hint(hint).into()
}
