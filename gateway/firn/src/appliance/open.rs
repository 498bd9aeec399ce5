//! From a directory to a running engine: catalog, keys, blobs, objects, workers.
//!
//! They open from the bottom up and close from the top down: first the doors (the caller's), then the workers, then the
//! catalog. Whatever is cut short there was not acknowledged.

use super::home::Home;
use super::lock::Lock;
use super::{pool_owner, zone_disks, zones};
use crate::backup::{Plan, recipient};
use crate::config::{Config, ZoneConfig, segment_for};
use crate::layout::{ATTACHED, CATALOG, POOL};
use anyhow::Context;
use engine::backup::{self, Backup, BaseWorker, LogWorker};
use engine::blob::{BlobStore, OpenOptions, ZoneOptions};
use engine::catalog::{Options, RocksCatalog};
use engine::clock::compliance::{ComplianceClock, ComplianceWorker};
use engine::clock::{Clock, Timestamp};
use engine::entropy::Entropy;
use engine::fault::Faults;
use engine::unit::ByteCount;
use engine::worker::Registry;
use objectstore::{Components, ObjectStore};
use security::keys::KeyTable;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Everything behind the doors.
pub(crate) struct Appliance {
    pub(crate) home: Home,
    pub(crate) catalog: Arc<RocksCatalog>,
    pub(crate) blobs: Arc<BlobStore>,
    pub(crate) keys: Arc<KeyTable>,
    pub(crate) store: Arc<ObjectStore>,
    pub(crate) compliance: Arc<ComplianceClock>,
    /// Where segment files lie.
    pub(crate) pool_dir: PathBuf,
    pub(crate) backup: Option<Arc<Backup>>,
    /// What the configuration wants of the backup, whether or not it runs.
    pub(crate) backup_plan: Option<Plan>,
    pub(crate) workers: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) started: Timestamp,
    pub(crate) started_boot: Duration,
    _pool_locks: Vec<Lock>,
}

impl Appliance {
    /// Opens everything; the workers run when it returns.
    pub(crate) async fn open(
        home: Home,
        config: &Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        let faults = Arc::new(Faults::default());
        let mut options = Options::new(clock.clone(), entropy.clone(), faults.clone());
        let cache_bytes = usize::try_from(config.cache.get())?;
        options.hot_bytes = cache_bytes / 4;
        options.cache_bytes = cache_bytes - options.hot_bytes;
        let catalog_dir = home.dir.join(CATALOG);
        let pool_dir = pool_dir(&home.dir, config);
        let (zones, pool_locks) = claim_pools(&home, config, &pool_dir, &*entropy)?;
        let catalog = tokio::task::spawn_blocking(move || RocksCatalog::open(catalog_dir, options))
            .await?
            .context("open the catalog")?;
        let keys = KeyTable::open(catalog.clone(), home.custodian.clone(), entropy.clone(), clock.clone())
            .await
            .context("open the key table")?;
        let mut options = OpenOptions::new(
            pool_dir.clone(),
            catalog.clone(),
            clock.clone(),
            entropy.clone(),
            faults.clone(),
        );
        configure_pools(&mut options, config, &pool_dir, zones);
        let blobs = BlobStore::open(options).await.context("open the local pool")?;
        let compliance = ComplianceClock::open(catalog.clone(), clock.clone())
            .await
            .context("open the compliance clock")?;
        let store = ObjectStore::open(Components {
            catalog: catalog.clone(),
            blobs: blobs.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
            compliance: compliance.clone(),
            day: home.marker.debug_day.unwrap_or(objectstore::DAY),
            entropy: entropy.clone(),
            region: home.marker.region.clone(),
            account: home.marker.account,
        })
        .await
        .context("open the object store")?;
        hold_unknown_locks(&home, &store).await?;
        let workers = Registry::new();
        let worker = Box::new(ComplianceWorker::new(compliance.clone()));
        workers.spawn(worker, clock.clone()).context("start a worker")?;
        let backup = backup(&home, config, &catalog, (&clock, &entropy, &faults)).await?;
        if let Some(backup) = &backup {
            // Before the pool's workers: until the target has answered, nothing may be recycled.
            let log = LogWorker::new(backup.clone(), blobs.clone());
            workers.spawn(Box::new(log), clock.clone()).context("start a worker")?;
            workers
                .spawn(Box::new(BaseWorker::new(backup.clone())), clock.clone())
                .context("start a worker")?;
        }
        for worker in blobs.workers().into_iter().chain(store.workers()) {
            workers.spawn(worker, clock.clone()).context("start a worker")?;
        }
        let (started, started_boot) = (clock.now(), clock.boottime());
        Ok(Self {
            home,
            catalog,
            blobs,
            keys,
            store,
            compliance,
            pool_dir,
            backup,
            backup_plan: config.backup.clone(),
            workers,
            clock,
            entropy,
            started,
            started_boot,
            _pool_locks: pool_locks,
        })
    }

    /// Stops the workers and closes the catalog.
    pub(crate) async fn close(&self) {
        self.workers.drain().await;
        let catalog = self.catalog.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || catalog.close()).await {
            tracing::error!(%error, "failed to close the catalog");
        }
    }
}

