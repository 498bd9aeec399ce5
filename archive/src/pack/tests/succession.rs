//! Packs that are written in the place of others, readers that are kept, and patches for media that are never rewritten.

use super::world::{NOW, VAULT, WHOSE, World, head, id, noise, open, open_from, put, scrub};
use crate::chunk::ChunkId;
use crate::pack::{
    Head, Mending, NamedChunk, Options, Outer, Pack, PackId, Packs, Reader, Readers, Sealed, Session, plan,
};
use crate::parity::CELL_BYTES;
use crate::source::{ReadAt, WriteAt};
use engine::id::BlobId;
use engine::{Error, Result};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Writes a pack anew with the chunks that are wanted, and these of its archives; the vault knows the new one by the old one's id, too.
pub(super) fn anew(
    world: &World,
    old: &Pack<Sealed>,
    wanted: &dyn Fn(&NamedChunk) -> bool,
    archives: &[u8],
) -> Pack<Sealed> {
    let reader = world.reader_of(old);
    let register = reader.register(&*world.keys).unwrap().clone();
    let mut pack = world.begin();
    assert!(pack.replace(&reader, &register).unwrap());
    for chunk in register.chunks.iter().filter(|chunk| wanted(chunk)) {
        let bytes = reader.chunk(chunk, &*world.keys).unwrap();
        assert!(pack.carry(old.id(), chunk, &bytes).unwrap());
    }
    let bytes: Vec<Vec<u8>> =
        archives.iter().map(|archive| world.read(&reader, id(*archive)).unwrap()).collect();
    for (archive, bytes) in archives.iter().zip(&bytes) {
        put(&mut pack, id(*archive), bytes);
    }
    let sealed = world.seal(pack);
    let mut packs = world.packs.lock().unwrap();
    let reader = Arc::clone(&packs[&sealed.id()]);
    for replaced in &sealed.index().replaces {
        packs.insert(*replaced, Arc::clone(&reader));
    }
    drop(packs);
    // What was the old pack's alone is gone with its key.
    for key in &old.index().keys {
        world.keys.erase(*key);
    }
    sealed
}

#[test]
fn a_pack_is_written_anew_without_those_that_refer_to_it_and_so_is_the_new_one() {
    let world = World::with_dedup(20);
    let (kept, dropped) = (noise(1, 1_500_000), noise(2, 1_500_000));
    let first = world.pack_of(&[dropped, kept.clone()]);
    let family = [&kept[..], &noise(3, 100_000)].concat();
    let second = world.pack_of(&[b"beside".to_vec(), family.clone()]);
    assert_eq!(second.index().packs, [first.id()]);
    let of_the_kept: Vec<ChunkId> = {
        // Its own chunks, by those that a pack of it alone has.
        let other = World::with_dedup(21);
        other.pack_of(std::slice::from_ref(&kept)).chunks().iter().map(|chunk| chunk.id).collect()
    };
    let wanted = |chunk: &NamedChunk| of_the_kept.contains(&chunk.id);
    let before: u64 = first.index().frames.iter().map(|frame| u64::from(frame.stored)).sum();
    let mut latest = anew(&world, &first, &wanted, &[1]);
    for round in 0..2 {
        assert!(
            latest.index().frames.iter().map(|frame| u64::from(frame.stored)).sum::<u64>() < before * 6 / 10
        );
        assert_eq!(latest.index().replaces.last(), Some(&first.id()), "round {round}");
        // The one that refers to the first one is as it was sealed, and is read as ever: whole, and in part.
        let reader = world.reader_of(&second);
        assert!(world.read(&reader, id(1)).unwrap() == family, "round {round}");
        let entry = reader.index().entry(id(1)).unwrap();
        let part = world.read_range(&reader, entry, 700_001..1_500_009).unwrap();
        assert!(part == family[700_001..1_500_009]);
        assert!(world.read(&world.reader_of(&latest), id(1)).unwrap() == kept);
        latest = anew(&world, &latest, &wanted, &[1]);
    }
    assert_eq!(latest.index().replaces.len(), 3);
    // Neighbours that stayed neighbours are one.
    let (chunks, moved) = (latest.chunks().len(), latest.state.register.moved.len());
    assert!(moved <= 3 * 4 && chunks > 10, "{moved} of {chunks}");
    // What was not carried over is missing, by name.
    let none = anew(&world, &latest, &|_| false, &[]);
    let refused = world.read(&world.reader_of(&second), id(1)).unwrap_err().to_string();
    assert!(
        refused.contains("has not all of its frame") && refused.contains(&none.id().to_string()),
        "{refused}"
    );
}

