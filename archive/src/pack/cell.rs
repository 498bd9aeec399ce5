//! Cells of head and foot.
//!
//! Each says which pack it is of, where the parts of that lie, and which cell it is; then comes its share of what head and foot hold, or
//! of the parity of that. Both copies are the same, and a share is lost where it is damaged in both and the parity cells
//! that are left are too few.

use super::layout::{HASH_BYTES, Layout, Names, cells};
use super::{IndexKeyId, PackId, VaultId};
use crate::parity::{CELL_BYTES, Stripe, protect};
use crate::source::ReadAt;
use engine::{Error, Result};

const MAGIC: &[u8; 8] = b"FIRNPACK";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 128;
/// Features that say how the rest is to be scrubbed and mended: with an unknown one, nothing can be done with a pack.
const SCRUB_FEATURES: u32 = 0;
/// Where the checksum of a cell lies: it covers all before and behind it.
const CRC_AT: usize = 60;
/// Where what it covers goes on.
const BEHIND_CRC: usize = CRC_AT + 4;
/// Where the vault is.
const VAULT_AT: usize = 64;
/// Where the id of the key of the index is.
const INDEX_KEY_AT: usize = 80;
/// Where nothing is, up to the share.
const REST_AT: usize = 96;
/// Cells that are read at once.
const CELLS_A_READ: u32 = 64;
/// Bytes of a share.
pub(super) const PAYLOAD_BYTES: usize = CELL_BYTES - HEADER_BYTES;

/// A good cell.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) layout: Layout,
    pub(super) number: u32,
    pub(super) payload: &'a [u8],
}

/// Head and foot as they were put together, and which of their cells are damaged.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) layout: Layout,
    pub(super) bytes: Vec<u8>,
    pub(super) bad_head: Vec<u32>,
    pub(super) bad_foot: Vec<u32>,
}

/// What the tables of hashes and checksums are known by, in the sealed index.
pub(super) fn tables(layout: Layout, parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut hash = blake3::Hasher::new();
    hash.update(b"firn pack 1 tables").update(layout.names.pack.as_bytes());
    hash.update(&layout.data.data_cells().to_le_bytes());
    for part in parts {
        hash.update(part);
    }
    *hash.finalize().as_bytes()
}

/// The cells of one copy; `meta` ends with room for its own hash, which is filled in.
pub(super) fn encode(layout: Layout, mut meta: Vec<u8>) -> Option<Vec<u8>> {
    let hashed = meta.len().checked_sub(HASH_BYTES)?;
    let hash = blake3::hash(&meta[..hashed]);
    meta[hashed..].copy_from_slice(hash.as_bytes());
    cells_of(layout, meta)
}

fn cells_of(layout: Layout, mut meta: Vec<u8>) -> Option<Vec<u8>> {
    if meta.len() != layout.meta_len() {
        return None;
    }
    meta.resize(layout.meta_cells() as usize * PAYLOAD_BYTES, 0);
    let parity = protect(meta.chunks_exact(PAYLOAD_BYTES), layout.meta_parity(), PAYLOAD_BYTES)?;
    let mut out = Vec::with_capacity(layout.copy_cells() as usize * CELL_BYTES);
    let shares = meta.chunks_exact(PAYLOAD_BYTES).chain(parity.iter().map(Vec::as_slice));
    for (number, share) in (0_u32..).zip(shares) {
        let start = out.len();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(layout.names.pack.as_bytes());
        for field in [layout.index_len, layout.head_cells, layout.data.data_cells()] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&u32::from(layout.suite).to_le_bytes());
        out.extend_from_slice(&layout.read_features.to_le_bytes());
        out.resize(start + VAULT_AT, 0);
        out.extend_from_slice(layout.names.vault.as_bytes());
        out.extend_from_slice(layout.names.index_key.as_bytes());
        out.resize(start + HEADER_BYTES, 0);
        out.extend_from_slice(share);
        let checksum = checksum(&out[start..]);
        out[start + CRC_AT..start + BEHIND_CRC].copy_from_slice(&checksum.to_le_bytes());
    }
    Some(out)
}

