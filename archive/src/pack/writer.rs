//! Packs on their way to being sealed.
//!
//! ```text
//!   begin ──► Pack<Open>: ID.pack.new ── deposits ──► seal: index, parity, foot, head, sync ──► rename ──► Pack<Sealed>: ID.pack
//! ```
//! What was deposited is in the pack once it is sealed, and not before.

use super::body::Body;
use super::index::{Codec, Frame, Index, Place, Protection, Run, room};
use super::keys::{self, KeyFor, Salt, Subkeys};
use super::layout::{INDEX_PLAIN_MAX, Layout, SALT_BYTES};
use super::squeeze::{self, Habit, Squeeze};
use super::{ArchiveId, CAPACITY_MAX, Deposit, EXTENSION, FRAME_BYTES, Head, KeyId, PackId, VaultId};
use crate::chunk::{ChunkId, Cutter};
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use engine::codec::DataKey;
use engine::codec::chunk::{CHUNK_BYTES, sealed_len};
use engine::entropy::Entropy;
use engine::{Error, Result, file};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The least that a pack can be told to hold.
const CAPACITY_MIN: u64 = 1 << 20;
/// Data bytes that are kept free, for tags of frames that end early.
const SPARE_BYTES: u64 = 8 << 10;
/// Index bytes that are kept free, for what a last deposit still needs.
const SPARE_INDEX: usize = 512;
/// With less room than this, a pack takes no further archive.
const ROOM_MIN: u64 = 128 << 10;

/// How packs of a vault are made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose they are.
    pub vault: VaultId,
    /// Data bytes of one pack: 1 to 256 MiB.
    pub capacity: u64,
    /// How hard zstd tries.
    pub level: i32,
    /// Whether what is alike is kept once.
    pub dedup: Option<Dedup>,
}

impl Options {
    /// Packs of 256 MiB, nothing deduplicated.
    pub const fn new(vault: VaultId) -> Self {
        Self { vault, capacity: CAPACITY_MAX, level: squeeze::LEVEL, dedup: None }
    }
}

/// A deduplication group.
#[derive(Clone, Debug)]
pub struct Dedup {
    /// By the group's key.
    pub cutter: Cutter,
    /// The chunks that other packs hold.
    pub known: Arc<dyn Known>,
}

/// The chunks of a deduplication group that lie in sealed packs.
pub trait Known: Send + Sync + std::fmt::Debug {
    /// Where a chunk is: its pack, and the run there, which must stay there for as long as what is being deposited does.
    fn find(&self, id: &ChunkId) -> Result<Option<(PackId, Run)>>;
}

/// A pack, open or sealed.
#[derive(Debug)]
pub struct Pack<State> {
    pub(super) id: PackId,
    path: PathBuf,
    pub(super) state: State,
}

/// Takes deposits.
pub struct Open {
    pub(super) options: Options,
    pub(super) keys: Arc<dyn Subkeys>,
    entropy: Arc<dyn Entropy>,
    /// Something failed half way: what is in memory and what is in the file may differ, so that nothing may follow.
    broken: bool,
    pub(super) body: Body,
    squeeze: Squeeze,
    /// Runs, groups and chunks of this pack are counted by shared frames in it; sealing makes frames of them.
    pub(super) index: Index,
    /// What it has of each archive.
    pub(super) parts: HashMap<ArchiveId, Vec<Range<u64>>>,
    index_max: usize,
    index_used: usize,
    /// The shared frame that is being filled.
    group: Vec<u8>,
    /// The frames that became of the shared ones before it.
    shared: Vec<u32>,
    /// The key of that frame; of all of them where chunks are deduplicated.
    shared_key: Option<Arc<Sealer>>,
    chunks: HashMap<ChunkId, Run>,
    others: HashMap<PackId, u32>,
}

/// A subkey, and its place in the index.
pub(super) struct Sealer {
    key: u32,
    subkey: DataKey,
}

/// Whole, durable, never written again.
#[derive(Debug)]
pub struct Sealed {
    /// Where its parts lie.
    pub layout: Layout,
    /// What is in it.
    pub index: Index,
}

