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

/// Works out what the damaged cells were. Reads the stripes that have lost any, cell by cell: give it a copy on a disk. A cell that has gone
/// bad since the scrub is restored, or lost, like any other.
pub fn plan(source: &dyn ReadAt, found: &Scrubbed) -> Result<Mending> {
    let layout = found.layout();
    let mut mending = Mending { layout, cells: BTreeMap::new(), lost: Vec::new(), lost_parity: Vec::new() };
    let (data, parity): (HashSet<u32>, HashSet<u32>) =
        (found.data.iter().copied().collect(), found.parity.iter().copied().collect());
    let touched = data.iter().chain(&parity).map(|cell| layout.data.place_of(*cell).0);
    let mut touched_blocks: BTreeSet<u32> = found.data.iter().map(|cell| cell / BLOCK_CELLS).collect();
    for stripe in touched.collect::<BTreeSet<u32>>() {
        let work = Mended { source, found, data: &data, parity: &parity, stripe };
        touched_blocks.extend(work.solve(&mut mending)?.into_iter().map(|cell| cell / BLOCK_CELLS));
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

/// One stripe that has lost cells.
struct Mended<'a> {
    source: &'a dyn ReadAt,
    found: &'a Scrubbed,
    data: &'a HashSet<u32>,
    parity: &'a HashSet<u32>,
    stripe: u32,
}

impl Mended<'_> {
    /// Restores what it can; answers which cells of data were bad.
    fn solve(&self, mending: &mut Mending) -> Result<Vec<u32>> {
        let layout = mending.layout;
        let (depth, parity_depth) = (layout.data.depth_of(self.stripe), layout.data.parity_depth());
        let cell_at = |place: u32| layout.data.cell_at(self.stripe, place);
        let mut stripe =
            Stripe::of(layout.data, self.stripe).ok_or_else(|| layout.corrupt("a stripe of no depth"))?;
        let (mut lost, mut lost_parity) = (Vec::new(), Vec::new());
        let mut bytes = vec![0; CELL_BYTES];
        for place in 0..depth {
            let cell = cell_at(place);
            if !self.data.contains(&cell) && self.load(layout.data_at() + cells(cell), cell, &mut bytes) {
                stripe.add_data(place, &bytes);
            } else {
                lost.push(cell);
            }
        }
        let count = layout.data.data_cells();
        for place in 0..parity_depth {
            let cell = cell_at(place);
            let at = layout.parity_at() + cells(cell);
            if !self.parity.contains(&cell) && self.load(at, count + cell, &mut bytes) {
                stripe.add_parity(place, &bytes);
            } else {
                lost_parity.push(cell);
            }
        }
        if !lost.is_empty() {
            for (place, bytes) in stripe.solve().unwrap_or_default() {
                let cell = cell_at(place);
                if crc32c(&bytes) == self.found.meta.cell_crc(cell) {
                    mending.cells.insert(layout.data_at() + cells(cell), bytes);
                }
            }
        }
        let missing = |cell: &&u32| !mending.cells.contains_key(&(layout.data_at() + cells(**cell)));
        let still: Vec<u32> = lost.iter().filter(missing).copied().collect();
        if still.is_empty() {
            self.renew_parity(mending, depth, &lost_parity);
        } else {
            mending.lost_parity.extend(lost_parity);
            mending.lost.extend(still);
        }
        Ok(lost)
    }

    /// Reads a cell that was good; `false` when it is no longer.
    fn load(&self, at: u64, number: u32, out: &mut [u8]) -> bool {
        self.source.read_at(at, out).is_ok() && crc32c(out) == self.found.meta.cell_crc(number)
    }

    fn renew_parity(&self, mending: &mut Mending, depth: u32, lost: &[u32]) {
        if lost.is_empty() {
            return;
        }
        let parity = self.parity(mending, depth).unwrap_or_default();
        let layout = mending.layout;
        for cell in lost {
            let made = parity.get(layout.data.place_of(*cell).1 as usize);
            let crc = self.found.meta.cell_crc(layout.data.data_cells() + cell);
            match made.filter(|bytes| crc32c(bytes) == crc) {
                Some(bytes) => {
                    mending.cells.insert(layout.parity_at() + cells(*cell), bytes.clone());
                }
                None => mending.lost_parity.push(*cell),
            }
        }
    }

    /// The parity of the stripe, as it is with what was restored; `None` when a cell has gone bad meanwhile.
    fn parity(&self, mending: &Mending, depth: u32) -> Option<Vec<Vec<u8>>> {
        let layout = mending.layout;
        let mut data = Vec::with_capacity(depth as usize);
        for place in 0..depth {
            let at = layout.data_at() + cells(layout.data.cell_at(self.stripe, place));
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
