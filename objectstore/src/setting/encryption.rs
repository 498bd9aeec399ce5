//! How a bucket says that new objects are encrypted.
//!
//! Every body is encrypted at rest with keys of the appliance, which is what S3 calls AES256. What can be set is what S3 lets
//! one set beside it; keys of a KMS are not there.

use super::{Setting, SettingKind};
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};

/// The encryption configuration of a bucket whose algorithm is AES256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// Shown again; it saves calls of a KMS, of which AES256 makes none.
    pub bucket_key: bool,
    /// Whether keys that clients bring along are blocked, where it was said. None are taken anyway.
    pub blocks_customer_keys: Option<bool>,
}

impl Record for Encryption {
    const NAME: &'static str = "bucket encryption";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        // AES256; the next algorithm gets the next number.
        out.u8(1).u8(u8::from(self.bucket_key)).u8(match self.blocks_customer_keys {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let (algorithm, bucket_key, blocks) = (fields.u8()?, fields.u8()?, fields.u8()?);
        if algorithm != 1 || bucket_key > 1 {
            return Err(fields.corrupt(format!("algorithm {algorithm}, bucket key {bucket_key}")));
        }
        let blocks_customer_keys = match blocks {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            other => return Err(fields.corrupt(format!("blocked types {other}"))),
        };
        Ok(Self { bucket_key: bucket_key == 1, blocks_customer_keys })
    }
}

impl Setting for Encryption {
    const KIND: SettingKind = SettingKind::Encryption;
}
