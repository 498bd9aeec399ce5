//! The rows of the key table, in the root partition. Integers are big-endian.
//!
//! `key` (Record 0xA0), by key id (8):
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | 1 |
//! | 1 | 8 | account | whose key |
//! | 9 | 1 | service | 1: S3, 2: secrets of identities, 3: tokens of sessions, 4: material of managed keys, 5: vaults, 6: what signs trails |
//! | 10 | 8 | created | milliseconds since the epoch |
//! | 18 | 8 | reserved | wraps that may have been made with it, at most 2³² |
//! | 26 | 2 | length | of the wrapped key |
//! | 28 | … | wrapped | by the custodian; additional data is key id, then bytes 0 to 17 |
//! | end − 4 | 4 | checksum | CRC32C of all before it |
//!
//! `active` (Record 0xA1), by account (8) ‖ service (1): version 1 (1), key id (8), CRC32C (4).

use super::{checked, crc32c, refused};
use crate::{AccountId, Error, Result};
use bytes::Bytes;
use engine::catalog::{Family, Key, Table};
use engine::clock::Timestamp;
use engine::entropy::Entropy;
use engine::id::random_bytes;
use std::fmt;

pub(super) const KEYS: Table = Table { family: Family::Record, tag: 0xA0 };
pub(super) const ACTIVE: Table = Table { family: Family::Record, tag: 0xA1 };
const VERSION: u8 = 1;
const FIXED_LEN: usize = 28;
/// What of a row a custodian authenticates with the key.
const BOUND_LEN: usize = 18;

engine::id_type! {
    /// A key of the table. Random, never reused.
    pub struct KeyId(pub(super) [u8; 8]), "key"
}

impl KeyId {
    pub(super) const LEN: usize = 8;

    pub(super) fn random(entropy: &dyn Entropy) -> Self {
        Self(random_bytes(entropy))
    }

    pub(super) fn row(self) -> Key {
        KEYS.key(Bytes::copy_from_slice(&self.0))
    }
}

/// Which service's data a key protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Service {
    /// The object store.
    S3 = 1,
    /// Secrets of identities: access keys.
    Identities = 2,
    /// Tokens of sessions.
    Sessions = 3,
    /// Material of managed keys.
    Kms = 4,
    /// Keys of vaults.
    Vaults = 5,
    /// What signs the digests of trails.
    Trails = 6,
}

/// What one key of the table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyScope {
    /// Whose data.
    pub account: AccountId,
    /// Which service's.
    pub service: Service,
}

impl KeyScope {
    /// The object store's key of an account.
    pub const fn s3(account: AccountId) -> Self {
        Self { account, service: Service::S3 }
    }

    /// What seals the secrets of an account's access keys.
    pub(crate) const fn identities(account: AccountId) -> Self {
        Self { account, service: Service::Identities }
    }

    /// What seals the tokens of an account's sessions.
    pub(crate) const fn sessions(account: AccountId) -> Self {
        Self { account, service: Service::Sessions }
    }

    /// What seals the material of an account's managed keys.
    pub(crate) const fn kms(account: AccountId) -> Self {
        Self { account, service: Service::Kms }
    }

    /// What seals the keys of an account's vaults.
    pub const fn vaults(account: AccountId) -> Self {
        Self { account, service: Service::Vaults }
    }

    /// What seals the keys that sign an account's digests.
    pub(crate) const fn trails(account: AccountId) -> Self {
        Self { account, service: Service::Trails }
    }

    fn to_bytes(self) -> [u8; 9] {
        let mut out = [self.service as u8; 9];
        out[..8].copy_from_slice(&self.account.to_bytes());
        out
    }

    fn from_bytes(bytes: [u8; 9]) -> Result<Self> {
        let [account @ .., service] = bytes;
        let service = match service {
            1 => Service::S3,
            2 => Service::Identities,
            3 => Service::Sessions,
            4 => Service::Kms,
            5 => Service::Vaults,
            6 => Service::Trails,
            other => return Err(refused("key row", &format!("service {other} is unknown"))),
        };
        Ok(Self { account: AccountId::from_bytes(account)?, service })
    }

    pub(super) fn row(self) -> Key {
        ACTIVE.key(Bytes::copy_from_slice(&self.to_bytes()))
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.service {
            Service::S3 => write!(f, "s3 of account {}", self.account),
            Service::Identities => write!(f, "identities of account {}", self.account),
            Service::Sessions => write!(f, "sessions of account {}", self.account),
            Service::Kms => write!(f, "managed keys of account {}", self.account),
            Service::Vaults => write!(f, "vaults of account {}", self.account),
            Service::Trails => write!(f, "trails of account {}", self.account),
        }
    }
}

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRow {
    pub(super) scope: KeyScope,
    pub(super) created: Timestamp,
    pub(super) reserved: u64,
    pub(super) wrapped: Vec<u8>,
}

impl KeyRow {
    /// What the custodian authenticates: a wrapped key can't be moved to another row or scope.
    pub(super) fn aad(id: KeyId, scope: KeyScope, created: Timestamp) -> Vec<u8> {
        let mut out = Vec::with_capacity(KeyId::LEN + BOUND_LEN);
        out.extend_from_slice(id.as_bytes());
        push_bound(&mut out, scope, created);
        out
    }

