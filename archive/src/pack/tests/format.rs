//! The bytes of a pack, for ever: docs/formats/pack.md.

use super::world::{NOW, VAULT, WHOSE, World, id, noise, open, put, scrub, text};
use crate::chunk::ChunkId;
use crate::pack::{
    ArchiveId, Codec, Entry, Frame, Index, KeyId, NamedChunk, Outer, PackId, Place, Protection, Run, VaultId,
    cell, plan,
};
use crate::parity::{CELL_BYTES, crc32c};
use engine::Error;
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use engine::id::BlobId;
use std::sync::Arc;

/// Made once by [`make_golden`], compressed with zstd: never made again.
const GOLDEN: &[u8] = include_bytes!("golden-1.pack.zst");

/// One archive of each kind but of ciphertext.
fn golden_archives() -> [Vec<u8>; 3] {
    [text(1, 3_000), noise(2, 66_000), text(3, 90_000)]
}

fn golden_world() -> World {
    World::new(0x60)
}

#[test]
#[ignore = "makes the golden pack, once"]
fn make_golden() {
    let world = golden_world();
    let pack = world.pack_of(&golden_archives());
    let bytes = std::fs::read(pack.path()).unwrap();
    let squeezed = zstd::bulk::compress(&bytes, 19).unwrap();
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/pack/tests/golden-1.pack.zst"), squeezed)
        .unwrap();
}

#[test]
fn the_golden_pack_is_read() {
    let bytes = zstd::bulk::decompress(GOLDEN, 1 << 20).unwrap();
    assert!(scrub(&bytes).unwrap().is_whole());
    let reader = open(bytes).unwrap();
    // The same keys in the same order as when it was made.
    let world = golden_world();
    let again = world.pack_of(&golden_archives());
    assert_eq!(again.id(), reader.layout().pack());
    for (place, bytes) in (0..).zip(golden_archives()) {
        assert!(world.read(&reader, id(place)).unwrap() == bytes, "archive {place}");
    }
    assert_eq!(reader.index().sealed_at, NOW);
    assert_eq!(reader.index().vault, VaultId::from_bytes([7; 16]));
}

const GOLDEN_NOISE: &str = "79f89ac1b39be1cca2449010110b956e5c7c240b6ab06c2cbace3aa66d63f1f9";

#[test]
fn a_pack_of_what_nothing_compresses_is_the_same_for_ever() {
    let world = World::new(0x61);
    let pack = world.pack_of(&[noise(1, 100), noise(2, 700_000), noise(3, 70_000)]);
    let bytes = std::fs::read(pack.path()).unwrap();
    assert_eq!(blake3::hash(&bytes).to_string(), GOLDEN_NOISE);
}

fn sample() -> Index {
    let key = Protection::Key(0);
    let entry = |archive: u8, length, last, place| Entry {
        archive: ArchiveId::from_bytes([archive; 16]),
        created: Timestamp::from_millis(2),
        offset: 0,
        length,
        last,
        key: 0,
        private: vec![9; if last { 65 } else { 33 }],
        place,
    };
    let chunk = |id, at| NamedChunk { id: ChunkId::from_bytes([id; 32]), frame: 1, at, length: 5 };
    let blobs = vec![Outer { blob: BlobId::from_bytes([8; 16]), first_chunk: 1, plain: 4 }];
    Index {
        vault: VaultId::from_bytes([1; 16]),
        tables: [10; 32],
        sealed_at: Timestamp::from_millis(1),
        keys: vec![KeyId::from_bytes([2; 16])],
        packs: vec![PackId::from_bytes([3; 16])],
        frames: vec![
            Frame { offset: 0, stored: 26, plain: 10, codec: Codec::Raw, protection: key, salt: [4; 16] },
            Frame {
                offset: 26,
                stored: 25,
                plain: 10,
                codec: Codec::ZstdPlanes2,
                protection: key,
                salt: [5; 16],
            },
            Frame {
                offset: 51,
                stored: 20,
                plain: 20,
                codec: Codec::Raw,
                protection: Protection::Outside,
                salt: [0; 16],
            },
        ],
        chunks: vec![chunk(6, 0), chunk(7, 5)],
        archives: vec![
            entry(1, 10, true, Place::Own { first: 0, count: 1 }),
            entry(2, 7, true, Place::Grouped { frame: 1, at: 3 }),
            entry(
                3,
                300,
                false,
                Place::Chunked(vec![
                    Run { pack: 0, frame: 1, at: 5, length: 5 },
                    Run { pack: 1, frame: 900, at: 0, length: 295 },
                ]),
            ),
            entry(4, 20, true, Place::Outside { first: 2, count: 1, blobs }),
        ],
    }
}

