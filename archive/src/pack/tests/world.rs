//! What the tests of packs stand on.

use crate::chunk::{ChunkId, Cutter};
use crate::pack::{
    About, ArchiveId, Dedup, Entry, GroupId, Head, IndexKey, IndexKeyId, KeyFor, KeyId, Known, Layout, Open,
    Options, Pack, PackId, Packs, Reader, Run, Scrubbed, Sealed, Subkeys, VaultId,
};
use crate::source::ReadAt;
use engine::Result;
use engine::clock::Timestamp;
use engine::codec::DataKey;
use engine::entropy::{Entropy, SeededEntropy};
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub(super) const VAULT: IndexKey =
    IndexKey { id: IndexKeyId::from_bytes([0x4B; 16]), key: DataKey::from_bytes([0x5A; 32]) };
pub(super) const GROUP: GroupId = GroupId::from_bytes([0x6A; 16]);
pub(super) const WHOSE: VaultId = VaultId::from_bytes([7; 16]);
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// A table of subkeys in memory.
#[derive(Debug)]
pub(super) struct Table {
    entropy: SeededEntropy,
    rows: Mutex<HashMap<KeyId, (PackId, DataKey)>>,
    pub(super) asked: Mutex<Vec<KeyFor>>,
}

impl Subkeys for Table {
    fn fresh(&self, pack: PackId, purpose: KeyFor) -> Result<(KeyId, DataKey)> {
        let (id, key) = (KeyId::random(&self.entropy), DataKey::random(&self.entropy));
        self.rows.lock().unwrap().insert(id, (pack, key.clone()));
        self.asked.lock().unwrap().push(purpose);
        Ok((id, key))
    }

    fn find(&self, id: KeyId) -> Result<Option<DataKey>> {
        Ok(self.rows.lock().unwrap().get(&id).map(|(_, key)| key.clone()))
    }

    fn abandon(&self, pack: PackId) -> Result<()> {
        self.rows.lock().unwrap().retain(|_, (of, _)| *of != pack);
        Ok(())
    }
}

impl Table {
    pub(super) fn erase(&self, id: KeyId) {
        self.rows.lock().unwrap().remove(&id);
    }

    /// The subkeys, in hex, by their ids.
    pub(super) fn listed(&self) -> Vec<(String, String)> {
        let rows = self.rows.lock().unwrap();
        let mut listed: Vec<_> =
            rows.iter().map(|(id, (_, key))| (id.to_string(), hex::encode(key.as_bytes()))).collect();
        listed.sort();
        listed
    }

    pub(super) fn count(&self) -> usize {
        self.rows.lock().unwrap().len()
    }
}

/// Chunks of sealed packs.
#[derive(Debug, Default)]
pub(super) struct Chunks(Mutex<HashMap<ChunkId, (PackId, Run)>>);

impl Known for Chunks {
    fn find(&self, id: &ChunkId) -> Result<Option<(PackId, Run)>> {
        Ok(self.0.lock().unwrap().get(id).copied())
    }
}

