//! The bytes of a pack, for ever: docs/formats/pack.md.

use super::world::{NOW, VAULT, WHOSE, World, head, id, noise, open, put, scrub, text};
use crate::chunk::ChunkId;
use crate::pack::{
    About, ArchiveId, Codec, Detail, Entry, Frame, GroupId, Head, Index, IndexKey, IndexKeyId, KeyId, Moved,
    NamedChunk, Outer, Pack, PackId, Place, Protection, Register, Run, Sealed, VaultId, cell, plan,
};
use crate::parity::{CELL_BYTES, crc32c};
use engine::Error;
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use engine::id::BlobId;
use std::sync::Arc;

/// Made once by [`make_golden`], compressed with zstd: never made again. `tests/e2e/test_pack_format.py` reads them by docs/formats/pack.md, with
/// the keys of `golden.json`.
fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/src/pack/tests/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// One archive of each kind but of ciphertext.
fn golden_archives() -> [Vec<u8>; 3] {
    [text(1, 3_000), noise(2, 66_000), text(3, 90_000)]
}

fn golden_world() -> World {
    World::new(0x60)
}

/// Packs of all that packs hold: of own, grouped and outside archives and a dropped one; and one of chunks that takes the place of another.
fn golden_packs() -> [(World, Pack<Sealed>); 2] {
    let world = golden_world();
    let mut pack = world.begin();
    for (place, bytes) in (0..).zip(golden_archives()) {
        put(&mut pack, id(place), &bytes);
    }
    let outside = noise(4, 5_000);
    let mut deposit = pack.deposit(Head { outside: true, ..head(id(3)) }).unwrap().unwrap();
    assert!(
        deposit.announce(Outer { blob: BlobId::from_bytes([8; 16]), first_chunk: 2, plain: 4_984 }).unwrap()
    );
    deposit.write(&outside).unwrap();
    deposit.finish(super::world::hash(&outside)).unwrap();
    assert!(pack.note_dropped(id(9), NOW).unwrap());
    let plain = world.seal(pack);
    let chunked = World::with_dedup(0x66);
    let old = chunked.pack_of(&golden_archives());
    let new = super::succession::anew(&chunked, &old, &|chunk| chunk.length > 5_000, &[1, 2]);
    [(world, plain), (chunked, new)]
}

#[test]
#[ignore = "makes the golden packs, once"]
fn make_golden() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pack/tests");
    let mut subkeys = Vec::new();
    for (number, (world, pack)) in (1..).zip(golden_packs()) {
        let bytes = std::fs::read(pack.path()).unwrap();
        let squeezed = zstd::bulk::compress(&bytes, 19).unwrap();
        std::fs::write(format!("{dir}/golden-{number}.pack.zst"), squeezed).unwrap();
        subkeys.extend(world.keys.listed());
    }
    let archives = golden_archives().map(|bytes| hex::encode(super::world::hash(&bytes)));
    let golden = serde_json::json!({
        "index_key": hex::encode(VAULT.key.as_bytes()),
        "subkeys": subkeys.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "archives": archives,
        "outside": hex::encode(super::world::hash(&noise(4, 5_000))),
        "noise": noise_hash(),
    });
    std::fs::write(format!("{dir}/golden.json"), serde_json::to_string_pretty(&golden).unwrap() + "\n")
        .unwrap();
}

#[test]
fn the_golden_packs_are_read() {
    for (number, (world, again)) in (1..).zip(golden_packs()) {
        let bytes = zstd::bulk::decompress(&golden(&format!("golden-{number}.pack.zst")), 1 << 20).unwrap();
        assert!(scrub(&bytes).unwrap().is_whole());
        let reader = open(bytes).unwrap();
        // The same keys in the same order as when it was made.
        assert_eq!(again.id(), reader.layout().pack());
        for entry in &reader.index().archives {
            let place = usize::from(entry.archive.as_bytes()[0]);
            let wanted = golden_archives().get(place).cloned().unwrap_or_else(|| noise(4, 5_000));
            assert!(world.read(&reader, entry.archive).unwrap() == wanted, "archive {place}");
        }
        assert_eq!(reader.index().sealed_at, NOW);
        assert_eq!(reader.index().vault, VaultId::from_bytes([7; 16]));
        assert_eq!(reader.index().group, again.index().group);
        assert_eq!(reader.register(&*world.keys).unwrap().moved.len(), again.state.register.moved.len());
    }
}

