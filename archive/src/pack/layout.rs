//! Where the parts of a pack lie: said by every cell of head and foot, so that one good cell is enough to find the rest.

use super::cell::{self, PAYLOAD_BYTES};
use super::{CAPACITY_MAX, IndexKeyId, PackId, VaultId};
use crate::parity::{CELL_BYTES, Geometry};
use crate::source::ReadAt;
use engine::codec::chunk::sealed_len;
use engine::{Error, Result};
use std::collections::HashMap;

/// Cells of a block, whose ciphertext has one BLAKE3.
pub(super) const BLOCK_CELLS: u32 = 16;
/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = BLOCK_CELLS as usize * CELL_BYTES;
/// Bytes of an index before it is sealed, at the most.
pub(super) const INDEX_PLAIN_MAX: usize = 1 << 20;
/// Bytes of the salt before the sealed index.
pub(super) const SALT_BYTES: usize = 16;
/// Bytes of salt and sealed index, at the most.
const INDEX_MAX: u64 = SALT_BYTES as u64 + sealed_len(INDEX_PLAIN_MAX as u64);
/// Bytes of the hash at the end of head and foot.
pub(super) const HASH_BYTES: usize = 32;
/// Cells that the head may be given.
pub(super) const HEAD_CELLS_MAX: u32 = 1024;

/// AES-256-GCM, keys derived by BLAKE3.
const SUITE: u8 = 1;
/// Features that are known.
const READ_FEATURES: u32 = 0;
/// Cells that are looked at with one read.
const CELLS_A_READ: usize = 64;
/// More cells than any pack has.
const WHOLE_CELLS_MAX: u64 = 128 << 10;

/// Which pack it is, whose, and which key its index is under: all in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Names {
    pub(super) pack: PackId,
    pub(super) vault: VaultId,
    pub(super) index_key: IndexKeyId,
}

/// Where the parts of one pack lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    pub(super) names: Names,
    /// How it is sealed.
    pub(super) suite: u8,
    /// What a reader of archives must know, and a scrub need not.
    pub(super) read_features: u32,
    /// Bytes of salt and sealed index.
    pub(super) index_len: u32,
    /// Cells before the data.
    pub(super) head_cells: u32,
    pub(super) data: Geometry,
}

impl Layout {
    /// Refuses what no pack has.
    pub(super) fn new(names: Names, index_len: u32, head_cells: u32, data_cells: u32) -> Option<Self> {
        let (suite, read_features) = (SUITE, 0);
        let layout =
            Self { names, suite, read_features, index_len, head_cells, data: Geometry::of(data_cells)? };
        let index_fits = (SALT_BYTES as u64..=INDEX_MAX).contains(&u64::from(index_len));
        let head_fits = index_fits && (layout.copy_cells()..=HEAD_CELLS_MAX).contains(&head_cells);
        head_fits.then_some(layout)
    }

    /// Cells to keep before the data of a pack that will have up to `data_cells` of them, and an index of `index_plain` bytes.
    pub(super) fn head_for(data_cells: u32, index_plain: usize) -> u32 {
        let index_len = SALT_BYTES as u64 + sealed_len(index_plain as u64);
        let data = Geometry::of(data_cells.max(1)).or_else(|| Geometry::of(crate::parity::DATA_CELLS_MAX));
        let Some(data) = data else { return HEAD_CELLS_MAX };
        let index_len = u32::try_from(index_len).unwrap_or(u32::MAX);
        let names = Names {
            pack: PackId::from_bytes([0; 16]),
            vault: VaultId::from_bytes([0; 16]),
            index_key: IndexKeyId::from_bytes([0; 16]),
        };
        let whole = Self { names, suite: SUITE, read_features: 0, index_len, head_cells: 0, data };
        whole.copy_cells().next_multiple_of(BLOCK_CELLS)
    }

    /// Whose parts these are.
    pub const fn pack(self) -> PackId {
        self.names.pack
    }

    /// Whose pack it says that it is; the index has the last word.
    pub const fn vault(self) -> VaultId {
        self.names.vault
    }

    /// Which of the vault's keys its index is sealed under.
    pub const fn index_key(self) -> IndexKeyId {
        self.names.index_key
    }

    /// Refuses what only a newer firn can read.
    pub(super) fn check_readable(self) -> Result<()> {
        let newer = |what: &str, found, supported| Err(Error::Newer { what: what.into(), found, supported });
        match (self.suite, self.read_features & !READ_FEATURES) {
            (SUITE, 0) => Ok(()),
            (SUITE, unknown) => newer("feature of packs", unknown, READ_FEATURES),
            (suite, _) => newer("suite of ciphers of packs", suite.into(), SUITE.into()),
        }
    }

    /// Bytes of the whole pack.
    pub const fn total_bytes(self) -> u64 {
        self.foot_at() + cells(self.copy_cells())
    }

    /// Bytes of head and foot together with the room that the head left.
    pub const fn overhead_bytes(self) -> u64 {
        cells(self.head_cells) + cells(self.copy_cells())
    }

    pub(super) const fn blocks(self) -> u32 {
        self.data.data_cells().div_ceil(BLOCK_CELLS)
    }

    /// Bytes that head and foot say, before they are cut into cells.
    pub(super) const fn meta_len(self) -> usize {
        let crcs = (self.data.data_cells() + self.data.parity_cells()) as usize * 4;
        self.index_len as usize + self.blocks() as usize * HASH_BYTES + crcs + HASH_BYTES
    }

