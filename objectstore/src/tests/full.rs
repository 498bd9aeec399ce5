//! A full disk: what leads to free space goes on, everything else is refused.

use crate::world::{World, bytes, key};
use crate::{
    Components, Error, Notification, NotificationRule, ObjectStore, PutRequest, VersionName, VersionSelector,
    Versioning, tables,
};
use engine::BoxFuture;
use engine::blob::Collector;
use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Snapshot, Space, Version};
use engine::fault::{Fault, Point};
use engine::id::PartitionId;
use engine::worker::Worker;
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Refuses what may not draw on the reserve while it is full, and all without one; a durable catalog would be milder with deletes.
pub(super) struct Filled {
    pub(super) rows: Arc<MemoryCatalog>,
    pub(super) full: AtomicBool,
    pub(super) has_reserve: bool,
}

impl Catalog for Filled {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        let may_draw = self.has_reserve && commit.space != Space::Ordinary;
        if self.full.load(Ordering::Relaxed) && !may_draw {
            let refusal = engine::Error::Full { place: "here".into(), wanted: 1 };
            return Box::pin(std::future::ready(Err(refusal)));
        }
        self.rows.commit(commit)
    }
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::Engine(engine::Error::Full { .. }))
}

#[tokio::test]
async fn deletes_and_aborts_go_on_when_the_disk_is_full() {
    let mut world = World::new(21).await;
    let catalog =
        Arc::new(Filled { rows: world.catalog.clone(), full: AtomicBool::new(false), has_reserve: true });
    world.store = ObjectStore::open(Components { catalog: catalog.clone(), ..world.parts() }).await.unwrap();
    let name = world.create("kept", Versioning::Enabled).await;
    let empty = world.create("empty", Versioning::Off).await;
    let large = bytes(1, 200_000);
    let put = world.put(&name, "a", large.clone()).await;
    world.put(&name, "b", "small").await;
    let upload = world.begin(&name, "c").await;
    world.part(&name, "c", upload, 1, large.clone()).await.unwrap();

    catalog.full.store(true, Ordering::Relaxed);
    let request = PutRequest::new(name.clone(), key("b"));
    assert!(is_full(&world.put_with(request, "more").await.unwrap_err()));
    let marker = world.delete(&name, "a").await;
    assert!(marker.marker);
    assert!(world.get(&name, "a").await.is_err(), "the marker hides it");
    let Some(VersionName::Id(version)) = put.version else { panic!("it has no version") };
    assert!(!world.delete_version(&name, "a", VersionSelector::Id(version)).await.marker);
    world.store.abort_upload(&name, &key("c"), upload).await.unwrap();
    world.store.delete_bucket(&empty).await.unwrap();
    world.settle().await;
    let partition = world.partition(&name).await;
    assert_eq!(world.rows(partition, tables::PARTS).await, 0, "the upload's part went");
    assert_eq!(world.references(partition).await, 0, "and nothing holds the bytes");
    assert_eq!(world.get(&name, "b").await.unwrap(), "small");

    catalog.full.store(false, Ordering::Relaxed);
    world.put(&name, "b", "more").await;
}

#[tokio::test]
async fn a_delete_calls_the_collector_of_a_full_pool_told_or_not() {
    let world = World::new(22).await;
    let (plain, told) =
        (world.create("plain", Versioning::Off).await, world.create("told", Versioning::Off).await);
    let rule = NotificationRule {
        id: "all".to_owned(),
        topic: "t".parse().unwrap(),
        events: vec!["s3:ObjectRemoved:*".parse().unwrap()],
        prefix: None,
        suffix: None,
    };
    let told_of = Notification::new(vec![rule]).unwrap();
    world.store.set_notification(&told, Some(&told_of), None).await.unwrap();
    for name in [&plain, &told] {
        world.put(name, "k", "small").await;
    }
    let bell = Collector::new(Arc::clone(&world.blobs)).bell();
    let is_called = || bell.notified().now_or_never().is_some();
    world.faults().arm(Point::SegmentAllocate, Fault::NoSpace, 0, u64::MAX);
    let large = || world.put_with(PutRequest::new(plain.clone(), key("large")), bytes(1, 4_000_000));
    while large().await.is_ok() {}
    // A lane that finds no room calls as well: that call is taken.
    is_called();
    assert!(!is_called());
    for name in [&plain, &told] {
        world.delete(name, "k").await;
        assert!(is_called(), "{name}");
        assert!(!is_called());
    }
}
