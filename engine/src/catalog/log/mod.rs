//! The commit log: every group of commits as one framed, checksummed record in a pre-written, recycled file.
//!
//! ```text
//!   log/0000000000000007.log   ┌ header │ frame 101..140 │ frame 141..150 │ … │ zeros or stale frames ┐
//!   log/0000000000000008.log   └ start 150                                                          ┘
//! ```
//! A file's frames hold the versions after its `start` up to the next file's `start`. Byte tables: docs/formats/catalog.md.
//!
//! # Invariants
//! - Frames follow one another without a gap in their versions; a file is synced before the next one starts.
//! - Every frame says through which version the log was known to be synced when it was written; when the queue runs dry, an
//!   empty *seal* frame says so for the last group.
//! - A frame is taken for a file's own by the file's stamp alone, random bytes that nobody outside is shown: what a client has the
//!   log hold, in keys, is never mistaken for a frame, wherever it comes to lie.
//! - A process never appends to a file that another process wrote: it starts a new one, so that frames that a crash left
//!   behind a torn one can't be taken for its continuation.
//!
//! # What a crash leaves
//! Whole frames up to some point at or after the last synced one, then anything. Recovery stops at the first frame that
//! does not verify. If anything behind it proves that a version beyond that point had been synced, it is not a torn tail
//! but damage, and opening answers [`Error::Corrupt`](crate::Error::Corrupt) instead of losing an acknowledged commit. With no such proof it is
//! a tail that was never acknowledged: docs/adr/0003 says what remains undecidable.

pub(super) mod files;
pub(super) mod frame;
pub(super) mod payload;
pub(super) mod recover;
pub(super) mod since;
mod spare;
#[cfg(test)]
pub(super) mod tests;