/// Of a pack in which zstd has no say.
fn noise_hash() -> String {
    let world = World::new(0x61);
    let pack = world.pack_of(&[noise(1, 100), noise(2, 700_000), noise(3, 70_000)]);
    blake3::hash(&std::fs::read(pack.path()).unwrap()).to_string()
}

#[test]
fn a_pack_of_what_nothing_compresses_is_the_same_for_ever() {
    let golden: serde_json::Value = serde_json::from_slice(&golden("golden.json")).unwrap();
    assert_eq!(golden["noise"], noise_hash());
}

/// What is said of one archive of each kind.
fn samples() -> [About; 4] {
    let about = |length, tree_hash, detail| About {
        created: Timestamp::from_millis(2),
        length,
        part_hash: [10; 32],
        tree_hash,
        description: b"d".to_vec(),
        note: b"no".to_vec(),
        detail,
    };
    let runs = vec![
        Run { pack: 0, frame: 1, at: 5, length: 5 },
        Run { pack: 1, frame: 900, at: 0, length: (1 << 20) - 5 },
    ];
    let blob = |first_chunk, plain| Outer { blob: BlobId::from_bytes([8; 16]), first_chunk, plain };
    let blobs = vec![blob(1, 4), blob(1 << 32, 65_537)];
    [
        about(256, Some([10; 32]), Detail::Own),
        about(7, Some([10; 32]), Detail::Grouped { at: 3 }),
        about(1 << 20, None, Detail::Chunked(runs)),
        about(65_596, Some([11; 32]), Detail::Outside { lead: 7, blobs }),
    ]
}

fn sample() -> Index {
    let key = Protection::Key(0);
    let entry = |archive: u8, part, last, place| Entry {
        archive: ArchiveId::from_bytes([archive; 16]),
        part,
        last,
        key: 0,
        private: vec![9; 3],
        place,
    };
    let frame = |offset, stored, codec, protection, salt: u8| Frame {
        offset,
        stored,
        codec,
        protection,
        salt: [salt; 16],
    };
    Index {
        vault: VaultId::from_bytes([1; 16]),
        sealed_at: Timestamp::from_millis(1),
        group: Some(GroupId::from_bytes([13; 16])),
        keys: vec![KeyId::from_bytes([2; 16])],
        packs: vec![PackId::from_bytes([3; 16])],
        replaces: vec![PackId::from_bytes([14; 16])],
        frames: vec![
            frame(0, 272, Codec::Raw, key, 4),
            frame(272, 528, Codec::ZstdPlanes2, key, 5),
            frame(800, 65_792, Codec::Raw, Protection::Outside, 0),
        ],
        register: Some((0, vec![12; 5])),
        archives: vec![
            entry(1, 0, true, Place::Own { first: 0, count: 1 }),
            entry(2, 0, true, Place::Grouped { frame: 1 }),
            entry(3, 300, false, Place::Chunked),
            entry(4, 1, true, Place::Outside { first: 2, count: 1 }),
        ],
        dropped: vec![(ArchiveId::from_bytes([15; 16]), Timestamp::from_millis(3))],
    }
}

fn register() -> Register {
    let chunk = |id, at| NamedChunk { id: ChunkId::from_bytes([id; 32]), frame: 1, at, length: 5 };
    let moved = |frame, at| Moved { pack: 0, frame, at, length: 5, new_frame: 1, new_at: 5 };
    Register {
        chunks: vec![chunk(6, 0), chunk(7, 5)],
        moved: vec![moved(300, 0), moved(300, 5), moved(301, 9)],
    }
}

