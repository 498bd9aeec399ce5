//! Packs: append-only files of archives, each readable, checkable and repairable by itself.
//!
//! ```text
//!   ┌──────────┬───────────────────────────────────────┬──────────────┬──────────┐
//!   │ head     │ data: frames, one behind the other,   │ parity       │ foot     │
//!   │ = foot   │ in cells of 4 KiB, 16 cells a block   │ some 5 %     │ = head   │
//!   └──────────┴───────────────────────────────────────┴──────────────┴──────────┘
//!        └ index (sealed) · BLAKE3 of each block · CRC32C of each cell · parity of its own
//!
//!   archive ──► frame: up to 1 MiB, byte planes where floats gain by it, zstd or as it is ──► AES-256-GCM, 64 KiB a chunk
//! ```
//! The byte tables are in docs/formats/pack.md, the reasons in docs/adr/0027. A pack is made on a disk ([`Pack<Open>`]), gets
//! its index and its name when it is sealed ([`Pack<Sealed>`]), and goes to its medium as a whole.
//!
//! | module | what |
//! |---|---|
//! | `id`, `keys` | names of packs, archives, vaults and subkeys; who hands subkeys out |
//! | `cell`, `layout` | head and foot: cells that each say where everything is |
//! | `index` | what is in the pack: keys, frames, archives; sealed within it, what is said of each archive, and the register of chunks |
//! | `squeeze` | a frame's bytes, smaller where that is worth it |
//! | `body` | data as they go by: blocks, cells, parity |
//! | `writer`, `deposit` | [`Pack<Open>`], and one archive on its way in |
//! | `partial` | files and subkeys of packs that are not sealed: how they go |
//! | `succession` | a pack in the place of older ones |
//! | `reader`, `cache` | [`Reader`], [`Session`]: archives, or ranges of them; [`Readers`] that are kept |
//! | `scrub`, `repair`, `patch` | what is damaged, found without a key; what it was; and that in a file, for media that are never rewritten |
//! | `checked` | packs as parity over whole packs wants them |
//!
//! # Invariants
//! - A pack's id is drawn when it is begun and never used again. The key of a frame is derived from its subkey, the pack's id
//!   and 16 bytes that are drawn when it is sealed, its nonces count frames and chunks: no (key, nonce) pair repeats, not when an
//!   archive moves to another pack under the subkey that it has, nor when a deposit is tried again after a crash, nor when
//!   a machine is resumed twice from one snapshot.
//! - An error while a pack is open ends it: nothing more goes into it, it can't be sealed, and is discarded. An index is sealed once it was
//!   read back and nothing in it is wrong.
//! - Whoever opens a pack says which one: another one, or another pack's entry, is refused.
//! - A frame has one key. An archive of 64 KiB or more has frames of its own under a subkey of its own, smaller ones share a frame and
//!   its key, deduplicated chunks are under the pack's key, and what comes as ciphertext stays as it came.
//! - What authenticates is the tag of a chunk and of the index, whose additional data are pack, frame and chunk. BLAKE3 and CRC32C
//!   find what rots, without a key; the sealed index has a hash of them, by which ciphertext from outside is checked as it is read.
//! - What is made of an archive (lengths, hashes, dates, description, places within frames) is under its subkey, and what is made of chunks under their
//!   pack's, not under the key of the index: erasure ends them.
//! - Parts of an archive begin at multiples of 1 MiB, and have a tree hash each.
//! - A pack can be written anew without those that refer to it: the new one says what went where.
//! - Nothing read is trusted: sizes and counts are bounded before anything is allocated for them.
//! - A crash while a pack is open leaves a file without a pack's name, which holds nothing that anybody was promised, and subkeys, which go with it
//!   at the next [`sweep`]. An error leaves nothing.
//!
//! # Limits
//! 256 MiB of data a pack, 1 MiB a frame, 1 MiB of index, 4 KiB of description and as much of the vault's own. An open pack takes some 40 MiB of memory, a
//! reader its index and 7 MiB, a scrub 3 MiB, a repair some 40 MiB and what it restores.

mod body;
mod cache;
mod cell;
mod checked;
mod deposit;
mod id;
mod index;
mod keys;
mod layout;
mod partial;
mod patch;
mod reader;
mod repair;
mod scrub;
mod squeeze;
mod succession;
#[cfg(test)]
mod tests;
mod writer;

pub use cache::Readers;
pub use checked::{Checked, protect, restore};
pub use deposit::{Deposit, Head};
pub use id::{ArchiveId, GroupId, IndexKeyId, KeyId, PackId, VaultId};
pub use index::{
    About, Codec, Detail, Entry, Frame, Index, Moved, NamedChunk, Outer, Place, Protection, Register, Run,
};
pub use keys::{IndexKey, KeyFor, Subkeys};
pub use layout::Layout;
pub use partial::sweep;
pub use patch::PATCH_EXTENSION;
pub use reader::{Packs, Reader, Session};
pub use repair::{Healed, Mending, plan};
pub use scrub::{Scrubbed, scrub};
pub use writer::{Dedup, Known, Open, Options, Pack, Sealed};

/// Plaintext bytes of a frame that the pack seals, at the most.
pub const FRAME_BYTES: usize = 1 << 20;

/// Data of the largest pack.
pub const CAPACITY_MAX: u64 = 256 << 20;

/// Archives from this size on have frames and a subkey of their own.
pub const OWN_FRAMES_FROM: usize = 64 << 10;

/// Archives are cut into parts at multiples of this.
pub const PART_BYTES: u64 = crate::tree_hash::LEAF_BYTES;

/// Bytes of a description, and of a note of the vault's, at the most.
pub const NOTE_MAX: usize = 4096;

/// How the name of a sealed pack ends; what comes before is its id.
pub const EXTENSION: &str = "pack";
