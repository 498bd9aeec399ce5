//! What was read from a remote pool, kept on a local disk: bounded, dropped at every start.
//!
//! ```text
//!   put ─► the newest file ─► full? ─► a new file, and while there are too many: the oldest one goes
//!                                       └► what was read from it meanwhile moves to the newest (a clock over files)
//! ```
//!
//! # Invariants
//! - Nothing is believed: who reads a piece verifies its tags, as for bytes from the store, and [`remove`](Cache::remove)s what
//!   does not match.
//! - A key stands for the same bytes for ever, so nothing in it is ever out of date.
//! - The sum of the files stays below the bound, and the file system keeps what is to be kept free.
//!
//! # Limits
//! Pieces of up to about a MiB, [`PIECES_MAX`] of them, whose index takes about 150 bytes of memory each: many small bodies fill it
//! before its bytes are. Up to [`FILES_MAX`] files are open. One writer at a time, [`PUTS_MAX`] more wait; what comes while they do
//! is not kept. A crash leaves files that the next start removes.

use crate::id::{BlobId, CopyId};
use crate::unit::ByteCount;
use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The smallest cache.
pub const CACHE_MIN: ByteCount = ByteCount::mib(32);
/// Files of a small cache: one fewer than would be even, so that whole pieces of a MiB and their tags fill those of the smallest.
const FILES: u64 = 15;
/// Files of the largest: each is open.
const FILES_MAX: u64 = 256;
/// A file gets no larger than this while there may be more of them.
const FILE_BYTES: u64 = 64 << 20;
/// Most bytes that move to a new file at once; they are in memory meanwhile.
const MOVED_MAX: u64 = 32 << 20;
/// Most pieces.
const PIECES_MAX: u64 = 1 << 20;
/// Pieces in memory that are being kept, or wait to be.
pub(super) const PUTS_MAX: usize = 32;
const SUFFIX: &str = "cache";

/// Where it lies, and how large it gets.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Its directory; made if missing. Files in it that look like a cache's are removed.
    pub dir: PathBuf,
    /// Bytes of its files, [`CACHE_MIN`] or more.
    pub bytes: ByteCount,
}

/// A piece: of which object, and the chunk that it begins with.
pub(crate) type PieceKey = (BlobId, CopyId, u64);

/// The cache.
pub(crate) struct Cache {
    options: CacheOptions,
    keep_free: ByteCount,
    file_bytes: u64,
    file_pieces: usize,
    index: Mutex<HashMap<PieceKey, Slot>>,
    files: Mutex<Files>,
    /// Bounds the pieces that wait for the one writer.
    puts: Arc<Semaphore>,
    /// It was said that it takes nothing.
    complained: AtomicBool,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    /// Bytes in its files, dropped pieces included.
    used: AtomicU64,
}

#[derive(Clone)]
struct Slot {
    file: Arc<File>,
    number: u64,
    offset: u64,
    len: usize,
    /// Read since it was written.
    used: bool,
}

/// The oldest in front.
#[derive(Default)]
struct Files {
    all: VecDeque<CacheFile>,
    next: u64,
}

struct CacheFile {
    number: u64,
    path: PathBuf,
    file: Arc<File>,
    written: u64,
    keys: Vec<PieceKey>,
}

impl Cache {
    pub(crate) fn open(options: CacheOptions, keep_free: ByteCount) -> Result<Self> {
        if options.bytes < CACHE_MIN {
            return Err(Error::Invalid(format!(
                "use a cache of {}: at least {CACHE_MIN} are wanted",
                options.bytes
            )));
        }
        let dir = &options.dir;
        std::fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
        for entry in std::fs::read_dir(dir).map_err(|e| Error::io("read", dir, e))? {
            let path = entry.map_err(|e| Error::io("read", dir, e))?.path();
            if path.extension().is_some_and(|extension| extension == SUFFIX) {
                std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
            }
        }
        let bytes = options.bytes.get();
        let file_bytes = (bytes / FILES).min(FILE_BYTES).max(bytes / FILES_MAX);
        let file_pieces = usize::try_from(PIECES_MAX / (bytes / file_bytes)).unwrap_or(usize::MAX);
        Ok(Self {
            options,
            keep_free,
            file_bytes,
            file_pieces,
            index: Mutex::default(),
            files: Mutex::default(),
            puts: Arc::new(Semaphore::new(PUTS_MAX)),
            complained: AtomicBool::new(false),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            used: AtomicU64::new(0),
        })
    }

    /// Bytes of its files now, and at most.
    pub(crate) fn fill(&self) -> (ByteCount, ByteCount) {
        (ByteCount::new(self.used.load(Ordering::Relaxed)), self.options.bytes)
    }

