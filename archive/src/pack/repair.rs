//! What damaged cells were, by the parity of the pack.
//!
//! ```text
//!   scrub ──► Scrubbed ── plan ──► Mending ──► apply: write the cells where they were
//!                                         └──► Healed: read as if they had been written (media that are never rewritten),
//!                                              by a patch that is kept elsewhere
//! ```
//! Every cell that was restored is compared with its CRC32C, as every cell was that it was made from, and every block that is whole again with its
//! BLAKE3, before it counts. Of a block that has lost a cell for good, the others are by their CRC32C alone: wrong only where a cell that
//! was taken for good was not, by 32 bits, and what came of it agrees, by 32 more.
//!
//! What fails on the way is counted among what is lost, and the rest goes on: a plan is made of all that can be read, and applied to
//! all that can be written.

use super::layout::{BLOCK_CELLS, Layout, cells};
use super::scrub::Scrubbed;
use super::{ArchiveId, Detail, Index, Place, Reader, Subkeys};
use crate::parity::{CELL_BYTES, PARITY_DEPTH_MAX, Stripe, crc32c, protect};
use crate::source::{ReadAt, WriteAt};
use engine::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

/// What is to be written to make a pack whole, or as whole as it gets.
#[derive(Debug)]
pub struct Mending {
    pub(super) layout: Layout,
    /// Cells, by where they begin.
    pub(super) cells: BTreeMap<u64, Vec<u8>>,
    /// Cells of data that nothing restores.
    pub(super) lost: Vec<u32>,
    /// Cells of parity that can't be made anew, for their stripe has lost data.
    pub(super) lost_parity: Vec<u32>,
}

/// Stripes that are worked on at once: what they have at one place is read at once.
const STRIPES_AT_ONCE: usize = 4;
/// Cells that are read at once: of neighbouring stripes.
const CELLS_A_READ: u32 = 4;

/// Works out what the damaged cells were. Goes through the pack once for each four stripes that have lost any: give it a copy on a disk. A cell that
/// has gone bad since the scrub is restored, or lost, like any other.
pub fn plan(source: &dyn ReadAt, found: &Scrubbed) -> Result<Mending> {
    let layout = found.layout();
    let mut mending = Mending { layout, cells: BTreeMap::new(), lost: Vec::new(), lost_parity: Vec::new() };
    let (data, parity): (HashSet<u32>, HashSet<u32>) =
        (found.data.iter().copied().collect(), found.parity.iter().copied().collect());
    let touched: BTreeSet<u32> =
        data.iter().chain(&parity).map(|cell| layout.data.place_of(*cell).0).collect();
    let mut touched_blocks: BTreeSet<u32> = found.data.iter().map(|cell| cell / BLOCK_CELLS).collect();
    let work = Work { source, found, data: &data, parity: &parity };
    for stripes in Vec::from_iter(touched).chunks(STRIPES_AT_ONCE) {
        for mut stripe in work.load(stripes)? {
            stripe.solve(&work, &mut mending);
            touched_blocks.extend(stripe.lost.iter().map(|cell| cell / BLOCK_CELLS));
        }
    }
    mending.lost_parity.sort_unstable();
    mending.check_blocks(source, found, &touched_blocks);
    for number in &found.slack {
        mending.cells.insert(cells(*number), vec![0; CELL_BYTES]);
    }
    let (head, foot) = found.head_and_foot();
    if !head.is_empty() || !foot.is_empty() {
        let copy = found.meta.copy().ok_or_else(|| layout.corrupt("its head can't be made anew"))?;
        let bad = head.iter().map(|number| (0, *number));
        for (start, number) in bad.chain(foot.iter().map(|number| (layout.foot_at(), *number))) {
            let from = number as usize * CELL_BYTES;
            mending.cells.insert(start + cells(number), copy[from..from + CELL_BYTES].to_vec());
        }
    }
    Ok(mending)
}

/// What there is to go by.
struct Work<'a> {
    source: &'a dyn ReadAt,
    found: &'a Scrubbed,
    data: &'a HashSet<u32>,
    parity: &'a HashSet<u32>,
}

