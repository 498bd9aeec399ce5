//! Backup of catalog and keys to another disk or endpoint, and recovery of a lost system disk.
//!
//! ```text
//!   catalog ──checkpoint──► base  ─┐
//!      └──────commit log──► chunks ┴─ sealed to the recovery key ─► target ──recover──► a new system disk + the old pools
//! ```
//!
//! Bodies are not in a backup: they stay in the pools, and [`LogWorker`]'s hold keeps the pools from recycling what the
//! newest complete backup (base plus contiguous log) still names.
//!
//! # Invariants
//! - A base exists once its manifest does; a chunk once it is there whole. Both are durable at the target before they count.
//! - Nothing that a running appliance holds can open what it ships.
//! - The hold never passes a version that the target does not have.
//!
//! # Limits
//! Chunks of up to 8 MiB, about one a second; two bases kept; one base at a time.
//!
//! # After a crash
//! At the target files that no manifest names, removed by the next base, and what was put in part, removed at the next start; here
//! staging files, removed then too.

mod base;
mod download;
mod manifest;
mod progress;
mod recover;
mod seal;
mod ship;
mod staging;
mod target;
#[cfg(test)]
mod tests;

pub use progress::Status;
pub use recover::{Recovered, recover, remove_leavings};
pub use seal::{Recipient, RecoveryKey};
pub use ship::{BaseWorker, LogWorker};
#[doc(hidden)]
pub use target::conformance;
pub use target::{DirectoryTarget, Target};

use crate::blocking::blocking;
use crate::catalog::RocksCatalog;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::fault::{Faults, Point};
use crate::small_files::SmallFiles;
use crate::{Error, Result};
use arc_swap::ArcSwap;
use manifest::Life;
use progress::Progress;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};
use tokio::sync::OnceCell;

/// Which life of the target this directory writes.
const LIFE: &str = "life";
/// The one that it wrote before its catalog went back.
const FORMER_LIFE: &str = "former-life";

/// The catalog is not the one that wrote the life: the next base begins another.
fn end_life(dir: &Path) -> Result<()> {
    if let Some(life) = Life::load(&dir.join(LIFE))? {
        life.store(&dir.join(FORMER_LIFE))?;
        crate::file::remove(&dir.join(LIFE))?;
    }
    Ok(())
}

/// What a recovery leaves in the data directory.
const RECOVERED: &str = "recovered.json";

/// What a [`Backup`] is made of.
pub struct Parts {
    /// The small files of the data directory that a recovered appliance needs: marker, master key, credentials. They go into every base.
    pub files: Arc<SmallFiles>,
    /// What is backed up.
    pub catalog: Arc<RocksCatalog>,
    /// Where to.
    pub target: Arc<dyn Target>,
    /// Public half of the recovery key.
    pub recipient: Recipient,
    /// Time between two bases.
    pub base_every: Duration,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Names a new life.
    pub entropy: Arc<dyn Entropy>,
    /// Injected faults.
    pub faults: Arc<Faults>,
}

/// The backup of one appliance to one target.
pub struct Backup {
    root: PathBuf,
    /// `root`/backup: staging, index.
    dir: PathBuf,
    files: Arc<SmallFiles>,
    catalog: Arc<RocksCatalog>,
    target: Arc<dyn Target>,
    recipient: ArcSwap<Recipient>,
    life: OnceCell<Life>,
    base_every: Duration,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    faults: Arc<Faults>,
    progress: Progress,
    base_running: tokio::sync::Mutex<()>,
}