/// Made from the tables of docs/formats/pack.md by another program, as are those below.
const GOLDEN_INDEX: [&str; 6] = [
    "010101010101010101010101010101010101000000000000000d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d010202020202020202",
    "02020202020202020103030303030303030303030303030303010e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0390020001040404",
    "040404040404040404040404049004020105050505050505050505050505050505808204000001050c0c0c0c0c0401010101",
    "0101010101010101010101018000000309090900010202020202020202020202020202020281000003090909010303030303",
    "030303030303030303030302ac02000309090904040404040404040404040404040404830100030909090201010f0f0f0f0f",
    "0f0f0f0f0f0f0f0f0f0f0f030000000000000000",
];

const GOLDEN_ABOUTS: [&[&str]; 4] = [
    &[
        "0140020000000000000000010000000000000a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
        "0164026e6f",
    ],
    &[
        "0141020000000000000007000000000000000a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
        "0164026e6f03",
    ],
    &[
        "0102020000000000000000001000000000000a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
        "0164026e6f020001050501840700fbff3f",
    ],
    &[
        "018302000000000000003c000100000000000a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0164026e6f07020808080808080808080808",
        "08080808080001000408080808080808080808080808080808010000818004",
    ],
];

const GOLDEN_REGISTER: [&str; 2] = [
    "0102010506060606060606060606060606060606060606060606060606060606060606060005070707070707070707070707",
    "07070707070707070707070707070707070707070300ac020005010500ac020505010500ad0209050105",
];

#[test]
fn golden_index() {
    let index = sample();
    assert_eq!(index.fault(66_592), None);
    let bytes = index.to_bytes();
    assert_eq!(hex::encode(&bytes), GOLDEN_INDEX.concat());
    assert_eq!(Index::from_bytes(&bytes).unwrap(), index);
    let mut newer = bytes.to_vec();
    newer[0] = 2;
    assert!(matches!(Index::from_bytes(&newer).unwrap_err(), Error::Newer { found: 2, .. }));
}

#[test]
fn golden_entries_and_register() {
    let index = sample();
    for ((about, entry), golden) in samples().iter().zip(&index.archives).zip(GOLDEN_ABOUTS) {
        assert_eq!(about.fault(&index, entry), None, "{about:?}");
        assert_eq!(hex::encode(about.to_bytes()), golden.concat());
        assert_eq!(&About::from_bytes(&about.to_bytes()).unwrap(), about);
    }
    let register = register();
    assert_eq!(register.fault(&index), None);
    assert_eq!(hex::encode(register.to_bytes()), GOLDEN_REGISTER.concat());
    assert_eq!(Register::from_bytes(&register.to_bytes()).unwrap(), register);
}

type Fault = fn(&mut Index);

#[test]
fn an_index_whose_sums_are_wrong_is_refused() {
    let good = sample();
    assert_eq!(good.fault(66_592), None);
    assert!(good.fault(66_591).unwrap().contains("66592 bytes"));
    let faults: [(&str, Fault); 13] = [
        ("its key is not there", |index| index.archives[1].key = 1),
        ("its register", |index| index.register = Some((1, Vec::new()))),
        ("frame 1 does not begin", |index| index.frames[1].offset = 271),
        ("frame 0: its length", |index| index.frames[0].stored = 273),
        ("frame 0: its key", |index| index.frames[0].protection = Protection::Key(1)),
        ("frame 2: ciphertext", |index| index.frames[2].codec = Codec::Zstd),
        ("frame 2: its length", |index| index.frames[2].stored = 65_793),
        ("is there twice", |index| index.archives[1].archive = index.archives[0].archive),
        ("not where it says", |index| index.archives[0].place = Place::Own { first: 2, count: 1 }),
        ("not where it says", |index| index.archives[0].place = Place::Own { first: 3, count: 1 }),
        ("not where it says", |index| index.archives[1].place = Place::Grouped { frame: 2 }),
        ("not where it says", |index| index.archives[3].place = Place::Outside { first: 1, count: 2 }),
        ("more frames are taken", |index| {
            index.archives[0].place = Place::Own { first: 0, count: 2 };
            index.archives[1].place = Place::Own { first: 0, count: 2 };
        }),
    ];
    for (text, fault) in faults {
        let mut bad = good.clone();
        fault(&mut bad);
        let found = bad.fault(66_592).unwrap_or_default();
        assert!(found.contains(text), "{text}: {found}");
    }
}

