//! Scrubs: what is found of packs, mended, and told.

use super::{World, account, noise};
use crate::pack::PackId;
use crate::vault::{Error, PackHealth, PackScrub, VaultName};
use engine::worker::{Progress, Worker};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

/// A pass over all of a vault.
async fn pass(world: &World, vault: &VaultName, repairs: bool) -> Vec<PackScrub> {
    let (mut from, mut found) = (None, Vec::new());
    loop {
        let step = world.vaults.scrub(account(), vault, (from, repairs)).await.unwrap();
        found.extend(step.found);
        assert!(found.len() < 100, "it goes on for ever");
        from = step.next;
        if from.is_none() {
            return found;
        }
    }
}

fn file(world: &World, pack: PackId) -> PathBuf {
    world.path("vault").join(format!("{pack}.pack"))
}

/// Flips a bit at each of these places.
fn flip(path: &PathBuf, places: impl Iterator<Item = u64>) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    for at in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
}

#[tokio::test]
async fn a_scrub_reads_each_pack_mends_what_parity_restores_and_names_what_is_lost() {
    let world = World::new(80).await;
    let (vault, other) = (world.create("v").await, world.create("other").await);
    let mut kept = Vec::new();
    for seed in 0..3 {
        let bytes = noise(seed, 1_500_000);
        kept.push((world.put(&vault, &bytes).await, bytes));
        world.settle().await;
    }
    world.put(&other, &noise(9, 1_000)).await;
    world.settle().await;
    let totals = world.vaults.pack_totals(account(), &vault).await.unwrap();
    assert_eq!(totals.packs, 3);
    let found = pass(&world, &vault, true).await;
    assert!(found.iter().all(|pack| pack.health == PackHealth::Whole && pack.medium == "disk"), "{found:?}");
    assert!(found.iter().map(|pack| pack.bytes).sum::<u64>() > 4_500_000, "each byte is read");
    let packs: Vec<PackId> = found.iter().map(|pack| pack.pack).collect();
    assert!(packs.is_sorted() && packs.len() == 3);

    // Within parity's bound: told, and then mended.
    let before = std::fs::read(file(&world, packs[1])).unwrap();
    flip(&file(&world, packs[1]), (0..20).map(|n| 200_000 + n * 50_000));
    let damaged = std::fs::read(file(&world, packs[1])).unwrap();
    let told = pass(&world, &vault, false).await;
    assert_eq!(told[1].health, PackHealth::Damaged);
    assert!(told[1].damaged_cells >= 20 && told[1].lost_cells == 0, "{told:?}");
    assert!(std::fs::read(file(&world, packs[1])).unwrap() == damaged, "nothing is written");
    let mended = pass(&world, &vault, true).await;
    assert_eq!((mended[1].health, mended[0].health), (PackHealth::Mended, PackHealth::Whole));
    assert!(std::fs::read(file(&world, packs[1])).unwrap() == before);
    assert!(pass(&world, &vault, false).await.iter().all(|pack| pack.health == PackHealth::Whole));

    // Beyond it: the archive is named, and others are mended all the same.
    flip(&file(&world, packs[0]), (0..250).map(|n| 100_000 + n * 5_000));
    flip(&file(&world, packs[2]), [300_000].into_iter());
    let found = pass(&world, &vault, true).await;
    let healths: Vec<PackHealth> = found.iter().map(|pack| pack.health).collect();
    assert_eq!(healths, [PackHealth::Lost, PackHealth::Whole, PackHealth::Mended]);
    assert_eq!(found[0].lost_archives.len(), 1);
    let lost = found[0].lost_archives[0];
    for (archive, bytes) in &kept {
        if *archive != lost {
            assert!(world.get(&vault, *archive).await == *bytes);
        }
    }
    // A file that is gone, and a medium that is.
    std::fs::remove_file(file(&world, packs[2])).unwrap();
    let found = pass(&world, &vault, true).await;
    assert!(found[2].health == PackHealth::Lost && !found[2].detail.is_empty(), "{found:?}");
    std::fs::rename(world.path("vault"), world.path("taken")).unwrap();
    let found = pass(&world, &vault, true).await;
    assert!(found.len() == 3 && found.iter().all(|pack| pack.health == PackHealth::Away), "{found:?}");
    let none = super::name("none");
    let refused = world.vaults.scrub(account(), &none, (None, true)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "vault", .. })));
}

