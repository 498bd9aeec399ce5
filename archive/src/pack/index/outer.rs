//! What is around the record of an index before it is sealed.
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 32 | tables | what the hashes and checksums in head and foot are known by |
//! | 32 | 1 | codec | of the record: 0 as it is, 1 one zstd frame |
//! | 33 | 4 | length | of the record |
//! | 37 | | record | |

use super::Index;
use crate::pack::layout::{HASH_BYTES, INDEX_PLAIN_MAX};
use engine::catalog::record::Record;
use engine::{Error, Result};
use zstd::bulk::{Compressor, Decompressor};

/// Bytes of a record, at the most, however short it became.
const RECORD_MAX: usize = 4 << 20;
/// Bytes before the record.
const BEFORE: usize = HASH_BYTES + 1 + 4;
/// Records below this are kept as they are: they are one cell, or two.
const COMPRESSED_FROM: usize = 4 << 10;
const LEVEL: i32 = 3;

/// A record, ready to be sealed once the tables are known.
pub(in crate::pack) struct Wrapped(Vec<u8>);

impl Wrapped {
    /// Of a record that is no longer than [`INDEX_PLAIN_MAX`] with what is around it, or becomes so.
    pub(in crate::pack) fn of(record: &[u8]) -> Result<Self> {
        let too_large = |size: usize| Error::TooLarge {
            what: "the index of a pack",
            size: size as u64,
            limit: INDEX_PLAIN_MAX as u64,
        };
        let length = u32::try_from(record.len()).ok().filter(|_| record.len() <= RECORD_MAX);
        let length = length.ok_or_else(|| too_large(record.len()))?;
        let failed = |error: std::io::Error| Error::Invalid(format!("compress an index: {error}"));
        let mut squeezed = Vec::new();
        if record.len() >= COMPRESSED_FROM {
            squeezed = Compressor::new(LEVEL).and_then(|mut zstd| zstd.compress(record)).map_err(failed)?;
        }
        let (codec, body) = match &squeezed[..] {
            [] => (0, record),
            short if short.len() < record.len() => (1, short),
            _ => (0, record),
        };
        let mut out = Vec::with_capacity(BEFORE + body.len());
        out.extend_from_slice(&[0; HASH_BYTES]);
        out.push(codec);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(body);
        if out.len() > INDEX_PLAIN_MAX {
            return Err(too_large(out.len()));
        }
        Ok(Self(out))
    }

    /// Bytes that are to be sealed.
    pub(in crate::pack) const fn len(&self) -> usize {
        self.0.len()
    }

    /// These, with what the tables are known by.
    pub(in crate::pack) fn with(&mut self, tables: [u8; HASH_BYTES]) -> &[u8] {
        self.0[..HASH_BYTES].copy_from_slice(&tables);
        &self.0
    }
}

impl Index {
    /// From what was sealed: the tables' hash beside it.
    pub(in crate::pack) fn unwrap(plain: &[u8]) -> Result<([u8; HASH_BYTES], Self)> {
        let corrupt = |detail: &str| Error::Corrupt { what: Self::NAME.into(), detail: detail.into() };
        let (before, body) = plain.split_first_chunk::<BEFORE>().ok_or_else(|| corrupt("ends too early"))?;
        let (tables, rest) = before.split_first_chunk().ok_or_else(|| corrupt("ends too early"))?;
        let [codec, length @ ..] = rest else { return Err(corrupt("ends too early")) };
        let length = length.try_into().map_or(usize::MAX, |bytes| u32::from_le_bytes(bytes) as usize);
        if length > RECORD_MAX {
            return Err(corrupt("longer than any"));
        }
        let index = match codec {
            0 if body.len() == length => Self::from_bytes(body)?,
            1 => {
                // No more room than was declared, and no more than any has: a bomb bursts there.
                let found = Decompressor::new().and_then(|mut zstd| zstd.decompress(body, length));
                let found = found.ok().filter(|found| found.len() == length);
                Self::from_bytes(&found.ok_or_else(|| corrupt("it does not expand to what it says"))?)?
            }
            0 => return Err(corrupt("it is not as long as it says")),
            other => {
                return Err(Error::Newer {
                    what: "codec of the index of a pack".into(),
                    found: u32::from(*other),
                    supported: 1,
                });
            }
        };
        Ok((*tables, index))
    }
}