#[test]
fn what_is_said_of_an_archive_must_fit_its_entry_and_a_register_its_index() {
    let index = sample();
    let [own, grouped, chunked, outside] = samples();
    let with = |about: &About, length, detail: Detail| About { length, detail, ..about.clone() };
    let runs = |runs: &[Run]| Detail::Chunked(runs.to_vec());
    let run = Run { pack: 0, frame: 1, at: 0, length: 1 << 20 };
    let blobs = |lead, plain| Detail::Outside {
        lead,
        blobs: vec![Outer { blob: BlobId::from_bytes([8; 16]), first_chunk: 0, plain }],
    };
    let faults = [
        (0, grouped.clone()),
        (0, with(&own, 0, Detail::Own)),
        (0, with(&own, (1 << 20) + 1, Detail::Own)),
        (0, About { tree_hash: None, ..own.clone() }),
        (1, with(&grouped, 1 << 20, Detail::Grouped { at: 1 })),
        (2, About { tree_hash: Some([1; 32]), ..chunked.clone() }),
        (2, with(&chunked, 5, runs(&[Run { length: 5, ..run }]))),
        (2, with(&chunked, 1 << 20, runs(&[Run { length: 5, ..run }]))),
        (2, with(&chunked, 1 << 20, runs(&[Run { frame: 2, ..run }]))),
        (2, with(&chunked, 1 << 20, runs(&[Run { pack: 2, ..run }]))),
        (2, with(&chunked, 1 << 20, runs(&[Run { at: 1, ..run }]))),
        (3, with(&outside, 65_596, blobs(7, 100))),
        (3, with(&outside, 65_596, blobs(65_552, 28))),
        (3, with(&outside, 65_595, outside.detail.clone())),
    ];
    assert_eq!(with(&chunked, 1 << 20, runs(&[run])).fault(&index, &index.archives[2]), None);
    for (entry, about) in faults {
        assert!(about.fault(&index, &index.archives[entry]).is_some(), "{about:?}");
    }
    let good = register();
    let faults: [fn(&mut Register); 6] = [
        |register| register.chunks[1].frame = 2,
        |register| register.chunks[1].length = 1 << 20,
        |register| register.moved[0].pack = 1,
        |register| register.moved[0].length = 6,
        |register| register.moved.swap(0, 1),
        |register| register.moved[2].new_frame = 3,
    ];
    for fault in faults {
        let mut bad = good.clone();
        fault(&mut bad);
        assert!(bad.fault(&index).is_some(), "{bad:?}");
    }
    assert_eq!(good.find(0, 300, 2..8), Some(vec![(1, 7..10), (1, 5..8)]));
    assert_eq!(good.find(0, 301, 9..14), Some(vec![(1, 5..10)]));
    for (frame, bytes) in [(300, 2..11), (301, 8..10), (299, 0..1), (302, 9..10), (301, 13..15)] {
        assert_eq!(good.find(0, frame, bytes.clone()), None, "frame {frame}, {bytes:?}");
    }
    assert_eq!(good.find(1, 301, 9..10), None);
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
    let other = IndexKey { id: VAULT.id, key: engine::codec::DataKey::from_bytes([0; 32]) };
    let refused = crate::pack::Reader::open(Arc::new(bytes.clone()), pack.id(), WHOSE, &other).unwrap_err();
    assert!(refused.to_string().contains("another vault's"), "{refused}");
    assert!(scrub(&bytes).unwrap().is_whole());
    // Another one of the vault's, by its id alone.
    let other = IndexKey { id: IndexKeyId::from_bytes([0; 16]), ..VAULT };
    let refused = crate::pack::Reader::open(Arc::new(bytes), pack.id(), WHOSE, &other).unwrap_err();
    assert!(refused.to_string().contains(&VAULT.id.to_string()), "{refused}");
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
