//! Archives of all sizes and kinds, whole and in part.

use super::world::{Counted, NOW, VAULT, WHOSE, World, below, head, id, noise, put, text};
use crate::pack::{Codec, Detail, Head, KeyFor, Outer, Pack, Place, Protection, Reader, sweep};
use engine::catalog::record::Record as _;
use engine::codec::DataKey;
use engine::codec::chunk::ChunkCipher;
use engine::entropy::SeededEntropy;
use engine::id::BlobId;
use engine::{Error, ErrorKind};
use std::collections::HashSet;
use std::sync::Arc;

fn archives() -> Vec<Vec<u8>> {
    let lengths = [0, 1, 100, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 3_500_000];
    let noisy = lengths.iter().zip(0..).map(|(length, seed)| noise(seed, *length));
    let texts = lengths.iter().zip(100..).map(|(length, seed)| text(seed, *length));
    noisy.chain(texts).collect()
}

#[test]
fn what_is_deposited_comes_back_whole_and_in_part() {
    for world in [World::new(1), World::with_dedup(1)] {
        let archives = archives();
        let pack = world.pack_of(&archives);
        let reader = world.packs.lock().unwrap()[&pack.id()].clone();
        let dice = SeededEntropy::new(11);
        for (place, bytes) in (0..).zip(&archives) {
            assert!(world.read(&reader, id(place)).unwrap() == *bytes, "archive {place}");
            let entry = reader.index().entry(id(place)).unwrap();
            let about = reader.about(entry, &*world.keys).unwrap();
            assert_eq!(about.description, head(id(place)).description);
            assert_eq!(about.tree_hash, Some(super::world::hash(bytes)));
            assert_eq!((about.part_hash, &about.note[..]), (super::world::hash(bytes), &b"kept"[..]));
            let length = about.length;
            for _ in 0..10 {
                let start = below(&dice, length + 1);
                let end = start + below(&dice, length - start + 1);
                let found = world.read_range(&reader, entry, start..end).unwrap();
                let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
                assert!(found == bytes[range], "archive {place}, bytes {start}..{end}");
            }
            world.read_range(&reader, entry, 0..length + 1).unwrap_err();
        }
    }
}

#[test]
fn a_pack_of_many_bands_comes_back() {
    let mut world = World::new(2);
    world.options.capacity = 64 << 20;
    // Two bands and a half, at whose borders nothing ends.
    let archives: Vec<Vec<u8>> = (0..5).map(|seed| noise(seed, 8_388_607)).collect();
    let pack = world.pack_of(&archives);
    let reader = world.packs.lock().unwrap()[&pack.id()].clone();
    for (place, bytes) in (0..).zip(&archives) {
        assert!(world.read(&reader, id(place)).unwrap() == *bytes, "archive {place}");
    }
    let found = super::world::scrub(&std::fs::read(pack.path()).unwrap()).unwrap();
    assert!(found.is_whole(), "{found:?}");
}

#[test]
fn large_archives_have_a_subkey_of_their_own_and_small_ones_share() {
    let world = World::new(3);
    let pack = world.pack_of(&[noise(1, 100), noise(2, 70_000), noise(3, 2_500_000), noise(4, 200)]);
    let asked = world.keys.asked.lock().unwrap().clone();
    assert_eq!(asked, [KeyFor::Group, KeyFor::Archive(id(1)), KeyFor::Archive(id(2))]);
    let index = pack.index();
    let key_of = |archive: u8| match index.entry(id(archive)).unwrap().place {
        Place::Own { first, count } => {
            let frames = &index.frames[first as usize..(first + count) as usize];
            frames.iter().map(|frame| frame.protection).collect::<Vec<_>>()
        }
        Place::Grouped { frame } => vec![index.frames[frame as usize].protection],
        ref other => panic!("{other:?}"),
    };
    assert_eq!(key_of(1), [Protection::Key(1)]);
    assert_eq!(key_of(2), [Protection::Key(2); 3]);
    assert_eq!(key_of(0), [Protection::Key(0)]);
    assert_eq!(key_of(3), key_of(0));
}

