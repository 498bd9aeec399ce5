//! How far the repairer's walk over all blobs is: a row of the root partition, so that a restart goes on where it was.

use super::BlobStore;
use super::row::SWEEP;
use crate::catalog::record::{Record, RecordReader, RecordWriter};
use crate::catalog::{Commit, Durability, Write};
use crate::id::{BlobId, PartitionId};
use crate::pool::Zone;
use crate::{Error, Result};
use bytes::Bytes;

/// A walk, under way or finished. Fields, in this order: `zones` (`fixed` 8), `finished` (`u8`: 0, 1), `home` (`fixed` 8),
/// `blob` (`u8` 0, or 1 and `fixed` 16), `total`, `done`, `short_blobs`, `short_bytes`, `lost_blobs`, `lost_bytes` (`u64`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SweepRow {
    /// The zones and copies that it makes true: another value means to begin again.
    pub(crate) zones: [u8; 8],
    pub(crate) finished: bool,
    /// The partition, and the last blob of it that was looked at.
    pub(crate) home: [u8; 8],
    pub(crate) blob: Option<BlobId>,
    /// Bytes of all records when it began, and of those that it has passed.
    pub(crate) total: u64,
    pub(crate) done: u64,
    /// Blobs that lack copies which no zone could take, and their bytes.
    pub(crate) short_blobs: u64,
    pub(crate) short_bytes: u64,
    /// Blobs of which something can't be read anywhere.
    pub(crate) lost_blobs: u64,
    pub(crate) lost_bytes: u64,
}

impl Record for SweepRow {
    const NAME: &'static str = "sweep row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(&self.zones).u8(self.finished.into()).fixed(&self.home).u8(self.blob.is_some().into());
        if let Some(blob) = self.blob {
            out.fixed(blob.as_bytes());
        }
        for number in
            [self.total, self.done, self.short_blobs, self.short_bytes, self.lost_blobs, self.lost_bytes]
        {
            out.u64(number);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let flag = |fields: &mut RecordReader<'_>| match fields.u8()? {
            flag @ (0 | 1) => Ok(flag == 1),
            _ => Err(fields.corrupt("impossible flag")),
        };
        let (zones, finished, home) = (fields.fixed()?, flag(fields)?, fields.fixed()?);
        let blob = flag(fields)?.then(|| fields.fixed().map(BlobId::from_bytes)).transpose()?;
        Ok(Self {
            zones,
            finished,
            home,
            blob,
            total: fields.u64()?,
            done: fields.u64()?,
            short_blobs: fields.u64()?,
            short_bytes: fields.u64()?,
            lost_blobs: fields.u64()?,
            lost_bytes: fields.u64()?,
        })
    }
}

impl BlobStore {
    /// The walk that was saved last; one that can't be read only means to begin again.
    pub(super) async fn load_sweep(&self) -> Result<SweepRow> {
        let snapshot = self.catalog.snapshot(PartitionId::ROOT).await?;
        let value = snapshot.get(SWEEP.key(Bytes::new())).await?;
        Ok(match value.map(|value| SweepRow::from_bytes(&value)).transpose() {
            Ok(row) => row.unwrap_or_default(),
            Err(error @ Error::Newer { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "repair begins again");
                SweepRow::default()
            }
        })
    }

    pub(super) async fn save_sweep(&self, row: &SweepRow) -> Result<()> {
        let read_version = self.catalog.snapshot(PartitionId::ROOT).await?.read_version();
        let commit = Commit {
            writes: vec![Write::Put(SWEEP.key(Bytes::new()), row.to_bytes())],
            durability: Durability::Relaxed,
            ..Commit::new(PartitionId::ROOT, read_version).from_reserve()
        };
        self.catalog.commit(commit).await.map(drop)
    }

    /// A short name for which zones there are, in which state, and how many copies are kept.
    pub(super) fn zones_digest(&self) -> [u8; 8] {
        let mut hash = blake3::Hasher::new();
        hash.update(&[u8::try_from(self.copies).unwrap_or(u8::MAX)]);
        let state = |zone: &Zone| [u8::from(zone.is_there()), u8::from(zone.is_draining())];
        if let Some(pool) = &self.remote {
            hash.update(b"remote").update(&pool.zone.to_bytes()).update(&[u8::from(pool.keeps_local)]);
        }
        for zone in self.zones.iter() {
            hash.update(&zone.id.to_bytes()).update(&state(zone));
        }
        let mut digest = [0; 8];
        digest.copy_from_slice(&hash.finalize().as_bytes()[..8]);
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::SweepRow;
    use crate::catalog::record::Record;
    use crate::id::BlobId;

    #[test]
    fn golden_sweep_row() {
        let mut row = SweepRow {
            zones: *b"abcdefgh",
            finished: false,
            home: *b"home one",
            blob: Some(BlobId::from_bytes([0xBB; 16])),
            total: 1,
            done: 2,
            short_blobs: 3,
            short_bytes: 4,
            lost_blobs: 5,
            lost_bytes: 6,
        };
        let numbers: Vec<u8> = (1..=6_u64).flat_map(u64::to_le_bytes).collect();
        let mut golden = b"\x01abcdefgh\0home one\x01".to_vec();
        golden.extend_from_slice(&[0xBB; 16]);
        golden.extend_from_slice(&numbers);
        assert_eq!(*row.to_bytes(), *golden);
        assert_eq!(SweepRow::from_bytes(&golden).unwrap(), row);
        (row.finished, row.blob) = (true, None);
        let golden = [&b"\x01abcdefgh\x01home one\0"[..], &numbers].concat();
        assert_eq!(*row.to_bytes(), *golden);
        assert_eq!(SweepRow::from_bytes(&golden).unwrap(), row);
        for bad in [&golden[..30], b"\x01abcdefgh\x02", b"\x00", b"\x02"] {
            SweepRow::from_bytes(bad).unwrap_err();
        }
    }
}
