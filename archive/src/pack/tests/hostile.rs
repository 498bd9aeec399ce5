//! Packs that somebody made up: refused, without a panic and without room for what they claim.

use super::world::{NOW, VAULT, World, below, id, noise, open, scrub, text};
use crate::pack::body::Body;
use crate::pack::layout::Names;
use crate::pack::squeeze::{LENGTH_MAX, Unsqueeze};
use crate::pack::{
    About, Codec, Detail, Entry, Frame, Index, KeyId, Layout, PackId, Place, Protection, Subkeys, keys, plan,
};
use crate::parity::{CELL_BYTES, crc32c};
use engine::ErrorKind;
use engine::catalog::record::Record;
use engine::codec::DataKey;
use engine::entropy::{Entropy, SeededEntropy};

const PACK: PackId = PackId::from_bytes([4; 16]);

/// A pack with this index, well sealed, and these data.
fn forge(world: &World, index: &[u8], data: &[u8]) -> Vec<u8> {
    let path = world.dir.path().join("forged");
    let mut body = Body::create(path.clone(), 1 << 20, 1 << 16).unwrap();
    body.append(|out| out.extend_from_slice(data)).unwrap();
    let length = u32::try_from(index.len()).unwrap().to_le_bytes();
    let plain = [&[0; 32][..], &[0], &length, index].concat();
    let cipher = |sealed| keys::index(PACK, &VAULT.key, &[5; 16], sealed);
    let sealed = keys::seal(&plain, &[5; 16], cipher).unwrap();
    let names = Names { pack: PACK, vault: world.options.vault, index_key: VAULT.id };
    body.finish(names, sealed.len() as u64, |_| Ok(sealed)).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    bytes
}

/// Opens what may be anything, and reads all that it says it has.
fn walk(world: &World, bytes: Vec<u8>) -> Option<ErrorKind> {
    let reader = match open(bytes) {
        Ok(reader) => reader,
        Err(error) => return Some(error.kind()),
    };
    let mut worst = None;
    for entry in &reader.index().archives {
        let about = reader.about(entry, &*world.keys);
        let end = about.map_or(0, |about| about.length.min(8 << 20));
        let read = reader.read(entry, 0..end, &*world.keys, world, &mut |piece| {
            assert!(piece.len() <= LENGTH_MAX);
            Ok(())
        });
        worst = read.err().map(|error| error.kind()).or(worst);
    }
    worst
}

#[test]
fn an_index_of_any_bytes_is_refused_or_read_within_bounds() {
    for world in [World::new(1), World::with_dedup(1)] {
        let pack = world.pack_of(&[text(1, 100), text(2, 70_000), noise(3, 1_200_000)]);
        let (index, layout) = (pack.index().to_bytes().to_vec(), pack.layout());
        let bytes = std::fs::read(pack.path()).unwrap();
        let data = usize::try_from(layout.data_at()).unwrap();
        let data = &bytes[data..data + 40_000];
        let dice = SeededEntropy::new(9);
        for _ in 0..150 {
            let mut forged = index.clone();
            for _ in 0..=below(&dice, 3) {
                let at = usize::try_from(below(&dice, forged.len() as u64)).unwrap();
                match below(&dice, 4) {
                    0 => forged[at] = 0xFF,
                    1 => forged.truncate(at.max(1)),
                    2 => forged.insert(at, 0x80),
                    _ => dice.fill(&mut forged[at..=at]),
                }
            }
            walk(&world, forge(&world, &forged, data));
        }
    }
}

#[test]
fn counts_that_no_index_has_room_for_are_refused_before_anything_is_made_for_them() {
    let world = World::new(2);
    let empty = empty(&world);
    let bytes = empty.to_bytes();
    // Keys, packs, replaced ones, frames, register, archives, dropped ones, sections: four thousand million of each in turn.
    for at in bytes.len() - 8..bytes.len() {
        let mut forged = bytes[..at].to_vec();
        forged.extend_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
        forged.extend_from_slice(&bytes[at + 1..]);
        assert_eq!(walk(&world, forge(&world, &forged, b"data")), Some(ErrorKind::Corrupt));
    }
}

fn empty(world: &World) -> Index {
    Index {
        vault: world.options.vault,
        sealed_at: NOW,
        group: None,
        keys: Vec::new(),
        packs: Vec::new(),
        replaces: Vec::new(),
        frames: Vec::new(),
        register: None,
        archives: Vec::new(),
        dropped: Vec::new(),
    }
}

/// An index with one archive in one frame, of so many bytes by what is said of it.
fn one_frame(world: &World, (key, subkey): &(KeyId, DataKey), frame: Frame, length: u64) -> Vec<u8> {
    let about = About {
        created: NOW,
        length,
        part_hash: [0; 32],
        tree_hash: Some([0; 32]),
        description: Vec::new(),
        note: Vec::new(),
        detail: Detail::Own,
    };
    let cipher = |sealed| keys::entry(PACK, subkey, id(1), 0, &[6; 16], sealed);
    let private = keys::seal(&about.to_bytes(), &[6; 16], cipher).unwrap();
    let place = Place::Own { first: 0, count: 1 };
    let entry = Entry { archive: id(1), part: 0, last: true, key: 0, private, place };
    let index = Index { keys: vec![*key], frames: vec![frame], archives: vec![entry], ..empty(world) };
    index.to_bytes().to_vec()
}