/// A cell, if it is good.
pub(super) fn decode(bytes: &[u8]) -> Result<Found<'_>> {
    let corrupt = |detail: &str| Error::Corrupt { what: "cell of a pack".into(), detail: detail.into() };
    if bytes.len() != CELL_BYTES || !bytes.starts_with(MAGIC) {
        return Err(corrupt("no cell of a head or foot"));
    }
    if checksum(bytes) != word(bytes, CRC_AT) {
        return Err(corrupt("checksum does not match"));
    }
    let version = word(bytes, 8);
    if version > VERSION {
        return Err(Error::Newer { what: "pack".into(), found: version, supported: VERSION });
    }
    let unknown = word(bytes, 52) & !SCRUB_FEATURES;
    if unknown != 0 {
        return Err(Error::Newer {
            what: "feature of packs".into(),
            found: unknown,
            supported: SCRUB_FEATURES,
        });
    }
    let names = Names {
        pack: PackId::from_bytes(field(bytes, 16)),
        vault: VaultId::from_bytes(field(bytes, VAULT_AT)),
        index_key: IndexKeyId::from_bytes(field(bytes, INDEX_KEY_AT)),
    };
    let layout = Layout::new(names, word(bytes, 32), word(bytes, 36), word(bytes, 40));
    let (Some(mut layout), 1..) = (layout, version) else {
        return Err(corrupt("impossible version or lengths"));
    };
    let number = word(bytes, 12);
    layout.suite = bytes[44];
    layout.read_features = word(bytes, 48);
    let zeros = [45..48, 56..CRC_AT, REST_AT..HEADER_BYTES];
    let filled = zeros.into_iter().any(|part| bytes[part].iter().any(|byte| *byte != 0));
    if number >= layout.copy_cells() || filled {
        return Err(corrupt("impossible number or filling"));
    }
    Ok(Found { layout, number, payload: &bytes[HEADER_BYTES..] })
}

/// Reads the head, and the foot for what is damaged there. `all`: both, to know the state of each.
pub(super) fn read(source: &dyn ReadAt, layout: Layout, all: bool) -> Result<Meta> {
    let count = layout.copy_cells() as usize;
    let mut shares = Shares { layout, bytes: vec![0; count * PAYLOAD_BYTES], good: vec![false; count] };
    let bad_head = shares.take(source, 0);
    let bad_foot =
        if all || !bad_head.is_empty() { shares.take(source, layout.foot_at()) } else { Vec::new() };
    let bytes = shares.solve().ok_or_else(|| {
        layout.corrupt(format!(
            "{} cells of its head and {} of its foot are damaged, more than their parity restores",
            bad_head.len(),
            bad_foot.len()
        ))
    })?;
    Ok(Meta { layout, bytes, bad_head, bad_foot })
}

/// The first `len` bytes of what the head holds, read from there alone; `None` where any of it is damaged.
pub(super) fn read_start(source: &dyn ReadAt, layout: Layout, len: usize) -> Option<Vec<u8>> {
    let count = len.div_ceil(PAYLOAD_BYTES);
    let mut raw = vec![0; count * CELL_BYTES];
    source.read_at(0, &mut raw).ok()?;
    let mut bytes = Vec::with_capacity(count * PAYLOAD_BYTES);
    for (number, cell) in (0..).zip(raw.chunks_exact(CELL_BYTES)) {
        let found = decode(cell).ok().filter(|found| found.layout == layout && found.number == number)?;
        bytes.extend_from_slice(found.payload);
    }
    bytes.truncate(len);
    Some(bytes)
}

/// The shares of both copies, as they are found.
struct Shares {
    layout: Layout,
    bytes: Vec<u8>,
    good: Vec<bool>,
}

