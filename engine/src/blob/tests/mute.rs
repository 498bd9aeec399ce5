//! A catalog that can't be read or written for a while where the repairer walks or the scrubber looks.

use super::super::row::BLOBS;
use super::super::{Repairer, Scrubber};
use super::outcomes::run_on;
use super::{HOME, World};
use crate::catalog::{Catalog, Commit, Key, Limits, Page, Scan, Snapshot, Version};
use crate::fault::{Fault, Faults, Point};
use crate::id::PartitionId;
use crate::unit::ByteCount;
use crate::{BoxFuture, Error, ErrorKind, Result};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

/// What becomes of a scan of the blob rows in [`HOME`] that meets a fault.
#[derive(Clone, Copy)]
enum Kind {
    Io,
    Unknown,
    Corrupt,
}

struct Mute {
    rows: Arc<dyn Catalog>,
    faults: Arc<Faults>,
    kind: Kind,
}

struct View {
    rows: Arc<dyn Snapshot>,
    /// Of the partition that may fail.
    fails: Option<(Arc<Faults>, Kind)>,
}

impl Catalog for Mute {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }
    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        Box::pin(async move {
            let rows = self.rows.snapshot(partition).await?;
            let fails = (partition == HOME).then(|| (Arc::clone(&self.faults), self.kind));
            Ok(Arc::new(View { rows, fails }) as Arc<dyn Snapshot>)
        })
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64>> {
        if commit.partition == HOME
            && let Err(error) = self.faults.check(Point::CatalogWrite)
        {
            return Box::pin(std::future::ready(Err(Error::Unknown { reason: error.to_string() })));
        }
        self.rows.commit(commit)
    }
}

impl Snapshot for View {
    fn read_version(&self) -> Version {
        self.rows.read_version()
    }
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Bytes>>> {
        self.rows.get(key)
    }
    fn multi_get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        self.rows.multi_get(keys)
    }
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page>> {
        if let Some((faults, kind)) = self.fails.as_ref().filter(|_| scan.table == BLOBS)
            && let Err(error) = faults.check(Point::CatalogRead)
        {
            let error = match kind {
                Kind::Io => Error::io("read", Path::new("rows"), error),
                Kind::Unknown => Error::Unknown { reason: error.to_string() },
                Kind::Corrupt => Error::Corrupt { what: "rows".to_owned(), detail: error.to_string() },
            };
            return Box::pin(std::future::ready(Err(error)));
        }
        self.rows.scan(scan)
    }
}

/// A world whose catalog fails from now on as it is armed to.
async fn mute(seed: u64, zones: u8, kind: Kind) -> (World, Arc<Faults>) {
    let mut world = World::with_zones(seed, zones).await;
    let faults = Arc::new(Faults::default());
    let rows = Arc::clone(&world.catalog);
    world.catalog = Arc::new(Mute { rows, faults: Arc::clone(&faults), kind });
    world.reopen().await.unwrap();
    (world, faults)
}

#[tokio::test]
async fn a_zone_is_drained_though_the_catalog_could_not_be_read_for_a_while() {
    for (seed, kind) in [(440, Kind::Io), (441, Kind::Unknown)] {
        let (world, faults) = mute(seed, 3, kind).await;
        let kept = world.keep(&[100_000; 9]).await;
        world.store.drain_zone("a", true).await.unwrap();
        faults.arm(Point::CatalogRead, Fault::Io, 0, 3);
        let errors = run_on(&mut Repairer::new(Arc::clone(&world.store))).await;
        assert_eq!(errors.len(), 3, "the walk waits there: {errors:?}");
        for kept in &kept {
            assert_eq!(world.zones_of(kept.blob).await, ["b", "c"]);
        }
        let repair = world.store.repair();
        assert_eq!((repair.walking, repair.lost_blobs, repair.short_blobs), (false, 0, 0), "{repair:?}");
        world.settle().await;
        assert_eq!(world.zone("a").live, ByteCount::ZERO);
    }
}

#[tokio::test]
async fn a_zone_whose_disk_was_replaced_has_its_copies_back_only_when_all_was_read() {
    let (mut world, faults) = mute(442, 2, Kind::Io).await;
    let kept = world.keep(&[1, 100_000, 700_000]).await;
    world.replace_marked(1).await;
    faults.arm(Point::CatalogRead, Fault::Io, 0, 3);
    let errors = run_on(&mut Repairer::new(Arc::clone(&world.store))).await;
    assert_eq!(errors.len(), 3, "{errors:?}");
    let repair = world.store.repair();
    assert_eq!((repair.lost_blobs, repair.mended_blobs), (0, 3), "{repair:?}");
    world.settle().await;
    assert!(world.store.missing_segments().is_empty());
    world.each_zone_has(&kept).await;
}

#[tokio::test]
async fn rows_that_are_damaged_keep_a_refill_from_being_over_and_are_no_lost_body() {
    let (mut world, faults) = mute(443, 2, Kind::Corrupt).await;
    let kept = world.keep(&[1, 100_000, 700_000]).await;
    world.replace_marked(1).await;
    faults.arm(Point::CatalogRead, Fault::Io, 0, u64::MAX);
    let mut repairer = Repairer::new(Arc::clone(&world.store));
    for _ in 0..2 {
        let errors = run_on(&mut repairer).await;
        assert!(errors.iter().all(|error| error.kind() == ErrorKind::Corrupt), "{errors:?}");
        let repair = world.store.repair();
        assert_eq!((repair.lost_blobs, repair.short_blobs, repair.mended_blobs), (0, 1, 0), "{repair:?}");
        assert!(world.store.zones.iter().any(crate::pool::Zone::is_refilling), "nothing was copied");
    }
    faults.clear();
    assert!(run_on(&mut repairer).await.is_empty());
    assert!(!world.store.zones.iter().any(crate::pool::Zone::is_refilling));
    world.settle().await;
    world.each_zone_has(&kept).await;
}

#[tokio::test]
async fn damage_that_could_not_be_queued_is_found_and_queued_in_the_same_round() {
    for (seed, times) in [(444, 1), (445, 2)] {
        let (world, faults) = mute(seed, 2, Kind::Io).await;
        let kept = world.keep(&[100_000, 100_000]).await;
        run_on(&mut Repairer::new(Arc::clone(&world.store))).await;
        let first = kept.iter().map(|kept| kept.blob).min().unwrap();
        let last = kept.iter().map(|kept| kept.blob).max().unwrap();
        for blob in [first, last] {
            let place = world.store.locate(HOME, blob).await.unwrap().remove(0);
            world.flip(&place, 1000);
        }
        faults.arm(Point::CatalogWrite, Fault::Io, 0, times);
        let mut scrubber = Scrubber::new(Arc::clone(&world.store));
        assert_eq!(run_on(&mut scrubber).await.len(), 1, "told once in a round");
        assert!(run_on(&mut Repairer::new(Arc::clone(&world.store))).await.is_empty());
        // One that fails twice is passed by; nothing waits behind it.
        assert_eq!(world.store.repair().mended_blobs, 3 - times, "{times}");
    }
}