#[test]
fn what_a_subkey_sealed_is_gone_with_it_and_nothing_else_is() {
    let world = World::new(4);
    let pack = world.pack_of(&[noise(1, 70_000), noise(2, 70_000), noise(3, 9)]);
    let reader = world.packs.lock().unwrap()[&pack.id()].clone();
    world.keys.erase(pack.index().keys[0]);
    let refused = world.read(&reader, id(0)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    assert!(refused.to_string().contains("erased"), "{refused}");
    // What its owner wrote, and the hash of what it held, went with it: whoever has the index has neither.
    let entry = |archive| reader.index().entry(archive).unwrap();
    assert_eq!(reader.about(entry(id(0)), &*world.keys).unwrap_err().kind(), ErrorKind::NotFound);
    let index = reader.index().to_bytes();
    for archive in [0, 1, 2].map(id) {
        assert!(!index.windows(6).any(|bytes| bytes == b"about "), "a description in the clear");
        let hash = reader.about(entry(archive), &*world.keys).ok().and_then(|about| about.tree_hash);
        assert_eq!(hash.is_some(), archive != id(0));
        assert!(hash.is_none_or(|hash| !index.windows(32).any(|bytes| bytes == hash)), "a hash in the clear");
    }
    assert!(world.read(&reader, id(1)).unwrap() == noise(2, 70_000));
    assert!(world.read(&reader, id(2)).unwrap() == noise(3, 9));
}

#[test]
fn an_archive_that_does_not_fit_goes_on_in_the_next_pack_with_frames_of_its_own() {
    for mut world in [World::new(5), World::with_dedup(5)] {
        world.options.capacity = 4 << 20;
        let bytes = [noise(1, 6_000_000), text(2, 4_000_000)].concat();
        let (mut found, mut offset, mut rounds) = (Vec::new(), 0, 0);
        while found.len() < bytes.len() {
            rounds += 1;
            assert!(rounds < 9);
            let mut pack = world.begin();
            put(&mut pack, id(1), b"a small one beside it");
            let mut deposit = pack.deposit(Head { offset, ..head(id(9)) }).unwrap().unwrap();
            let rest = &bytes[usize::try_from(offset).unwrap()..];
            let taken = deposit.write(rest).unwrap();
            assert!(taken > 0);
            if taken == rest.len() {
                deposit.finish_part(super::world::hash(rest), [9; 32]).unwrap();
            } else {
                assert_eq!(deposit.write(b"x").unwrap(), 0, "full stays full");
                let (from, cut) = (offset, deposit.cut());
                assert!(cut <= from + taken as u64 && cut.is_multiple_of(1 << 20));
                let range = usize::try_from(from).unwrap()..usize::try_from(cut).unwrap();
                offset = deposit.suspend(super::world::hash(&bytes[range])).unwrap();
                assert_eq!(offset, cut);
            }
            let pack = world.seal(pack);
            let entry = pack.index().entry(id(9)).unwrap();
            assert_eq!(entry.offset(), found.len() as u64);
            assert_eq!(entry.last, taken == rest.len());
            assert!(!matches!(entry.place, Place::Grouped { .. }), "{entry:?}");
            let reader = world.packs.lock().unwrap()[&pack.id()].clone();
            let part = world.read(&reader, id(9)).unwrap();
            assert_eq!(world.about(&reader, id(9)).part_hash, super::world::hash(&part));
            found.extend(part);
            assert!(pack.layout().data_bytes() <= 4 << 20);
        }
        assert!(found == bytes);
        assert!(rounds >= 2);
    }
}

#[test]
fn ciphertext_from_outside_stays_as_it_is_and_needs_no_key_of_the_vault() {
    let world = World::with_dedup(6);
    let outer = DataKey::from_bytes([1; 32]);
    let (blob, plain) = (BlobId::from_bytes([2; 16]), text(1, 2_000_000));
    let cipher = ChunkCipher::new(blob, &outer);
    let mut sealed = Vec::new();
    for (number, chunk) in (0..).zip(plain.chunks(65_536)) {
        cipher.seal_into(number, chunk, &mut sealed);
    }
    let mut pack = world.begin();
    let blobs = vec![Outer { blob, first_chunk: 0, plain: plain.len() as u64 }];
    let mut deposit = pack.deposit(Head { outside: true, ..head(id(1)) }).unwrap().unwrap();
    let refused = deposit.write(&sealed).unwrap_err().to_string();
    assert!(refused.contains("were announced"), "{refused}");
    assert!(deposit.announce(blobs[0]).unwrap());
    deposit.write(&sealed[1..]).unwrap();
    let refused = deposit.finish([0; 32]).unwrap_err();
    assert!(refused.to_string().contains("sealed chunks"), "{refused}");
    let mut deposit = pack.deposit(Head { outside: true, ..head(id(1)) }).unwrap().unwrap();
    // Chunk by chunk: they are one run all the same.
    for number in 0..31 {
        let plain = (2_000_000 - number * 65_536).min(65_536);
        assert!(deposit.announce(Outer { blob, first_chunk: number, plain }).unwrap());
    }
    assert_eq!(deposit.write(&sealed).unwrap(), sealed.len());
    deposit.finish([0; 32]).unwrap();
    let pack = world.seal(pack);
    assert!(pack.index().keys.len() == 1 && pack.chunks().is_empty());
    let reader = world.packs.lock().unwrap()[&pack.id()].clone();
    let entry = reader.index().entry(id(1)).unwrap();
    let detail = world.about(&reader, id(1)).detail;
    assert!(matches!(&detail, Detail::Outside { lead: 0, blobs: found } if *found == blobs), "{detail:?}");
    assert!(world.read(&reader, id(1)).unwrap() == sealed);
    let chunk = world.read_range(&reader, entry, 65_552..2 * 65_552).unwrap();
    let mut chunk = chunk;
    assert_eq!(cipher.open_in_place(1, &mut chunk), Ok(65_536));
    assert!(chunk[..65_536] == plain[65_536..131_072]);
}

#[test]
fn one_archive_is_read_with_at_most_2_mib_beyond_itself() {
    let mut world = World::new(7);
    world.options.capacity = 32 << 20;
    let mut pack = world.begin();
    let small: Vec<Vec<u8>> =
        (0..240).map(|seed| text(seed, 20_000 + 97 * usize::try_from(seed).unwrap())).collect();
    for (place, bytes) in (0..).zip(&small) {
        put(&mut pack, id(place), bytes);
    }
    put(&mut pack, id(250), &noise(1, 5_000_000));
    let pack = world.seal(pack);
    let counted = Counted::new(std::fs::read(pack.path()).unwrap());
    for place in [0, 17, 239, 250] {
        let before = counted.so_far();
        let reader = Reader::open(counted.clone(), pack.id(), WHOSE, &VAULT).unwrap();
        let entry = reader.index().entry(id(place)).unwrap().clone();
        let length = world.about(&reader, id(place)).length;
        let found = world.read_range(&reader, &entry, 0..length).unwrap();
        let beyond = counted.so_far() - before - found.len().min(5_000_000) as u64;
        assert!(counted.so_far() - before <= length + (2 << 20), "{beyond} beyond archive {place}");
    }
}

#[test]
fn an_index_is_made_again_by_reading_one_percent() {
    let world = World::new(8);
    let mut pack = world.begin();
    for place in 0..200 {
        put(&mut pack, id(place), &noise(place.into(), 65_536));
    }
    let pack = world.seal(pack);
    let counted = Counted::new(std::fs::read(pack.path()).unwrap());
    let reader = Reader::open(counted.clone(), pack.id(), WHOSE, &VAULT).unwrap();
    assert_eq!(reader.index().archives.len(), 200);
    let (read, total) = (counted.so_far(), pack.layout().total_bytes());
    assert!(read * 100 <= total, "{read} of {total}");
    // And from the foot alone, where the head is gone.
    let mut headless = std::fs::read(pack.path()).unwrap();
    headless[..usize::try_from(pack.layout().data_at()).unwrap()].fill(0);
    assert_eq!(super::world::open(headless).unwrap().index(), reader.index());
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "a weight is as near as it gets")]
fn floats_are_kept_as_planes_and_noise_as_it_is() {
    let world = World::new(9);
    // Near zero, as weights are: mantissas are noise, signs and exponents are not.
    let dice = noise(1, 4 << 20);
    let weight = |words: &[u8; 16]| {
        let sum: i64 = words.as_chunks::<4>().0.iter().map(|word| i64::from(i32::from_le_bytes(*word))).sum();
        (sum as f32 / 1e11).to_le_bytes()
    };
    let single: Vec<u8> = dice.as_chunks::<16>().0.iter().flat_map(weight).collect();
    let brain: Vec<u8> = single.as_chunks::<4>().0.iter().flat_map(|word| [word[2], word[3]]).collect();
    let pack = world.pack_of(&[brain.clone(), single.clone(), noise(2, 1 << 20), text(3, 1 << 20)]);
    let codecs: Vec<Codec> = pack.index().frames.iter().map(|frame| frame.codec).collect();
    assert_eq!(codecs, [Codec::ZstdPlanes2, Codec::ZstdPlanes4, Codec::Raw, Codec::Zstd]);
    let reader = world.packs.lock().unwrap()[&pack.id()].clone();
    assert!(world.read(&reader, id(0)).unwrap() == brain);
    assert!(world.read(&reader, id(1)).unwrap() == single);
    let stored = |frame: usize| pack.index().frames[frame].stored;
    assert!(stored(0) < 380_000 && stored(1) < 905_000, "{} {}", stored(0), stored(1));
}