/// One stripe that has lost cells: what is left of it, and what is not.
struct Ailing {
    number: u32,
    stripe: Stripe,
    lost: Vec<u32>,
    lost_parity: Vec<u32>,
}

impl Work<'_> {
    /// What is left of some stripes, each cell compared with its checksum.
    fn load(&self, stripes: &[u32]) -> Result<Vec<Ailing>> {
        let layout = self.found.layout();
        let none = || layout.corrupt("a stripe of no depth");
        let ailing = |number: &u32| {
            let stripe = Stripe::of(layout.data, *number).ok_or_else(none)?;
            Ok(Ailing { number: *number, stripe, lost: Vec::new(), lost_parity: Vec::new() })
        };
        let mut ailing = stripes.iter().map(ailing).collect::<Result<Vec<_>>>()?;
        let (count, mut row) = (layout.data.data_cells(), Row::default());
        for place in 0..layout.data.depth() {
            let there = |stripe: &&mut Ailing| place < layout.data.depth_of(stripe.number);
            for stripe in ailing.iter_mut().filter(there) {
                let cell = layout.data.cell_at(stripe.number, place);
                let known = !self.data.contains(&cell);
                match row.cell(self.source, layout.data_at(), cell, count).filter(|_| known) {
                    Some(bytes) if crc32c(bytes) == self.found.meta.cell_crc(cell) => {
                        stripe.stripe.add_data(place, bytes);
                    }
                    _ => stripe.lost.push(cell),
                }
            }
        }
        row = Row::default();
        for place in 0..layout.data.parity_depth() {
            for stripe in &mut ailing {
                let cell = layout.data.cell_at(stripe.number, place);
                let known = !self.parity.contains(&cell);
                let parity_cells = layout.data.parity_cells();
                match row.cell(self.source, layout.parity_at(), cell, parity_cells).filter(|_| known) {
                    Some(bytes) if crc32c(bytes) == self.found.meta.cell_crc(count + cell) => {
                        stripe.stripe.add_parity(place, bytes);
                    }
                    _ => stripe.lost_parity.push(cell),
                }
            }
        }
        Ok(ailing)
    }

    /// The parity of a stripe, as it is with what was restored; `None` when a cell has gone bad meanwhile.
    fn parity_of(&self, mending: &Mending, stripe: u32) -> Option<Vec<Vec<u8>>> {
        let layout = mending.layout;
        let mut data = Vec::new();
        for place in 0..layout.data.depth_of(stripe) {
            let at = layout.data_at() + cells(layout.data.cell_at(stripe, place));
            let mut cell = vec![0; CELL_BYTES];
            match mending.cells.get(&at) {
                Some(restored) => cell.copy_from_slice(restored),
                None => self.source.read_at(at, &mut cell).ok()?,
            }
            data.push(cell);
        }
        protect(data.iter().map(Vec::as_slice), PARITY_DEPTH_MAX, CELL_BYTES)
    }
}

/// Neighbouring cells that were read at once.
#[derive(Default)]
struct Row {
    first: u32,
    bytes: Vec<u8>,
    one: Vec<u8>,
}

impl Row {
    /// A cell, of `count` that begin at `start`; `None` when it can't be read.
    fn cell(&mut self, source: &dyn ReadAt, start: u64, cell: u32, count: u32) -> Option<&[u8]> {
        let held = |row: &Self| {
            let at = (cell.checked_sub(row.first)?) as usize * CELL_BYTES;
            (at + CELL_BYTES <= row.bytes.len()).then_some(at)
        };
        if held(self).is_none() {
            let wanted = CELLS_A_READ.min(count - cell);
            self.first = cell;
            self.bytes.resize(wanted as usize * CELL_BYTES, 0);
            if source.read_at(start + cells(cell), &mut self.bytes).is_err() {
                self.bytes.clear();
                self.one.resize(CELL_BYTES, 0);
                return source.read_at(start + cells(cell), &mut self.one).ok().map(|()| &self.one[..]);
            }
        }
        let at = held(self)?;
        self.bytes.get(at..at + CELL_BYTES)
    }
}

