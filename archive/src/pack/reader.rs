//! One archive of a pack, or a range of it.
//!
//! Reads the index, from the head alone where that is whole, then the frames that the range touches and nothing else: at most 1 MiB
//! of index, and 1 MiB at either end of the range. What was kept as it is is read by its chunks of 64 KiB.

use super::cell::Meta;
use super::index::{About, Codec, Entry, Frame, Index, Place, Protection, Run};
use super::keys::{self, Subkeys};
use super::layout::{BLOCK_BYTES, Layout, SALT_BYTES};
use super::squeeze::Unsqueeze;
use super::{ArchiveId, KeyId, PackId, VaultId, cell};
use crate::source::ReadAt;
use engine::catalog::record::Record;
use engine::codec::DataKey;
use engine::codec::chunk::{CHUNK_BYTES, ChunkCipher, SEALED_CHUNK_BYTES, TAG_BYTES};
use engine::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// The other packs that chunks of an archive lie in.
pub trait Packs {
    /// One of them, open.
    fn reader(&self, pack: PackId) -> Result<Arc<Reader>>;
}

/// No other packs: for archives that lie in one.
impl Packs for () {
    fn reader(&self, pack: PackId) -> Result<Arc<Reader>> {
        Err(Error::NotFound { what: "pack", id: pack.to_string() })
    }
}

/// A sealed pack, open for reading.
pub struct Reader {
    source: Arc<dyn ReadAt + Send + Sync>,
    layout: Layout,
    index: Index,
    /// Head and foot, once their hashes were wanted and were the right ones.
    meta: OnceLock<Meta>,
    /// Where a part of an archive is in the index, by where it begins.
    places: HashMap<(ArchiveId, u64), usize>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "reader of {:?}", self.layout.pack)
    }
}

impl Reader {
    /// Opens the pack that must be there: `key` is what its vault's indexes are sealed under. Another pack, and one of another vault, is
    /// refused. Damage of head or foot is mended in memory.
    pub fn open(
        source: Arc<dyn ReadAt + Send + Sync>,
        pack: PackId,
        vault: VaultId,
        key: &DataKey,
    ) -> Result<Self> {
        let layout = Layout::find(&*source, Some(pack))?;
        layout.check_readable()?;
        let whose = |found: VaultId| {
            layout.corrupt(format!("it is of {found:?}, not of {vault:?}; look at which medium this is"))
        };
        if layout.vault != vault {
            return Err(whose(layout.vault));
        }
        let index_len = layout.index_len as usize;
        let sealed = match cell::read_start(&*source, layout, index_len) {
            Some(sealed) => sealed,
            None => cell::read(&*source, layout, false)?.index().to_vec(),
        };
        let index = open_index(layout, sealed, key)?;
        if index.vault != vault {
            return Err(whose(index.vault));
        }
        let places = index
            .archives
            .iter()
            .enumerate()
            .map(|(place, entry)| ((entry.archive, entry.offset), place))
            .collect();
        Ok(Self { source, layout, index, meta: OnceLock::new(), places })
    }

    /// Where its parts lie.
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// What is in it.
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The part of an archive that begins there.
    pub fn part(&self, archive: ArchiveId, offset: u64) -> Option<&Entry> {
        self.index.archives.get(*self.places.get(&(archive, offset))?)
    }

    /// Hands out a range of an entry's bytes: [`Session::read`] for a single one.
    pub fn read(
        &self,
        entry: &Entry,
        range: Range<u64>,
        keys: &dyn Subkeys,
        others: &dyn Packs,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        Session::new(keys, others)?.read(self, entry, range, out)
    }

    /// What is said of an archive. [`Error::NotFound`] when its subkey was erased.
    pub fn about(&self, entry: &Entry, keys: &dyn Subkeys) -> Result<About> {
        let wrong = || self.layout.corrupt(format!("what it says of {:?} does not open", entry.archive));
        let id = self.index.keys.get(entry.key as usize).ok_or_else(wrong)?;
        let subkey = keys::found(keys, *id)?;
        let (salt, sealed) = entry.private.split_first_chunk().ok_or_else(wrong)?;
        let mut plain = sealed.to_vec();
        if plain.len() < TAG_BYTES {
            return Err(wrong());
        }
        let cipher = keys::entry(self.layout.pack, &subkey, entry.archive, salt);
        let length = cipher.open_in_place(0, &mut plain).map_err(|_| wrong())?;
        plain.truncate(length);
        if !entry.last {
            return Ok(About { tree_hash: None, description: plain });
        }
        let (hash, description) = plain.split_first_chunk().ok_or_else(wrong)?;
        Ok(About { tree_hash: Some(*hash), description: description.to_vec() })
    }

