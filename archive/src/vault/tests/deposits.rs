//! Archives in, packed, deleted; in parts; what is alike.

use super::{World, account, name, noise};
use crate::inventory::Description;
use crate::lock::{HoldName, LockEvent, LockPolicy};
use crate::pack::ArchiveId;
use crate::tree_hash::{ByteRange, PartSize, TreeHash};
use crate::vault::rows::PieceRow;
use crate::vault::{Error, Expected, NewVault, settings, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Write};
use std::collections::BTreeMap;
use std::time::Duration;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn what_is_packed_comes_back_as_it_was_whole_and_in_ranges() {
    let mut world = World::new(1).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let mut all = Vec::new();
    for (seed, size) in (0..).zip([1, 1_000, 65_536, 1_500_000, 5_000_000]) {
        let bytes = noise(seed, size);
        all.push((world.put(&vault, &bytes).await, bytes));
    }
    assert_eq!(world.references(home).await, 5, "until they are packed they are blobs");
    // What waits is given back as well.
    assert!(world.get(&vault, all[4].0).await == all[4].1);
    world.settle().await;
    world.clock.advance(Duration::from_hours(25));
    world.settle().await;
    assert_eq!(world.references(home).await, 0);
    world.check_files(home, "vault").await;
    assert!(world.packs(home).await.len() > 2, "the largest one lies in several");
    world.reopen().await;
    for (id, bytes) in &all {
        assert!(world.get(&vault, *id).await == bytes);
    }
    let (id, bytes) = &all[4];
    for (first, last) in [(MIB, 2 * MIB - 1), (MIB, 4_999_999), (4 * MIB, 4_999_999), (0, 4_999_999)] {
        let range = ByteRange::new(first as u64, last as u64).unwrap();
        let job = world.ask_for(&vault, *id, Some(range)).await;
        world.wait(&vault, &job).await;
        assert!(world.output(&vault, &job).await == bytes.slice(first..=last), "{range}");
    }
    let subject = |first, last| crate::retrieval::Subject::Archive {
        archive: id.to_string(),
        range: Some(ByteRange::new(first, last).unwrap()),
    };
    for (first, last) in [(1, 1_048_575), (0, 1_048_576), (0, 5_000_000)] {
        let wanted = crate::vault::Wanted {
            subject: subject(first, last),
            tier: crate::retrieval::Tier::Standard,
            description: Description::default(),
            topic: String::new(),
        };
        let refused = world.vaults.initiate(account(), &vault, wanted).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{first}-{last}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_not_what_was_announced_is_not_taken() {
    let world = World::new(2).await;
    let vault = world.create("v").await;
    let expected = [
        Expected { tree_hash: Some(TreeHash::of(b"other")), sha256: None },
        Expected { tree_hash: None, sha256: Some([7; 32]) },
    ];
    for expected in expected {
        let mut upload = world.vaults.upload(account(), &vault, Description::default(), None).unwrap();
        upload.write("bytes".into()).await.unwrap();
        assert!(matches!(upload.finish(&expected).await, Err(Error::Mismatch { .. })));
    }
    let upload = world.vaults.upload(account(), &vault, Description::default(), None).unwrap();
    assert!(matches!(upload.finish(&Expected::default()).await, Err(Error::Invalid(_))), "there are none");
    assert!(world.inventory(&vault).await.is_empty());
    let nowhere = world.vaults.upload(account(), &name("w"), Description::default(), None);
    assert!(matches!(nowhere, Err(Error::NotFound { what: "vault", .. })));
}

async fn part(world: &World, upload: ArchiveId, first: usize, bytes: &Bytes) -> Result<(), Error> {
    let range = ByteRange::new(first as u64, (first + bytes.len() - 1) as u64).unwrap();
    Box::pin(async {
        let mut part = world.vaults.part(account(), &name("v"), upload, range).await?;
        part.write(bytes.clone()).await?;
        let expected = Expected { tree_hash: Some(TreeHash::of(bytes)), sha256: None };
        part.finish(&expected).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn parts_come_in_any_order_and_again_and_make_an_archive_only_without_gaps() {
    let world = World::new(3).await;
    let vault = world.create("v").await;
    let bytes = noise(1, 3 * MIB + 500);
    let size = PartSize::new(MIB as u64).unwrap();
    let begin = || world.vaults.begin_upload(account(), &vault, Description::default(), size);
    let upload = begin().await.unwrap();
    let whole = (bytes.len() as u64, TreeHash::of(&bytes));
    let complete = |with| world.vaults.complete_upload(account(), &vault, upload, with);
    part(&world, upload, 3 * MIB, &bytes.slice(3 * MIB..)).await.unwrap();
    part(&world, upload, MIB, &noise(9, MIB)).await.unwrap();
    part(&world, upload, 0, &bytes.slice(..MIB)).await.unwrap();
    assert!(
        matches!(part(&world, upload, 1, &bytes.slice(..MIB)).await, Err(Error::Invalid(_))),
        "misplaced"
    );
    assert!(matches!(complete(whole).await, Err(Error::Invalid(_))), "a gap");
    part(&world, upload, 2 * MIB, &bytes.slice(2 * MIB..3 * MIB)).await.unwrap();
    assert!(matches!(complete(whole).await, Err(Error::Mismatch { .. })), "a part of something else");
    part(&world, upload, MIB, &bytes.slice(MIB..2 * MIB)).await.unwrap();
    assert!(matches!(complete((whole.0 - 1, whole.1)).await, Err(Error::Invalid(_))), "a length");
    let page = world.vaults.parts(account(), &vault, upload, (0, 2)).await.unwrap();
    assert_eq!((page.parts.len(), page.next), (2, Some(2 * MIB as u64)));
    assert_eq!(world.vaults.uploads(account(), &vault, None, 10).await.unwrap().uploads.len(), 1);
    assert!(matches!(world.vaults.delete(account(), &vault).await, Err(Error::NotEmpty)));
    let done = complete(whole).await.unwrap();
    assert_eq!(complete(whole).await.unwrap(), done, "said again");
    let late = part(&world, upload, 0, &bytes.slice(..MIB)).await;
    assert!(matches!(late, Err(Error::NotFound { what: "upload", .. })));
    world.settle().await;
    assert!(world.get(&vault, done.archive).await == bytes);
    // What was given up goes.
    let given_up = begin().await.unwrap();
    part(&world, given_up, 0, &bytes.slice(..MIB)).await.unwrap();
    world.vaults.abort_upload(account(), &vault, given_up).await.unwrap();
    world.clock.advance(Duration::from_hours(25));
    world.settle().await;
    assert_eq!(world.references(world.home(&vault)).await, 0);
}

#[tokio::test]
async fn a_pack_goes_with_its_last_archive_once_the_backup_has_that() {
    let world = World::new(4).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let (small, large) = (noise(1, 100), noise(2, 300_000));
    let ids = [world.put(&vault, &small).await, world.put(&vault, &large).await];
    world.settle().await;
    assert_eq!((world.files("vault").len(), world.count(home, tables::SUBKEYS).await), (1, 2));
    world.vaults.delete_archive(account(), &vault, ids[1]).await.unwrap();
    world.settle().await;
    assert_eq!(world.count(home, tables::SUBKEYS).await, 1, "the subkey of a large one goes with it");
    assert!(world.get(&vault, ids[0]).await == small);
    world.blobs.set_hold(Some(0));
    world.vaults.delete_archive(account(), &vault, ids[0]).await.unwrap();
    assert!(!world.vaults.delete_archive(account(), &vault, ids[0]).await.unwrap(), "it is gone already");
    world.settle().await;
    assert_eq!(world.files("vault").len(), 1, "a backup does not have it yet");
    world.blobs.set_hold(None);
    world.settle().await;
    assert_eq!((world.files("vault").len(), world.count(home, tables::PACKS).await), (0, 0));
}

#[tokio::test]
async fn holds_and_least_ages_keep_archives_and_a_lock_lasts() {
    let world = World::new(5).await;
    let vault = world.create("v").await;
    let id = world.put(&vault, &noise(1, 100)).await;
    let hold = HoldName::new("case-7").unwrap();
    world.vaults.change_guard(account(), &vault, |guard, _| guard.hold(hold.clone())).await.unwrap();
    let refused = world.vaults.delete_archive(account(), &vault, id).await;
    assert!(matches!(refused, Err(Error::Kept(_))));
    world.vaults.change_guard(account(), &vault, |guard, _| Ok(guard.release(&hold))).await.unwrap();
    world
        .vaults
        .change_guard(account(), &vault, |guard, locked| guard.with_least_days(1, locked))
        .await
        .unwrap();
    assert!(matches!(world.vaults.delete_archive(account(), &vault, id).await, Err(Error::Kept(_))));
    let policy = LockPolicy::new("{}").unwrap();
    let lock = world.vaults.lock_id();
    let event = LockEvent::Initiate { id: lock, policy };
    world.vaults.change_lock(account(), &vault, event).await.unwrap();
    world.vaults.change_lock(account(), &vault, LockEvent::Complete { id: lock }).await.unwrap();
    let lowered =
        world.vaults.change_guard(account(), &vault, |guard, locked| guard.with_least_days(0, locked));
    assert!(matches!(lowered.await, Err(Error::Kept(_))));
    let aborted = world.vaults.change_lock(account(), &vault, LockEvent::Abort).await;
    assert!(matches!(aborted, Err(Error::Lock(_))));
    assert!(world.vaults.rules(account(), &vault, None).await.unwrap().lock_policy.is_some());
}

#[tokio::test]
async fn what_decides_is_read_at_once_and_nothing_of_it_is_left_out() {
    let world = World::new(14).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let id = world.put(&vault, &noise(1, 100)).await;
    let tags = BTreeMap::from([("Hold".to_owned(), "yes".to_owned())]);
    world.vaults.change_tags(account(), &vault, &tags, &[]).await.unwrap();
    world.vaults.set_access_policy(account(), &vault, Some("access".into())).await.unwrap();
    let event = LockEvent::Initiate { id: world.vaults.lock_id(), policy: LockPolicy::new("lock").unwrap() };
    world.vaults.change_lock(account(), &vault, event).await.unwrap();
    world.clock.advance(Duration::from_hours(23));
    world.vaults.compliance.settle().await.unwrap();
    let rules = world.vaults.rules(account(), &vault, Some(id)).await.unwrap();
    assert_eq!(rules.access_policy.as_deref(), Some(&b"access"[..]));
    assert_eq!(rules.lock_policy.map(|policy| policy.as_bytes().to_vec()), Some(b"lock".to_vec()));
    assert_eq!((rules.facts.archive_days, rules.facts.tags), (Some(0), tags));
    world.clock.advance(Duration::from_hours(2));
    world.vaults.compliance.settle().await.unwrap();
    let rules = world.vaults.rules(account(), &vault, Some(id)).await.unwrap();
    assert_eq!((rules.facts.archive_days, rules.lock_policy), (Some(1), None), "the lock was not completed");
    for archive in [None, Some(ArchiveId::from_bytes([7; 16]))] {
        let rules = world.vaults.rules(account(), &vault, archive).await.unwrap();
        assert_eq!(rules.facts.archive_days, None, "{archive:?}");
    }
    let nobody = world.vaults.rules(account(), &name("w"), None).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })), "{nobody:?}");
    let archive = tables::of_archive(tables::ARCHIVES, id);
    for key in [settings::key(settings::Kind::Tags), settings::key(settings::Kind::Lock), archive] {
        let snapshot = world.catalog.snapshot(home).await.unwrap();
        let sound = snapshot.get(key.clone()).await.unwrap().unwrap();
        for (raw, is_sound) in [(sound.slice(..sound.len() - 1), false), (sound, true)] {
            let version = world.catalog.snapshot(home).await.unwrap().read_version();
            let writes = vec![Write::Put(key.clone(), raw)];
            world.catalog.commit(Commit { writes, ..Commit::new(home, version) }).await.unwrap();
            let rules = world.vaults.rules(account(), &vault, Some(id)).await;
            assert_eq!(rules.is_ok(), is_sound, "{key:?}: {rules:?}");
        }
    }
}

#[tokio::test]
async fn a_row_that_is_put_elsewhere_opens_nothing() {
    let world = World::new(6).await;
    let vault = world.create("v").await;
    let home = world.home(&vault);
    let (one, other) = (noise(1, 5_000), noise(2, 5_000));
    let ids = [world.put(&vault, &one).await, world.put(&vault, &other).await];
    let rows = world.rows(home, tables::PIECES).await;
    let of = |id: ArchiveId| tables::at_offset(tables::PIECES, id.as_bytes(), 0);
    let stolen = rows.iter().find(|(key, _)| *key == of(ids[0]).bytes).unwrap().1.clone();
    assert_eq!(PieceRow::from_bytes(&stolen).unwrap().length, 5_000);
    let snapshot = world.catalog.snapshot(home).await.unwrap();
    let commit =
        Commit { writes: vec![Write::Put(of(ids[1]), stolen)], ..Commit::new(home, snapshot.read_version()) };
    world.catalog.commit(commit).await.unwrap();
    let read = world.vaults.piece_at(&world.vaults.vault(account(), &vault).unwrap(), ids[1], 0).await;
    assert!(matches!(read.map(drop), Err(Error::Engine(engine::Error::Corrupt { .. }))));
}

#[tokio::test]
async fn what_is_alike_is_kept_once_and_for_as_long_as_anybody_needs_it() {
    let world = World::with(7, |parts| parts.packing.capacity = 4 << 20).await;
    let new = NewVault { deduplicates: true, ..NewVault::default() };
    world.vaults.create(account(), &name("v"), new).await.unwrap();
    let vault = name("v");
    let home = world.home(&vault);
    let first = noise(1, 1_500_000);
    let id = world.put(&vault, &first).await;
    world.settle().await;
    let mut second = first.to_vec();
    second.splice(700_000..700_000, *b"something else");
    let second = Bytes::from(second);
    let other = world.put(&vault, &second).await;
    world.settle().await;
    let of = |file: &String| std::fs::metadata(world.path("vault").join(file)).unwrap().len();
    let lengths: Vec<u64> = world.files("vault").iter().map(of).collect();
    assert_eq!(lengths.len(), 2);
    assert!(lengths.iter().min().unwrap() * 2 < *lengths.iter().max().unwrap(), "{lengths:?}");
    world.vaults.delete_archive(account(), &vault, id).await.unwrap();
    world.settle().await;
    assert_eq!(world.files("vault").len(), 2, "the other one needs it");
    assert!(world.get(&vault, other).await == second);
    world.vaults.delete_archive(account(), &vault, other).await.unwrap();
    world.settle().await;
    assert_eq!(world.files("vault").len(), 0);
    assert_eq!(world.count(home, tables::PACK_USES).await, 0);
}
