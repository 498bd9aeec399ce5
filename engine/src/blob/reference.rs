//! Who refers to a blob: rows, not counters, so that a reference added or dropped twice is still one.
//!
//! # Invariants
//! - A reference is added only in a commit whose checks prove that an existing holder of that blob is unchanged. So "no
//!   references", once seen, stays true, and the collector may act on it.
//! - Dropping a reference queues the blob for the collector in the same commit; the queue may hold blobs that still have
//!   references, never miss one that has none.

use super::row::{BLOBS, PRESENT, REFERENCES, garbage_key};
use crate::catalog::{Key, Scan, Snapshot, Write};
use crate::id::BlobId;
use crate::{Error, Result};
use bytes::Bytes;

/// Largest owner name in bytes.
pub const OWNER_BYTES_MAX: usize = 64;

/// Names who refers to a blob: a version, an upload. Opaque here, at most 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(Bytes);

impl Owner {
    /// From 1 to 64 bytes of the caller's choice.
    pub fn new(name: impl Into<Bytes>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || name.len() > OWNER_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "name an owner in {} bytes: 1 to {OWNER_BYTES_MAX} are allowed",
                name.len()
            )));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Adds a reference, in a commit in the blob's home partition whose checks prove that an existing holder is unchanged.
pub fn share(blob: BlobId, owner: &Owner) -> Vec<Write> {
    vec![Write::Put(reference_key(blob, owner), Bytes::from_static(PRESENT))]
}

/// Drops a reference and queues the blob for the collector, in a commit in the blob's home partition.
pub fn release(blob: BlobId, owner: &Owner) -> Vec<Write> {
    vec![
        Write::Delete(reference_key(blob, owner)),
        Write::Put(garbage_key(blob), Bytes::from_static(PRESENT)),
    ]
}

/// The row by which `owner` refers to `blob`: what a commit that shares the blob checks to be unchanged.
pub fn reference(blob: BlobId, owner: &Owner) -> Key {
    reference_key(blob, owner)
}

/// The row of somebody who refers to a blob, whoever it is; `None` once nobody does.
pub async fn holder(snapshot: &dyn Snapshot, blob: BlobId) -> Result<Option<Key>> {
    let scan = Scan { keys_only: true, ..Scan::prefix(REFERENCES, blob.as_bytes(), 1) };
    let page = snapshot.scan(scan).await?;
    Ok(page.rows.into_iter().next().map(|(key, _)| REFERENCES.key(key)))
}

/// Whether a partition still has blobs.
pub async fn has_blobs(snapshot: &dyn Snapshot) -> Result<bool> {
    let scan = Scan { keys_only: true, ..Scan::prefix(BLOBS, b"", 1) };
    Ok(!snapshot.scan(scan).await?.rows.is_empty())
}

pub(crate) fn reference_key(blob: BlobId, owner: &Owner) -> Key {
    let mut bytes = blob.as_bytes().to_vec();
    bytes.extend_from_slice(owner.as_bytes());
    REFERENCES.key(bytes)
}

#[cfg(test)]
mod tests {
    use super::Owner;

    #[test]
    fn owners_have_bounded_names() {
        Owner::new(vec![1; 64]).unwrap();
        Owner::new(vec![1; 65]).unwrap_err();
        Owner::new(Vec::new()).unwrap_err();
    }
}
