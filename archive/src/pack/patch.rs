//! What mends a pack that can't be written: its cells, in a file of their own, on a medium that can. The table is in docs/formats/pack.md.
//!
//! A pack on media that are never rewritten is scrubbed once, and read with its patch from then on. A patch holds nothing that the pack did not; what is under a
//! key in the one is in the other.

use super::cell;
use super::layout::{Layout, cells};
use super::repair::Mending;
use crate::parity::CELL_BYTES;
use engine::{Error, Result};
use std::collections::BTreeMap;

/// How the name of a patch ends; what comes before is its pack's id.
pub const PATCH_EXTENSION: &str = "patch";

const MAGIC: &[u8; 8] = b"FIRNPTCH";
const VERSION: u32 = 1;
/// Bytes before the first cell.
const BEFORE: usize = 8 + 4 * 4;
const HASH_BYTES: usize = 32;

impl Mending {
    /// All of it as bytes of a file: `ID.patch`, beside the pack or elsewhere. `found` is what it was planned for.
    pub fn patch(&self, found: &super::Scrubbed) -> Result<Vec<u8>> {
        let wrong = || self.layout.corrupt("its head can't be made anew");
        let copy = found.meta.copy().filter(|_| found.layout() == self.layout).ok_or_else(wrong)?;
        let mut out = MAGIC.to_vec();
        let counts = [self.cells.len(), self.lost.len(), self.lost_parity.len()];
        out.extend_from_slice(&VERSION.to_le_bytes());
        for count in counts {
            out.extend_from_slice(&u32::try_from(count).map_err(|_| wrong())?.to_le_bytes());
        }
        // Which pack it is, and where its parts are.
        out.extend_from_slice(copy.get(..CELL_BYTES).ok_or_else(wrong)?);
        let places = self.cells.keys().map(|at| u32::try_from(at / CELL_BYTES as u64).unwrap_or(u32::MAX));
        let places = places.chain(self.lost.iter().copied()).chain(self.lost_parity.iter().copied());
        out.extend(places.flat_map(u32::to_le_bytes));
        self.cells.values().for_each(|bytes| out.extend_from_slice(bytes));
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        Ok(out)
    }

    /// From a patch: [`healed`](Self::healed) reads the pack with it. A patch that is damaged is refused: scrub the pack again, and make another one.
    pub fn from_patch(bytes: &[u8]) -> Result<Self> {
        let corrupt = |detail: &str| Error::Corrupt { what: "patch of a pack".into(), detail: detail.into() };
        let (rest, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or_else(|| corrupt("ends too early"))?;
        if blake3::hash(rest) != *hash {
            return Err(corrupt("checksum does not match; scrub the pack, and make another one"));
        }
        let (before, rest) = rest.split_first_chunk::<BEFORE>().ok_or_else(|| corrupt("ends too early"))?;
        let words = |bytes: &[u8]| -> Vec<u32> {
            bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
        };
        let (magic, numbers) = before.split_at(MAGIC.len());
        let [version, count, lost, lost_parity] = words(numbers)[..] else {
            return Err(corrupt("no numbers"));
        };
        if magic != MAGIC || version == 0 {
            return Err(corrupt("it does not begin as one"));
        }
        if version > VERSION {
            return Err(Error::Newer { what: "patch of a pack".into(), found: version, supported: VERSION });
        }
        let sizes = [count, lost, lost_parity].map(|count| count as usize);
        let short = || corrupt("ends too early");
        let (first, rest) = rest.split_at_checked(CELL_BYTES).ok_or_else(short)?;
        let numbers: usize = sizes.iter().sum();
        let (places, bytes) = rest.split_at_checked(numbers * 4).ok_or_else(short)?;
        if bytes.len() != sizes[0] * CELL_BYTES {
            return Err(corrupt("it has not the bytes of all its cells"));
        }
        let layout = cell::decode(first)?.layout;
        let places = words(places);
        let (places, lost) = places.split_at(sizes[0]);
        let (lost, lost_parity) = lost.split_at(sizes[1]);
        if !(ascends(places, total_cells(layout))
            && ascends(lost, layout.data.data_cells())
            && ascends(lost_parity, layout.data.parity_cells()))
        {
            return Err(corrupt("its places are out of order, or no pack has them"));
        }
        let cells: BTreeMap<u64, Vec<u8>> = places
            .iter()
            .zip(bytes.chunks_exact(CELL_BYTES))
            .map(|(place, bytes)| (cells(*place), bytes.to_vec()))
            .collect();
        Ok(Self { layout, cells, lost: lost.to_vec(), lost_parity: lost_parity.to_vec() })
    }

    /// Which pack it mends.
    pub const fn layout(&self) -> Layout {
        self.layout
    }
}

fn total_cells(layout: Layout) -> u32 {
    u32::try_from(layout.total_bytes() / CELL_BYTES as u64).unwrap_or(0)
}

fn ascends(places: &[u32], end: u32) -> bool {
    places.windows(2).all(|pair| pair[0] < pair[1]) && places.last().is_none_or(|last| *last < end)
}
