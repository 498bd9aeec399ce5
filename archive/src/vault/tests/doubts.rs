//! Commits whose outcome is not known: what they left is released, whenever they show.

use super::{World, account, noise};
use crate::inventory::Description;
use crate::pack::ArchiveId;
use crate::tree_hash::{ByteRange, PartSize};
use crate::vault::change::{Attempt, Change};
use crate::vault::{Error, Expected, VaultName, Vaults, tables};
use engine::BoxFuture;
use engine::catalog::{Catalog, Commit, Limits, Snapshot, UNKNOWN_RETRIES_MAX, Version};
use engine::id::PartitionId;
use engine::worker::{Progress, Worker};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Takes commits without saying so; or keeps the first one back, as a catalog does whose rows have no room.
struct Mute {
    rows: Arc<dyn Catalog>,
    left: AtomicUsize,
    keeps: AtomicBool,
    kept: Mutex<Option<Commit>>,
}

impl Catalog for Mute {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        Box::pin(async move {
            let mute = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if mute.is_err() {
                return self.rows.commit(commit).await;
            }
            if self.keeps.load(Ordering::SeqCst) {
                self.kept.lock().get_or_insert(commit);
            } else {
                let _unsaid = self.rows.commit(commit).await;
            }
            Err(engine::Error::Unknown { reason: "a lost answer".to_owned() })
        })
    }
}

impl Mute {
    /// The next commit's outcome stays open, however often it is asked for.
    fn begin(&self) {
        self.left.store(UNKNOWN_RETRIES_MAX as usize + 1, Ordering::SeqCst);
    }

    fn end<T: std::fmt::Debug>(&self, outcome: &Result<T, Error>) {
        assert!(matches!(outcome, Err(Error::Engine(engine::Error::Unknown { .. }))), "{outcome:?}");
        assert_eq!(self.left.load(Ordering::SeqCst), 0);
    }
}

/// Vaults over such rows, that have nothing to do, and their cleaner.
async fn over_mute(world: &World) -> (Arc<Mute>, Arc<Vaults>, Box<dyn Worker>) {
    let mute = Arc::new(Mute {
        rows: world.catalog.clone(),
        left: AtomicUsize::new(0),
        keeps: AtomicBool::new(false),
        kept: Mutex::default(),
    });
    let mut parts = world.parts.clone();
    parts.catalog = mute.clone();
    let vaults = Vaults::open(parts).await.unwrap();
    world.try_settle(&vaults).await.unwrap();
    let cleaner = vaults.workers().into_iter().find(|worker| worker.name() == "vault-cleaner").unwrap();
    (mute, vaults, cleaner)
}

async fn clean(cleaner: &mut Box<dyn Worker>) {
    while let Progress::More { .. } = cleaner.tick().await.unwrap() {}
}

async fn begin_and_send(vaults: &Arc<Vaults>, vault: &VaultName) -> ArchiveId {
    let size = PartSize::new(1 << 20).unwrap();
    let upload = vaults.begin_upload(account(), vault, Description::default(), size).await.unwrap();
    let range = ByteRange::new(0, 999).unwrap();
    let mut part = vaults.part(account(), vault, upload, range).await.unwrap();
    part.write(noise(3, 1_000)).await.unwrap();
    part.finish(&Expected::default()).await.unwrap();
    upload
}

#[tokio::test]
async fn what_was_given_up_is_released_though_nobody_knows_that_it_was() {
    let world = World::new(11).await;
    let vault = world.create("v").await;
    let archive = world.put(&vault, &noise(1, 5_000)).await;
    let (mute, vaults, mut cleaner) = over_mute(&world).await;
    let home = world.home(&vault);
    assert_eq!(world.files("vault").len(), 1);
    mute.begin();
    mute.end(&vaults.delete_archive(account(), &vault, archive).await);
    assert_eq!(world.count(home, tables::GARBAGE).await, 1, "it came through");
    clean(&mut cleaner).await;
    assert_eq!((world.count(home, tables::GARBAGE).await, world.files("vault").len()), (0, 0));
    let upload = begin_and_send(&vaults, &vault).await;
    mute.begin();
    mute.end(&vaults.abort_upload(account(), &vault, upload).await);
    assert_eq!(world.references(home).await, 1);
    clean(&mut cleaner).await;
    assert_eq!((world.count(home, tables::GARBAGE).await, world.references(home).await), (0, 0));
}

#[tokio::test]
async fn what_was_given_up_by_a_commit_that_shows_late_is_released_within_the_hour() {
    let world = World::new(12).await;
    let vault = world.create("v").await;
    let (mute, vaults, mut cleaner) = over_mute(&world).await;
    let home = world.home(&vault);
    let upload = begin_and_send(&vaults, &vault).await;
    mute.keeps.store(true, Ordering::SeqCst);
    mute.begin();
    mute.end(&vaults.abort_upload(account(), &vault, upload).await);
    // However often it looks, it isn't there yet.
    clean(&mut cleaner).await;
    let kept = mute.kept.lock().take().unwrap();
    world.catalog.commit(kept).await.unwrap();
    clean(&mut cleaner).await;
    assert_eq!(world.references(home).await, 1);
    world.clock.advance(Duration::from_hours(1));
    clean(&mut cleaner).await;
    assert_eq!((world.count(home, tables::GARBAGE).await, world.references(home).await), (0, 0));
}

#[tokio::test]
async fn who_loses_every_race_for_a_row_of_a_vault_is_told_so() {
    let world = World::new(13).await;
    let vault = world.create("v").await;
    let (home, attempts) = (world.home(&vault), AtomicUsize::new(0));
    let row = tables::only(tables::CONFIG);
    let lost = world.vaults.transact(|| async {
        attempts.fetch_add(1, Ordering::SeqCst);
        let snapshot = world.vaults.at(home).await?;
        let raw = snapshot.get(row.clone()).await?.unwrap();
        // Somebody else is always faster.
        let theirs = Change::default().put(row.clone(), raw.clone());
        assert!(world.vaults.try_commit(home, &*snapshot, theirs).await?);
        let ours = Change::default().unchanged(row.clone()).put(row.clone(), raw);
        Ok(Attempt::Commit(ours.at(home, &*snapshot), ()))
    });
    let Err(Error::Contended { attempts: said }) = lost.await else { panic!("it lost all of them") };
    assert_eq!(attempts.load(Ordering::SeqCst), said as usize);
    let second = world.vaults.transact(|| async {
        let again = attempts.swap(0, Ordering::SeqCst) > 0;
        Ok(if again { Attempt::Again } else { Attempt::Answer("the second") })
    });
    assert_eq!(second.await.unwrap(), "the second");
}
