//! Packs on their way to being sealed.
//!
//! ```text
//!   begin ──► Pack<Open>: ID.pack.new ── deposits ──► seal: index, parity, foot, head, sync ──► rename ──► Pack<Sealed>: ID.pack
//! ```
//! What was deposited is in the pack once it is sealed, and not before.

use super::body::Body;
use super::index::{
    About, Codec, Detail, Entry, Frame, Index, Moved, Place, Protection, Register, Run, Wrapped, room,
};
use super::keys::{self, IndexKey, KeyFor, Salt, Subkeys};
use super::layout::{INDEX_PLAIN_MAX, Layout, Names, SALT_BYTES};
use super::partial::Partial;
use super::squeeze::{self, Habit, Squeeze};
use super::{
    ArchiveId, CAPACITY_MAX, Deposit, EXTENSION, FRAME_BYTES, GroupId, Head, KeyId, NamedChunk, PackId,
    VaultId,
};
use crate::chunk::{ChunkId, Cutter};
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use engine::codec::DataKey;
use engine::codec::chunk::{CHUNK_BYTES, sealed_len};
use engine::entropy::Entropy;
use engine::{Error, Result, file};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The least that a pack can be told to hold: a part of 1 MiB, and more.
const CAPACITY_MIN: u64 = 2 << 20;
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
    /// Data bytes of one pack: 2 to 256 MiB.
    pub capacity: u64,
    /// Bytes of index of one pack, 64 KiB to 1 MiB: room for it is kept before the data of all that outgrow 16 MiB, so that
    /// whoever puts one archive into each pack wants less.
    pub index_bytes: usize,
    /// How hard zstd tries.
    pub level: i32,
    /// Whether what is alike is kept once.
    pub dedup: Option<Dedup>,
}

impl Options {
    /// Packs of 256 MiB, nothing deduplicated.
    pub const fn new(vault: VaultId) -> Self {
        Self {
            vault,
            capacity: CAPACITY_MAX,
            index_bytes: INDEX_PLAIN_MAX,
            level: squeeze::LEVEL,
            dedup: None,
        }
    }
}

/// A deduplication group.
#[derive(Clone, Debug)]
pub struct Dedup {
    /// Which one.
    pub group: GroupId,
    /// By the group's key.
    pub cutter: Cutter,
    /// The chunks that other packs hold.
    pub known: Arc<dyn Known>,
}

/// The chunks of a deduplication group that lie in sealed packs.
pub trait Known: Send + Sync + std::fmt::Debug {
    /// Where a chunk is: its pack, and the run there, which must stay there for as long as what is being deposited does. None that a scrub
    /// found damaged, nor one on a medium that is not there: what refers to it would be born as ill.
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
    partial: Partial,
    squeeze: Squeeze,
    /// What is in it, archives and register apart.
    pub(super) index: Index,
    /// Archives, or parts of them. Their runs, and those of chunks, are counted by shared frames; sealing makes frames of them.
    pub(super) entries: Vec<Pending>,
    /// What it has of each archive.
    pub(super) parts: HashMap<ArchiveId, Vec<Range<u64>>>,
    pub(super) index_max: usize,
    index_used: usize,
    /// The shared frame that is being filled.
    group: Vec<u8>,
    /// The frames that became of the shared ones before it.
    shared: Vec<u32>,
    /// The key of that frame; of all of them where chunks are deduplicated.
    shared_key: Option<Arc<Sealer>>,
    pub(super) register: Register,
    chunks: HashMap<ChunkId, Run>,
    others: HashMap<PackId, u32>,
    /// What the packs that this one replaces had of those that they replaced.
    pub(super) before: HashMap<PackId, Vec<Moved>>,
    /// The chunks of those that are here now.
    pub(super) carried: HashSet<(PackId, u32, u32)>,
    /// The directory can't be synced once the name is given.
    #[cfg(test)]
    pub(super) unsynced: bool,
}

