//! Makes one pack, in a thread of its own: archives come through a channel, a sealed file comes out. And reads it back.

use super::rows::{ChunkRow, PackRow, PackState};
use super::{Result, Vault, Vaults, media, tables};
use crate::chunk::{ChunkId, Cutter};
use crate::pack::{
    ArchiveId, Dedup, Head, Index, KeyFor, KeyId, Known, NamedChunk, Options, PART_BYTES, Pack, PackId,
    Packs, Place, Reader, Run, Session, Subkeys, scrub,
};
use crate::tree_hash::{TreeHash, TreeHasher};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::codec::DataKey;
use engine::{Error, file};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;

/// Readers that are kept open for chunks in other packs.
const READERS_MAX: usize = 16;

/// A vault's rows, for threads that may wait.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) vaults: Arc<Vaults>,
    pub(super) vault: Arc<Vault>,
    pub(super) handle: Handle,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rows of vault {}", self.vault.name)
    }
}

impl Rows {
    /// Within a runtime.
    pub(super) fn of(vaults: &Arc<Vaults>, vault: &Arc<Vault>) -> Self {
        Self { vaults: Arc::clone(vaults), vault: Arc::clone(vault), handle: Handle::current() }
    }

    fn get(&self, key: engine::catalog::Key) -> engine::Result<Option<Bytes>> {
        self.handle.block_on(async {
            let snapshot = self.vaults.catalog.snapshot(self.vault.home).await?;
            snapshot.get(key).await
        })
    }

    fn pack(&self, pack: PackId) -> engine::Result<Option<PackRow>> {
        self.get(tables::of_pack(tables::PACKS, pack))?.map(|raw| PackRow::from_bytes(&raw)).transpose()
    }

    /// Opens a pack where it is to be. Blocks.
    pub(super) fn open(&self, pack: PackId) -> engine::Result<(PathBuf, Reader)> {
        let row = self.pack(pack)?.ok_or_else(|| no_pack(pack))?;
        let path = media::file_of(&self.vaults.media.look_now(row.medium)?, pack);
        let reader = open_at(&path, pack, &self.vault)?;
        Ok((path, reader))
    }
}

pub(super) fn no_pack(pack: PackId) -> Error {
    Error::NotFound { what: "pack", id: pack.to_string() }
}

/// Opens a pack's file.
pub(super) fn open_at(path: &Path, pack: PackId, vault: &Vault) -> engine::Result<Reader> {
    let opened = file::open_regular(path).map_err(|error| Error::io("open", path, error))?;
    Reader::open(Arc::new(opened), pack, vault.id, &vault.secrets.index)
}

/// Subkeys: those of rows, and new ones that have no row yet.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) rows: Rows,
    pub(super) fresh: Mutex<HashMap<KeyId, DataKey>>,
}

impl Keys {
    pub(super) fn of(rows: Rows) -> Self {
        Self { rows, fresh: Mutex::default() }
    }
}

impl Subkeys for Keys {
    fn fresh(&self, _pack: PackId, _purpose: KeyFor) -> engine::Result<(KeyId, DataKey)> {
        let entropy = &*self.rows.vaults.entropy;
        let (id, key) = (KeyId::random(entropy), DataKey::random(entropy));
        self.fresh.lock().insert(id, key.clone());
        Ok((id, key))
    }

    fn find(&self, id: KeyId) -> engine::Result<Option<DataKey>> {
        if let Some(key) = self.fresh.lock().get(&id) {
            return Ok(Some(key.clone()));
        }
        let row = self.rows.get(tables::of_key(id))?;
        row.map(|raw| self.rows.vault.secrets.open_subkey(id, &raw)).transpose()
    }

    /// New ones have no rows before their pack counts.
    fn abandon(&self, _pack: PackId) -> engine::Result<()> {
        Ok(())
    }
}

/// The chunks of the vault's packs. Those of a pack that is to go are not known.
#[derive(Debug)]
struct Chunks(Rows);

impl Known for Chunks {
    fn find(&self, id: &ChunkId) -> engine::Result<Option<(PackId, Run)>> {
        let Some(raw) = self.0.get(tables::CHUNKS.key(id.as_bytes().to_vec()))? else { return Ok(None) };
        let ChunkRow { pack, frame, at, length } = ChunkRow::from_bytes(&raw)?;
        let is_kept = self.0.pack(pack)?.is_some_and(|row| row.state == PackState::Kept);
        Ok(is_kept.then_some((pack, Run { pack: 0, frame, at, length })))
    }
}