impl Backup {
    /// Touches nothing but the data directory: a target that can't be reached now is no reason not to start.
    pub fn open(parts: Parts) -> Result<Arc<Self>> {
        let root = parts.files.root().to_owned();
        let dir = root.join("backup");
        fs::create_dir_all(&dir).map_err(|error| Error::io("create", &dir, error))?;
        staging::sweep(&dir)?;
        if parts.catalog.went_back() {
            end_life(&dir)?;
        }
        Ok(Arc::new(Self {
            root,
            dir,
            files: parts.files,
            catalog: parts.catalog,
            target: parts.target,
            recipient: ArcSwap::from_pointee(parts.recipient),
            life: OnceCell::new(),
            base_every: parts.base_every,
            progress: Progress::begun(parts.clock.boottime()),
            clock: parts.clock,
            entropy: parts.entropy,
            faults: parts.faults,
            base_running: tokio::sync::Mutex::new(()),
        }))
    }

    /// Seals to another key from now on, and asks for a base under it: what is needed for a recovery is never sealed to two
    /// keys for longer than that base takes.
    pub fn reseal(&self, recipient: Recipient) {
        self.recipient.store(Arc::new(recipient));
        self.progress.base_wanted();
    }

    /// This life. The first call takes up where the last process of it stopped, by what the target lists, or begins a new
    /// one.
    async fn life(&self) -> Result<&Life> {
        self.life
            .get_or_try_init(|| async {
                let (file, former) = (self.dir.join(LIFE), self.dir.join(FORMER_LIFE));
                let from = file.clone();
                let mut loaded = blocking(move || Life::load(&from)).await?;
                if let Some(life) = &loaded
                    && self.is_of_another_history(life).await?
                {
                    let dir = self.dir.clone();
                    blocking(move || end_life(&dir)).await?;
                    loaded = None;
                }
                let life = if let Some(life) = loaded {
                    // Nothing is put before this has answered.
                    if let Err(error) = self.target.tidy(&life.prefix()).await {
                        let place = self.target.describe();
                        tracing::warn!(%error, place, "can't remove what was put in part; the next start will");
                    }
                    life
                } else {
                    let newest = Life::newest(&self.target.list("lives/").await?);
                    if newest.is_some() && !self.root.join(RECOVERED).exists() && !former.exists() {
                        return Err(Error::Invalid(format!(
                            "back up to {}: it holds the backup of another appliance; recover that one before this \
                             is started, or name a target of its own",
                            self.target.describe()
                        )));
                    }
                    let life = Life::new(self.clock.now(), newest.as_ref(), self.entropy.as_ref());
                    blocking(move || life.store(&file).map(|()| life)).await?
                };
                self.progress.take_up(self.target.as_ref(), &life).await?;
                Ok(life)
            })
            .await
    }

    /// Whether the target has versions of a life that the catalog had not when it was opened: it is an older one, or another.
    /// What it commits next has the numbers of what lies there, and never lies beside it.
    async fn is_of_another_history(&self, life: &Life) -> Result<bool> {
        let (target, here) = (self.target.describe(), self.catalog.opened_at());
        let there = Life::last_version(&self.target.list(&life.prefix()).await?);
        if there <= here {
            return Ok(false);
        }
        tracing::warn!(
            there,
            here,
            place = target,
            "the backup holds versions that this catalog does not have: they stay there, and a new life of the backup begins"
        );
        Ok(true)
    }

    /// How far the backup is behind, for `status`.
    pub fn status(&self) -> Status {
        self.progress.status(self.target.describe(), self.catalog.synced(), self.clock.boottime())
    }

    async fn put(&self, name: &str, file: &Path) -> Result<()> {
        self.faults.check(Point::BackupWrite).map_err(|error| Error::io("write", name, error))?;
        self.target.put(name, file).await
    }

    /// Stores what `open` gives under `name`, sealed.
    async fn put_sealed<R: io::Read>(
        &self,
        name: &str,
        recipient: Arc<Recipient>,
        open: impl FnOnce() -> Result<R> + Send + 'static,
    ) -> Result<()> {
        let sealed = staging::File::new(&self.dir);
        let to = sealed.path().to_owned();
        let named = name.to_owned();
        blocking(move || seal::seal_to(open()?, (&named, &to), &recipient)).await?;
        self.put(name, sealed.path()).await?;
        blocking(move || {
            drop(sealed);
            Ok(())
        })
        .await
    }
}
