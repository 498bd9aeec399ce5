//! What a store is opened with, and how its zones come up.
//!
//! A disk that can't be opened is an error where there is one zone, and the loss of a zone where others are left. A format
//! that is newer is an error everywhere.

use super::remote::{RemoteOptions, RemotePool};
use super::roster;
use super::row::COPIES_MAX;
use crate::blocking::blocking;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::fault::Faults;
use crate::pool::{Bells, Pool, PoolOptions, Zone, ZoneId, Zones};
use crate::unit::ByteCount;
use crate::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// The segment size when nothing else is configured.
pub const SEGMENT_BYTES_DEFAULT: ByteCount = ByteCount::mib(256);
/// What bodies leave to the catalog when nothing else is configured.
pub const KEEP_FREE_DEFAULT: ByteCount = ByteCount::mib(64);
/// The name of the only zone of a store that names none.
pub const LOCAL_ZONE: &str = "local";
/// Copies where there are as many zones and nothing else is configured.
const COPIES_DEFAULT: usize = 2;

/// What becomes of a body for which fewer zones than it is to have copies take one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Short {
    /// It is refused.
    #[default]
    Refuse,
    /// It is accepted with at least one copy, and queued for repair in the commit that names it.
    Accept,
}

/// A failure domain: usually one disk.
#[derive(Clone)]
pub struct ZoneOptions {
    /// Its name, which keeps its number.
    pub name: String,
    /// Where its segment files lie; made if missing. More than one: the zone spans disks. None: it is away.
    pub directories: Vec<PathBuf>,
    /// Why directories of it are left out: their disks are not there.
    pub away: Option<String>,
    /// Injected faults of its disks.
    pub faults: Arc<Faults>,
}

/// What a blob store is opened with.
#[derive(Clone)]
pub struct OpenOptions {
    /// The zones, the one that was there first in front.
    pub zones: Vec<ZoneOptions>,
    /// A remote pool behind them, as a zone of its own.
    pub remote: Option<RemoteOptions>,
    /// Where the rows are.
    pub catalog: Arc<dyn Catalog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and keys.
    pub entropy: Arc<dyn Entropy>,
    /// Size of new segment files, 1 MiB to 1 GiB.
    pub segment_bytes: ByteCount,
    /// Bytes of each file system that bodies leave to the catalog, so that deletes work when there is no room.
    pub keep_free: ByteCount,
    /// Copies of a blob, each in a zone of its own, 1 to 3; `None` is two where there are two zones.
    pub copies: Option<usize>,
    /// What becomes of a body that finds too few zones.
    pub short: Short,
}

impl OpenOptions {
    /// One zone in one directory, with the default sizes.
    pub fn new(
        dir: PathBuf,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        faults: Arc<Faults>,
    ) -> Self {
        let zone = ZoneOptions { name: LOCAL_ZONE.to_owned(), directories: vec![dir], away: None, faults };
        Self {
            zones: vec![zone],
            remote: None,
            catalog,
            clock,
            entropy,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            keep_free: KEEP_FREE_DEFAULT,
            copies: None,
            short: Short::default(),
        }
    }
}

/// Copies of a blob that says nothing else.
pub(super) fn check_copies(zones: &[ZoneOptions], copies: Option<usize>) -> Result<usize> {
    let most = zones.len().min(COPIES_MAX);
    match copies {
        None => Ok(most.min(COPIES_DEFAULT)),
        Some(copies) if (1..=most).contains(&copies) => Ok(copies),
        Some(copies) => Err(Error::Invalid(format!(
            "keep {copies} copies in {} zones: 1 to {most} are allowed",
            zones.len()
        ))),
    }
}

/// What all pools have in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) segment_bytes: ByteCount,
    pub(super) keep_free: ByteCount,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) bells: Bells,
}

/// Opens every zone that is there; those that only rows know are away.
pub(super) async fn open_zones(
    catalog: &dyn Catalog,
    options: Vec<ZoneOptions>,
    remote: Option<RemoteOptions>,
    shared: Shared,
) -> Result<(Zones, Option<Arc<RemotePool>>)> {
    let mut names: Vec<&str> = options.iter().map(|zone| zone.name.as_str()).collect();
    names.extend(remote.as_ref().map(|remote| remote.name.as_str()));
    let roster = roster::load(catalog, &names).await?;
    let several = options.len() > 1;
    let (mut zones, mut pool) = (Vec::new(), None);
    for (id, row) in roster {
        if let Some(remote) = remote.as_ref().filter(|remote| remote.name == row.name) {
            let (keep_free, clock) = (shared.keep_free, Arc::clone(&shared.clock));
            pool = Some(Arc::new(RemotePool::open(id, remote.clone(), keep_free, clock)?));
            continue;
        }
        let zone = if let Some(zone) = options.iter().find(|zone| zone.name == row.name) {
            open_zone((id, row.draining), zone.clone(), shared.clone(), several).await?
        } else {
            Zone::removed(id, row.name, row.draining)
        };
        zones.push(zone);
    }
    if zones.iter().all(|zone| !zone.is_there()) {
        return Err(Error::ZoneAway {
            zone: options.into_iter().map(|zone| zone.name).collect::<Vec<_>>().join(", "),
        });
    }
    Ok((Zones::new(zones), pool))
}

async fn open_zone(
    (id, draining): (ZoneId, bool),
    options: ZoneOptions,
    shared: Shared,
    several: bool,
) -> Result<Zone> {
    let ZoneOptions { name, directories, mut away, faults } = options;
    let mut pools = Vec::new();
    for dir in directories {
        let Shared { segment_bytes, keep_free, clock, entropy, bells } = shared.clone();
        let faults = Arc::clone(&faults);
        let pool = PoolOptions { dir, segment_bytes, keep_free, clock, entropy, faults, bells };
        match blocking(move || open_pool(pool)).await {
            Ok(pool) => pools.push(Arc::new(pool)),
            Err(error @ Error::Io { .. }) if several => {
                tracing::error!(zone = %name, %error, "a directory of a zone can't be opened");
                away = Some(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Zone::new(id, name, pools, away, draining))
}

fn open_pool(options: PoolOptions) -> Result<Pool> {
    let pool = Pool::open(options)?;
    match pool.allocator.keep_reserve() {
        // A full disk is no reason not to open: reads and deletes work.
        Ok(()) | Err(Error::Full { .. }) => {}
        Err(error) => return Err(error),
    }
    pool.allocator.judge_room()?;
    Ok(pool)
}