/// Packs that archives of another pack have chunks in.
pub(super) struct Others {
    rows: Rows,
    open: Mutex<HashMap<PackId, Arc<Reader>>>,
}

impl Others {
    pub(super) fn of(rows: Rows) -> Self {
        Self { rows, open: Mutex::default() }
    }
}

impl Packs for Others {
    fn reader(&self, pack: PackId) -> engine::Result<Arc<Reader>> {
        if let Some(reader) = self.open.lock().get(&pack) {
            return Ok(Arc::clone(reader));
        }
        let reader = Arc::new(self.rows.open(pack)?.1);
        let mut open = self.open.lock();
        if open.len() >= READERS_MAX {
            open.clear();
        }
        open.insert(pack, Arc::clone(&reader));
        Ok(reader)
    }
}

/// What comes to the pack.
#[derive(Debug)]
pub(super) enum Feed {
    /// An archive, or what is left of one, and the tree hash of all of it.
    Begin(Head, TreeHash),
    /// Bytes of it.
    Bytes(Bytes),
    /// That was all of it.
    End,
    /// It can't be read on: as if it had not come.
    Abandon,
    /// No more archives.
    Finish,
}

/// A part of an archive that the pack has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) archive: ArchiveId,
    pub(super) from: u64,
    pub(super) to: u64,
    /// It ends the archive.
    pub(super) last: bool,
    /// Over its bytes.
    pub(super) hash: TreeHash,
}

/// A sealed pack, and what is in it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) pack: PackId,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) index: Index,
    tables: [u8; 32],
    pub(super) chunks: Vec<NamedChunk>,
    pub(super) parts: Vec<Part>,
}

impl Built {
    /// The key that a part has for itself.
    pub(super) fn own_key(&self, part: &Part) -> Option<KeyId> {
        self.key(part).filter(|(_, is_own)| *is_own).map(|(key, _)| key)
    }

    /// Bytes of the archives in it, as a counter takes them.
    pub(super) fn held(&self) -> i64 {
        let held = self.parts.iter().map(|part| part.to - part.from).sum::<u64>();
        i64::try_from(held).unwrap_or(i64::MAX)
    }

    /// The key that a part is under, and whether it has it for itself.
    pub(super) fn key(&self, part: &Part) -> Option<(KeyId, bool)> {
        let mut entries = self.index.archives.iter();
        let entry = entries.find(|entry| (entry.archive, entry.offset()) == (part.archive, part.from))?;
        let is_own = matches!(entry.place, Place::Own { .. } | Place::Outside { .. });
        self.index.keys.get(entry.key as usize).map(|key| (*key, is_own))
    }
}

/// Makes a pack of what comes. `None`: nothing came. Blocks.
pub(super) fn build(keys: &Arc<Keys>, deduplicates: bool, feed: Receiver<Feed>) -> Result<Option<Built>> {
    let (vaults, vault) = (&keys.rows.vaults, &keys.rows.vault);
    let known: Arc<dyn Known> = Arc::new(Chunks(keys.rows.clone()));
    let dedup = deduplicates.then(|| Dedup {
        group: vault.secrets.group,
        cutter: Cutter::new(&vault.secrets.group_key),
        known,
    });
    let options = Options { capacity: vaults.packing.capacity, dedup, ..Options::new(vault.id) };
    let subkeys: Arc<dyn Subkeys> = Arc::clone(keys) as _;
    crate::pack::sweep(&vaults.making, &HashSet::new(), &**keys)?;
    let mut pack = Pack::begin(&vaults.making, options, subkeys, Arc::clone(&vaults.entropy))?;
    let parts = match fill(&mut pack, feed) {
        Ok(parts) if !parts.is_empty() => parts,
        outcome => {
            pack.discard()?;
            return outcome.map(|_| None);
        }
    };
    seal(&keys.rows, pack, parts).map(Some)
}