    /// Cells of that, their parity apart.
    #[expect(clippy::cast_possible_truncation, reason = "at most a few hundred")]
    pub(super) const fn meta_cells(self) -> u32 {
        self.meta_len().div_ceil(PAYLOAD_BYTES) as u32
    }

    /// Parity cells of head and of foot.
    pub(super) const fn meta_parity(self) -> u32 {
        let share = self.meta_cells().div_ceil(16);
        if share > 4 { share } else { 4 }
    }

    /// Cells of the head's copy, and of the foot's.
    pub(super) const fn copy_cells(self) -> u32 {
        self.meta_cells() + self.meta_parity()
    }

    pub(super) const fn data_at(self) -> u64 {
        cells(self.head_cells)
    }

    /// Bytes of data, padded to whole cells.
    pub(super) const fn data_bytes(self) -> u64 {
        cells(self.data.data_cells())
    }

    pub(super) const fn parity_at(self) -> u64 {
        self.data_at() + self.data_bytes()
    }

    pub(super) const fn foot_at(self) -> u64 {
        self.parity_at() + cells(self.data.parity_cells())
    }

    pub(super) fn corrupt(self, detail: impl Into<String>) -> Error {
        Error::Corrupt { what: format!("pack {}", self.names.pack), detail: detail.into() }
    }

    /// Finds the pack that must be there, or whichever is. A cell counts where it lies at its own place, for a write may have gone astray
    /// and a file may have been another pack before: its layout is what most cells say. Where the cell that comes first is of the
    /// pack that must be there, nothing else is looked at. Of what is whole that is the first read.
    pub fn find(source: &dyn ReadAt, expected: Option<PackId>) -> Result<Self> {
        let len = source.byte_len().map_err(|error| Error::io("read", "pack", error))?;
        let mut votes = Votes::default();
        votes.count(source, 0..1);
        if let Some(layout) = expected.and_then(|expected| votes.of(expected)) {
            return Ok(layout);
        }
        let end = len / CELL_BYTES as u64;
        let head = end.min(u64::from(HEAD_CELLS_MAX));
        let foot = end.saturating_sub(u64::from(HEAD_CELLS_MAX)).max(head);
        votes.count(source, 1.min(end)..head);
        votes.count(source, foot..end);
        let mut found = expected.map_or_else(|| votes.most(), |expected| votes.of(expected));
        if found.is_none() && expected.is_some() {
            // Its foot may lie before the end: what was in the file before was longer.
            votes.count(source, head..foot.min(head + WHOLE_CELLS_MAX));
            found = expected.and_then(|expected| votes.of(expected));
        }
        if let Some(layout) = found {
            return Ok(layout);
        }
        Err(match (votes.most(), expected, votes.newer) {
            (_, _, Some(newer)) => newer,
            (Some(other), Some(expected), None) => Error::Corrupt {
                what: format!("pack {expected}"),
                detail: format!("pack {} is there instead; look at which medium this is", other.names.pack),
            },
            _ => Error::Corrupt {
                what: "pack".into(),
                detail: format!(
                    "no cell of a head or foot in {len} bytes: this is no pack, or all of both is damaged"
                ),
            },
        })
    }
}

/// What the cells of a file say, and how many of them say it, in the order in which they were found.
#[derive(Default)]
struct Votes {
    counts: HashMap<Layout, (u64, u64)>,
    newer: Option<Error>,
}

impl Votes {
    /// Looks at cells, many at once where they can be read.
    fn count(&mut self, source: &dyn ReadAt, range: std::ops::Range<u64>) {
        let mut bytes = vec![0; CELLS_A_READ * CELL_BYTES];
        let mut next = range.start;
        while next < range.end {
            let count = (range.end - next).min(CELLS_A_READ as u64);
            let bytes = &mut bytes[..usize::try_from(cells_64(count)).unwrap_or(0)];
            let read = source.read_at(cells_64(next), bytes).is_ok();
            for (cell, bytes) in (next..).zip(bytes.chunks_exact_mut(CELL_BYTES)) {
                if read || source.read_at(cells_64(cell), bytes).is_ok() {
                    self.take(cell, bytes);
                }
            }
            next += count;
        }
    }

    fn take(&mut self, cell: u64, bytes: &[u8]) {
        match cell::decode(bytes) {
            Ok(found) => {
                let (layout, number) = (found.layout, u64::from(found.number));
                let at_foot = layout.foot_at() / CELL_BYTES as u64 + number;
                if cell == number || cell == at_foot {
                    let next = u64::MAX - self.counts.len() as u64;
                    self.counts.entry(layout).or_insert((0, next)).0 += 1;
                }
            }
            Err(error @ Error::Newer { .. }) => self.newer = Some(error),
            Err(_) => {}
        }
    }

    fn of(&self, pack: PackId) -> Option<Layout> {
        let counts = self.counts.iter().filter(|(layout, _)| layout.names.pack == pack);
        counts.max_by_key(|(_, count)| **count).map(|(layout, _)| *layout)
    }

    fn most(&self) -> Option<Layout> {
        self.counts.iter().max_by_key(|(_, count)| **count).map(|(layout, _)| *layout)
    }
}

pub(super) const fn cells(count: u32) -> u64 {
    cells_64(count as u64)
}

const fn cells_64(count: u64) -> u64 {
    count * CELL_BYTES as u64
}

const _: () = assert!(CAPACITY_MAX == cells(crate::parity::DATA_CELLS_MAX));