/// An archive, or a part of one, of an open pack.
pub(super) struct Pending {
    pub(super) archive: ArchiveId,
    pub(super) part: u32,
    pub(super) place: Place,
    pub(super) about: About,
    pub(super) sealer: Arc<Sealer>,
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
    /// What the hashes and checksums in its head and foot are known by.
    pub tables: [u8; 32],
    /// What is said of each archive, in the order of [`Index::archives`].
    pub abouts: Vec<About>,
    /// The chunks that others may refer to.
    pub register: Register,
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
        let wanted = INDEX_PLAIN_MAX.min(options.index_bytes);
        let index_max = wanted.min(usize::try_from(options.capacity / 128).unwrap_or(wanted)).max(64 << 10);
        let index = Index {
            vault: options.vault,
            sealed_at: Timestamp::default(),
            group: options.dedup.as_ref().map(|dedup| dedup.group),
            keys: Vec::new(),
            packs: Vec::new(),
            replaces: Vec::new(),
            frames: Vec::new(),
            register: None,
            archives: Vec::new(),
            dropped: Vec::new(),
        };
        let body = Body::create(path.clone(), options.capacity, index_max)?;
        let partial = Partial::new(path.clone(), id, Arc::clone(&keys));
        let state = Open {
            keys,
            body,
            partial,
            squeeze: Squeeze::new(options.level)?,
            index,
            entries: Vec::new(),
            parts: HashMap::new(),
            index_max,
            index_used: room::FIXED,
            group: Vec::new(),
            shared: Vec::new(),
            shared_key: None,
            register: Register::default(),
            chunks: HashMap::new(),
            others: HashMap::new(),
            before: HashMap::new(),
            carried: HashSet::new(),
            entropy,
            broken: false,
            options,
            #[cfg(test)]
            unsynced: false,
        };
        Ok(Self { id, path, state })
    }

    /// Takes an archive, or the next part of one; `None` when the pack is full: seal it, or discard it where it has no archive,
    /// and go on in another one. A new pack has room.
    pub fn deposit(&mut self, head: Head) -> Result<Option<Deposit<'_>>> {
        self.check()?;
        head.check()?;
        let needs = room::ENTRY + head.description.len() + head.note.len() + SPARE_INDEX;
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
        self.state.entries.len()
    }

    /// Bytes of data so far, with those that wait for their frame.
    pub const fn data_bytes(&self) -> u64 {
        self.state.used()
    }

    /// Notes that an archive is no more, for whoever makes the vault's index anew from packs of which an older one still has it. `false` when the
    /// index is full.
    pub fn note_dropped(&mut self, archive: ArchiveId, at: Timestamp) -> Result<bool> {
        self.check()?;
        if self.state.index_left() < room::DROPPED + SPARE_INDEX {
            return Ok(false);
        }
        self.state.take_index(room::DROPPED);
        self.state.index.dropped.push((archive, at));
        Ok(true)
    }

    /// Seals it: from now on it is whole, durable, has its name, and never changes. `vault` is the key that the vault's indexes are
    /// sealed under. After an error nothing is left of it, but for [`Error::Unknown`]: then it has its name, of which it is not known whether it
    /// outlives a power cut; look for it at the next start.
    pub fn seal(mut self, vault: &IndexKey, now: Timestamp) -> Result<Pack<Sealed>> {
        let id = self.id;
        let what_for = !self.state.entries.is_empty()
            || !self.state.index.dropped.is_empty()
            || !self.state.index.replaces.is_empty();
        if !what_for {
            return Err(Error::Invalid(format!("seal pack {id}: it holds no archive; discard it")));
        }
        let (abouts, mut wrapped) = self.step(|state| state.close(id, now))?;
        let Self { path: partial_path, state, .. } = self;
        let Open { body, mut partial, index, register, entropy, .. } = state;
        let salt = salt(&*entropy);
        let length = SALT_BYTES as u64 + sealed_len(wrapped.len() as u64);
        let names = Names { pack: id, vault: index.vault, index_key: vault.id };
        let mut tables = [0; 32];
        let layout = body.finish(names, length, |found| {
            tables = found;
            let cipher = |sealed| keys::index(id, &vault.key, &salt, sealed);
            keys::seal(wrapped.with(found), &salt, cipher).ok_or_else(too_large)
        })?;
        let path = partial_path.with_extension("");
        std::fs::rename(&partial_path, &path).map_err(|error| Error::io("rename", &partial_path, error))?;
        partial.keep();
        let synced = file::sync_dir(path.parent().unwrap_or(Path::new(".")));
        #[cfg(test)]
        let synced = if state.unsynced { Err(Error::Closed) } else { synced };
        synced.map_err(|error| Error::Unknown {
            reason: format!(
                "pack {id} is whole and has its name, but failed to {error}; look for it at the next start"
            ),
        })?;
        Ok(Pack { id, path, state: Sealed { layout, index, tables, abouts, register } })
    }

    /// Gives it up, file, subkeys and all. Dropping it does the same, and keeps quiet about what fails.
    pub fn discard(self) -> Result<()> {
        let Open { body, mut partial, .. } = self.state;
        drop(body);
        partial.give_up()
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

    /// Its archives, and what is said of each.
    pub fn archives(&self) -> impl Iterator<Item = (&Entry, &About)> {
        self.state.index.archives.iter().zip(&self.state.abouts)
    }

    /// The chunks that others may refer to from now on.
    pub fn chunks(&self) -> &[NamedChunk] {
        &self.state.register.chunks
    }

    /// What the hashes in its head and foot are known by.
    pub const fn tables(&self) -> &[u8; 32] {
        &self.state.tables
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
    pub(super) fn fresh(&mut self, pack: PackId, purpose: KeyFor) -> Result<Sealer> {
        let (id, subkey): (KeyId, DataKey) = self.keys.fresh(pack, purpose)?;
        let key = place(self.index.keys.len())?;
        self.index.keys.push(id);
        self.take_index(room::ID);
        Ok(Sealer { key, subkey })
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
        let salt = salt(&*self.entropy);
        let cipher = keys::frame(pack, &sealer.subkey, &salt);
        self.body.append(|out| {
            for (chunk, bytes) in (0..).zip(squeezed.chunks(CHUNK_BYTES)) {
                cipher.seal_into(keys::chunk_index(number, chunk), bytes, out);
            }
        })?;
        self.note_frame(offset, codec, Protection::Key(sealer.key), salt)?;
        Ok(number)
    }

    /// Takes a frame as it is.
    pub(super) fn keep_frame(&mut self, bytes: &[u8]) -> Result<u32> {
        let number = place(self.index.frames.len())?;
        let offset = self.body.len();
        let bytes = self.squeeze.padded(bytes);
        self.body.append(|out| out.extend_from_slice(bytes))?;
        self.note_frame(offset, Codec::Raw, Protection::Outside, Salt::default())?;
        Ok(number)
    }

    fn note_frame(&mut self, offset: u64, codec: Codec, protection: Protection, salt: Salt) -> Result<()> {
        let stored = u32::try_from(self.body.len() - offset).map_err(|_| too_large())?;
        let offset = u32::try_from(offset).map_err(|_| too_large())?;
        self.index.frames.push(Frame { offset, stored, codec, protection, salt });
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
    pub(super) fn shared_key(&mut self, pack: PackId) -> Result<Arc<Sealer>> {
        if let Some(sealer) = &self.shared_key {
            return Ok(Arc::clone(sealer));
        }
        let purpose = if self.options.dedup.is_some() { KeyFor::Pack } else { KeyFor::Group };
        let sealer = Arc::new(self.fresh(pack, purpose)?);
        self.shared_key = Some(Arc::clone(&sealer));
        Ok(sealer)
    }

    fn flush_group(&mut self, pack: PackId) -> Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        let sealer = self.shared_key(pack)?;
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
        // What lies in a pack that this one replaces is not there for long.
        if let Some((other, run)) = dedup.known.find(&id)?
            && run.length as usize == bytes.len()
            && !self.index.replaces.contains(&other)
        {
            return Ok(Run { pack: self.other(other)?, ..run });
        }
        self.chunk_here(pack, id, bytes)
    }

    /// Where a chunk is in this pack, where it comes to if it is not.
    pub(super) fn chunk_here(&mut self, pack: PackId, id: ChunkId, bytes: &[u8]) -> Result<Run> {
        if let Some(run) = self.chunks.get(&id) {
            return Ok(*run);
        }
        let run = self.share(pack, bytes)?;
        self.chunks.insert(id, run);
        let (frame, at, length) = (run.frame, run.at, run.length);
        self.register.chunks.push(NamedChunk { id, frame, at, length });
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

    /// Ends the last frame, and makes the index of what is there: what is said of each archive, and the index to be sealed.
    fn close(&mut self, pack: PackId, now: Timestamp) -> Result<(Vec<About>, Wrapped)> {
        self.flush_group(pack)?;
        self.resolve()?;
        self.register.moved.sort_unstable_by_key(Moved::place);
        self.index.sealed_at = now;
        if self.register != Register::default() {
            let sealer = self.shared_key(pack)?;
            let salt = salt(&*self.entropy);
            let cipher = |sealed| keys::register(pack, &sealer.subkey, &salt, sealed);
            let register = keys::seal(&self.register.to_bytes(), &salt, cipher).ok_or_else(too_large)?;
            self.index.register = Some((sealer.key, register));
        }
        let mut abouts = Vec::with_capacity(self.entries.len());
        for pending in std::mem::take(&mut self.entries) {
            let Pending { archive, part, place, about: said, sealer } = pending;
            let salt = salt(&*self.entropy);
            let cipher = |sealed| keys::entry(pack, &sealer.subkey, archive, part, &salt, sealed);
            let private = keys::seal(&said.to_bytes(), &salt, cipher).ok_or_else(too_large)?;
            let last = said.tree_hash.is_some();
            self.index.archives.push(Entry { archive, part, last, key: sealer.key, private, place });
            abouts.push(said);
        }
        let record = self.index.to_bytes();
        debug_assert!(record.len() <= self.index_used, "{} of {}", record.len(), self.index_used);
        let fault =
            fault(&self.index, self.body.len()).or_else(|| unlike(&self.index, &abouts, &self.register));
        if let Some(detail) = fault {
            return Err(Error::Corrupt { what: format!("pack {pack}, before it was sealed"), detail });
        }
        Ok((abouts, Wrapped::of(&record)?))
    }

    /// Makes frames of what was counted by shared ones.
    fn resolve(&mut self) -> Result<()> {
        let shared = &self.shared;
        let frame_of = |number: u32| {
            let lost = || Error::Invalid(format!("seal a pack: its shared frame {number} was never sealed"));
            shared.get(number as usize).copied().ok_or_else(lost)
        };
        for chunk in &mut self.register.chunks {
            chunk.frame = frame_of(chunk.frame)?;
        }
        for moved in &mut self.register.moved {
            moved.new_frame = frame_of(moved.new_frame)?;
        }
        for Pending { place, about, .. } in &mut self.entries {
            if let Place::Grouped { frame } = place {
                *frame = frame_of(*frame)?;
            }
            if let Detail::Chunked(runs) = &mut about.detail {
                for run in runs.iter_mut().filter(|run| run.pack == 0) {
                    run.frame = frame_of(run.frame)?;
                }
            }
        }
        Ok(())
    }
}

fn salt(entropy: &dyn Entropy) -> Salt {
    let mut salt = Salt::default();
    entropy.fill(&mut salt);
    salt
}

/// What would be wrong with what is sealed within an index if it were read.
fn unlike(index: &Index, abouts: &[About], register: &Register) -> Option<String> {
    for (entry, about) in index.archives.iter().zip(abouts) {
        let same = About::from_bytes(&about.to_bytes()).is_ok_and(|read| read == *about);
        let fault = if same { about.fault(index, entry) } else { Some("it is not read as it was") };
        if let Some(fault) = fault {
            return Some(format!("{:?}: {fault}", entry.archive));
        }
    }
    let same = Register::from_bytes(&register.to_bytes()).is_ok_and(|read| read == *register);
    let fault = if same { register.fault(index) } else { Some("it is not read as it was") };
    fault.map(|fault| format!("its register: {fault}"))
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
        write!(f, "open with {} archives", self.entries.len())
    }
}

pub(super) fn place(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| too_large())
}

fn too_large() -> Error {
    Error::Invalid("count in a pack beyond 32 bits".into())
}
