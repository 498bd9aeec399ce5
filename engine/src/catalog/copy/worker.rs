//! Worker `catalog-copy`: makes a copy of the catalog in the zone that is to have it, keeps its base and small files fresh, and
//! takes it away from those that are to have none: the one that had it, and each that comes back with what it had. Its unit is bases.
//!
//! ```text
//!   alone ─► claim, read ─► prepare: the epoch is recorded ─► an empty copy, small files, log ─► tow: the log is written there too
//!         ─► checkpoint, copied, read back ─► join: both
//!   both ──► the log has grown ─► checkpoint, what changed is copied, read back ─► the log is cut
//! ```
//!
//! # What a crash leaves
//! Before the join a copy that the zone's membership does not name, and a checkpoint here: both are removed by the next try.

use super::hand::Follower;
use super::judge::{forked, knows};
use super::keeper::{Copying, begin_log, claim, reached};
use super::membership::Membership;
use super::place::{self, CopyDir};
use super::{CopyState, CopyStatus, LOG_FILES_MAX, Place, START_PATIENCE, Task};
use crate::blocking::blocking;
use crate::catalog::{Catalog, Commit, RocksCatalog, Version};
use crate::id::PartitionId;
use crate::small_files::SmallFiles;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often it looks.
const REST: Duration = Duration::from_secs(2);
/// After each parting twice as long as before, up to this: a copy costs the disk as much as the catalog is large.
const REST_MAX: Duration = Duration::from_mins(5);
/// Where a checkpoint lies while it is copied.
const CHECKPOINT: &str = "copy.checkpoint";
/// Log files that a new copy wants room for: the one that is written, the next one, and what is written meanwhile.
const LOG_FILES_WANTED: u64 = 4;

/// Tells where the copy is to be, if anywhere, now; the argument is the zone that has it.
pub type Wanted = Arc<dyn Fn(Option<&str>) -> Option<Place> + Send + Sync>;

/// Makes and keeps the copy.
pub struct CopyWorker {
    catalog: Arc<RocksCatalog>,
    /// What a copy is worth nothing without.
    files: Arc<SmallFiles>,
    wanted: Wanted,
    /// The partings that it has waited after.
    heeded: u32,
    not_before: Duration,
    /// Places that are to have no copy, and may. At first all: one that was away comes back with what it had, keys included.
    pub(super) unclear: Vec<Place>,
    clear_not_before: Duration,
}

impl CopyWorker {
    /// For one catalog, with the small files of its data directory.
    pub fn new(catalog: Arc<RocksCatalog>, files: Arc<SmallFiles>, wanted: Wanted) -> Self {
        let unclear = catalog.copy_options().places.clone();
        let (not_before, clear_not_before) = (Duration::ZERO, Duration::ZERO);
        let worker = Self { catalog, files, wanted, heeded: 0, not_before, unclear, clear_not_before };
        worker.tell_unclear();
        worker
    }

    async fn step(&mut self) -> Result<Progress> {
        self.look_for_absent().await?;
        let status = self.catalog.copy_status();
        if status.state == CopyState::ReadOnly {
            return Ok(Progress::Idle { rest: REST });
        }
        let had = status.zone.clone().filter(|_| status.state == CopyState::Both);
        let wanted = (self.wanted)(had.as_deref());
        match (had, wanted) {
            (Some(zone), Some(place)) if zone == place.zone => match self.keep(place, status).await? {
                Progress::Idle { .. } => self.clear(Some(&zone)).await,
                kept @ Progress::More { .. } => Ok(kept),
            },
            (Some(zone), _) => self.leave(&zone).await,
            (None, Some(place)) => {
                if let Some(rest) = self.rest(&status) {
                    return Ok(Progress::Idle { rest });
                }
                self.make(place).await.inspect_err(|error| self.heed(error))
            }
            (None, None) => self.clear(None).await,
        }
    }

