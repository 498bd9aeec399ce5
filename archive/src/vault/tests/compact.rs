//! Compaction: what is dead is known, what lives moves, what goes is gone; whoever meddles, and wherever the process dies.

use super::{World, account, medium, noise};
use crate::lock::HoldName;
use crate::pack::{ArchiveId, PackId};
use crate::retrieval::MediumKind;
use crate::vault::rows::PlaceRow;
use crate::vault::{Compacted, VaultName, Vaults, tables};
use bytes::Bytes;
use engine::BoxFuture;
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Limits, Snapshot, Version, Write};
use engine::id::PartitionId;
use engine::unit::ByteCount;
use engine::worker::{Progress, Worker};
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

type Kept = BTreeMap<ArchiveId, Bytes>;

/// Rows between whose nth and next step something happens.
#[derive(Default)]
struct Meddled {
    rows: Mutex<Option<Arc<dyn Catalog>>>,
    armed: Mutex<Option<(usize, Deed)>>,
    dead: Mutex<bool>,
}

enum Deed {
    /// The process dies.
    Die,
    Do(BoxFuture<'static, ()>),
}

impl Meddled {
    fn arm(&self, steps: usize, deed: Deed) {
        *self.armed.lock() = Some((steps, deed));
    }

    /// Whether it happened.
    fn is_done(&self) -> bool {
        self.armed.lock().take().is_none()
    }

    async fn step(&self) -> engine::Result<()> {
        let due = {
            let mut armed = self.armed.lock();
            match armed.take() {
                Some((0, deed)) => Some(deed),
                Some((steps, deed)) => {
                    *armed = Some((steps - 1, deed));
                    None
                }
                None => None,
            }
        };
        match due {
            Some(Deed::Die) => *self.dead.lock() = true,
            Some(Deed::Do(deed)) => deed.await,
            None => {}
        }
        if *self.dead.lock() { Err(engine::Error::Closed) } else { Ok(()) }
    }

