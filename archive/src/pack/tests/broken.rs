//! Errors while a pack is open end it; what is read is the pack that was asked for; and no key seals twice.

use super::world::{NOW, Table, VAULT, WHOSE, World, head, id, noise, open, open_from, put, scrub};
use crate::pack::body::Body;
use crate::pack::writer::fault;
use crate::pack::{
    Frame, Head, Index, KeyFor, KeyId, Layout, Outer, Pack, PackId, Packs, Place, Reader, Session, Subkeys,
    cell, plan,
};
use crate::parity::CELL_BYTES;
use engine::catalog::record::Record as _;
use engine::codec::DataKey;
use engine::entropy::SeededEntropy;
use engine::{Error, Result};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A table that fails once.
#[derive(Debug)]
struct Failing {
    table: Arc<Table>,
    calls: AtomicU32,
    fails: u32,
}

impl Subkeys for Failing {
    fn fresh(&self, pack: PackId, purpose: KeyFor) -> Result<(KeyId, DataKey)> {
        if self.calls.fetch_add(1, Ordering::Relaxed) == self.fails {
            return Err(Error::Invalid("the table is busy".into()));
        }
        self.table.fresh(pack, purpose)
    }

    fn find(&self, id: KeyId) -> Result<Option<DataKey>> {
        self.table.find(id)
    }

    fn abandon(&self, pack: PackId) -> Result<()> {
        self.table.abandon(pack)
    }
}

/// Nothing but the end is left.
fn is_ended(pack: &mut Pack<crate::pack::Open>) {
    let refused = pack.deposit(head(id(99))).unwrap_err().to_string();
    assert!(refused.contains("discard it"), "{refused}");
}

#[test]
fn a_key_that_fails_ends_the_pack_and_seals_nothing() {
    for (fails, dedup) in [(0, false), (1, false), (2, false), (0, true)] {
        let world = if dedup { World::with_dedup(1) } else { World::new(1) };
        let keys = Failing { table: Arc::clone(&world.keys), calls: AtomicU32::new(0), fails };
        let entropy = Arc::clone(&world.entropy);
        let mut pack = Pack::begin(world.dir.path(), world.options.clone(), Arc::new(keys), entropy).unwrap();
        let mut failed = false;
        // Two shared frames and more, and one of its own.
        for place in 0..40 {
            let length = if place == 3 { 100_000 } else { 60_000 };
            let mut deposit = pack.deposit(head(id(place))).unwrap().unwrap();
            let done = deposit.write(&noise(place.into(), length)).and_then(|_| deposit.finish([0; 32]));
            if let Err(error) = done {
                assert!(error.to_string().contains("busy"), "{error}");
                failed = true;
                break;
            }
        }
        if failed {
            is_ended(&mut pack);
        }
        let sealed = pack.seal(&VAULT, NOW).unwrap_err().to_string();
        assert!(sealed.contains(if failed { "discard it" } else { "busy" }), "{sealed}");
        assert_eq!(std::fs::read_dir(world.dir.path()).unwrap().count(), 0, "its file is gone");
        assert_eq!(world.keys.count(), 0, "and so are its subkeys");
    }
}

#[test]
fn a_write_that_fails_ends_the_pack_and_the_deposit() {
    let world = World::new(2);
    let mut pack = world.begin();
    put(&mut pack, id(1), &noise(1, 100_000));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let file = std::mem::replace(&mut pack.state.body.file, full);
    let mut deposit = pack.deposit(head(id(2))).unwrap().unwrap();
    let refused = deposit.write(&noise(2, 18 << 20)).unwrap_err().to_string();
    assert!(refused.contains("the disk is full"), "{refused}");
    // There is room again; that is too late.
    let again = deposit.write(&noise(3, 1 << 20)).unwrap_err().to_string();
    assert!(again.contains("discard it"), "{again}");
    deposit.suspend([0; 32]).unwrap_err();
    pack.state.body.file = file;
    is_ended(&mut pack);
    let path = pack.path().to_owned();
    pack.seal(&VAULT, NOW).unwrap_err();
    assert!(!path.with_extension("").exists());
}

#[test]
fn an_index_that_no_reader_takes_is_not_sealed() {
    let world = World::new(3);
    let pack = world.pack_of(&[noise(1, 100_000)]);
    let data: u64 = pack.index().frames.iter().map(|frame| u64::from(frame.stored)).sum();
    assert_eq!(fault(pack.index(), data), None);
    assert!(fault(pack.index(), data + 1).unwrap().contains("its data"));
    let mut wrong = pack.index().clone();
    wrong.archives[0].place = Place::Own { first: 1, count: 1 };
    assert!(fault(&wrong, data).unwrap().contains("not where it says"));
}