    /// The hashes of blocks, by the index: whoever has no key can't make others.
    fn hashes(&self) -> Result<&Meta> {
        if let Some(meta) = self.meta.get() {
            return Ok(meta);
        }
        let meta = cell::read(&*self.source, self.layout, false)?;
        if meta.tables() != self.index.tables {
            return Err(self
                .layout
                .corrupt("its hashes are not those that were sealed: it was tampered with"));
        }
        Ok(self.meta.get_or_init(|| meta))
    }

    fn other(&self, pack: u32) -> Result<PackId> {
        let place = (pack as usize).checked_sub(1);
        let id = place.and_then(|place| self.index.packs.get(place));
        id.copied().ok_or_else(|| self.layout.corrupt("a chunk lies in a pack that the index does not name"))
    }

    fn frame(&self, number: u32) -> Result<Frame> {
        let frame = self.index.frames.get(number as usize);
        frame.copied().ok_or_else(|| self.layout.corrupt(format!("there is no frame {number}")))
    }

    fn load(&self, at: u64, out: &mut [u8]) -> Result<()> {
        let place = format!("pack {}", self.layout.pack);
        let read = self.source.read_at(self.layout.data_at() + at, out);
        read.map_err(|error| Error::io("read", place, error))
    }
}

/// Frames that are kept for what is read next.
const HELD: usize = 4;

/// Reads of many archives, one after the other: what shares a frame is taken out of it once.
pub struct Session<'a> {
    keys: &'a dyn Subkeys,
    others: &'a dyn Packs,
    unsqueeze: Unsqueeze,
    sealed: Vec<u8>,
    /// The frames that were read last, the newest one in front.
    held: Vec<Held>,
    subkey: Option<(KeyId, DataKey)>,
    /// That of a frame of a pack.
    cipher: Option<(PackId, u32, ChunkCipher)>,
}

struct Held {
    pack: PackId,
    frame: u32,
    plain: Vec<u8>,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session with {} frames", self.held.len())
    }
}

impl<'a> Session<'a> {
    /// With the vault's subkeys, and its other packs for what lies in several; `&()` where nothing does.
    pub fn new(keys: &'a dyn Subkeys, others: &'a dyn Packs) -> Result<Self> {
        let unsqueeze = Unsqueeze::new()?;
        Ok(Self { keys, others, unsqueeze, sealed: Vec::new(), held: Vec::new(), subkey: None, cipher: None })
    }

    /// Hands out a range of an entry's bytes in order, in pieces of at most 1 MiB. The range counts from the start of the entry; what
    /// is beyond its end is refused, and so is an entry of another pack. [`Error::NotFound`] when its subkey was erased; [`Error::Corrupt`] when anything does not match, of
    /// which nothing is handed out.
    pub fn read(
        &mut self,
        pack: &Reader,
        entry: &Entry,
        range: Range<u64>,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if range.start > range.end || range.end > entry.length {
            return Err(Error::Invalid(format!(
                "read bytes {}..{} of {:?}: it has {}",
                range.start, range.end, entry.archive, entry.length
            )));
        }
        // By another pack's entry another archive's frames would be read, and all their tags be right.
        if pack.part(entry.archive, entry.offset) != Some(entry) {
            let archive = entry.archive;
            return Err(pack.layout.corrupt(format!("its index has no such entry of {archive:?}")));
        }
        match &entry.place {
            Place::Own { first, count } | Place::Outside { first, count, .. } => {
                let mut start = 0_u64;
                for number in *first..first.saturating_add(*count) {
                    let length = u64::from(pack.frame(number)?.plain);
                    if let Some(part) = within(&range, start, length) {
                        self.read_frame(pack, number, part, out)?;
                    }
                    start += length;
                }
                Ok(())
            }
            Place::Grouped { frame, at } => {
                let at = u64::from(*at);
                self.read_frame(pack, *frame, to_usize(at + range.start)..to_usize(at + range.end), out)
            }
            Place::Chunked(runs) => self.read_runs(pack, runs, &range, out),
        }
    }

