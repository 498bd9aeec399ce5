//! What a symmetric key makes of a text: a ciphertext that names the key and the backing key.
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | 1 |
//! | 1 | 8 | account | whose key |
//! | 9 | 16 | key id | |
//! | 25 | 4 | backing key | its number, big-endian |
//! | 29 | 16 | salt | random |
//! | 45 | 12 | nonce | random |
//! | 57 | n | ciphertext | AES-256-GCM |
//! | 57 + n | 16 | tag | |
//!
//! The key of each is HKDF-SHA256 of the backing key, with the salt, and `firn kms encrypt 1` as info. Additional data is `firn kms`, a zero
//! byte, bytes 0 to 28, then the encryption context as [`EncryptionContext::push_to`] has it.
//!
//! # Invariants
//! - No (key, nonce) pair repeats: salt and nonce are 28 random bytes. So a backing key has no bound of uses.
//! - What has another version, key, backing key or context, or one flipped bit, opens to nothing.

use super::context::EncryptionContext;
use super::error::{KmsError, Result};
use super::id::KeyId;
use crate::AccountId;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use engine::entropy::Entropy;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NAMES_LEN: usize = 29;
const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 12;
const HEAD_LEN: usize = NAMES_LEN + SALT_LEN + NONCE_LEN;
const TAG_LEN: usize = 16;
const INFO: &[u8] = b"firn kms encrypt 1";

/// Bytes that encrypting adds.
pub(super) const OVERHEAD: usize = HEAD_LEN + TAG_LEN;

/// Which key a ciphertext is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) account: AccountId,
    pub(super) key: KeyId,
    pub(super) backing: u32,
}

impl Names {
    fn to_bytes(self) -> [u8; NAMES_LEN] {
        let mut out = [VERSION; NAMES_LEN];
        out[1..9].copy_from_slice(&self.account.to_bytes());
        out[9..25].copy_from_slice(self.key.as_bytes());
        out[25..].copy_from_slice(&self.backing.to_be_bytes());
        out
    }

    /// What a ciphertext says. Nothing of it is proven yet.
    pub(super) fn of(ciphertext: &[u8]) -> Result<Self> {
        let none = KmsError::ciphertext;
        let (head, _) = ciphertext.split_first_chunk::<NAMES_LEN>().ok_or_else(none)?;
        if head[0] != VERSION || ciphertext.len() < OVERHEAD {
            return Err(none());
        }
        let (mut account, mut key, mut backing) = ([0; 8], [0; KeyId::LEN], [0; 4]);
        account.copy_from_slice(&head[1..9]);
        key.copy_from_slice(&head[9..25]);
        backing.copy_from_slice(&head[25..]);
        Ok(Self {
            account: AccountId::from_bytes(account).map_err(|_| none())?,
            key: KeyId::from_bytes(key),
            backing: u32::from_be_bytes(backing),
        })
    }
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

fn key_of(material: &[u8], salt: &[u8]) -> Result<LessSafeKey> {
    let failed = || KmsError::internal("a key could not be derived");
    let mut key = Zeroizing::new([0; 32]);
    let derived = Salt::new(HKDF_SHA256, salt).extract(material);
    let derived = derived.expand(&[INFO], Bytes32).map_err(|_| failed())?;
    derived.fill(&mut *key).map_err(|_| failed())?;
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| failed())?))
}

fn aad(names: &[u8], context: &EncryptionContext) -> Vec<u8> {
    let mut out = b"firn kms\0".to_vec();
    out.extend_from_slice(names);
    context.push_to(&mut out);
    out
}

/// Encrypts.
pub(super) fn seal(
    material: &[u8],
    names: Names,
    context: &EncryptionContext,
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
    out.extend_from_slice(&names.to_bytes());
    let mut random = [0; SALT_LEN + NONCE_LEN];
    entropy.fill(&mut random);
    out.extend_from_slice(&random);
    out.extend_from_slice(plaintext);
    let key = key_of(material, &random[..SALT_LEN])?;
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(&random[SALT_LEN..]);
    let aad = Aad::from(aad(&out[..NAMES_LEN], context));
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut out[HEAD_LEN..])
        .map_err(|_| KmsError::internal("a text could not be encrypted"))?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