#[test]
fn a_machine_that_is_resumed_twice_seals_under_two_keys() {
    // The same pack, the same subkeys, the same frame: all that a snapshot has, and other bytes drawn after it.
    let mut worlds = [World::new(4), World::new(4)];
    let mut found = Vec::new();
    for (seed, world) in worlds.iter_mut().enumerate() {
        let mut pack = world.begin();
        pack.state.resume(Arc::new(SeededEntropy::new(1000 + seed as u64)));
        put(&mut pack, id(1), &vec![7; 70_000]);
        put(&mut pack, id(2), &[8; 7]);
        let pack = world.seal(pack);
        let bytes = std::fs::read(pack.path()).unwrap();
        let start = usize::try_from(pack.layout().data_at()).unwrap();
        let frames: Vec<Frame> = pack.index().frames.clone();
        let first = |frame: &Frame| bytes[start + frame.offset as usize..][..16].to_vec();
        found.push((pack.id(), frames.iter().map(first).collect::<Vec<_>>(), frames[0].stored));
    }
    assert_eq!(found[0].0, found[1].0);
    assert_eq!(found[0].2, found[1].2);
    for (one, other) in found[0].1.iter().zip(&found[1].1) {
        assert_ne!(one, other, "two plaintexts under one key stream");
    }
}

#[test]
fn another_pack_than_the_one_that_was_asked_for_is_refused() {
    let world = World::new(5);
    let (one, other) = (world.pack_of(&[noise(1, 70_000)]), world.pack_of(&[noise(2, 70_000)]));
    let bytes = std::fs::read(one.path()).unwrap();
    let refused = Reader::open(Arc::new(bytes.clone()), other.id(), WHOSE, &VAULT).unwrap_err().to_string();
    assert!(refused.contains(&format!("pack {} is there instead", one.id())), "{refused}");
    let refused = crate::pack::scrub(&bytes, Some(other.id())).unwrap_err().to_string();
    assert!(refused.contains("is there instead"), "{refused}");
    let vault = crate::pack::VaultId::from_bytes([8; 16]);
    let refused = Reader::open(Arc::new(bytes.clone()), one.id(), vault, &VAULT).unwrap_err().to_string();
    assert!(refused.contains("not of vault"), "{refused}");
    // By the other's entry, the bytes of this one's frame would be read.
    let reader = open(bytes).unwrap();
    let entry = &other.index().archives[0];
    let refused = world.read_range(&reader, entry, 0..9).unwrap_err().to_string();
    assert!(refused.contains("no such entry"), "{refused}");
}

#[test]
fn chunks_are_read_from_the_pack_that_has_them_and_from_no_other() {
    struct Wrong(Arc<Reader>);
    impl Packs for Wrong {
        fn reader(&self, _: crate::pack::PackId) -> Result<Arc<Reader>> {
            Ok(Arc::clone(&self.0))
        }
    }
    let world = World::with_dedup(6);
    let first = world.pack_of(&[noise(1, 300_000)]);
    let second = world.pack_of(&[[noise(1, 300_000), noise(2, 10)].concat()]);
    assert_eq!(second.index().packs, [first.id()]);
    let reader = world.packs.lock().unwrap()[&second.id()].clone();
    let wrong = Wrong(world.packs.lock().unwrap()[&second.id()].clone());
    let mut session = Session::new(&*world.keys, &wrong).unwrap();
    let entry = &reader.index().archives[0];
    let refused = session.read(&reader, entry, 0..300_010, &mut |_| Ok(())).unwrap_err().to_string();
    assert!(refused.contains("was opened where"), "{refused}");
}

#[test]
fn cells_of_another_pack_decide_nothing() {
    let world = World::new(7);
    let (one, other) = (world.pack_of(&[noise(1, 300_000)]), world.pack_of(&[noise(2, 900_000)]));
    let (good, foreign) = (std::fs::read(one.path()).unwrap(), std::fs::read(other.path()).unwrap());
    // Its first cell, in the place of this one's: right by itself.
    let mut bad = good.clone();
    bad[..CELL_BYTES].copy_from_slice(&foreign[..CELL_BYTES]);
    for expected in [None, Some(one.id())] {
        assert_eq!(Layout::find(&bad, expected).unwrap(), one.layout());
    }
    let found = scrub(&bad).unwrap();
    let mending = plan(&bad, &found).unwrap();
    mending.apply(&mut bad).unwrap();
    assert!(bad == good);
    // Somewhere else it is not even counted: all of the head are of the other one, and of the foot two are left.
    let mut bad = good.clone();
    let foot = usize::try_from(one.layout().foot_at()).unwrap();
    bad[foot + 2 * CELL_BYTES..].fill(0);
    for start in (0..usize::try_from(one.layout().data_at()).unwrap()).step_by(CELL_BYTES) {
        bad[start..start + CELL_BYTES].copy_from_slice(&foreign[2 * CELL_BYTES..3 * CELL_BYTES]);
    }
    assert!(one.layout().data_at() >= 5 * CELL_BYTES as u64);
    assert_eq!(Layout::find(&bad, None).unwrap(), one.layout());
    // A longer pack was in the file before, and the head is gone.
    let mut bad = foreign.clone();
    bad[..good.len()].copy_from_slice(&good);
    bad[..usize::try_from(one.layout().data_at()).unwrap()].fill(0);
    assert_eq!(Layout::find(&bad, Some(one.id())).unwrap(), one.layout());
    // A length that is no multiple of a cell's.
    let mut bad = good.clone();
    bad[..usize::try_from(one.layout().data_at()).unwrap()].fill(0);
    bad.extend_from_slice(b"junk");
    assert_eq!(Layout::find(&bad, None).unwrap(), one.layout());
}

