//! Open packs that are kept: an index is read once for many archives.

use super::{PackId, Reader};
use engine::Result;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Readers, the ones that were wanted last, in bounded memory.
#[derive(Debug)]
pub struct Readers {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    readers: HashMap<PackId, Kept>,
    bytes: usize,
    /// Counts what was asked for.
    now: u64,
}

#[derive(Debug)]
struct Kept {
    reader: Arc<Reader>,
    bytes: usize,
    wanted: u64,
}

impl Readers {
    /// Keeps as many as take no more than so many bytes of memory, and the newest one in any case. Those that somebody reads with live on.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit: limit_bytes, held: Mutex::default() }
    }

    /// The reader of a pack: one that is kept, or the one that `open` gives. Where that gives the reader of the pack which was written in its place, it
    /// is kept by the name that was asked for.
    pub fn get(&self, pack: PackId, open: impl FnOnce() -> Result<Arc<Reader>>) -> Result<Arc<Reader>> {
        if let Some(reader) = self.held().want(pack) {
            return Ok(reader);
        }
        // Unlocked: a medium may be slow. Two that open one pack at a time keep one of the two readers.
        let reader = open()?;
        let bytes = reader.memory();
        let mut held = self.held();
        if let Some(reader) = held.want(pack) {
            return Ok(reader);
        }
        held.make_room(self.limit.saturating_sub(bytes));
        let (kept, wanted) = (Arc::clone(&reader), held.now);
        held.bytes += bytes;
        held.readers.insert(pack, Kept { reader: kept, bytes, wanted });
        Ok(reader)
    }

    /// No longer keeps one: the pack is gone, was replaced, or something of it was erased.
    pub fn forget(&self, pack: PackId) {
        let mut held = self.held();
        if let Some(kept) = held.readers.remove(&pack) {
            held.bytes -= kept.bytes;
        }
    }

    /// Bytes of memory that those take that are kept.
    pub fn bytes(&self) -> usize {
        self.held().bytes
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn want(&mut self, pack: PackId) -> Option<Arc<Reader>> {
        self.now += 1;
        let kept = self.readers.get_mut(&pack)?;
        kept.wanted = self.now;
        Some(Arc::clone(&kept.reader))
    }

    /// Lets go what was not wanted for longest.
    fn make_room(&mut self, limit: usize) {
        while self.bytes > limit {
            let oldest = self.readers.iter().min_by_key(|(_, kept)| kept.wanted).map(|(pack, _)| *pack);
            let Some(kept) = oldest.and_then(|pack| self.readers.remove(&pack)) else { return };
            self.bytes -= kept.bytes;
        }
    }
}
