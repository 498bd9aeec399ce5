//! Small bodies that live with their metadata: sealed whole, as chunk 0 of a blob that has no place in a pool.
//!
//! The ciphertext goes into a body row of the catalog by whoever owns the metadata; id and key are kept as for any blob.

use super::DataKey;
use super::chunk::{ChunkCipher, TAG_BYTES};
use crate::entropy::Entropy;
use crate::id::BlobId;
use crate::{Error, Result};
use bytes::{Bytes, BytesMut};

/// Largest body that is meant to live inline, in bytes of plaintext. Callers decide by it; nothing here depends on it.
pub const INLINE_MAX: usize = 4096;

/// A sealed small body.
#[derive(Clone, Debug)]
pub struct Inline {
    /// Its random id.
    pub blob: BlobId,
    /// Its random key, to be wrapped.
    pub key: DataKey,
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// Seals a small body under a new id and key.
pub fn seal(entropy: &dyn Entropy, plain: &[u8]) -> Inline {
    let blob = BlobId::random(entropy);
    let key = DataKey::random(entropy);
    let mut ciphertext = Vec::with_capacity(plain.len() + TAG_BYTES);
    ChunkCipher::new(blob, &key).seal_into(0, plain, &mut ciphertext);
    Inline { blob, key, ciphertext }
}

/// Opens what [`seal`] made, in place when nobody else holds the ciphertext. [`Error::Corrupt`] when anything does not
/// match.
pub fn open(blob: BlobId, key: &DataKey, ciphertext: impl Into<BytesMut>) -> Result<Bytes> {
    let mut plain = ciphertext.into();
    match ChunkCipher::new(blob, key).open_in_place(0, &mut plain) {
        Ok(len) => plain.truncate(len),
        Err(e) => return Err(Error::Corrupt { what: format!("inline blob {blob}"), detail: e.to_string() }),
    }
    Ok(plain.freeze())
}

#[cfg(test)]
mod tests {
    use super::{INLINE_MAX, open, seal};
    use crate::ErrorKind;
    use crate::codec::DataKey;
    use crate::entropy::SeededEntropy;

    #[test]
    fn round_trips() {
        let entropy = SeededEntropy::new(1);
        for len in [0, 1, INLINE_MAX] {
            let plain = vec![42; len];
            let sealed = seal(&entropy, &plain);
            assert_eq!(open(sealed.blob, &sealed.key, &sealed.ciphertext[..]).unwrap(), plain);
        }
    }

    #[test]
    fn two_seals_of_one_body_share_nothing() {
        let entropy = SeededEntropy::new(2);
        let (a, b) = (seal(&entropy, b"same"), seal(&entropy, b"same"));
        assert_ne!(a.blob, b.blob);
        assert_ne!(a.ciphertext, b.ciphertext);
        assert_ne!(a.key, b.key);
    }

    #[test]
    fn what_does_not_match_is_corrupt() {
        let sealed = seal(&SeededEntropy::new(3), b"body");
        let wrong = DataKey::from_bytes([0; 32]);
        assert_eq!(open(sealed.blob, &wrong, &sealed.ciphertext[..]).unwrap_err().kind(), ErrorKind::Corrupt);
        let cut = &sealed.ciphertext[..sealed.ciphertext.len() - 1];
        assert_eq!(open(sealed.blob, &sealed.key, cut).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
