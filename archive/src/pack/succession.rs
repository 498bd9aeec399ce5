//! A pack that is written in the place of older ones: what is still wanted of their chunks, and where it went.
//!
//! ```text
//!   old: a b c d      b and d are wanted no more
//!   new: a c …        register: bytes of old, by their places there ──► places here
//!   others, sealed long ago, go on saying "old, frame 3, byte 0"; readers and rebuilds follow
//! ```
//! So one pack can be written anew without those that refer to it. A pack is replaced by one other, which takes over what it had taken over itself.

use super::index::{Moved, NamedChunk, Register, Run, room};
use super::writer::{Open, Pack};
use super::{PackId, Reader};
use engine::{Error, Result};

impl Pack<Open> {
    /// Begins to take the place of a sealed pack: what is to be kept of its chunks is [carried](Self::carry) over then, its archives are deposited
    /// anew, with their ids. All of that must come to this one pack: where `carry`, or a deposit, says that it is full, discard it, and begin
    /// with less. `false` where not even the names have room. Of a pack without chunks `register` is empty.
    pub fn replace(&mut self, old: &Reader, register: &Register) -> Result<bool> {
        self.check()?;
        if self.state.options.dedup.as_ref().map(|dedup| dedup.group) != old.index().group {
            return Err(Error::Invalid(format!(
                "replace pack {} by pack {}: their chunks are of two groups",
                old.layout().pack(),
                self.id
            )));
        }
        let packs = 1 + old.index().replaces.len();
        if self.state.index_room() < packs * room::ID {
            return Ok(false);
        }
        let (state, pack) = (&mut self.state, old.layout().pack());
        if state.before.contains_key(&pack) || state.index.replaces.contains(&pack) {
            return Err(Error::Invalid(format!("replace pack {pack} by pack {}: it does already", self.id)));
        }
        let first = state.index.replaces.len();
        state.index.replaces.push(pack);
        state.index.replaces.extend_from_slice(&old.index().replaces);
        state.take_index(packs * room::ID);
        let later = |moved: &Moved| {
            Some(Moved { pack: super::writer::place(first + 1).ok()?.checked_add(moved.pack)?, ..*moved })
        };
        let mut moved: Vec<Moved> = register.moved.iter().filter_map(later).collect();
        moved.sort_unstable_by_key(|moved| (moved.new_frame, moved.new_at));
        state.before.insert(pack, moved);
        Ok(true)
    }

    /// Takes over a chunk of a pack that this one replaces: `bytes` are what it is there. `false` where there is no room.
    pub fn carry(&mut self, old: PackId, chunk: &NamedChunk, bytes: &[u8]) -> Result<bool> {
        self.check()?;
        let known = self.state.options.dedup.as_ref().map(|dedup| dedup.cutter.name(bytes));
        if known != Some(chunk.id) || bytes.len() != chunk.length as usize {
            return Err(Error::Corrupt {
                what: format!("{:?} of pack {old}", chunk.id),
                detail: "it is not what its name says; scrub and repair the pack".into(),
            });
        }
        let wrong = || Error::Invalid(format!("carry a chunk of pack {old} over: nothing replaces it"));
        let place = self.state.index.replaces.iter().position(|pack| *pack == old).ok_or_else(wrong)?;
        let before = self.state.before.get(&old).ok_or_else(wrong)?;
        let from = (old, chunk.frame, chunk.at);
        if self.state.carried.contains(&from) {
            return Ok(true);
        }
        let earlier = overlaps(before, chunk);
        let needs = room::CHUNK + (1 + earlier.len()) * room::MOVED;
        if self.state.room() < bytes.len() as u64 || self.state.index_room() < needs {
            return Ok(false);
        }
        let (id, place) = (self.id, super::writer::place(place)?);
        self.step(|state| {
            let run = state.chunk_here(id, chunk.id, bytes)?;
            state.carried.insert(from);
            let all = Moved {
                pack: place,
                frame: chunk.frame,
                at: chunk.at,
                length: chunk.length,
                new_frame: chunk.frame,
                new_at: chunk.at,
            };
            for moved in std::iter::once(all).chain(earlier) {
                state.move_here(Moved { new_frame: run.frame, ..moved }, chunk, run);
            }
            Ok(true)
        })
    }
}

impl Open {
    /// Notes that bytes of an older pack, which lie within a chunk that was `chunk`, are in `run` now. Neighbours that stayed neighbours
    /// are one.
    fn move_here(&mut self, moved: Moved, chunk: &NamedChunk, run: Run) {
        let moved = Moved { new_at: run.at + (moved.new_at - chunk.at), ..moved };
        let follows = |last: &&mut Moved| {
            (last.pack, last.frame, last.new_frame) == (moved.pack, moved.frame, moved.new_frame)
                && last.at + last.length == moved.at
                && last.new_at + last.length == moved.new_at
        };
        // The last one of each older pack is among these.
        let lately = self.index.replaces.len();
        if let Some(last) = self.register.moved.iter_mut().rev().take(lately).find(follows) {
            last.length += moved.length;
        } else {
            self.register.moved.push(moved);
            self.take_index(room::MOVED);
        }
    }
}

/// What of these, which are by their new places, lies within a chunk.
fn overlaps(before: &[Moved], chunk: &NamedChunk) -> Vec<Moved> {
    let end = chunk.at.saturating_add(chunk.length);
    let within = |moved: &&Moved| {
        moved.new_frame == chunk.frame
            && moved.new_at < end
            && moved.new_at.saturating_add(moved.length) > chunk.at
    };
    let cut = |moved: &Moved| {
        let from = moved.new_at.max(chunk.at);
        let until = moved.new_at.saturating_add(moved.length).min(end);
        Moved { at: moved.at + (from - moved.new_at), length: until - from, new_at: from, ..*moved }
    };
    let first = before.partition_point(|moved| moved.new_frame < chunk.frame);
    before[first..]
        .iter()
        .take_while(|moved| moved.new_frame == chunk.frame)
        .filter(within)
        .map(cut)
        .collect()
}