impl Shares {
    /// Takes the good cells of the copy at `at`, many with one read where they can be read, and says which are not.
    fn take(&mut self, source: &dyn ReadAt, at: u64) -> Vec<u32> {
        let mut buffer = vec![0; CELLS_A_READ as usize * CELL_BYTES];
        let mut bad = Vec::new();
        let mut first = 0;
        while first < self.layout.copy_cells() {
            let count = (self.layout.copy_cells() - first).min(CELLS_A_READ);
            let bytes = &mut buffer[..count as usize * CELL_BYTES];
            let read = source.read_at(at + cells(first), bytes).is_ok();
            for (number, cell) in (first..).zip(bytes.chunks_exact_mut(CELL_BYTES)) {
                let read = read || source.read_at(at + cells(number), cell).is_ok();
                let found = if read { decode(cell).ok() } else { None };
                match found.filter(|found| found.layout == self.layout && found.number == number) {
                    Some(found) => {
                        let place = number as usize;
                        self.bytes[place * PAYLOAD_BYTES..][..PAYLOAD_BYTES].copy_from_slice(found.payload);
                        self.good[place] = true;
                    }
                    None => bad.push(number),
                }
            }
            first += count;
        }
        bad
    }

    /// What head and foot hold, if enough of both was good.
    fn solve(mut self) -> Option<Vec<u8>> {
        let depth = self.layout.meta_cells();
        if self.good[..depth as usize].contains(&false) {
            let mut stripe = Stripe::new(depth, self.layout.meta_parity(), PAYLOAD_BYTES)?;
            let shares = (0_u32..).zip(self.bytes.chunks_exact(PAYLOAD_BYTES).zip(&self.good));
            for (number, (share, _)) in shares.filter(|(_, (_, good))| **good) {
                match number.checked_sub(depth) {
                    None => stripe.add_data(number, share),
                    Some(place) => stripe.add_parity(place, share),
                }
            }
            for (number, share) in stripe.solve()? {
                self.bytes[number as usize * PAYLOAD_BYTES..][..PAYLOAD_BYTES].copy_from_slice(&share);
            }
        }
        self.bytes.truncate(self.layout.meta_len());
        let (rest, hash) = self.bytes.split_last_chunk::<HASH_BYTES>()?;
        (blake3::hash(rest) == *hash).then_some(self.bytes)
    }
}

impl Meta {
    /// Salt and sealed index.
    pub(super) fn index(&self) -> &[u8] {
        &self.bytes[..self.layout.index_len as usize]
    }

    /// What its tables are known by.
    pub(super) fn tables(&self) -> [u8; HASH_BYTES] {
        let parts = self.layout.index_len as usize..self.bytes.len() - HASH_BYTES;
        tables(self.layout, &[self.bytes.get(parts).unwrap_or_default()])
    }

    /// The BLAKE3 of a block of data.
    pub(super) fn block_hash(&self, block: u32) -> [u8; HASH_BYTES] {
        field(&self.bytes, self.layout.index_len as usize + block as usize * HASH_BYTES)
    }

    /// The CRC32C of a cell of data, or of parity: those are counted on behind the data.
    pub(super) fn cell_crc(&self, cell: u32) -> u32 {
        let crcs_at = self.layout.index_len as usize + self.layout.blocks() as usize * HASH_BYTES;
        word(&self.bytes, crcs_at + cell as usize * 4)
    }

    /// One whole copy, as it must be.
    pub(super) fn copy(&self) -> Option<Vec<u8>> {
        cells_of(self.layout, self.bytes.clone())
    }
}

fn checksum(cell: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&cell[..CRC_AT]);
    digest.update(&cell[BEHIND_CRC..]);
    u32::try_from(digest.finalize()).unwrap_or(u32::MAX)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

/// Bytes at a place that is there, by a length that was checked.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(found) = bytes.get(at..at + N) {
        out.copy_from_slice(found);
    }
    out
}
