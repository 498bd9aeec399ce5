//! The directory of an appliance: made at the first start, checked at every later one.
//!
//! ```text
//!   DIR/ 0700        firn.json  lock  credentials 0600  admin-token 0600  master.key 0600
//!                    catalog/   pools/local/   backup/   tls/   run/
//! ```
//!
//! Invariants: one process at a time (lock); the marker is written before any secret, and every file durably and whole; a
//! master key is never made where there is data already.
//!
//! A crash at any point of the first start leaves a directory that the next start finishes making.

use crate::directory::{Lock, Marker, read_marker, secrets, store_recipient};
use crate::doors::Doors;
use crate::exit::{Exit, Failure};
use crate::layout::{
    ADMIN_TOKEN, CATALOG, CREDENTIALS, DOORS, LOCK, MARKER, MASTER_KEY, RECIPIENT, RECOVERING, RUN,
    STARTED_WITH,
};
use crate::text::{quote_sh, show_duration};
use anyhow::Context;
use engine::backup::{self, Recipient, RecoveryKey};
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::file as durable;
use security::AccountId;
use security::credentials::File as Credentials;
use security::keys::FileCustodian;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_REGION: &str = "us-east-1";
/// A rehearsal's day is no longer than a real one, and long enough to do something in.
const DEBUG_DAY: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

/// What the first start may find, whole or half written as `.new`: the leavings of a first start that crashed.
const LEAVINGS: [&str; 7] = [LOCK, RUN, MARKER, CREDENTIALS, ADMIN_TOKEN, MASTER_KEY, "lost+found"];

/// An appliance's directory, locked, with its secrets.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    pub(crate) marker: Marker,
    pub(crate) credentials: Credentials,
    pub(crate) custodian: Arc<FileCustodian>,
    pub(crate) admin_token: String,
    /// The appliance was made by this start.
    pub(crate) is_new: bool,
    /// The access key was made by this start: its secret may be shown, once.
    pub(crate) key_is_new: bool,
    /// The recovery key's secret half, made by this start because somebody is there to write it down. Kept nowhere.
    pub(crate) new_recovery_key: Option<RecoveryKey>,
    /// What is missing may be given up.
    pub(crate) accepts_loss: bool,
    _lock: Lock,
}

/// What a start asks of a directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) region: Option<String>,
    pub(crate) debug_day: Option<Duration>,
    /// Somebody watches a terminal, so secrets that are shown once can be made now.
    pub(crate) shows_secrets: bool,
    /// Commits that are sealed to another recovery key, or that a newer catalog had, may be given up.
    pub(crate) accept_loss: bool,
}

impl Home {
    /// Opens the directory, or makes it.
    pub(crate) fn open(
        dir: &Path,
        wish: &Wish,
        clock: &dyn Clock,
        entropy: &Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        let dir = std::path::absolute(dir)?;
        // Before anything is changed in it: what is somebody else's stays as it is.
        if dir.is_dir() && !dir.join(MARKER).try_exists()? {
            refuse_foreign(&dir)?;
        }
        make_private(&dir)?;
        let lock = Lock::take(&dir)?;
        let mut is_new = false;
        let marker = match read_marker(&dir) {
            Ok(marker) => {
                let marker = agree(&dir, marker, wish)?;
                refuse_loss(&dir, wish.accept_loss)?;
                backup::remove_leavings(&dir)?;
                remove_recovering(&dir)?;
                marker
            }
            Err(failure) if failure.exit == Exit::NotFound => {
                is_new = true;
                create(&dir, wish, clock, &**entropy)?
            }
            Err(failure) => return Err(failure.into()),
        };
        make_private(&dir.join(RUN))?;
        let custodian = custodian(&dir, entropy)?;
        let (credentials, key_is_new) = credentials(&dir, &marker, &**entropy)?;
        let admin_token = admin_token(&dir, &**entropy)?;
        let new_recovery_key = recovery_key(&dir, wish.shows_secrets && key_is_new)?;
        Ok(Self {
            dir,
            marker,
            credentials,
            custodian: Arc::new(custodian),
            admin_token,
            is_new,
            key_is_new,
            new_recovery_key,
            accepts_loss: wish.accept_loss,
            _lock: lock,
        })
    }

