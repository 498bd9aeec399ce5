//! What damage packs stand, and what is said of what they don't.

use super::world::{World, below, id, noise, open, open_from, scrub, text};
use crate::pack::{ArchiveId, CAPACITY_MAX, Index, Layout, Pack, PackId, Sealed, plan};
use crate::parity::{CELL_BYTES, Geometry};
use crate::source::ReadAt;
use engine::ErrorKind;
use engine::entropy::{Entropy, SeededEntropy};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

const FLIPS_A_GIB: u64 = 1000;

/// The damage that a pack is promised to stand, one of the two.
enum Damage {
    Flips(u64),
    Hole(u64),
}

/// Flips bits, or makes a hole: the cells that are hit.
fn damage(bytes: &mut [u8], damage: &Damage, dice: &dyn Entropy) -> BTreeSet<u64> {
    let length = bytes.len() as u64;
    let at = |place: u64| usize::try_from(place).unwrap();
    let mut hit = BTreeSet::new();
    match damage {
        Damage::Flips(count) => {
            for _ in 0..*count {
                let place = below(dice, length);
                bytes[at(place)] ^= 1 << below(dice, 8);
                hit.insert(place / CELL_BYTES as u64);
            }
        }
        Damage::Hole(hole) => {
            let start = below(dice, length - hole);
            bytes[at(start)..at(start + hole)].fill(0);
            hit.extend(start / CELL_BYTES as u64..=(start + hole - 1) / CELL_BYTES as u64);
        }
    }
    hit
}

