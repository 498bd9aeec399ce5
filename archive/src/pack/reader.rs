//! One archive of a pack, or a range of it.
//!
//! Reads the index, from the head alone where that is whole, then the frames that the range touches and nothing else: at most 1 MiB
//! of index, and 1 MiB at either end of the range. What was kept as it is is read by its chunks of 64 KiB.

use super::cell::Meta;
use super::index::{About, Codec, Detail, Entry, Frame, Index, Place, Protection, Register, Run};
use super::keys::{self, IndexKey, Subkeys};
use super::layout::{BLOCK_BYTES, Layout};
use super::squeeze::Unsqueeze;
use super::{ArchiveId, FRAME_BYTES, KeyId, PackId, VaultId, cell};
use crate::source::ReadAt;
use engine::catalog::record::Record;
use engine::codec::DataKey;
use engine::codec::chunk::{CHUNK_BYTES, ChunkCipher, SEALED_CHUNK_BYTES};
use engine::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// The other packs that chunks of an archive lie in.
pub trait Packs {
    /// One of them, open; or the one that was written in its place, by [`Index::replaces`]. Asked once by each [`Session`], as long as that
    /// reads of no more than a few; keep what is open ([`Readers`](super::Readers)).
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
    tables: [u8; 32],
    /// Head and foot, once their hashes were wanted and were the right ones.
    meta: OnceLock<Meta>,
    /// Its chunks, once they were wanted.
    register: OnceLock<Register>,
    /// Where a part of an archive is in the index, by where it begins.
    places: HashMap<(ArchiveId, u32), usize>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "reader of {:?}", self.layout.pack())
    }
}

impl Reader {
    /// Opens the pack that must be there: `key` is what its index is sealed under ([`Layout::index_key`] tells which one of the vault's). Another
    /// pack, and one of another vault, is refused. Damage of head or foot is mended in memory.
    pub fn open(
        source: Arc<dyn ReadAt + Send + Sync>,
        pack: PackId,
        vault: VaultId,
        key: &IndexKey,
    ) -> Result<Self> {
        let layout = Layout::find(&*source, Some(pack))?;
        layout.check_readable()?;
        let whose = |found: VaultId| {
            layout.corrupt(format!("it is of {found:?}, not of {vault:?}; look at which medium this is"))
        };
        if layout.vault() != vault {
            return Err(whose(layout.vault()));
        }
        if layout.index_key() != key.id {
            return Err(Error::NotFound {
                what: "index key",
                id: format!("{}, which pack {pack} is under: {} was given", layout.index_key(), key.id),
            });
        }
        let index_len = layout.index_len as usize;
        let sealed = match cell::read_start(&*source, layout, index_len) {
            Some(sealed) => sealed,
            None => cell::read(&*source, layout, false)?.index().to_vec(),
        };
        let (tables, index) = open_index(layout, &sealed, &key.key)?;
        if index.vault != vault {
            return Err(whose(index.vault));
        }
        let places = index
            .archives
            .iter()
            .enumerate()
            .map(|(place, entry)| ((entry.archive, entry.part), place))
            .collect();
        let (meta, register) = (OnceLock::new(), OnceLock::new());
        Ok(Self { source, layout, index, tables, meta, register, places })
    }

    /// Where its parts lie.
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// What is in it.
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// What the hashes in its head and foot are known by.
    pub const fn tables(&self) -> &[u8; 32] {
        &self.tables
    }

    /// Bytes of memory that it takes, near enough to bound how many are kept.
    pub fn memory(&self) -> usize {
        let index = &self.index;
        let private: usize = index.archives.iter().map(|entry| entry.private.len()).sum();
        let lists = index.keys.len() + index.packs.len() + index.replaces.len();
        let rows = index.archives.len() * (size_of::<Entry>() + 48) + index.frames.len() * size_of::<Frame>();
        let register = index.register.as_ref().map_or(0, |(_, sealed)| 3 * sealed.len());
        let meta = self.meta.get().map_or(0, |meta| meta.bytes.len());
        size_of::<Self>() + rows + private + lists * 16 + register + meta
    }