    /// A piece as it was put there, if it is still there. Reads a file: for the blocking pool.
    pub(crate) fn get(&self, key: &PieceKey) -> Option<Vec<u8>> {
        let slot = self.index.lock().get_mut(key).map(|slot| {
            slot.used = true;
            slot.clone()
        });
        let bytes = slot.and_then(|slot| read(&slot).ok());
        let count = if bytes.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        bytes
    }

    /// Forgets a piece.
    pub(crate) fn remove(&self, key: &PieceKey) {
        self.index.lock().remove(key);
    }

    /// A place among those who may [`put`](Self::put); none while the disk is behind, so that neither memory nor threads pile up.
    pub(super) fn may_put(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.puts).try_acquire_owned().ok()
    }

    /// Keeps a piece. What fails is said once and changes nothing: the bytes are in the store. For the blocking pool.
    pub(crate) fn put(&self, key: PieceKey, bytes: &[u8]) {
        if self.index.lock().contains_key(&key) {
            return;
        }
        let mut files = self.files.lock();
        match self.append(&mut files, key, bytes) {
            Ok(()) => self.complained.store(false, Ordering::Relaxed),
            Err(error) if !self.complained.swap(true, Ordering::Relaxed) => {
                tracing::warn!(dir = %self.options.dir.display(), %error, "the cache of a remote pool takes nothing");
            }
            Err(_) => {}
        }
    }

    fn append(&self, files: &mut Files, key: PieceKey, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        if len > self.file_bytes {
            return Ok(());
        }
        if files.all.back().is_none_or(|newest| !self.fits(newest, len)) && !self.rotate(files)? {
            return Ok(());
        }
        self.write(files, key, bytes)
    }

    fn fits(&self, file: &CacheFile, len: u64) -> bool {
        file.written + len <= self.file_bytes && file.keys.len() < self.file_pieces
    }

    /// Into the newest file, if there is room.
    fn write(&self, files: &mut Files, key: PieceKey, bytes: &[u8]) -> Result<()> {
        let Some(newest) = files.all.back_mut() else { return Ok(()) };
        let len = bytes.len() as u64;
        if !self.fits(newest, len) {
            return Ok(());
        }
        let offset = newest.written;
        newest.file.write_all_at(bytes, offset).map_err(|e| Error::io("write", &newest.path, e))?;
        newest.written += len;
        newest.keys.push(key);
        self.used.fetch_add(len, Ordering::Relaxed);
        let (file, number) = (Arc::clone(&newest.file), newest.number);
        self.index.lock().insert(key, Slot { file, number, offset, len: bytes.len(), used: false });
        Ok(())
    }

    /// A new file, and the oldest ones go; `false` when there is no room for one.
    fn rotate(&self, files: &mut Files) -> Result<bool> {
        let (mut kept, mut room) = (Vec::new(), (self.file_bytes / 2).min(MOVED_MAX));
        while !files.all.is_empty() && !self.has_room(files)? {
            kept.extend(self.evict(files, &mut room)?);
        }
        if !self.has_room(files)? {
            return Ok(false);
        }
        let number = files.next;
        files.next += 1;
        let path = self.options.dir.join(format!("{number:016x}.{SUFFIX}"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = Arc::new(file.map_err(|e| Error::io("create", &path, e))?);
        files.all.push_back(CacheFile { number, path, file, written: 0, keys: Vec::new() });
        for (key, bytes) in kept {
            self.write(files, key, &bytes)?;
        }
        Ok(true)
    }

    /// For one more file.
    fn has_room(&self, files: &Files) -> Result<bool> {
        if (files.all.len() as u64 + 1) * self.file_bytes > self.options.bytes.get() {
            return Ok(false);
        }
        let dir = &self.options.dir;
        let stat = rustix::fs::statvfs(dir).map_err(|e| Error::io("look at", dir, e.into()))?;
        let available = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(available >= self.keep_free.get().saturating_add(self.file_bytes))
    }

    /// Removes the oldest file; pieces of it that were read since they were written, as far as there is `room` for them.
    fn evict(&self, files: &mut Files, room: &mut u64) -> Result<Vec<(PieceKey, Vec<u8>)>> {
        let Some(oldest) = files.all.pop_front() else { return Ok(Vec::new()) };
        let mut kept = Vec::new();
        for key in &oldest.keys {
            let mut index = self.index.lock();
            let Some(slot) = index.get(key).filter(|slot| slot.number == oldest.number).cloned() else {
                continue;
            };
            index.remove(key);
            drop(index);
            if slot.used
                && slot.len as u64 <= *room
                && let Ok(piece) = read(&slot)
            {
                *room -= slot.len as u64;
                kept.push((*key, piece));
            }
        }
        self.used.fetch_sub(oldest.written, Ordering::Relaxed);
        std::fs::remove_file(&oldest.path).map_err(|e| Error::io("remove", &oldest.path, e))?;
        Ok(kept)
    }
}

fn read(slot: &Slot) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; slot.len];
    slot.file.read_exact_at(&mut bytes, slot.offset)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{CACHE_MIN, Cache, CacheOptions, PieceKey};
    use crate::id::{BlobId, CopyId};
    use crate::unit::ByteCount;

    fn key(n: u64) -> PieceKey {
        (BlobId::from_bytes([1; 16]), CopyId::from_bytes([2; 8]), n)
    }

    fn piece(n: u64) -> Vec<u8> {
        vec![n.to_le_bytes()[0]; 500_000]
    }

    fn open(dir: &std::path::Path) -> Cache {
        Cache::open(CacheOptions { dir: dir.join("cache"), bytes: CACHE_MIN }, ByteCount::ZERO).unwrap()
    }

    fn on_disk(dir: &std::path::Path) -> u64 {
        let files = std::fs::read_dir(dir.join("cache")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    #[test]
    fn it_stays_bounded_and_what_is_read_again_stays_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(dir.path());
        for n in 0..300 {
            cache.put(key(n), &piece(n));
            assert_eq!(cache.get(&key(7)).filter(|_| n >= 7), (n >= 7).then(|| piece(7)), "after {n}");
            assert!(on_disk(dir.path()) <= CACHE_MIN.get());
        }
        assert_eq!(cache.get(&key(299)), Some(piece(299)));
        assert_eq!(cache.get(&key(8)), None, "it was read by nobody");
        assert_eq!(cache.fill().0.get(), on_disk(dir.path()));
        cache.remove(&key(299));
        assert_eq!(cache.get(&key(299)), None);
    }

    #[test]
    fn a_cache_that_has_to_shrink_moves_no_more_than_half_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = open(dir.path());
        for n in 0..60 {
            cache.put(key(n), &piece(n));
            assert!(cache.get(&key(n)).is_some());
        }
        // As when the file system has room for two files no longer for fifteen.
        cache.options.bytes = ByteCount::new(cache.file_bytes * 2);
        cache.put(key(60), &piece(60));
        let kept = (0..60).filter(|n| cache.get(&key(*n)).is_some()).count();
        assert!(kept <= 2 + 4, "{kept}: of what was there, two pieces that moved and the newest file's");
        assert!(on_disk(dir.path()) <= cache.options.bytes.get());
    }

    #[test]
    fn a_large_cache_has_few_files_and_a_bounded_index() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [CACHE_MIN, ByteCount::gib(1), ByteCount::gib(100), ByteCount::gib(16 << 10)] {
            let options = CacheOptions { dir: dir.path().join("cache"), bytes };
            let cache = Cache::open(options, ByteCount::ZERO).unwrap();
            let files = bytes.get() / cache.file_bytes;
            assert!((15..=256).contains(&files), "{bytes}: {files} files");
            assert!(cache.file_pieces as u64 * files <= super::PIECES_MAX, "{bytes}");
        }
        let mut cache = open(dir.path());
        cache.file_pieces = 3;
        for n in 0..10 {
            cache.put(key(n), b"small");
        }
        assert_eq!(std::fs::read_dir(dir.path().join("cache")).unwrap().count(), 4, "three pieces a file");
        assert!((0..10).all(|n| cache.get(&key(n)).is_some()));
    }

    #[test]
    fn it_begins_empty_and_takes_its_old_files_away_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).put(key(1), &piece(1));
        std::fs::write(dir.path().join("cache/notes.txt"), "mine").unwrap();
        let cache = open(dir.path());
        assert_eq!((cache.get(&key(1)), on_disk(dir.path())), (None, 4));
        let small = CacheOptions { dir: dir.path().to_owned(), bytes: ByteCount::mib(31) };
        assert!(Cache::open(small, ByteCount::ZERO).is_err());
    }

    #[test]
    fn what_is_to_be_kept_free_is_kept_free() {
        let dir = tempfile::tempdir().unwrap();
        let options = CacheOptions { dir: dir.path().join("cache"), bytes: CACHE_MIN };
        let cache = Cache::open(options, ByteCount::new(u64::MAX)).unwrap();
        cache.put(key(1), &piece(1));
        assert_eq!((cache.get(&key(1)), on_disk(dir.path())), (None, 0));
    }
}
