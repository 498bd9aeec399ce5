//! One file's bytes: what the process sees, and what it has not synced yet.
//!
//! The backing file always holds the bytes as the process sees them. Every change since the last sync is kept with
//! what it replaced, so that a cut can go back to the synced bytes and then lay a chosen part of the changes over them.
//!
//! ```text
//!   write ──► backing file (as seen)          sync: changes.clear()
//!        └──► changes: [old bytes, new bytes]  cut:  undo all ─► choose survivors ─► redo those
//! ```
//!
//! Invariants: bytes that a sync covered survive every cut. What survives of the rest obeys what a page cache over a
//! disk can leave: each 512-byte sector holds its synced bytes plus some *prefix* of the changes to that sector (a page
//! holds all earlier changes when it goes out), different sectors are independent, a file ends at the last surviving
//! byte or, when sizes may run ahead of data, at a size it once had, with zeros where nothing arrived. A truncation that did
//! not survive takes every later change with it.
//!
//! Limits: unsynced bytes are held twice in memory.

use crate::Seeded;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The unit that a disk writes whole.
pub(crate) const SECTOR: u64 = 512;

/// A change that no sync has covered.
#[derive(Debug)]
enum Change {
    /// Bytes written (or zeroed) at an offset.
    Write { offset: u64, new: Vec<u8>, old: Vec<u8>, old_len: u64 },
    /// The length set; `cut_off` is what a shrinking removed.
    Resize { old_len: u64, new_len: u64, cut_off: Vec<u8> },
}

/// What a cut did to one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Unsynced changes that were at stake.
    pub(crate) at_stake: u64,
    /// Of these, wholly kept.
    pub(crate) kept: u64,
    /// Of these, kept in part: torn.
    pub(crate) torn: u64,
}

/// How a cut treats one file's unsynced changes.
#[derive(Clone, Copy, Debug)]
enum Mercy {
    None,
    All,
    /// All before this one; this one torn.
    Until(usize),
    /// Each change by a coin.
    Scattered,
    /// Each sector of each change by a coin.
    Sectors,
}

/// A regular file.
#[derive(Debug)]
pub(crate) struct Content {
    file: Arc<File>,
    len: u64,
    changes: Vec<Change>,
}