#[test]
fn a_bomb_has_no_room() {
    let world = World::new(3);
    let key: (KeyId, DataKey) = world.keys.fresh(PACK, crate::pack::KeyFor::Pack).unwrap();
    // What it says that it holds, and what it holds without a word of how much.
    let bomb = zstd::bulk::compress(&vec![0; 100 << 20], 3).unwrap();
    let mut quiet = Vec::new();
    let mut encoder = zstd::stream::write::Encoder::new(&mut quiet, 3).unwrap();
    std::io::Write::write_all(&mut encoder, &vec![0; 100 << 20]).unwrap();
    encoder.finish().unwrap();
    for mut bomb in [bomb.clone(), quiet] {
        bomb.resize(bomb.len().next_multiple_of(256), 0);
        let mut sealed = Vec::new();
        keys::frame(PACK, &key.1, &[1; 16]).seal_into(0, &bomb, &mut sealed);
        let stored = u32::try_from(sealed.len()).unwrap();
        for length in [1, 1_000_000, 1 << 20] {
            for codec in [Codec::Zstd, Codec::ZstdPlanes2, Codec::ZstdPlanes4] {
                let protection = Protection::Key(0);
                let frame = Frame { offset: 0, stored, codec, protection, salt: [1; 16] };
                let forged = forge(&world, &one_frame(&world, &key, frame, length), &sealed);
                assert_eq!(walk(&world, forged), Some(ErrorKind::Corrupt));
            }
        }
    }
    // What would be larger than any frame is refused with the index, and an archive that has more than its frames with what is said of it.
    let frame =
        |stored, codec| Frame { offset: 0, stored, codec, protection: Protection::Key(0), salt: [1; 16] };
    for stored in [0, 1, 16, 17, 271, 273, 2 << 20] {
        let refused = open(forge(&world, &one_frame(&world, &key, frame(stored, Codec::Raw), 9), &[0; 4096]));
        assert!(refused.unwrap_err().to_string().contains("length is impossible"), "{stored}");
    }
    for length in [0, (1 << 20) + 1, u64::MAX] {
        let forged = forge(&world, &one_frame(&world, &key, frame(272, Codec::Raw), length), &[0; 4096]);
        assert_eq!(walk(&world, forged), Some(ErrorKind::Corrupt), "{length}");
    }
    let mut out = Vec::new();
    let mut unsqueeze = Unsqueeze::new().unwrap();
    unsqueeze.restore(Codec::Zstd, &bomb, &mut out).unwrap_err();
    unsqueeze.restore(Codec::Zstd, &[], &mut out).unwrap_err();
    unsqueeze.restore(Codec::Raw, &vec![0; (1 << 20) + 1], &mut out).unwrap_err();
    let good = zstd::bulk::compress(b"abc", 3).unwrap();
    let padded = |filling: &[u8]| [&good[..], filling].concat();
    for (filling, taken) in [(&[0; 255][..], true), (&[0; 256], false), (&[0, 0, 1], false), (&good, false)] {
        assert_eq!(unsqueeze.restore(Codec::Zstd, &padded(filling), &mut out).is_ok(), taken);
    }
    assert!(out.capacity() <= 2 * LENGTH_MAX, "{}", out.capacity());
}

#[test]
fn cells_that_lie_about_the_pack_are_refused() {
    let world = World::new(4);
    let pack = world.pack_of(&[noise(1, 100_000)]);
    let good = std::fs::read(pack.path()).unwrap();
    let dice = SeededEntropy::new(5);
    for round in 0..400_u32 {
        let mut forged = good.clone();
        let field = 12 + 4 * usize::try_from(below(&dice, 12)).unwrap();
        let value = match round % 4 {
            0 => u32::MAX,
            1 => 0,
            2 => u32::from_le_bytes(forged[field..field + 4].try_into().unwrap()).wrapping_add(1),
            _ => u32::try_from(below(&dice, 1 << 32)).unwrap(),
        };
        for start in (0..forged.len()).step_by(CELL_BYTES).filter(|at| good[*at..].starts_with(b"FIRNPACK")) {
            forged[start + field..start + field + 4].copy_from_slice(&value.to_le_bytes());
            let cell = [&forged[start..start + 60], &forged[start + 64..start + CELL_BYTES]].concat();
            forged[start + 60..start + 64].copy_from_slice(&crc32c(&cell).to_le_bytes());
        }
        let whole = scrub(&forged).is_ok_and(|found| {
            drop(plan(&forged, &found));
            found.is_whole()
        });
        if forged != good {
            assert!(!whole || walk(&world, forged).is_some(), "field {field}, {value}");
        }
    }
}

#[test]
fn any_bytes_and_any_part_of_a_pack_are_refused_or_repaired() {
    let world = World::new(6);
    let pack = world.pack_of(&[noise(1, 100_000)]);
    let good = std::fs::read(pack.path()).unwrap();
    let dice = SeededEntropy::new(7);
    for round in 0..60 {
        let cut = usize::try_from(below(&dice, good.len() as u64)).unwrap();
        let forged = match round % 3 {
            0 => good[..cut].to_vec(),
            1 => good[cut..].to_vec(),
            _ => noise(round, cut),
        };
        let Ok(found) = scrub(&forged) else {
            assert!(walk(&world, forged).is_some());
            continue;
        };
        drop(plan(&forged, &found).unwrap());
        walk(&world, forged);
    }
    for length in [0, 1, CELL_BYTES - 1, CELL_BYTES] {
        assert_eq!(Layout::find(&vec![0; length], None).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
