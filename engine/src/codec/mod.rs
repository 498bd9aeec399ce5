//! Encryption at rest: data keys, AES-256-GCM chunks, small bodies sealed whole.
//!
//! ```text
//!   custodian ── wraps ──► key table's keys ── wrap ──► data key of a blob ── seals ──► its 64 KiB chunks
//!   (outside)              (security)                   [`DataKey`]                     [`chunk`] · [`inline`]
//! ```
//!
//! # Invariants
//! - A data key belongs to one blob id and is random, so the nonce can be the chunk's index: no (key, nonce) pair repeats,
//!   not even when an upload is retried after a crash, because that draws a new id and a new key.
//! - Additional data is blob id and chunk index, never a name: a chunk can't be moved within a blob or to another one.
//! - Keys are wiped from memory when dropped.
//!
//! # Limits
//! [`chunk::CHUNK_BYTES`] of plaintext a chunk, [`inline::INLINE_MAX`] inline.

pub mod chunk;
pub mod inline;
mod key;

pub use key::DataKey;

use crate::Result;

/// Holds the key that wraps the keys of the key table: a file, a TPM, another KMS. They are few and are held unwrapped in
/// memory, so a call may take its time.
pub trait Custodian: Send + Sync {
    /// Wraps a key. `aad` is authenticated with it and must be given again to unwrap.
    fn wrap(&self, plain: &[u8; 32], aad: &[u8]) -> Result<Vec<u8>>;

    /// The key that [`wrap`](Self::wrap) was given. [`Error::Corrupt`](crate::Error::Corrupt) when the bytes, the
    /// additional data or the custodian's key are not the ones it was wrapped with.
    fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<zeroize::Zeroizing<[u8; 32]>>;

    /// Who holds the key and where, for `status` and `doctor`; no secret in it.
    fn description(&self) -> String;
}
