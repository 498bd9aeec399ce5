//! From a directory to a running engine: catalog, keys, blobs, objects, workers.
//!
//! They open from the bottom up and close from the top down: first the doors (the caller's), then the workers, then the
//! catalog. Whatever is cut short there was not acknowledged.

use super::catalog_copy::{self, Copying};
use super::descriptors::Descriptors;
use super::events;
use super::home::Home;
use super::readable::Question;
use super::shares::{self, Shares};
use super::vaults;
use crate::backup::Plan;
use crate::config::{Config, ZoneConfig};
use crate::directory::{self, Lock, pool_dir, recipient};
use crate::layout::CATALOG;
use anyhow::Context;
use archive::vault::Vaults;
use engine::backup::{self, Backup, BaseWorker, LogWorker};
use engine::blob::{BlobStore, OpenOptions, RemoteOptions, ZoneOptions};
use engine::catalog::{Options, RocksCatalog, Seen};
use engine::clock::compliance::{ComplianceClock, ComplianceWorker};
use engine::clock::{Clock, Timestamp};
use engine::entropy::Entropy;
use engine::fault::Faults;
use engine::outbox::Outbox;
use engine::small_files::SmallFiles;
use engine::worker::{Registry, Worker};
use objectstore::price::Prices;
use objectstore::{Components, ObjectStore, TrailSink};
use security::audit::{self, Audit};
use security::identity::{self, Identities};
use security::keys::KeyTable;
use security::kms::{self, Kms};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a stop waits for access logs to be written.
const LOGS_PATIENCE: Duration = Duration::from_secs(10);

/// Everything behind the doors.
pub(crate) struct Appliance {
    pub(crate) home: Home,
    pub(crate) catalog: Arc<RocksCatalog>,
    /// The small files of the data directory, as they were opened.
    pub(super) files: Arc<SmallFiles>,
    /// What is wanted of the catalog's copy.
    pub(super) copying: Copying,
    /// Whether its rows can be read.
    pub(super) readable: Question<String>,
    /// Whether the files of inline bodies are there.
    pub(super) bodies_there: Question<String>,
    /// Whether a commit comes back.
    pub(super) writable: Question<(web::Obstacle, String)>,
    pub(crate) blobs: Arc<BlobStore>,
    pub(crate) keys: Arc<KeyTable>,
    pub(crate) store: Arc<ObjectStore>,
    /// Where the Glacier door is open.
    pub(crate) vaults: Option<Arc<Vaults>>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) kms: Arc<Kms>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) compliance: Arc<ComplianceClock>,
    /// Where segment files lie.
    pub(crate) pool_dir: PathBuf,
    pub(crate) backup: Option<Arc<Backup>>,
    /// What the configuration wants of the backup, whether or not it runs.
    pub(crate) backup_plan: Option<Plan>,
    /// What classes cost.
    pub(crate) prices: Prices,
    pub(crate) workers: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// It was rebuilt from a backup, once at least.
    pub(crate) was_recovered: bool,
    pub(crate) started: Timestamp,
    pub(crate) started_boot: Duration,
    _pool_locks: Vec<Lock>,
}