#[tokio::test]
async fn a_scrub_needs_no_subkey_and_writes_to_nothing_that_the_vault_did_not_seal() {
    let world = World::new(81).await;
    let vault = world.create("v").await;
    world.put(&vault, &noise(1, 1_500_000)).await;
    world.put(&vault, &noise(2, 1_500_000)).await;
    world.settle().await;
    let packs: Vec<PackId> = pass(&world, &vault, true).await.iter().map(|pack| pack.pack).collect();
    let home = world.home(&vault);
    // As after erasures.
    let keys = world.rows(home, crate::vault::tables::SUBKEYS).await;
    let writes = keys
        .into_iter()
        .map(|(key, _)| engine::catalog::Write::Delete(crate::vault::tables::SUBKEYS.key(key)));
    world.write(home, writes.collect()).await;
    flip(&file(&world, packs[0]), [300_000].into_iter());
    assert_eq!(pass(&world, &vault, true).await[0].health, PackHealth::Mended);
    // Another pack under its name.
    std::fs::copy(file(&world, packs[1]), file(&world, packs[0])).unwrap();
    let before = std::fs::read(file(&world, packs[0])).unwrap();
    assert_eq!(pass(&world, &vault, true).await[0].health, PackHealth::Lost);
    assert!(std::fs::read(file(&world, packs[0])).unwrap() == before);
}

fn scrubber(world: &World) -> Box<dyn Worker> {
    world.vaults.workers().into_iter().find(|worker| worker.name() == "vault-scrubber").unwrap()
}

/// Ticks until it rests; how many packs it looked at.
async fn ticks(worker: &mut Box<dyn Worker>) -> u64 {
    let mut all = 0;
    for _ in 0..1_000 {
        match worker.tick().await.unwrap() {
            Progress::More { done } => all += done,
            Progress::Idle { .. } => return all,
        }
    }
    panic!("it comes to no rest");
}

#[tokio::test]
async fn the_worker_looks_at_every_byte_within_a_month_and_never_at_all_of_them_at_once() {
    let world = World::new(82).await;
    let vault = world.create("v").await;
    for seed in 0..4 {
        world.put(&vault, &noise(seed, 1_500_000)).await;
        world.settle().await;
    }
    let packs: Vec<PackId> = world.packs(world.home(&vault)).await.into_iter().collect();
    assert_eq!(packs.len(), 4);
    let mut worker = scrubber(&world);
    let day = Duration::from_hours(24);
    let mut looked = Vec::new();
    flip(&file(&world, packs[2]), [300_000].into_iter());
    for n in 0..30 {
        looked.push(ticks(&mut worker).await);
        if n == 16 {
            // A restart knows what was looked at.
            worker = scrubber(&world);
            ticks(&mut worker).await;
        }
        world.clock.advance(day);
    }
    assert_eq!(looked[..15].iter().sum::<u64>(), 0, "{looked:?}");
    assert_eq!(looked.iter().sum::<u64>(), 4, "each of them, and none twice: {looked:?}");
    assert!(looked.iter().all(|count| *count <= 1), "{looked:?}");
    let totals = world.vaults.scrubs();
    assert_eq!((totals.packs, totals.mended, totals.lost.len()), (4, 1, 0));
    assert!(totals.bytes > 6_000_000 && worker.trouble().is_none());
    // One that has lost bytes is told until somebody has mended it.
    let before = std::fs::read(file(&world, packs[0])).unwrap();
    flip(&file(&world, packs[0]), (0..250).map(|n| 100_000 + n * 5_000));
    for _ in 0..31 {
        ticks(&mut worker).await;
        world.clock.advance(day);
    }
    assert!(worker.trouble().is_some_and(|told| told.contains("1 packs")));
    assert_eq!(world.vaults.scrubs().lost.into_iter().collect::<Vec<_>>(), [packs[0]]);
    std::fs::write(file(&world, packs[0]), before).unwrap();
    pass(&world, &vault, false).await;
    assert!(world.vaults.scrubs().lost.is_empty());
    // With the packs their rows go.
    let home = world.home(&vault);
    assert_eq!(world.count(home, crate::vault::tables::SCRUBBED).await, 4);
    for archive in world.inventory(&vault).await {
        let archive = crate::vault::Vaults::archive_id("archive", &archive).unwrap();
        world.vaults.delete_archive(account(), &vault, archive).await.unwrap();
    }
    world.settle().await;
    assert_eq!(world.count(home, crate::vault::tables::SCRUBBED).await, 0);
}
