//! A page of a manifest: at most 256 extents, one a part, and their data keys.
//!
//! The keys are sealed together, by the manifest's own random key (which the version row holds, sealed), with the rest of
//! the page, the manifest's id and the page's start offset as additional data. The start offset is the nonce too: a
//! manifest key seals each of its pages once, as every attempt to write one has a key of its own.

use super::content::Extent;
use super::fields::{get_value, put_value};
use crate::ChecksumValue;
use crate::id::ManifestId;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::codec::DataKey;
use engine::{Error, Result};

/// Most entries of a page: 256 of the largest (a SHA-512 checksum each) are below 48 KiB.
pub(crate) const ENTRIES_PER_PAGE: usize = 256;

/// One part's extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ManifestEntry {
    pub(crate) number: u16,
    pub(crate) checksum: Option<ChecksumValue>,
    pub(crate) extent: Extent,
}

/// A page as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ManifestPage {
    pub(crate) entries: Vec<ManifestEntry>,
    sealed: Bytes,
}

impl ManifestPage {
    /// Seals the entries' keys under the manifest's.
    pub(crate) fn seal(
        key: &DataKey,
        manifest: ManifestId,
        start: u64,
        entries: Vec<(ManifestEntry, DataKey)>,
    ) -> Result<Self> {
        let mut plain: Vec<u8> = entries.iter().flat_map(|(_, key)| *key.as_bytes()).collect();
        let mut page =
            Self { entries: entries.into_iter().map(|(entry, _)| entry).collect(), sealed: Bytes::new() };
        let aad = Aad::from(page.additional_data(manifest, start));
        let cipher = cipher(key)?;
        cipher
            .seal_in_place_append_tag(nonce(start), aad, &mut plain)
            .map_err(|_| Error::Invalid("seal a manifest page".into()))?;
        page.sealed = plain.into();
        Ok(page)
    }

    /// The entries with their keys; corrupt when anything is not as it was sealed.
    pub(crate) fn open(
        self,
        key: &DataKey,
        manifest: ManifestId,
        start: u64,
    ) -> Result<Vec<(ManifestEntry, DataKey)>> {
        let corrupt = |detail: &str| Error::Corrupt {
            what: format!("page {start} of manifest {manifest}"),
            detail: detail.into(),
        };
        let aad = Aad::from(self.additional_data(manifest, start));
        let mut sealed = self.sealed.to_vec();
        let plain = cipher(key)?
            .open_in_place(nonce(start), aad, &mut sealed)
            .map_err(|_| corrupt("its tag does not match"))?;
        let (keys, rest) = plain.as_chunks::<{ DataKey::LEN }>();
        if keys.len() != self.entries.len() || !rest.is_empty() {
            return Err(corrupt("as many keys as entries are needed"));
        }
        Ok(self.entries.into_iter().zip(keys.iter().map(|key| DataKey::from_bytes(*key))).collect())
    }

    fn additional_data(&self, manifest: ManifestId, start: u64) -> Vec<u8> {
        let mut aad = b"firn manifest page\0".to_vec();
        aad.extend_from_slice(manifest.as_bytes());
        aad.extend_from_slice(&start.to_le_bytes());
        aad.extend_from_slice(&Self { entries: self.entries.clone(), sealed: Bytes::new() }.to_bytes());
        aad
    }
}

fn cipher(key: &DataKey) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, key.as_bytes());
    key.map(LessSafeKey::new).map_err(|_| Error::Invalid("make a cipher of 32 bytes".into()))
}

fn nonce(start: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&start.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

impl Record for ManifestPage {
    const NAME: &'static str = "manifest page";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.count(self.entries.len());
        for entry in &self.entries {
            out.fixed(&entry.number.to_le_bytes());
            put_value(out, entry.checksum.as_ref());
            entry.extent.encode(out);
        }
        out.bytes(&self.sealed);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let count = fields.count()?;
        if count > ENTRIES_PER_PAGE {
            return Err(fields.corrupt(format!("{count} entries")));
        }
        let entry = |_| {
            let number = u16::from_le_bytes(fields.fixed()?);
            let checksum = get_value(fields)?;
            Ok(ManifestEntry { number, checksum, extent: Extent::decode(fields)? })
        };
        let entries = (0..count).map(entry).collect::<Result<_>>()?;
        Ok(Self { entries, sealed: Bytes::copy_from_slice(fields.bytes()?) })
    }
}