    fn rows(&self) -> Arc<dyn Catalog> {
        self.rows.lock().clone().unwrap()
    }
}

impl Catalog for Meddled {
    fn limits(&self) -> Limits {
        self.rows().limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        Box::pin(async move {
            self.step().await?;
            self.rows().snapshot(partition).await
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        Box::pin(async move {
            self.step().await?;
            self.rows().commit(commit).await
        })
    }
}

/// A world whose vaults are meddled with.
async fn meddled(seed: u64) -> (World, Arc<Meddled>) {
    let mut world = World::new(seed).await;
    let meddled = Arc::new(Meddled::default());
    *meddled.rows.lock() = Some(world.catalog.clone());
    world.parts.catalog = meddled.clone();
    world.reopen().await;
    (world, meddled)
}

/// Puts these archives, packs them, and deletes those of which `keeps` says no.
async fn fill(world: &World, vault: &VaultName, sizes: &[usize], keeps: impl Fn(usize) -> bool) -> Kept {
    let mut all = Vec::new();
    for (seed, size) in (0..).zip(sizes) {
        let bytes = noise(1_000 + seed, *size);
        all.push((world.put(vault, &bytes).await, bytes));
        // In a pack they lie in the order in which they came.
        world.clock.advance(Duration::from_millis(1));
    }
    world.settle().await;
    let mut kept = Kept::new();
    for (number, (archive, bytes)) in all.into_iter().enumerate() {
        if keeps(number) {
            kept.insert(archive, bytes);
        } else {
            assert!(world.vaults.delete_archive(account(), vault, archive).await.unwrap());
        }
    }
    world.settle().await;
    kept
}

/// Compacts until nothing moves.
async fn compact(world: &World, vault: &VaultName) -> Vec<Compacted> {
    let mut steps = Vec::new();
    loop {
        let step = Box::pin(world.vaults.compact(account(), vault)).await.unwrap();
        assert!(steps.len() < 50, "it goes on for ever");
        let ended = step.to.is_none();
        steps.push(step);
        if ended {
            return steps;
        }
    }
}

/// Bytes of packs on a medium.
fn on(world: &World, medium: &str) -> u64 {
    let files = world.files(medium);
    files.iter().map(|name| fs::metadata(world.path(medium).join(name)).unwrap().len()).sum()
}

/// Every archive is there, and no other; each has its bytes once; nothing is on the medium that no row says.
async fn check(world: &World, vault: &VaultName, kept: &Kept, what: &str) {
    let ids: BTreeSet<String> = kept.keys().map(ToString::to_string).collect();
    assert_eq!(world.inventory(vault).await, ids, "{what}");
    for (archive, bytes) in kept {
        assert!(world.get(vault, *archive).await == *bytes, "{what}: {archive}");
    }
    let home = world.home(vault);
    world.check_files(home, "vault").await;
    let (mut live, mut of) = (BTreeMap::<PackId, u64>::new(), BTreeMap::<ArchiveId, u64>::new());
    let mut keys = BTreeSet::new();
    for (key, raw) in world.rows(home, tables::PLACES).await {
        let place = PlaceRow::from_bytes(&raw).unwrap();
        *live.entry(place.pack).or_default() += place.length;
        *of.entry(ArchiveId::from_bytes(tables::read_offset(&key).unwrap().0)).or_default() += place.length;
        keys.extend(place.own_key);
    }
    let wanted: BTreeMap<_, _> = kept.iter().map(|(archive, bytes)| (*archive, bytes.len() as u64)).collect();
    assert_eq!(of, wanted, "{what}: each byte has one place");
    let counters = world.rows(home, tables::LIVE).await;
    let counted: BTreeMap<_, _> = counters
        .iter()
        .map(|(key, raw)| {
            (PackId::from_bytes(tables::read_id(key).unwrap()), tables::stands_at(Some(raw)).unwrap())
        })
        .collect();
    assert_eq!(counted, live, "{what}: what is counted is what is there");
    assert_eq!(world.count(home, tables::HELD).await, live.len(), "{what}");
    // A subkey for each that has one for itself, and none but those and the groups' of packs that are there.
    let rows = world.rows(home, tables::SUBKEYS).await;
    let there: BTreeSet<_> =
        rows.iter().map(|(key, _)| crate::pack::KeyId::from_bytes(tables::read_id(key).unwrap())).collect();
    assert!(keys.is_subset(&there), "{what}");
    let loaded = BTreeSet::from_iter(shared(world, vault).await);
    assert!(there.difference(&keys).all(|key| loaded.contains(key)), "{what}: a subkey of nothing");
}

/// Subkeys that archives share in the packs that are there.
async fn shared(world: &World, vault: &VaultName) -> Vec<crate::pack::KeyId> {
    let known = world.vaults.vault(account(), vault).unwrap();
    let mut shared = Vec::new();
    for pack in world.packs(known.home).await {
        let reader = crate::vault::build::open_at(&file(world, pack), pack, &known).unwrap();
        for entry in &reader.index().archives {
            if matches!(entry.place, crate::pack::Place::Grouped { .. }) {
                shared.push(reader.index().keys[entry.key as usize]);
            }
        }
    }
    shared
}

fn file(world: &World, pack: PackId) -> PathBuf {
    world.path("vault").join(format!("{pack}.pack"))
}

fn flip(path: &PathBuf, places: impl Iterator<Item = u64>) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    for at in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
}

/// Small ones that share frames, some of their own, and one that lies in several packs.
const SIZES: [usize; 12] =
    [700_000, 100, 2_000, 600_000, 30_000, 70_000, 400_000, 3_300_000, 50, 900_000, 64_000, 65_536];

#[tokio::test]
async fn what_lives_moves_to_a_new_pack_and_the_medium_has_its_room_back() {
    let mut world = World::new(500).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let kept = fill(&world, &vault, &SIZES, |number| number % 3 != 0).await;
    let (before, packs) = (on(&world, "vault"), world.packs(home).await);
    let rows = world.rows(home, tables::ARCHIVES).await;
    let waste = world.vaults.waste(account(), &vault).await.unwrap();
    let dead: usize = SIZES.iter().step_by(3).sum();
    let live: usize = kept.values().map(Bytes::len).sum();
    // What nothing lives in is gone already.
    assert!(waste.live == live as u64 && waste.dead() > 0 && waste.dead() <= dead as u64, "{waste:?}");
    assert!(!waste.due.is_empty() && waste.due.len() as u64 == waste.due_packs, "{waste:?}");
    assert!(waste.due.is_sorted_by_key(|pack| std::cmp::Reverse(pack.dead() * 1_000 / pack.held)));
    let steps = compact(&world, &vault).await;
    let moved: u64 = steps.iter().map(|step| step.bytes).sum();
    assert!(moved > 0 && steps.iter().all(|step| step.left.is_empty()), "{steps:?}");
    world.settle().await;
    let after = world.vaults.waste(account(), &vault).await.unwrap();
    assert!(after.due.is_empty() && after.live == live as u64, "{after:?}");
    assert!(after.dead() * 4 <= after.held, "{after:?}");
    assert!(on(&world, "vault") + 500_000 < before, "{before} became {}", on(&world, "vault"));
    for step in &steps {
        assert!(step.from.iter().all(|pack| packs.contains(pack)));
        assert!(world.packs(home).await.is_disjoint(&step.from), "they went");
    }
    assert_eq!(world.rows(home, tables::ARCHIVES).await, rows, "archives are what they were");
    world.reopen().await;
    world.settle().await;
    check(&world, &vault, &kept, "after a restart").await;
    // What was moved is deleted and moved like the rest.
    let gone: Vec<ArchiveId> = kept.keys().copied().step_by(2).collect();
    for archive in &gone {
        world.vaults.delete_archive(account(), &vault, *archive).await.unwrap();
    }
    world.settle().await;
    compact(&world, &vault).await;
    world.settle().await;
    let kept = kept.into_iter().filter(|(archive, _)| !gone.contains(archive)).collect();
    check(&world, &vault, &kept, "the second time").await;
    for archive in kept.keys() {
        world.vaults.delete_archive(account(), &vault, *archive).await.unwrap();
    }
    world.settle().await;
    assert!(world.files("vault").is_empty());
    for table in [tables::SUBKEYS, tables::LIVE, tables::HELD, tables::PLACES, tables::PACKS] {
        assert_eq!(world.count(home, table).await, 0, "{table:?}");
    }
}

#[tokio::test]
async fn a_quarter_may_be_dead_and_holds_are_asked_nothing() {
    let world = World::new(501).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    // 20 % of it, and not more.
    let kept = fill(&world, &vault, &[400_000, 800_000, 400_000], |number| number > 0).await;
    let packs = world.packs(home).await;
    assert_eq!(compact(&world, &vault).await, [Compacted::default()]);
    assert_eq!(world.packs(home).await, packs, "a quarter of it is not dead");
    let more: Vec<ArchiveId> =
        kept.iter().filter(|(_, bytes)| bytes.len() == 400_000).map(|(id, _)| *id).collect();
    world.vaults.delete_archive(account(), &vault, more[0]).await.unwrap();
    world.settle().await;
    let hold = HoldName::new("CASE-1").unwrap();
    world.vaults.change_guard(account(), &vault, |guard, _| guard.hold(hold.clone())).await.unwrap();
    assert_eq!(compact(&world, &vault).await[0].parts, 1, "a hold keeps archives, not packs");
    world.settle().await;
    assert!(world.packs(home).await.is_disjoint(&packs));
    let kept: Kept = kept.into_iter().filter(|(id, _)| *id != more[0]).collect();
    let refused = world.vaults.delete_archive(account(), &vault, *kept.keys().next().unwrap()).await;
    refused.unwrap_err();
    check(&world, &vault, &kept, "held").await;
}

#[tokio::test]
async fn a_pack_from_before_what_came_was_counted_is_measured_by_its_index() {
    let world = World::new(502).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let kept = fill(&world, &vault, &[500_000, 500_000, 400_000], |number| number == 1).await;
    let exact = world.vaults.waste(account(), &vault).await.unwrap();
    let rows = world.rows(home, tables::HELD).await;
    let forget = rows.iter().map(|(key, _)| Write::Delete(tables::HELD.key(key.clone())));
    world.write(home, forget.collect()).await;
    fs::rename(world.path("vault"), world.path("taken")).unwrap();
    let unknown = world.vaults.waste(account(), &vault).await.unwrap();
    assert_eq!((unknown.unmeasured, unknown.held, unknown.due_packs), (1, 0, 0));
    fs::rename(world.path("taken"), world.path("vault")).unwrap();
    let measured = world.vaults.waste(account(), &vault).await.unwrap();
    assert_eq!((measured.unmeasured, measured.due_packs), (0, 1));
    assert!(measured.held.abs_diff(exact.held) < exact.held / 50, "{measured:?} {exact:?}");
    assert_eq!(world.count(home, tables::HELD).await, 1, "once");
    assert_eq!(compact(&world, &vault).await[0].parts, 1);
    world.settle().await;
    check(&world, &vault, &kept, "measured").await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_compaction_loses_doubles_and_leaves_nothing() {
    for steps in 0..1_000 {
        let (mut world, rows) = meddled(503).await;
        let vault = world.create("v").await;
        let kept =
            fill(&world, &vault, &[700_000, 3_000, 500_000, 100, 80_000], |number| number % 2 > 0).await;
        let before = world.packs(world.home(&vault)).await;
        rows.arm(steps, Deed::Die);
        let outcome = Box::pin(world.vaults.compact(account(), &vault)).await;
        let _ = world.try_settle(&world.vaults).await;
        let died = rows.is_done();
        assert!(died || outcome.is_ok(), "step {steps}: {outcome:?}");
        *rows.dead.lock() = false;
        world.reopen().await;
        world.settle().await;
        check(&world, &vault, &kept, &format!("step {steps}")).await;
        compact(&world, &vault).await;
        world.settle().await;
        assert!(
            world.packs(world.home(&vault)).await.is_disjoint(&before),
            "step {steps}: it is done in the end"
        );
        check(&world, &vault, &kept, &format!("step {steps}, compacted")).await;
        if !died {
            assert!(steps > 10);
            return;
        }
    }
    panic!("it never comes to its end");
}

/// Compacts with a deed between each step and the next.
async fn between_each_step(seed: u64, case: impl AsyncFn(&World, &Meddled, &VaultName, Kept, usize) -> bool) {
    for steps in 0..1_000 {
        let (world, rows) = meddled(seed).await;
        let vault = world.create("v").await;
        let sizes = [700_000, 3_000, 500_000, 100, 80_000, 5_000];
        let kept = fill(&world, &vault, &sizes, |number| number != 0 && number != 2).await;
        if !Box::pin(case(&world, &rows, &vault, kept, steps)).await {
            assert!(steps > 10);
            return;
        }
    }
    panic!("it never comes to its end");
}

#[tokio::test]
async fn what_is_deleted_while_its_pack_is_compacted_is_gone_and_its_keys_too() {
    // One that shares its frame, and one that has its own.
    for size in [100, 80_000] {
        between_each_step(504, async |world, rows, vault, mut kept, steps| {
            let archive = *kept.iter().find(|(_, bytes)| bytes.len() == size).unwrap().0;
            let (vaults, of) = (Arc::clone(&world.vaults), vault.clone());
            let deed = async move {
                Box::pin(vaults.delete_archive(account(), &of, archive)).await.unwrap();
            };
            rows.arm(steps, Deed::Do(Box::pin(deed)));
            let step = Box::pin(world.vaults.compact(account(), vault)).await.unwrap();
            let done = rows.is_done();
            // Behind the commit it is a deletion like any other.
            let in_time = done && step.parts < 4;
            if done {
                kept.remove(&archive);
            }
            world.settle().await;
            check(world, vault, &kept, &format!("step {steps}")).await;
            // Nobody has the key of a frame that it is in, once what is left of its packs was compacted.
            compact(world, vault).await;
            world.settle().await;
            check(world, vault, &kept, &format!("step {steps}, compacted")).await;
            let known = world.vaults.vault(account(), vault).unwrap();
            for pack in world.packs(known.home).await {
                let reader = crate::vault::build::open_at(&file(world, pack), pack, &known).unwrap();
                let names = reader.index().archives.iter().find(|entry| in_time && entry.archive == archive);
                if let Some(entry) = names {
                    let key = tables::of_key(reader.index().keys[entry.key as usize]);
                    let row = world.catalog.snapshot(known.home).await.unwrap().get(key).await.unwrap();
                    assert!(row.is_none(), "step {steps}: what is deleted can be read in pack {pack}");
                }
            }
            done
        })
        .await;
    }
}

#[tokio::test]
async fn a_medium_that_leaves_at_any_step_is_said_and_nothing_is_lost() {
    between_each_step(505, async |world, rows, vault, kept, steps| {
        let (from, to) = (world.path("vault"), world.path("taken"));
        let deed = async move { fs::rename(from, to).unwrap() };
        rows.arm(steps, Deed::Do(Box::pin(deed)));
        let outcome = Box::pin(world.vaults.compact(account(), vault)).await;
        let done = rows.is_done();
        if done {
            let told = match outcome {
                Ok(step) => step.to.is_some() || step == Compacted::default() || !step.left.is_empty(),
                Err(_) => true,
            };
            assert!(told, "step {steps}");
            fs::rename(world.path("taken"), world.path("vault")).unwrap();
        }
        let mut again = World {
            vaults: Vaults::open(world.parts.clone()).await.unwrap(),
            catalog: world.catalog.clone(),
            clock: world.clock.clone(),
            blobs: world.blobs.clone(),
            parts: world.parts.clone(),
            dir: world.dir.clone(),
        };
        again.settle().await;
        check(&again, vault, &kept, &format!("step {steps}")).await;
        again.clock.advance(Duration::from_hours(25));
        again.reopen().await;
        compact(&again, vault).await;
        again.settle().await;
        let waste = again.vaults.waste(account(), vault).await.unwrap();
        assert_eq!(waste.due_packs, 0, "step {steps}");
        check(&again, vault, &kept, &format!("step {steps}, compacted")).await;
        done
    })
    .await;
}

#[tokio::test]
async fn who_reads_where_an_archive_was_goes_on_where_it_is() {
    let world = World::new(506).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let kept = fill(&world, &vault, &[900_000, 800_000, 20_000, 200_000], |number| number > 0).await;
    let known = world.vaults.vault(account(), &vault).unwrap();
    let large = *kept.iter().find(|(_, bytes)| bytes.len() == 800_000).unwrap().0;
    // A job that is planned, a place that is known, and a read that is under way.
    let mut jobs = Vec::new();
    for archive in kept.keys() {
        jobs.push((*archive, world.ask_for(&vault, *archive, None).await));
    }
    let snapshot = world.vaults.at(home).await.unwrap();
    let mut placed = Vec::new();
    for archive in kept.keys() {
        placed.push(world.vaults.find_place(&*snapshot, *archive, 0).await.unwrap().unwrap());
    }
    drop(snapshot);
    let mut reading = world.vaults.read_on(&known, large, (0, 800_000)).await.unwrap();
    let mut read = reading.next().await.unwrap().unwrap().to_vec();
    let packs = world.packs(home).await;
    compact(&world, &vault).await;
    // The cleaner alone: the old packs go before any job is done.
    let mut workers = world.vaults.workers();
    let cleaner = workers.iter_mut().find(|worker| worker.name() == "vault-cleaner").unwrap();
    while !matches!(cleaner.tick().await.unwrap(), Progress::Idle { .. }) {}
    drop(workers);
    assert!(world.packs(home).await.is_disjoint(&packs));
    assert!(packs.iter().all(|pack| !file(&world, *pack).exists()), "their files went");
    while let Some(bytes) = reading.next().await {
        read.extend_from_slice(&bytes.unwrap());
    }
    assert!(read == kept[&large]);
    for place in placed {
        let bytes = &kept[&place.archive];
        let from = bytes.len() / 3;
        let mut read = Vec::new();
        let mut reading = world.vaults.read_place(&known, place, from as u64..bytes.len() as u64);
        while let Some(bytes) = reading.next().await {
            read.extend_from_slice(&bytes.unwrap());
        }
        assert!(read == bytes[from..], "{}", place.archive);
    }
    for (archive, job) in jobs {
        world.wait(&vault, &job).await;
        assert!(world.output(&vault, &job).await == kept[&archive]);
    }
}

fn compactor(world: &World) -> Box<dyn Worker> {
    world.vaults.workers().into_iter().find(|worker| worker.name() == "vault-compactor").unwrap()
}

async fn rests(worker: &mut Box<dyn Worker>) -> u64 {
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
async fn the_worker_compacts_on_a_budget_and_says_why_it_waits() {
    let mut world = World::with(507, |parts| parts.packing.compact_a_day = 1_000_000).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let mut kept = Kept::new();
    for _ in 0..4 {
        // Two of them to a pack, and two packs to a new one.
        kept.extend(fill(&world, &vault, &[600_000, 700_000], |number| number == 1).await);
    }
    let mut worker = compactor(&world);
    assert_eq!(rests(&mut worker).await, 0, "a start has other things to do");
    // No medium has room.
    world.parts.media[0].capacity = Some(ByteCount::new(on(&world, "vault")));
    let full = Vaults::open(world.parts.clone()).await.unwrap();
    let mut waiting = full.workers().pop().unwrap();
    rests(&mut waiting).await;
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(rests(&mut waiting).await, 0);
    let told = waiting.trouble().unwrap();
    assert!(told.contains("medium disk") && told.contains("full"), "{told}");
    assert_eq!(full.compactions().waits, Some(told));
    drop((waiting, full));
    assert_eq!(world.packs(home).await.len(), 4);
    // With room: so much a day, and no more.
    let mut moved = Vec::new();
    for _ in 0..5 {
        moved.push(rests(&mut worker).await);
        world.settle().await;
        world.clock.advance(Duration::from_hours(24));
    }
    assert_eq!(moved.iter().sum::<u64>(), 4, "{moved:?}");
    assert!(
        moved.iter().all(|parts| *parts <= 2) && moved.iter().filter(|parts| **parts > 0).count() == 2,
        "{moved:?}"
    );
    let totals = world.vaults.compactions();
    assert_eq!((totals.packs, totals.parts, totals.bytes, totals.waits), (2, 4, 2_800_000, None));
    assert_eq!(totals.dead, Some(0));
    drop(worker);
    world.settle().await;
    check(&world, &vault, &kept, "by the worker").await;
}

#[tokio::test]
async fn media_that_are_away_or_written_once_are_passed_by() {
    let mut world = World::new(508).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let kept = fill(&world, &vault, &[700_000, 600_000], |number| number == 1).await;
    let packs = world.packs(home).await;
    fs::rename(world.path("vault"), world.path("taken")).unwrap();
    let waste = world.vaults.waste(account(), &vault).await.unwrap();
    assert!(waste.due[0].kept_back.as_ref().unwrap().contains("not here"), "{waste:?}");
    assert_eq!(compact(&world, &vault).await, [Compacted::default()]);
    fs::rename(world.path("taken"), world.path("vault")).unwrap();
    fs::create_dir(world.path("more")).unwrap();
    world.parts.media.push(medium("more", MediumKind::Disk, world.path("more")));
    world.parts.media[0].write_once = true;
    world.reopen().await;
    let waste = world.vaults.waste(account(), &vault).await.unwrap();
    assert!(waste.due[0].kept_back.as_ref().unwrap().contains("written once"), "{waste:?}");
    assert_eq!(compact(&world, &vault).await, [Compacted::default()]);
    assert_eq!(world.packs(home).await, packs);
    world.parts.media[0].write_once = false;
    world.reopen().await;
    assert_eq!(compact(&world, &vault).await[0].parts, 1);
    world.settle().await;
    check(&world, &vault, &kept, "written again").await;
}

#[tokio::test]
async fn what_is_damaged_is_mended_before_it_moves_and_what_is_lost_stays_and_is_told() {
    let world = World::new(509).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let mut kept = fill(&world, &vault, &[900_000, 200_000, 300_000], |number| number > 0).await;
    let pack = *world.packs(home).await.first().unwrap();
    flip(&file(&world, pack), (0..10).map(|n| 950_000 + n * 20_000));
    assert_eq!(compact(&world, &vault).await[0].parts, 2);
    world.settle().await;
    check(&world, &vault, &kept, "mended").await;
    // Beyond what parity restores: the one that is hit stays, the other one moves.
    let more = fill(&world, &vault, &[600_000, 900_000, 200_000], |number| number > 0).await;
    let pack = *world.packs(home).await.iter().find(|pack| !kept_in(&world, home, **pack, &kept)).unwrap();
    flip(&file(&world, pack), (0..200).map(|n| 620_000 + n * 4_096));
    let steps = compact(&world, &vault).await;
    let left: Vec<_> = steps.iter().flat_map(|step| &step.left).collect();
    assert!(left.iter().all(|(of, why)| *of == pack && why.contains("can't be read")), "{left:?}");
    assert_eq!((steps[0].parts, left.len()), (1, 1), "{steps:?}");
    let waste = world.vaults.waste(account(), &vault).await.unwrap();
    assert!(waste.due[0].kept_back.as_ref().unwrap().contains("can't be read"), "{waste:?}");
    world.settle().await;
    assert!(file(&world, pack).exists(), "what is lost there may yet be brought");
    for (archive, bytes) in &more {
        if bytes.len() == 200_000 {
            assert!(world.get(&vault, *archive).await == *bytes);
        } else {
            world.vaults.delete_archive(account(), &vault, *archive).await.unwrap();
        }
    }
    world.settle().await;
    kept.extend(more.into_iter().filter(|(_, bytes)| bytes.len() == 200_000));
    check(&world, &vault, &kept, "without it").await;
}

/// Whether a pack has one of these. Blocks on rows in memory.
fn kept_in(world: &World, home: PartitionId, pack: PackId, kept: &Kept) -> bool {
    let rows = futures_util::FutureExt::now_or_never(world.rows(home, tables::PLACES)).unwrap();
    rows.iter().any(|(key, raw)| {
        let archive = ArchiveId::from_bytes(tables::read_offset(key).unwrap().0);
        PlaceRow::from_bytes(raw).unwrap().pack == pack && kept.contains_key(&archive)
    })
}

/// A generator of small numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[tokio::test]
async fn whatever_is_put_deleted_compacted_retrieved_and_crashed_archives_are_what_the_model_has() {
    for seed in 1..=12_u64 {
        let (mut world, rows) = meddled(600 + seed).await;
        let vault = world.create("v").await;
        let (mut kept, mut dice) = (Kept::new(), Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        for turn in 0..40 {
            let what = format!("seed {seed}, turn {turn}");
            match dice.roll(10) {
                0..=3 => {
                    let size = [50, 3_000, 64_000, 70_000, 400_000, 1_200_000, 2_500_000][dice.roll(7)];
                    let bytes = noise(seed * 1_000 + turn, size + dice.roll(500));
                    kept.insert(world.put(&vault, &bytes).await, bytes);
                }
                4..=6 => {
                    if let Some(archive) = kept.keys().nth(dice.roll(kept.len().max(1))).copied() {
                        world.vaults.delete_archive(account(), &vault, archive).await.unwrap();
                        kept.remove(&archive);
                    }
                }
                7 => {
                    world.settle().await;
                    compact(&world, &vault).await;
                }
                8 => {
                    if let Some(archive) = kept.keys().nth(dice.roll(kept.len().max(1))).copied() {
                        assert!(world.get(&vault, archive).await == kept[&archive], "{what}");
                    }
                }
                _ => {
                    rows.arm(dice.roll(120), Deed::Die);
                    let _ = Box::pin(world.vaults.compact(account(), &vault)).await;
                    let _ = world.try_settle(&world.vaults).await;
                    rows.is_done();
                    *rows.dead.lock() = false;
                    world.reopen().await;
                }
            }
        }
        world.settle().await;
        compact(&world, &vault).await;
        world.settle().await;
        let waste = world.vaults.waste(account(), &vault).await.unwrap();
        assert_eq!((waste.due_packs, waste.unmeasured), (0, 0), "seed {seed}");
        check(&world, &vault, &kept, &format!("seed {seed}")).await;
    }
}