impl<State> Pack<State> {
    /// Its id.
    pub const fn id(&self) -> PackId {
        self.id
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Pack<Open> {
    /// Begins a pack in a directory that is there.
    pub fn begin(
        directory: &Path,
        options: Options,
        keys: Arc<dyn Subkeys>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        if !(CAPACITY_MIN..=CAPACITY_MAX).contains(&options.capacity) {
            let asked = options.capacity;
            return Err(Error::Invalid(format!(
                "begin a pack of {asked} bytes: {CAPACITY_MIN} to {CAPACITY_MAX} are allowed"
            )));
        }
        let mut bytes = [0; 16];
        // Not of what ids are drawn ahead from: keys are derived with it, so nobody may draw it twice.
        entropy.fill(&mut bytes);
        let id = PackId::from_bytes(bytes);
        let path = directory.join(format!("{id}.{EXTENSION}{}", file::PARTIAL));
        let index_max =
            INDEX_PLAIN_MAX.min(usize::try_from(options.capacity / 128).unwrap_or(INDEX_PLAIN_MAX));
        let index_max = index_max.max(64 << 10);
        let index = Index {
            vault: options.vault,
            tables: [0; 32],
            sealed_at: Timestamp::default(),
            keys: Vec::new(),
            packs: Vec::new(),
            frames: Vec::new(),
            chunks: Vec::new(),
            archives: Vec::new(),
        };
        let state = Open {
            keys,
            body: Body::create(path.clone(), options.capacity, index_max)?,
            squeeze: Squeeze::new(options.level)?,
            index,
            parts: HashMap::new(),
            index_max,
            index_used: room::FIXED,
            group: Vec::new(),
            shared: Vec::new(),
            shared_key: None,
            chunks: HashMap::new(),
            others: HashMap::new(),
            entropy,
            broken: false,
            options,
        };
        Ok(Self { id, path, state })
    }

    /// Takes an archive, or the next part of one; `None` when the pack is full: seal it, or discard it where it has no archive,
    /// and go on in another one. A new pack has room.
    pub fn deposit(&mut self, head: Head) -> Result<Option<Deposit<'_>>> {
        self.check()?;
        let needs = room::ENTRY + head.description.len() + SPARE_INDEX;
        let full = self.state.room() < ROOM_MIN || self.state.index_left() < needs;
        if full {
            return Ok(None);
        }
        Deposit::begin(self, head).map(Some)
    }

    /// Refuses to go on after an error.
    pub(super) fn check(&self) -> Result<()> {
        if self.state.broken {
            return Err(Error::Invalid(format!(
                "go on with pack {}: an error ended it; discard it, and deposit its archives in another one",
                self.id
            )));
        }
        Ok(())
    }

    /// Does what may fail half way. After an error, or a panic, only [`discard`](Self::discard) is left.
    pub(super) fn step<T>(&mut self, step: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        self.check()?;
        self.state.broken = true;
        let done = step(&mut self.state)?;
        self.state.broken = false;
        Ok(done)
    }

    /// Archives, and parts of them, that it holds so far: with none, it can't be sealed.
    pub const fn archives(&self) -> usize {
        self.state.index.archives.len()
    }

    /// Bytes of data so far, with those that wait for their frame.
    pub const fn data_bytes(&self) -> u64 {
        self.state.used()
    }

    /// Seals it: from now on it is whole, durable, has its name, and never changes. `vault` is the key that the vault's indexes are
    /// sealed under. After an error, the file has no pack's name, and nothing in it counts.
    pub fn seal(mut self, vault: &DataKey, now: Timestamp) -> Result<Pack<Sealed>> {
        self.check()?;
        if self.state.index.archives.is_empty() {
            return Err(Error::Invalid(format!("seal pack {}: it holds no archive; discard it", self.id)));
        }
        self.state.flush_group(self.id)?;
        self.state.resolve()?;
        let charged = self.state.index_used;
        let mut index = self.state.index;
        index.sealed_at = now;
        debug_assert!(index.to_bytes().len() <= charged, "{} of {charged}", index.to_bytes().len());
        if let Some(fault) = fault(&index, self.state.body.len()) {
            return Err(Error::Corrupt {
                what: format!("pack {}, before it was sealed", self.id),
                detail: fault,
            });
        }
        let mut salt = [0; SALT_BYTES];
        self.state.entropy.fill(&mut salt);
        let (id, length) = (self.id, SALT_BYTES as u64 + sealed_len(index.to_bytes().len() as u64));
        let layout = self.state.body.finish(id, index.vault, length, |tables| {
            index.tables = tables;
            seal_index(id, &index, vault, &salt)
        })?;
        let path = self.path.with_extension("");
        std::fs::rename(&self.path, &path).map_err(|error| Error::io("rename", &self.path, error))?;
        file::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Pack { id: self.id, path, state: Sealed { layout, index } })
    }

    /// Gives it up, file and all.
    pub fn discard(self) -> Result<()> {
        drop(self.state);
        file::remove(&self.path)
    }
}

impl Pack<Sealed> {
    /// Where its parts lie.
    pub const fn layout(&self) -> Layout {
        self.state.layout
    }

    /// What is in it.
    pub const fn index(&self) -> &Index {
        &self.state.index
    }
}

impl Open {
    const fn used(&self) -> u64 {
        self.body.len() + sealed_len(self.group.len() as u64)
    }

