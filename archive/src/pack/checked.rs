//! Packs that parity over whole packs is made from, or made up for: which ones they are, and each cell of them by its checksum.

use super::PackId;
use super::cell::{self, Meta};
use super::layout::{Layout, cells};
use crate::parity::across::{self, Member, Set};
use crate::parity::{CELL_BYTES, crc32c};
use crate::source::{ReadAt, WriteAt};
use engine::{Error, Result};
use std::io;
use std::ops::Range;

/// A pack, read by whole cells, each of which is what it was or an error. The room behind the head is zeros, whatever is there.
pub struct Checked<'a> {
    source: &'a dyn ReadAt,
    layout: Layout,
    /// CRC32C of its cells of data, then of parity.
    crcs: Vec<u32>,
}

impl std::fmt::Debug for Checked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pack {} checked", self.layout.pack())
    }
}

impl<'a> Checked<'a> {
    /// The pack that must be there. Reads its head, and its foot where that is damaged.
    pub fn open(source: &'a dyn ReadAt, pack: PackId) -> Result<Self> {
        let layout = Layout::find(source, Some(pack))?;
        let meta: Meta = cell::read(source, layout, false)?;
        let count = layout.data.data_cells() + layout.data.parity_cells();
        Ok(Self { source, layout, crcs: (0..count).map(|cell| meta.cell_crc(cell)).collect() })
    }

    /// Where its parts lie.
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether that is what the cell at this place must be.
    fn is_good(&self, at: u64, bytes: &mut [u8]) -> bool {
        let layout = self.layout;
        let copy = |start: u64, bytes: &[u8]| {
            let found = cell::decode(bytes).ok();
            found.is_some_and(|found| found.layout == layout && start + cells(found.number) == at)
        };
        if at >= layout.foot_at() {
            return copy(layout.foot_at(), bytes);
        }
        let Some(behind) = at.checked_sub(layout.data_at()) else {
            if at < cells(layout.copy_cells()) {
                return copy(0, bytes);
            }
            bytes.fill(0);
            return true;
        };
        let number = usize::try_from(behind / CELL_BYTES as u64).unwrap_or(usize::MAX);
        self.crcs.get(number).is_some_and(|crc| *crc == crc32c(bytes))
    }
}

impl ReadAt for Checked<'_> {
    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.layout.total_bytes())
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let cell = CELL_BYTES as u64;
        if !at.is_multiple_of(cell) || !out.len().is_multiple_of(CELL_BYTES) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "packs are checked by whole cells"));
        }
        self.source.read_at(at, out)?;
        for (place, bytes) in (at..).step_by(CELL_BYTES).zip(out.chunks_exact_mut(CELL_BYTES)) {
            if !self.is_good(place, bytes) {
                let number = place / cell;
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "cell {number} of pack {} is damaged; scrub and repair the pack",
                        self.layout.pack()
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Makes the parity packs of a new set, whose id is random. A pack that is another one than is said, or has a damaged cell, is refused: what is not right
/// would be in the parity for ever. Durable when this returns.
pub fn protect(
    id: [u8; 16],
    packs: &[(PackId, &dyn ReadAt)],
    parity: &mut [&mut dyn WriteAt],
) -> Result<Set> {
    let checked =
        packs.iter().map(|(pack, source)| Checked::open(*source, *pack)).collect::<Result<Vec<_>>>()?;
    let member =
        |pack: &Checked<'_>| Member { id: *pack.layout.pack().as_bytes(), bytes: pack.layout.total_bytes() };
    let set = Set { id, members: checked.iter().map(member).collect(), parity: parity.len() };
    let sources: Vec<&dyn ReadAt> = checked.iter().map(|pack| pack as &dyn ReadAt).collect();
    across::protect_packs(&set, &sources, parity)?;
    Ok(set)
}

/// Gives back packs that were lost ([`across::restore`]): those that are left are the set's by their ids, and damaged cells of them are left out.
/// Nothing is written where another pack is there. Scrub what was restored.
pub fn restore(
    set: &Set,
    packs: &[Option<&dyn ReadAt>],
    parity: &[Option<&dyn ReadAt>],
    lost: &mut [Option<&mut dyn WriteAt>],
) -> Result<Vec<Range<u64>>> {
    let mut checked = Vec::with_capacity(packs.len());
    for (pack, member) in packs.iter().zip(&set.members) {
        let opened = pack.map(|source| Checked::open(source, PackId::from_bytes(member.id))).transpose()?;
        if opened.as_ref().is_some_and(|pack| pack.layout.total_bytes() != member.bytes) {
            return Err(Error::Invalid("restore packs: one is not as long as the set has it".into()));
        }
        checked.push(opened);
    }
    let sources: Vec<Option<&dyn ReadAt>> =
        checked.iter().map(|pack| pack.as_ref().map(|pack| pack as &dyn ReadAt)).collect();
    across::restore(set, &sources, parity, lost)
}
