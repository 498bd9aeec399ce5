//! Keys at rest: the key table, and the custodian that wraps its keys.
//!
//! ```text
//!   master.key ── FileCustodian ──► keys of the table ── seal · unseal ──► data keys in rows
//!   (0600)        wraps, few times  one per account and service;         millions of times,
//!                                   wrapped in rows, open in memory      in memory
//! ```
//!
//! docs/formats/key-table.md describes the bytes.

mod custodian;
mod row;
mod table;
#[cfg(test)]
mod tests;

pub use custodian::FileCustodian;
pub use row::{KeyId, KeyScope, Service};
pub use table::KeyTable;

use crate::{Error, Result};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Random part of every sealed value.
const NONCE_LEN: usize = 12;
/// What AES-GCM adds.
const TAG_LEN: usize = 16;

/// An AES-256-GCM key, prepared for use. The bytes it was made from are the caller's to wipe.
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| refused("key", "AES-256 refuses it"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts what stands in `out` from `from` on and appends the tag.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        out: &mut Vec<u8>,
        from: usize,
    ) -> Result<()> {
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut out[from..])
            .map_err(|_| refused("sealed value", "AES-GCM refuses its length"))?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Decrypts ciphertext and tag in place; the plaintext is the front of `data`. `None`: not authentic.
    pub(crate) fn open<'a>(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        data: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(aad), data).ok().map(|plain| &*plain)
    }
}

fn refused(what: &'static str, detail: &str) -> Error {
    Error::Corrupt { what, detail: detail.to_owned() }
}

/// Checks rows and files against torn and flipped bytes.
fn crc32c(bytes: &[u8]) -> [u8; 4] {
    // The algorithm yields 32 bits in a 64-bit number.
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(sum & u64::from(u32::MAX)).unwrap_or_default().to_be_bytes()
}

/// Splits the checksum off; `None` when it is another.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    (crc32c(body) == *sum).then_some(body)
}
