//! Worker `catalog-copy`: makes a copy of the catalog in the zone that is to have it, keeps its base and small files fresh, and
//! takes it away from one that is to have it no longer. Its unit is bases.
//!
//! ```text
//!   alone ─► prepare: an empty epoch, small files ─► tow: the log is written there too ─► checkpoint, copied ─► join: both
//!   both ──► the log has grown ─► checkpoint, what changed is copied ─► the log is cut
//! ```
//!
//! # What a crash leaves
//! Before the join an epoch that the zone's membership does not name, and a checkpoint here: both are removed by the next try.

use super::keeper::clear;
use super::membership::Membership;
use super::place::{self, Epoch};
use super::{Copying, LOG_FILES_MAX, Place, Task};
use crate::backup::blocking;
use crate::catalog::{Catalog, Commit, RocksCatalog};
use crate::id::PartitionId;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often it looks.
const REST: Duration = Duration::from_secs(2);
/// Where a checkpoint lies while it is copied.
const CHECKPOINT: &str = "copy.checkpoint";

/// Tells where the copy is to be, if anywhere, now; the argument is the zone that has it.
pub type Wanted = Arc<dyn Fn(Option<&str>) -> Option<Place> + Send + Sync>;

/// Makes and keeps the copy.
pub struct CopyWorker {
    catalog: Arc<RocksCatalog>,
    /// The data directory, and its small files that a copy is worth nothing without.
    root: PathBuf,
    attached: Vec<String>,
    wanted: Wanted,
}

impl CopyWorker {
    /// For one catalog. `attached` are names below `root`.
    pub fn new(catalog: Arc<RocksCatalog>, root: PathBuf, attached: Vec<String>, wanted: Wanted) -> Self {
        Self { catalog, root, attached, wanted }
    }

    async fn step(&self) -> Result<Progress> {
        let status = self.catalog.copy_status();
        let had = status.zone.as_deref().filter(|_| status.state == "both");
        let wanted = (self.wanted)(had);
        match (had, wanted) {
            (Some(zone), Some(place)) if zone == place.zone => self.keep(place).await,
            (Some(zone), _) => self.leave(zone).await,
            (None, Some(place)) => self.make(place).await,
            (None, None) => Ok(Progress::Idle { rest: REST }),
        }
    }

    async fn task(&self, task: Task) -> Result<u64> {
        self.catalog.copy_task(task).await
    }

    async fn make(&self, place: Place) -> Result<Progress> {
        let number = self.task(Task::Prepare(place.clone())).await?;
        let (dir, root, names) = (place.dir.clone(), self.root.clone(), self.attached.clone());
        let faults = self.catalog.copy_faults();
        let epoch = blocking(move || {
            let epoch = Epoch::fresh(&dir, number)?;
            epoch.attach(&root, &names, &faults)?;
            Ok(epoch)
        });
        let copying = Copying { place, epoch: epoch.await?, number };
        self.task(Task::Tow(copying.clone())).await?;
        if let Err(error) = self.fill(&copying).await {
            self.task(Task::Leave(error.to_string())).await?;
            return Err(error);
        }
        tracing::info!(zone = copying.place.zone, epoch = number, "the catalog has a copy in a second place");
        let Copying { place, epoch, .. } = copying;
        blocking(move || epoch.remove_others(&place.dir)).await?;
        Ok(Progress::More { done: 1 })
    }

    /// Gives the copy in tow its base, and makes it a member.
    async fn fill(&self, copying: &Copying) -> Result<()> {
        self.put_base(&copying.epoch).await?;
        self.task(Task::Join).await.map(drop)
    }

    async fn put_base(&self, epoch: &Epoch) -> Result<()> {
        let (catalog, into) = (Arc::clone(&self.catalog), epoch.clone());
        let faults = self.catalog.copy_faults();
        let version = blocking(move || {
            let checkpoint = catalog.dir().join(CHECKPOINT);
            place::remove_tree(&checkpoint)?;
            let copied = catalog.checkpoint(&checkpoint).and_then(|version| {
                into.put_base(&checkpoint, &faults)?;
                Ok(version)
            });
            place::remove_tree(&checkpoint)?;
            copied
        });
        let version = version.await?;
        // What the base has of relaxed commits must not be ahead of the logs.
        self.catalog.commit(Commit::new(PartitionId::ROOT, 0)).await?;
        let (named, faults) = (epoch.clone(), self.catalog.copy_faults());
        blocking(move || named.name_base(version, &faults)).await?;
        self.catalog.copy_has_base(version);
        let epoch = epoch.clone();
        blocking(move || epoch.drop_old_bases()).await
    }

    async fn keep(&self, place: Place) -> Result<Progress> {
        let status = self.catalog.copy_status();
        let Some(epoch) = status.epoch_in(&place) else {
            return Ok(Progress::Idle { rest: REST });
        };
        let (into, root, names) = (epoch.clone(), self.root.clone(), self.attached.clone());
        let (faults, dir) = (self.catalog.copy_faults(), place.dir.clone());
        let is_there = blocking(move || {
            // Files that are open hide that their disk is no longer where it was.
            let is_there = Membership::read(&dir)?.is_some_and(|theirs| theirs.epoch == status.epoch);
            if is_there {
                into.attach(&root, &names, &faults)?;
            }
            Ok(is_there)
        });
        if !is_there.await? {
            let why = format!("the copy of the catalog is no longer in {}", place.dir.display());
            self.task(Task::Leave(why)).await?;
            return Ok(Progress::More { done: 0 });
        }
        if self.catalog.copy_log_files() < LOG_FILES_MAX {
            return Ok(Progress::Idle { rest: REST });
        }
        self.put_base(&epoch).await?;
        Ok(Progress::More { done: 1 })
    }

    async fn leave(&self, zone: &str) -> Result<Progress> {
        self.task(Task::Leave(format!("zone {zone} is not to have it any more"))).await?;
        if let Some(place) = self.catalog.copy_place(zone) {
            // Keys lie there.
            blocking(move || clear(&place)).await?;
        }
        Ok(Progress::More { done: 0 })
    }
}

impl Worker for CopyWorker {
    fn name(&self) -> &'static str {
        "catalog-copy"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(self.step())
    }
}

/// What the worker asks of its catalog.
impl RocksCatalog {
    fn copy_has_base(&self, version: u64) {
        let told = self.told();
        told.base.store(version, Ordering::Release);
        told.status.lock().base_version = Some(version);
    }

    fn copy_log_files(&self) -> u64 {
        self.told().files.load(Ordering::Acquire)
    }
}

impl super::CopyStatus {
    /// The directory of the copy's epoch.
    fn epoch_in(&self, place: &Place) -> Option<Epoch> {
        (self.state == "both").then(|| Epoch::numbered(&place.dir, self.epoch))
    }
}