    fn read_runs(
        &mut self,
        pack: &Reader,
        runs: &[Run],
        range: &Range<u64>,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut start = 0_u64;
        let mut other: Option<(u32, Arc<Reader>)> = None;
        for run in runs {
            if let Some(part) = within(range, start, run.length.into()) {
                let at = run.at as usize;
                let part = at + part.start..at + part.end;
                if run.pack == 0 {
                    self.read_frame(pack, run.frame, part, out)?;
                } else {
                    let reader = match other.take().filter(|(pack, _)| *pack == run.pack) {
                        Some((_, reader)) => reader,
                        None => self.others.reader(pack.other(run.pack)?)?,
                    };
                    let wanted = pack.other(run.pack)?;
                    if reader.layout.pack != wanted {
                        let found = reader.layout.pack;
                        return Err(pack
                            .layout
                            .corrupt(format!("{found:?} was opened where {wanted:?} has chunks")));
                    }
                    if reader.frame(run.frame)?.protection == Protection::Outside {
                        let frame = run.frame;
                        return Err(pack
                            .layout
                            .corrupt(format!("frame {frame} of {wanted:?} holds no chunks")));
                    }
                    self.read_frame(&reader, run.frame, part, out)?;
                    other = Some((run.pack, reader));
                }
            }
            start += u64::from(run.length);
        }
        Ok(())
    }

    /// Hands out a part of a frame.
    fn read_frame(
        &mut self,
        pack: &Reader,
        number: u32,
        part: Range<usize>,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let frame = pack.frame(number)?;
        if part.start > part.end || part.end > frame.plain as usize {
            return Err(pack.layout.corrupt(format!("frame {number} has no bytes {part:?}")));
        }
        if part.is_empty() {
            return Ok(());
        }
        match (frame.protection, frame.codec) {
            (Protection::Outside, _) => {
                let start = u64::from(frame.offset);
                self.read_outside(pack, start + part.start as u64..start + part.end as u64, out)
            }
            (Protection::Key(_), Codec::Raw) => self.read_raw(pack, number, frame, part, out),
            (Protection::Key(_), _) => out(&self.hold(pack, number, frame)?[part]),
        }
    }

    /// Data that no tag of the vault covers: by the hashes of their blocks.
    fn read_outside(
        &mut self,
        pack: &Reader,
        part: Range<u64>,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let hashes = pack.hashes()?;
        let block_bytes = BLOCK_BYTES as u64;
        for block in part.start / block_bytes..part.end.div_ceil(block_bytes) {
            let start = block * block_bytes;
            let length = pack.layout.data_bytes().saturating_sub(start).min(block_bytes);
            self.sealed.resize(to_usize(length), 0);
            pack.load(start, &mut self.sealed)?;
            let number = u32::try_from(block).unwrap_or(u32::MAX);
            if blake3::hash(&self.sealed) != hashes.block_hash(number) {
                return Err(pack
                    .layout
                    .corrupt(format!("block {block} is damaged; scrub and repair the pack")));
            }
            let wanted = within(&part, start, length).unwrap_or_default();
            out(self.sealed.get(wanted).unwrap_or_default())?;
        }
        Ok(())
    }

    /// All of a frame, which stays at hand.
    fn hold(&mut self, pack: &Reader, number: u32, frame: Frame) -> Result<&[u8]> {
        let id = pack.layout.pack;
        if let Some(place) = self.held.iter().position(|held| (held.pack, held.frame) == (id, number)) {
            self.held[..=place].rotate_right(1);
        } else {
            let oldest = if self.held.len() < HELD { None } else { self.held.pop() };
            let mut plain = oldest.map(|held| held.plain).unwrap_or_default();
            self.restore(pack, number, frame, &mut plain)?;
            self.held.insert(0, Held { pack: id, frame: number, plain });
        }
        Ok(&self.held[0].plain)
    }

    /// Of a frame that was kept as it is, the chunks that are touched.
    fn read_raw(
        &mut self,
        pack: &Reader,
        number: u32,
        frame: Frame,
        part: Range<usize>,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let chunks = part.start / CHUNK_BYTES..part.end.div_ceil(CHUNK_BYTES);
        let bytes =
            chunks.start * SEALED_CHUNK_BYTES..(chunks.end * SEALED_CHUNK_BYTES).min(frame.stored as usize);
        self.load(pack, frame, bytes)?;
        self.expand(pack, number, frame)?;
        let mut sealed = std::mem::take(&mut self.sealed);
        for (chunk, bytes) in chunks.zip(sealed.chunks_mut(SEALED_CHUNK_BYTES)) {
            let length = self.open(pack, number, chunk, bytes)?;
            let start = chunk * CHUNK_BYTES;
            let (from, to) = (part.start.max(start) - start, part.end.min(start + length) - start);
            out(&bytes[from..to])?;
        }
        self.sealed = sealed;
        Ok(())
    }

