//! `firn backup` and `firn recover`.

use super::admin::Document;
use super::door;
use super::recover_opens::{HINT, opens};
use crate::backup::{Access, Destination, read_key};
use crate::cli::{AdminDir, Backup, Dir, Recover, Remote};
use crate::directory::{Lock, read_marker, store_recipient};
use crate::exit::{Exit, Failure};
use crate::layout::{LOCK, MARKER};
use crate::report::Report;
use crate::report::time::json_time;
use crate::session::Session;
use crate::text::{counted, printable};
use anyhow::Context;
use engine::backup::RecoveryKey;
use engine::catalog::Options;
use engine::clock::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

pub(super) async fn run(session: &Session, args: &Backup) -> anyhow::Result<Exit> {
    match args {
        Backup::Now(dir) => {
            let answer = post(session, dir, &json!({ "action": "base" })).await?;
            session.output.print(&Document(answer))
        }
        Backup::Key(dir) => key(session, dir).await,
    }
}

async fn post(session: &Session, dir: &AdminDir, request: &Value) -> anyhow::Result<Value> {
    door::post(&session.admin(dir)?, "/v1/backup", request).await
}

/// A key's secret half: printed once, on stdout, so that it can be piped to where it is kept.
#[derive(Debug, Serialize)]
struct KeyReport {
    recovery_key: String,
    recipient: String,
}

impl Report for KeyReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.recovery_key)
    }
}

/// The key is made here and never reaches the server: it learns the public half alone.
async fn key(session: &Session, args: &Dir) -> anyhow::Result<Exit> {
    let key = RecoveryKey::generate();
    let recipient = key.recipient();
    if Lock::holder(&args.dir)?.is_some() {
        let request = json!({ "action": "reseal", "recipient": recipient.to_string() });
        let answer = post(session, &AdminDir { dir: Some(args.dir.clone()) }, &request).await?;
        if answer["backup"]["on"] != true {
            let how = answer["backup"]["how"].as_str().unwrap_or_default();
            session.output.note(&format!("firn: no backup runs yet; {}", printable(how)));
        }
    } else {
        read_marker(&args.dir)?;
        let _lock = Lock::take(&args.dir)?;
        store_recipient(&args.dir, &recipient)?;
    }
    session.output.note(
        "firn: this is the new recovery key, shown this once. Keep it where a fire here does not reach; \
         an earlier key opens only what was sealed to it, and nothing once the appliance was recovered since.",
    );
    session.output.print(&KeyReport { recovery_key: key.reveal(), recipient: recipient.to_string() })
}

#[derive(Debug, Serialize)]
struct RecoverReport {
    directory: String,
    base_taken_at: Option<String>,
    base_version: u64,
    version: u64,
    chunks_beyond_gap: u64,
    /// First and last version of which the target has no chunk though it has later ones.
    missing: Option<(u64, u64)>,
    /// First and last version that are at the target and sealed to another recovery key.
    other_key: Option<(u64, u64)>,
    /// The newest base, where it is newer than what was brought back and sealed to another recovery key.
    newer_base: Option<u64>,
    /// The life of the backup that was taken.
    life: Option<String>,
    /// Other lives that are there, newest first.
    other_lives: Vec<String>,
    /// Files at the target that do not belong where they are.
    foreign: Vec<String>,
}

/// Lives, and files, that are named to people.
const NAMED: usize = 5;

impl RecoverReport {
    fn lives(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(life) = &self.life {
            writeln!(out, "  life      {}", printable(life))?;
        }
        if !self.other_lives.is_empty() {
            let others = self.other_lives[..self.other_lives.len().min(NAMED)].join(", ");
            writeln!(out, "  others    {} (--life takes one of them)", printable(&others))?;
        }
        if !self.foreign.is_empty() {
            let some = self.foreign[..self.foreign.len().min(NAMED)].join(", ");
            let count = counted(self.foreign.len() as u64, "file", "files");
            writeln!(
                out,
                "  IGNORED   {count} at the target that the appliance did not put there under that name: {}",
                printable(&some)
            )?;
        }
        Ok(())
    }
}

impl Report for RecoverReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let taken = self.base_taken_at.as_deref().unwrap_or("an unknown time");
        writeln!(out, "{} is rebuilt.", self.directory)?;
        writeln!(out, "  base      version {} of {taken}", self.base_version)?;
        writeln!(out, "  log       through version {}", self.version)?;
        self.lives(out)?;
        let lost = if self.other_key.or(self.missing).is_some() {
            ", though later ones were shipped:"
        } else {
            ": what was not shipped yet"
        };
        writeln!(out, "  lost      every change after version {}{lost}", self.version)?;
        if let Some((first, last)) = self.other_key {
            writeln!(
                out,
                "  SEALED    versions {first} to {last} are at the target, sealed to another recovery key;"
            )?;
            if self.newer_base.is_some() {
                writeln!(
                    out,
                    "            with the newer one, remove {} and recover again: it opens more",
                    self.directory
                )?;
            } else {
                writeln!(
                    out,
                    "            neither key opens them alone: remove {} and recover again with both, --key for each",
                    self.directory
                )?;
            }
        }
        if let Some((first, last)) = self.missing {
            writeln!(
                out,
                "  MISSING   the target has no log of versions {first} to {last}, so that {} log chunks behind them are of no use;",
                self.chunks_beyond_gap
            )?;
            writeln!(
                out,
                "            if they can be found, put them there, remove {} and recover again",
                self.directory
            )?;
        }
        if self.other_key.or(self.missing).is_some() {
            writeln!(
                out,
                "  BODIES    of objects that were moved or deleted after version {} may be gone: the pools hold bodies only until their \
                 deletion is shipped; the scrubber finds them, and firn doctor tells",
                self.version
            )?;
        }
        if self.other_key.is_some() {
            let keys = if self.newer_base.is_some() { "the newer key" } else { "both keys" };
            return writeln!(
                out,
                "  next      do not start it: recover again with {keys}  (to give up what they open: firn server {} --accept-loss)",
                self.directory
            );
        }
        writeln!(
            out,
            "  next      firn server {}  (with the same --config, so that it finds the pool)",
            self.directory
        )
    }

    fn exit(&self) -> Exit {
        if self.other_key.or(self.missing).is_some() { Exit::Partial } else { Exit::Ok }
    }
}

