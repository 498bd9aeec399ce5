//! The custodian that keeps its key in a file: `DIR/master.key`, mode 0600.
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `FIRNMKEY` |
//! | 8 | 1 | version | 1 |
//! | 9 | 8 | fingerprint | of the key: the first 8 bytes of SHA-256(`firn master key` ‖ key) |
//! | 17 | 32 | key | random |
//! | 49 | 4 | checksum | CRC32C of all before it, big-endian |
//!
//! A wrapped key:
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | 1 |
//! | 1 | 8 | fingerprint | of the master key that wrapped it |
//! | 9 | 12 | nonce | random |
//! | 21 | 32 | ciphertext | AES-256-GCM; additional data is bytes 0 to 8, then the caller's |
//! | 53 | 16 | tag | |

use super::{Aead, NONCE_LEN, TAG_LEN, checked, crc32c};
use crate::credentials::{read_private, write_private};
use crate::{Error, Result};
use engine::codec::Custodian;
use engine::entropy::Entropy;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"FIRNMKEY";
const VERSION: u8 = 1;
const FILE_LEN: usize = 53;
const WRAPPED_LEN: usize = 1 + 8 + NONCE_LEN + 32 + TAG_LEN;

/// Wraps with a key from a file that only its owner may read.
pub struct FileCustodian {
    path: PathBuf,
    file: Zeroizing<Vec<u8>>,
    fingerprint: [u8; 8],
    aead: Aead,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for FileCustodian {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.description())
    }
}

impl FileCustodian {
    /// Reads the key. A file that others may read or write is refused.
    pub fn load(path: &Path, entropy: Arc<dyn Entropy>) -> Result<Self> {
        Self::from_file(path, &read_private(path)?, entropy)
    }

    /// Draws a key and writes it to a new file, durably. An existing file is left alone and refused.
    pub fn generate(path: &Path, entropy: Arc<dyn Entropy>) -> Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(&mut *key);
        let bytes = encode(&key);
        write_private(path, &bytes)?;
        Self::from_file(path, &bytes, entropy)
    }

    /// The key of a file's bytes; the path is for texts.
    pub fn from_file(path: &Path, bytes: &[u8], entropy: Arc<dyn Entropy>) -> Result<Self> {
        let key = decode(bytes)?;
        Ok(Self {
            path: path.to_owned(),
            file: encode(&key),
            fingerprint: fingerprint(&key),
            aead: Aead::new(&key)?,
            entropy,
        })
    }

    /// Refuses bytes that are not those of a key's file.
    pub fn check(bytes: &[u8]) -> Result<()> {
        decode(bytes).map(drop)
    }

    /// The file's bytes as they were opened, whatever has become of them since.
    pub fn file(&self) -> Zeroizing<Vec<u8>> {
        self.file.clone()
    }

    /// What is authenticated with a wrapped key.
    fn aad(&self, aad: &[u8]) -> Vec<u8> {
        [&[VERSION][..], &self.fingerprint, aad].concat()
    }
}

impl Custodian for FileCustodian {
    fn wrap(&self, plain: &[u8; 32], aad: &[u8]) -> engine::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.entropy.fill(&mut nonce);
        let mut out = Vec::with_capacity(WRAPPED_LEN);
        out.push(VERSION);
        out.extend_from_slice(&self.fingerprint);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let wrapped = self.aead.seal(nonce, &self.aad(aad), &mut out, WRAPPED_LEN - 32 - TAG_LEN);
        wrapped.map_err(|error| corrupt(&error.to_string()))?;
        Ok(out)
    }

    fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> engine::Result<Zeroizing<[u8; 32]>> {
        match wrapped.first() {
            Some(&VERSION) => {}
            Some(&found) if found > VERSION => {
                return Err(engine::Error::Newer {
                    what: "wrapped key".to_owned(),
                    found: found.into(),
                    supported: VERSION.into(),
                });
            }
            _ => return Err(corrupt("it has no version")),
        }
        let bytes: &[u8; WRAPPED_LEN] = wrapped.try_into().map_err(|_| corrupt("its length is wrong"))?;
        if bytes[1..9] != self.fingerprint {
            let detail = format!(
                "it was wrapped by master key {}, and {} holds {}",
                hex::encode(&bytes[1..9]),
                self.path.display(),
                hex::encode(self.fingerprint)
            );
            return Err(corrupt(&detail));
        }
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&bytes[9..21]);
        let mut data = Zeroizing::new([0; 32 + TAG_LEN]);
        data.copy_from_slice(&bytes[21..]);
        let opened = self.aead.open(nonce, &self.aad(aad), &mut *data);
        let plain = opened.and_then(|plain| <[u8; 32]>::try_from(plain).ok());
        plain.map(Zeroizing::new).ok_or_else(|| corrupt("its tag does not match"))
    }

    fn description(&self) -> String {
        format!("master key {} in {}", hex::encode(self.fingerprint), self.path.display())
    }
}