#[test]
fn the_room_behind_the_head_is_zeros_and_is_made_so() {
    let world = World::new(8);
    let pack = world.pack_of(&[noise(1, 17 << 20)]);
    let good = std::fs::read(pack.path()).unwrap();
    let (start, end) = (pack.layout().copy_cells() as usize * CELL_BYTES, pack.layout().data_at());
    assert!(start + 3 * CELL_BYTES < usize::try_from(end).unwrap());
    let mut bad = good.clone();
    bad[start + CELL_BYTES + 9] = 1;
    let found = scrub(&bad).unwrap();
    assert!(!found.is_whole());
    assert_eq!(found.slack, [pack.layout().copy_cells() + 1]);
    plan(&bad, &found).unwrap().apply(&mut bad).unwrap();
    assert!(bad == good);
    assert!(open_from(Arc::new(bad)).is_ok());
}

#[test]
fn ciphertext_that_rots_or_is_changed_is_not_handed_out() {
    let world = World::new(9);
    let bytes = noise(1, 300_000);
    let plain = bytes.len() as u64 - 5 * 16;
    let blob = Outer { blob: engine::id::BlobId::from_bytes([1; 16]), first_chunk: 0, plain };
    let mut pack = world.begin();
    put(&mut pack, id(2), &noise(2, 70_000));
    let mut deposit = pack.deposit(Head { outside: true, ..head(id(1)) }).unwrap().unwrap();
    assert!(deposit.announce(blob).unwrap());
    assert_eq!(deposit.write(&bytes).unwrap(), bytes.len());
    deposit.finish([0; 32]).unwrap();
    let pack = world.seal(pack);
    let good = std::fs::read(pack.path()).unwrap();
    let place = usize::try_from(pack.layout().data_at()).unwrap() + 200_000;
    let mut bad = good.clone();
    bad[place] ^= 1;
    let reader = open(bad.clone()).unwrap();
    let entry = reader.index().entry(id(1)).unwrap().clone();
    let refused = world.read(&reader, id(1)).unwrap_err().to_string();
    assert!(refused.contains("repair"), "{refused}");
    // Blocks that are whole are read all the same.
    assert!(world.read_range(&reader, &entry, 3..9).unwrap() == bytes[3..9]);
    let found = scrub(&bad).unwrap();
    let healed = plan(&bad, &found).unwrap().healed(Arc::new(bad.clone()));
    assert!(world.read(&open_from(Arc::new(healed)).unwrap(), id(1)).unwrap() == bytes);
    // Hashes, checksums and parity made anew over it, as moving it unlooked at would, or somebody without a key.
    let meta = cell::read(&good, pack.layout(), true).unwrap();
    let sealed = meta.index().to_vec();
    let path = world.dir.path().join("forged");
    let mut body = Body::create(path.clone(), 1 << 20, 1 << 16).unwrap();
    let data: u64 = pack.index().frames.iter().map(|frame| u64::from(frame.stored)).sum();
    let start = usize::try_from(pack.layout().data_at()).unwrap();
    body.append(|out| out.extend_from_slice(&bad[start..start + usize::try_from(data).unwrap()])).unwrap();
    body.finish(pack.layout().names, sealed.len() as u64, |_| Ok(sealed)).unwrap();
    let forged = std::fs::read(path).unwrap();
    let found = scrub(&forged).unwrap();
    assert!(found.is_whole() && !found.is_sealed_by(pack.tables()));
    assert!(scrub(&good).unwrap().is_sealed_by(pack.tables()));
    let reader = open(forged).unwrap();
    let refused = world.read(&reader, id(1)).unwrap_err().to_string();
    assert!(refused.contains("tampered"), "{refused}");
    assert!(world.read(&reader, id(2)).unwrap() == noise(2, 70_000), "what has tags needs no hashes");
}

#[test]
fn a_section_that_is_not_known_is_passed_over_or_refused_by_its_kind() {
    let world = World::new(10);
    let pack = world.pack_of(&[noise(1, 100)]);
    let mut bytes = pack.index().to_bytes().to_vec();
    assert_eq!(bytes.pop(), Some(0));
    let even = [&bytes[..], &[1, 8, 3], b"abc"].concat();
    assert_eq!(&Index::from_bytes(&even).unwrap(), pack.index());
    let odd = [&bytes[..], &[1, 9, 3], b"abc"].concat();
    assert!(matches!(Index::from_bytes(&odd).unwrap_err(), Error::Newer { found: 9, .. }));
}