#[test]
fn what_is_carried_over_is_what_its_name_says() {
    let world = World::with_dedup(22);
    let old = world.pack_of(&[noise(1, 200_000)]);
    let reader = world.reader_of(&old);
    let register = reader.register(&*world.keys).unwrap();
    let (chunk, mut pack) = (register.chunks[0], world.begin());
    let mut bytes = reader.chunk(&chunk, &*world.keys).unwrap();
    let refused = pack.carry(old.id(), &chunk, &bytes).unwrap_err().to_string();
    assert!(refused.contains("nothing replaces it"), "{refused}");
    assert!(pack.replace(&reader, register).unwrap());
    bytes[9] ^= 1;
    let refused = pack.carry(old.id(), &chunk, &bytes).unwrap_err().to_string();
    assert!(refused.contains("not what its name says"), "{refused}");
    let refused = pack.replace(&reader, register).unwrap_err().to_string();
    assert!(refused.contains("does already"), "{refused}");
    // Chunks of another group have other names.
    let mut other = World::with_dedup(23);
    if let Some(dedup) = &mut other.options.dedup {
        dedup.group = crate::pack::GroupId::from_bytes([1; 16]);
    }
    let refused = other.begin().replace(&reader, register).unwrap_err().to_string();
    assert!(refused.contains("two groups"), "{refused}");
    // What does not come to one pack is said to be too much.
    let mut small = World::with_dedup(24);
    small.options = Options { capacity: 2 << 20, ..world.options.clone() };
    let large = world.pack_of(&[noise(5, 2_500_000)]);
    let (reader, mut pack) = (world.reader_of(&large), small.begin());
    let register = reader.register(&*world.keys).unwrap();
    assert!(pack.replace(&reader, register).unwrap());
    let carried = register.chunks.iter().take_while(|chunk| {
        pack.carry(large.id(), chunk, &reader.chunk(chunk, &*world.keys).unwrap()).unwrap()
    });
    assert!((10..register.chunks.len()).contains(&carried.count()));
}

#[test]
fn names_and_lengths_of_chunks_end_with_the_subkey_of_their_pack() {
    let world = World::with_dedup(24);
    let pack = world.pack_of(&[noise(1, 300_000)]);
    let index = engine::catalog::record::Record::to_bytes(pack.index());
    for chunk in pack.chunks() {
        assert!(!index.windows(32).any(|bytes| bytes == chunk.id.as_bytes()), "a name in the clear");
    }
    world.keys.erase(pack.index().keys[0]);
    let reader = open(std::fs::read(pack.path()).unwrap()).unwrap();
    assert!(matches!(reader.register(&*world.keys).unwrap_err(), Error::NotFound { .. }));
}

#[test]
fn lengths_of_archives_are_not_told_to_the_byte() {
    // Whoever has the index alone sees the same of archives that differ by what a frame is filled up with.
    let seen = |length: usize| {
        let world = World::new(25);
        let pack = world.pack_of(&[noise(1, length), noise(2, 500 + length % 7)]);
        let frames: Vec<u32> = pack.index().frames.iter().map(|frame| frame.stored).collect();
        (frames, pack.index().archives.iter().map(|entry| entry.private.len()).collect::<Vec<_>>())
    };
    assert_eq!(seen(70_000), seen(70_001));
    assert_eq!(seen(70_000), seen(70_144));
    assert_ne!(seen(70_000), seen(70_145));
}

/// Asks a vault, and counts how often.
struct Asked<'a>(&'a World, AtomicU32);

impl Packs for Asked<'_> {
    fn reader(&self, pack: PackId) -> Result<Arc<Reader>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.reader(pack)
    }
}

#[test]
fn other_packs_are_asked_for_once_and_not_by_turns() {
    let world = World::with_dedup(26);
    let (one, other) = (noise(1, 900_000), noise(2, 900_000));
    world.pack_of(std::slice::from_ref(&one));
    world.pack_of(std::slice::from_ref(&other));
    let woven: Vec<u8> =
        [&one[..300_000], &other[..300_000], &one[300_000..600_000], &other[300_000..]].concat();
    let pack = world.pack_of(std::slice::from_ref(&woven));
    assert_eq!(pack.index().packs.len(), 2);
    let (reader, asked) = (world.reader_of(&pack), Asked(&world, AtomicU32::new(0)));
    let mut session = Session::new(&*world.keys, &asked).unwrap();
    let (entry, mut found) = (reader.index().entry(id(0)).unwrap(), Vec::new());
    let mut take = |bytes: &[u8]| {
        found.extend_from_slice(bytes);
        Ok(())
    };
    session.read(&reader, entry, 0..woven.len() as u64, &mut take).unwrap();
    assert!(found == woven);
    assert_eq!(asked.1.load(Ordering::Relaxed), 2);
}

