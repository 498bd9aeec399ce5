//! The process dies behind each step, and is started again: nothing acknowledged is lost, nothing is there twice, nothing stays behind.

use super::{Cut, World, account, name, noise};
use crate::vault::{NewVault, Vaults, tables};
use bytes::Bytes;
use engine::catalog::Catalog;
use engine::id::PartitionId;
use std::sync::Arc;

/// The same vaults as a process has them that dies after so many steps.
async fn dying(world: &World, steps: usize) -> (Arc<Cut>, engine::Result<Arc<Vaults>>) {
    let rows: Arc<dyn Catalog> = world.catalog.clone();
    let cut = Cut::after(rows, steps);
    let mut parts = world.parts.clone();
    parts.catalog = cut.clone();
    let vaults = Vaults::open(parts).await.map_err(|error| match error {
        crate::vault::Error::Engine(error) => error,
        other => panic!("{other}"),
    });
    (cut, vaults)
}

/// Does `case` with a cut behind each step, until nothing is cut.
async fn behind_each_step(mut case: impl AsyncFnMut(usize) -> bool) {
    for steps in 0..2_000 {
        if !Box::pin(case(steps)).await {
            assert!(steps > 5, "there are more steps than that");
            return;
        }
    }
    panic!("it never comes to its end");
}

#[tokio::test]
async fn a_crash_while_archives_are_packed_or_deleted_loses_none_and_doubles_none() {
    let sizes = [10, 70_000, 100, 2_300_000];
    behind_each_step(async |steps| {
        let mut world = World::new(7).await;
        let vault = world.create("v").await;
        let mut kept = Vec::new();
        for (seed, size) in (0..).zip(sizes) {
            let bytes = noise(seed, size);
            kept.push((world.put(&vault, &bytes).await, bytes));
        }
        // One is deleted before it is packed, one while that may be going on.
        let (first, _) = kept.remove(0);
        assert!(world.vaults.delete_archive(account(), &vault, first).await.unwrap());
        let (cut, dying) = dying(&world, steps).await;
        let mut deleted = None;
        if let Ok(dying) = dying {
            let _ = world.try_settle(&dying).await;
            deleted = dying.delete_archive(account(), &vault, kept[1].0).await.ok();
            let _ = world.try_settle(&dying).await;
        }
        world.reopen().await;
        world.settle().await;
        if deleted.is_some() {
            kept.remove(1);
        }
        let ids = kept.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(world.inventory(&vault).await, ids, "step {steps}");
        for (id, bytes) in &kept {
            assert!(world.get(&vault, *id).await == bytes, "step {steps}");
        }
        let home = world.home(&vault);
        for table in [tables::PIECES, tables::STAGED] {
            assert_eq!(world.count(home, table).await, 0, "step {steps}: {table:?}");
        }
        world.check_files(home, "vault").await;
        // Outputs expire, and then nothing refers to blobs any more.
        world.clock.advance(std::time::Duration::from_hours(25));
        world.settle().await;
        assert_eq!(world.references(home).await, 0, "step {steps}");
        let info = world.vaults.describe(account(), &vault).await.unwrap();
        let bytes: u64 = kept.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        assert_eq!((info.archives, info.bytes), (kept.len() as u64, bytes), "step {steps}");
        cut.is_cut()
    })
    .await;
}

#[tokio::test]
async fn a_crash_in_an_upload_leaves_the_archive_or_nothing() {
    behind_each_step(async |steps| {
        let mut world = World::new(8).await;
        let vault = world.create("v").await;
        let bytes = noise(1, 80_000);
        let (cut, dying) = dying(&world, steps).await;
        let put = match dying {
            Ok(dying) => world.try_put(&dying, &vault, &bytes).await.ok(),
            Err(_) => None,
        };
        world.reopen().await;
        world.settle().await;
        let there = world.inventory(&vault).await;
        match put {
            Some(id) => {
                assert_eq!(there, [id.to_string()].into());
                assert!(world.get(&vault, id).await == bytes, "step {steps}");
            }
            // It may be there, unanswered: then it is whole.
            None => assert!(there.len() <= 1),
        }
        cut.is_cut()
    })
    .await;
}

#[tokio::test]
async fn a_crash_in_a_creation_or_deletion_leaves_a_name_that_works() {
    behind_each_step(async |steps| {
        let mut world = World::new(9).await;
        let old = world.create("old").await;
        let left = world.home(&old);
        let archive = world.put(&old, &noise(3, 5_000)).await;
        world.settle().await;
        world.vaults.delete_archive(account(), &old, archive).await.unwrap();
        let (cut, dying) = dying(&world, steps).await;
        let mut deleted = false;
        if let Ok(dying) = dying {
            let _ = dying.create(account(), &name("new"), NewVault::default()).await;
            deleted = dying.delete(account(), &old).await.is_ok();
        }
        world.reopen().await;
        for vault in ["new", "old"] {
            world.create(vault).await;
            let bytes: Bytes = noise(2, 1_000);
            let id = world.put(&name(vault), &bytes).await;
            assert!(world.get(&name(vault), id).await == bytes, "step {steps}");
        }
        if deleted {
            assert_ne!(world.home(&old), left);
        }
        world.clock.advance(std::time::Duration::from_hours(25));
        world.settle().await;
        if world.home(&old) != left {
            for table in [tables::PACKS, tables::SUBKEYS, tables::PLACES, tables::SECRETS, tables::COUNT] {
                assert_eq!(world.count(left, table).await, 0, "step {steps}: {table:?}");
            }
            assert_eq!(world.references(left).await, 0);
        }
        let root = world.rows(PartitionId::ROOT, tables::INTENTS).await;
        assert!(root.is_empty(), "step {steps}");
        cut.is_cut()
    })
    .await;
}

#[tokio::test]
async fn a_crash_in_a_retrieval_begins_it_again() {
    behind_each_step(async |steps| {
        let mut world = World::new(10).await;
        let vault = world.create("v").await;
        let (packed, staged) = (noise(1, 2_300_000), noise(2, 90_000));
        let first = world.put(&vault, &packed).await;
        world.settle().await;
        let second = world.put(&vault, &staged).await;
        let jobs = [
            (world.ask_for(&vault, first, None).await, packed),
            (world.ask_for(&vault, second, None).await, staged),
        ];
        let (cut, dying) = dying(&world, steps).await;
        if let Ok(dying) = dying {
            let _ = world.try_settle(&dying).await;
        }
        world.reopen().await;
        for (job, bytes) in &jobs {
            world.wait(&vault, job).await;
            assert!(world.output(&vault, job).await == bytes, "step {steps}");
        }
        world.clock.advance(std::time::Duration::from_hours(25));
        world.settle().await;
        let home = world.home(&vault);
        assert_eq!(world.references(home).await, 0, "step {steps}");
        for table in [tables::JOBS, tables::FACTS, tables::OUTPUTS, tables::GARBAGE] {
            assert_eq!(world.count(home, table).await, 0, "step {steps}: {table:?}");
        }
        cut.is_cut()
    })
    .await;
}