    /// Leaves an address for clients on this machine; it is there once the door is open.
    pub(crate) fn announce(&self, file: &str, addr: std::net::SocketAddr) -> anyhow::Result<()> {
        Ok(durable::replace(&self.dir.join(file), format!("{addr}\n").as_bytes())?)
    }

    /// Leaves the doors' URLs for clients on this machine.
    pub(crate) fn announce_doors(&self, doors: &Doors) -> anyhow::Result<()> {
        Ok(durable::replace(&self.dir.join(DOORS), &serde_json::to_vec(doors)?)?)
    }

    /// Leaves the configuration file of this start for those who tell how to start it again.
    pub(crate) fn remember_config(&self, file: Option<&Path>) -> anyhow::Result<()> {
        let Some(file) = file else {
            self.retract(STARTED_WITH);
            return Ok(());
        };
        let file = std::path::absolute(file)?;
        Ok(durable::replace(&self.dir.join(STARTED_WITH), file.as_os_str().as_bytes())?)
    }

    /// Keeps the public half of the recovery key.
    pub(crate) fn store_recipient(&self, recipient: &Recipient) -> anyhow::Result<()> {
        store_recipient(&self.dir, recipient)
    }

    /// Takes away what was left for clients.
    pub(crate) fn retract(&self, file: &str) {
        let path = self.dir.join(file);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "failed to remove what clients on this machine were told");
        }
    }
}

/// Makes a directory that only its owner can enter. One that is there and empty is made so; one that holds an appliance
/// already and lets others in is reported, by `doctor` too.
fn make_private(dir: &Path) -> anyhow::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(parent) = dir.parent() {
                fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
            }
            fs::DirBuilder::new()
                .mode(0o700)
                .create(dir)
                .with_context(|| format!("create {}", dir.display()))?;
            return Ok(());
        }
        Err(error) => return Err(anyhow::Error::from(error).context(format!("create {}", dir.display()))),
    }
    let metadata = fs::metadata(dir).with_context(|| format!("look at {}", dir.display()))?;
    if !metadata.is_dir() {
        return Err(Failure::usage(format!("use {}: it is no directory", dir.display())).into());
    }
    if metadata.permissions().mode().trailing_zeros() >= 6 {
        return Ok(());
    }
    if fs::read_dir(dir)?.next().is_none() {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("chmod 700 {}", dir.display()))?;
    } else {
        let path = quote_sh(&dir.display().to_string());
        tracing::warn!("others can enter {}; close it: chmod 700 {path}", dir.display());
    }
    Ok(())
}

/// What an appliance was made with can't be changed by starting it.
fn agree(dir: &Path, marker: Marker, wish: &Wish) -> Result<Marker, Failure> {
    if let Some(region) = wish.region.as_ref().filter(|region| **region != marker.region) {
        return Err(Failure::usage(format!(
            "start {} in region {region}: it was made in {}, which stands in every ARN",
            dir.display(),
            marker.region
        ))
        .hint(format!(
            "leave the region out, and it keeps its own: region in the --config file, and FIRN_REGION; or name {}",
            marker.region
        )));
    }
    if wish.debug_day.is_some() && wish.debug_day != marker.debug_day {
        let was = marker.debug_day.map_or_else(
            || "without --debug-day".to_owned(),
            |day| format!("with --debug-day {}", show_duration(day)),
        );
        return Err(Failure::usage(format!(
            "start {} with another length of day: it was made {was}, and a change would open its locks",
            dir.display()
        ))
        .hint("rehearse on a directory of its own: firn server ./rehearsal --debug-day 10s"));
    }
    Ok(marker)
}

/// Refuses what a former recovery key brought back, as long as nobody gave up the rest: a start takes the pools over with an
/// older catalog, and what that calls free is written over.
fn refuse_loss(dir: &Path, accepts: bool) -> anyhow::Result<()> {
    let Some(mut recovered) = backup::Recovered::read(dir).context("read what was recovered")? else {
        return Ok(());
    };
    let Some((first, last)) = recovered.other_key.filter(|_| !recovered.loss_accepted) else {
        return Ok(());
    };
    if accepts {
        recovered.accept_loss(dir)?;
        tracing::warn!("versions {first} to {last}, sealed to another recovery key, are given up");
        return Ok(());
    }
    let shown = dir.display().to_string();
    Err(Failure::new(
        Exit::Conflict,
        format!(
            "start {shown}: versions {first} to {last} are at the backup's target, sealed to another recovery key than it was \
             recovered with, and would be lost with the bodies that they name"
        ),
    )
    .hint(format!(
        "do not start it: remove it and recover again with the newer key and this one (--key for each); to give these versions \
         up for good: firn server {} --accept-loss",
        quote_sh(&shown)
    ))
    .into())
}