#[test]
fn readers_are_kept_within_their_bound_and_opened_once() {
    let world = World::new(27);
    let packs: Vec<Pack<Sealed>> = (0..4).map(|seed| world.pack_of(&vec![noise(seed, 9); 50])).collect();
    let size = world.reader_of(&packs[0]).memory();
    let (readers, opened) = (Readers::new(size * 2 + size / 2), AtomicU32::new(0));
    let get = |pack: &Pack<Sealed>| {
        let found = readers.get(pack.id(), || {
            opened.fetch_add(1, Ordering::Relaxed);
            let bytes = std::fs::read(pack.path()).unwrap();
            Ok(Arc::new(Reader::open(Arc::new(bytes), pack.id(), WHOSE, &VAULT)?))
        });
        assert_eq!(found.unwrap().layout().pack(), pack.id());
        assert!(readers.bytes() <= size * 2 + size / 2);
        opened.load(Ordering::Relaxed)
    };
    assert_eq!([&packs[0], &packs[0], &packs[1], &packs[0], &packs[1]].map(get), [1, 1, 2, 2, 2]);
    // The third one takes the place of the one that was not wanted for longest.
    assert_eq!([&packs[2], &packs[1], &packs[0]].map(get), [3, 3, 4]);
    readers.forget(packs[0].id());
    assert_eq!(get(&packs[0]), 5);
    let failed = readers.get(packs[3].id(), || Err(Error::Closed));
    assert!(failed.is_err() && get(&packs[3]) == 6, "an error is not kept");
}

#[test]
fn ciphertext_of_many_blobs_is_deposited_as_a_stream_over_many_packs() {
    let world = World::new(28);
    // 40,000 blobs of some 200 bytes: more than any index has room for.
    let blob = |number: u64| Outer {
        blob: BlobId::from_bytes([(number % 251) as u8; 16]),
        first_chunk: 0,
        plain: 150 + number % 100,
    };
    let runs: Vec<Outer> = (0..40_000).map(blob).collect();
    let sealed = |run: &Outer| run.sealed().unwrap();
    let total: u64 = runs.iter().map(sealed).sum();
    let bytes = noise(1, usize::try_from(total).unwrap());
    let (mut offset, mut packs, mut listed) = (0_u64, Vec::new(), Vec::new());
    while packs.last().is_none_or(|last: &(bool, u64)| !last.0) {
        let mut pack = world.begin();
        // Which runs begin from here on, and how much of the one before is still to come.
        let mut start = 0;
        let first = runs.iter().position(|run| {
            let begins = start;
            start += sealed(run);
            begins >= offset
        });
        let first = first.unwrap_or(runs.len());
        let lead = runs[..first].iter().map(sealed).sum::<u64>() - offset;
        let head = Head { offset, outside: true, lead: u32::try_from(lead).unwrap(), ..head(id(1)) };
        let mut deposit = pack.deposit(head).unwrap().unwrap();
        let mut next = usize::try_from(offset).unwrap();
        let mut write = |deposit: &mut crate::pack::Deposit<'_>, length: u64| {
            let end = next + usize::try_from(length).unwrap();
            let taken = deposit.write(&bytes[next..end]).unwrap();
            next += taken;
            taken as u64 == length
        };
        let mut ended = write(&mut deposit, lead);
        for run in &runs[first..] {
            ended = ended && deposit.announce(*run).unwrap() && write(&mut deposit, sealed(run));
        }
        if ended {
            let part = super::world::hash(&bytes[usize::try_from(offset).unwrap()..]);
            deposit.finish_part(part, [5; 32]).unwrap();
        } else {
            let range = usize::try_from(offset).unwrap()..usize::try_from(deposit.cut()).unwrap();
            assert!(!range.is_empty(), "each pack takes some");
            offset = deposit.suspend(super::world::hash(&bytes[range])).unwrap();
        }
        let pack = world.seal(pack);
        let (reader, about) = (world.reader_of(&pack), pack.archives().next().unwrap().1.clone());
        let found = world.read(&reader, id(1)).unwrap();
        assert!(super::world::hash(&found) == about.part_hash);
        let crate::pack::Detail::Outside { blobs, .. } = about.detail else { panic!("{about:?}") };
        listed.extend(blobs);
        packs.push((ended, about.length));
    }
    assert!(packs.len() > 3, "{packs:?}");
    assert_eq!(packs.iter().map(|(_, length)| length).sum::<u64>(), total);
    assert!(listed == runs, "the lists of all parts are the list of the whole");
}