    /// Brings all of a frame into `out`.
    fn restore(&mut self, pack: &Reader, number: u32, frame: Frame, out: &mut Vec<u8>) -> Result<()> {
        self.load(pack, frame, 0..frame.stored as usize)?;
        self.expand(pack, number, frame)?;
        let mut sealed = std::mem::take(&mut self.sealed);
        // Plaintext is moved together at the start, where the tags were.
        let mut end = 0;
        let count = sealed.len().div_ceil(SEALED_CHUNK_BYTES);
        for chunk in 0..count {
            let from = chunk * SEALED_CHUNK_BYTES;
            let to = (from + SEALED_CHUNK_BYTES).min(sealed.len());
            let length = self.open(pack, number, chunk, &mut sealed[from..to])?;
            sealed.copy_within(from..from + length, end);
            end += length;
        }
        let restored = self.unsqueeze.restore(frame.codec, &sealed[..end], frame.plain as usize, out);
        self.sealed = sealed;
        restored.map_err(|detail| pack.layout.corrupt(format!("frame {number}: {detail}")))
    }

    fn load(&mut self, pack: &Reader, frame: Frame, bytes: Range<usize>) -> Result<()> {
        self.sealed.resize(bytes.len(), 0);
        pack.load(u64::from(frame.offset) + bytes.start as u64, &mut self.sealed)
    }

    /// Has the frame's cipher at hand.
    fn expand(&mut self, pack: &Reader, number: u32, frame: Frame) -> Result<()> {
        let Protection::Key(place) = frame.protection else { return Ok(()) };
        let id = pack.index.keys.get(place as usize).copied();
        let id = id.ok_or_else(|| pack.layout.corrupt(format!("there is no key {place}")))?;
        let of = pack.layout.pack;
        if self.cipher.as_ref().is_some_and(|(pack, frame, _)| (*pack, *frame) == (of, number)) {
            return Ok(());
        }
        let subkey = match self.subkey.take().filter(|(found, _)| *found == id) {
            Some((_, subkey)) => subkey,
            None => keys::found(self.keys, id)?,
        };
        self.cipher = Some((of, number, keys::frame(of, &subkey, &frame.salt)));
        self.subkey = Some((id, subkey));
        Ok(())
    }

    fn open(&self, pack: &Reader, frame: u32, chunk: usize, sealed: &mut [u8]) -> Result<usize> {
        let tampered = || {
            let detail =
                format!("frame {frame}, chunk {chunk}: its tag does not match; scrub and repair the pack");
            pack.layout.corrupt(detail)
        };
        let (_, _, cipher) = self.cipher.as_ref().ok_or_else(tampered)?;
        let chunk = u32::try_from(chunk).map_err(|_| tampered())?;
        cipher.open_in_place(keys::chunk_index(frame, chunk), sealed).map_err(|_| tampered())
    }
}

/// The part of `start..start + length` that a range touches, counted from `start`.
fn within(range: &Range<u64>, start: u64, length: u64) -> Option<Range<usize>> {
    let from = range.start.max(start);
    let to = range.end.min(start.saturating_add(length));
    (from < to).then(|| to_usize(from - start)..to_usize(to - start))
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn open_index(layout: Layout, mut sealed: Vec<u8>, vault: &DataKey) -> Result<Index> {
    let length = layout.index_len;
    let (salt, chunks) = sealed
        .split_first_chunk_mut::<SALT_BYTES>()
        .ok_or_else(|| layout.corrupt("its index is too short"))?;
    let cipher = keys::index(layout.pack, vault, salt, length);
    let mut plain = Vec::with_capacity(chunks.len());
    for (number, chunk) in (0..).zip(chunks.chunks_mut(SEALED_CHUNK_BYTES)) {
        if chunk.len() < TAG_BYTES {
            return Err(layout.corrupt("its index ends within a tag"));
        }
        let opened = cipher.open_in_place(number, chunk);
        let length = opened.map_err(|_| {
            layout.corrupt("its index does not open: the key is another vault's, or it was tampered with")
        })?;
        plain.extend_from_slice(&chunk[..length]);
    }
    let index = Index::from_bytes(&plain).map_err(|error| match error {
        Error::Newer { .. } => error,
        other => layout.corrupt(other.to_string()),
    })?;
    match index.fault(layout.data_bytes()) {
        Some(fault) => Err(layout.corrupt(fault)),
        None => Ok(index),
    }
}
