//! The data of a pack as they go by: blocks are hashed, cells checked, parity summed up, all in the one pass that writes them.
//!
//! ```text
//!   sealed frames ──► pending, up to a band of 16 MiB ──► BLAKE3 and CRC32C as each block is full ──► sums of the stripes ──► file
//! ```
//! A pack that ends within its first band has nothing in the file by then: its head can be as small as it needs to be, and
//! its stripes as few.

use super::cell;
use super::layout::{BLOCK_BYTES, HASH_BYTES, HEAD_CELLS_MAX, INDEX_PLAIN_MAX, Layout, Names};
use super::squeeze::LENGTH_MAX;
use crate::parity::{CELL_BYTES, DATA_CELLS_MAX, Encoder, Geometry, STRIPES_MAX, crc32c};
use crate::source::WriteAt;
use engine::{Error, Result};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// The data of an open pack.
#[derive(Debug)]
pub(super) struct Body {
    path: PathBuf,
    pub(super) file: File,
    /// Cells that are kept for the head once data are in the file.
    reserve: u32,
    pending: Vec<u8>,
    /// Bytes of `pending` whose blocks are hashed.
    hashed: usize,
    /// Bytes that are in the file.
    written: u64,
    encoder: Encoder,
    hashes: Vec<u8>,
    crcs: Vec<u8>,
}

impl Body {
    /// Makes the file, for its owner alone; whatever has that name is left alone and refused.
    pub(super) fn create(path: PathBuf, capacity: u64, index_plain: usize) -> Result<Self> {
        let made = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = made.map_err(|error| Error::io("make", &path, error))?;
        let data_cells = u32::try_from(capacity.div_ceil(CELL_BYTES as u64)).unwrap_or(DATA_CELLS_MAX);
        let reserve = Layout::head_for(data_cells, index_plain.min(INDEX_PLAIN_MAX));
        Ok(Self {
            path,
            file,
            reserve,
            pending: Vec::new(),
            hashed: 0,
            written: 0,
            encoder: Encoder::new(STRIPES_MAX),
            hashes: Vec::new(),
            crcs: Vec::new(),
        })
    }

    /// Bytes of data so far.
    pub(super) const fn len(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Has `append` put bytes at the end, [`LENGTH_MAX`] at the most. After an error nothing more may be appended.
    pub(super) fn append(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        if self.pending.capacity() == 0 {
            self.pending.reserve_exact(self.encoder.band_bytes() + LENGTH_MAX);
        }
        append(&mut self.pending);
        self.hash_blocks();
        let band = self.encoder.band_bytes();
        if self.pending.len() < band {
            return Ok(());
        }
        let at = super::layout::cells(self.reserve) + self.written;
        self.file.write_at(at, &self.pending[..band]).map_err(|error| self.failed(error))?;
        self.encoder.add(&self.pending[..band]);
        self.written += band as u64;
        self.pending.drain(..band);
        self.hashed -= band;
        Ok(())
    }

    fn hash_blocks(&mut self) {
        while let Some(block) = self.pending.get(self.hashed..self.hashed + BLOCK_BYTES) {
            self.hashes.extend_from_slice(blake3::hash(block).as_bytes());
            self.crcs.extend(block.chunks_exact(CELL_BYTES).flat_map(|cell| crc32c(cell).to_le_bytes()));
            self.hashed += BLOCK_BYTES;
        }
    }

    /// Pads the data to whole cells, with one at the least.
    fn pad(&mut self) {
        let padded = self.pending.len().next_multiple_of(CELL_BYTES);
        let padded = if self.len() == 0 { CELL_BYTES } else { padded };
        self.pending.resize(padded, 0);
        self.hash_blocks();
        let rest = &self.pending[self.hashed..];
        if !rest.is_empty() {
            self.hashes.extend_from_slice(blake3::hash(rest).as_bytes());
            self.crcs.extend(rest.chunks_exact(CELL_BYTES).flat_map(|cell| crc32c(cell).to_le_bytes()));
        }
    }

    /// Writes what is left, parity, foot and head, and makes all of it durable. `index` makes salt and sealed index, of the length that is
    /// given, and is told what the tables are known by.
    pub(super) fn finish(
        mut self,
        names: Names,
        index_len: u64,
        index: impl FnOnce([u8; HASH_BYTES]) -> Result<Vec<u8>>,
    ) -> Result<Layout> {
        self.pad();
        let impossible =
            || Error::Invalid(format!("seal pack {}: it is larger than any pack may be", names.pack));
        let data_cells = u32::try_from(self.len() / CELL_BYTES as u64).map_err(|_| impossible())?;
        let geometry = Geometry::of(data_cells).ok_or_else(impossible)?;
        let index_len = u32::try_from(index_len).map_err(|_| impossible())?;
        let head_cells = if self.written > 0 {
            self.reserve
        } else {
            self.encoder = Encoder::new(geometry.stripes());
            // Room for the widest head first, then what this one takes.
            let widest = Layout::new(names, index_len, HEAD_CELLS_MAX, data_cells);
            widest.ok_or_else(impossible)?.copy_cells()
        };
        let layout = Layout::new(names, index_len, head_cells, data_cells).ok_or_else(impossible)?;
        if !self.pending.is_empty() {
            for band in self.pending.chunks(self.encoder.band_bytes()) {
                self.encoder.add(band);
            }
            let at = layout.data_at() + self.written;
            self.file.write_at(at, &self.pending).map_err(|error| self.failed(error))?;
        }
        self.write_parity(layout)?;
        let mut meta = Vec::with_capacity(layout.meta_len());
        meta.extend_from_slice(&index(cell::tables(layout, &[&self.hashes, &self.crcs]))?);
        meta.append(&mut self.hashes);
        meta.append(&mut self.crcs);
        meta.resize(meta.len() + HASH_BYTES, 0);
        let copy = cell::encode(layout, meta).ok_or_else(impossible)?;
        // The head last: a file without one was never finished.
        let written = self.file.write_at(layout.foot_at(), &copy).and_then(|()| self.file.write_at(0, &copy));
        written.and_then(|()| self.file.sync_all()).map_err(|error| self.failed(error))?;
        Ok(layout)
    }

    fn write_parity(&mut self, layout: Layout) -> Result<()> {
        let (mut at, mut out) = (layout.parity_at(), Vec::with_capacity(WRITE_BYTES));
        let encoder = std::mem::replace(&mut self.encoder, Encoder::new(1));
        let (file, crcs) = (&mut self.file, &mut self.crcs);
        let mut write = |out: &mut Vec<u8>| {
            file.write_at(at, out)?;
            at += out.len() as u64;
            out.clear();
            Ok(())
        };
        let made = encoder.finish(layout.data, |cell| {
            crcs.extend_from_slice(&crc32c(cell).to_le_bytes());
            out.extend_from_slice(cell);
            if out.len() == WRITE_BYTES { write(&mut out) } else { io::Result::Ok(()) }
        });
        made.and_then(|()| write(&mut out)).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io("write", &self.path, error)
    }
}