    /// The part of an archive that begins there.
    pub fn part(&self, archive: ArchiveId, offset: u64) -> Option<&Entry> {
        let part = u32::try_from(offset / super::PART_BYTES).ok()?;
        let entry = self.index.archives.get(*self.places.get(&(archive, part))?)?;
        (entry.offset() == offset).then_some(entry)
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

    fn subkey(&self, place: u32, keys: &dyn Subkeys) -> Result<DataKey> {
        let id = self.index.keys.get(place as usize).copied();
        keys::found(keys, id.ok_or_else(|| self.layout.corrupt(format!("there is no key {place}")))?)
    }

    /// What is said of an archive. [`Error::NotFound`] when its subkey was erased.
    pub fn about(&self, entry: &Entry, keys: &dyn Subkeys) -> Result<About> {
        let wrong =
            |detail: &str| self.layout.corrupt(format!("what it says of {:?}: {detail}", entry.archive));
        let (pack, subkey) = (self.layout.pack(), self.subkey(entry.key, keys)?);
        let cipher = |salt: &_, sealed| keys::entry(pack, &subkey, entry.archive, entry.part, salt, sealed);
        let plain = keys::open(&entry.private, cipher).ok_or_else(|| wrong("it does not open"))?;
        let about = About::from_bytes(&plain).map_err(|error| match error {
            Error::Newer { .. } => error,
            other => wrong(&other.to_string()),
        })?;
        match about.fault(&self.index, entry) {
            Some(fault) => Err(wrong(fault)),
            None => Ok(about),
        }
    }

    /// Its chunks, and those of the packs that it replaces; empty where it has none. [`Error::NotFound`] when its subkey was erased.
    pub fn register(&self, keys: &dyn Subkeys) -> Result<&Register> {
        if let Some(register) = self.register.get() {
            return Ok(register);
        }
        let found = match &self.index.register {
            None => Register::default(),
            Some((key, sealed)) => {
                let (pack, subkey) = (self.layout.pack(), self.subkey(*key, keys)?);
                let plain = keys::open(sealed, |salt, sealed| keys::register(pack, &subkey, salt, sealed));
                Register::from_bytes(
                    &plain.ok_or_else(|| self.layout.corrupt("its register does not open"))?,
                )?
            }
        };
        if let Some(fault) = found.fault(&self.index) {
            return Err(self.layout.corrupt(fault));
        }
        Ok(self.register.get_or_init(|| found))
    }

    /// The bytes of a chunk that its register names, for whoever writes another pack in its place.
    pub fn chunk(&self, chunk: &super::NamedChunk, keys: &dyn Subkeys) -> Result<Vec<u8>> {
        let mut found = Vec::with_capacity(chunk.length as usize);
        let part = chunk.at as usize..chunk.at as usize + chunk.length as usize;
        Session::new(keys, &())?.read_frame(self, chunk.frame, part, &mut |bytes| {
            found.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(found)
    }

    /// The hashes of blocks, by the index: whoever has no key can't make others.
    fn hashes(&self) -> Result<&Meta> {
        if let Some(meta) = self.meta.get() {
            return Ok(meta);
        }
        let meta = cell::read(&*self.source, self.layout, false)?;
        if meta.tables() != self.tables {
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
        let place = format!("pack {}", self.layout.pack());
        let read = self.source.read_at(self.layout.data_at() + at, out);
        read.map_err(|error| Error::io("read", place, error))
    }
}

/// Frames that are kept for what is read next.
const HELD: usize = 4;
/// Other packs that are kept open for what is read next.
const OTHERS: usize = 16;

/// Reads of many archives, one after the other: what shares a frame is taken out of it once.
pub struct Session<'a> {
    keys: &'a dyn Subkeys,
    others: &'a dyn Packs,
    unsqueeze: Unsqueeze,
    sealed: Vec<u8>,
    /// The frames that were read last, the newest one in front.
    held: Vec<Held>,
    subkey: Option<(KeyId, DataKey)>,
    /// What is said of the part that was read last.
    about: Option<(PackId, ArchiveId, u32, Arc<About>)>,
    /// The other packs that were asked for last, the newest one behind.
    opened: Vec<(PackId, Arc<Reader>)>,
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
        let (sealed, held, opened) = (Vec::new(), Vec::new(), Vec::new());
        let (subkey, about, cipher) = (None, None, None);
        Ok(Self { keys, others, unsqueeze, sealed, held, subkey, about, opened, cipher })
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
        // By another pack's entry another archive's frames would be read, and all their tags be right.
        if pack.part(entry.archive, entry.offset()) != Some(entry) {
            let archive = entry.archive;
            return Err(pack.layout.corrupt(format!("its index has no such entry of {archive:?}")));
        }
        let about = self.about(pack, entry)?;
        if range.start > range.end || range.end > about.length {
            return Err(Error::Invalid(format!(
                "read bytes {}..{} of {:?}: it has {}",
                range.start, range.end, entry.archive, about.length
            )));
        }
        match (entry.place, &about.detail) {
            (Place::Own { first, .. } | Place::Outside { first, .. }, _) => {
                let frame_bytes = FRAME_BYTES as u64;
                for place in range.start / frame_bytes..range.end.div_ceil(frame_bytes) {
                    let start = place * frame_bytes;
                    let length = (about.length - start).min(frame_bytes);
                    let number = first.saturating_add(u32::try_from(place).unwrap_or(u32::MAX));
                    if let Some(part) = within(&range, start, length) {
                        self.read_frame(pack, number, part, out)?;
                    }
                }
                Ok(())
            }
            (Place::Grouped { frame }, Detail::Grouped { at }) => {
                let at = u64::from(*at);
                self.read_frame(pack, frame, to_usize(at + range.start)..to_usize(at + range.end), out)
            }
            (_, Detail::Chunked(runs)) => self.read_runs(pack, runs, &range, out),
            _ => Err(pack.layout.corrupt("an entry and what is said of it are of two kinds")),
        }
    }

    /// What is said of an archive: [`Reader::about`], kept for what is read next.
    pub fn about(&mut self, pack: &Reader, entry: &Entry) -> Result<Arc<About>> {
        let place = (pack.layout.pack(), entry.archive, entry.part);
        if let Some((of, archive, part, about)) = &self.about
            && (*of, *archive, *part) == place
        {
            return Ok(Arc::clone(about));
        }
        let about = Arc::new(pack.about(entry, self.keys)?);
        let (of, archive, part) = place;
        self.about = Some((of, archive, part, Arc::clone(&about)));
        Ok(about)
    }

    fn read_runs(
        &mut self,
        pack: &Reader,
        runs: &[Run],
        range: &Range<u64>,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut start = 0_u64;
        for run in runs {
            if let Some(part) = within(range, start, run.length.into()) {
                let at = run.at as usize;
                let part = at + part.start..at + part.end;
                if run.pack == 0 {
                    self.read_frame(pack, run.frame, part, out)?;
                } else {
                    self.read_elsewhere(pack, run, part, out)?;
                }
            }
            start += u64::from(run.length);
        }
        Ok(())
    }

    /// Hands out a part of a frame of another pack, or of what was written in its place.
    fn read_elsewhere(
        &mut self,
        pack: &Reader,
        run: &Run,
        part: Range<usize>,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let wanted = pack.other(run.pack)?;
        let reader = self.open_other(wanted)?;
        let found = reader.layout.pack();
        let no_chunks = |frame| pack.layout.corrupt(format!("frame {frame} of {found:?} holds no chunks"));
        if found == wanted {
            if reader.frame(run.frame)?.protection == Protection::Outside {
                return Err(no_chunks(run.frame));
            }
            return self.read_frame(&reader, run.frame, part, out);
        }
        let replaced = reader.index.replaces.iter().position(|pack| *pack == wanted);
        let Some(place) = replaced.and_then(|place| u32::try_from(place).ok()) else {
            return Err(pack.layout.corrupt(format!("{found:?} was opened where {wanted:?} has chunks")));
        };
        let bytes =
            u32::try_from(part.start).unwrap_or(u32::MAX)..u32::try_from(part.end).unwrap_or(u32::MAX);
        let pieces = reader.register(self.keys)?.find(place, run.frame, bytes);
        let pieces = pieces.ok_or_else(|| {
            let frame = run.frame;
            pack.layout
                .corrupt(format!("{found:?}, which replaces {wanted:?}, has not all of its frame {frame}"))
        })?;
        for (frame, bytes) in pieces {
            if reader.frame(frame)?.protection == Protection::Outside {
                return Err(no_chunks(frame));
            }
            self.read_frame(&reader, frame, bytes.start as usize..bytes.end as usize, out)?;
        }
        Ok(())
    }

    fn open_other(&mut self, wanted: PackId) -> Result<Arc<Reader>> {
        if let Some((_, reader)) = self.opened.iter().find(|(pack, _)| *pack == wanted) {
            return Ok(Arc::clone(reader));
        }
        let reader = self.others.reader(wanted)?;
        if self.opened.len() == OTHERS {
            self.opened.remove(0);
        }
        self.opened.push((wanted, Arc::clone(&reader)));
        Ok(reader)
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
        let missing = || pack.layout.corrupt(format!("frame {number} has not all of its bytes"));
        let content = frame.content().ok_or_else(missing)? as usize;
        let raw = frame.codec == Codec::Raw;
        if part.start > part.end || part.end > FRAME_BYTES || (raw && part.end > content) {
            return Err(missing());
        }
        if part.is_empty() {
            return Ok(());
        }
        match (frame.protection, raw) {
            (Protection::Outside, _) => {
                let start = u64::from(frame.offset);
                self.read_outside(pack, start + part.start as u64..start + part.end as u64, out)
            }
            (Protection::Key(_), true) => self.read_raw(pack, number, frame, part, out),
            (Protection::Key(_), false) => {
                out(self.hold(pack, number, frame)?.get(part).ok_or_else(missing)?)
            }
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
        let id = pack.layout.pack();
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
        let restored = self.unsqueeze.restore(frame.codec, &sealed[..end], out);
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
        let of = pack.layout.pack();
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

fn open_index(layout: Layout, sealed: &[u8], vault: &DataKey) -> Result<([u8; 32], Index)> {
    let plain = keys::open(sealed, |salt, sealed| keys::index(layout.pack(), vault, salt, sealed));
    let plain = plain.ok_or_else(|| {
        layout.corrupt("its index does not open: the key is another vault's, or it was tampered with")
    })?;
    let (tables, index) = Index::unwrap(&plain).map_err(|error| match error {
        Error::Newer { .. } => error,
        other => layout.corrupt(other.to_string()),
    })?;
    match index.fault(layout.data_bytes()) {
        Some(fault) => Err(layout.corrupt(fault)),
        None => Ok((tables, index)),
    }
}