#[test]
fn no_key_and_nonce_come_twice_not_even_under_one_subkey_in_two_packs() {
    /// Has one subkey for everything.
    #[derive(Debug)]
    struct One;
    impl crate::pack::Subkeys for One {
        fn fresh(&self, _: crate::pack::PackId, _: KeyFor) -> engine::Result<(crate::pack::KeyId, DataKey)> {
            Ok((crate::pack::KeyId::from_bytes([1; 16]), DataKey::from_bytes([1; 32])))
        }
        fn find(&self, _: crate::pack::KeyId) -> engine::Result<Option<DataKey>> {
            Ok(Some(DataKey::from_bytes([1; 32])))
        }
        fn abandon(&self, _: crate::pack::PackId) -> engine::Result<()> {
            Ok(())
        }
    }
    let world = World::new(10);
    let mut seen = HashSet::new();
    for _ in 0..2 {
        let mut pack =
            Pack::begin(world.dir.path(), world.options.clone(), Arc::new(One), Arc::clone(&world.entropy))
                .unwrap();
        // Equal bytes throughout: equal key and nonce would give equal ciphertext.
        for place in 0..3 {
            put(&mut pack, id(place), &noise(5, 200_000).repeat(7)[..1_300_000]);
        }
        let pack = pack.seal(&VAULT, NOW).unwrap();
        let bytes = std::fs::read(pack.path()).unwrap();
        for frame in &pack.index().frames {
            let start = usize::try_from(pack.layout().data_at()).unwrap() + frame.offset as usize;
            for chunk in bytes[start..start + frame.stored as usize].chunks(65_552) {
                assert!(seen.insert(chunk[..64].to_vec()), "the same key stream twice");
            }
        }
    }
    assert_eq!(seen.len(), 2 * 3 * 20);
}