impl Ailing {
    /// Restores what it can.
    fn solve(&mut self, work: &Work<'_>, mending: &mut Mending) {
        let layout = mending.layout;
        if !self.lost.is_empty() {
            for (place, bytes) in self.stripe.solve().unwrap_or_default() {
                let cell = layout.data.cell_at(self.number, place);
                if crc32c(&bytes) == work.found.meta.cell_crc(cell) {
                    mending.cells.insert(layout.data_at() + cells(cell), bytes);
                }
            }
        }
        let missing = |cell: &&u32| !mending.cells.contains_key(&(layout.data_at() + cells(**cell)));
        let still: Vec<u32> = self.lost.iter().filter(missing).copied().collect();
        if !still.is_empty() {
            mending.lost_parity.extend(&self.lost_parity);
            mending.lost.extend(still);
        } else if !self.lost_parity.is_empty() {
            let parity = work.parity_of(mending, self.number).unwrap_or_default();
            for cell in &self.lost_parity {
                let made = parity.get(layout.data.place_of(*cell).1 as usize);
                let crc = work.found.meta.cell_crc(layout.data.data_cells() + cell);
                match made.filter(|bytes| crc32c(bytes) == crc) {
                    Some(bytes) => {
                        mending.cells.insert(layout.parity_at() + cells(*cell), bytes.clone());
                    }
                    None => mending.lost_parity.push(*cell),
                }
            }
        }
    }
}

impl Mending {
    /// Takes back what is not what it was by the hash of its block.
    fn check_blocks(&mut self, source: &dyn ReadAt, found: &Scrubbed, blocks: &BTreeSet<u32>) {
        let lost: HashSet<u32> = self.lost.iter().copied().collect();
        for block in blocks.iter().copied() {
            let first = block * BLOCK_CELLS;
            let end = (first + BLOCK_CELLS).min(self.layout.data.data_cells());
            if (first..end).any(|cell| lost.contains(&cell)) {
                continue;
            }
            let at = self.layout.data_at() + cells(first);
            let mut bytes = vec![0; (end - first) as usize * CELL_BYTES];
            let read = self.read_over(source, at, &mut bytes);
            if read.is_err() || blake3::hash(&bytes) != found.meta.block_hash(block) {
                for cell in first..end {
                    if self.cells.remove(&(self.layout.data_at() + cells(cell))).is_some() {
                        self.lost.push(cell);
                    }
                }
            }
        }
        self.lost.sort_unstable();
    }

    /// Every byte of the pack is what it was once this is applied.
    pub const fn makes_whole(&self) -> bool {
        self.lost.is_empty() && self.lost_parity.is_empty()
    }

    /// Cells that it restores: of data, parity, head and foot.
    pub fn restored(&self) -> usize {
        self.cells.len()
    }

    /// Cells of data that nothing within the pack restores.
    pub fn lost(&self) -> &[u32] {
        &self.lost
    }

    /// The frames that have lost bytes.
    pub fn lost_frames(&self, index: &Index) -> HashSet<u32> {
        let cell = CELL_BYTES as u64;
        let touched = |offset: u64, length: u64| {
            let end = offset + length;
            let first = self.lost.partition_point(|lost| (u64::from(*lost) + 1) * cell <= offset);
            self.lost.get(first).is_some_and(|lost| u64::from(*lost) * cell < end)
        };
        let frames = (0_u32..).zip(&index.frames);
        let lost = frames.filter(|(_, frame)| touched(frame.offset.into(), frame.stored.into()));
        lost.map(|(number, _)| number).collect()
    }