    /// Which zones' disks are not where they were is known to whoever chooses.
    fn heed(&self, error: &Error) {
        if let Error::ZoneAway { zone } = error {
            let mut status = self.catalog.told().status.lock();
            if !status.absent.contains(zone) {
                tracing::error!(zone, "the disk of the zone is not where it was when the zone was opened");
                status.absent.push(zone.clone());
            }
        }
    }

    /// Those whose disk has come back are there again.
    async fn look_for_absent(&self) -> Result<()> {
        let absent = self.catalog.told().status.lock().absent.clone();
        if absent.is_empty() {
            return Ok(());
        }
        let places: Vec<Place> = absent.iter().filter_map(|zone| self.catalog.copy_place(zone)).collect();
        let away = blocking(move || {
            let away = places.into_iter().filter(|place| place.check().is_err());
            Ok(away.map(|place| place.zone).collect())
        });
        let away: Vec<String> = away.await?;
        self.catalog.told().status.lock().absent = away;
        Ok(())
    }

    /// A zone that is to be cleared is not called cleared before it is.
    fn tell_unclear(&self) {
        let mut status = self.catalog.told().status.lock();
        status.uncleared = self.unclear.iter().map(|place| place.zone.clone()).collect();
        if status.leaving.as_ref().is_some_and(|zone| !status.uncleared.contains(zone)) {
            status.leaving = None;
        }
    }

    fn now(&self) -> Duration {
        let (_, _, clock) = self.catalog.log_parts();
        clock.boottime()
    }

    /// What is left of the rest after a parting.
    fn rest(&mut self, status: &CopyStatus) -> Option<Duration> {
        let now = self.now();
        if status.parted > self.heeded {
            self.heeded = status.parted;
            let rest = REST.saturating_mul(1 << status.parted.min(16)).min(REST_MAX);
            self.not_before = now + rest;
        }
        Some(self.not_before.saturating_sub(now)).filter(|rest| !rest.is_zero())
    }

    pub(super) async fn make(&self, place: Place) -> Result<Progress> {
        let (follower, theirs) = self.look(&place).await?;
        let follower = Arc::new(Mutex::new(Some(follower)));
        let number = self.catalog.copy_task(Task::Prepare(place.clone(), theirs)).await?;
        let made = self.fill(&Copying { place: place.clone(), number }, &follower).await;
        let copy = CopyDir::numbered(&place.dir, number);
        if let Err(error) = made {
            self.catalog.copy_task(Task::Leave(error.to_string())).await?;
            // Nothing of it counts, and its disk may be full.
            let cleared = blocking(move || {
                drop(follower.lock().take());
                copy.remove()
            });
            if let Err(error) = cleared.await {
                tracing::warn!(%error, "what a copy of the catalog left can't be removed now");
            }
            return Err(error);
        }
        tracing::info!(zone = place.zone, epoch = number, "the catalog has a copy in a second place");
        blocking(move || copy.remove_others(&place.dir)).await?;
        Ok(Progress::More { done: 1 })
    }

    /// Takes the place for this process, and reads what it says. On a thread that may hang.
    async fn look(&self, place: &Place) -> Result<(Follower, Option<(Membership, Option<Version>)>)> {
        let (told, options) = (Arc::clone(self.catalog.told()), self.catalog.copy_options());
        let (patience, keep_free, place) = (options.patience, options.keep_free, place.clone());
        let (_, _, clock) = self.catalog.log_parts();
        blocking(move || {
            let mut follower = Follower::start(&place, told, (patience, clock))?;
            let theirs = follower.run(patience * START_PATIENCE, move |hand| {
                place.make()?;
                let dir = place.dir;
                claim(&dir, hand)?;
                hand.keep_free = keep_free;
                // One that nobody can read says nothing.
                let theirs =
                    Membership::read(&dir).inspect_err(|error| tracing::warn!(%error, "a stale copy")).ok();
                Ok(theirs.flatten().map(|theirs| {
                    let version = reached(&CopyDir::of(&dir, &theirs)).map(|found| found.version).ok();
                    (theirs, version)
                }))
            })?;
            Ok((follower, theirs))
        })
        .await
    }