const GOLDEN_INDEX: [&str; 14] = [
    "01010101010101010101010101010101010a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a01",
    "0000000000000001020202020202020202020202020202020103030303030303030303030303030303031a0a000104040404",
    "040404040404040404040404190a020105050505050505050505050505050505141400000201050606060606060606060606",
    "0606060606060606060606060606060606060606060005070707070707070707070707070707070707070707070707070707",
    "0707070707040101010101010101010101010101010180020000000000000000000000000000000a00000000000000004109",
    "0909090909090909090909090909090909090909090909090909090909090909090909090909090909090909090909090909",
    "0909090909090909090909090909000102020202020202020202020202020202810200000000000000000000000000000007",
    "0000000000000000410909090909090909090909090909090909090909090909090909090909090909090909090909090909",
    "0909090909090909090909090909090909090909090909090103030303030303030303030303030303030202000000000000",
    "0000000000000000002c01000000000000002109090909090909090909090909090909090909090909090909090909090909",
    "0909020001050501840700a70204040404040404040404040404040404830200000000000000000000000000000014000000",
    "0000000000410909090909090909090909090909090909090909090909090909090909090909090909090909090909090909",
    "0909090909090909090909090909090909090909090201010808080808080808080808080808080801000000000000000400",
    "00000000000000",
];

#[test]
fn golden_index() {
    let index = sample();
    assert_eq!(index.fault(71), None);
    let bytes = index.to_bytes();
    assert_eq!(hex::encode(&bytes), GOLDEN_INDEX.concat());
    assert_eq!(Index::from_bytes(&bytes).unwrap(), index);
    let mut newer = bytes.to_vec();
    newer[0] = 2;
    assert!(matches!(Index::from_bytes(&newer).unwrap_err(), Error::Newer { found: 2, .. }));
}

type Fault = fn(&mut Index);

