//! Bucket rows: the name in the root partition, the configuration in the bucket's own.

use super::fields::{get_versioning, put_versioning};
use crate::Versioning;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::id::PartitionId;

/// How far a bucket's creation or deletion has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BucketState {
    /// The name is taken; the partition may or may not have its configuration.
    Creating,
    /// Both are there.
    Active,
    /// A deletion began; without a configuration in the partition it is done.
    Deleting,
}

/// A name and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketRow {
    pub(crate) partition: PartitionId,
    pub(crate) state: BucketState,
    pub(crate) created: Timestamp,
    /// The owner, in `AccountId`'s binary form.
    pub(crate) account: [u8; 8],
}

impl Record for BucketRow {
    const NAME: &'static str = "bucket row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        let state = match self.state {
            BucketState::Creating => 0,
            BucketState::Active => 1,
            BucketState::Deleting => 2,
        };
        out.fixed(self.partition.as_bytes()).u8(state).i64(self.created.as_millis()).fixed(&self.account);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let partition = PartitionId::from_bytes(fields.fixed()?);
        let state = match fields.u8()? {
            0 => BucketState::Creating,
            1 => BucketState::Active,
            2 => BucketState::Deleting,
            other => return Err(fields.corrupt(format!("state {other}"))),
        };
        let created = Timestamp::from_millis(fields.i64()?);
        Ok(Self { partition, state, created, account: fields.fixed()? })
    }
}

/// A bucket's configuration. Its row is the guard that the bucket exists: every writer checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConfigRow {
    pub(crate) versioning: Versioning,
    /// Grows with every change of a setting; 0 as long as none was ever set.
    pub(crate) revision: u64,
}

impl Record for ConfigRow {
    const NAME: &'static str = "bucket configuration";
    const VERSION: u8 = 2;

    fn version(&self) -> u8 {
        if self.revision == 0 { 1 } else { 2 }
    }

    fn encode(&self, out: &mut RecordWriter) {
        put_versioning(out, self.versioning);
        if self.revision != 0 {
            out.u64(self.revision);
        }
    }

    fn decode(version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let versioning = get_versioning(fields)?;
        Ok(Self { versioning, revision: if version == 1 { 0 } else { fields.u64()? } })
    }
}