/// Users, groups and roles, beside the roots of the credentials file.
async fn identities(
    home: &Home,
    catalog: &Arc<RocksCatalog>,
    keys: &Arc<KeyTable>,
    (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
) -> anyhow::Result<Arc<Identities>> {
    let parts = identity::Parts {
        catalog: catalog.clone(),
        keys: keys.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        roots: Arc::new(home.credentials.clone()),
        region: home.marker.region.clone(),
    };
    Identities::open(parts).await.context("read who there is")
}

/// Managed keys. Nothing is read where there are none but an empty queue.
fn managed_keys(
    home: &Home,
    catalog: &Arc<RocksCatalog>,
    (keys, identities): (&Arc<KeyTable>, &Arc<Identities>),
    (clock, compliance): (&Arc<dyn Clock>, &Arc<ComplianceClock>),
    entropy: &Arc<dyn Entropy>,
) -> Arc<Kms> {
    Kms::new(kms::Parts {
        catalog: catalog.clone(),
        keys: keys.clone(),
        identities: identities.clone(),
        clock: clock.clone(),
        compliance: compliance.clone(),
        entropy: entropy.clone(),
        region: home.marker.region.clone(),
    })
}

/// The audit trail, whose files go into buckets of the store.
async fn key_table(
    home: &Home,
    catalog: &Arc<RocksCatalog>,
    (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
) -> anyhow::Result<Arc<KeyTable>> {
    let opened =
        KeyTable::open(catalog.clone(), home.custodian.clone(), entropy.clone(), clock.clone()).await;
    opened.context("open the key table")
}

async fn audit_trail(
    home: &Home,
    catalog: &Arc<RocksCatalog>,
    (keys, store): (&Arc<KeyTable>, &Arc<ObjectStore>),
    (clock, compliance): (&Arc<dyn Clock>, &Arc<ComplianceClock>),
    entropy: &Arc<dyn Entropy>,
) -> anyhow::Result<Arc<Audit>> {
    let parts = audit::Parts {
        catalog: catalog.clone(),
        keys: keys.clone(),
        clock: clock.clone(),
        compliance: compliance.clone(),
        entropy: entropy.clone(),
        region: home.marker.region.clone(),
        day: home.marker.debug_day.unwrap_or(objectstore::DAY),
        sink: Arc::new(TrailSink::new(store.clone())),
    };
    Audit::open(parts).await.context("open the audit trail")
}

impl Appliance {
    /// Where no backup runs: what lets it.
    pub(crate) fn how_to_back_up(&self) -> &'static str {
        match self.backup_plan {
            None => "set backup.target in a --config file, then restart",
            Some(_) if self.has_recovery_key() => "restart: a recovery key was made, and takes effect then",
            Some(_) => "make a recovery key (firn backup key DIR), then restart",
        }
    }

    /// Whether there is a recovery key to seal to; one that was made while the server ran is only used from its next start on.
    pub(crate) fn has_recovery_key(&self) -> bool {
        recipient(&self.home.dir).is_ok_and(|key| key.is_some())
    }

    /// Opens everything; the workers run when it returns.
    pub(crate) async fn open(
        home: Home,
        config: &Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        Self::open_on(home, config, (clock, entropy, Arc::default())).await
    }

    /// The same on disks that fail as they are told to.
    pub(super) async fn open_on(
        home: Home,
        config: &Config,
        (clock, entropy, faults): (Arc<dyn Clock>, Arc<dyn Entropy>, Arc<Faults>),
    ) -> anyhow::Result<Self> {
        let pool_dir = pool_dir(&home.dir, config);
        let copying = Copying::of(&home.dir, config);
        refuse_older(&home, config, &copying).await?;
        let (zones, pool_locks) = claim_pools(&home, config, &pool_dir, &*entropy)?;
        let (copying, files) = (copying.on_disks_of(&zones), small_files(&home));
        let options = catalog_options(&home, config, (&clock, &entropy, &faults), (&pool_dir, &zones))?;
        let options = Options { copy: copying.options(home.accepts_loss), ..options };
        let catalog = open_catalog(&home.dir, options).await?;
        let keys = key_table(&home, &catalog, (&clock, &entropy)).await?;
        let blobs = bodies(&home, config, &catalog, (&clock, &entropy, &faults), (&pool_dir, zones)).await?;
        let compliance = ComplianceClock::open(catalog.clone(), clock.clone()).await;
        let compliance = compliance.context("open the compliance clock")?;
        let outbox = events::outbox(&config.events, catalog.clone(), (&clock, &entropy))?;
        let below = (catalog.clone(), &blobs, &keys, &compliance);
        let vaults = open_vaults(&home, config, below, (&clock, &entropy, &outbox)).await?;
        let identities = identities(&home, &catalog, &keys, (&clock, &entropy)).await?;
        let kms = managed_keys(&home, &catalog, (&keys, &identities), (&clock, &compliance), &entropy);
        let store = ObjectStore::open(Components {
            kms: Some(kms.clone()),
            vaults: vaults.clone(),
            outbox: outbox.clone(),
            access_logs: config.access_logs,
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
        store.find_askers_by(identities.clone());
        let audit = audit_trail(&home, &catalog, (&keys, &store), (&clock, &compliance), &entropy).await?;
        let was_recovered = look_after_recovery(&home, &store, &identities).await?;
        let workers = Registry::new();
        let backup = backup(&home, config, (&catalog, &files), (&clock, &entropy, &faults)).await?;
        let started = backup.iter().try_for_each(|backup| start_backup(&workers, backup, &blobs, &clock));
        started.context("start a worker")?;
        let of_vaults = vaults.iter().flat_map(Vaults::workers).collect();
        let single = single_workers(&compliance, (&kms, &audit), copying.worker(&catalog, &blobs, &files));
        let all = [single, blobs.workers(), store.workers(), outbox.workers(), of_vaults, audit.workers()];
        start(&workers, all, &clock).context("start a worker")?;
        Ok(Self {
            home,
            catalog,
            files,
            copying,
            readable: Question::default(),
            bodies_there: Question::default(),
            writable: Question::default(),
            blobs,
            keys,
            store,
            vaults,
            identities,
            kms,
            audit,
            outbox,
            compliance,
            pool_dir,
            backup,
            backup_plan: config.backup.clone(),
            prices: config.prices.clone(),
            workers,
            started: clock.now(),
            started_boot: clock.boottime(),
            clock,
            entropy,
            was_recovered,
            _pool_locks: pool_locks,
        })
    }

    /// Stops the workers and closes the catalog.
    pub(crate) async fn close(&self) {
        self.outbox.stop();
        self.blobs.stop_remote();
        self.catalog.stop_copying();
        self.workers.drain().await;
        // The doors are closed: whatever is to be written is known.
        self.store.drain_logs(LOGS_PATIENCE).await;
        self.audit.drain().await;
        let catalog = self.catalog.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || catalog.close()).await {
            tracing::error!(%error, "failed to close the catalog");
        }
    }
}

fn small_files(home: &Home) -> Arc<SmallFiles> {
    Arc::new(directory::small_files(&home.dir, &home.marker, &home.custodian))
}

/// Before anything is taken over: a directory that is rightly refused must not have what the newest one has.
async fn refuse_older(home: &Home, config: &Config, copying: &Copying) -> anyhow::Result<()> {
    let (dir, config, options) = (home.dir.clone(), config.clone(), copying.options(home.accepts_loss));
    // Its disks may not answer.
    tokio::task::spawn_blocking(move || catalog_copy::refuse(&dir, &config, &options)).await?
}

/// A catalog that takes no commits serves nobody: bodies that are refused then would have taken segments.
async fn open_catalog(dir: &Path, options: Options) -> anyhow::Result<Arc<RocksCatalog>> {
    let at = dir.join(CATALOG);
    let opened = tokio::task::spawn_blocking(move || {
        let catalog = RocksCatalog::open(at, options)?;
        let read_only = catalog.read_only().map(str::to_owned);
        if read_only.is_some() {
            catalog.close();
        }
        Ok::<_, engine::Error>((catalog, read_only))
    });
    let (catalog, read_only) = opened.await?.context("open the catalog")?;
    match read_only {
        None => Ok(catalog),
        Some(why) => Err(catalog_copy::read_only(dir, &why).into()),
    }
}

/// Where bodies lie: the pool or the zones, and what is beyond them.
async fn bodies(
    home: &Home,
    config: &Config,
    catalog: &Arc<RocksCatalog>,
    (clock, entropy, faults): (&Arc<dyn Clock>, &Arc<dyn Entropy>, &Arc<Faults>),
    (pool_dir, zones): (&Path, ZonesFound),
) -> anyhow::Result<Arc<BlobStore>> {
    let (clock, entropy) = (clock.clone(), entropy.clone());
    let remote = remote(home, config, (&clock, &entropy)).await?;
    let mut options =
        OpenOptions::new(pool_dir.to_owned(), catalog.clone(), clock, entropy, Arc::clone(faults));
    configure_pools(&mut options, config, pool_dir, zones);
    options.remote = remote;
    BlobStore::open(options).await.context("open the local pool")
}

/// What the catalog is opened with: memory as configured, sizes as suit its disk.
fn catalog_options(
    home: &Home,
    config: &Config,
    (clock, entropy, faults): (&Arc<dyn Clock>, &Arc<dyn Entropy>, &Arc<Faults>),
    (pool_dir, zones): (&Path, &ZonesFound),
) -> anyhow::Result<Options> {
    let mut options = Options::new(clock.clone(), entropy.clone(), faults.clone());
    let cache_bytes = usize::try_from(config.cache.get())?;
    options.hot_bytes = cache_bytes / 4;
    options.cache_bytes = cache_bytes - options.hot_bytes;
    let shares = Shares::of_disk(&home.dir);
    options.memtable_bytes = usize::try_from(shares.memtable.get())?;
    options.log_file_bytes = shares.log_file.get();
    options.reserve_bytes = shares.reserve.get();
    options.open_files_max = Descriptors::allowed().tables();
    options.seen = seen(home, pool_dir, zones)?;
    Ok(options)
}

/// Those that come from nothing that has several.
fn single_workers(
    compliance: &Arc<ComplianceClock>,
    (kms, audit): (&Arc<Kms>, &Arc<Audit>),
    copier: Option<Box<dyn Worker>>,
) -> Vec<Box<dyn Worker>> {
    let always: [Box<dyn Worker>; 2] =
        [Box::new(ComplianceWorker::new(compliance.clone())), kms.worker(audit)];
    always.into_iter().chain(copier).collect()
}

/// Workers, in this order.
fn start<const N: usize>(
    workers: &Registry,
    all: [Vec<Box<dyn Worker>>; N],
    clock: &Arc<dyn Clock>,
) -> engine::Result<()> {
    all.into_iter().flatten().try_for_each(|worker| workers.spawn(worker, clock.clone()))
}

/// Vaults, where the configuration wants any.
async fn open_vaults(
    home: &Home,
    config: &Config,
    (catalog, blobs, keys, compliance): (
        Arc<RocksCatalog>,
        &Arc<BlobStore>,
        &Arc<KeyTable>,
        &Arc<ComplianceClock>,
    ),
    (clock, entropy, outbox): (&Arc<dyn Clock>, &Arc<dyn Entropy>, &Arc<Outbox>),
) -> anyhow::Result<Option<Arc<Vaults>>> {
    let Some(config) = &config.vaults else { return Ok(None) };
    let below = vaults::Below {
        catalog,
        blobs: blobs.clone(),
        keys: keys.clone(),
        outbox: outbox.clone(),
        clock: clock.clone(),
        compliance: compliance.clone(),
        entropy: entropy.clone(),
    };
    vaults::open(home, config, below).await.map(Some)
}

/// Where it is written down how far the catalog is: beside it, and in every directory of bodies that is there.
fn seen(home: &Home, pool_dir: &Path, zones: &ZonesFound) -> anyhow::Result<Option<Seen>> {
    let Some(owner) = directory::incarnation(&home.dir)? else { return Ok(None) };
    let mut places = vec![home.dir.clone()];
    places.extend(zones.iter().flat_map(|(zone, _)| zone.directories.iter().cloned()));
    if zones.is_empty() {
        places.push(pool_dir.to_owned());
    }
    Ok(Some(Seen { owner, places, accepts_less: home.accepts_loss }))
}

/// Before the pool's workers: until the target has answered, nothing may be recycled.
fn start_backup(
    workers: &Registry,
    backup: &Arc<Backup>,
    blobs: &Arc<BlobStore>,
    clock: &Arc<dyn Clock>,
) -> engine::Result<()> {
    workers.spawn(Box::new(LogWorker::new(backup.clone(), blobs.clone())), clock.clone())?;
    workers.spawn(Box::new(BaseWorker::new(backup.clone())), clock.clone())
}

/// What a recovery leaves to be done, before the doors open. Whether there ever was one.
async fn look_after_recovery(
    home: &Home,
    store: &ObjectStore,
    identities: &Identities,
) -> anyhow::Result<bool> {
    let Some(recovered) = backup::Recovered::read(&home.dir).context("read what was recovered")? else {
        return Ok(false);
    };
    hold_unknown_locks(&recovered, store).await?;
    warn_of_keys(&recovered, identities);
    Ok(true)
}

/// After a recovery: locks that the lost span may have changed are held.
async fn hold_unknown_locks(recovered: &backup::Recovered, store: &ObjectStore) -> anyhow::Result<()> {
    let name = format!("{} {}", recovered.at_ms.as_millis(), recovered.version);
    let buckets = store.hold_unknown_locks(&name).await.context("hold the locks of unknown state")?;
    if buckets > 0 {
        tracing::warn!(
            buckets,
            "every version that the recovery brought back, of buckets with object lock, is under a legal hold: what the lost \
             span did to locks is not known; firn lock ls lists them, and what turns the hold off where you know it"
        );
    }
    Ok(())
}

/// Keys that a warning names at the most.
const KEYS_TOLD_MAX: usize = 100;

/// After a recovery, at each start: which keys sign that the lost span may have ended.
fn warn_of_keys(recovered: &backup::Recovered, identities: &Identities) {
    let keys = identities.active_keys_from_before(recovered.at_ms);
    if keys.is_empty() {
        return;
    }
    let named = keys.iter().take(KEYS_TOLD_MAX).map(|(account, key)| format!("{account}/{key}"));
    tracing::warn!(
        count = keys.len(),
        keys = named.collect::<Vec<_>>().join(" "),
        "access keys from before the recovery sign again as they did at the last commit that it brought back: what the lost span \
         disabled, deleted or denied is not known. Look through keys, users and policies; a key that is replaced or inactive is not named here"
    );
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
    warn_of_small_disks(&home.dir, pool_dir, config);
    let mut locks = Vec::new();
    let has_pools_mark =
        config.zones.is_empty() || directory::first_has_a_pools_mark(&home.dir, &config.zones)?;
    // With several zones the first one may be away, as any other.
    if !has_pools_mark {
        directory::claim_no_pool(&home.dir, &home.marker, entropy)?;
    } else if config.zones.len() < 2 || !directory::is_pool_missed(&home.dir, pool_dir)? {
        locks.push(directory::claim_pool(&home.dir, pool_dir, &home.marker, entropy)?);
    }
    let found = directory::claim_zones(&home.dir, &config.zones, &home.marker)?;
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
             firn zone replace {zone} {dir} --config FILE"
        );
    }
    let places = zones.iter().map(|(zone, _)| (zone.name.as_str(), zone.directories.as_slice()));
    for (a, b) in directory::zones_on_one_disk(places) {
        tracing::warn!("zones {a} and {b} lie on one disk: losing it loses both their copies");
    }
}