/// Seals what was filled.
pub(super) fn seal(rows: &Rows, pack: Pack<crate::pack::Open>, parts: Vec<Part>) -> Result<Built> {
    let sealed = pack.seal(&rows.vault.secrets.index, rows.vaults.clock.now())?;
    let bytes = sealed.layout().total_bytes();
    let (pack, path, index) = (sealed.id(), sealed.path().to_owned(), sealed.index().clone());
    let (tables, chunks) = (*sealed.tables(), sealed.chunks().to_vec());
    Ok(Built { pack, path, bytes, index, tables, chunks, parts })
}

fn fill(pack: &mut Pack<crate::pack::Open>, mut feed: Receiver<Feed>) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    loop {
        let (head, tree_hash) = match feed.blocking_recv() {
            Some(Feed::Begin(head, tree_hash)) => (head, tree_hash),
            Some(Feed::Finish) => return Ok(parts),
            Some(Feed::Abandon) => continue,
            Some(Feed::Bytes(_) | Feed::End) | None => return Err(Error::Closed.into()),
        };
        let (archive, from) = (head.archive, head.offset);
        let Some(mut deposit) = pack.deposit(head)? else { return Ok(parts) };
        let (mut hash, mut to) = (PartHash::default(), from);
        let is_full = loop {
            match feed.blocking_recv() {
                Some(Feed::Bytes(bytes)) => {
                    let taken = deposit.write(&bytes)?;
                    hash.update(&bytes[..taken]);
                    to += taken as u64;
                    if taken < bytes.len() {
                        break Some(true);
                    }
                }
                Some(Feed::End) => break Some(false),
                Some(Feed::Abandon) => break None,
                Some(Feed::Begin(..) | Feed::Finish) | None => return Err(Error::Closed.into()),
            }
        };
        let hash = match is_full {
            None => {
                drop(deposit);
                continue;
            }
            Some(true) => {
                let hash = hash.at_cut();
                to = deposit.suspend(*hash.as_bytes())?;
                hash
            }
            Some(false) if from == 0 => {
                deposit.finish(*tree_hash.as_bytes())?;
                tree_hash
            }
            Some(false) => {
                let hash = hash.whole();
                deposit.finish_part(*hash.as_bytes(), *tree_hash.as_bytes())?;
                hash
            }
        };
        if to > from {
            parts.push(Part { archive, from, to, last: is_full == Some(false), hash });
        }
        if is_full == Some(true) {
            return Ok(parts);
        }
    }
}

/// The tree hash of a part, and of as much of it as is kept where the pack is full: whole MiB.
#[derive(Default)]
struct PartHash {
    tree: TreeHasher,
    cut: TreeHasher,
}

impl PartHash {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(PART_BYTES - self.tree.bytes() % PART_BYTES).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.tree.update(now);
            if self.tree.bytes().is_multiple_of(PART_BYTES) {
                self.cut = self.tree.clone();
            }
            bytes = later;
        }
    }

    fn at_cut(self) -> TreeHash {
        self.cut.finish()
    }

    fn whole(self) -> TreeHash {
        self.tree.finish()
    }
}

/// Reads a pack back from where it is now: every cell, and every byte of every part. Blocks.
pub(super) fn read_back(keys: &Arc<Keys>, built: &Built, path: &Path) -> Result<()> {
    let reader = open_at(path, built.pack, &keys.rows.vault)?;
    let wrong = |detail: String| {
        let what = format!("pack {} as it was read back from {}", built.pack, path.display());
        super::Error::from(Error::Corrupt { what, detail })
    };
    let opened = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let found = scrub(&opened, Some(built.pack))?;
    if !found.is_whole() || !found.is_sealed_by(&built.tables) || *reader.index() != built.index {
        return Err(wrong("it is not what was written".to_owned()));
    }
    let others = Others::of(keys.rows.clone());
    let mut session = Session::new(&**keys, &others)?;
    for part in &built.parts {
        let entry = reader.part(part.archive, part.from);
        let entry = entry.ok_or_else(|| wrong(format!("{:?} is not in it", part.archive)))?;
        let mut hash = TreeHasher::new();
        let length = session.about(&reader, entry)?.length;
        session.read(&reader, entry, 0..length, &mut |bytes| {
            hash.update(bytes);
            Ok(())
        })?;
        if length != part.to - part.from || hash.finish() != part.hash {
            return Err(wrong(format!("{:?} is not what it was", part.archive)));
        }
    }
    Ok(())
}