/// A vault: its keys, its packs and where they lie.
pub(super) struct World {
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) keys: Arc<Table>,
    pub(super) chunks: Arc<Chunks>,
    pub(super) dir: tempfile::TempDir,
    pub(super) options: Options,
    pub(super) packs: Mutex<HashMap<PackId, Arc<Reader>>>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let keys =
            Table { entropy: SeededEntropy::new(!seed), rows: Mutex::default(), asked: Mutex::default() };
        let options = Options { capacity: 32 << 20, ..Options::new(WHOSE) };
        Self {
            entropy: Arc::new(SeededEntropy::new(seed)),
            keys: Arc::new(keys),
            chunks: Arc::default(),
            dir: tempfile::tempdir().unwrap(),
            options,
            packs: Mutex::default(),
        }
    }

    pub(super) fn with_dedup(seed: u64) -> Self {
        let mut world = Self::new(seed);
        let known: Arc<dyn Known> = Arc::clone(&world.chunks) as _;
        world.options.dedup =
            Some(Dedup { group: GROUP, cutter: Cutter::new(&DataKey::from_bytes([3; 32])), known });
        world
    }

    pub(super) fn begin(&self) -> Pack<Open> {
        let keys: Arc<dyn Subkeys> = Arc::clone(&self.keys) as _;
        Pack::begin(self.dir.path(), self.options.clone(), keys, Arc::clone(&self.entropy)).unwrap()
    }

    /// Seals a pack, and knows its chunks from then on.
    pub(super) fn seal(&self, pack: Pack<Open>) -> Pack<Sealed> {
        let sealed = pack.seal(&VAULT, NOW).unwrap();
        for chunk in sealed.chunks() {
            let run = Run { pack: 0, frame: chunk.frame, at: chunk.at, length: chunk.length };
            self.chunks.0.lock().unwrap().insert(chunk.id, (sealed.id(), run));
        }
        let reader = Arc::new(open(std::fs::read(sealed.path()).unwrap()).unwrap());
        assert_eq!(reader.index(), sealed.index(), "what is read is what was written");
        assert_eq!(reader.layout(), sealed.layout());
        assert_eq!(reader.tables(), sealed.tables());
        assert_eq!(reader.register(&*self.keys).unwrap().chunks, sealed.chunks());
        for (entry, about) in sealed.archives() {
            assert_eq!(&reader.about(entry, &*self.keys).unwrap(), about);
        }
        assert_eq!(std::fs::metadata(sealed.path()).unwrap().len(), sealed.layout().total_bytes());
        self.packs.lock().unwrap().insert(sealed.id(), reader);
        sealed
    }

    /// A sealed pack of these archives, whose ids are their places.
    pub(super) fn pack_of(&self, archives: &[Vec<u8>]) -> Pack<Sealed> {
        let mut pack = self.begin();
        for (place, bytes) in (0_u8..).zip(archives) {
            put(&mut pack, id(place), bytes);
        }
        self.seal(pack)
    }

    pub(super) fn read(&self, reader: &Reader, archive: ArchiveId) -> Result<Vec<u8>> {
        let entry = reader.index().entry(archive).unwrap().clone();
        let about = reader.about(&entry, &*self.keys)?;
        self.read_range(reader, &entry, 0..about.length)
    }

    pub(super) fn about(&self, reader: &Reader, archive: ArchiveId) -> About {
        reader.about(reader.index().entry(archive).unwrap(), &*self.keys).unwrap()
    }

    /// What a sealed pack can be read by.
    pub(super) fn reader_of(&self, pack: &Pack<Sealed>) -> Arc<Reader> {
        Arc::clone(&self.packs.lock().unwrap()[&pack.id()])
    }

    pub(super) fn read_range(
        &self,
        reader: &Reader,
        entry: &Entry,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<u8>> {
        let mut found = Vec::new();
        reader.read(entry, range, &*self.keys, self, &mut |bytes| {
            found.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(found)
    }
}

impl Packs for World {
    fn reader(&self, pack: PackId) -> Result<Arc<Reader>> {
        let found = self.packs.lock().unwrap().get(&pack).cloned();
        found.ok_or_else(|| engine::Error::NotFound { what: "pack", id: pack.to_string() })
    }
}

pub(super) const fn id(place: u8) -> ArchiveId {
    ArchiveId::from_bytes([place; 16])
}

pub(super) fn head(archive: ArchiveId) -> Head {
    let description = format!("about {archive}").into_bytes();
    Head { archive, created: NOW, description, note: b"kept".to_vec(), offset: 0, outside: false, lead: 0 }
}

/// Deposits an archive whole.
pub(super) fn put(pack: &mut Pack<Open>, archive: ArchiveId, bytes: &[u8]) {
    let mut deposit = pack.deposit(head(archive)).unwrap().expect("the pack is full");
    // In pieces of odd lengths, as they come.
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = rest.len().min(300_007);
        assert_eq!(deposit.write(&rest[..piece]).unwrap(), piece, "the pack is full");
        rest = &rest[piece..];
    }
    deposit.finish(hash(bytes)).unwrap();
}

pub(super) fn hash(bytes: &[u8]) -> [u8; 32] {
    *crate::tree_hash::TreeHash::of(bytes).as_bytes()
}

pub(super) fn open(bytes: Vec<u8>) -> Result<Reader> {
    open_from(Arc::new(bytes))
}

/// Whichever pack is there.
pub(super) fn open_from(source: Arc<dyn ReadAt + Send + Sync>) -> Result<Reader> {
    let pack = Layout::find(&*source, None)?.pack();
    Reader::open(source, pack, WHOSE, &VAULT)
}

/// Whichever pack is there.
pub(super) fn scrub(source: &dyn ReadAt) -> Result<Scrubbed> {
    crate::pack::scrub(source, None)
}

/// Bytes that nothing compresses.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Bytes like those of source code: words from a short list.
pub(super) fn text(seed: u64, length: usize) -> Vec<u8> {
    const WORDS: [&str; 8] =
        ["frame ", "let mut ", "pack.", "archive ", "(self, ", ") -> Result<", "{\n    ", "}\n"];
    let dice = noise(seed, length);
    let words = dice.iter().flat_map(|byte| WORDS[usize::from(byte % 8)].bytes());
    words.take(length).collect()
}

/// A number below a bound.
pub(super) fn below(entropy: &dyn Entropy, bound: u64) -> u64 {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    u64::from_le_bytes(bytes) % bound
}

/// Counts what is read.
pub(super) struct Counted {
    pub(super) bytes: Vec<u8>,
    pub(super) read: AtomicU64,
}

impl Counted {
    pub(super) fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { bytes, read: AtomicU64::new(0) })
    }

    pub(super) fn so_far(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl ReadAt for Counted {
    fn byte_len(&self) -> io::Result<u64> {
        self.bytes.byte_len()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(out.len() as u64, Ordering::Relaxed);
        self.bytes.read_at(at, out)
    }
}