/// Decrypts what [`seal`] made with the same context.
pub(super) fn open(
    material: &[u8],
    context: &EncryptionContext,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>> {
    let (head, rest) = ciphertext.split_first_chunk::<HEAD_LEN>().ok_or_else(KmsError::ciphertext)?;
    let (names, random) = head.split_at(NAMES_LEN);
    let key = key_of(material, &random[..SALT_LEN])?;
    let nonce = Nonce::try_assume_unique_for_key(&random[SALT_LEN..]).map_err(|_| KmsError::ciphertext())?;
    let mut plain = Zeroizing::new(rest.to_vec());
    let opened = key.open_in_place(nonce, Aad::from(aad(names, context)), &mut plain);
    let length = opened.map_err(|_| KmsError::ciphertext())?.len();
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::{EncryptionContext, Names, open, seal};
    use crate::kms::id::KeyId;
    use engine::entropy::SeededEntropy;
    use proptest::prelude::*;

    fn names() -> Names {
        Names {
            account: "111122223333".parse().unwrap(),
            key: KeyId::from_bytes(*b"0123456789abcdef"),
            backing: 7,
        }
    }

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        EncryptionContext::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
            .unwrap()
    }

    // Made with Python's cryptography package from this module's table: material 00 01 … 1f, salt a0 … af, nonce b0 … bb.
    const GOLDEN: &str = "0100000019df6690e53031323334353637383961626364656600000007a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1\
        b2b3b4b5b6b7b8b9babb0c811eba2687273ca07af84fce33c12c1c4805419b";

    #[test]
    fn golden_ciphertext_and_its_flipped_bits() {
        let material: Vec<u8> = (0..32).collect();
        let golden = hex::decode(GOLDEN).unwrap();
        let context = context(&[("tenant", "a"), ("app", "lab")]);
        assert_eq!(&**open(&material, &context, &golden).unwrap(), b"hello");
        assert_eq!(Names::of(&golden).unwrap(), names());
        for at in 0..golden.len() {
            for bit in 0..8 {
                let mut bad = golden.clone();
                bad[at] ^= 1 << bit;
                assert!(open(&material, &context, &bad).is_err(), "byte {at}");
            }
            assert!(open(&material, &context, &golden[..at]).is_err());
        }
        let mut newer = golden.clone();
        newer[0] = 2;
        assert!(Names::of(&newer).is_err());
        assert!(Names::of(&golden[..72]).is_err());
    }

    #[test]
    fn no_two_ciphertexts_of_a_text_are_alike() {
        let entropy = SeededEntropy::new(2);
        let one = seal(&[7; 32], names(), &EncryptionContext::NONE, b"x", &entropy).unwrap();
        let two = seal(&[7; 32], names(), &EncryptionContext::NONE, b"x", &entropy).unwrap();
        assert_ne!(one, two);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_with_the_same_context_alone(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            pairs in proptest::collection::btree_map("[a-c]{0,2}", "[a-c]{0,2}", 0..3),
            others in proptest::collection::btree_map("[a-c]{0,2}", "[a-c]{0,2}", 0..3),
        ) {
            let entropy = SeededEntropy::new(9);
            let (own, other) =
                (EncryptionContext::new(pairs).unwrap(), EncryptionContext::new(others).unwrap());
            let sealed = seal(&[1; 32], names(), &own, &plain, &entropy).unwrap();
            prop_assert_eq!(&**open(&[1; 32], &own, &sealed).unwrap(), &plain[..]);
            prop_assert_eq!(open(&[1; 32], &other, &sealed).is_ok(), own == other);
            prop_assert!(open(&[2; 32], &own, &sealed).is_err());
        }
    }
}