impl Content {
    /// Over an open backing file, all of whose bytes count as synced.
    pub(crate) fn over(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), len, changes: Vec::new() })
    }

    /// The backing file, for reads and attributes.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Whether an unsynced change altered the length: syncing it commits the file system's journal, too.
    pub(crate) fn length_changed(&self) -> bool {
        match self.changes.first() {
            Some(Change::Write { old_len, .. } | Change::Resize { old_len, .. }) => *old_len != self.len,
            None => false,
        }
    }

    /// Writes, remembering what was there.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let old = self.read_range(offset, data.len() as u64)?;
        self.file.write_all_at(data, offset)?;
        self.changes.push(Change::Write { offset, new: data.to_vec(), old, old_len: self.len });
        self.len = self.len.max(offset + data.len() as u64);
        Ok(())
    }

    /// Sets the length.
    pub(crate) fn resize(&mut self, new_len: u64) -> io::Result<()> {
        if new_len == self.len {
            return Ok(());
        }
        let cut_off = self.read_range(new_len, self.len.saturating_sub(new_len))?;
        self.file.set_len(new_len)?;
        self.changes.push(Change::Resize { old_len: self.len, new_len, cut_off });
        self.len = new_len;
        Ok(())
    }

    /// All changes so far are on the disk.
    pub(crate) fn sync(&mut self) {
        self.changes.clear();
    }

    /// The power goes: afterwards the backing file holds what survived, and nothing is pending.
    pub(crate) fn cut(&mut self, chance: &mut Seeded, sizes_run_ahead: bool) -> io::Result<Fate> {
        let changes = std::mem::take(&mut self.changes);
        let mut fate = Fate { at_stake: changes.len() as u64, ..Fate::default() };
        if changes.is_empty() {
            return Ok(fate);
        }
        let seen_len = self.len;
        for change in changes.iter().rev() {
            self.undo(change)?;
        }
        let mercy = match chance.below(6) {
            0 => Mercy::None,
            1 => Mercy::All,
            2 | 3 => Mercy::Until(chance.index(changes.len())),
            4 => Mercy::Scattered,
            _ => Mercy::Sectors,
        };
        let survivors = Survivors::choose(&changes, mercy, chance);
        for (index, change) in changes.iter().enumerate().take(survivors.until) {
            match self.redo(index, change, &survivors)? {
                Survival::Whole => fate.kept += 1,
                Survival::Torn => fate.torn += 1,
                Survival::Lost => {}
            }
        }
        if sizes_run_ahead && survivors.until == changes.len() && self.len < seen_len && chance.chance(1, 4) {
            self.set_len(seen_len)?;
        }
        Ok(fate)
    }

    fn undo(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::Write { offset, old, old_len, .. } => {
                self.file.write_all_at(old, *offset)?;
                self.set_len(*old_len)
            }
            Change::Resize { old_len, new_len, cut_off } => {
                self.set_len(*old_len)?;
                self.file.write_all_at(cut_off, *new_len)
            }
        }
    }

    fn redo(&mut self, index: usize, change: &Change, survivors: &Survivors) -> io::Result<Survival> {
        match change {
            Change::Resize { .. } if survivors.lost_extensions.contains(&index) => Ok(Survival::Lost),
            Change::Resize { new_len, .. } => {
                self.set_len(*new_len)?;
                Ok(Survival::Whole)
            }
            Change::Write { offset, new, .. } => {
                let mut kept = 0_usize;
                for piece in sectors(*offset, new.len()) {
                    if survivors.has(index, piece.sector) {
                        let bytes = &new[piece.from..piece.to];
                        self.file.write_all_at(bytes, *offset + piece.from as u64)?;
                        self.len = self.len.max(*offset + piece.to as u64);
                        kept += bytes.len();
                    }
                }
                Ok(match kept {
                    0 if !new.is_empty() => Survival::Lost,
                    kept if kept == new.len() => Survival::Whole,
                    _ => Survival::Torn,
                })
            }
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.len = len;
        self.file.set_len(len)
    }

    /// The bytes from `offset`, as many of `wanted` as the file has.
    fn read_range(&self, offset: u64, wanted: u64) -> io::Result<Vec<u8>> {
        let there = self.len.saturating_sub(offset).min(wanted);
        let mut bytes = vec![0; usize::try_from(there).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

enum Survival {
    Whole,
    Torn,
    Lost,
}

/// The part of a write that lies in one sector.
struct Piece {
    sector: u64,
    from: usize,
    to: usize,
}

/// Cuts a write of `len` bytes at `offset` at the sector borders.
fn sectors(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut from = 0;
    std::iter::from_fn(move || {
        if from >= len {
            return None;
        }
        let at = offset + from as u64;
        let room = usize::try_from(SECTOR - at % SECTOR).unwrap_or(usize::MAX);
        let piece = Piece { sector: at / SECTOR, from, to: len.min(from.saturating_add(room)) };
        from = piece.to;
        Some(piece)
    })
}

/// Which sectors of which changes reached the disk.
struct Survivors {
    /// Changes from here on are lost: the first truncation that did not survive.
    until: usize,
    /// For each sector, the last change to it that arrived; all earlier ones to that sector did, too.
    last: HashMap<u64, usize>,
    /// Changes that made the file longer without writing, and were lost.
    lost_extensions: HashSet<usize>,
}

impl Survivors {
    fn choose(changes: &[Change], mercy: Mercy, chance: &mut Seeded) -> Self {
        let mut survivors =
            Self { until: changes.len(), last: HashMap::new(), lost_extensions: HashSet::new() };
        for (index, change) in changes.iter().enumerate() {
            let whole = match mercy {
                Mercy::None => false,
                Mercy::All | Mercy::Sectors => true,
                Mercy::Until(last) => index <= last,
                Mercy::Scattered => chance.chance(1, 2),
            };
            match change {
                Change::Resize { old_len, new_len, .. } => {
                    let arrives = whole && (!matches!(mercy, Mercy::Sectors) || chance.chance(1, 2));
                    if !arrives && new_len < old_len {
                        survivors.until = index;
                        return survivors;
                    }
                    if !arrives {
                        // A lost extension: what follows may still arrive and make the file as long as it reaches.
                        survivors.lost_extensions.insert(index);
                    }
                }
                Change::Write { offset, new, .. } if whole => {
                    let torn_at = matches!(mercy, Mercy::Until(last) if last == index)
                        .then(|| chance.index(new.len().max(1)));
                    for piece in sectors(*offset, new.len()) {
                        let arrives = match mercy {
                            Mercy::Sectors => chance.chance(1, 2),
                            _ => torn_at.is_none_or(|torn_at| piece.to <= torn_at),
                        };
                        if arrives {
                            survivors.last.insert(piece.sector, index);
                        }
                    }
                }
                Change::Write { .. } => {}
            }
        }
        survivors
    }

    fn has(&self, index: usize, sector: u64) -> bool {
        self.last.get(&sector).is_some_and(|last| index <= *last)
    }
}
