//! Whether new bodies of a bucket are deduplicated.
//!
//! The secret by which chunks are named and cut is made when deduplication is first switched on, and stays: what is switched off
//! and on again finds what it knew.

use super::{Setting, SettingKind};
use bytes::Bytes;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};

/// A bucket's deduplication. See [`ObjectStore::set_deduplication`](crate::ObjectStore::set_deduplication).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deduplication {
    /// New bodies are deduplicated.
    pub(crate) on: bool,
    /// The bucket's secret, sealed by the key table.
    pub(crate) sealed: Bytes,
}

impl Record for Deduplication {
    const NAME: &'static str = "bucket deduplication";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(u8::from(self.on)).bytes(&self.sealed);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let on = match fields.u8()? {
            0 => false,
            1 => true,
            other => return Err(fields.corrupt(format!("state {other}"))),
        };
        Ok(Self { on, sealed: Bytes::copy_from_slice(fields.bytes()?) })
    }
}

impl Setting for Deduplication {
    const KIND: SettingKind = SettingKind::Deduplication;
}