#[test]
fn a_list_of_blobs_that_no_pack_has_room_for_is_refused_and_not_tried_for_ever() {
    let mut world = World::new(35);
    world.options.capacity = 2 << 20;
    let mut pack = world.begin();
    let mut deposit = pack.deposit(Head { outside: true, ..head(id(1)) }).unwrap().unwrap();
    let run = |number: u16| Outer {
        blob: BlobId::from_bytes([u8::try_from(number % 251).unwrap(); 16]),
        first_chunk: 0,
        plain: 84,
    };
    let taken = (0..9999).take_while(|number| {
        deposit.announce(run(*number)).unwrap() && deposit.write(&[1; 100]).unwrap() == 100
    });
    assert!((1_000..5_000).contains(&taken.count()));
    assert!(matches!(deposit.suspend([0; 32]).unwrap_err(), Error::TooLarge { .. }));
}

#[test]
fn a_run_of_chunks_is_cut_where_a_chunk_begins() {
    let run = Outer { blob: BlobId::from_bytes([1; 16]), first_chunk: 7, plain: 200_000 };
    let part = |first_chunk, plain| Some(Outer { first_chunk, plain, ..run });
    assert_eq!(run.cut(0), (None, 0, part(7, 200_000)));
    assert_eq!(run.cut(1), (part(7, 65_536), 65_551, part(8, 134_464)));
    assert_eq!(run.cut(65_552), (part(7, 65_536), 0, part(8, 134_464)));
    assert_eq!(run.cut(200_000), (part(7, 200_000), 64, None));
    assert_eq!(run.cut(200_064), (part(7, 200_000), 0, None));
}

/// A pack of which a medium refuses to write some cells.
struct Stubborn {
    bytes: Vec<u8>,
    refused: u64,
}

impl ReadAt for Stubborn {
    fn byte_len(&self) -> io::Result<u64> {
        self.bytes.byte_len()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read_at(at, out)
    }
}

impl WriteAt for Stubborn {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if at == self.refused {
            return Err(io::Error::other("bad sector"));
        }
        self.bytes.write_at(at, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn cells_that_cannot_be_written_cost_themselves_and_are_named() {
    let world = World::new(29);
    let (pack, other) = (world.pack_of(&[noise(1, 300_000)]), world.pack_of(&[noise(2, 300_000)]));
    let good = std::fs::read(pack.path()).unwrap();
    let mut bad = good.clone();
    let start = usize::try_from(pack.layout().data_at()).unwrap();
    for cell in [3, 7, 20] {
        bad[start + cell * CELL_BYTES] ^= 1;
    }
    let mending = plan(&bad, &scrub(&bad).unwrap()).unwrap();
    let refused = (start + 7 * CELL_BYTES) as u64;
    let mut medium = Stubborn { bytes: bad, refused };
    assert_eq!(mending.apply(&mut medium).unwrap(), [refused]);
    let found = scrub(&medium).unwrap();
    assert_eq!(found.data, [7]);
    // Another pack is no place for it.
    let mut wrong = std::fs::read(other.path()).unwrap();
    let refused = mending.apply(&mut wrong).unwrap_err().to_string();
    assert!(refused.contains("is there instead"), "{refused}");
    assert!(wrong == std::fs::read(other.path()).unwrap());
}

/// Goes bad at one place between the scrub and the plan.
struct Worse<'a>(&'a Vec<u8>, std::ops::Range<u64>);

impl ReadAt for Worse<'_> {
    fn byte_len(&self) -> io::Result<u64> {
        self.0.byte_len()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        if at < self.1.end && self.1.start < at + out.len() as u64 {
            return Err(io::Error::other("bad sector"));
        }
        self.0.read_at(at, out)
    }
}