    pub(super) fn encode(&self) -> Result<Bytes> {
        let length = u16::try_from(self.wrapped.len())
            .map_err(|_| refused("wrapped key", "it is longer than 65,535 bytes"))?;
        let mut out = Vec::with_capacity(FIXED_LEN + self.wrapped.len() + 4);
        push_bound(&mut out, self.scope, self.created);
        out.extend_from_slice(&self.reserved.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.wrapped);
        let sum = crc32c(&out);
        out.extend_from_slice(&sum);
        Ok(out.into())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        check_version("key row", bytes)?;
        let short = || refused("key row", "it ends too early");
        let body = checked(bytes).ok_or_else(|| refused("key row", "its checksum does not match"))?;
        let (_, rest) = body.split_first().ok_or_else(short)?;
        let (scope, rest) = rest.split_first_chunk::<9>().ok_or_else(short)?;
        let (created, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let (reserved, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let (length, wrapped) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        if wrapped.len() != usize::from(u16::from_be_bytes(*length)) {
            return Err(refused("key row", "its length is wrong"));
        }
        Ok(Self {
            scope: KeyScope::from_bytes(*scope)?,
            created: Timestamp::from_millis(i64::from_be_bytes(*created)),
            reserved: u64::from_be_bytes(*reserved),
            wrapped: wrapped.to_vec(),
        })
    }
}

fn push_bound(out: &mut Vec<u8>, scope: KeyScope, created: Timestamp) {
    out.push(VERSION);
    out.extend_from_slice(&scope.to_bytes());
    out.extend_from_slice(&created.as_millis().to_be_bytes());
}

fn check_version(what: &'static str, bytes: &[u8]) -> Result<()> {
    match bytes.first() {
        Some(&VERSION) => Ok(()),
        Some(&found) if found > VERSION => {
            Err(Error::Newer { what, found: found.into(), supported: VERSION.into() })
        }
        _ => Err(refused(what, "it has no version")),
    }
}

pub(super) fn encode_active(id: KeyId) -> Bytes {
    let mut out = vec![VERSION];
    out.extend_from_slice(id.as_bytes());
    let sum = crc32c(&out);
    out.extend_from_slice(&sum);
    out.into()
}

pub(super) fn decode_active(key: &[u8], value: &[u8]) -> Result<(KeyScope, KeyId)> {
    check_version("active key row", value)?;
    let wrong = |detail| move || refused("active key row", detail);
    let scope = KeyScope::from_bytes(key.try_into().map_err(|_| wrong("its key is not 9 bytes")())?)?;
    let body = checked(value).ok_or_else(wrong("its checksum does not match"))?;
    let id = body[1..].try_into().map_err(|_| wrong("its length is wrong")())?;
    Ok((scope, KeyId::from_bytes(id)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{KeyId, KeyRow, KeyScope, decode_active, encode_active};
    use crate::Error;
    use engine::clock::Timestamp;

    fn scope() -> KeyScope {
        KeyScope::s3("111122223333".parse().unwrap())
    }

    // Made with Python's cryptography package from this module's tables: master key 00 01 … 1f, table key 20 … 3f.
    const WRAPPED: &str = "019fde9d06caddbc37404142434445464748494a4bc2988c000219a124e5ed3d1db7493d7449f7606f830039144f\
        7e74deab2ed3e4e68d5d64f143143997842172330a424b";
    pub(crate) const KEY_ROW: &str = "0100000019df6690e5010000018bcfe5680000000000001000000045019fde9d06caddbc37404142434445464748\
        494a4bc2988c000219a124e5ed3d1db7493d7449f7606f830039144f7e74deab2ed3e4e68d5d64f1431439978421\
        72330a424b9be8641b";
    pub(crate) const ACTIVE_ROW: &str = "010102030405060708857a13e0";

    #[test]
    fn golden_key_row() {
        let row = KeyRow {
            scope: scope(),
            created: Timestamp::from_millis(1_700_000_000_000),
            reserved: 1 << 20,
            wrapped: hex::decode(WRAPPED).unwrap(),
        };
        let golden = hex::decode(KEY_ROW).unwrap();
        assert_eq!(hex::encode(row.encode().unwrap()), hex::encode(&golden));
        assert_eq!(KeyRow::decode(&golden).unwrap(), row);
        refuses_flips(&golden, |bytes| KeyRow::decode(bytes).map(drop));
    }

    #[test]
    fn golden_active_row() {
        let id = KeyId::from_bytes(*b"\x01\x02\x03\x04\x05\x06\x07\x08");
        let golden = hex::decode(ACTIVE_ROW).unwrap();
        assert_eq!(hex::encode(encode_active(id)), hex::encode(&golden));
        let key = scope().to_bytes();
        assert_eq!(decode_active(&key, &golden).unwrap(), (scope(), id));
        refuses_flips(&golden, |bytes| decode_active(&key, bytes).map(drop));
        decode_active(&key[1..], &golden).unwrap_err();
        decode_active(b"\xff\xff\xff\xff\xff\xff\xff\xff\x01", &golden).unwrap_err();
    }

    fn refuses_flips(golden: &[u8], decode: impl Fn(&[u8]) -> Result<(), Error>) {
        for at in 0..golden.len() {
            for bit in 0..8 {
                let mut bad = golden.to_vec();
                bad[at] ^= 1 << bit;
                decode(&bad).unwrap_err();
            }
            decode(&golden[..at]).unwrap_err();
        }
        let mut newer = golden.to_vec();
        newer[0] = 2;
        assert!(matches!(decode(&newer), Err(Error::Newer { found: 2, supported: 1, .. })));
    }
}