    /// Makes the copy, and a member of it.
    async fn fill(&self, copying: &Copying, follower: &Arc<Mutex<Option<Follower>>>) -> Result<()> {
        let copy = self.begin(copying, follower).await?;
        self.catalog.copy_task(Task::Tow(copying.clone(), Arc::clone(follower))).await?;
        self.put_base(&copying.place, &copy).await?;
        self.catalog.copy_task(Task::Join).await.map(drop)
    }

    /// An empty copy, its small files, and a log to write to.
    async fn begin(&self, copying: &Copying, follower: &Arc<Mutex<Option<Follower>>>) -> Result<CopyDir> {
        let (shape, entropy, _) = self.catalog.log_parts();
        let options = self.catalog.copy_options().clone();
        let (faults, follower) = (Arc::clone(&options.faults), Arc::clone(follower));
        let (place, number, files) = (copying.place.clone(), copying.number, Arc::clone(&self.files));
        let (rows, version) = (self.catalog.dir().join("rows"), self.catalog.synced());
        blocking(move || {
            let log = LOG_FILES_WANTED.saturating_mul(shape.file_bytes).saturating_add(options.keep_free);
            let wanted = place::bytes_below(&rows)?.saturating_add(log);
            place.check()?;
            let copy = CopyDir::fresh(&place.dir, number, wanted)?;
            copy.attach(&files, &faults)?;
            if let Some(follower) = &mut *follower.lock() {
                let begun = copy.clone();
                follower.run(options.patience * START_PATIENCE, move |hand| {
                    hand.log = Some(begin_log(&begun, shape, (entropy, faults), version)?);
                    Ok(())
                })?;
            }
            Ok(copy)
        })
        .await
    }

    /// Nothing counts that was not read back with its checksums: what has rotted in the data directory is not to take a good base's place.
    pub(super) async fn put_base(&self, place: &Place, copy: &CopyDir) -> Result<()> {
        let (catalog, into, at) = (Arc::clone(&self.catalog), copy.clone(), place.clone());
        let (faults, told) =
            (Arc::clone(&self.catalog.copy_options().faults), Arc::clone(self.catalog.told()));
        let version = blocking(move || {
            let checkpoint = catalog.dir().join(CHECKPOINT);
            place::remove_tree(&checkpoint)?;
            let copied = catalog.checkpoint(&checkpoint).and_then(|version| {
                at.check()?;
                let copied = into.put_base(&checkpoint, &faults, &told.stopping)?;
                catalog.verify(&into.partial_base(), &copied, &told.stopping).inspect_err(|_| {
                    // Where it is not the zone's disk, the data directory's rows say so from here on.
                    if let Err(error) = catalog.verify(&checkpoint, &copied, &told.stopping) {
                        catalog.note_rot(&error);
                    }
                })?;
                Ok(version)
            });
            place::remove_tree(&checkpoint)?;
            copied
        });
        let version = version.await?;
        // What the base has of relaxed commits must not be ahead of the logs.
        self.catalog.commit(Commit::new(PartitionId::ROOT, 0)).await?;
        let (named, faults) = (copy.clone(), Arc::clone(&self.catalog.copy_options().faults));
        let at = place.clone();
        blocking(move || {
            at.check()?;
            named.name_base(version, &faults)
        })
        .await?;
        let told = self.catalog.told();
        told.base.store(version, Ordering::Release);
        told.status.lock().base_version = Some(version);
        let copy = copy.clone();
        blocking(move || copy.drop_old_bases()).await
    }

