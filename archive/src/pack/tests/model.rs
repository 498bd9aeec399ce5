//! Archives of all kinds and sizes, in packs that are too small for them, against what was put in.
//!
//! A failure names its seed: `FIRN_SEED=n FIRN_ROUNDS=1` runs that one alone.

use super::world::{World, below, hash, head, noise, scrub, text};
use crate::pack::{ArchiveId, Head, Open, Outer, Pack, Place};
use engine::entropy::SeededEntropy;
use engine::id::BlobId;
use std::collections::BTreeMap;

/// What an archive is, and where its parts went.
struct Put {
    bytes: Vec<u8>,
    outside: bool,
}

struct Model {
    world: World,
    dice: SeededEntropy,
    puts: BTreeMap<ArchiveId, Put>,
    found: BTreeMap<ArchiveId, Vec<u8>>,
    next: u64,
}

impl Model {
    fn below(&self, bound: u64) -> u64 {
        below(&self.dice, bound)
    }

    /// Noise, text, or much of what is there already.
    fn content(&self) -> Vec<u8> {
        let bounds = [10, 5_000, 65_536, 200_000, 3_000_000];
        let length = usize::try_from(self.below(bounds[usize::try_from(self.below(5)).unwrap()])).unwrap();
        let seed = self.below(u64::MAX);
        match (self.below(4), self.puts.values().last()) {
            (0, _) => text(seed, length),
            (1, Some(last)) => [&last.bytes[..], &noise(seed, 100)].concat(),
            _ => noise(seed, length),
        }
    }

    /// Deposits one archive, in as many packs as it takes; the pack that is open then.
    fn put(&mut self, mut pack: Pack<Open>) -> Pack<Open> {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        let (id, bytes, outside) = (ArchiveId::from_bytes(id), self.content(), self.below(6) == 0);
        // Ciphertext has a tag for each chunk.
        let tags = bytes.len().div_ceil(65_536) * 16;
        let plain = bytes.len() as u64;
        let bytes = if outside { [bytes, vec![1; tags]].concat() } else { bytes };
        let mut offset = 0;
        loop {
            let whole = Outer { blob: BlobId::from_bytes([1; 16]), first_chunk: 0, plain };
            let (_, lead, run) = whole.cut(offset as u64);
            let lead = if outside { lead } else { 0 };
            let head = Head { offset: offset as u64, outside, lead, ..head(id) };
            let Some(mut deposit) = pack.deposit(head).unwrap() else {
                pack = self.turn(pack);
                continue;
            };
            if let Some(run) = run.filter(|_| outside) {
                assert!(deposit.announce(run).unwrap());
            }
            let mut rest = &bytes[offset..];
            while !rest.is_empty() {
                let piece = rest.len().min(usize::try_from(below(&self.dice, 900_000)).unwrap() + 1);
                let taken = deposit.write(&rest[..piece]).unwrap();
                rest = &rest[taken..];
                if taken < piece {
                    break;
                }
            }
            if rest.is_empty() && below(&self.dice, 12) == 0 {
                // Given up; if parts of it are in other packs, whoever deposits knows that they are none.
                drop(deposit);
                self.found.remove(&id);
                return pack;
            }
            if rest.is_empty() {
                deposit.finish_part(hash(&bytes[offset..]), hash(&bytes)).unwrap();
                self.puts.insert(id, Put { bytes, outside });
                return pack;
            }
            let taken = bytes.len() - rest.len();
            let cut = usize::try_from(deposit.cut()).unwrap();
            assert!(cut <= taken && taken - cut < 1 << 20 && cut.is_multiple_of(1 << 20));
            assert_eq!(deposit.suspend(hash(&bytes[offset..cut])).unwrap(), cut as u64);
            offset = cut;
            pack = self.turn(pack);
        }
    }

    /// Seals a pack and reads what is in it; the next one.
    fn turn(&mut self, pack: Pack<Open>) -> Pack<Open> {
        if pack.archives() == 0 {
            // Filled by what was given up.
            pack.discard().unwrap();
            return self.world.begin();
        }
        let sealed = self.world.seal(pack);
        let capacity = self.world.options.capacity;
        assert!(sealed.layout().data_bytes() <= capacity.next_multiple_of(4096));
        assert!(scrub(&std::fs::read(sealed.path()).unwrap()).unwrap().is_whole());
        let reader = self.world.packs.lock().unwrap()[&sealed.id()].clone();
        for (entry, about) in sealed.archives() {
            let bytes = self.world.read(&reader, entry.archive).unwrap();
            assert_eq!(hash(&bytes), about.part_hash);
            let parts = self.found.entry(entry.archive).or_default();
            assert_eq!(parts.len() as u64, entry.offset(), "{:?}", entry.archive);
            parts.extend(bytes);
            let whole = entry.last && entry.part == 0;
            let grouped = matches!(entry.place, Place::Grouped { .. });
            assert!(!grouped || (whole && about.length < 65_536), "{entry:?}");
        }
        self.world.begin()
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn round(seed: u64) {
    let dice = SeededEntropy::new(seed ^ 0xD1CE);
    let mut world = if seed.is_multiple_of(2) { World::new(seed) } else { World::with_dedup(seed) };
    world.options.capacity = (2 << 20) + below(&dice, 3 << 20);
    let (puts, found) = (BTreeMap::new(), BTreeMap::new());
    let mut model = Model { world, dice, puts, found, next: 0 };
    let mut pack = model.world.begin();
    for _ in 0..25 {
        pack = model.put(pack);
    }
    if !model.puts.is_empty() {
        pack = model.turn(pack);
    }
    pack.discard().unwrap();
    for (id, put) in &model.puts {
        assert!(model.found[id] == put.bytes, "{id:?} of {} bytes, outside {}", put.bytes.len(), put.outside);
    }
}

#[test]
fn whatever_is_deposited_into_packs_that_are_too_small_comes_back() {
    let first = number("FIRN_SEED").unwrap_or(1) % (1 << 62);
    for seed in first..first + number("FIRN_ROUNDS").unwrap_or(6) {
        let outcome = std::panic::catch_unwind(|| round(seed));
        assert!(outcome.is_ok(), "failed with FIRN_SEED={seed}");
    }
}