/// After a recovery, before the doors open: locks that the lost span may have changed are held.
async fn hold_unknown_locks(home: &Home, store: &ObjectStore) -> anyhow::Result<()> {
    let Some(recovered) = backup::Recovered::read(&home.dir).context("read what was recovered")? else {
        return Ok(());
    };
    let name = format!("{} {}", recovered.at_ms.as_millis(), recovered.version);
    let buckets = store.hold_unknown_locks(&name).await.context("hold the locks of unknown state")?;
    if buckets > 0 {
        tracing::warn!(
            buckets,
            "every version that the recovery brought back, of buckets with object lock, is under a legal hold: what the lost \
             span did to locks is not known; turn the hold off where you know it (PutObjectLegalHold)"
        );
    }
    Ok(())
}

/// Zones, each with the directories that are there, and why others are not.
type ZonesFound = Vec<(ZoneConfig, Option<String>)>;

/// Takes the directories that bodies lie in, for as long as the locks live.
fn claim_pools(
    home: &Home,
    config: &Config,
    pool_dir: &Path,
    entropy: &dyn Entropy,
) -> anyhow::Result<(ZonesFound, Vec<Lock>)> {
    let mut locks = Vec::new();
    let has_pools_mark = config.zones.is_empty() || zones::first_has_a_pools_mark(&home.dir, &config.zones)?;
    // With several zones the first one may be away, as any other.
    if !has_pools_mark {
        pool_owner::claim_none(&home.dir, &home.marker, entropy)?;
    } else if config.zones.len() < 2 || !pool_owner::is_missed(&home.dir, pool_dir)? {
        locks.push(pool_owner::claim(&home.dir, pool_dir, &home.marker, entropy)?);
    }
    let found = zones::claim(&home.dir, &config.zones, &home.marker)?;
    locks.extend(found.locks);
    warn_of_zones(&home.dir, &found.zones);
    Ok((found.zones, locks))
}

/// What whoever starts the server should mend, in its log; `doctor` says it too.
fn warn_of_zones(dir: &Path, zones: &[(ZoneConfig, Option<String>)]) {
    for (zone, why) in zones {
        let Some(why) = why else { continue };
        let (zone, dir) = (&zone.name, dir.display());
        tracing::error!(
            zone,
            "{why}; reads go on from other zones: mount the disk and restart, or give the zone an empty one: \
             firn zone replace {dir} {zone} --config FILE"
        );
    }
    let places = zones.iter().map(|(zone, _)| (zone.name.as_str(), zone.directories.as_slice()));
    for (a, b) in zone_disks::shared(places) {
        tracing::warn!("zones {a} and {b} lie on one disk: losing it loses both their copies");
    }
}

fn configure_pools(options: &mut OpenOptions, config: &Config, pool_dir: &Path, zones: ZonesFound) {
    let sizes = zones.iter().flat_map(|(zone, _)| &zone.directories).map(|place| disk_size(place));
    let smallest = sizes.min().unwrap_or_else(|| disk_size(pool_dir));
    options.segment_bytes = config.segment.unwrap_or_else(|| segment_for(smallest));
    (options.copies, options.short) = (config.copies.count, config.copies.short);
    if zones.is_empty() {
        return;
    }
    let faults = options.zones[0].faults.clone();
    let zone = |(zone, away): (ZoneConfig, Option<String>)| ZoneOptions {
        name: zone.name,
        directories: zone.directories,
        away,
        faults: faults.clone(),
    };
    options.zones = zones.into_iter().map(zone).collect();
}

/// Where the segment files of the appliance in `dir` lie.
pub(crate) fn pool_dir(dir: &Path, config: &Config) -> PathBuf {
    let first = config.zones.first().and_then(|zone| zone.directories.first());
    first.or(config.pool_dir.as_ref()).cloned().unwrap_or_else(|| dir.join(POOL))
}

/// The size of the file system that `dir`, or the directory that it is yet to be made in, lies on. One that can't be asked
/// counts as large: opening it will say what is wrong.
fn disk_size(dir: &Path) -> ByteCount {
    let stat = dir.ancestors().find_map(|place| rustix::fs::statvfs(place).ok());
    stat.map_or(ByteCount::new(u64::MAX), |stat| ByteCount::new(stat.f_blocks.saturating_mul(stat.f_frsize)))
}

/// The backup, when one is configured and there is a key to seal it to.
async fn backup(
    home: &Home,
    config: &Config,
    catalog: &Arc<RocksCatalog>,
    (clock, entropy, faults): (&Arc<dyn Clock>, &Arc<dyn Entropy>, &Arc<Faults>),
) -> anyhow::Result<Option<Arc<Backup>>> {
    let Some(plan) = &config.backup else { return Ok(None) };
    let Some(recipient) = recipient(&home.dir)? else {
        tracing::warn!("no backup is made: there is no recovery key yet; make one with `firn backup key`");
        return Ok(None);
    };
    let (destination, dir) = (plan.destination.clone(), home.dir.clone());
    let parts = (clock.clone(), entropy.clone());
    // A directory target may be on a network mount: opening it can block.
    let target = tokio::task::spawn_blocking(move || destination.open(&dir, parts.0, parts.1))
        .await?
        .context("open the backup target")?;
    let backup = Backup::open(backup::Parts {
        root: home.dir.clone(),
        attached: ATTACHED.map(str::to_owned).to_vec(),
        catalog: catalog.clone(),
        target,
        recipient,
        base_every: plan.every,
        clock: clock.clone(),
        entropy: entropy.clone(),
        faults: faults.clone(),
    })
    .context("open the backup")?;
    Ok(Some(backup))
}