/// One line for each directory on a disk that is too small.
fn warn_of_small_disks(dir: &Path, pool_dir: &Path, config: &Config) {
    shares::warn_of_small(dir);
    let zones = config.zones.iter().flat_map(|zone| &zone.directories).map(PathBuf::as_path);
    let elsewhere = std::iter::once(pool_dir).filter(|pool| !pool.starts_with(dir));
    zones.chain(elsewhere.filter(|_| config.zones.is_empty())).for_each(shares::warn_of_small);
}

fn configure_pools(options: &mut OpenOptions, config: &Config, pool_dir: &Path, zones: ZonesFound) {
    let places = zones.iter().flat_map(|(zone, _)| &zone.directories).map(PathBuf::as_path);
    let shares = shares::smallest(places).map_or_else(|| Shares::of_disk(pool_dir), Shares::of);
    options.segment_bytes = config.segment.unwrap_or(shares.segment);
    options.keep_free = shares.reserve;
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

/// The remote pool, when one is configured.
async fn remote(
    home: &Home,
    config: &Config,
    parts: (&Arc<dyn Clock>, &Arc<dyn Entropy>),
) -> anyhow::Result<Option<RemoteOptions>> {
    let Some(remote) = &config.remote else { return Ok(None) };
    crate::remote::open(&home.dir, &home.marker, remote, parts).await.map(Some)
}

/// The backup, when one is configured and there is a key to seal it to.
async fn backup(
    home: &Home,
    config: &Config,
    (catalog, files): (&Arc<RocksCatalog>, &Arc<SmallFiles>),
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
        files: files.clone(),
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