#[test]
fn what_goes_bad_while_a_repair_is_planned_is_mended_with_the_rest() {
    let world = World::new(30);
    let pack = world.pack_of(&[noise(1, 3_000_000)]);
    let good = std::fs::read(pack.path()).unwrap();
    let layout = pack.layout();
    let (data, parity) = (layout.data_at(), layout.parity_at());
    let mut bad = good.clone();
    // One stripe has lost a cell of data, another one a cell of parity.
    bad[usize::try_from(data).unwrap()] ^= 1;
    bad[usize::try_from(parity).unwrap() + CELL_BYTES + 5] ^= 1;
    let found = scrub(&bad).unwrap();
    // A second cell of the other stripe, since then.
    let stripes = u64::from(layout.data.stripes());
    let second = data + (1 + 2 * stripes) * CELL_BYTES as u64;
    let worse = Worse(&bad, second..second + 9);
    let mending = plan(&worse, &found).unwrap();
    assert!(mending.makes_whole(), "{mending:?}");
    assert_eq!(mending.restored(), 3);
    let mut mended = bad.clone();
    assert!(mending.apply(&mut mended).unwrap().is_empty());
    assert!(mended == good);
}

#[test]
fn a_patch_mends_a_pack_that_is_never_rewritten_and_is_refused_when_it_rots() {
    let world = World::new(31);
    let archives = [noise(1, 100), noise(2, 2_000_000)];
    let pack = world.pack_of(&archives);
    let good = std::fs::read(pack.path()).unwrap();
    let mut bad = good.clone();
    // All of the head, some cells, and more of one stripe than its parity restores.
    bad[..usize::try_from(pack.layout().data_at()).unwrap()].fill(0);
    let start = usize::try_from(pack.layout().data_at()).unwrap();
    let stripes = pack.layout().data.stripes() as usize;
    for place in [5, 40] {
        bad[start + place * CELL_BYTES] ^= 1;
    }
    let beyond = pack.layout().data.parity_depth() as usize + 1;
    for place in 100..100 + beyond {
        bad[start + (place * stripes) * CELL_BYTES] ^= 1;
    }
    let found = scrub(&bad).unwrap();
    let mending = plan(&bad, &found).unwrap();
    assert!(!mending.makes_whole() && mending.restored() > 3);
    let patch = mending.patch(&found).unwrap();
    let again = Mending::from_patch(&patch).unwrap();
    assert_eq!(again.layout(), pack.layout());
    assert_eq!((again.lost(), again.restored()), (mending.lost(), mending.restored()));
    assert_eq!(again.patch(&found).unwrap(), patch);
    // No scrub, no plan: the pack and its patch.
    let reader = open_from(Arc::new(again.healed(Arc::new(bad.clone())))).unwrap();
    assert!(world.read(&reader, id(0)).unwrap() == archives[0]);
    assert!(world.read(&reader, id(1)).is_err(), "what is lost is an error");
    for at in (0..patch.len()).step_by(977).chain([patch.len() - 1]) {
        let mut rotten = patch.clone();
        rotten[at] ^= 1;
        let refused = Mending::from_patch(&rotten).unwrap_err().to_string();
        assert!(refused.contains("make another one"), "{refused}");
        Mending::from_patch(&patch[..at]).unwrap_err();
    }
    // What is made up has a right checksum.
    let with_word = |at: usize, value: u32| {
        let mut forged = patch[..patch.len() - 32].to_vec();
        forged[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let hash = *blake3::hash(&forged).as_bytes();
        Mending::from_patch(&[&forged[..], &hash].concat()).unwrap_err()
    };
    assert!(matches!(with_word(8, 2), Error::Newer { found: 2, .. }));
    for (at, value) in
        [(0, 9), (8, 0), (12, 0), (12, u32::MAX), (16, 1 << 30), (20, 7), (24, 0), (24 + 4096, u32::MAX)]
    {
        assert!(matches!(with_word(at, value), Error::Corrupt { .. }), "word {at}");
    }
    assert_eq!(VAULT.id, pack.layout().index_key());
    assert_eq!(pack.index().sealed_at, NOW);
}

#[test]
fn archives_that_are_no_more_are_noted() {
    let world = World::new(32);
    let mut pack = world.begin();
    assert!(pack.note_dropped(id(9), NOW).unwrap());
    let sealed = world.seal(pack);
    assert_eq!(world.reader_of(&sealed).index().dropped, [(id(9), NOW)]);
}

#[test]
fn an_index_is_kept_smaller_where_it_gains_and_a_bomb_has_no_room() {
    use crate::pack::Index;
    let world = World::with_dedup(33);
    let archives: Vec<Vec<u8>> = (0..200).map(|place| noise(place, 9)).collect();
    let pack = world.pack_of(&archives);
    let record = engine::catalog::record::Record::to_bytes(pack.index());
    assert!(
        (pack.layout().index_len as usize) < record.len(),
        "{} of {}",
        pack.layout().index_len,
        record.len()
    );
    assert_eq!(world.reader_of(&pack).index(), pack.index());
    let wrap = |codec: u8, length: u32, body: &[u8]| {
        Index::unwrap(&[&[0; 32][..], &[codec], &length.to_le_bytes(), body].concat())
    };
    let bomb = zstd::bulk::compress(&vec![0; 100 << 20], 3).unwrap();
    for length in [0, 9, 4 << 20, (4 << 20) + 1, 100 << 20, u32::MAX] {
        assert!(matches!(wrap(1, length, &bomb).unwrap_err(), Error::Corrupt { .. }), "{length}");
    }
    assert!(matches!(wrap(0, 9, &record).unwrap_err(), Error::Corrupt { .. }));
    assert!(matches!(wrap(2, 9, &record).unwrap_err(), Error::Newer { found: 2, .. }));
    assert!(wrap(0, u32::try_from(record.len()).unwrap(), &record).is_ok());
}

#[test]
fn parity_over_packs_is_made_of_what_is_right_and_of_the_packs_that_were_meant() {
    use crate::pack::{protect, restore};
    let world = World::new(34);
    let lengths = [300_000, 1_000_000, 20_000];
    let packs: Vec<Pack<Sealed>> =
        (0..).zip(lengths).map(|(seed, length)| world.pack_of(&[noise(seed, length)])).collect();
    let good: Vec<Vec<u8>> = packs.iter().map(|pack| std::fs::read(pack.path()).unwrap()).collect();
    let named = |bytes: &'static [Vec<u8>]| -> Vec<(PackId, &'static dyn ReadAt)> {
        packs.iter().zip(bytes).map(|(pack, bytes)| (pack.id(), bytes as &dyn ReadAt)).collect()
    };
    let leak = |bytes: Vec<Vec<u8>>| -> &'static [Vec<u8>] { Vec::leak(bytes) };
    let mut parity = [Vec::new()];
    let mut targets: Vec<&mut dyn WriteAt> = parity.iter_mut().map(|pack| pack as &mut dyn WriteAt).collect();
    let set = protect([7; 16], &named(leak(good.clone())), &mut targets).unwrap();
    // A flip in what is protected would be in the parity for ever; and so would another pack.
    for at in [5, 4 * CELL_BYTES, good[1].len() / 2, good[1].len() - 9] {
        let mut bad = good.clone();
        bad[1][at] ^= 1;
        let mut thrown = Vec::new();
        let refused = protect([7; 16], &named(leak(bad)), &mut [&mut thrown]).unwrap_err().to_string();
        assert!(refused.contains("repair"), "byte {at}: {refused}");
    }
    let swapped = leak(vec![good[1].clone(), good[0].clone(), good[2].clone()]);
    let mut thrown = Vec::new();
    let refused = protect([7; 16], &named(swapped), &mut [&mut thrown]).unwrap_err().to_string();
    assert!(refused.contains("is there instead"), "{refused}");
    // One is lost, and another one has a damaged cell: that costs the cell.
    let mut bad = good.clone();
    let hit = usize::try_from(packs[1].layout().data_at()).unwrap() + CELL_BYTES;
    bad[1][hit] ^= 1;
    let hole = hit as u64..(hit + CELL_BYTES) as u64;
    for (survivor, hole) in [(&good[1], None), (&bad[1], Some(hole))] {
        let mut found = Vec::new();
        let given: [Option<&dyn ReadAt>; 3] = [None, Some(survivor), Some(&good[2])];
        let left: [Option<&dyn ReadAt>; 1] = [Some(&parity[0])];
        let answer = restore(&set, &given, &left, &mut [Some(&mut found), None, None]).unwrap();
        assert_eq!(answer, Vec::from_iter(hole));
        // Its own parity has what the set's has not.
        let mended = plan(&found, &crate::pack::scrub(&found, Some(packs[0].id())).unwrap()).unwrap();
        assert!(mended.makes_whole());
        mended.apply(&mut found).unwrap();
        assert!(found == good[0]);
    }
    let given: [Option<&dyn ReadAt>; 3] = [None, Some(&good[2]), Some(&good[1])];
    let mut found = Vec::new();
    let refused =
        restore(&set, &given, &[Some(&parity[0])], &mut [Some(&mut found), None, None]).unwrap_err();
    assert!(refused.to_string().contains("is there instead") && found.is_empty(), "{refused}");
}