fn corrupt(detail: &str) -> engine::Error {
    engine::Error::Corrupt { what: "wrapped key".to_owned(), detail: detail.to_owned() }
}

fn fingerprint(key: &[u8; 32]) -> [u8; 8] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(b"firn master key");
    context.update(key);
    let mut out = [0; 8];
    out.copy_from_slice(&context.finish().as_ref()[..8]);
    out
}

fn encode(key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(FILE_LEN));
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&fingerprint(key));
    out.extend_from_slice(key);
    let sum = crc32c(&out);
    out.extend_from_slice(&sum);
    out
}

fn decode(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
    let refused = |detail: &str| super::refused("master key", detail);
    if !bytes.starts_with(MAGIC) {
        return Err(refused("it does not start with FIRNMKEY"));
    }
    match bytes.get(8) {
        Some(&VERSION) => {}
        Some(&found) if found > VERSION => {
            return Err(Error::Newer { what: "master key", found: found.into(), supported: VERSION.into() });
        }
        _ => return Err(refused("it has no version")),
    }
    if bytes.len() != FILE_LEN {
        return Err(refused("its length is not 53 bytes"));
    }
    let body = checked(bytes).ok_or_else(|| refused("its checksum does not match"))?;
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&body[17..]);
    if fingerprint(&key) != body[9..17] {
        return Err(refused("its fingerprint does not match"));
    }
    Ok(key)
}

#[cfg(test)]
pub(super) mod tests {
    use super::{FileCustodian, WRAPPED_LEN, decode, encode};
    use crate::{Error, ErrorKind};
    use engine::codec::Custodian as _;
    use engine::entropy::SeededEntropy;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    pub(crate) const GOLDEN: &str = "4649524e4d4b4559019fde9d06caddbc37000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c\
        1d1e1f507d6ccc";

    fn key() -> [u8; 32] {
        std::array::from_fn(|index| u8::try_from(index).unwrap())
    }

    #[test]
    fn golden_file() {
        let golden = hex::decode(GOLDEN).unwrap();
        assert_eq!(hex::encode(&*encode(&key())), GOLDEN);
        assert_eq!(*decode(&golden).unwrap(), key());
        for at in 0..golden.len() {
            for bit in 0..8 {
                let mut bad = golden.clone();
                bad[at] ^= 1 << bit;
                decode(&bad).unwrap_err();
            }
            decode(&golden[..at]).unwrap_err();
        }
        let mut newer = golden.clone();
        newer[8] = 2;
        assert!(matches!(decode(&newer), Err(Error::Newer { found: 2, supported: 1, .. })));
    }

    #[test]
    fn wraps_and_unwraps_and_refuses_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let entropy = Arc::new(SeededEntropy::new(3));
        let custodian = FileCustodian::generate(&path, entropy.clone()).unwrap();
        let wrapped = custodian.wrap(&key(), b"aad").unwrap();
        assert_eq!(wrapped.len(), WRAPPED_LEN);
        assert_ne!(wrapped, custodian.wrap(&key(), b"aad").unwrap(), "nonces are random");
        let again = FileCustodian::load(&path, entropy.clone()).unwrap();
        assert_eq!(*again.file(), std::fs::read(&path).unwrap());
        assert_eq!(*again.unwrap(&wrapped, b"aad").unwrap(), key());
        again.unwrap(&wrapped, b"aae").unwrap_err();
        for at in 0..wrapped.len() {
            let mut bad = wrapped.clone();
            bad[at] ^= 1;
            again.unwrap(&bad, b"aad").unwrap_err();
            again.unwrap(&wrapped[..at], b"aad").unwrap_err();
        }
        let other = FileCustodian::generate(&dir.path().join("other.key"), entropy.clone()).unwrap();
        let error = other.unwrap(&wrapped, b"aad").unwrap_err();
        assert!(error.to_string().contains("was wrapped by master key"), "{error}");
        assert!(matches!(FileCustodian::generate(&path, entropy.clone()), Err(Error::Exists(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = FileCustodian::load(&path, entropy).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("chmod 600"));
    }
}