    /// Bytes of plaintext that certainly fit, whatever becomes of them.
    pub(super) fn room(&self) -> u64 {
        let left = self.options.capacity.saturating_sub(self.used() + SPARE_BYTES);
        // A tag for each 64 KiB, and once more where frames end early.
        left - left.div_ceil(CHUNK_BYTES as u64).saturating_mul(32).min(left)
    }

    /// Bytes of index that are left.
    pub(super) const fn index_left(&self) -> usize {
        self.index_max.saturating_sub(self.index_used)
    }

    /// Bytes of index that are left for what an archive's content needs.
    pub(super) const fn index_room(&self) -> usize {
        self.index_left().saturating_sub(SPARE_INDEX)
    }

    /// Takes bytes of the index.
    pub(super) const fn take_index(&mut self, bytes: usize) {
        self.index_used += bytes;
    }

    /// Goes on with other entropy, as a machine does that was resumed from a snapshot.
    #[cfg(test)]
    pub(super) fn resume(&mut self, entropy: Arc<dyn Entropy>) {
        self.entropy = entropy;
    }

    /// A new subkey.
    pub(super) fn fresh(&mut self, purpose: KeyFor) -> Result<Sealer> {
        let (id, subkey): (KeyId, DataKey) = self.keys.fresh(purpose)?;
        let key = place(self.index.keys.len())?;
        self.index.keys.push(id);
        self.take_index(room::ID);
        Ok(Sealer { key, subkey })
    }

    /// Seals what is said of an archive: its key's place, and the bytes.
    pub(super) fn seal_about(
        &self,
        pack: PackId,
        sealer: &Sealer,
        archive: ArchiveId,
        tree_hash: Option<[u8; 32]>,
        description: &[u8],
    ) -> (u32, Vec<u8>) {
        let plain = [tree_hash.as_ref().map_or(&[][..], |hash| &hash[..]), description].concat();
        let mut salt = Salt::default();
        self.entropy.fill(&mut salt);
        let mut out = salt.to_vec();
        keys::entry(pack, &sealer.subkey, archive, &salt).seal_into(0, &plain, &mut out);
        (sealer.key, out)
    }

    /// Seals a frame.
    pub(super) fn seal_frame(
        &mut self,
        pack: PackId,
        sealer: &Sealer,
        plain: &[u8],
        habit: &mut Habit,
    ) -> Result<u32> {
        let number = place(self.index.frames.len())?;
        let (codec, squeezed) = self.squeeze.squeeze(plain, habit)?;
        let offset = self.body.len();
        let mut salt = Salt::default();
        self.entropy.fill(&mut salt);
        let cipher = keys::frame(pack, &sealer.subkey, &salt);
        self.body.append(|out| {
            for (chunk, bytes) in (0..).zip(squeezed.chunks(CHUNK_BYTES)) {
                cipher.seal_into(keys::chunk_index(number, chunk), bytes, out);
            }
        })?;
        self.note_frame(offset, plain.len(), codec, Protection::Key(sealer.key), salt)?;
        Ok(number)
    }

    /// Takes a frame as it is.
    pub(super) fn keep_frame(&mut self, bytes: &[u8]) -> Result<u32> {
        let number = place(self.index.frames.len())?;
        let offset = self.body.len();
        self.body.append(|out| out.extend_from_slice(bytes))?;
        self.note_frame(offset, bytes.len(), Codec::Raw, Protection::Outside, Salt::default())?;
        Ok(number)
    }

    fn note_frame(
        &mut self,
        offset: u64,
        plain: usize,
        codec: Codec,
        protection: Protection,
        salt: Salt,
    ) -> Result<()> {
        let stored = u32::try_from(self.body.len() - offset).map_err(|_| too_large())?;
        let offset = u32::try_from(offset).map_err(|_| too_large())?;
        self.index.frames.push(Frame { offset, stored, plain: place(plain)?, codec, protection, salt });
        self.take_index(room::FRAME);
        Ok(())
    }

    /// Puts bytes into the frame that is shared, after a look whether they fit.
    pub(super) fn share(&mut self, pack: PackId, bytes: &[u8]) -> Result<Run> {
        if self.group.len() + bytes.len() > FRAME_BYTES {
            self.flush_group(pack)?;
        }
        if self.group.capacity() == 0 {
            self.group.reserve_exact(FRAME_BYTES);
        }
        let run = Run {
            pack: 0,
            frame: place(self.shared.len())?,
            at: place(self.group.len())?,
            length: place(bytes.len())?,
        };
        self.group.extend_from_slice(bytes);
        Ok(run)
    }

    /// The key of what is shared now.
    pub(super) fn shared_key(&mut self) -> Result<Arc<Sealer>> {
        if let Some(sealer) = &self.shared_key {
            return Ok(Arc::clone(sealer));
        }
        let purpose = if self.options.dedup.is_some() { KeyFor::Pack } else { KeyFor::Group };
        let sealer = Arc::new(self.fresh(purpose)?);
        self.shared_key = Some(Arc::clone(&sealer));
        Ok(sealer)
    }

