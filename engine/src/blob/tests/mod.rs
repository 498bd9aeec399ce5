//! Tests of the blob store, and the world they run in.

mod ailing;
mod basics;
mod between;
mod faults;
mod forms;
mod homes;
mod model;
mod mute;
pub(crate) mod outcomes;
mod workers;
mod zones;

use super::{
    BlobStore, Collector, Compactor, OpenOptions, Owner, Recycler, RemoteOptions, Scrubber, SealedBlob,
    Short, ZoneOptions, release,
};
use crate::catalog::{Catalog, Commit, Durability, MemoryCatalog, Write};
use crate::clock::{ManualClock, Timestamp};
use crate::codec::DataKey;
use crate::entropy::{Entropy, SeededEntropy};
use crate::fault::Faults;
use crate::id::{BlobId, PartitionId};
use crate::unit::ByteCount;
use crate::worker::{Progress, Worker};
use crate::{Error, Result};
use bytes::Bytes;
use futures_util::StreamExt;
use std::ops::Range;
use std::sync::Arc;

pub(crate) const HOME: PartitionId = PartitionId::from_bytes(*b"home one");

/// A store on a temporary directory with everything from outside in the test's hands.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    /// Where the segments are, if not in `dir`.
    pub(crate) pool_dir: std::path::PathBuf,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) faults: Arc<Faults>,
    /// Where there is more than one; the first is in `pool_dir`.
    pub(crate) zones: Vec<ZoneOptions>,
    pub(crate) short: Short,
    /// A remote pool, for the next time that the store is opened.
    pub(crate) remote: Option<RemoteOptions>,
    pub(crate) store: Arc<BlobStore>,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let entropy = Arc::new(SeededEntropy::new(seed));
        let faults = Arc::new(Faults::default());
        let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::default());
        let pool_dir = dir.path().to_owned();
        let mut options = OpenOptions::new(
            pool_dir.clone(),
            catalog.clone(),
            clock.clone(),
            entropy.clone(),
            faults.clone(),
        );
        (options.segment_bytes, options.keep_free) = (ByteCount::mib(1), ByteCount::mib(1));
        let store = BlobStore::open(options).await.unwrap();
        let (zones, short) = (Vec::new(), Short::Refuse);
        Self { dir, pool_dir, catalog, clock, entropy, faults, zones, short, remote: None, store }
    }

    /// The same with so many zones, `a`, `b` and so on, each with faults of its own.
    pub(crate) async fn with_zones(seed: u64, zones: u8) -> Self {
        let mut world = Self::new(seed).await;
        world.name_zones(zones);
        world.reopen().await.unwrap();
        world
    }

    /// Names zones, for the next time that the store is opened.
    pub(crate) fn name_zones(&mut self, zones: u8) {
        self.zones = (0..zones)
            .map(|n| {
                let name = char::from(b'a' + n).to_string();
                let directory = if n == 0 { self.pool_dir.clone() } else { self.dir.path().join(&name) };
                ZoneOptions { name, directories: vec![directory], away: None, faults: Arc::default() }
            })
            .collect();
    }

    pub(crate) fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new(
            self.pool_dir.clone(),
            Arc::clone(&self.catalog),
            self.clock.clone(),
            self.entropy.clone(),
            Arc::clone(&self.faults),
        );
        (options.segment_bytes, options.keep_free) = (ByteCount::mib(1), ByteCount::mib(1));
        options.short = self.short;
        options.remote.clone_from(&self.remote);
        if !self.zones.is_empty() {
            options.zones.clone_from(&self.zones);
            for zone in options.zones.iter_mut().filter(|zone| zone.away.is_some()) {
                zone.directories.clear();
            }
        }
        options
    }

    /// Random bytes.
    pub(crate) fn bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.entropy.fill(&mut bytes);
        bytes
    }

    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<u64> {
        self.commit_in(HOME, writes).await
    }

    pub(crate) async fn commit_in(&self, partition: PartitionId, writes: Vec<Write>) -> Result<u64> {
        let read_version = self.catalog.snapshot(partition).await?.read_version();
        let durability = Durability::Synced;
        let commit = Commit { writes, durability, ..Commit::new(partition, read_version) };
        self.catalog.commit(commit).await
    }

    pub(crate) async fn seal(&self, body: &[u8]) -> Result<SealedBlob> {
        self.seal_in(HOME, body).await
    }

    pub(crate) async fn seal_in(&self, home: PartitionId, body: &[u8]) -> Result<SealedBlob> {
        let mut writer = self.store.writer(home, Some(ByteCount::from(body.len())));
        for piece in body.chunks(100_000) {
            writer.push(Bytes::copy_from_slice(piece)).await?;
        }
        writer.seal().await
    }

    /// Writes a blob and refers to it.
    pub(crate) async fn put(&self, body: &[u8], owner: &str) -> Result<(BlobId, DataKey)> {
        let sealed = self.seal(body).await?;
        self.commit(sealed.writes(&owned(owner))).await?;
        Ok((sealed.id, sealed.key.clone()))
    }

    /// Everything in memory is lost; the directory and the catalog stay.
    pub(crate) async fn reopen(&mut self) -> Result<()> {
        self.store.close().await;
        self.store = BlobStore::open(self.options()).await?;
        Ok(())
    }

    /// Lets time pass and every worker of space come to rest.
    pub(crate) async fn settle(&self) {
        for _ in 0..8 {
            self.clock.advance(std::time::Duration::from_mins(1));
            run(&mut Collector::new(Arc::clone(&self.store))).await;
            run(&mut Compactor::new(Arc::clone(&self.store))).await;
            run(&mut Recycler::new(Arc::clone(&self.store))).await;
        }
    }

    /// Every record is read and compared.
    pub(crate) async fn scrub(&self) {
        let mut scrubber = Scrubber::new(Arc::clone(&self.store));
        for _ in 0..1000 {
            if scrubber.tick().await.unwrap()
                == (Progress::Idle { rest: std::time::Duration::from_hours(24) })
            {
                return;
            }
        }
        panic!("the scrubber finds no end");
    }

    /// Segment files on disk that hold records.
    pub(crate) fn segment_files(&self) -> Vec<String> {
        let dirs = self.options().zones.into_iter().flat_map(|zone| zone.directories);
        let names = dirs.flat_map(|dir| std::fs::read_dir(dir).unwrap()).map(|e| e.unwrap().file_name());
        names.filter_map(|n| n.to_str()?.strip_suffix(".seg").map(str::to_owned)).collect()
    }

    pub(crate) async fn drop_reference(&self, blob: BlobId, owner: &str) {
        self.commit(release(blob, &owned(owner))).await.unwrap();
    }

    pub(crate) async fn read(&self, blob: BlobId, key: &DataKey, range: Range<u64>) -> Result<Vec<u8>> {
        read_all(&self.store, blob, key, range).await
    }
}

pub(crate) fn owned(name: &str) -> Owner {
    Owner::new(name.as_bytes().to_vec()).unwrap()
}

pub(crate) async fn read_all(
    store: &Arc<BlobStore>,
    blob: BlobId,
    key: &DataKey,
    range: Range<u64>,
) -> Result<Vec<u8>> {
    let mut reader = store.read(HOME, blob, key, range);
    let mut out = Vec::new();
    while let Some(piece) = reader.next().await {
        out.extend_from_slice(&piece?);
    }
    Ok(out)
}

/// Ticks until there is nothing to do.
pub(crate) async fn run(worker: &mut dyn Worker) {
    for _ in 0..10_000 {
        if let Progress::Idle { .. } = worker.tick().await.unwrap() {
            return;
        }
    }
    panic!("{} never rests", worker.name());
}

/// The text of an error, for what it must name.
pub(crate) fn text(error: &Error) -> String {
    error.to_string()
}