#[test]
fn a_pack_that_was_not_sealed_leaves_nothing() {
    let world = World::new(12);
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(world.dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let mut pack = world.begin();
    put(&mut pack, id(1), &noise(1, 70_000));
    assert!(names().len() == 1 && world.keys.count() == 1);
    drop(pack);
    assert!(names().is_empty() && world.keys.count() == 0, "neither its file nor its subkeys");
    let refused = world.begin().seal(&VAULT, NOW).unwrap_err();
    assert!(refused.to_string().contains("holds no archive"), "{refused}");
    world.begin().discard().unwrap();
    assert_eq!(names(), [""; 0]);
    // After a crash: that of an open pack stays, and what is none of ours.
    let mut open = world.begin();
    put(&mut open, id(1), &noise(1, 70_000));
    let mut left = world.begin();
    put(&mut left, id(2), &noise(2, 70_000));
    let left_id = left.id();
    std::mem::forget(left);
    std::fs::write(world.dir.path().join("notes.pack.new"), "mine").unwrap();
    assert_eq!((names().len(), world.keys.count()), (3, 2));
    let swept = sweep(world.dir.path(), &HashSet::from([open.id()]), &*world.keys).unwrap();
    assert_eq!(swept, [left_id]);
    assert_eq!((names().len(), world.keys.count()), (2, 1));
    let sealed = world.seal(open);
    assert_eq!(sweep(world.dir.path(), &HashSet::new(), &*world.keys).unwrap(), []);
    assert!(names().contains(&format!("{}.pack", sealed.id())) && world.keys.count() == 1);
}

#[test]
fn a_name_that_may_not_last_is_said_to_be_so_and_nothing_is_taken_back() {
    let world = World::new(17);
    let mut pack = world.begin();
    put(&mut pack, id(1), &noise(1, 70_000));
    pack.state.unsynced = true;
    let path = pack.path().with_extension("");
    let unknown = pack.seal(&VAULT, NOW).unwrap_err();
    assert!(matches!(unknown, Error::Unknown { .. }), "{unknown}");
    let reader = super::world::open(std::fs::read(path).unwrap()).unwrap();
    assert!(world.read(&reader, id(1)).unwrap() == noise(1, 70_000));
}

#[test]
fn a_power_cut_leaves_a_pack_whole_or_without_its_name() {
    const TEST: &str = "a_power_cut_leaves_a_pack_whole_or_without_its_name";
    let world = World::new(15);
    let archives = [noise(1, 100), noise(2, 70_000)];
    powercut::at_every_step(
        TEST,
        |_| {},
        |dir| {
            let keys: Arc<dyn crate::pack::Subkeys> = Arc::clone(&world.keys) as _;
            let Ok(mut pack) = Pack::begin(dir, world.options.clone(), keys, Arc::clone(&world.entropy))
            else {
                return;
            };
            for (place, bytes) in (0..).zip(&archives) {
                put(&mut pack, id(place), bytes);
            }
            drop(pack.seal(&VAULT, NOW));
        },
        |dir, cut| {
            let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
            let sealed: Vec<_> =
                entries.filter(|path| path.extension().is_some_and(|name| name == "pack")).collect();
            assert!(sealed.len() <= 1 && (!cut.ended || sealed.len() == 1), "{cut}");
            for path in sealed {
                let bytes = std::fs::read(path).unwrap();
                assert!(super::world::scrub(&bytes).unwrap().is_whole(), "{cut}");
                let reader = super::world::open(bytes).unwrap();
                for (place, bytes) in (0..).zip(&archives) {
                    assert!(world.read(&reader, id(place)).unwrap() == *bytes, "{cut}");
                }
            }
        },
    );
}

#[test]
fn a_deposit_that_is_dropped_leaves_no_archive() {
    for world in [World::new(13), World::with_dedup(13)] {
        let mut pack = world.begin();
        let mut deposit = pack.deposit(head(id(1))).unwrap().unwrap();
        deposit.write(&noise(1, 3_000_000)).unwrap();
        drop(deposit);
        put(&mut pack, id(1), b"another with its id");
        let deposit = pack.deposit(head(id(1))).unwrap_err();
        assert!(matches!(deposit, Error::Invalid(_)), "{deposit}");
        let pack = world.seal(pack);
        assert_eq!(pack.index().archives.len(), 1);
        let reader = world.packs.lock().unwrap()[&pack.id()].clone();
        assert_eq!(world.read(&reader, id(1)).unwrap(), b"another with its id");
    }
}

#[test]
fn descriptions_and_notes_are_bounded_and_fill_the_index_before_the_data() {
    let mut world = World::new(14);
    world.options.capacity = 2 << 20;
    let mut pack = world.begin();
    let long = Head { description: vec![1; 4097], ..head(id(1)) };
    assert!(matches!(pack.deposit(long).unwrap_err(), Error::TooLarge { .. }));
    let long = Head { note: vec![1; 4097], ..head(id(1)) };
    assert!(matches!(pack.deposit(long).unwrap_err(), Error::TooLarge { .. }));
    let mut count = 0_u8;
    loop {
        let head = Head { description: vec![count; 4096], note: vec![!count; 4096], ..head(id(count)) };
        let Some(mut deposit) = pack.deposit(head).unwrap() else { break };
        deposit.write(b"x").unwrap();
        deposit.finish([0; 32]).unwrap();
        count += 1;
    }
    assert_eq!(count, 7);
    let pack = world.seal(pack);
    let reader = world.reader_of(&pack);
    for place in 0..count {
        let about = world.about(&reader, id(place));
        assert!(about.description == vec![place; 4096] && about.note == vec![!place; 4096]);
    }
}

#[test]
fn several_parts_of_one_archive_lie_in_one_pack_and_no_byte_twice() {
    const MIB: u64 = 1 << 20;
    let world = World::new(16);
    let mut pack = world.begin();
    let parts = [(2, 1), (0, 1), (5, 2)].map(|(offset, length)| (offset * MIB, length << 20));
    for (offset, length) in parts {
        let mut deposit = pack.deposit(Head { offset, ..head(id(1)) }).unwrap().unwrap();
        // What is beyond a whole MiB is for the next part.
        assert_eq!(deposit.write(&noise(offset, length + 999)).unwrap(), length + 999);
        let part = super::world::hash(&noise(offset, length + 999)[..length]);
        assert_eq!(deposit.suspend(part).unwrap(), offset + length as u64);
    }
    for offset in [0, 2, 5, 6] {
        let refused = pack.deposit(Head { offset: offset * MIB, ..head(id(1)) }).unwrap_err().to_string();
        assert!(refused.contains("part of it"), "{refused}");
    }
    let refused = pack.deposit(Head { offset: 3 * MIB + 1, ..head(id(1)) }).unwrap_err().to_string();
    assert!(refused.contains("multiples of 1 MiB"), "{refused}");
    // One that begins before another and goes on into it.
    let mut deposit = pack.deposit(Head { offset: 3 * MIB, ..head(id(1)) }).unwrap().unwrap();
    deposit.write(&noise(1, (2 << 20) + 1)).unwrap();
    let refused = deposit.finish_part([1; 32], [1; 32]).unwrap_err().to_string();
    assert!(refused.contains("part of it"), "{refused}");
    let mut deposit = pack.deposit(Head { offset: 3 * MIB, ..head(id(1)) }).unwrap().unwrap();
    deposit.write(&noise(1, 2 << 20)).unwrap();
    let refused = deposit.finish([1; 32]).unwrap_err().to_string();
    assert!(refused.contains("the whole alone"), "{refused}");
    let mut deposit = pack.deposit(Head { offset: 3 * MIB, ..head(id(1)) }).unwrap().unwrap();
    deposit.write(&noise(1, 2 << 20)).unwrap();
    deposit.finish_part([2; 32], [1; 32]).unwrap();
    let pack = world.seal(pack);
    let reader = world.reader_of(&pack);
    for (offset, length) in parts {
        let entry = reader.part(id(1), offset).unwrap();
        let about = reader.about(entry, &*world.keys).unwrap();
        assert_eq!((about.length, about.tree_hash), (length as u64, None));
        let found = world.read_range(&reader, entry, 0..about.length).unwrap();
        assert!(
            about.part_hash == super::world::hash(&found) && found == noise(offset, length + 999)[..length]
        );
    }
    let last = reader.about(reader.part(id(1), 3 * MIB).unwrap(), &*world.keys).unwrap();
    assert_eq!((last.part_hash, last.tree_hash), ([2; 32], Some([1; 32])));
    let mut twice = pack.index().clone();
    twice.archives[1].part = twice.archives[0].part;
    assert!(twice.fault(pack.layout().data_bytes()).unwrap().contains("there twice"));
}