    async fn keep(&mut self, place: Place, status: CopyStatus) -> Result<Progress> {
        let copy = CopyDir::numbered(&place.dir, status.copy);
        let (into, files) = (copy.clone(), Arc::clone(&self.files));
        let (faults, at) = (Arc::clone(&self.catalog.copy_options().faults), place.clone());
        let is_there = blocking(move || {
            // Files that are open hide that their disk is no longer where it was, and that somebody else has taken it.
            at.check()?;
            let is_there = Membership::read(&at.dir)?.is_some_and(|theirs| theirs.epoch == status.epoch);
            Ok((is_there, if is_there { into.attach(&files, &faults) } else { Ok(()) }))
        });
        let (is_there, attached) = match is_there.await {
            Err(error @ Error::ZoneAway { .. }) => {
                self.heed(&error);
                (false, Ok(()))
            }
            looked => looked?,
        };
        if !is_there {
            let why = format!("the copy of the catalog is no longer in {}", place.dir.display());
            // Where it is made elsewhere meanwhile, this one comes back with what it had.
            self.unclear.retain(|known| known.zone != place.zone);
            self.unclear.push(place);
            self.tell_unclear();
            self.catalog.copy_task(Task::Leave(why)).await?;
            return Ok(Progress::More { done: 0 });
        }
        // A small file that is not right keeps no base from being renewed.
        if self.catalog.told().files.load(Ordering::Acquire) < LOG_FILES_MAX {
            return attached.map(|()| Progress::Idle { rest: REST });
        }
        self.put_base(&place, &copy).await?;
        attached.map(|()| Progress::More { done: 1 })
    }

    async fn leave(&mut self, zone: &str) -> Result<Progress> {
        let why = format!("zone {zone} is not to have it any more");
        self.unclear.retain(|place| place.zone != zone);
        self.unclear.extend(self.catalog.copy_place(zone));
        self.catalog.told().status.lock().leaving = Some(zone.to_owned());
        self.tell_unclear();
        self.catalog.copy_task(Task::Leave(why)).await?;
        Ok(Progress::More { done: 0 })
    }

    /// Takes away what zones have that are to have no copy, keys included, once nobody writes there any more. One at a time. One whose disk is not there
    /// stays among those that may have something.
    async fn clear(&mut self, current: Option<&str>) -> Result<Progress> {
        let idle = Ok(Progress::Idle { rest: REST });
        self.unclear.retain(|place| current != Some(place.zone.as_str()));
        self.tell_unclear();
        let now = self.now();
        if now < self.clear_not_before {
            return idle;
        }
        for _ in 0..self.unclear.len() {
            let Some(place) = self.unclear.first().cloned() else { break };
            match self.clear_one(place).await {
                Ok(()) => {
                    self.unclear.remove(0);
                    self.tell_unclear();
                    return if self.unclear.is_empty() { idle } else { Ok(Progress::More { done: 0 }) };
                }
                Err(Error::InUse { .. }) => return idle,
                Err(error @ Error::ZoneAway { .. }) => {
                    self.heed(&error);
                    self.unclear.rotate_left(1);
                }
                Err(error) => {
                    // The others are not to wait for it.
                    self.unclear.rotate_left(1);
                    self.clear_not_before = now + REST_MAX;
                    return Err(error);
                }
            }
        }
        idle
    }

    /// On a thread that may hang. What this data directory does not know of stays: it may be newer.
    async fn clear_one(&self, place: Place) -> Result<()> {
        let (told, patience) = (Arc::clone(self.catalog.told()), self.catalog.copy_options().patience);
        let (_, _, clock) = self.catalog.log_parts();
        let home = self.catalog.dir().to_owned();
        blocking(move || {
            let home = Membership::read(&home)?;
            let mut follower = Follower::start(&place, told, (patience, clock))?;
            follower.run(patience * START_PATIENCE, move |hand| {
                place.check()?;
                if !place.dir.is_dir() {
                    return Ok(());
                }
                claim(&place.dir, hand)?;
                if let Some(theirs) = Membership::read(&place.dir)? {
                    let known = home.as_ref().map_or_else(
                        || Err("this directory knows of no copy".to_owned()),
                        |home| knows(home, &theirs),
                    );
                    known.map_err(|why| forked(&place, why))?;
                }
                place::remove(&place.dir)
            })
        })
        .await
    }
}

impl Worker for CopyWorker {
    fn name(&self) -> &'static str {
        "catalog-copy"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(async {
            match self.step().await {
                Err(Error::Closed) if self.catalog.told().stopping.load(Ordering::Acquire) => {
                    Ok(Progress::Idle { rest: REST })
                }
                done => done,
            }
        })
    }
}