/// A recovery from a zone that was cut off behind its last step left this. In an appliance it would say that its catalog may be
/// written over.
fn remove_recovering(dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(RECOVERING);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(anyhow::Error::from(error).context(format!("remove {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Refuses a directory that holds anything but the leavings of a first start.
fn refuse_foreign(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let name = entry?.file_name();
        let whole = name.to_str().map(|name| name.strip_suffix(durable::PARTIAL).unwrap_or(name));
        if !whole.is_some_and(|whole| LEAVINGS.contains(&whole)) {
            return Err(Failure::usage(format!(
                "make an appliance in {}: it is not empty (it holds {})",
                dir.display(),
                name.display()
            ))
            .hint("name a directory that is empty or not there yet")
            .into());
        }
    }
    Ok(())
}

fn create(dir: &Path, wish: &Wish, clock: &dyn Clock, entropy: &dyn Entropy) -> anyhow::Result<Marker> {
    refuse_foreign(dir)?;
    if let Some(day) = wish.debug_day.filter(|day| !DEBUG_DAY.contains(day)) {
        return Err(Failure::usage(format!(
            "use --debug-day {}: 100ms to 1d are allowed",
            show_duration(day)
        ))
        .into());
    }
    let marker = Marker {
        created: clock.now(),
        region: wish.region.clone().unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        account: AccountId::random(entropy),
        debug_day: wish.debug_day,
    };
    durable::replace(&dir.join(MARKER), marker.encode().as_bytes())?;
    Ok(marker)
}

fn custodian(dir: &Path, entropy: &Arc<dyn Entropy>) -> anyhow::Result<FileCustodian> {
    let path = dir.join(MASTER_KEY);
    let has_data = dir.join(CATALOG).try_exists()?;
    if path.try_exists()? {
        return secrets::master_key(dir, entropy);
    }
    if has_data {
        return Err(Failure::new(
            Exit::NotFound,
            format!("find the master key {}: without it the data here can't be read", path.display()),
        )
        .hint("put it back from where you keep a copy")
        .into());
    }
    FileCustodian::generate(&path, entropy.clone()).context("make the master key")
}

/// A missing credentials file is made anew, with a new key: whoever can start the server may have one.
fn credentials(dir: &Path, marker: &Marker, entropy: &dyn Entropy) -> anyhow::Result<(Credentials, bool)> {
    let path = dir.join(CREDENTIALS);
    if let Some(file) = secrets::credentials(dir, marker.account)? {
        return Ok((file, false));
    }
    if dir.join(CATALOG).try_exists()? {
        tracing::warn!(
            "{} was gone and is made anew: keys that clients have from before no longer work",
            path.display()
        );
    }
    let file = Credentials::generate(&path, marker.account, &marker.region, entropy)
        .context("make the credentials")?;
    Ok((file, true))
}

/// A recovery key that nobody sees is worth nothing: without a terminal none is made, and `firn backup key` makes one.
fn recovery_key(dir: &Path, wanted: bool) -> anyhow::Result<Option<RecoveryKey>> {
    if !wanted || dir.join(RECIPIENT).try_exists()? {
        return Ok(None);
    }
    let key = RecoveryKey::generate();
    store_recipient(dir, &key.recipient())?;
    Ok(Some(key))
}

fn admin_token(dir: &Path, entropy: &dyn Entropy) -> anyhow::Result<String> {
    if let Some(token) = secrets::admin_token(dir)? {
        return Ok(token);
    }
    let mut random = [0; 32];
    entropy.fill(&mut random);
    let token = hex::encode(random);
    durable::replace(&dir.join(ADMIN_TOKEN), format!("{token}\n").as_bytes())?;
    Ok(token)
}

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;
