//! A blob's bytes as AES-256-GCM chunks.
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | ciphertext | 1..=65,536 | chunk `n` of the blob: plaintext bytes `n × 65,536` and on; all but the last are full |
//! | tag | 16 | of the ciphertext, over additional data blob id (16) ‖ `n` (`u64`, big-endian) |
//!
//! Nonce: `n` as 96-bit big-endian number. An empty blob has no chunk. The number of chunks is bound by the length that
//! the owner of the blob keeps in its own authenticated row, not by the chunks.

use super::DataKey;
use crate::id::BlobId;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Plaintext bytes of a full chunk.
pub const CHUNK_BYTES: usize = 64 << 10;

/// Bytes of the tag behind each chunk.
pub const TAG_BYTES: usize = 16;

/// Bytes of a full sealed chunk.
pub const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// The tag does not match: bytes, place or key are not those that were sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authentication tag of chunk {index} does not match")]
pub struct Tampered {
    /// The chunk's index in its blob.
    pub index: u64,
}

/// Seals and opens the chunks of one blob.
pub struct ChunkCipher {
    key: LessSafeKey,
    blob: BlobId,
}

impl ChunkCipher {
    /// For the chunks of `blob` under its own key.
    pub fn new(blob: BlobId, key: &DataKey) -> Self {
        Self { key: expand(key), blob }
    }

    /// Appends the sealed form of chunk `index` to `out`: `plain` and a tag.
    pub fn seal_into(&self, index: u64, plain: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        // Zeros are cheaper than a copy: sealed in place, each chunk was read and written once more.
        out.resize(start + plain.len() + TAG_BYTES, 0);
        seal(&self.key, nonce(index), self.aad(index), plain, &mut out[start..]);
    }

    /// Opens a sealed chunk in place and says how many bytes at its start are plaintext.
    pub fn open_in_place(&self, index: u64, sealed: &mut [u8]) -> Result<usize, Tampered> {
        match self.key.open_in_place(nonce(index), Aad::from(self.aad(index)), sealed) {
            Ok(plain) => Ok(plain.len()),
            Err(_) => Err(Tampered { index }),
        }
    }

    fn aad(&self, index: u64) -> [u8; BlobId::LEN + 8] {
        let mut aad = [0; BlobId::LEN + 8];
        aad[..BlobId::LEN].copy_from_slice(self.blob.as_bytes());
        aad[BlobId::LEN..].copy_from_slice(&index.to_be_bytes());
        aad
    }
}

fn expand(key: &DataKey) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_bytes()).expect("32 bytes are an AES-256 key"))
}

/// `sealed` is to be the ciphertext and the tag.
fn seal(key: &LessSafeKey, nonce: Nonce, aad: [u8; BlobId::LEN + 8], plain: &[u8], sealed: &mut [u8]) {
    let (ciphertext, tag) = sealed.split_at_mut(plain.len());
    key.seal_out_of_place_scatter(nonce, Aad::from(aad), plain, ciphertext, &[], tag)
        .expect("a chunk is far below AES-GCM's limit");
}

fn nonce(index: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&index.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Bytes that `plain` bytes take once sealed.
pub const fn sealed_len(plain: u64) -> u64 {
    plain + plain.div_ceil(CHUNK_BYTES as u64) * TAG_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES, ChunkCipher, SEALED_CHUNK_BYTES, Tampered, sealed_len};
    use crate::codec::DataKey;
    use crate::id::BlobId;

    fn cipher() -> ChunkCipher {
        ChunkCipher::new(BlobId::from_bytes([7; 16]), &DataKey::from_bytes([9; 32]))
    }

    #[test]
    fn golden_chunk() {
        let mut sealed = Vec::new();
        cipher().seal_into(3, b"firn", &mut sealed);
        let text: String = sealed.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(text, "ae63531340d1d18051442451f51d963dbe5e996e");
        assert_eq!(cipher().open_in_place(3, &mut sealed), Ok(4));
        assert_eq!(&sealed[..4], b"firn");
    }

    #[test]
    fn every_flipped_byte_and_every_other_place_is_refused() {
        let mut sealed = Vec::new();
        cipher().seal_into(0, b"some plaintext", &mut sealed);
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(cipher().open_in_place(0, &mut flipped), Err(Tampered { index: 0 }), "byte {at}");
        }
        assert_eq!(cipher().open_in_place(1, &mut sealed.clone()), Err(Tampered { index: 1 }));
        let other = ChunkCipher::new(BlobId::from_bytes([8; 16]), &DataKey::from_bytes([9; 32]));
        other.open_in_place(0, &mut sealed.clone()).unwrap_err();
        cipher().open_in_place(0, &mut sealed[..15]).unwrap_err();
        cipher().open_in_place(0, &mut []).unwrap_err();
    }

    #[test]
    fn lengths_count_a_tag_for_each_chunk() {
        assert_eq!(sealed_len(0), 0);
        assert_eq!(sealed_len(1), 17);
        assert_eq!(sealed_len(CHUNK_BYTES as u64), SEALED_CHUNK_BYTES as u64);
        assert_eq!(sealed_len(CHUNK_BYTES as u64 + 1), SEALED_CHUNK_BYTES as u64 + 17);
    }
}