    /// The archives of this pack that have lost bytes, but for those that were erased. Archives of other packs that refer to chunks in
    /// [`lost_frames`](Self::lost_frames) have, too.
    pub fn lost_archives(&self, pack: &Reader, keys: &dyn Subkeys) -> Result<Vec<ArchiveId>> {
        let (index, frames) = (pack.index(), self.lost_frames(pack.index()));
        let mut found = index.archives_in(&frames);
        let mut seen: HashSet<ArchiveId> = found.iter().copied().collect();
        for entry in index.archives.iter().filter(|entry| entry.place == Place::Chunked) {
            let about = match pack.about(entry, keys) {
                Err(Error::NotFound { .. }) => continue,
                about => about?,
            };
            let Detail::Chunked(runs) = &about.detail else { continue };
            let hit = runs.iter().any(|run| run.pack == 0 && frames.contains(&run.frame));
            if hit && seen.insert(entry.archive) {
                found.push(entry.archive);
            }
        }
        Ok(found)
    }

    /// Writes all of it that can be written, into the pack and no other; durable when this returns. A sector that can't be written costs itself: the
    /// answer says where. Write these places elsewhere ([`patch`](Self::patch)), or the pack to another medium.
    pub fn apply<T: ReadAt + WriteAt>(&self, target: &mut T) -> Result<Vec<u64>> {
        let failed = |error| Error::io("repair", format!("pack {}", self.layout.pack()), error);
        if Layout::find(&*target, Some(self.layout.pack()))? != self.layout {
            return Err(self.layout.corrupt("another copy of it is there than the one that was scrubbed"));
        }
        let mut unwritten = Vec::new();
        for (at, bytes) in &self.cells {
            if target.write_at(*at, bytes).is_err() {
                unwritten.push(*at);
            }
        }
        target.sync().map_err(failed)?;
        Ok(unwritten)
    }

    /// The pack as if that had been done.
    pub fn healed(self, source: Arc<dyn ReadAt + Send + Sync>) -> Healed {
        Healed { source, mending: self }
    }

    /// Reads around the cells that are restored: those may be unreadable.
    fn read_over(&self, source: &dyn ReadAt, at: u64, out: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(out.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        let cell = CELL_BYTES as u64;
        let mut next = at;
        for (start, bytes) in self.cells.range(at - at % cell..end) {
            let (from, to) = (next.max(*start), end.min(start + cell));
            read_some(source, next, slice(out, at, next..from))?;
            let inside = slice_of(bytes, *start, from..to);
            slice(out, at, from..to).copy_from_slice(inside);
            next = to;
        }
        read_some(source, next, slice(out, at, next..end))
    }
}

/// Nothing is read where nothing is wanted: the place may be one that can't be.
fn read_some(source: &dyn ReadAt, at: u64, out: &mut [u8]) -> io::Result<()> {
    if out.is_empty() { Ok(()) } else { source.read_at(at, out) }
}

/// A damaged pack, read as if it had been repaired. Cells that nothing restores are errors, not what is left of them.
pub struct Healed {
    source: Arc<dyn ReadAt + Send + Sync>,
    mending: Mending,
}

impl std::fmt::Debug for Healed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pack {} healed", self.mending.layout.pack())
    }
}

impl ReadAt for Healed {
    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.mending.layout.total_bytes())
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let Mending { layout, lost, lost_parity, .. } = &self.mending;
        let touched = |start: u64, lost: &[u32]| {
            let cell = CELL_BYTES as u64;
            let (at, end) = (at.saturating_sub(start), (at + out.len() as u64).saturating_sub(start));
            let first = lost.partition_point(|lost| cells(*lost) + cell <= at);
            lost.get(first).is_some_and(|lost| cells(*lost) < end)
        };
        if touched(layout.data_at(), lost) || touched(layout.parity_at(), lost_parity) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "lost: nothing within the pack restores it",
            ));
        }
        self.mending.read_over(&*self.source, at, out)
    }
}

/// The part of `out`, which begins at `at`, for these bytes.
fn slice(out: &mut [u8], at: u64, bytes: std::ops::Range<u64>) -> &mut [u8] {
    let place = |value: u64| usize::try_from(value - at).unwrap_or(usize::MAX);
    &mut out[place(bytes.start)..place(bytes.end)]
}

fn slice_of(bytes: &[u8], at: u64, part: std::ops::Range<u64>) -> &[u8] {
    let place = |value: u64| usize::try_from(value - at).unwrap_or(usize::MAX);
    &bytes[place(part.start)..place(part.end)]
}
