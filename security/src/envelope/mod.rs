//! Envelopes around the keys of one object: what only the bearer of another key opens.
//!
//! ```text
//!   customer's key ── wrap ──► wrapped secrets ── KeyTable::seal ──► the object's row
//!   (never stored)             salt · AES-256-GCM
//! ```
//!
//! Wrapped secrets:
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | 1 |
//! | 1 | 32 | salt | random |
//! | 33 | n | ciphertext | AES-256-GCM of the secrets, nonce of zeros; additional data: bytes 0 to 32 |
//! | 33 + n | 16 | tag | |
//!
//! The key that wraps is HMAC-SHA256(customer's key, `firn customer key, 1` NUL ‖ salt).
//!
//! # Invariants
//! - A key that wraps is derived for one wrapping: its salt is random, so that the nonce need not be.
//! - Of a customer's key nothing is kept but this tag, which another key does not make.
//! - Keys are wiped from memory when dropped.

use crate::keys::Aead;
use crate::{Error, Result};
use aws_lc_rs::hmac;
use engine::codec::DataKey;
use engine::entropy::Entropy;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const SALT_LEN: usize = 32;
const HEAD_LEN: usize = 1 + SALT_LEN;
const TAG_LEN: usize = 16;
/// The wrapping key is used once.
const NONCE: [u8; 12] = [0; 12];

/// A key that a client brings along with a request (SSE-C). It is forgotten with the request.
#[derive(Clone, Debug)]
pub struct CustomerKey(DataKey);

impl CustomerKey {
    /// Bytes that wrapping adds.
    pub const OVERHEAD: usize = HEAD_LEN + TAG_LEN;

    /// From its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(DataKey::from_bytes(bytes))
    }

    /// Wraps secrets so that only this key unwraps them.
    pub fn wrap(&self, entropy: &dyn Entropy, secrets: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(Self::OVERHEAD + secrets.len());
        out.resize(HEAD_LEN, VERSION);
        entropy.fill(&mut out[1..]);
        let head = out.clone();
        out.extend_from_slice(secrets);
        self.wrapping(&head)?.seal(NONCE, &head, &mut out, HEAD_LEN)?;
        Ok(out)
    }

    /// The secrets; `None`: another key wrapped them.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let corrupt = |detail: &str| Error::Corrupt { what: "wrapped keys", detail: detail.to_owned() };
        match wrapped.first() {
            Some(&VERSION) => {}
            Some(&found) if found > VERSION => {
                return Err(Error::Newer {
                    what: "wrapped keys",
                    found: found.into(),
                    supported: VERSION.into(),
                });
            }
            _ => return Err(corrupt("they have no version")),
        }
        let (head, rest) =
            wrapped.split_first_chunk::<HEAD_LEN>().ok_or_else(|| corrupt("they are too short"))?;
        let mut data = Zeroizing::new(rest.to_vec());
        let length = self.wrapping(head)?.open(NONCE, head, &mut data).map(<[u8]>::len);
        Ok(length.map(|length| {
            data.truncate(length);
            data
        }))
    }

    fn wrapping(&self, head: &[u8]) -> Result<Aead> {
        let key = derived(&self.0, b"firn customer key, 1\0", head.get(1..).unwrap_or_default());
        Aead::new(key.as_bytes())
    }
}

/// The same key under a secret, or as it was before: where something is kept by a secret that is not at hand while it is named.
///
/// A key that is random, and that nobody else was given, tells nothing of itself under it. `id` is of what the key seals.
#[must_use]
pub fn masked(secret: &DataKey, id: &[u8; 16], key: &DataKey) -> DataKey {
    let mask = derived(secret, b"firn key of a part, 1\0", id);
    let mut bytes = Zeroizing::new(*key.as_bytes());
    for (byte, mask) in bytes.iter_mut().zip(mask.as_bytes()) {
        *byte ^= mask;
    }
    DataKey::from_bytes(*bytes)
}

/// HMAC-SHA256 over a purpose and what it is for.
fn derived(key: &DataKey, purpose: &[u8], of: &[u8]) -> DataKey {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
    context.update(purpose);
    context.update(of);
    let tag = context.sign();
    let mut bytes = Zeroizing::new([0; DataKey::LEN]);
    bytes.copy_from_slice(tag.as_ref());
    DataKey::from_bytes(*bytes)
}

#[cfg(test)]
mod tests {
    use super::{CustomerKey, masked};
    use engine::codec::DataKey;
    use engine::entropy::SeededEntropy;

    const SECRETS: [u8; 32] = [7; 32];

    fn key(byte: u8) -> CustomerKey {
        CustomerKey::new([byte; 32])
    }

    #[test]
    fn only_the_key_that_wrapped_unwraps() {
        let entropy = SeededEntropy::new(1);
        let wrapped = key(1).wrap(&entropy, &SECRETS).unwrap();
        assert_eq!(wrapped.len(), SECRETS.len() + CustomerKey::OVERHEAD);
        assert_eq!(key(1).unwrap(&wrapped).unwrap().unwrap().as_slice(), SECRETS);
        assert!(key(2).unwrap(&wrapped).unwrap().is_none());
        assert!(!wrapped.windows(32).any(|window| window == SECRETS || window == [1; 32]));
        let again = key(1).wrap(&entropy, &SECRETS).unwrap();
        assert_ne!(wrapped, again, "each has a salt of its own");
        assert_eq!(format!("{:?}", key(1)), "CustomerKey(DataKey(…))");
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let wrapped = key(1).wrap(&SeededEntropy::new(2), &SECRETS).unwrap();
        for at in 1..wrapped.len() {
            let mut flipped = wrapped.clone();
            flipped[at] ^= 1;
            assert!(key(1).unwrap(&flipped).unwrap().is_none(), "byte {at}");
        }
        assert_eq!(key(1).unwrap(&[2; 90]).unwrap_err().kind(), crate::ErrorKind::Invalid);
        key(1).unwrap(&[]).unwrap_err();
        key(1).unwrap(&wrapped[..20]).unwrap_err();
    }

    #[test]
    fn golden_wrapping_opens_for_ever() {
        let raw = hex::decode(GOLDEN).unwrap();
        assert_eq!(key(9).unwrap(&raw).unwrap().unwrap().as_slice(), SECRETS);
        let secret = DataKey::from_bytes([3; 32]);
        let golden = masked(&secret, &[4; 16], &DataKey::from_bytes([0; 32]));
        assert_eq!(hex::encode(golden.as_bytes()), GOLDEN_MASK);
    }

    /// Made by Python's `cryptography` and `hmac` from the table above, with a salt of 32 times 5.
    const GOLDEN: &str = "01050505050505050505050505050505050505050505050505050505050505050520b3fa7dcbf2a3\
        b572dfb4c1e7435cb6f4bbe8b0431144677ac0128d45ebf8440285785d35798105f38c25cb05777723";
    const GOLDEN_MASK: &str = "e8729cf49f51b1c2b4b1c85562dc9a9b74eb1aef52092eea0091615446608b47";

    #[test]
    fn a_mask_is_taken_off_by_itself_alone() {
        let (secret, other) = (DataKey::from_bytes([3; 32]), DataKey::from_bytes([5; 32]));
        let plain = DataKey::from_bytes(SECRETS);
        let hidden = masked(&secret, &[1; 16], &plain);
        assert_ne!(hidden, plain);
        assert_eq!(masked(&secret, &[1; 16], &hidden), plain);
        assert_ne!(masked(&secret, &[2; 16], &hidden), plain);
        assert_ne!(masked(&other, &[1; 16], &hidden), plain);
    }
}