/// Damages a pack, repairs it, and reads everything.
fn round(world: &World, pack: &Pack<Sealed>, good: &[u8], archives: &[Vec<u8>], kind: &Damage, seed: u64) {
    let dice = SeededEntropy::new(seed);
    let mut bad = good.to_vec();
    damage(&mut bad, kind, &dice);
    let found = scrub(&bad).unwrap_or_else(|error| panic!("FIRN_SEED={seed}: {error}"));
    assert_eq!(found.pack(), pack.id());
    assert!(found.beyond_repair.is_empty(), "FIRN_SEED={seed}");
    let mending = plan(&bad, &found).unwrap();
    assert!(mending.makes_whole(), "FIRN_SEED={seed}");
    let mut mended = bad.clone();
    assert!(mending.apply(&mut mended).unwrap().is_empty());
    // The room that a head leaves means nothing.
    let (copy, data) = (pack.layout().copy_cells() as usize * CELL_BYTES, pack.layout().data_at());
    let data = usize::try_from(data).unwrap();
    assert!(mended[..copy] == good[..copy] && mended[data..] == good[data..], "FIRN_SEED={seed}");
    assert!(scrub(&mended).unwrap().is_whole());
    // And without a byte written, as from media that are never rewritten.
    let healed = plan(&bad, &found).unwrap().healed(Arc::new(bad));
    let reader = open_from(Arc::new(healed)).unwrap();
    for (place, bytes) in (0..).zip(archives) {
        assert!(world.read(&reader, id(place)).unwrap() == *bytes, "FIRN_SEED={seed}, archive {place}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn rounds_of_bytes(capacity: u64, default: u64) {
    let first = number("FIRN_SEED").unwrap_or(1) % (1 << 62);
    let mut world = World::new(first);
    world.options.capacity = capacity;
    let room = usize::try_from(capacity).unwrap() - 1_500_000;
    let archives = [noise(1, 100), text(2, 900_000), noise(3, 65_536), noise(4, room)];
    let pack = world.pack_of(&archives);
    let good = std::fs::read(pack.path()).unwrap();
    let length = good.len() as u64;
    // As much for its size as a full pack is promised.
    let flips = (length * FLIPS_A_GIB).div_ceil(1 << 30).max(8);
    let hole = (8 << 20) * capacity / CAPACITY_MAX;
    for seed in first..first + number("FIRN_ROUNDS").unwrap_or(default) {
        let kind = if seed % 2 == 0 { Damage::Flips(flips) } else { Damage::Hole(hole) };
        round(&world, &pack, &good, &archives, &kind, seed);
    }
}

#[test]
fn packs_stand_flips_and_holes() {
    rounds_of_bytes(18 << 20, 8);
}

#[test]
#[ignore = "500 packs of 256 MiB: in the release profile half an hour; FIRN_ROUNDS sets another number"]
fn packs_of_full_size_stand_flips_and_holes() {
    rounds_of_bytes(CAPACITY_MAX, 500);
}

/// What remains of a pack of full size is decided by which cells are hit. 500 of each kind, without the bytes.
#[test]
fn of_500_packs_of_full_size_500_stand_1000_flips_a_gib_or_a_hole_of_8_mib() {
    let index_len = 600_000;
    let names = crate::pack::layout::Names {
        pack: PackId::from_bytes([1; 16]),
        vault: crate::pack::VaultId::from_bytes([2; 16]),
        index_key: crate::pack::IndexKeyId::from_bytes([3; 16]),
    };
    let layout = Layout::new(names, index_len, 400, crate::parity::DATA_CELLS_MAX).unwrap();
    let (head, data, parity) =
        (u64::from(layout.head_cells), layout.data.data_cells(), layout.data.parity_cells());
    let total = layout.total_bytes();
    let flips = (total * FLIPS_A_GIB).div_ceil(1 << 30);
    for seed in 0..1000 {
        let dice = SeededEntropy::new(seed);
        let mut cells = BTreeSet::new();
        if seed % 2 == 0 {
            cells.extend((0..flips).map(|_| below(&dice, total) / CELL_BYTES as u64));
        } else {
            let start = below(&dice, total - (8 << 20));
            cells.extend(start / CELL_BYTES as u64..=(start + (8 << 20) - 1) / CELL_BYTES as u64);
        }
        let within = |from: u64, count: u32| -> Vec<u32> {
            cells
                .range(from..from + u64::from(count))
                .map(|cell| u32::try_from(cell - from).unwrap())
                .collect()
        };
        let (bad_data, bad_parity) = (within(head, data), within(head + u64::from(data), parity));
        assert!(layout.data.beyond_repair(&bad_data, &bad_parity).is_empty(), "seed {seed}");
        let (at_head, at_foot) = (
            within(0, layout.copy_cells()),
            within(layout.foot_at() / CELL_BYTES as u64, layout.copy_cells()),
        );
        let in_both = at_head.iter().filter(|cell| at_foot.contains(cell)).count();
        assert!(in_both <= layout.meta_parity() as usize, "seed {seed}");
    }
}

/// What the least packs stand, and those between: by which cells are hit, without the bytes.
#[test]
fn small_packs_stand_1000_flips_a_gib_as_large_ones_do() {
    for mib in [1, 2, 4, 8, 15, 16, 20, 24, 32] {
        let geometry = Geometry::of(mib << 8).unwrap();
        let total = geometry.data_cells() + geometry.parity_cells();
        let flips = (u64::from(total) * 4096 * FLIPS_A_GIB).div_ceil(1 << 30);
        for seed in 0..4_000 {
            let dice = SeededEntropy::new(seed << 8 | u64::from(mib));
            let hit: BTreeSet<u32> =
                (0..flips).map(|_| u32::try_from(below(&dice, total.into())).unwrap()).collect();
            let (data, parity): (Vec<u32>, Vec<u32>) =
                hit.into_iter().partition(|cell| *cell < geometry.data_cells());
            let parity: Vec<u32> = parity.into_iter().map(|cell| cell - geometry.data_cells()).collect();
            assert!(geometry.beyond_repair(&data, &parity).is_empty(), "{mib} MiB, seed {seed}");
        }
    }
}

#[test]
fn a_full_pack_stands_any_hole_of_8_mib_and_neighbouring_cells_spread() {
    let full = Geometry::of(crate::parity::DATA_CELLS_MAX).unwrap();
    for start in [0, 1, 63, 64, 30_000, 65_536 - 2049] {
        let hole: Vec<u32> = (start..start + 2049).collect();
        assert!(full.beyond_repair(&hole, &[]).is_empty());
    }
    // Across the border of data and parity.
    let (data, parity): (Vec<u32>, Vec<u32>) = ((65_536 - 1000..65_536).collect(), (0..1049).collect());
    assert!(full.beyond_repair(&data, &parity).is_empty());
    assert_eq!(full.beyond_repair(&(0..64 * 53).collect::<Vec<_>>(), &[]).len(), 64);
}

#[test]
fn what_is_beyond_repair_is_named_and_everything_else_comes_back() {
    let world = World::new(3);
    let archives: Vec<Vec<u8>> =
        (0..40).map(|seed| noise(seed, 300_000 + 1000 * usize::try_from(seed).unwrap())).collect();
    let pack = world.pack_of(&archives);
    let mut bad = std::fs::read(pack.path()).unwrap();
    let (start, length) = (usize::try_from(pack.layout().data_at()).unwrap() + 5_000_123, 1_500_000);
    bad[start..start + length].fill(0xEE);
    let found = scrub(&bad).unwrap();
    assert!(!found.beyond_repair.is_empty());
    let mending = plan(&bad, &found).unwrap();
    assert!(!mending.makes_whole());
    let lost = mending.lost_archives(&world.reader_of(&pack), &*world.keys).unwrap();
    let first = pack.layout().data_at() + u64::from(mending.lost()[0]) * CELL_BYTES as u64;
    let healed = mending.healed(Arc::new(bad));
    let refused = healed.read_at(first + 1, &mut [0; 9]).unwrap_err();
    assert!(refused.to_string().contains("nothing within the pack restores it"), "{refused}");
    healed.read_at(first - 9, &mut [0; 9]).unwrap();
    let reader = open_from(Arc::new(healed)).unwrap();
    let unread: Vec<ArchiveId> =
        (0..40).map(id).filter(|archive| world.read(&reader, *archive).is_err()).collect();
    assert_eq!(lost, unread, "exactly those");
    assert!((4..9).contains(&lost.len()), "{lost:?}");
    for (place, bytes) in (0..).zip(&archives).filter(|(place, _)| !lost.contains(&id(*place))) {
        assert!(world.read(&reader, id(place)).unwrap() == *bytes, "archive {place}");
    }
}

/// A medium of which some bytes can't be read, and the end is missing.
struct Ailing {
    bytes: Vec<u8>,
    unreadable: std::ops::Range<u64>,
}

impl ReadAt for Ailing {
    fn byte_len(&self) -> io::Result<u64> {
        self.bytes.byte_len()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        if at < self.unreadable.end && self.unreadable.start < at + out.len() as u64 {
            return Err(io::Error::other("bad sector"));
        }
        self.bytes.read_at(at, out)
    }
}

#[test]
fn sectors_that_cannot_be_read_and_a_missing_end_are_damage_like_any_other() {
    let world = World::new(4);
    let archives = [noise(1, 12_000_000), text(2, 100_000)];
    let pack = world.pack_of(&archives);
    let good = std::fs::read(pack.path()).unwrap();
    let data = pack.layout().data_at();
    for (unreadable, missing) in
        [(data + 100_000..data + 109_000, 0), (0..4096, 0), (0..0, 300_000), (9..9, 4096)]
    {
        let bytes = good[..good.len() - missing].to_vec();
        let ailing = Ailing { bytes, unreadable: unreadable.clone() };
        let found = scrub(&ailing).unwrap();
        assert!(!found.is_whole());
        let mending = plan(&ailing, &found).unwrap();
        assert!(mending.makes_whole(), "{unreadable:?}, {missing} missing: {:?}", found.beyond_repair);
        let healed = mending.healed(Arc::new(ailing));
        let mut whole = vec![0; good.len()];
        for (number, cell) in whole.chunks_mut(CELL_BYTES).enumerate() {
            healed.read_at((number * CELL_BYTES) as u64, cell).unwrap();
        }
        assert!(whole == good);
    }
}

#[test]
fn a_head_and_a_foot_that_are_both_damaged_give_one_whole_index() {
    let world = World::new(5);
    let pack = world.pack_of(&(0..100).map(|seed| noise(seed, 65_536)).collect::<Vec<_>>());
    let good = std::fs::read(pack.path()).unwrap();
    let index: Index = pack.index().clone();
    let (copy, foot) =
        (pack.layout().copy_cells() as usize, usize::try_from(pack.layout().foot_at()).unwrap());
    assert!(copy >= 10, "{copy}");
    let mut bad = good.clone();
    // Every other cell of the head, and the others of the foot: each share is in one of them. Some in neither: parity has those.
    for number in 0..copy {
        let start = if number % 2 == 0 { 0 } else { foot };
        bad[start + number * CELL_BYTES + 77] ^= 4;
    }
    for number in 3..6 {
        bad[number * CELL_BYTES + 99] ^= 4;
        bad[foot + number * CELL_BYTES + 99] ^= 8;
    }
    assert_eq!(open(bad.clone()).unwrap().index(), &index);
    let mending = plan(&bad, &scrub(&bad).unwrap()).unwrap();
    mending.apply(&mut bad).unwrap();
    assert!(bad == good);
    for number in 0..copy {
        bad[number * CELL_BYTES] ^= 1;
        bad[foot + number * CELL_BYTES] ^= 1;
    }
    let refused = open(bad).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert!(refused.to_string().contains("no cell of a head or foot"), "{refused}");
}
