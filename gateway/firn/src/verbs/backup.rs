//! `firn backup` and `firn recover`.

use super::admin::Document;
use super::door;
use crate::backup::{Access, Destination, read_key};
use crate::cli::{AdminDir, Backup, Dir, Recover, Remote};
use crate::directory::{Lock, read_marker, store_recipient};
use crate::exit::{Exit, Failure};
use crate::layout::MARKER;
use crate::report::Report;
use crate::report::time::json_time;
use crate::session::Session;
use crate::text::printable;
use engine::backup::RecoveryKey;
use engine::catalog::Options;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Write};
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
         an earlier key opens earlier backups only.",
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
}

impl Report for RecoverReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let taken = self.base_taken_at.as_deref().unwrap_or("an unknown time");
        writeln!(out, "{} is rebuilt.", self.directory)?;
        writeln!(out, "  base      version {} of {taken}", self.base_version)?;
        writeln!(out, "  log       through version {}", self.version)?;
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
            writeln!(
                out,
                "            with the newer one, remove {} and recover again: it opens more",
                self.directory
            )?;
        }
        if let Some((first, last)) = self.missing {
            writeln!(
                out,
                "  MISSING   versions {first} to {last} are not at the target, so that {} log chunks behind them are of no use;",
                self.chunks_beyond_gap
            )?;
            writeln!(
                out,
                "            if they can be found, put them there, remove {} and recover again",
                self.directory
            )?;
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

pub(super) async fn recover(session: &Session, args: Recover) -> anyhow::Result<Exit> {
    let key = read_key(&args.key)?;
    let Remote { endpoint, profile, ca_bundle } = args.at.or(session.endpoint());
    let access =
        Access { endpoint, profile, ca_bundle, credentials_file: args.credentials_file, region: None };
    let destination =
        Destination::parse(&args.from, access).map_err(|why| Failure::usage(format!("use --from: {why}")))?;
    let target = destination.open(&args.dir, session.clock.clone(), session.entropy.clone())?;
    let options = Options::new(session.clock.clone(), session.entropy.clone(), Arc::default());
    let recovered = engine::backup::recover(target.as_ref(), key, &args.dir, MARKER, options).await?;
    let report = RecoverReport {
        directory: args.dir.display().to_string(),
        base_taken_at: json_time(Some(recovered.base_taken_at_ms)),
        base_version: recovered.base_version,
        version: recovered.version,
        chunks_beyond_gap: recovered.chunks_beyond_gap,
        missing: recovered.missing,
        other_key: recovered.other_key,
    };
    session.output.print(&report)
}