    fn flush_group(&mut self, pack: PackId) -> Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        let sealer = self.shared_key()?;
        let group = std::mem::take(&mut self.group);
        let frame = self.seal_frame(pack, &sealer, &group, &mut Habit::of_many())?;
        self.shared.push(frame);
        if self.options.dedup.is_none() {
            self.shared_key = None;
        }
        self.group = group;
        self.group.clear();
        Ok(())
    }

    /// Where a chunk is, here or in another pack; what is new comes here.
    pub(super) fn chunk(&mut self, pack: PackId, dedup: &Dedup, bytes: &[u8]) -> Result<Run> {
        let id = dedup.cutter.name(bytes);
        if let Some(run) = self.chunks.get(&id) {
            return Ok(*run);
        }
        if let Some((other, run)) = dedup.known.find(&id)?
            && run.length as usize == bytes.len()
        {
            return Ok(Run { pack: self.other(other)?, ..run });
        }
        let run = self.share(pack, bytes)?;
        self.chunks.insert(id, run);
        let (frame, at, length) = (run.frame, run.at, run.length);
        self.index.chunks.push(super::NamedChunk { id, frame, at, length });
        self.take_index(room::CHUNK);
        Ok(run)
    }

    fn other(&mut self, pack: PackId) -> Result<u32> {
        if let Some(place) = self.others.get(&pack) {
            return Ok(*place);
        }
        self.index.packs.push(pack);
        self.take_index(room::ID);
        let place = place(self.index.packs.len())?;
        self.others.insert(pack, place);
        Ok(place)
    }

    /// Makes frames of what was counted by shared ones.
    fn resolve(&mut self) -> Result<()> {
        let shared = &self.shared;
        let frame_of = |number: u32| {
            let lost = || Error::Invalid(format!("seal a pack: its shared frame {number} was never sealed"));
            shared.get(number as usize).copied().ok_or_else(lost)
        };
        for chunk in &mut self.index.chunks {
            chunk.frame = frame_of(chunk.frame)?;
        }
        for entry in &mut self.index.archives {
            match &mut entry.place {
                Place::Grouped { frame, .. } => *frame = frame_of(*frame)?,
                Place::Chunked(runs) => {
                    for run in runs.iter_mut().filter(|run| run.pack == 0) {
                        run.frame = frame_of(run.frame)?;
                    }
                }
                Place::Own { .. } | Place::Outside { .. } => {}
            }
        }
        Ok(())
    }
}

/// What would be wrong with an index if it were read: nothing is sealed that no reader takes.
pub(super) fn fault(index: &Index, data_bytes: u64) -> Option<String> {
    let stored: u64 = index.frames.iter().map(|frame| u64::from(frame.stored)).sum();
    if stored != data_bytes {
        return Some(format!("its frames have {stored} bytes, its data {data_bytes}"));
    }
    match Index::from_bytes(&index.to_bytes()) {
        Ok(read) if read == *index => index.fault(data_bytes),
        Ok(_) => Some("its index is not read as it was".into()),
        Err(error) => Some(error.to_string()),
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "open with {} archives", self.index.archives.len())
    }
}

/// Salt and sealed index.
pub(super) fn seal_index(
    pack: PackId,
    index: &Index,
    vault: &DataKey,
    salt: &[u8; SALT_BYTES],
) -> Result<Vec<u8>> {
    let plain = index.to_bytes();
    if plain.len() > INDEX_PLAIN_MAX {
        return Err(Error::TooLarge {
            what: "the index of a pack",
            size: plain.len() as u64,
            limit: INDEX_PLAIN_MAX as u64,
        });
    }
    let length = SALT_BYTES as u64 + sealed_len(plain.len() as u64);
    let cipher = keys::index(pack, vault, salt, u32::try_from(length).map_err(|_| too_large())?);
    let mut sealed = salt.to_vec();
    for (number, chunk) in (0..).zip(plain.chunks(CHUNK_BYTES)) {
        cipher.seal_into(number, chunk, &mut sealed);
    }
    Ok(sealed)
}

pub(super) fn place(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| too_large())
}

fn too_large() -> Error {
    Error::Invalid("count in a pack beyond 32 bits".into())
}

/// Removes what packs that were never sealed left in a directory; for a start, when none is open. Answers how many there were.
pub fn sweep(directory: &Path) -> Result<usize> {
    let ending = format!(".{EXTENSION}{}", file::PARTIAL);
    let failed = |error| Error::io("read", directory, error);
    let mut swept = 0;
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&ending)) {
            file::remove(&path)?;
            swept += 1;
        }
    }
    Ok(swept)
}