#[test]
fn an_index_whose_sums_are_wrong_is_refused() {
    let good = sample();
    assert_eq!(good.fault(71), None);
    assert!(good.fault(70).unwrap().contains("71 bytes"));
    let faults: [(&str, Fault); 14] = [
        ("its key is not there", |index| index.archives[1].key = 1),
        ("frame 1 does not begin", |index| index.frames[1].offset = 25),
        ("frame 0: it is not as long", |index| index.frames[0].plain = 11),
        ("frame 0: its key", |index| index.frames[0].protection = Protection::Key(1)),
        ("frame 2: ciphertext", |index| index.frames[2].codec = Codec::Zstd),
        ("frame 1: its length", |index| index.frames[1].plain = 0),
        ("frame 1: its length", |index| index.frames[1].plain = 2 << 20),
        ("is not in frame", |index| index.chunks[1].length = 6),
        ("is there twice", |index| index.archives[1].archive = index.archives[0].archive),
        ("not where it says", |index| index.archives[0].length = 11),
        ("more frames", |index| index.archives[0].place = Place::Own { first: 0, count: 4 }),
        ("not where it says", |index| index.archives[1].place = Place::Grouped { frame: 2, at: 0 }),
        ("not where it says", |index| index.archives[2].place = Place::Chunked(Vec::new())),
        ("impossible", |index| index.archives[3].offset = u64::MAX),
    ];
    for (expected, fault) in faults {
        let mut index = good.clone();
        fault(&mut index);
        let found = index.fault(71).unwrap_or_default();
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[test]
fn every_flipped_byte_is_repaired_and_till_then_refused_or_without_effect() {
    let world = World::new(0x62);
    let archives = [noise(1, 100), text(2, 70_000), noise(3, 70_000)];
    let pack = world.pack_of(&archives);
    let good = std::fs::read(pack.path()).unwrap();
    // All of one header, and something of every cell.
    for at in (0..128).chain((128..good.len()).step_by(1013)) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        let found = scrub(&bad).unwrap();
        assert!(!found.is_whole(), "byte {at}");
        let reader = open(bad.clone()).unwrap();
        for (place, bytes) in (0..).zip(&archives) {
            match world.read(&reader, id(place)) {
                Ok(read) => assert!(read == *bytes, "byte {at}, archive {place}"),
                Err(error) => assert!(error.to_string().contains("repair"), "{error}"),
            }
        }
        let mending = plan(&bad, &found).unwrap();
        assert!(mending.makes_whole() && mending.restored() == 1, "byte {at}: {mending:?}");
        mending.apply(&mut bad).unwrap();
        assert!(bad == good, "byte {at}");
    }
}

/// The pack with another byte in the header of each cell.
fn with_byte(good: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut newer = good.to_vec();
    let starts = (0..good.len()).step_by(CELL_BYTES);
    for start in starts.filter(|start| good[*start..].starts_with(b"FIRNPACK")) {
        newer[start + at] = byte;
        let cell = [&newer[start..start + 60], &newer[start + 64..start + CELL_BYTES]].concat();
        newer[start + 60..start + 64].copy_from_slice(&crc32c(&cell).to_le_bytes());
    }
    newer
}

#[test]
fn a_newer_pack_is_named() {
    let world = World::new(0x63);
    let pack = world.pack_of(&[noise(1, 100)]);
    let good = std::fs::read(pack.path()).unwrap();
    // The version, and a feature that a scrub must know.
    for (at, byte) in [(8, 2), (53, 1)] {
        let newer = with_byte(&good, at, byte);
        let refused = open(newer.clone()).unwrap_err();
        assert!(matches!(refused, Error::Newer { .. }), "{refused}");
        assert!(matches!(scrub(&newer).unwrap_err(), Error::Newer { .. }));
    }
    // The suite, and a feature that a reader must know: scrubbed and repaired all the same, as they are.
    for (at, byte) in [(44, 2), (48, 4)] {
        let newer = with_byte(&good, at, byte);
        let refused = open(newer.clone()).unwrap_err();
        assert!(matches!(refused, Error::Newer { .. }), "{refused}");
        assert!(scrub(&newer).unwrap().is_whole());
        let mut bad = newer.clone();
        bad[9 * CELL_BYTES + 5] ^= 1;
        bad[70] ^= 1;
        plan(&bad, &scrub(&bad).unwrap()).unwrap().apply(&mut bad).unwrap();
        assert!(bad == newer);
    }
    // Another vault's, said before any key is tried.
    let other = with_byte(&good, 64, 9);
    let refused = open(other).unwrap_err().to_string();
    assert!(refused.contains("not of vault"), "{refused}");
}

#[test]
fn a_pack_of_another_vault_does_not_open_and_is_scrubbed_all_the_same() {
    let world = World::new(0x64);
    let pack = world.pack_of(&[noise(1, 100)]);
    let bytes = std::fs::read(pack.path()).unwrap();
    let other = engine::codec::DataKey::from_bytes([0; 32]);
    let refused = crate::pack::Reader::open(Arc::new(bytes.clone()), pack.id(), WHOSE, &other).unwrap_err();
    assert!(refused.to_string().contains("another vault's"), "{refused}");
    assert!(scrub(&bytes).unwrap().is_whole());
    assert_ne!(VAULT, other);
}

#[test]
fn the_first_cell_says_where_everything_is() {
    let world = World::new(0x65);
    let mut pack = world.begin();
    put(&mut pack, id(1), &noise(1, 10_000));
    let pack = world.seal(pack);
    let bytes = std::fs::read(pack.path()).unwrap();
    let found = cell::decode(&bytes[..CELL_BYTES]).unwrap();
    assert_eq!((found.layout, found.number), (pack.layout(), 0));
    let (copy, data, parity) = (found.layout.copy_cells(), 3, 8);
    assert_eq!(
        bytes.len(),
        (2 * copy + data + parity) as usize * CELL_BYTES,
        "the head has what it takes and no more"
    );
}
