//! Read, decide, commit: how often, what ends it, and who is told to look.

use super::between::Mute;
use crate::change::Change;
use crate::transact::Attempt;
use crate::world::{World, bytes, copy_request, key};
use crate::{Error, Versioning, tables};
use engine::catalog::Catalog;
use engine::id::PartitionId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn who_loses_every_race_is_told_so_and_an_answer_ends_it() {
    let world = World::new(430).await;
    let attempts = AtomicUsize::new(0);
    let row = tables::partition(tables::DELETED, PartitionId::ROOT);
    let lost = world.store.transact(|| async {
        attempts.fetch_add(1, Ordering::Relaxed);
        let snapshot = world.catalog.snapshot(PartitionId::ROOT).await?;
        // Somebody else is always faster.
        let theirs = Change::default().put(row.clone(), tables::PRESENT).at(PartitionId::ROOT, &*snapshot);
        world.store.commit(theirs).await?;
        let ours = Change::default().unchanged(row.clone()).delete(row.clone());
        Ok(Attempt::Commit(ours.at(PartitionId::ROOT, &*snapshot), ()))
    });
    let Err(Error::Contended { attempts: said }) = lost.await else { panic!("it lost all of them") };
    assert_eq!(attempts.load(Ordering::Relaxed), usize::try_from(said).unwrap());
    let second = world.store.transact(|| async {
        let again = attempts.swap(0, Ordering::Relaxed) > 0;
        Ok(if again { Attempt::Again } else { Attempt::Answer("the second") })
    });
    assert_eq!(second.await.unwrap(), "the second");
}

#[tokio::test]
async fn a_commit_whose_outcome_stays_open_ends_it_and_its_partition_is_looked_at() {
    let world = World::new(431).await;
    let name = world.create("bkt", Versioning::Off).await;
    let upload = world.begin(&name, "k").await;
    let partition = world.partition(&name).await;
    let mute = Arc::new(Mute { rows: world.catalog.clone(), left: AtomicUsize::new(0) });
    let beside = world.beside(mute.clone()).await;
    beside.store.view(&name).await.unwrap();
    beside.store.dirty.lock().clear();
    // As often as it asks again, and once more.
    mute.left.store(4, Ordering::Relaxed);
    let open = beside.store.abort_upload(&name, &key("k"), upload).await;
    assert!(matches!(open, Err(Error::Engine(engine::Error::Unknown { .. }))), "{open:?}");
    assert_eq!(mute.left.load(Ordering::Relaxed), 0);
    // It came through: what is left of the upload is found without a restart.
    assert!(beside.store.dirty.lock().contains(&partition));
    // A completion's garbage, as well.
    let upload = world.begin(&name, "k").await;
    let part = world.part(&name, "k", upload, 1, "x").await.unwrap();
    beside.store.dirty.lock().clear();
    mute.left.store(4, Ordering::Relaxed);
    let open = beside.complete(&name, "k", upload, vec![part]).await;
    assert!(matches!(open, Err(Error::Engine(engine::Error::Unknown { .. }))), "{open:?}");
    assert_eq!(mute.left.load(Ordering::Relaxed), 0);
    assert!(beside.store.dirty.lock().contains(&partition));
    // Who was just not fast enough, or did nothing, gives nobody work.
    beside.store.dirty.lock().clear();
    let gone = beside.store.abort_upload(&name, &key("k"), upload).await;
    assert!(matches!(gone, Err(Error::NoSuchUpload)), "{gone:?}");
    assert!(beside.store.dirty.lock().is_empty());
}

#[tokio::test]
async fn who_drops_what_lies_in_another_partition_gives_the_cleaner_work() {
    let world = World::new(433).await;
    let (from, to) =
        (world.create("source", Versioning::Off).await, world.create("target", Versioning::Off).await);
    world.put(&from, "k", bytes(1, 50_000)).await;
    world.put(&to, "own", bytes(2, 50_000)).await;
    world.store.copy(copy_request((&from, "k"), (&to, "k"))).await.unwrap();
    let partition = world.partition(&to).await;
    let gives_work = async |at: &str| {
        world.store.dirty.lock().clear();
        world.delete(&to, at).await;
        world.store.dirty.lock().contains(&partition)
    };
    assert!(!gives_work("own").await, "the collector's");
    assert!(gives_work("k").await);
}
