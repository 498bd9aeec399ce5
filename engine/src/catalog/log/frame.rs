//! Frames and file headers: bytes to fields and back. Tables in docs/formats/catalog.md.
//!
//! A file's content is not only the log's own: payloads hold what clients say, keys above all, at any offset, and a file that is
//! used again is full of them. So each file has a *stamp*, eight random bytes that no client is ever shown, and its frames carry
//! it. Whoever looks for frames asks for the stamp first: what does not have it is nobody's frame, whatever else is in it, and
//! costs no checksum.

use crate::catalog::{Layout, Version};
use crate::entropy::Entropy;
use crate::{Error, Result};

/// Length of a frame's header.
pub(in crate::catalog) const HEADER: usize = 48;
/// Frames start at multiples of this.
pub(in crate::catalog) const ALIGN: usize = 8;
/// Length of a file's header, a page of its own; the first frame follows.
pub(in crate::catalog) const FILE_HEADER: usize = 4096;
/// Length of what a file has from its beginning: its header, and a seal, by which its stamp is known.
pub(in crate::catalog) const FILE_HEAD: usize = FILE_HEADER + HEADER;
/// The newest form of a file that this code reads and the one it writes.
const FILE_FORMAT: u32 = 2;
/// The form whose frames carry the number of their file in the place of a stamp.
const NUMBERED: u32 = 1;

const MAGIC: [u8; 4] = *b"fgrp";
const FILE_MAGIC: [u8; 8] = *b"firnclog";
const FILE_FIELDS: usize = 32;

/// What a file's own frames are known by: random, or the file's number in files of an older form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Stamp(u64);

impl Stamp {
    /// One that nobody can guess, for the file of this number. Should the same bytes ever be drawn twice (by a machine that is
    /// resumed twice, or a test), the number keeps the two apart.
    pub(in crate::catalog) fn draw(entropy: &dyn Entropy, log: u64) -> Self {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        Self(u64::from_le_bytes(bytes) ^ log)
    }

