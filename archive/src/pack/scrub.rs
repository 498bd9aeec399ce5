//! What is damaged in a pack, found without any key.
//!
//! Each block of data is compared with its BLAKE3; where that is wrong, the CRC32C of its cells say which of them are, so that a flipped
//! bit costs a stripe one cell and not sixteen. What can't be read counts as damaged. Nothing is written.

use super::PackId;
use super::cell::{self, Meta};
use super::layout::{BLOCK_BYTES, BLOCK_CELLS, Layout, cells};
use crate::parity::{CELL_BYTES, crc32c};
use crate::source::ReadAt;
use engine::Result;

/// Blocks that are read at once.
const BLOCKS_A_READ: usize = 16;

/// What a scrub found.
#[derive(Debug)]
pub struct Scrubbed {
    pub(super) meta: Meta,
    /// Damaged cells of data.
    pub data: Vec<u32>,
    /// Damaged cells of parity, counted from the first one.
    pub parity: Vec<u32>,
    /// Cells of the room behind the head's own ones that are not zeros: they mean nothing, but parity over whole packs covers them.
    pub slack: Vec<u32>,
    /// Stripes that have lost more than their parity restores.
    pub beyond_repair: Vec<u32>,
    /// Bytes that were read.
    pub bytes: u64,
}

impl Scrubbed {
    /// Which pack it is.
    pub const fn pack(&self) -> PackId {
        self.meta.layout.pack()
    }

    /// Where its parts lie.
    pub const fn layout(&self) -> Layout {
        self.meta.layout
    }

    /// Damaged cells of the head, and of the foot.
    pub fn head_and_foot(&self) -> (&[u32], &[u32]) {
        (&self.meta.bad_head, &self.meta.bad_foot)
    }

    /// Whether what it was compared with is what the index was sealed with ([`Reader::tables`](super::Reader::tables)). Where not, somebody who has no
    /// key made other hashes.
    pub fn is_sealed_by(&self, tables: &[u8; 32]) -> bool {
        self.meta.tables() == *tables
    }

    /// Nothing is damaged.
    pub fn is_whole(&self) -> bool {
        let Self { meta, data, parity, slack, .. } = self;
        [data, parity, slack, &meta.bad_head, &meta.bad_foot].into_iter().all(Vec::is_empty)
    }
}

/// Looks at every byte of the pack that must be there, or of whichever is. [`engine::Error::Corrupt`] where so much of head and foot is damaged that it can't be
/// told what the rest should be.
pub fn scrub(source: &dyn ReadAt, expected: Option<PackId>) -> Result<Scrubbed> {
    let layout = Layout::find(source, expected)?;
    let meta = cell::read(source, layout, true)?;
    let mut data = Vec::new();
    let mut buffer = vec![0; BLOCKS_A_READ * BLOCK_BYTES];
    let mut block = 0;
    let mut at = 0_u64;
    while at < layout.data_bytes() {
        let length = (layout.data_bytes() - at).min(buffer.len() as u64);
        let bytes = &mut buffer[..usize::try_from(length).unwrap_or(0)];
        let unreadable = load(source, layout.data_at() + at, bytes);
        for found in bytes.chunks(BLOCK_BYTES) {
            if unreadable || blake3::hash(found) != meta.block_hash(block) {
                judge_block(source, &meta, block, found.len(), &mut data);
            }
            block += 1;
        }
        at += length;
    }
    let slack = scrub_slack(source, layout);
    let parity = scrub_parity(source, &meta, &mut buffer);
    let beyond_repair = layout.data.beyond_repair(&data, &parity);
    let copies = cells(layout.head_cells) + cells(layout.copy_cells());
    let bytes = layout.data_bytes() + cells(layout.data.parity_cells()) + copies;
    Ok(Scrubbed { meta, data, parity, slack, beyond_repair, bytes })
}

/// Reads; `true` when that failed.
fn load(source: &dyn ReadAt, at: u64, out: &mut [u8]) -> bool {
    source.read_at(at, out).is_err()
}

/// The damaged cells of a block that is not what it was, read again one by one. All of them where no checksum tells which.
fn judge_block(source: &dyn ReadAt, meta: &Meta, block: u32, length: usize, bad: &mut Vec<u32>) {
    let first = block * BLOCK_CELLS;
    let count = u32::try_from(length / CELL_BYTES).unwrap_or(BLOCK_CELLS);
    let mut whole = vec![0; length];
    let before = bad.len();
    for (number, cell) in (first..).zip(whole.chunks_exact_mut(CELL_BYTES)) {
        let at = meta.layout.data_at() + cells(number);
        if load(source, at, cell) || crc32c(cell) != meta.cell_crc(number) {
            bad.push(number);
        }
    }
    if bad.len() == before && blake3::hash(&whole) != meta.block_hash(block) {
        bad.extend(first..first + count);
    }
}

fn scrub_slack(source: &dyn ReadAt, layout: Layout) -> Vec<u32> {
    let mut cell = [0; CELL_BYTES];
    let room = layout.copy_cells()..layout.head_cells;
    room.filter(|number| load(source, cells(*number), &mut cell) || cell.iter().any(|byte| *byte != 0))
        .collect()
}

fn scrub_parity(source: &dyn ReadAt, meta: &Meta, buffer: &mut [u8]) -> Vec<u32> {
    let layout = meta.layout;
    let (count, data_cells) = (layout.data.parity_cells(), layout.data.data_cells());
    let mut bad = Vec::new();
    let mut number = 0;
    while number < count {
        let at = layout.parity_at() + cells(number);
        let length = usize::try_from(cells(count - number)).unwrap_or(usize::MAX).min(buffer.len());
        let bytes = &mut buffer[..length];
        let unreadable = load(source, at, bytes);
        for cell in bytes.chunks_exact_mut(CELL_BYTES) {
            let lost = unreadable && load(source, layout.parity_at() + cells(number), cell);
            if lost || crc32c(cell) != meta.cell_crc(data_cells + number) {
                bad.push(number);
            }
            number += 1;
        }
    }
    bad
}