/// The refusal of a directory that has an appliance.
pub(super) fn there_already(dir: &Path) -> Failure {
    let text = format!("recover into {}: an appliance is there already", dir.display());
    Failure::new(Exit::Conflict, text).hint("name another directory")
}

/// Makes the directory, for its owner alone, and takes its lock: an appliance that runs there without its marker is one still. None: one is
/// there.
pub(super) fn lock_new(dir: &Path) -> anyhow::Result<Option<Lock>> {
    if dir.join(MARKER).try_exists()? {
        return Ok(None);
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("create {}", dir.display()))?;
    Ok(Some(Lock::take(dir)?))
}

/// Takes away what a recovery made that failed before it brought anything.
pub(super) fn leave(dir: &Path, was_there: bool) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let is_lock = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() == LOCK);
    // What can't be removed is in nobody's way.
    if entries.into_iter().all(is_lock) && fs::remove_file(dir.join(LOCK)).is_ok() && !was_there {
        let _stays = fs::remove_dir(dir);
    }
}

/// An error of a recovery with its next step.
fn explain(error: engine::Error, from: &str) -> anyhow::Error {
    let text = error.to_string();
    let hint = match &error {
        engine::Error::Invalid(_) if text.contains("sealed to another recovery key") => format!(
            "it wants the newest recovery key of that life{}: what follows firn backup key is sealed to the new key alone. A recovery begins a new life of the backup, and what lies in older \
             ones, sealed to keys from before, is not taken any more. --key can be given for each key that you have",
            life_began(&text).map(|at| format!(", which began {at}")).unwrap_or_default()
        ),
        engine::Error::NotFound { what, .. } if what.contains("complete backup") => {
            format!("--from is what backup.target names, and holds lives/: is {} that?", printable(from))
        }
        engine::Error::Invalid(_) if text.starts_with("recover over ") => {
            return Failure::new(Exit::Conflict, text)
                .hint("name another directory, or move that one away")
                .into();
        }
        engine::Error::Corrupt { what, .. } if what.ends_with("of what is to be recovered") => {
            return Failure::new(Exit::Integrity, text).hint(HINT).into();
        }
        _ => return error.into(),
    };
    let exit = if matches!(error, engine::Error::Invalid(_)) { Exit::Usage } else { Exit::NotFound };
    Failure::new(exit, text).hint(hint).into()
}

/// When the life began that a file's name is in: `lives/MILLISECONDS-…`.
fn life_began(text: &str) -> Option<String> {
    let (_, life) = text.split_once("lives/")?;
    let millis = life.split('-').next()?.parse().ok()?;
    json_time(Some(Timestamp::from_millis(millis)))
}

pub(super) async fn recover(session: &Session, args: Recover) -> anyhow::Result<Exit> {
    // There is one: it is required where no zone is named.
    let from = args.from.unwrap_or_default();
    let keys = args.key.iter().map(|file| read_key(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let Remote { endpoint, profile, ca_bundle } = args.at.or(session.endpoint());
    let access =
        Access { endpoint, profile, ca_bundle, credentials_file: args.credentials_file, region: None };
    let destination =
        Destination::parse(&from, access).map_err(|why| Failure::usage(format!("use --from: {why}")))?;
    let target = destination.open(&args.dir, session.clock.clone(), session.entropy.clone())?;
    let options = Options::new(session.clock.clone(), session.entropy.clone(), Arc::default());
    let was_there = args.dir.is_dir();
    let Some(lock) = lock_new(&args.dir)? else { return Err(there_already(&args.dir).into()) };
    let recovered = match engine::backup::recover(
        target.as_ref(),
        (&keys, args.base, args.life.as_deref()),
        &args.dir,
        (MARKER, Some(&opens(session))),
        options,
    )
    .await
    {
        Ok(recovered) => recovered,
        Err(error) => {
            leave(&args.dir, was_there);
            return Err(explain(error, &from));
        }
    };
    drop(lock);
    let report = RecoverReport {
        directory: args.dir.display().to_string(),
        base_taken_at: json_time(Some(recovered.base_taken_at_ms)),
        base_version: recovered.base_version,
        version: recovered.version,
        chunks_beyond_gap: recovered.chunks_beyond_gap,
        missing: recovered.missing,
        other_key: recovered.other_key,
        newer_base: recovered.newer_base,
        life: recovered.life,
        other_lives: recovered.other_lives,
        foreign: recovered.foreign,
    };
    session.output.print(&report)
}