    pub(in crate::catalog) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    pub(in crate::catalog) const fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// That of a file of the first form.
    pub(in crate::catalog) const fn of_number(log: u64) -> Self {
        Self(log)
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) enum Kind {
    /// A group of commits.
    Group,
    /// No commits: says that everything before it is synced.
    Seal,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Frame {
    /// That of the log file that it was written to.
    pub(in crate::catalog) stamp: Stamp,
    /// The version before its first commit.
    pub(in crate::catalog) prior: Version,
    /// The version of its last commit.
    pub(in crate::catalog) last: Version,
    /// Synced through here when it was written.
    pub(in crate::catalog) synced: Version,
    /// What it is.
    pub(in crate::catalog) kind: Kind,
    /// What a reader must know of.
    pub(in crate::catalog) layout: Layout,
}

/// Fills in the header of a frame whose payload starts at [`HEADER`] in `bytes`, and pads it.
pub(in crate::catalog) fn seal(bytes: &mut Vec<u8>, frame: &Frame) {
    let payload = u32::try_from(bytes.len() - HEADER).unwrap_or(u32::MAX);
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&frame.stamp.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&frame.prior.to_le_bytes());
    bytes[24..32].copy_from_slice(&frame.last.to_le_bytes());
    bytes[32..40].copy_from_slice(&frame.synced.to_le_bytes());
    bytes[40..44].copy_from_slice(&payload.to_le_bytes());
    bytes[44] = match frame.kind {
        Kind::Group => 1,
        Kind::Seal => 2,
    };
    bytes[45] = frame.layout.number();
    bytes[46..48].fill(0);
    let crc = crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the frame at the start of `bytes` as [`parse`] does, if it has this stamp; what has another is none.
pub(in crate::catalog) fn parse_own(bytes: &[u8], stamp: Stamp) -> Result<Option<(Frame, &[u8], usize)>> {
    if bytes.get(8..16) != Some(&stamp.0.to_le_bytes()[..]) {
        return Ok(None);
    }
    parse(bytes)
}

/// Reads the frame at the start of `bytes`, of whatever file: its header, its payload and its padded length. `None` when it does
/// not verify; an error only for a whole frame of a newer form.
pub(in crate::catalog) fn parse(bytes: &[u8]) -> Result<Option<(Frame, &[u8], usize)>> {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    if header[..4] != MAGIC {
        return Ok(None);
    }
    let payload = u32_at(header, 40) as usize;
    let Some(total) = payload.checked_add(HEADER).and_then(|sum| sum.checked_next_multiple_of(ALIGN)) else {
        return Ok(None);
    };
    let Some(whole) = bytes.get(..total) else { return Ok(None) };
    if crc32c(&whole[8..]) != u32_at(header, 4) {
        return Ok(None);
    }
    let Some(layout) = Layout::of_number(header[45].into()) else {
        return Err(Error::Newer {
            what: "commit log".into(),
            found: header[45].into(),
            supported: Layout::NEWEST.number().into(),
        });
    };
    let kind = match header[44] {
        1 => Kind::Group,
        2 => Kind::Seal,
        _ => return Ok(None),
    };
    let at = |offset| u64_at(header, offset);
    let frame = Frame { stamp: Stamp(at(8)), prior: at(16), last: at(24), synced: at(32), kind, layout };
    let ordered = frame.prior <= frame.last && (kind == Kind::Seal) == (frame.prior == frame.last);
    Ok(ordered.then_some((frame, &whole[HEADER..HEADER + payload], total)))
}

/// A log file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct FileHeader {
    /// Names the file; grows.
    pub(in crate::catalog) log: u64,
    /// The version before its first frame.
    pub(in crate::catalog) start: Version,
}

impl FileHeader {
    /// What a file begins with: a page, which a firn that knows the first form only can read and refuses as newer, and the seal
    /// that has the file's stamp.
    pub(in crate::catalog) fn encode(&self, stamp: Stamp) -> Vec<u8> {
        let mut bytes = vec![0; FILE_HEADER];
        bytes[..8].copy_from_slice(&FILE_MAGIC);
        bytes[8..12].copy_from_slice(&FILE_FORMAT.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.log.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.start.to_le_bytes());
        let crc = crc32c(&bytes[..28]);
        bytes[28..FILE_FIELDS].copy_from_slice(&crc.to_le_bytes());
        let at = self.start;
        let mut first = vec![0; HEADER];
        seal(
            &mut first,
            &Frame { stamp, prior: at, last: at, synced: at, kind: Kind::Seal, layout: Layout::FIRST },
        );
        bytes.extend(first);
        bytes
    }

    /// From the first [`FILE_HEAD`] bytes of a file, with the stamp of its frames; `what` names the file in errors.
    pub(in crate::catalog) fn decode(bytes: &[u8], what: &str) -> Result<(Self, Stamp)> {
        let corrupt = |detail: &str| Error::Corrupt { what: what.into(), detail: detail.into() };
        let fields = bytes.first_chunk::<FILE_FIELDS>().ok_or_else(|| corrupt("shorter than its header"))?;
        if fields[..8] != FILE_MAGIC || crc32c(&fields[..28]) != u32_at(fields, 28) {
            return Err(corrupt("its header does not verify"));
        }
        if bytes.get(FILE_FIELDS..FILE_HEADER).is_none_or(|rest| rest.iter().any(|&byte| byte != 0)) {
            return Err(corrupt("its header's padding is not zero"));
        }
        let found = u32_at(fields, 8);
        if !(NUMBERED..=FILE_FORMAT).contains(&found) {
            return Err(Error::Newer { what: what.into(), found, supported: FILE_FORMAT });
        }
        let header = Self { log: u64_at(fields, 12), start: u64_at(fields, 20) };
        if found == NUMBERED {
            return Ok((header, Stamp::of_number(header.log)));
        }
        match parse(&bytes[FILE_HEADER..])? {
            Some((Frame { stamp, kind: Kind::Seal, last, .. }, ..)) if last == header.start => {
                Ok((header, stamp))
            }
            _ => Err(corrupt("the seal behind its header does not verify")),
        }
    }
}

/// CRC-32C (Castagnoli).
pub(in crate::catalog) fn crc32c(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(crc).unwrap_or_default()
}

/// Both readers are called with offsets inside fixed headers only.
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..].first_chunk().copied().map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes[offset..].first_chunk().copied().map_or(0, u64::from_le_bytes)
}
